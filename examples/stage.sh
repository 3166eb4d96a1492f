# shellcheck shell=bash
# What the demos have in common; demo.sh of each folder sources it. Everything happens in one temporary folder and on free
# ports of 127.0.0.1, and is gone at the end.

# Two workloads and a stranger: users by number, no account is made.
# shellcheck disable=SC2034 # for those who source this
SUMMARIZER=20001 REPORTER=20002 STRANGER=20003

((EUID == 0)) || {
  echo "demo: run it as root (sudo): it starts processes of several users" >&2
  exit 1
}

umask 022
export DEMO
DEMO=$(mktemp -d /tmp/credence-demo-XXXXXX)
chmod 755 "$DEMO"
mkdir "$DEMO/bin" "$DEMO/home"
PIDS=()
DAEMON=
# Where the last words go, also when a signal comes while a function runs with its output put elsewhere.
exec {LAST_WORDS}>&2
# Set by demo.sh: NAME=VALUE for each command that is shown.
ENVIRONMENT=()

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP PIPE
  if ((${#PIDS[@]} > 0)); then
    kill "${PIDS[@]}" 2>/dev/null || true
    wait "${PIDS[@]}" 2>/dev/null || true
  fi
  case $status in
    0) printf '\nAll answers were as they should be; nothing is left running.\n' ;;
    129 | 130 | 141 | 143) printf '\nStopped; nothing is left running.\n' >&"$LAST_WORDS" ;;
    *) printf '\nThe demo failed; the logs are in %s\n' "$DEMO" >&"$LAST_WORDS" ;;
  esac
  case $status in 0 | 129 | 130 | 141 | 143) rm -rf "$DEMO" ;; esac
  exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
say() { printf '%s\n' "$*"; }
fail() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

# show UID COMMAND...: prints the command, runs it as that user, prints the answer and keeps it in ANSWER and STATUS.
show() {
  local user=$1
  shift
  announce "$user" "$@"
  STATUS=0
  ANSWER=$(as "$user" "$@" 2>&1) || STATUS=$?
  indented <<<"$ANSWER"
}

# announce UID COMMAND...: as one would type it.
announce() {
  local word line=
  for word in "${@:2}"; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  printf '\n  [user %s] $%s\n' "$1" "$line"
}

indented() { cut -c 1-500 | sed 's/^/    /'; }

# expect WHAT STATUS [TEXT...]: the last answer had this exit code and holds these texts.
expect() {
  local what=$1 status=$2 text
  shift 2
  ((STATUS == status)) || fail "$what: exit code $STATUS instead of $status"
  for text in "$@"; do
    [[ $ANSWER == *"$text"* ]] || fail "$what: the answer does not hold '$text'"
  done
}

# as UID COMMAND...: with that user's rights only, found in the demo's own bin folder, and a bare environment.
as() {
  setpriv --reuid="$1" --regid="$1" --clear-groups -- env -i PATH="$DEMO/bin:/usr/bin:/bin" LANG=C.UTF-8 HOME="$DEMO/home" \
    "${ENVIRONMENT[@]}" "${@:2}"
}

# daemon NAME UID COMMAND...: in the background, log in NAME.log; dies with this script.
daemon() {
  local user=$2
  DAEMON=$1
  shift 2
  # In a session of its own: Ctrl-C is for the demo, which then ends it.
  setsid setpriv --reuid="$user" --regid="$user" --clear-groups --pdeathsig KILL -- "$@" >"$DEMO/$DAEMON.log" 2>&1 </dev/null {LAST_WORDS}>&- &
  PIDS+=($!)
}

# until_true SECONDS WHAT COMMAND...: an error as soon as the daemon that was started last is no more.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "${PIDS[-1]}" 2>/dev/null || fail "$what: it has ended: $(tail -n 3 "$DEMO/$DAEMON.log")"
    ((SECONDS < end)) || fail "$what did not happen in time"
    sleep 0.1
  done
}

# audit_lines FILE NUMBER WHAT: `credence audit` has one line for each decision.
audit_lines() {
  show 0 credence audit --file "$1" --kind decision
  expect "audit" 0 allowed denied
  (($(grep -c . <<<"$ANSWER") == $2)) || fail "$(grep -c . <<<"$ANSWER") decisions instead of $2: $3"
}

# no_secret_in TOKEN FILE...
no_secret_in() {
  local file
  for file in "${@:2}"; do
    ! grep -q "$1" "$file" || fail "the token stands in $file"
  done
}
