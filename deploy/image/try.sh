#!/usr/bin/env bash
# Tries the last stage of the Dockerfile without a container engine: a bare Debian 12 by debootstrap, the stage's own
# RUN lines in it, the binary, and then the binary as the stage's user on a read-only root.
#
#   deploy/image/try.sh [BINARY]      as root; takes a minute; by default target/release/flashsale
#
# Exits 69 when this machine cannot do it, 1 when the image would not work.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
readonly here
readonly binary="${1:-$here/target/release/flashsale}"
readonly stage=image
readonly release=bookworm # of debian:12-slim

give_up() { echo "try: $*" >&2; exit 69; }
fail() { echo "try: $*" >&2; exit 1; }

[[ "$(id -u)" == 0 ]] || give_up "needs root, for chroot"
command -v debootstrap >/dev/null || give_up "please install debootstrap"
[[ -x "$binary" ]] || give_up "there is no $binary: run make build, or name one"

# The lines of the stage, each with its continuations.
instructions() {
    awk -v stage="$stage" '
        /^FROM / { within = ($NF == stage); next }
        !within || /^#/ || /^$/ { next }
        { line = line $0 }
        line ~ /\\$/ { sub(/\\$/, "", line); next }
        { print line; line = "" }
    ' "$here/Dockerfile"
}

root="$(mktemp -d)"
chmod 755 "$root"
trap 'rm -rf --one-file-system "$root"' EXIT
echo "try: Debian $release into $root"
debootstrap --variant=minbase "$release" "$root" >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; give_up "debootstrap failed"; }
rm -f "$root.log"

user='' entrypoint='' health='' environment=()
while IFS= read -r line; do
    case "$line" in
        "RUN "*)
            echo "try: ${line:0:100}…"
            chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin \
                sh -ec "${line#RUN }" >/dev/null || fail "it failed: $line"
            ;;
        "COPY --from=build "*) install -D --mode=755 "$binary" "$root${line##* }" ;;
        "USER "*) user="${line#USER }" ;;
        "ENV "*) read -ra environment <<<"${line#ENV }" ;;
        "ENTRYPOINT "*) entrypoint="$(tr -d '[]",' <<<"${line#ENTRYPOINT }")" ;;
        "HEALTHCHECK "*) health="$(tr -d '[]",' <<<"${line##*CMD }")" ;;
        "EXPOSE "* | "CMD "*) ;;
        *) fail "this script does not know: $line" ;;
    esac
done < <(instructions)

# Runs a command as the image does: its user, its environment, a root that cannot be written.
inside() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -ec 'root=$1; shift; mount --bind "$root" "$root"; mount -o remount,ro,bind "$root"; exec "$@"' \
        - "$root" chroot --userspec="$user" "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin "${environment[@]}" "$@"
}

# Each answer is looked at, so that a command which never ran cannot pass.
[[ "$(inside id -u)" == "${user%%:*}" && "${user%%:*}" != 0 ]] || fail "it does not run as $user, or that is root"
if inside touch /tmp/x 2>/dev/null; then fail "the root can be written"; fi
missing="$(inside ldd "/usr/local/bin/$entrypoint" | grep 'not found' || true)"
[[ -z "$missing" ]] || fail "libraries are missing: $missing"
echo "try: $(inside "$entrypoint" --version)"
inside "$entrypoint" openapi | grep -q '"openapi"' || fail "it prints no OpenAPI document"
for command in ingest processor "sink postgres" "sink sse" api migrate; do
    # shellcheck disable=SC2086 # a command of two words
    inside "$entrypoint" $command --help >/dev/null || fail "there is no $command"
done
status=0
# shellcheck disable=SC2086
said="$(inside $health)" || status=$?
[[ "$status" == 1 && "$said" == *"no answer"* ]] || fail "without a process the health check exits $status: $said"
inside "$entrypoint" config print | grep -q 'http_address = "0.0.0.0:8080"' || fail "the environment is not in force"
echo "try: the image would work; $(du -sh "$root" | cut -f1) of files"
