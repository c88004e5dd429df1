#!/bin/sh
# Real clients against the real server: curl, python3, h2load, and wrk while a worker is killed
# five times; then against the demo, with bodies. Skipped if none of them is installed.
set -eu
for client in curl python3 h2load wrk; do
    command -v $client >/dev/null && found=yes
done
[ "${found:-}" ] || exit 77
tmp=$(mktemp -d)
server= load= log=
doing='before the first server' # said if a command fails that nobody asked about

on_exit() {
    status=$?
    [ "$status" = 0 ] || [ -z "$doing" ] || complain "status $status, $doing"
    [ -z "$server$load" ] || kill -9 $server $load 2>/dev/null || :
    rm -rf "$tmp"
}
trap on_exit EXIT

complain() {
    echo "$*"
    cat "$log" "$tmp/out" 2>/dev/null || :
}

fail() {
    complain "$*"
    doing=
    exit 1
}

# wait_for TEXT COUNT: until TEXT stands in the server's log so many times.
wait_for() {
    tries=0
    until [ "$(grep -c "$1" "$log")" -ge "$2" ]; do
        [ $((tries += 1)) -le 1200 ] || fail "no \"$1\" in the log"
        sleep 0.1
    done
}

# start PROGRAM: sets server, log and url. The log is a new one, and there before the program
# is: what a background command writes to is opened when its shell gets round to it, and until
# then the words of the server before would be taken for its own.
start() {
    doing="starting $1"
    log=$tmp/log.${1##*/}
    : >"$log"
    XDG_RUNTIME_DIR=$tmp "$BUILD/$1" --workers 2 --bind 127.0.0.1:0 >>"$log" 2>&1 &
    server=$!
    wait_for '  stop ' 1
    url=$(grep -o 'http://[0-9.:]*' "$log") || fail "no address in the log"
    doing="asking $1"
}

# stop: the server finishes, and says that all was well.
stop() {
    kill "$server" || fail "the server is not there any more, $doing"
    wait "$server" || fail "the server ended with status $?, $doing"
    server=
}

start bin/prefork-server

if command -v curl >/dev/null; then
    [ "$(curl -s "$url/")" = hello ] || fail "curl"
    [ "$(curl -s --http1.0 "$url/")" = hello ] || fail "curl --http1.0"
    curl -sI "$url/" | grep -q '^Content-Length: 5' || fail "curl -I"
    [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/none")" = 404 ] || fail "curl 404"
    [ "$(curl -s -o /dev/null -w '%{http_code}' -d x=1 "$url/")" = 405 ] || fail "curl POST"
    [ "$(curl -s "$url/" "$url/" -w '%{num_connects}' -o /dev/null -o /dev/null)" = 10 ] ||
        fail "curl opened a second connection"
fi
if command -v python3 >/dev/null; then
    python3 - "$url" >"$tmp/out" 2>&1 <<'PY' || fail "python3 http.client"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1][len("http://"):], timeout=120)
for method in ("GET", "HEAD", "GET"):
    connection.request(method, "/")
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200 and body == (b"" if method == "HEAD" else b"hello")
PY
fi
if command -v h2load >/dev/null; then
    h2load --h1 -n 2000 -c 20 -m 4 "$url/" >"$tmp/out" 2>&1 || fail "h2load"
    grep -q '2000 succeeded, 0 failed' "$tmp/out" || fail "h2load"
fi
if command -v wrk >/dev/null; then
    wrk -c 64 -t 1 -d 3s "$url/" >"$tmp/out" 2>&1 &
    load=$!
    for killed in 1 2 3 4 5; do
        worker=$(tr ' ' '\n' <"/proc/$server/task/$server/children" | head -n 1)
        kill -9 "$worker" || fail "no worker to kill, after $((killed - 1))"
        wait_for worker-accepts $((2 + killed))
    done
    wait $load || fail "wrk"
    load=
    grep -q 'requests in' "$tmp/out" || fail "wrk"
    ! command -v curl >/dev/null || [ "$(curl -s "$url/")" = hello ] || fail "after the kills"
fi
stop

start examples/demo
head -c 200000 /dev/urandom >"$tmp/body"

# echoes WHAT OPTION...: a body that curl sends so comes back as it is.
echoes() {
    what=$1
    shift
    curl -s --data-binary "@$tmp/body" -o "$tmp/echoed" "$@" "$url/echo" || fail "curl, $what"
    cmp -s "$tmp/body" "$tmp/echoed" || fail "curl, $what: not what was sent"
}
if command -v curl >/dev/null; then
    echoes 'with a length'
    echoes 'in chunks' -H 'Transfer-Encoding: chunked'
    echoes 'told to go on' -H 'Expect: 100-continue' --expect100-timeout 60
    echoes 'as HTTP/1.0' --http1.0
    # Refused, it sends nothing, and does not wait to be told.
    [ "$(curl -s --data-binary "@$tmp/body" -H 'Expect: 100-continue' --expect100-timeout 60 \
        -o /dev/null -w '%{http_code} %{size_upload}' "$url/none")" = '404 0' ] ||
        fail "curl, refused"
    [ "$(curl -sN "$url/stream/5" | cksum)" = "$(curl -sN --http1.0 "$url/stream/5" | cksum)" ] ||
        fail "curl, a stream"
fi
if command -v python3 >/dev/null; then
    python3 - "$url" "$tmp/body" >"$tmp/out" 2>&1 <<'PY' || fail "python3 http.client, bodies"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1][len("http://"):], timeout=120)
body = open(sys.argv[2], "rb").read()
pieces = [body[i:i + 7001] for i in range(0, len(body), 7001)]
for sent in (body, iter(pieces), b""):
    connection.request("POST", "/echo", body=sent, headers={"Content-Type": "x/y"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.read() == (b"" if sent == b"" else body)
connection.request("GET", "/big/300000")
assert len(connection.getresponse().read()) == 300000
PY
fi
if command -v h2load >/dev/null; then
    h2load --h1 -n 500 -c 10 -m 4 -d "$tmp/body" "$url/echo" >"$tmp/out" 2>&1 || fail "h2load -d"
    grep -q '500 succeeded, 0 failed' "$tmp/out" || fail "h2load -d"
fi
if command -v wrk >/dev/null; then
    # It counts as an error what takes longer than 2 seconds, unless told otherwise.
    wrk -c 32 -t 1 -d 1s --timeout 60s "$url/big/65536" >"$tmp/out" 2>&1 || fail "wrk, large answers"
    ! grep -q 'Socket errors\|Non-2xx' "$tmp/out" || fail "wrk, large answers"
fi
stop
