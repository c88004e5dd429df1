#!/bin/sh
# Measure our event loop against those of other libraries: CPU time per operation, and the
# ratio, job by job. README.md says what is compared and how to read it.
#
#     loop.sh BUILD_DIR OURS PEER...     the programs are BUILD_DIR/bench/loop_NAME
#
# ROUNDS=n for more or fewer rounds (5); a single one is a quick look, with half the work.
# JOBS='timers-*' for some of the jobs only, INSTRUCTIONS=yes to count those too, under
# valgrind, which takes a minute more. Writes build/bench-loop.json as well.
set -eu

build=${1:?usage: loop.sh BUILD_DIR OURS PEER...}
ours=$2
shift 2
peers=$*
rounds=${ROUNDS:-5}
json=build/bench-loop.json

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
touch "$tmp/all-runs" "$tmp/rows" "$tmp/calls" "$tmp/instructions"

die() {
    echo "loop.sh: $*" >&2
    exit 1
}

# What would make a library choose otherwise than by itself.
unset LIBEV_FLAGS
for name in $(env | sed -n 's/^\(EVENT_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done

on_cpu=
for cpu in 1 0; do
    if [ -z "$on_cpu" ] && taskset -c $cpu true 2>/dev/null; then
        on_cpu="taskset -c $cpu"
    fi
done

# Threads keep all CPUs and place themselves.
pin() {
    [ "$threads" = threads ] || echo "$on_cpu"
}

# ---- one job
# run NAME ROUND PLACE: a line of $tmp/runs, "ROUND PLACE JSON".
run() {
    # shellcheck disable=SC2046
    line=$($(pin) "$build/bench/loop_$1" "$job" "$ops") || die "$job is void for $1"
    echo "$2 $3 $line" >>"$tmp/runs"
}

# Every other round goes backwards.
peers_in_order() {
    back=
    for name in $peers; do
        back="$name $back"
    done
    if [ $(($1 % 2)) = 1 ]; then echo "$peers"; else echo "$back"; fi
}

# Ours stands at both ends of a round: what drifts slowly hits all alike, and the two tell
# what the same thing measured twice gives. A single round saves the second.
measure() {
    : >"$tmp/runs"
    round=0
    while [ $((round += 1)) -le "$rounds" ]; do
        run "$ours" $round first
        if [ "$kind" = peers ]; then
            for name in $(peers_in_order "$round"); do
                run "$name" $round between
            done
        fi
        if [ "$rounds" -gt 1 ]; then
            run "$ours" $round last
        fi
    done
    sed 's/^[0-9]* [a-z]* //' "$tmp/runs" >>"$tmp/all-runs"
    show
}

# A row of the table, and one for each phase if there are several; with threads, elapsed
# time too.
show() {
    awk -v job="$job" -v ours="$ours" -v peers="$peers" -v kind="$kind" \
        -v threads="$threads" -v rows="$tmp/rows" '
        function number(key) {
            return match($0, "\"" key "\":[0-9]+") ? \
                substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0
        }
        function subject() {
            match($0, /"subject":"[^"]*"/)
            return substr($0, RSTART + 11, RLENGTH - 12)
        }
        function sort(n,   i, j, t) { # of v
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        }
        function median(n) {
            return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
        }
        function ns(x) { return sprintf(x < 100 ? "%.1f" : "%.0f", x) }
        function spread_of(n) {
            sort(n)
            return sprintf("{\"min\":%.4g,\"median\":%.4g,\"max\":%.4g}", v[1], median(n), v[n])
        }
        function row(label, key,   p, r, n, line, json, ratios, mean) {
            for (r = 1; r <= count; r++) {
                v[++n] = t[key, ours, r, 1]
                if (twice) v[++n] = t[key, ours, r, 2]
                mean[r] = twice ? (v[n] + v[n - 1]) / 2 : v[n]
            }
            json = "{\"job\":\"" job "\",\"time\":\"" key "\",\"ns\":{\"" ours "\":" spread_of(n)
            line = sprintf("%-20s %7s (%s - %s)", label, ns(median(n)), ns(v[1]), ns(v[n]))
            if (n_peers || twice) line = sprintf("%-46s", line)
            for (p = 1; p <= n_peers; p++) {
                for (r = 1; r <= count; r++) v[r] = t[key, name[p], r, 1]
                json = json ",\"" name[p] "\":" spread_of(count)
                line = line sprintf(" %7s", ns(median(count)))
                for (r = 1; r <= count; r++)
                    v[r] = t[key, name[p], r, 1] / mean[r]
                ratios = ratios ",\"" name[p] "\":" spread_of(count)
                line = line sprintf("%s%5.2f (%.2f - %.2f)", median(count) < 1 ? " <" : "  ", median(count), v[1], v[count])
                line = sprintf("%-" 46 + 29 * p "s", line)
            }
            if (twice) {
                for (r = 1; r <= count; r++) v[r] = t[key, ours, r, 2] / t[key, ours, r, 1]
                sort(count)
                line = line sprintf(" %.2f (%.2f - %.2f)", median(count), v[1], v[count])
                ratios = ratios ",\"" ours " again\":" spread_of(count)
            }
            print line
            print json "},\"ratio\":{" substr(ratios, 2) "}}" >>rows
        }
        BEGIN { n_peers = kind == "peers" ? split(peers, name, " ") : 0 }
        {
            count = $1; who = subject(); place = $2 == "last" ? 2 : 1
            if (place == 2) twice = 1
            ops = number("ops"); pairs = number("pairs")
            t["cpu", who, $1, place] = number("cpu_ns") / ops
            t["elapsed", who, $1, place] = number("wall_ns") / ops
            rest = $0; sub(/.*"wall_ns":[0-9]*/, "", rest); laps = 0
            while (match(rest, /"[a-z]*_ns"/)) {
                lap[++laps] = substr(rest, RSTART + 1, RLENGTH - 5)
                rest = substr(rest, RSTART + RLENGTH)
                t[lap[laps], who, $1, place] = number(lap[laps] "_ns") / ops
            }
        }
        END {
            row(job, "cpu")
            for (i = 1; i <= laps && laps > 1; i++) row("  " lap[i], lap[i])
            if (threads == "threads") row("  elapsed", "elapsed")
            if (pairs && match(job, /-10000-/) && pairs < 10000)
                printf "  (%d pairs: no more descriptors allowed)\n", pairs
        }' "$tmp/runs"
}

# ---- system calls, in runs of their own under strace, which are not timed
# The watch reads the process's CPU time by a real call: what stands between two such
# readings is what was timed.
trace() {
    for name in $ours $peers; do
        # shellcheck disable=SC2046
        $(pin) strace -f -o "$tmp/trace" "$build/bench/loop_$name" "$job" "$traced" \
            >/dev/null 2>&1 || return 0 # tracing is not allowed here
        awk -v job="$job" -v name="$name" -v calls="$tmp/calls" -v ops="$traced" '
            /CLOCK_PROCESS_CPUTIME_ID/ {
                if (marks++) for (call in open) total[call] += open[call]
                split("", open)
                next
            }
            $2 ~ /^[a-z0-9_]+\(/ { sub(/\(.*/, "", $2); open[$2]++ }
            END {
                for (call in total) {
                    sum += total[call]
                    if (total[call] >= ops / 50) {
                        list = list sprintf("  %s %.2f", call, total[call] / ops)
                        json = json sprintf(",\"%s\":%.4f", call, total[call] / ops)
                    }
                }
                printf "%-20s %-10s %6.2f %s\n", job, name, sum / ops, list
                printf "{\"job\":\"%s\",\"subject\":\"%s\",\"total\":%.4f%s}\n", job, name, sum / ops, json >>calls
            }' "$tmp/trace"
    done
}

# ---- instructions of the program and its library, not of the kernel
# collected NAME OPS: how many a whole run takes.
collected() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$build/bench/loop_$1" "$job" "$2" 2>&1 | sed -n 's/.*Collected : *//p'
}

# columns FIRST OTHERS...: a line of a table.
columns() {
    printf '%-20s' "$1"
    shift
    printf ' %10s' "$@"
    echo
}

# What an operation takes is what twice as many take more. That needs a preparation that
# does not grow with them.
instructions() {
    case $job in
    timers* | posts*) return 0 ;;
    esac
    [ "$traced" != 0 ] || return 0
    line=
    for name in $ours $peers; do
        once=$(collected "$name" 1000)
        each=$((($(collected "$name" 2000) - once) / 1000))
        line="$line $each"
        printf '{"job":"%s","subject":"%s","instructions":%d}\n' "$job" "$name" "$each" \
            >>"$tmp/instructions"
    done
    # shellcheck disable=SC2086
    columns "$job" $line
}

# ---- the session
cpu_model() {
    sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1
}

# introduce NAME: its JSON; the phrase goes to $tmp/who.
introduce() {
    "$build/bench/loop_$1" -v | tee -a "$tmp/subjects" |
        sed 's/.*"subject":"\([^"]*\)","version":"\([^"]*\)","backend":"\([^"]*\)".*/\1 \2 (\3)/'
}

header() {
    printf '\n%-20s %-25s' "$1" "$ours"
    for name in ${2:-}; do
        printf ' %-28s' "  $name, ratio"
    done
    printf ' %s\n' 'same twice'
}

lines_as_array() {
    sed '$!s/$/,/' "$1"
}

steal() {
    awk '$1 == "cpu" { for (i = 2; i <= 9; i++) all += $i; print $9, all }' /proc/stat 2>/dev/null
}

machine="$(uname -srm), $(getconf _NPROCESSORS_ONLN) CPUs, $(cpu_model)"
steal_before=$(steal)
echo "$machine"
for name in $ours $peers; do
    echo "  $(introduce "$name")"
done
for source in bench/peers/lib*.c; do
    name=$(basename "$source" .c)
    case " $peers " in
    *" $name "*) ;;
    *) echo "  $name: not installed, left out; see make bench-deps" ;;
    esac
