#!/bin/sh
# What prefork-bench says it sent is what another server counts, to the last request: nginx's
# stub_status, in a closed loop, an open one, pipelined, and with a connection for each.
set -eu
: "${BUILD:?the build directory, such as build/release}"
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null && command -v curl >/dev/null || {
    echo "skipped: no nginx or curl"
    exit 77
}
tmp=$(mktemp -d)
nginx=
trap '[ -z "$nginx" ] || kill "$nginx" 2>/dev/null; rm -rf "$tmp"' EXIT

cat >"$tmp/conf" <<CONF
daemon off;
worker_processes 1;
pid $tmp/pid;
events { worker_connections 512; }
http {
    access_log off;
    keepalive_requests 1000000000;
    $(for place in client_body proxy fastcgi uwsgi scgi; do
        echo "${place}_temp_path $tmp/$place;"
    done)
    server {
        listen unix:$tmp/socket;
        location = /status { stub_status; }
        location = / { default_type text/plain; return 200 "hello"; }
    }
}
CONF
[ "$(id -u)" != 0 ] || echo "user root;" >>"$tmp/conf"
nginx -p "$tmp" -e "$tmp/errors" -c "$tmp/conf" &
nginx=$!

# Requests that it has counted, the one that asks included.
counted() {
    curl -s --unix-socket "$tmp/socket" http://localhost/status | awk 'NR == 3 { print $3 }'
}
tries=0
until counted >"$tmp/n" && [ -s "$tmp/n" ]; do
    [ $((tries += 1)) -le 1200 ] && kill -0 "$nginx" || { cat "$tmp/errors"; exit 1; }
    sleep 0.1
done

bad=0
while read -r options; do
    before=$(counted)
    # shellcheck disable=SC2086
    "$BUILD/bin/prefork-bench" $options --timeout 60s --drain 60s --server none \
        -o "$tmp/json" "http+unix:$tmp/socket:/" >"$tmp/out" 2>&1 || {
        [ $? = 3 ] || { echo "$options failed:"; cat "$tmp/out"; bad=1; }
    }
    sent=$(sed -n 's/^ *"sent": *\([0-9]*\),$/\1/p' "$tmp/json" | head -n 1)
    ok=$(sed -n 's/^ *"ok": *\([0-9]*\),$/\1/p' "$tmp/json" | head -n 1)
    theirs=$(($(counted) - before - 1))
    [ "$sent" = "$theirs" ] && [ "$ok" = "$theirs" ] || {
        echo "$options: sent $sent, ok $ok, and nginx counted $theirs"
        bad=1
    }
done <<RUNS
-c 8 -n 5000
-c 8 -n 5000 --pipeline 16
-c 8 -n 500 --no-keepalive
-c 8 -t 2 -d 300ms
-c 8 -d 500ms -R 2000 --arrival poisson
RUNS
exit $bad
