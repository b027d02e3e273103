#!/bin/sh
# Lays the installable library out: vars/, resources/ with the programs and their sums, LICENSE.
#
#   scripts/library.sh OUT [TARGET=PROGRAM…]
#
# Without a program the tree is the slim form, for sites whose agents have tagwright on their PATH.
set -eu
cd "$(dirname "$0")/.."
limit=2097152

say() { echo "library: $*" >&2; }

out=$1
shift
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-dirty

rm -rf "$out"
mkdir -p "$out/vars" "$out/resources/tagwright"
cp vars/*.groovy vars/*.txt "$out/vars/"
cp resources/tagwright/launch.sh "$out/resources/tagwright/"
cp LICENSE "$out/"

sum() { sha256sum "$1" | cut -d ' ' -f 1; }

total=0
targets=
for pair; do
  target=${pair%%=*}
  program=${pair#*=}
  mkdir -p "$out/resources/tagwright/bin/$target"
  packed=$out/resources/tagwright/bin/$target/tagwright.gz
  # Without name and time, so that the same program packs to the same bytes.
  gzip -9nc "$program" >"$packed"
  total=$((total + $(wc -c <"$packed")))
  targets="$targets${targets:+,}
    \"$target\": {
      \"size\": $(wc -c <"$program"),
      \"sha256\": \"$(sum "$program")\",
      \"packedSize\": $(wc -c <"$packed"),
      \"packedSha256\": \"$(sum "$packed")\"
    }"
done
[ "$total" -lt "$limit" ] || { say "the packed programs have $total bytes, fewer than $limit are allowed"; exit 1; }
[ -z "$targets" ] || targets="$targets
  "
cat >"$out/resources/tagwright/release.json" <<JSON
{
  "version": "$version",
  "commit": "$commit",
  "targets": {$targets}
}
JSON
# Everything the same for everybody who builds this commit.
find "$out" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
say "$out holds tagwright $version of $commit, $total bytes of packed programs"
