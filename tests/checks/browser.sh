#!/bin/sh
# A real browser loads the demo's page from static:DIR, without an error in its console; 77:
# there is no browser here.
set -u
: "${BUILD:?}"
browser=$(command -v chromium || command -v google-chrome) || { echo "no browser"; exit 77; }
[ -z "${WRAP:-}" ] || exit 77
tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$tmp"' EXIT
XDG_RUNTIME_DIR=$tmp "$BUILD/bin/prefork-server" -w 1 --bind 127.0.0.1:0 static:examples/www \
    >"$tmp/out" 2>&1 &
server=$!
tries=0
until grep -qs '  stop ' "$tmp/out"; do
    [ $((tries += 1)) -le 1200 ] || { cat "$tmp/out"; exit 1; }
    sleep 0.1
done
url=$(grep -o 'http://[0-9.:]*' "$tmp/out")/
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync \
    --user-data-dir="$tmp/profile" --enable-logging=stderr --dump-dom \
    --virtual-time-budget=5000 "$url" >"$tmp/dom" 2>"$tmp/console" ||
    { echo "the browser ended with status $?"; tail -5 "$tmp/console"; exit 77; }
bad=0
grep -q 'data-done="yes"' "$tmp/dom" || { echo "the page did not finish"; cat "$tmp/dom"; bad=1; }
grep 'CONSOLE' "$tmp/console" && bad=1
kill "$server"
wait "$server" || { echo "the server ended with status $?"; bad=1; }
server=
exit $bad
