#!/bin/sh
# Fails unless version, changelog heading and the sums of a library tree agree.
#
#   scripts/release-check.sh [LIBRARY]        target/library if not named
set -eu
cd "$(dirname "$0")/.."
library=${1:-target/library}
json=$library/resources/tagwright/release.json

fail() { echo "release-check: $*" >&2; exit 1; }

field() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
grep -q "^## \[\{0,1\}$version\b" CHANGELOG.md || fail "CHANGELOG.md has no heading for $version"
[ "$(field version resources/tagwright/release.json)" = "$version" ] || fail "resources/tagwright/release.json names another version than Cargo.toml"
[ -f "$json" ] || fail "there is no $json: run \`make library\`"
[ "$(field version "$json")" = "$version" ] || fail "$json names another version than Cargo.toml"
[ "$(field commit "$json")" = "$(git rev-parse HEAD)" ] || fail "$json was built from $(field commit "$json"), this is $(git rev-parse HEAD): run \`make library\`"
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
  packed=$library/resources/tagwright/bin/$target/tagwright.gz
  [ -f "$packed" ] || fail "there is no $packed"
  row=$(grep -A 4 "\"$target\"" "$json")
  echo "$row" | grep -q "\"packedSha256\": \"$(sha256sum "$packed" | cut -d ' ' -f 1)\"" || fail "the sum of $packed is another one"
  echo "$row" | grep -q "\"sha256\": \"$(gzip -dc "$packed" | sha256sum | cut -d ' ' -f 1)\"" || fail "the sum of the program in $packed is another one"
done
echo "release-check: $version, its changelog and the sums of both programs agree"
