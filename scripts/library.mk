# Targets that make the program and the library ready to install; the Makefile includes this file.

MUSL_TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl

.PHONY: static library release release-check pipeline

static: ## the release program for this machine, static and within its size
	@scripts/build-static

library: ## the installable library tree with both programs in target/library/
	@STRICT=1 scripts/build-static $(MUSL_TARGETS)
	@scripts/build-library target/library $(foreach t,$(MUSL_TARGETS),$(t)=target/static/$(t)/tagwright)

release-check: ## version, changelog heading and sums of target/library agree
	@scripts/check-release

release: library ## the release commit and its tags, from a clean tree; pushes nothing
	@scripts/make-release

pipeline: tools ## every step and the example on the real interpreter, against a real registry
	@scripts/pipeline-tests
