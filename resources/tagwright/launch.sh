{ set +xe; } 2>/dev/null
# Finds the tagwright program on this agent and runs the request that the bridge has put into the environment.
#
# TAGWRIGHT_REQUEST  the request as JSON, or @PATH of a file that holds it
# TAGWRIGHT_RELEASE  the version wanted, then TARGET=SHA256 for each program that the library carries
# TAGWRIGHT_PARCEL   where the bridge leaves a gzipped program after this script has asked for one
#
# Stdout is the answer of the program, or lines that begin with `launcher: `: `launcher: deliver TARGET` asks for a
# parcel, with the line `here` for one in the step's own folder; any other word is the code of an error, followed by its
# sentence and hint. The exit status is 0 then, whatever went wrong. After a signal N, to this script or to what it runs,
# it is 128 + N: a controller that ends a step and sees 0 takes the step for done.
# Nothing of the caller's is ever part of a command line here, and nothing is traced or left in the workspace.
# A first line with `#!` would have the agent execute the file itself, which a `noexec` workspace forbids.
set -f
# A core file would hold the secrets of the environment.
ulimit -c 0 2>/dev/null
request=
case $TAGWRIGHT_REQUEST in @*) request=${TAGWRIGHT_REQUEST#@} ;; esac
parcel=$TAGWRIGHT_PARCEL
part=
inside=
here=$(pwd -P)

# Ends this script with the status $1 and leaves no file behind.
leave() {
  for file in "$request" "$parcel" "$part"; do
    [ ! -e "$file" ] || rm -f -- "$file" 2>/dev/null
  done
  exit "$1"
}

# The program runs beside this script, so that a signal to this script alone ends both, and at once.
child=
ended() {
  trap '' HUP INT QUIT TERM
  if [ -n "$child" ]; then
    kill "$!" 2>/dev/null
    wait
  fi
  leave "$1"
}
trap 'ended 129' HUP
trap 'ended 130' INT
trap 'ended 131' QUIT
trap 'ended 143' TERM

# Who ends a step ends all its processes, in any order: the status $1 of a tool may be the first to tell.
check_abort() {
  case $1 in 129 | 130 | 131 | 137 | 143) ended "$1" ;; esac
}

has() { command -v "$1" >/dev/null 2>&1; }

# mksh has no `printf` of its own.
answer() {
  set -- "
launcher: $1
${2:-}
${3:-}"
  if has printf; then printf '%s\n' "$1"; else print -r -- "$1"; fi
}

say() {
  answer "$@"
  leave 0
}

# Runs the program $1 in the step's own folder. Comes back only when it could not be started at all.
run() {
  if [ -n "$request" ]; then
    [ -r "$request" ] || say helper-missing "the request file \`$request\` cannot be read where the step runs" \
      "mount the workspace of the agent into the container, at the same path"
    set -- "$1" "$request" -
  else
    set -- "$1" /dev/null
  fi
  child=starting
  {
    [ -z "$inside" ] || cd -P "$here" || exit 127
    exec "$1" call ${3:+"$3"}
  } <"$2" &
  wait "$!"
  status=$?
  child=
  case $status in
  126 | 127) return 1 ;;
  129 | 1[3-8]? | 19[0-2]) leave "$status" ;;
  [0-9] | 70) leave 0 ;;
  esac
  say helper-damaged "\`$1\` ended with status $status, which tagwright never does" \
    "remove the file, or name the right program with \`helper:\`"
}

# A relative or an empty entry of the PATH would take programs from the workspace.
entries=${PATH:-}:
PATH=
while [ -n "$entries" ]; do
  case $entries in /*) PATH=$PATH${PATH:+:}${entries%%:*} ;; esac
  entries=${entries#*:}
done
export PATH="${PATH:-/usr/bin:/bin}"

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
  case $named in */*) [ -f "$named" ] ;; *) false ;; esac || say helper-missing "there is no program \`$TAGWRIGHT_BIN\` on this agent" \
    "correct \`helper:\` or \`TAGWRIGHT_BIN\`, or leave both out to use the program that the library brings"
  [ -x "$named" ] && run "$named"
  say helper-damaged "\`$named\` cannot be executed on this agent" \
    "give it the execute bit, and make sure that it was built for this processor and lies on a volume that allows execution"
