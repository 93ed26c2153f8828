# Every habit of this project. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Where rustup puts cargo, for shells that have not been told yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help setup up down reset build test lint fmt check drills bench

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Install what is missing on this machine (Debian, Ubuntu)
	@deploy/local/setup.sh

up: setup ## Set up, build and run everything on http://127.0.0.1:8080
	@cargo build --release --package flashsale
	@exec target/release/flashsale up

down: ## Stop what `make up` started, also from another terminal
	@target/release/flashsale down

reset: ## Delete all data of the local stack (asks nothing: it says what would go; YES=1 does it)
	@target/release/flashsale reset $(if $(YES),--yes)

build: setup ## Build the release binary: target/release/flashsale
	cargo build --release --package flashsale

test: setup lint ## Set up, check and run all tests against real servers
	cargo build --package flashsale --package flashsale-testkit
	cargo run --quiet --package flashsale-testkit --bin with-servers -- cargo test --workspace --no-fail-fast

lint: ## Formatting, lints with denied warnings, architecture
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo xtask tidy

fmt: ## Format the code
	cargo fmt --all

check: ## Quick: does it compile?
	cargo check --workspace --all-targets

drills: setup ## Break everything that may break, one fault at a time; results go to docs/reliability.md
	cargo build --release --package flashsale
	target/release/flashsale drill run --all $(if $(TIMES),--times $(TIMES)) --write docs/reliability.md

bench: setup ## Measure the decision and the pipeline, beside limits measured in the same run
	cargo bench --package flashsale-lua --bench decide
	cargo bench --package flashsale --bench pipeline
	cargo bench --package flashsale --bench proof
