#!/bin/sh
# Measure the process model: how soon a killed worker's slot accepts again, what pinning is
# worth, how many connections are accepted away from the CPU that received them, what an
# idle connection costs. Half a minute; README.md says how to read it.
#
#     process.sh BUILD_DIR        ROUNDS=n for more or fewer of each (3)
set -eu

build=${1:?usage: process.sh BUILD_DIR, such as build/release}
rounds=${ROUNDS:-3}
probe=$build/bench/process_probe
server=$build/bin/prefork-server
tmp=$(mktemp -d)
started=
trap 'for p in $started; do kill "$p" 2>/dev/null || :; done; wait; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
XDG_RUNTIME_DIR=$tmp
export XDG_RUNTIME_DIR

die() {
    echo "process.sh: $*" >&2
    exit 1
}

# start PROGRAM OPTIONS...: its process id is in $pid, its port in $port.
start() {
    "$@" -b 127.0.0.1:0 >"$tmp/words" 2>&1 &
    pid=$! port=
    started="$started $pid"
    tries=0
    until grep -q '^  stop ' "$tmp/words"; do
        [ $((tries += 1)) -le 100 ] && kill -0 "$pid" 2>/dev/null ||
            die "$* did not start: $(cat "$tmp/words")"
        sleep 0.1
    done
    port=$(sed -n 's/^prefork .*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$tmp/words")
}

stop() {
    kill "$1"
    wait "$1" || die "the server ended with $?"
}

# has OPTION: does the server know it?
has() { "$server" --help | grep -q -- "$1"; }

# Numbers, one a line: "median M, largest L" in units of DIVISOR.
summary() {
    sort -n | awk -v d="$1" '{ v[NR] = $1 / d }
        END { printf "median %.2f, largest %.2f, of %d", v[int((NR + 1) / 2)], v[NR], NR }'
}

# ---- kill -9 until the slot accepts again
respawn() {
    round=0
    while [ $((round += 1)) -le "$rounds" ]; do
        "$probe" respawn 8 "$server" -w 8 -b 127.0.0.1:0 || die "respawn failed"
    done >"$tmp/respawn"
    echo "respawn        $(summary 1000 <"$tmp/respawn") ms (bar 10)"
}

# ---- pinned against unpinned: server CPU per request, A B B A
cpu_ns() {
    for p in "$1" $(cat /proc/"$1"/task/*/children); do
        cat /proc/"$p"/task/*/schedstat
    done | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

per_request() { # per_request PID PORT
    before=$(cpu_ns "$1")
    "$build/bin/prefork-bench" -c 64 -n 30000 "http://127.0.0.1:$2/" >"$tmp/out" 2>&1 ||
        die "a run failed: $(cat "$tmp/out")"
    echo $((($(cpu_ns "$1") - before) / 30000))
}

pinned() {
    start "$server" -w 2 --pin auto
    a_pid=$pid a_port=$port
    start "$server" -w 2 --pin none
    b_pid=$pid b_port=$port
    per_request "$a_pid" "$a_port" >/dev/null
    per_request "$b_pid" "$b_port" >/dev/null
    round=0
    while [ $((round += 1)) -le "$rounds" ]; do
        a1=$(per_request "$a_pid" "$a_port")
        b1=$(per_request "$b_pid" "$b_port")
        b2=$(per_request "$b_pid" "$b_port")
        a2=$(per_request "$a_pid" "$a_port")
        echo "$a1 $b1 $b2 $a2"
    done | awk '{ a += $1 + $4; b += $2 + $3; x += $1; y += $4; n += 2 }
        END { printf "pinning        %.0f ns a request pinned, %.0f not: %.3f; pinned twice: %.3f\n",
                  a / n, b / n, a / b, y / x }'
    stop "$a_pid"
    stop "$b_pid"
}

# ---- accepted away from the CPU that received them
away() {
    for steer in hash cpu; do
        if has --steer; then
            start "$build/tests/apps/greeter" -w auto --pin strict --steer "$steer"
        elif [ "$steer" = hash ]; then
            start "$build/tests/apps/greeter" -w auto
        else
            continue
        fi
        echo "away ($steer)    $("$probe" away "$port" 4000)"
        stop "$pid"
    done
}

# ---- bytes of a worker's own memory for each idle connection
own_bytes() { awk '/^Private_(Clean|Dirty)/ { sum += $2 } END { print sum * 1024 }' "/proc/$1/smaps_rollup"; }

idle() {
    n=$(ulimit -Hn)
    case $n in unlimited) n=19000 ;; esac
    [ "$n" -le 19200 ] && n=$((n - 200)) || n=19000
    start "$server" -w 1 --idle-timeout 10m
    worker=$(cat /proc/"$pid"/task/*/children)
    "$probe" hold "$port" 1 </dev/null >/dev/null
    before=$(own_bytes "${worker% }")
    mkfifo "$tmp/end"
    : >"$tmp/held"
    "$probe" hold "$port" "$n" <"$tmp/end" >"$tmp/held" &
    holder=$!
    exec 9>"$tmp/end"
    until grep -q held "$tmp/held"; do
        kill -0 "$holder" 2>/dev/null || die "the connections are not held"
        sleep 0.1
    done
    after=$(own_bytes "${worker% }")
    exec 9>&-
    wait "$holder"
    echo "idle           $(((after - before) / n)) bytes of the worker's own for each of $n (bar 256)"
    stop "$pid"
}

echo "Linux $(uname -r), $(nproc) CPUs"
respawn
pinned
away
idle
