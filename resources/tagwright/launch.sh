{ set +xe; } 2>/dev/null
# Finds the tagwright program on this agent and runs the request that the bridge has put into the environment.
#
# TAGWRIGHT_REQUEST  the request as JSON, or @PATH of a file that holds it
# TAGWRIGHT_RELEASE  the version wanted, then TARGET=SHA256 for each program that the library carries
# TAGWRIGHT_PARCEL   where the bridge leaves a gzipped program after this script has asked for one
#
# Stdout is the answer of the program, or lines that begin with `launcher: `: `launcher: deliver TARGET` asks for a
# parcel, any other word is the code of an error, followed by its sentence and hint. The exit status is 0 then, whatever
# went wrong. After a signal N, to this script or to what it runs, it is 128 + N: a controller that ends a step and sees 0
# takes the step for done.
# Nothing of the caller's is ever part of a command line here, and nothing is traced or left in the workspace.
# A first line with `#!` would have the agent execute the file itself, which a `noexec` workspace forbids.
set -f
request=
case $TAGWRIGHT_REQUEST in @*) request=${TAGWRIGHT_REQUEST#@} ;; esac

# The program runs beside this script, so that a signal to this script alone ends both, and at once.
child=
ended() {
  trap '' HUP INT QUIT TERM
  if [ -n "$child" ]; then
    kill "$!" 2>/dev/null
    wait
  fi
  [ -z "$request" ] || rm -f "$request" 2>/dev/null
  exit "$1"
}
trap 'ended 129' HUP
trap 'ended 130' INT
trap 'ended 131' QUIT
trap 'ended 143' TERM

say() {
  printf '\nlauncher: %s\n%s\n%s\n' "$1" "${2:-}" "${3:-}"
  exit 0
}

# The words of a message on one line.
flat() { printf '%s' "$*"; }

has() { command -v "$1" >/dev/null 2>&1; }

# Ends this script where the status $1 says that a signal has ended a command: whoever sent it means this script too.
check_signal() {
  case $1 in 129 | 1[3-8]? | 19[0-2]) ended "$1" ;; esac
}

# Runs the program $1. Comes back only when it could not be started at all.
run() {
  if [ -n "$request" ]; then
    [ -r "$request" ] || say helper-missing "the request file \`$request\` cannot be read where the step runs" \
      "mount the workspace of the agent into the container, at the same path"
    child=starting
    "$1" call - <"$request" &
  else
    child=starting
    "$1" call </dev/null &
  fi
  wait "$!"
  status=$?
  child=
  case $status in
  126 | 127) return 1 ;;
  esac
  check_signal "$status"
  [ -z "$request" ] || rm -f "$request" 2>/dev/null
  case $status in
  [0-9] | 70) exit 0 ;;
  esac
  say helper-damaged "\`$1\` ended with status $status, which tagwright never does" \
    "remove the file, or name the right program with \`helper:\`"
}

set -- $TAGWRIGHT_RELEASE
version=$1
shift
carried=$*
how="install tagwright $version on the \`PATH\` of the agent, or name it with \`helper:\` or \`TAGWRIGHT_BIN\`"

