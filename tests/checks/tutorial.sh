#!/bin/sh
# Each program in docs/tutorial.md compiles and serves, and the commands below it print what
# stands there; the last one is examples/chat.c.
set -eu
: "${BUILD:?the build directory, such as build/release}"
command -v curl >/dev/null || exit 77
tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$tmp"' EXIT
bad=0
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -pthread"
case $BUILD in
*asan) flags="$flags -fsanitize=address,undefined" ;;
*tsan) flags="$flags -fsanitize=thread" ;;
esac
libs="-lhwloc -lm $(pkg-config --libs libpcre2-8 2>/dev/null || true)"

awk -v dir="$tmp" '
    /^```c$/ { out = dir "/" ++n ".c"; next }
    /^```console$/ { out = dir "/" n ".console"; next }
    /^```$/ { close(out); out = ""; next }
    out { print > out }
' docs/tutorial.md
[ -e "$tmp/1.c" ] || { echo "no program in docs/tutorial.md"; exit 1; }

# start PROGRAM: its url in $url, when it serves.
start() {
    rm -f "$tmp/out" # of the one before: the shell may be faster than the process that truncates it
    XDG_RUNTIME_DIR=$tmp "$1" --workers 1 --bind 127.0.0.1:0 >"$tmp/out" 2>&1 &
    server=$!
    tries=0
    until grep -qs '  stop ' "$tmp/out"; do
        [ $((tries += 1)) -le 1200 ] || { cat "$tmp/out"; exit 1; }
        sleep 0.1
    done
    url=$(grep -o 'http://[0-9.:]*' "$tmp/out")
}

# transcript FILE: its commands, each with what it prints now.
transcript() {
    grep '^\$ ' "$1" | while IFS= read -r line; do
        printf "%s\n" "$line"
        command=$(printf "%s" "${line#\$ }" | sed "s|http://127.0.0.1:8888|$url|g")
        sh -c "$command" </dev/null
    done
}

for program in "$tmp"/*.c; do
    name=${program%.c}
    # shellcheck disable=SC2086
    ${CC:-cc} $flags "$program" -o "$name" "$BUILD/lib/libprefork.a" $libs || { bad=1; continue; }
    start "$name"
    transcript "$name.console" >"$name.now" 2>&1 || bad=1
    diff -u "$name.console" "$name.now" || bad=1
    kill "$server"
    wait "$server" || { echo "it ended with status $?:"; cat "$program" "$tmp/out"; bad=1; }
    server=
done

last=$(ls "$tmp"/*.c | tail -1)
grep -v '^/\* chat\.c ' examples/chat.c | diff -u "$last" - || bad=1
exit $bad
