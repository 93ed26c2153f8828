# Every habit of this project. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Node, promtool and nginx, where setup had to fetch them; and where rustup puts cargo, for shells that have not been told
# yet.
CACHE := $(or $(FLASHSALE_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flashsale)
export PATH := $(CACHE)/node/bin:$(PATH):$(CACHE)/bin:$(HOME)/.cargo/bin

.PHONY: help setup setup-tests up down reset build page test contract rules e2e screenshots lint fmt check drills load bench instructions k6 fuzz deny

help: ## List these targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Install what is missing on this machine (Debian, Ubuntu)
	@deploy/local/setup.sh

setup-tests:
	@deploy/local/setup.sh --tests

# Always both: of one alone the libraries under both would be built anew, with fewer of their features.
RELEASE := --package flashsale --package flashsale-loadtest

up: setup page ## Set up, build and run everything on http://127.0.0.1:8080
	@cargo build --release $(RELEASE)
	@exec target/release/flashsale up

down: ## Stop what `make up` started, also from another terminal
	@target/release/flashsale down

reset: ## Delete all data of the local stack (asks nothing: it says what would go; YES=1 does it)
	@target/release/flashsale reset $(if $(YES),--yes)

build: setup page ## Build the release binaries: target/release/flashsale, target/release/flashsale-load
	cargo build --release $(RELEASE)

page: frontend/dist/index.html ## Build the shop page, which goes into the binary

frontend/node_modules/.package-lock.json: frontend/package-lock.json | setup
	cd frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

# The folders too: their time changes when a file in them goes.
frontend/dist/index.html: frontend/node_modules/.package-lock.json frontend/index.html frontend/package.json \
		frontend/vite.config.ts $(shell find frontend/src frontend/public frontend/scripts)
	cd frontend && npm run --silent build

# Here clippy compiles what is tested, in the place of rustc: `cargo clippy` would compile everything a second time. And
# everything is compiled for the whole workspace: for one package alone its dependencies would be built anew.
test: export RUSTC_WORKSPACE_WRAPPER = clippy-driver
test: export CLIPPY_ARGS = --deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
test: setup-tests page rules ## Set up, check and run all tests against real servers and a real browser
	cargo fmt --all --check
	cargo build --workspace --all-targets
	target/debug/flashsale-xtask tidy
	cd frontend && npm run --silent check && npm run --silent size
	target/debug/with-servers cargo test --workspace --no-fail-fast
	$(CONTRACT)
	cd frontend && npm run --silent e2e

CONTRACT = $(CACHE)/contract/bin/python cli/tests/contract/run.py target/debug/flashsale

contract: setup-tests page ## Throw requests at a running stack: every answer is as the OpenAPI document says
	cargo build --package flashsale
	$(CONTRACT) $(OPTIONS)

rules: setup-tests ## Check and test the alerts
	@promtool check config deploy/prometheus/prometheus.yml
	@promtool check rules deploy/prometheus/rules/*.yml
	@promtool test rules deploy/prometheus/tests/*.yml

e2e: setup-tests page ## Only the tests in a real browser
	cargo build --package flashsale
	cd frontend && npm run --silent e2e

screenshots: setup-tests page ## Make the pictures of the README
	cargo build --package flashsale
	cd frontend && npm run --silent screenshots

lint: ## Formatting, lints with denied warnings, architecture
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo xtask tidy

fmt: ## Format the code
	cargo fmt --all

check: ## Quick: does it compile?
	cargo check --workspace --all-targets

drills: setup page ## Break everything that may break, one fault at a time; results go to docs/reliability.md
	cargo build --release $(RELEASE)
	target/release/flashsale drill run --all $(if $(TIMES),--times $(TIMES)) --write docs/reliability.md

# What is shipped is measured, not the binary that comes with the benchmarks: that one has features which only tests want.
bench: export BENCH_BINARY = $(CURDIR)/target/shipped/flashsale
bench: setup page ## Measure everything beside its limit, with BENCH_SECONDS a round; figures go to docs/benchmarks.md
	cargo build --release $(RELEASE)
	@mkdir -p target/shipped && cp target/release/flashsale target/shipped/
	cargo bench --workspace --bench decide
	cargo bench --workspace --bench http
	cargo bench --workspace --bench proof
	cargo bench --workspace --bench live
	cargo bench --workspace --bench flood
	cargo bench --workspace --bench scale
	cargo xtask benchmarks --write docs/benchmarks.md

SCENARIO ?= stampede

load: setup page ## Load a running installation and prove what came of it: SCENARIO=stampede (duplicates, status, mixed, soldout, soak) OPTIONS='--buyers 20000'
	@cargo build --release $(RELEASE)
	@exec target/release/flashsale-load $(SCENARIO) $(OPTIONS)

instructions: ## Count what an item of the hot path costs, beside its baseline: PART=parse for one, WRITE=1 renews it
	@cargo xtask instructions $(if $(PART),--part $(PART)) $(if $(WRITE),--write)

K6_VERSION := v1.8.1

# The k6 that is there, or one that Go builds into the cache. Settings reach it by the environment: loadtest/k6/README.md
k6: ## The same by k6: SCENARIO=stampede URL=http://...
	@test -f loadtest/k6/$(SCENARIO).js || { echo "name a SCENARIO: one of loadtest/k6" >&2; exit 64; }
	@command -v k6 >/dev/null || command -v go >/dev/null || { echo "k6 is missing, and Go, which could build it" >&2; exit 69; }
	@command -v k6 >/dev/null || GOBIN=$(CACHE)/bin go install go.k6.io/k6@$(K6_VERSION)
	k6 run --no-usage-report loadtest/k6/$(SCENARIO).js

SANITIZER ?= none
SECONDS ?= 60

# Without a sanitizer the stable compiler will do; with one it must be told to take what is not stable.
fuzz: ## Fuzz one parser: TARGET=request (avro, control, letters, wire) SECONDS=60 SANITIZER=none (address)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz@0.13.2" >&2; exit 69; }
	@test -f fuzz/fuzz_targets/$(TARGET).rs || { echo "name a TARGET: one of fuzz/fuzz_targets" >&2; exit 64; }
	@mkdir -p fuzz/work/$(TARGET) fuzz/regressions/$(TARGET)
	$(if $(filter-out none,$(SANITIZER)),RUSTC_BOOTSTRAP=1 )cargo fuzz run --sanitizer $(SANITIZER) $(TARGET) \
		fuzz/work/$(TARGET) fuzz/corpus/$(TARGET) fuzz/regressions/$(TARGET) \
		-- -max_total_time=$(SECONDS) -max_len=8192 -rss_limit_mb=1024

deny: ## Check licences, bans, sources and advisories of all dependencies by cargo-deny
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny@0.20.2" >&2; exit 69; }
	cargo deny check
