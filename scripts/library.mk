# Targets that make the program and the library ready to install; the Makefile includes this file.

MUSL_TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl

# For people's own machines; no agent gets these from a library.
OTHER_TARGETS := aarch64-apple-darwin x86_64-apple-darwin x86_64-pc-windows-gnu

.PHONY: static programs wine library release release-check audit fuzz mutants mutants-sample pipeline

static: ## the release program for this machine, static and within its size; for others with TARGETS="…"
	@scripts/build-static $(TARGETS)

programs: ## the programs for Linux, macOS and Windows with their sums in target/programs/
	@STRICT=1 scripts/build-static $(MUSL_TARGETS) $(OTHER_TARGETS)
	@scripts/build-programs target/programs $(MUSL_TARGETS) $(OTHER_TARGETS)

wine: ## the main stories on the program for Windows, under Debian's wine
	@scripts/install-tools wine
	@scripts/wine-tests

library: ## the installable library tree with both programs in target/library/
	@STRICT=1 scripts/build-static $(MUSL_TARGETS)
	@scripts/build-library target/library $(foreach t,$(MUSL_TARGETS),$(t)=target/static/$(t)/tagwright)

release-check: ## version, changelog heading, toolchain and sums of target/library are what a release needs
	@scripts/check-release

release: ## the release commit and its tags, from a clean tree, with what `make programs` has built; pushes nothing
	@scripts/check-release sources
	@$(MAKE) --no-print-directory library
	@scripts/make-release

audit: ## licences, sources and duplicates of what is compiled into a program, checked by cargo-deny
	@scripts/install-tools audit
	@PATH="$(CARGO_TARGET_DIR)/tools/bin:$$PATH" cargo deny --locked check licenses bans sources

fuzz: ## every fuzz target for 20 s; one of them with TARGET=link SECONDS=600
	@nice scripts/fuzz $(or $(SECONDS),20) $(TARGET)

mutants: ## plants bugs in the files that differ from main, or from COMMIT, and names those that no test notices
	@scripts/install-tools mutants
	@PATH="$(CARGO_TARGET_DIR)/tools/bin:$$PATH" nice scripts/mutants since $(or $(COMMIT),main)

mutants-sample: ## the same with COUNT bugs of src/pure and COUNT of the rest, 300 where none is given, drawn with SEED
	@scripts/install-tools mutants
	@PATH="$(CARGO_TARGET_DIR)/tools/bin:$$PATH" nice scripts/mutants sample $(or $(SEED),1) $(or $(COUNT),300)

pipeline: tools ## every step and the example on the real interpreter, against a real registry
	@scripts/pipeline-tests