fi

# 2. This version on the PATH.
other=
found=$(command -v tagwright 2>/dev/null)
case $found in
/*)
  # Prints `tagwright VERSION (COMMIT)`. Whatever else has the name is not to see a secret; an abort finds it by the cookie.
  said=$(env -i PATH="$PATH" ${HOME:+"HOME=$HOME"} JENKINS_SERVER_COOKIE="${JENKINS_SERVER_COOKIE:-}" "$found" --version </dev/null 2>/dev/null)
  check_abort "$?"
  set -- $said ''
  if [ "$1" = tagwright ] && [ "$2" = "$version" ]; then
    run "$found"
  fi
  other="; \`$found\` is ${2:-not a program that tells its version}"
  ;;
esac

# 3. This version in the cache, 4. the copy in the library.
[ -n "$carried" ] || say helper-missing "tagwright $version is not on the \`PATH\` of this agent, and this library carries no program$other" \
  "$how, or load a release of the library, \`tagwright@v$version\`"
has uname || say helper-missing "this agent has no \`uname\`" "$how"
system=$(uname -sm)
check_abort "$?"
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
  sum() { sha256sum; }
elif has shasum; then
  sum() { shasum -a 256; }
elif has openssl; then
  sum() { openssl dgst -sha256 -r; }
else
  say helper-missing "this agent has none of \`sha256sum\`, \`shasum\` and \`openssl\`, and an unchecked program is never run" "add one of them, or $how"
fi
name=tagwright-$version-$machine
scratch=.${parcel##*/}

checked() {
  got=$(sum <"$1" 2>/dev/null)
  check_abort "$?"
  [ "${got%% *}" = "$wanted" ]
}

# Runs a command; what it says is in `why` then, on one line.
try() {
  why=$("$@" 2>&1 </dev/null)
  status=$?
  check_abort "$status"
  set -- $why
  why=$*
  return "$status"
}

# Whether $1 belongs to this user or to root, and nobody else may write to it.
own() {
  listed=$(ls -ldn "$1" 2>/dev/null)
  check_abort "$?"
  set -- "$1" $listed
  case ${2:-none} in none | ?????w* | ????????w*) return 1 ;; esac
  [ "$4" = 0 ] || [ -O "$1" ]
}

