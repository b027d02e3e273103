#!/bin/sh
# Runs every step and Jenkinsfile.example the way a controller does, with the program built here and real registries.
#
#   scripts/pipeline-tests.sh [MAVEN ARGUMENT…]
#
# Needs JDK 17, Maven, and Debian's docker-registry, busybox and git. TAGWRIGHT_PROGRAM=TARGET=FILE names a program that
# is built already.
set -eu
cd "$(dirname "$0")/.."

for tool in java mvn docker-registry busybox git; do
  command -v "$tool" >/dev/null || { echo "pipeline-tests: there is no \`$tool\`: install openjdk-17-jdk-headless, maven, docker-registry, busybox and git" >&2; exit 1; }
done
if [ -z "${TAGWRIGHT_PROGRAM:-}" ]; then
  scripts/static.sh
  machine=$(uname -m)
  for target in "$machine-unknown-linux-musl" "$machine-unknown-linux-gnu"; do
    [ ! -f "target/static/$target/tagwright" ] || { TAGWRIGHT_PROGRAM=$target=$PWD/target/static/$target/tagwright; break; }
  done
fi
scripts/library.sh target/pipeline-library "$TAGWRIGHT_PROGRAM"
exec mvn -B -ntp -f tests/pipeline/pom.xml test -Dtagwright.library=target/pipeline-library -Dtagwright.binary="${TAGWRIGHT_PROGRAM#*=}" "$@"