# 1. The program that the step or the agent names, whatever its version: the bridge checks the schema of its answer.
if [ -n "${TAGWRIGHT_BIN:-}" ]; then
  case $TAGWRIGHT_BIN in
  */*) named=$TAGWRIGHT_BIN ;;
  -*) named= ;;
  *) named=$(command -v "$TAGWRIGHT_BIN" 2>/dev/null) ;;
  esac
  [ -n "$named" ] && [ -f "$named" ] || say helper-missing "there is no program \`$TAGWRIGHT_BIN\` on this agent" \
    "correct \`helper:\` or \`TAGWRIGHT_BIN\`, or leave both out to use the program that the library brings"
  [ -x "$named" ] && run "$named"
  say helper-damaged "\`$named\` cannot be executed on this agent" \
    "give it the execute bit, and make sure that it was built for this processor and lies on a volume that allows execution"
fi

# 2. This version on the PATH.
other=
found=$(command -v tagwright 2>/dev/null)
if [ -n "$found" ]; then
  # Prints `tagwright VERSION (COMMIT)`.
  set -- $("$found" --version </dev/null 2>/dev/null) ''
  if [ "${1:-}" = tagwright ] && [ "${2:-}" = "$version" ]; then
    run "$found"
  fi
  other="; \`$found\` is ${2:-not a program that tells its version}"
fi

# 3. This version in the cache, 4. the copy in the library.
[ -n "$carried" ] || say helper-missing "tagwright $version is not on the \`PATH\` of this agent, and this library carries no program$other" \
  "$how, or load a release of the library, \`tagwright@v$version\`"
has uname || say helper-missing "this agent has no \`uname\`" "$how"
system=$(uname -sm)
case $system in
'Linux x86_64' | 'Linux amd64') machine=x86_64 ;;
'Linux aarch64' | 'Linux arm64') machine=aarch64 ;;
*) machine= ;;
esac
target=
for word in $carried; do
  case $word in "$machine"-*=*) target=${word%%=*} wanted=${word#*=} ;; esac
done
[ -n "$machine" ] && [ -n "$target" ] || say helper-missing "this library carries no program for \`$system\`$other" "$how"
if has sha256sum; then
  sum() { sha256sum <"$1" 2>/dev/null; }
elif has shasum; then
  sum() { shasum -a 256 <"$1" 2>/dev/null; }
elif has openssl; then
  sum() { openssl dgst -sha256 -r <"$1" 2>/dev/null; }
else
  say helper-missing "this agent has none of \`sha256sum\`, \`shasum\` and \`openssl\`, and an unchecked program is never run" "add one of them, or $how"
fi
checked() {
  got=$(sum "$1")
  [ "${got%% *}" = "$wanted" ]
}

# Calls $1 with each folder that may hold the program.
in_each_place() {
  [ -z "${TAGWRIGHT_CACHE:-}" ] || "$1" "$TAGWRIGHT_CACHE"
  [ -z "${WORKSPACE_TMP:-}" ] || "$1" "$WORKSPACE_TMP"
  if has id; then "$1" "${TMPDIR:-/tmp}/tagwright-$(id -u)"; fi
}

# Anybody may write to /tmp, so a folder there counts only if it is ours and is no link.
trusted() {
  case $1 in
  "${TMPDIR:-/tmp}"/tagwright-*) [ -O "$1" ] && [ ! -L "$1" ] ;;
  esac
}

look() {
  kept=$1/tagwright-$version-$machine
  [ -f "$kept" ] && [ -x "$kept" ] && trusted "$1" && checked "$kept" && run "$kept"
}

tried=
failed() { tried="$tried${tried:+; }\`$1\`: $2"; }

# The parcel itself is at fault, so no other folder would help.
damaged() {
  rm -f "$1" "$TAGWRIGHT_PARCEL" 2>/dev/null
  say helper-damaged "the program that this library carries for $target did not arrive whole: $2" \
    "run the step again; where that does not help, load an unchanged release of the library"
}

unpack() {
  kept=$1/tagwright-$version-$machine
  part=$1/.${TAGWRIGHT_PARCEL##*/}
  if ! why=$(mkdir -p -m 700 "$1" 2>&1); then
    failed "$1" "$(flat $why)"
    return
  fi
  if ! trusted "$1"; then
    failed "$1" "belongs to somebody else"
    return
  fi
  if ! why=$({ gzip -dc <"$TAGWRIGHT_PARCEL" >"$part"; } 2>&1); then
    # A full disk and a damaged parcel both end here; the parcel alone tells which it was.
    gzip -dc <"$TAGWRIGHT_PARCEL" >/dev/null 2>&1 || damaged "$part" "$(flat $why)"
    failed "$1" "$(flat $why)"
  elif ! checked "$part"; then
    damaged "$part" "another sha256 than release.json names"
  elif ! why=$(chmod 755 "$part" 2>&1); then
    failed "$1" "$(flat $why)"
  elif ! why=$("$part" --version 2>&1 </dev/null); then
    failed "$1" "$(flat $why)"
  elif ! why=$(mv -f "$part" "$kept" 2>&1); then
    failed "$1" "$(flat $why)"
  else
    rm -f "$TAGWRIGHT_PARCEL" 2>/dev/null
    run "$kept"
    failed "$kept" "cannot be executed"
  fi
  rm -f "$part" 2>/dev/null
}

if [ ! -f "$TAGWRIGHT_PARCEL" ]; then
  in_each_place look
  say "deliver $target"
fi
for tool in gzip chmod mv mkdir rm; do
  has "$tool" || say helper-missing "this agent has no \`$tool\`, which unpacking the program needs" "add it, or $how"
done
in_each_place unpack
rm -f "$TAGWRIGHT_PARCEL" 2>/dev/null
say helper-missing "the program could be put nowhere on this agent: $tried" \
  "set \`TAGWRIGHT_CACHE\` to a folder with 8 MB of room that allows execution, or $how"
