# Every check by name; CI calls these targets and nothing else. `make` alone lists them.

CARGO ?= cargo
export CARGO_TARGET_DIR ?= $(CURDIR)/target
# rustup may know the release that rust-toolchain.toml pins by the name `stable` alone, and need not fetch it again.
PINNED := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
ifneq ($(filter $(PINNED),$(shell rustup run $(PINNED) rustc --version 2>/dev/null || rustup run stable rustc --version 2>/dev/null)),)
ifeq ($(shell rustup run $(PINNED) rustc --version 2>/dev/null),)
export RUSTUP_TOOLCHAIN := stable
endif
endif
# A check must not change what it checks.
export INSTA_UPDATE ?= no
# What is kept to compile a change sooner costs time; where nobody has compiled by hand there is no change to come.
ifeq ($(wildcard $(CARGO_TARGET_DIR)/debug/incremental/*),)
export CARGO_INCREMENTAL ?= 0
endif
# The release program with what a debug build looks after as well: sums that overflow, promises between functions. Without
# the tests, what only they use is dead code, and a warning is an error.
CHECKED := SIZE_LIMIT=3145728 RUSTFLAGS="$(RUSTFLAGS) -D warnings -C overflow-checks -C debug-assertions" scripts/build-static

.DEFAULT_GOAL := list
.PHONY: list check packages tools fmt fmt-check lint doc lint-doc-and-compile compile program test live registries demo snapshots docs docs-site docs-site-check board-check controller controller-test bench bench-copy bench-ecr

list: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: packages fmt-check ## install what is needed, then format, lints, documentation and all tests
	@# The link of the release program keeps one processor and a download none, so all of that runs side by side; tests
	@# have the machine alone.
	@$(MAKE) --no-print-directory -j3 --output-sync=recurse lint-doc-and-compile program tools controller-test
	@# Every test that starts the program starts that one, which takes a fraction of the time of one that is not optimised.
	@# Real registries are waited for more than computed with; so is the interpreter of a controller.
	@program=$$($(CHECKED)) && export TAGWRIGHT_TEST_PROGRAM="$(CURDIR)/$$program" && \
		$(MAKE) --no-print-directory test && \
		$(MAKE) --no-print-directory -j2 --output-sync=recurse live pipeline

# Without this nothing compiles; the rest of the tools may come beside it.
packages:
	@scripts/install-tools packages

tools: ## install the servers and clients that the live tests and the demo need
	@scripts/install-tools

fmt: ## format the sources
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

lint: ## clippy on every target, warnings are errors
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test live --test release_live --test signatures_live --test registries_live --test wine -- -D warnings

# One after the other: cargo lets nothing else into its folder meanwhile.
lint-doc-and-compile:
	@$(MAKE) --no-print-directory lint doc compile

compile:
	$(CARGO) test --locked --no-run --lib --bins --examples --test it --test live

# The plus hands make's own count of jobs on to cargo.
program:
	+@$(CHECKED)

doc: ## rustdoc, warnings are errors
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items

# Some tests send signals, which whoever starts this in the background, or by nohup, passes over.
SIGNALS := $(shell env --default-signal true 2>/dev/null && echo env --default-signal)

# Most tests wait for answers and not for a processor.
test: ## unit and integration tests, with servers that answer as told
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-8} $(SIGNALS) $(CARGO) test --locked

live: tools ## the same stories against real servers, which are started and stopped
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} $(CARGO) test --locked --test live

release-live: tools ## a release that is killed thirty times and run again, and 256 MiB into two registries in little memory
	@program=$$(scripts/build-static) && TAGWRIGHT_TEST_PROGRAM="$(CURDIR)/$$program" $(CARGO) test --locked --test release_live

signatures-live: tools ## cosign's two newest major versions, which it builds, on signatures that are made and checked here
	@scripts/install-tools signatures
	$(CARGO) test --locked --test signatures_live

registries: tools ## the story of the live tests, told to registries that take long to get
	@scripts/install-tools registries
	$(CARGO) test --locked --test registries_live

demo: ## the main job on this machine, against a registry that it starts itself
	@scripts/install-tools demo
	$(CARGO) build --locked --bin tagwright --example demo
	@"$(CARGO_TARGET_DIR)/debug/examples/demo"

snapshots: ## accept changed snapshots; read the difference like code
	INSTA_UPDATE=always $(CARGO) test --locked --test it

docs: ## write the documents that follow from the tables
	TAGWRIGHT_WRITE_DOCS=1 $(CARGO) test --locked --test it docs_are_what_the_tables_say

docs-site: ## the documents as pages with search in target/docs-site/, made with mdBook
	@scripts/install-tools site
	@scripts/docs-site

docs-site-check: docs-site ## opens them in Chromium: every link, the search, screenshots in target/
	@scripts/install-tools browser
	@"$(CARGO_TARGET_DIR)/tools/browser/bin/python" scripts/check-docs-site

board-check: ## opens a page of the board in Chromium, under Jenkins' policy: faults, axe-core, screenshots in target/
	@scripts/install-tools axe
	$(CARGO) test --locked --test it board_page::
	@"$(CARGO_TARGET_DIR)/tools/browser/bin/python" scripts/check-board

controller: ## the stories on a Jenkins that is up, JENKINS=URL with JENKINS_USER and JENKINS_TOKEN; see docs/controller.md
	@scripts/controller "$$JENKINS"

controller-test: ## what `make controller` does, against a fake of Jenkins' API
	@cd tests/controller && python3 -B -m unittest

bench: ## round trips of every job beside crane, skopeo, oras and regctl, in TLS; start-up, memory and size
	@scripts/bench

bench-copy: ## a copy of 1 GiB beside crane, skopeo, oras and regctl: time, CPU, memory, requests
	@scripts/bench-copy

bench-ecr: tools ## one label from ECR beside aws, curl and jq: requests, round trips, processes, time
	$(CARGO) build --locked --release
	@scripts/bench-ecr

bench-release: ## a dozen images into two registries as one release, beside loops: time, round trips, requests
	@scripts/bench-release

include scripts/library.mk
