#!/bin/sh
# Each program in docs/loop.md compiles and prints what stands below it; so do the examples that end
# by themselves.
set -eu
: "${BUILD:?the build directory, such as build/release}"
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
bad=0
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -pthread"
case $BUILD in
*asan) flags="$flags -fsanitize=address,undefined" ;;
*tsan) flags="$flags -fsanitize=thread" ;;
esac

awk -v dir="$tmp" '
    /^```c$/ { out = dir "/" ++n ".c"; next }
    /^```text$/ { out = dir "/" n ".expected"; next }
    /^```$/ { close(out); out = ""; next }
    out { print > out }
' docs/loop.md
[ -e "$tmp/1.c" ] || { echo "no program in docs/loop.md"; exit 1; }
for program in "$tmp"/*.c; do
    name=${program%.c}
    # shellcheck disable=SC2086
    ${CC:-cc} $flags "$program" -o "$name" "$BUILD/lib/libprefork.a" -lhwloc -lm || { bad=1; continue; }
    "$name" >"$name.out" 2>&1 || { echo "status $?: $(cat "$program" "$name.out")"; bad=1; }
    diff -u "$name.expected" "$name.out" || bad=1
done

# expect TEXT COMMAND...: run it on one line of input; TEXT stands in what it prints.
expect() {
    text=$1
    shift
    out=$(echo "a line" | "$@" 2>&1) || { echo "$*: status $?"; bad=1; }
    echo "$out" | grep -q "$text" || { echo "$*: $out"; bad=1; }
}
expect 'read 7 bytes' "$BUILD/examples/poll_host"
[ ! -x "$BUILD/examples/glib_host" ] || expect 'tick 3' "$BUILD/examples/glib_host"
exit $bad
