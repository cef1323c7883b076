#!/bin/bash
# Accepts with a commit against the same server and path with nothing to store, side by side in one run, and what a
# portal's twin takes meanwhile. Needs wrk and a release build; loopback only.
# Usage: benches/accept.sh [ROUNDS] [SECONDS] [PROGRAM] [LINES]
set -euo pipefail
rounds=${1:-3} seconds=${2:-5} program=${3:-target/release/trunkline} lines=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$place"' EXIT
cat >"$place/t.toml" <<TOML
data_dir = "$place/data"
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[bot_framework]
authentication = "off"
[network]
allow = ["127.0.0.0/8"]
TOML
run() { "$program" --config "$place/t.toml" "$@"; }
echo BENCH-LICENCE-KEY-0001 >"$place/licence"
echo s3cret >"$place/secret"
started() { for _ in $(seq 200); do grep -q ready "$1" && return; read -rt 0.05 <> <(:) || true; done; echo "not ready" >&2; exit 1; }
"$program" --config "$place/t.toml" serve >"$place/serve" 2>"$place/serve.log" & pids+=($!); server=$!
started "$place/serve"
public=$(sed 's/.*public=\([^ ]*\).*/\1/' "$place/serve") admin=$(sed 's/.*admin=//' "$place/serve")
"$program" sim portal --server "$public" --license-key-file "$place/licence" --module 23.100.0 >"$place/portal" & pids+=($!)
started "$place/portal"
run portal add bench --protocol box --url "$(sed 's/.*portal=//' "$place/portal")" --license-key-file "$place/licence" >/dev/null
hook=
for line in $(seq "$lines"); do
    hook+=$(run --json line add --portal bench --connector botframework --line "$line" --set bot_handle=b \
        --set "app_id=$(printf '%08d-2222-3333-4444-555555555555' "$line")" --set-file "app_secret=$place/secret" |
        sed -n 's/.*"hash": "\(.*\)".*/\/imwebhook\/?hash=\1 /p')
done
figure() { curl -s "$admin/metrics" | awk -v name="$1" '$1 ~ "^"name {sum += $2} END {printf "%.0f", sum}'; }
for round in $(seq "$rounds"); do
    HOOK=$hook STORE=0 wrk -t2 -c64 -d"$seconds" -s "$here/accept.lua" "$public" | grep storing
    before=$(figure trunkline_confirmed_total)
    HOOK=$hook STORE=1 ROUND=$round wrk -t2 -c64 -d"$seconds" -s "$here/accept.lua" "$public" | grep storing
    echo "delivered meanwhile: $((($(figure trunkline_confirmed_total) - before) / seconds))/s," \
        "queued: $(figure trunkline_queued), resident: $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$server/status") MB"
done
echo "accounting difference: $(figure trunkline_accounting_difference)"
