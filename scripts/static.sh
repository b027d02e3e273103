#!/bin/sh
# Builds the program as one static file for each target named, or for this machine, into target/static/TARGET/tagwright.
#
#   scripts/static.sh [TARGET…]        targets: x86_64-unknown-linux-musl, aarch64-unknown-linux-musl
#
# musl comes from cargo-zigbuild with the target's std from rustup, or with std built from source where BUILD_STD=1 is
# set and the toolchain allows that. Where neither is to be had for this machine, the build is against glibc, static too.
# Two builds of one commit give the same bytes, so no path and no time of this machine goes into the file.
set -eu
cd "$(dirname "$0")/.."
limit=2097152

say() { echo "static: $*" >&2; }

host=$(uname -m)
case $host in
arm64) host=aarch64 ;;
amd64) host=x86_64 ;;
esac
[ $# -gt 0 ] || set -- "$host-unknown-linux-musl"

sysroot=$(${RUSTC:-rustc} --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# Debian keeps the sources of std behind a link, and the compiler writes down where the link leads.
std=$(readlink -f "$sysroot/lib/rustlib/src/rust" 2>/dev/null || echo "$sysroot/lib/rustlib/src/rust")
paths="--remap-path-prefix=$PWD=/tagwright --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$std=/rust --remap-path-prefix=$sysroot=/rust"
target_dir=${CARGO_TARGET_DIR:-target}

has_std() {
  [ -d "$sysroot/lib/rustlib/$1/lib" ] && return 0
  command -v rustup >/dev/null && [ -z "${RUSTC:-}" ] && rustup target add "$1" >/dev/null 2>&1
}

has_zigbuild() { command -v cargo-zigbuild >/dev/null; }

# Shows what would load at run time; a static file has neither an interpreter nor a needed library.
is_static() {
  if command -v readelf >/dev/null; then
    ! readelf -ld "$1" | grep -Eq 'INTERP|\(NEEDED\)'
  else
    file "$1" | grep -Eq 'static-pie linked|statically linked'
  fi
}

for target; do
  case $target in
  *-linux-musl)
    if has_zigbuild && [ "${BUILD_STD:-}" = 1 ]; then
      RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static $paths" \
        cargo zigbuild -Zbuild-std=std,panic_abort --locked --release --target "$target"
    elif has_zigbuild && has_std "$target"; then
      RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static $paths" cargo zigbuild --locked --release --target "$target"
    elif [ "${target%%-*}" = "$host" ] && [ "${STRICT:-}" != 1 ]; then
      say "no musl for $target here: needs cargo-zigbuild, and the target from rustup or BUILD_STD=1; building against glibc instead"
      target=$host-unknown-linux-gnu
      RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static $paths" cargo build --locked --release --target "$target"
    else
      say "cannot build $target here: install cargo-zigbuild and zig, and run \`rustup target add $target\` or set BUILD_STD=1"
      exit 1
    fi
    ;;
  *)
    say "unknown target \`$target\`: x86_64-unknown-linux-musl and aarch64-unknown-linux-musl are known"
    exit 2
    ;;
  esac
  built=$target_dir/$target/release/tagwright
  is_static "$built" || { say "$built is not static"; exit 1; }
  size=$(wc -c <"$built")
  case $target in
  *-musl) [ "$size" -le "$limit" ] || { say "$built has $size bytes, $limit at most are allowed"; exit 1; } ;;
  esac
  mkdir -p "target/static/$target"
  cp "$built" "target/static/$target/tagwright"
  say "target/static/$target/tagwright: $size bytes, static"
done
