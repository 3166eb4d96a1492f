#!/usr/bin/env bash
# Shows Credence's main job on one machine, with `credence up` and what Debian has. ./dev demo builds it and runs this; it
# checks every answer.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CREDENCE=${CREDENCE_BIN:-$HERE/../../build/release/bin/credence}
[[ -x $CREDENCE ]] || {
  echo "demo: no $CREDENCE: run ./dev demo, which builds it" >&2
  exit 1
}
# shellcheck source-path=SCRIPTDIR source=../stage.sh
source "$HERE/../stage.sh"
STORE_USER=20004

# Copies that every user can reach: this repository may stand below somebody's private home.
cp "$CREDENCE" "$DEMO/bin/credence"
cp "$HERE/fetch_svid.py" "$HERE/openbao_stand_in.py" "$DEMO/bin/"
DATA=$DEMO/data
ENVIRONMENT=(CREDENCE_SOCKET="$DATA/run/agent.sock" SPIFFE_ENDPOINT_SOCKET="unix://$DATA/run/agent.sock"
  CREDENCE_AUTHORITY_SOCKET="$DATA/run/authority/api.sock")

title "1. One command: agent, trust authority and OIDC issuer"
announce 0 credence up -trustDomain example.org -dataDir "$DATA"
daemon up 0 "$DEMO/bin/credence" up -trustDomain example.org -dataDir "$DATA"
until_true 40 "start of credence up" grep -q 'Ctrl-C' "$DEMO/up.log"
indented <"$DEMO/up.log"
ISSUER=$(sed -n 's/^ *OIDC issuer *//p' "$DEMO/up.log")
say "  Its data is not in the usual place, so the commands below find it by CREDENCE_SOCKET, SPIFFE_ENDPOINT_SOCKET and"
say "  CREDENCE_AUTHORITY_SOCKET."

title "2. Two workloads are registered, by the user that runs them"
show 0 credence entry create -spiffeID spiffe://example.org/summarizer -selector "unix:uid:$SUMMARIZER"
expect "entry create" 0 "spiffe://example.org/node/local"
show 0 credence entry create -spiffeID spiffe://example.org/reporter -selector "unix:uid:$REPORTER"
expect "entry create" 0
show 0 credence entry show -parentID spiffe://example.org/node/local
expect "entry show" 0 "spiffe://example.org/summarizer" "spiffe://example.org/reporter" "unix:uid:$REPORTER"

title "3. An unprivileged process that holds no secret gets its SVIDs"
say "  fetch_svid.py is a SPIFFE client of one file."
until_true 20 "the workloads' identities" as $REPORTER fetch_svid.py openbao
show $SUMMARIZER fetch_svid.py openbao
expect "fetch_svid.py" 0 "X509-SVID spiffe://example.org/summarizer" "URI:spiffe://example.org/summarizer" \
  "JWT-SVID spiffe://example.org/summarizer" "\"iss\":\"$ISSUER\""
say "  Whoever it shows the JWT-SVID to can verify it, with what the issuer publishes:"
show 0 curl -sS "$ISSUER/.well-known/openid-configuration"
expect "discovery" 0 "\"issuer\":\"$ISSUER\"" "$ISSUER/keys"
show 0 curl -sS "$ISSUER/keys"
expect "keys" 0 '"kty":"EC"'

title "4. A destination: a secret store that believes JWT-SVIDs"
say "  This one is a stand-in, one file that speaks OpenBao's API and verifies each JWT-SVID with the keys above. It runs as"
say "  a user of its own. ./dev demo --spire has the real OpenBao, and a real SPIRE server."
announce $STORE_USER openbao_stand_in.py --issuer "$ISSUER" --role summarizer --bound-audience openbao \
  --bound-subject spiffe://example.org/summarizer
daemon openbao_stand_in $STORE_USER "$DEMO/bin/openbao_stand_in.py" --issuer "$ISSUER" --role summarizer \
  --bound-audience openbao --bound-subject spiffe://example.org/summarizer
until_true 10 "start of the stand-in" grep -q 'listens on' "$DEMO/openbao_stand_in.log"
indented <"$DEMO/openbao_stand_in.log"
ADDRESS=$(sed -n 's/^listens on //p' "$DEMO/openbao_stand_in.log")
say "  credence setup says what a real one has to be told, and writes the file that allows the summarizer to use it:"
show 0 credence setup openbao -name kv-demo -spiffeID spiffe://example.org/summarizer -selector "unix:uid:$SUMMARIZER" \
  -set "address=$ADDRESS" -set role=summarizer -set audience=openbao -issuer "$ISSUER" -resources "$DATA/resources" -yes
expect "setup" 0 "bound_subject=spiffe://example.org/summarizer" "Wrote $DATA/resources/kv-demo.yaml"
until_true 20 "the agent's reading of the new file" as $SUMMARIZER credence check kv-demo -exchange=false
show $SUMMARIZER credence check kv-demo
expect "check" 0

title "5. The process gets a token that lives five minutes, and reads a secret with it"
show $SUMMARIZER credence get kv-demo
expect "get" 0
TOKEN=$ANSWER
show $SUMMARIZER curl -sS -H "X-Vault-Token: $TOKEN" "$ADDRESS/v1/secret/data/app"
expect "reading the secret" 0 "only the secret store knew this"
say "  The same in one step; VAULT_TOKEN and VAULT_ADDR are there for the command alone:"
# shellcheck disable=SC2016 # the variables are the command's
show $SUMMARIZER credence exec --destination kv-demo -- \
  sh -c 'echo "a token of ${#VAULT_TOKEN} characters"; curl -sS -H "X-Vault-Token: $VAULT_TOKEN" $VAULT_ADDR/v1/secret/data/app'
expect "exec" 0 "a token of" "only the secret store knew this"

title "6. Others are refused, and told which fact differed and what would change it"
show $REPORTER credence get kv-demo
expect "another workload" 4 "no grant gives" "spiffe://example.org/reporter" "fix:" \
  "add a Grant with spec.subject.spiffe_id: spiffe://example.org/reporter and spec.destination: kv-demo"
show $STRANGER credence get kv-demo
expect "an unregistered user" 4 "uid $STRANGER" "fix:" "entry create" "unix:uid:$STRANGER"
show $STRANGER fetch_svid.py openbao
expect "no SVID either" 1 "no identity issued"

title "7. Each decision is one line of the audit log"
audit_lines "$DATA/audit.jsonl" 5 "one each for check, get and exec, and two refusals"
show 0 credence status
expect "status" 0 "example.org"

no_secret_in "$TOKEN" "$DEMO"/*.log "$DATA"/*.log "$DATA/audit.jsonl"
