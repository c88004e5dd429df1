#!/bin/sh
# Measure prefork-server against bare_epoll, the ceiling: server CPU time per request, as a
# ratio, for keep-alive, pipelined and short connections. README.md says how to read it.
#
#     bench.sh BUILD_DIR          about a minute; ROUNDS=n for more or fewer (5)
#
# Wholly on 127.0.0.1, and as root in a network namespace of its own.
set -eu

build=${1:?usage: bench.sh BUILD_DIR, such as build/release}
rounds=${ROUNDS:-5}
budget_s=90 # no round begins later than this

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
    echo "bench.sh: $*" >&2
    exit 1
}

# load URL OPTIONS...: run the generator; its summary is in $tmp/out.
load() {
    # shellcheck disable=SC2086
    $on_client timeout 20 "$build/bin/prefork-bench" "$@" >"$tmp/out" 2>"$tmp/err"
}

# start_bare NAME OPTIONS...: its process id is in $pid, its port in $port.
start_bare() {
    name=$1
    shift
    : >"$tmp/$name" # the background command makes it too late
    # shellcheck disable=SC2086
    $on_server "$build/bench/bare_epoll" "$@" 0 >>"$tmp/$name" &
    pid=$! port=
    started="$started $pid"
    tries=0
    while [ -z "$port" ]; do
        [ $((tries += 1)) -le 100 ] || die "bare_epoll did not start"
        port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$tmp/$name")
        [ -n "$port" ] || sleep 0.1
    done
}

# A port that was free a moment ago: bare_epoll asks the kernel for one.
start_prefork() {
    start_bare free
    kill "$pid"
    wait "$pid" 2>/dev/null || :
    # shellcheck disable=SC2086
    $on_server "$build/bin/prefork-server" --workers 1 -b "127.0.0.1:$port" hello \
        2>"$tmp/prefork" &
    pid=$!
    started="$started $pid"
    tries=0
    until load -c 1 -n 1 "http://127.0.0.1:$port/"; do
        [ $((tries += 1)) -le 100 ] && kill -0 "$pid" 2>/dev/null || {
            cat "$tmp/prefork" >&2
            die "prefork-server did not start"
        }
        sleep 0.1
    done
}

# ---- measuring
tree() {
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        tree "$child"
    done
}

