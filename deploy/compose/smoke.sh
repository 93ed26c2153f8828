#!/usr/bin/env bash
# Starts docker-compose.yml with secrets made up for this run, sells a unit through nginx, and takes everything away
# again. For a machine with a container engine; continuous integration runs it.
#
#   deploy/compose/smoke.sh [IMAGE]      an image that is there; without one it is built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly url=http://127.0.0.1:8080
settings="$(mktemp)"
readonly settings
awk '/=$/ { c = "openssl rand -hex 24"; c | getline s; close(c); $0 = $0 s } 1' .env.compose.example >"$settings"
[[ -z "${1:-}" ]] || echo "IMAGE=$1" >>"$settings"
echo "COMPOSE_PROFILES=observability" >>"$settings"

compose() { docker compose --project-name flashsale-smoke --env-file "$settings" "$@"; }

finish() {
    local status=$?
    [[ "$status" == 0 ]] || compose logs --tail 40 || true
    compose down --volumes --timeout 60 || true
    rm -f "$settings"
    exit "$status"
}
trap finish EXIT

# Repeats a command until it works.
until_it_works() {
    local attempt
    for attempt in {1..60}; do
        if "$@"; then return; fi
        sleep 1
    done
    echo "smoke: gave up after $attempt tries: $*" >&2
    return 1
}

buys() {
    curl --silent --show-error --max-time 10 "$url/api/v1/purchases" --header 'X-User-Id: alice' \
        --header 'Idempotency-Key: smoke-1' --header 'Content-Type: application/json' --data '{"sku":"SMOKE"}' |
        grep '"purchaseNo"'
}
streams() {
    local said
    # A stream does not end by itself.
    said="$(curl --silent --no-buffer --max-time 3 "$url/api/v1/sales/events?sku=SMOKE" || true)"
    [[ "$said" =~ event:\ ?initial ]]
}
has_row() {
    compose exec -T postgres psql --username=flashsale --tuples-only --command 'SELECT count(*) FROM purchases' | grep -qw 1
}
# Every target of prometheus.yml.
is_scraped() { curl --silent --fail 'http://127.0.0.1:9090/api/v1/query?query=sum(up)' | grep -q '"7"'; }

compose up --detach --wait --wait-timeout 300
compose exec -T api flashsale sale create SMOKE --name 'A unit' --stock 1 --end +1h
until_it_works buys
until_it_works streams
until_it_works has_row
until_it_works is_scraped
curl --silent --fail "http://127.0.0.1:3000/api/health"
compose exec -T api flashsale verify --sku SMOKE
# Everything ends in order, within its time.
compose stop --timeout 60
for service in ingest-1 ingest-2 processor sink-postgres sink-sse api; do
    code="$(docker inspect --format '{{.State.ExitCode}}' "$(compose ps --all --quiet "$service")")"
    [[ "$code" == 0 ]] || { echo "smoke: $service ended with $code" >&2; exit 1; }
done
echo "smoke: sold, shown, stored, measured, proved and stopped"
