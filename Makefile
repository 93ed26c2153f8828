# Every habit of this project. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Node and promtool, where setup had to fetch them; and where rustup puts cargo, for shells that have not been told yet.
CACHE := $(or $(FLASHSALE_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flashsale)
export PATH := $(CACHE)/node/bin:$(PATH):$(CACHE)/bin:$(HOME)/.cargo/bin

.PHONY: help setup setup-tests up down reset build page test rules e2e screenshots lint fmt check drills bench

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Install what is missing on this machine (Debian, Ubuntu)
	@deploy/local/setup.sh

setup-tests:
	@deploy/local/setup.sh --tests

up: setup page ## Set up, build and run everything on http://127.0.0.1:8080
	@cargo build --release --package flashsale
	@exec target/release/flashsale up

down: ## Stop what `make up` started, also from another terminal
	@target/release/flashsale down

reset: ## Delete all data of the local stack (asks nothing: it says what would go; YES=1 does it)
	@target/release/flashsale reset $(if $(YES),--yes)

build: setup page ## Build the release binary: target/release/flashsale
	cargo build --release --package flashsale

page: frontend/dist/index.html ## Build the shop page, which goes into the binary

frontend/node_modules/.package-lock.json: frontend/package-lock.json | setup
	cd frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

# The folders too: their time changes when a file in them goes.
frontend/dist/index.html: frontend/node_modules/.package-lock.json frontend/index.html frontend/package.json \
		frontend/vite.config.ts $(shell find frontend/src frontend/public frontend/scripts)
	cd frontend && npm run --silent build

test: setup-tests page lint rules ## Set up, check and run all tests against real servers and a real browser
	cargo build --package flashsale --package flashsale-testkit
	cd frontend && npm run --silent check && npm run --silent size
	cargo run --quiet --package flashsale-testkit --bin with-servers -- cargo test --workspace --no-fail-fast
	cd frontend && npm run --silent e2e

rules: setup-tests ## Check and test the alerts
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
	cargo build --release --package flashsale
	target/release/flashsale drill run --all $(if $(TIMES),--times $(TIMES)) --write docs/reliability.md

bench: setup page ## Measure the decision, the pipeline, the proof and the live page
	cargo bench --package flashsale-lua --bench decide
	cargo bench --package flashsale --bench pipeline
	cargo bench --package flashsale --bench proof
	cargo bench --package flashsale --bench live