cpu_ns() {
    for p in $(tree "$1"); do
        cat /proc/"$p"/task/*/schedstat
    done | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

# measure PID URL N OPTIONS...: print "ns-per-request server-busy generator-busy", in percent.
measure() {
    root=$1 url=$2 n=$3
    shift 3
    before=$(cpu_ns "$root")
    load -n "$n" "$@" "$url" || die "a run failed: $(cat "$tmp/err" "$tmp/out")"
    after=$(cpu_ns "$root")
    awk -v ns=$((after - before)) -v n="$n" '
        /generator/ { for (i = 1; i < NF; i++) if ($i == "generator") busy = $(i + 1) + 0 }
        / ok in / {
            ok = $(NF - 3); gsub(",", "", ok)
            time = $NF * ($NF ~ /us$/ ? 1e3 : $NF ~ /ms$/ ? 1e6 : 1e9)
        }
        END {
            if (ok != n) { print "only " ok " of " n " ok" >"/dev/stderr"; exit 1 }
            printf "%.0f %.0f %.0f\n", ns / n, 100 * ns / time, busy
        }' "$tmp/out" || die "a run is void"
}

# workload NAME BARE_PID BARE_PORT N OPTIONS...: rounds of A B B A, A being bare_epoll.
workload() {
    name=$1 a_pid=$2 a_url=http://127.0.0.1:$3/ n=$4
    shift 4
    load -n $((n / 4)) "$@" "$a_url" && load -n $((n / 4)) "$@" "$b_url" ||
        die "the warm-up failed: $(cat "$tmp/err" "$tmp/out")"
    : >"$tmp/rows"
    round=0
    while [ $((round += 1)) -le "$rounds" ] && [ $(($(date +%s) - began)) -lt $budget_s ]; do
        a1=$(measure "$a_pid" "$a_url" "$n" "$@") || exit
        b1=$(measure "$b_pid" "$b_url" "$n" "$@") || exit
        b2=$(measure "$b_pid" "$b_url" "$n" "$@") || exit
        a2=$(measure "$a_pid" "$a_url" "$n" "$@") || exit
        echo "$a1 $b1 $b2 $a2" >>"$tmp/rows"
    done
    show "$name"
    count "$a_pid" "$a_url" bare "$@"
    count "$b_pid" "$b_url" prefork "$@"
}

# Row: a1 busy gen  b1 busy gen  b2 busy gen  a2 busy gen
show() {
    awk -v name="$1" '
        function sorted(v, n,   i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        }
        { a[NR] = ($1 + $10) / 2; b[NR] = ($4 + $7) / 2
          ratio[NR] = b[NR] / a[NR]; same[NR] = $10 / $1
          busy_a += ($2 + $11) / 2; busy_b += ($5 + $8) / 2; gen += ($3 + $6 + $9 + $12) / 4 }
        END {
            if (NR == 0) { print name ": no time left"; exit }
            m = int((NR + 1) / 2); sorted(a, NR); sorted(b, NR); sorted(ratio, NR); sorted(same, NR)
            printf "%-12s %6.0f ns %6.0f ns   %.3f  (%.3f - %.3f)   %.3f  (%.3f - %.3f)   %3.0f%% %3.0f%% %3.0f%%\n",
                name, a[m], b[m], ratio[m], ratio[1], ratio[NR], same[m], same[1], same[NR],
                busy_a / NR, busy_b / NR, gen / NR
        }' "$tmp/rows"
}

# count PID URL NAME OPTIONS...: system calls per request, in a run that is not measured.
count() {
    command -v strace >/dev/null || return 0
    root=$1 url=$2 who=$3
    shift 3
    pids=$(tree "$root")
    # shellcheck disable=SC2046
    strace -f -c -o "$tmp/calls" $(for p in $pids; do echo "-p $p"; done) 2>/dev/null &
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
    load -n 5000 --timeout 10s "$@" "$url" || die "a run under strace failed"
    kill -INT "$tracer"
    wait "$tracer" || :
    # What is below that comes from setting the connections up.
    awk -v who="$who" '
        $4 + 0 >= 75 && $NF != "total" { list = list sprintf("  %s %.2f", $NF, $4 / 5000) }
        END { printf "    calls per request, %s:%s\n", who, list }' "$tmp/calls"
}

# ---- the session
began=$(date +%s)
start_prefork
b_pid=$pid b_url=http://127.0.0.1:$port/
start_bare keepalive
keep_pid=$pid keep_port=$port
start_bare short -c
short_pid=$pid short_port=$port

steal() { awk '$1 == "cpu" { for (i = 2; i <= 9; i++) all += $i; print $9, all }' /proc/stat; }
steal_before=$(steal)

echo "Linux $(uname -r), $(nproc) CPUs, $(cat /proc/sys/net/ipv4/tcp_congestion_control)," \
    "$([ "${BENCH_NETNS:-}" = yes ] && echo private network || echo "shared network");" \
    "A = bare_epoll, B = prefork-server --workers 1; server CPU per request, medians"
echo "workload          A         B      B/A  (min - max)        A/A  (min - max)      on CPU: A B load"
workload keep-alive "$keep_pid" "$keep_port" 40000 -c 64
workload pipelined "$keep_pid" "$keep_port" 200000 -c 64 --pipeline 16
workload short "$short_pid" "$short_port" 10000 -c 64 -H 'Connection: close'
echo "$steal_before $(steal)" | awk '{ printf "steal %.1f%%; void if A/A strays from 1.00 by more than 0.02\n", 100 * ($3 - $1) / ($4 - $2 + 1) }'