# Enters the folder $1 and looks at it from within, where it cannot be exchanged for another one any more.
enter() {
  inside=yes
  folder=$1
  while :; do case $folder in ?*/) folder=${folder%/} ;; *) break ;; esac done
  case $folder in /*) [ ! -L "$folder" ] && cd -P "$folder" 2>/dev/null && own . ;; *) false ;; esac
}

# Runs the program in the folder that was entered: by its name in that folder, which the descriptor holds fast, as the
# program has to begin in another one. Where there is no /proc, the path has to do.
start() {
  [ -f "./$name" ] && [ ! -L "./$name" ] && own "./$name" && checked "./$name" || return
  { if [ -f "/proc/self/fd/9/$name" ]; then run "/proc/self/fd/9/$name"; else run "$(pwd -P)/$name"; fi } 9<.
}

look() { enter "$1" && start; }

# Whether a program could be put into the folder $1 and run there: an empty script has to do, and 4 MiB of room.
usable() {
  enter "$1" || return
  part=$scratch
  try make_scratch && try "./$part"
  status=$?
  rm -f "./$part" 2>/dev/null
  part=
  set -- $(df -Pk . 2>/dev/null)
  [ "$status" = 0 ] && [ "${11:-4096}" -ge 4096 ] 2>/dev/null
}
make_scratch() { umask 077 && : >"./$part" && chmod 700 "./$part"; }

# Calls $1 with each folder that may hold the program. What others may write to comes last, and only where the folder
# beside the workspace cannot be used.
in_each_place() {
  [ -z "${TAGWRIGHT_CACHE:-}" ] || "$1" "$TAGWRIGHT_CACHE"
  if [ -n "${WORKSPACE_TMP:-}" ]; then
    "$1" "$WORKSPACE_TMP"
    [ "$1" != look ] || ! usable "$WORKSPACE_TMP" || return
  fi
  if has id && try id -u; then "$1" "${TMPDIR:-/tmp}/tagwright-$why"; fi
}

tried=
failed() { tried="$tried${tried:+; }\`$1\`: $2"; }

# The parcel itself is at fault, so no other folder would help.
damaged() {
  say helper-damaged "the program that this library carries for $target did not arrive whole: $1" \
    "run the step again; where that does not help, load an unchanged release of the library"
}

inflate() { umask 077 && gzip -dc <"$parcel" >"$1"; }

unpack() {
  case $1 in
  /*) ;;
  *)
    failed "$1" "is not an absolute path"
    return
    ;;
  esac
  if ! try mkdir -p -m 700 "$1"; then
    failed "$1" "$why"
    return
  fi
  if ! enter "$1"; then
    failed "$1" "belongs to somebody else, is a link, or can be changed by others"
    return
  fi
  part=$scratch
  if ! try inflate "./$part"; then
    failed "$1" "$why"
    # A full disk and a damaged parcel both end here; the parcel alone tells which it was.
    try inflate /dev/null || damaged "$why"
  elif ! checked "./$part"; then
    damaged "another sha256 than release.json names"
  elif ! try chmod 755 "./$part" || ! try "./$part" --version || ! try mv -f "./$part" "./$name"; then
    failed "$1" "$why"
  else
    part=
    drop_older
    start
    failed "$1/$name" "cannot be executed"
    return
  fi
  rm -f "./$part" 2>/dev/null
  part=
}

# Removes the copies of older versions for this processor; a newer one is left to the builds that use it.
drop_older() {
  set +f
  for copy in ./tagwright-*-"$machine"; do
    before=${copy#./tagwright-}
    if [ -f "$copy" ] && older "${before%-"$machine"}"; then rm -f "$copy" 2>/dev/null; fi
  done
  set -f
}
older() (
  IFS=.
  set -f -- $1 $version
  [ $# = 6 ] && { [ "$1" -lt "$4" ] || { [ "$1" -eq "$4" ] && { [ "$2" -lt "$5" ] || { [ "$2" -eq "$5" ] && [ "$3" -lt "$6" ]; }; }; }; }
) 2>/dev/null

# Whether this user may remove what somebody else has put into the folder $1.
may_clear() { [ -w "$1" ] && { [ ! -k "$1" ] || [ -O "$1" ]; }; }

[ -f "$parcel" ] || parcel=$here/$scratch
if [ ! -f "$parcel" ]; then
  in_each_place look
  beside=${TAGWRIGHT_PARCEL%/*}
  if [ ! -e "$beside" ] || may_clear "$beside"; then
    answer "deliver $target"
  elif may_clear "$here"; then
    answer "deliver $target" here
  else
    say helper-missing "a copy of the program could not be removed again: this user may write neither to \`$beside\` nor to \`$here\`" "$how"
  fi
  exit 0
fi
for tool in gzip chmod mv mkdir rm ls; do
  has "$tool" || say helper-missing "this agent has no \`$tool\`, which unpacking the program needs" "add it, or $how"
done
in_each_place unpack
say helper-missing "the program could be put nowhere on this agent: $tried" \
  "set \`TAGWRIGHT_CACHE\` to a folder of this user's own with 8 MB of room that allows execution, or $how"
