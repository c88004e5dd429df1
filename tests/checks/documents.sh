#!/bin/sh
# What README.md and ARCHITECTURE.md say is so: the server in the README is examples/hello.c,
# in at most twenty lines, and serves; the functions and files that are named exist.
set -eu
bad=0
tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$tmp"' EXIT

awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' README.md >"$tmp/readme.c"
grep -v '^/\*.*\*/$' examples/hello.c >"$tmp/example.c"
cmp "$tmp/readme.c" "$tmp/example.c" || bad=1
lines=$(wc -l <"$tmp/readme.c")
[ "$lines" -le 20 ] || { echo "the README's server has $lines lines"; bad=1; }

for document in README.md ARCHITECTURE.md bench/README.md docs/decisions/*.md; do
    for name in $(grep -oE '`[a-z_]+\(\)`' "$document" | tr -d '`()' | sort -u); do
        case $name in getpid | pthread_atfork | fork | clone | poll | ev_* | uv_*) continue ;; esac
        grep -rqE "(^|[^a-z_])$name\)?\(" --include=*.[ch] include loop ipc net worker http \
            master server bench || { echo "$document names $name(), which is nowhere"; bad=1; }
    done
    for path in $(grep -oE '`[a-z_.]+/[a-zA-Z0-9_./-]*`' "$document" | tr -d '`' | sort -u); do
        case $path in build/*) continue ;; esac
        [ -e "$path" ] || { echo "$document names $path, which is not there"; bad=1; }
    done
done

XDG_RUNTIME_DIR=$tmp "$BUILD/examples/hello" --workers 2 --bind 127.0.0.1:0 >"$tmp/out" 2>&1 &
server=$!
tries=0
until grep -qs '  stop ' "$tmp/out"; do
    [ $((tries += 1)) -le 1200 ] || { cat "$tmp/out"; exit 1; }
    sleep 0.1
done
url=$(grep -o 'http://[0-9.:]*' "$tmp/out")
"$BUILD/bin/prefork-bench" -c 1 -n 10 "$url/" >"$tmp/bench" || { cat "$tmp/bench"; bad=1; }
kill "$server"
wait "$server" || { echo "examples/hello ended with status $?"; bad=1; }
server=
exit $bad
