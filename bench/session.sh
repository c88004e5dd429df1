# session.sh - what pair.sh and standard.sh have in common: a private network, servers on one CPU
# and the load on another, CPU time and system calls per request. Sourced with the build
# directory in $build.
# shellcheck shell=sh disable=SC2154

# ---- a private network: all ports free, no bandwidth model, nothing of the machine changed
if [ -z "${BENCH_NETNS:-}" ] && unshare -n ip link set lo up 2>/dev/null; then
    BENCH_NETNS=yes exec unshare -n sh "$0" "$@"
fi
if [ "${BENCH_NETNS:-}" = yes ]; then
    ip link set lo up
    for setting in tcp_congestion_control=reno ip_local_port_range='1024 65535' tcp_tw_reuse=1; do
        echo "${setting#*=}" 2>/dev/null >"/proc/sys/net/ipv4/${setting%%=*}" || :
    done
fi

# ---- the programs: servers on the first CPU, the generator on the second
on_cpu=
if command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ]; then
    on_cpu="taskset -c"
fi
on_server=${on_cpu:+$on_cpu 0} on_client=${on_cpu:+$on_cpu 1}
tmp=$(mktemp -d)
started=
trap 'for p in $started; do kill "$p" 2>/dev/null || :; done; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# load URL OPTIONS...: run the generator; its summary is in $tmp/out. Its limits are no part of what
# is measured, and not reached by a slow machine.
load() {
    # shellcheck disable=SC2086
    $on_client timeout 600 "$build/bin/prefork-bench" --timeout 60s "$@" >"$tmp/out" 2>"$tmp/err"
}

# start_printing NAME PROGRAM OPTIONS...: start a server that is given port 0 and prints where
# it listens. Its process id is in $pid, its port in $port.
start_printing() {
    name=$1
    shift
    : >"$tmp/$name" # the background command makes it too late
    # shellcheck disable=SC2086
    $on_server "$@" 0 >>"$tmp/$name" &
    pid=$! port=
    started="$started $pid"
    tries=0
    while [ -z "$port" ]; do
        [ $((tries += 1)) -le 600 ] || die "$name did not start"
        port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$tmp/$name")
        [ -n "$port" ] || sleep 0.1
    done
}

# start_bare NAME OPTIONS...: the ceiling.
start_bare() {
    name=$1
    shift
    start_printing "$name" "$build/bench/bare_epoll" "$@"
}

# A port that was free a moment ago, in $port: bare_epoll asks the kernel for one.
find_port() {
    start_bare free
    kill "$pid"
    wait "$pid" 2>/dev/null || :
}

# start_on_port NAME PROGRAM OPTIONS...: start a server that was told to listen on $port. Its
# process id is in $pid; it answers GET /.
start_on_port() {
    name=$1
    shift
    # shellcheck disable=SC2086
    $on_server "$@" >"$tmp/$name" 2>&1 &
    pid=$!
    started="$started $pid"
    tries=0
    until load -c 1 -n 1 "http://127.0.0.1:$port/"; do
        [ $((tries += 1)) -le 600 ] && kill -0 "$pid" 2>/dev/null || {
            cat "$tmp/$name" >&2
            die "$name did not start"
        }
        sleep 0.1
    done
}

# start_prefork NAME APP
start_prefork() {
    find_port
    start_on_port "$1" "$build/bin/prefork-server" --workers 1 -b "127.0.0.1:$port" "$2"
}

# ---- measuring
tree() {
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        tree "$child"
    done
}

# of_run NAME: the first number of that name in the document of the last run.
of_run() {
    sed -n "s/^ *\"$1\": *\\[*\\([-0-9.e+]*\\).*/\\1/p" "$tmp/run.json" | head -n 1
}

# measure PID URL N OPTIONS...: print "ns-per-request server-busy generator-busy", in percent.
measure() {
    root=$1 url=$2 n=$3
    shift 3
    load -n "$n" --server "pid:$root" -o "$tmp/run.json" "$@" "$url" ||
        die "a run failed: $(cat "$tmp/err" "$tmp/out")"
    [ "$(of_run ok)" = "$n" ] || die "only $(of_run ok) of $n requests were answered well"
    echo "$n $(of_run cpu_ns) $(of_run elapsed_ns) $(of_run loop_busy) $(of_run loop_waited)" |
        awk '{ printf "%.0f %.0f %.0f\n", $2 / $1, 100 * $2 / $3, 100 * ($4 - $5) }'
}

# calls PID URL N OPTIONS...: print the system calls per request, in a run of N requests that is
# not timed; nothing where tracing is not allowed.
calls() {
    command -v strace >/dev/null || return 0
    root=$1 url=$2 n=$3
    shift 3
    pids=$(tree "$root")
    # shellcheck disable=SC2046
    strace -f -c -o "$tmp/calls" $(for p in $pids; do echo "-p $p"; done) >/dev/null 2>&1 &
    tracer=$!
    tries=0
    for p in $pids; do
        until grep -q '^TracerPid:.*[1-9]' "/proc/$p/status"; do
            [ $((tries += 1)) -le 50 ] && kill -0 "$tracer" 2>/dev/null || {
                wait "$tracer" || :
                return 0 # tracing is not allowed here
            }
            sleep 0.1
        done
    done
    load -n "$n" "$@" "$url" || {
        kill "$tracer"
        die "a run under strace failed: $(cat "$tmp/err" "$tmp/out")"
    }
    kill -INT "$tracer"
    wait "$tracer" || :
    # What is below that comes from setting the connections up.
    awk -v n="$n" '
        $4 + 0 >= 0.015 * n && $NF != "total" { printf "  %s %.2f", $NF, $4 / n }' "$tmp/calls"
}

steal() { awk '$1 == "cpu" { for (i = 2; i <= 9; i++) all += $i; print $9, all }' /proc/stat; }

# stolen BEFORE: percent of the CPUs' time that a hypervisor took since.
stolen() { echo "$1 $(steal)" | awk '{ printf "%.1f", 100 * ($3 - $1) / ($4 - $2 + 1) }'; }

# The machine, in a line.
machine() {
    echo "Linux $(uname -r), $(nproc) CPUs, $(cat /proc/sys/net/ipv4/tcp_congestion_control)," \
        "$([ "${BENCH_NETNS:-}" = yes ] && echo private network || echo "shared network")"
}
