# Everything that people and CI run. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo build test unit e2e full e2e-lock lint fmt docs bench bench-peers layout fuzz-smoke clean

CARGO ?= cargo
# Keyword arguments for a part of the end-to-end tests: make e2e ARGS="-k redis"
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build, then a model server, faults before it, and a report: offline, under a minute
	@command -v cc >/dev/null || tests/e2e/setup.sh compiler
	$(CARGO) build --profile demo --locked
	target/demo/hormesis demo $(ARGS)

setup: ## install what the tests need: Debian's packages, and Python's in .venv-e2e
	tests/e2e/setup.sh

build:
	$(CARGO) build --locked

test: ## everything: install what is missing, unit tests, real servers and clients, totals
	tests/run.sh

unit: ## Rust's tests only
	$(CARGO) test --locked

e2e: setup build ## real servers and clients only
	tests/e2e/run.sh $(ARGS)

# What each of them makes long is said at the head of its test.
full: setup build ## the same at the scales of our claims; where the scrape across networks would be skipped, it fails
	HORMESIS_FULL=1 HORMESIS_WRITERS=60 HORMESIS_ABORTS=10000 HORMESIS_IDENTITY=10000 HORMESIS_RELOADS=200 \
	  tests/e2e/run.sh --timeout=1800 $(ARGS)

e2e-lock: ## pin the newest versions of tests/e2e/requirements.in
	tests/e2e/lock.sh

lint: ## formatting, clippy without warnings, licences and sources where cargo-deny is there
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then \
	  $(CARGO) deny --offline check bans sources licenses; \
	else \
	  echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"; \
	fi

fmt: ## format the Rust code
	$(CARGO) fmt

docs: ## write the generated pages under docs/, then the library's documentation, every link checked
	HORMESIS_WRITE_DOCS=1 $(CARGO) test --locked --lib -- admin::reference record:: measure::
	HORMESIS_WRITE_DOCS=1 $(CARGO) test --locked --test reference --test cli
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --lib

bench: ## instructions and times of the hot paths (needs valgrind; ARGS=decide for a part)
	$(CARGO) bench --locked --bench hot_paths -- $(ARGS)

bench-peers: ## beside nginx, HAProxy and Envoy, an hour (ARGS="--only http --rounds 3")
	$(CARGO) build --release --locked
	env $$(benches/peers/setup.sh) HORMESIS_BIN=$${HORMESIS_BIN:-target/release/hormesis} \
	  python3 benches/peers/peers.py $(ARGS)

layout: ## find out anew which functions a start runs, for build/layout.ld (needs valgrind)
	$(CARGO) build --profile profiling --locked
	python3 build/layout.py target/profiling/hormesis

fuzz-smoke: ## a minute of each fuzz target (needs cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not installed (cargo install cargo-fuzz)" >&2; exit 1; }
	@for target in $$(cd fuzz && $(CARGO) fuzz list); do \
	  echo "fuzz $$target"; \
	  (cd fuzz && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run "$$target" -- -max_total_time=60 -timeout=10); \
	done

clean: ## remove what was built and installed here
	$(CARGO) clean
	rm -rf .venv-e2e out
