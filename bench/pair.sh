#!/bin/sh
# Measure prefork-server against bare_epoll, the ceiling: server CPU time per request, as a
# ratio, for keep-alive, pipelined and short connections. README.md says how to read it.
#
#     pair.sh BUILD_DIR          about a minute; ROUNDS=n for more or fewer (5)
#
# Wholly on 127.0.0.1, and as root in a network namespace of its own.
set -eu

build=${1:?usage: pair.sh BUILD_DIR, such as build/release}
rounds=${ROUNDS:-5}
budget_s=90 # no round begins later than this
# shellcheck source=bench/session.sh
. "$(dirname "$0")/session.sh"

# ---- one workload
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
    count bare "$a_pid" "$a_url" "$@"
    count prefork "$b_pid" "$b_url" "$@"
}

# count NAME PID URL OPTIONS...
count() {
    who=$1 root=$2 url=$3
    shift 3
    list=$(calls "$root" "$url" 5000 "$@") || exit
    [ -z "$list" ] || echo "    calls per request, $who:$list"
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

# ---- the session
began=$(date +%s)
start_prefork prefork hello
b_pid=$pid b_url=http://127.0.0.1:$port/
start_bare keepalive
keep_pid=$pid keep_port=$port
start_bare short -c
short_pid=$pid short_port=$port

steal_before=$(steal)

echo "$(machine); A = bare_epoll, B = prefork-server --workers 1; server CPU per request, medians"
echo "workload          A         B      B/A  (min - max)        A/A  (min - max)      on CPU: A B load"
workload keep-alive "$keep_pid" "$keep_port" 40000 -c 64
workload pipelined "$keep_pid" "$keep_port" 200000 -c 64 --pipeline 16
workload short "$short_pid" "$short_port" 10000 -c 64 -H 'Connection: close'
echo "steal $(stolen "$steal_before")%; void if A/A strays from 1.00 by more than 0.02"
