#!/bin/sh
# Makes the release of the version in Cargo.toml out of target/library: a commit without a parent on branch `release`,
# tagged v<version>, and the same without programs, tagged v<version>-slim. Pushes nothing.
#
#   scripts/release.sh            from a clean tree, after `make library`
set -eu
cd "$(dirname "$0")/.."

fail() { echo "release: $*" >&2; exit 1; }

[ -z "$(git status --porcelain)" ] || fail "the tree is not clean: commit or remove what \`git status\` lists"
scripts/release-check.sh target/library
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
for tag in "v$version" "v$version-slim"; do
  ! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "the tag $tag exists: raise the version in Cargo.toml"
done

# One date for one source, so that whoever repeats this gets the same commits.
date=$(git log -1 --format=%cI)
export GIT_COMMITTER_DATE="$date" GIT_AUTHOR_DATE="$date"
git_dir=$(git rev-parse --absolute-git-dir)

# A folder as a commit of its own, past the index and the files of this work tree.
commit_of() {
  rm -f "$git_dir/release-index"
  GIT_INDEX_FILE="$git_dir/release-index" git --work-tree="$1" add --all --force .
  tree=$(GIT_INDEX_FILE="$git_dir/release-index" git write-tree)
  rm -f "$git_dir/release-index"
  git commit-tree "$tree" -m "$2"
}

source=$(git rev-parse HEAD)
scripts/library.sh target/library-slim
whole=$(commit_of target/library "tagwright $version, built from $source")
slim=$(commit_of target/library-slim "tagwright $version without programs, built from $source")
git update-ref refs/heads/release "$whole"
git tag -a "v$version" -m "tagwright $version" "$whole"
git tag -a "v$version-slim" -m "tagwright $version for agents that have the program" "$slim"
echo "release: v$version is $whole, v$version-slim is $slim"
echo "release: publish with: git push origin +release v$version v$version-slim"
