# The project's commands. `make test` is the one that decides; the others are parts of it, or longer.

CARGO ?= cargo
BIN   := $(CURDIR)/$(or $(CARGO_TARGET_DIR),target)/release
ifneq ($(filter /%,$(CARGO_TARGET_DIR)),)
BIN   := $(CARGO_TARGET_DIR)/release
endif

.PHONY: help test check check-full lint sabotage bless pictures tools crash interleavings conformance-full

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools:           ## what the tests need from the system (installs where it may, else names it)
	@tests/install-tools.sh

# Binaries first, so that the whole-system tests run what a user runs. The crates' own tests come
# before the whole-system tests, whose summary ends the run.
test: tools      ## everything: unit, model, conformance, crash and whole-system tests
	$(CARGO) build --release --workspace --bins
	$(CARGO) test --release --workspace --exclude holdfast-tests
	HOLDFAST_BIN=$(BIN)/holdfast $(CARGO) test --release -p holdfast-tests --tests

check:           ## the model check of every build: every property, every published figure
	$(CARGO) run --release -q -p holdfast-model -- check

check-full:      ## the whole lattice of instances
	$(CARGO) run --release -q -p holdfast-model -- check --full

lint:            ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

sabotage:        ## breaks the product on purpose, patch by patch; every one must be caught
	$(CARGO) run --release -q -p holdfast-conformance -- sabotage

crash:           ## a long crash exploration and fuzzing of bytes at rest (minutes; HOLDFAST_SEED repeats)
	HOLDFAST_HISTORIES=$(or $(HISTORIES),3000) HOLDFAST_ROUNDS=$(or $(ROUNDS),20000) \
	$(CARGO) test --release -p holdfast-blockvol --test crash_model --test hostile_bytes -- --nocapture

interleavings:   ## the volume's concurrent paths under a scheduler that tries interleavings (a build of its own)
	$(CARGO) test --release -p holdfast-blockvol --features shuttle --test interleavings -- --nocapture

conformance-full: ## every level of conformance, every instance to its last edge
	$(CARGO) run --release -q -p holdfast-conformance -- report --full

bless:           ## rewrites the published figures in docs/results
	$(CARGO) run --release -q -p holdfast-model -- check --full --bless

pictures: tools  ## draws docs/traces/*.svg and takes docs/screenshots anew
	$(CARGO) test --release -p holdfast-model --test explorer -- --ignored