done
echo "CPU nanoseconds per operation, median (min - max); ratio: theirs to ours within a round;" \
    "<: they are ahead"

# wanted KIND: the lines of the catalogue that are asked for.
wanted() {
    "$build/bench/loop_$ours" -l | while read -r job kind rest; do
        # shellcheck disable=SC2254
        case $job in
        ${JOBS:-*}) [ "$kind" != "$1" ] || echo "$job $kind $rest" ;;
        esac
    done
}

# each KIND COMMAND: run it for each wanted job.
each() {
    wanted "$1" >"$tmp/wanted"
    while read -r job kind ops traced threads <&3; do
        [ "$rounds" -gt 1 ] || ops=$((ops / 2))
        "$2"
    done 3<"$tmp/wanted"
}

trace_if_worth() {
    [ "$traced" = 0 ] || trace
}

header job "$peers"
each peers measure
header 'our pollers'
each own measure
if command -v strace >/dev/null; then
    printf '\n%-20s %-10s %6s   system calls per operation\n' job library all
    each peers trace_if_worth
fi
if [ "${INSTRUCTIONS:-}" ]; then
    printf '\nuser instructions per operation\n'
    # shellcheck disable=SC2086
    columns job $ours $peers
    each peers instructions
fi

mkdir -p build
{
    printf '{"machine":"%s","rounds":%s,"subjects":[\n' "$machine" "$rounds"
    lines_as_array "$tmp/subjects"
    printf '],"rows":[\n'
    lines_as_array "$tmp/rows"
    printf '],"calls":[\n'
    lines_as_array "$tmp/calls"
    printf '],"instructions":[\n'
    lines_as_array "$tmp/instructions"
    printf '],"runs":[\n'
    lines_as_array "$tmp/all-runs"
    printf ']}\n'
} >$json
echo "$steal_before $(steal)" | awk 'NF == 4 {
    printf "\nthe hypervisor stole %.1f %% meanwhile\n", 100 * ($3 - $1) / ($4 - $2) }'
