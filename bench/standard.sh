#!/bin/sh
# The standard comparison: prefork-server, one worker, against bare_epoll, the ceiling, and
# against servers that others wrote: a small one on libuv and llhttp, nginx, h2o and haproxy, as
# far as they are installed. Server CPU time per request and its ratios, system calls, memory.
# README.md says how to read it.
#
#     standard.sh BUILD_DIR       ROUNDS=n for more or fewer (5); ROUNDS=1 takes a minute
#
# Prints a table, and writes it to build/bench.md in Markdown and to build/bench.html as a page.
# Wholly on 127.0.0.1, and as root in a network namespace of its own.
set -eu

build=${1:?usage: standard.sh BUILD_DIR, such as build/release}
rounds=${ROUNDS:-5}
budget_s=400 # no round but a workload's first begins later than this
PATH=$PATH:/usr/sbin
# shellcheck source=bench/session.sh
. "$(dirname "$0")/session.sh"

# ---- the servers: NAME.pid and NAME.port say where each is
started_as() {
    echo "$pid" >"$tmp/$1.pid"
    echo "$port" >"$tmp/$1.port"
}
there() { [ -e "$tmp/$1.pid" ]; }
pid_of() { cat "$tmp/$1.pid"; }
url_of() { echo "http://127.0.0.1:$(cat "$tmp/$1.port")$2"; }

# As Debian sets it up, but for one worker, no access log, and connections without a limit.
start_nginx() {
    find_port
    cat >"$tmp/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $tmp/nginx-pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    sendfile on;
    tcp_nopush on;
    $(for place in client_body proxy fastcgi uwsgi scgi; do
        echo "${place}_temp_path $tmp/nginx-$place;"
    done)
    server {
        listen 127.0.0.1:$port backlog=65535;
        location = / { default_type text/plain; return 200 "Hello, World!"; }
        location /files/ { root $tmp/www; }
    }
}
CONF
    [ "$(id -u)" != 0 ] || echo "user root;" >>"$tmp/nginx.conf"
    start_on_port nginx nginx -p "$tmp" -e "$tmp/nginx-errors" -c "$tmp/nginx.conf"
    started_as nginx
}

# Without a file or a script it answers only with a redirection.
start_h2o() {
    find_port
    cat >"$tmp/h2o.conf" <<CONF
listen: {host: 127.0.0.1, port: $port}
num-threads: 1
hosts:
  default:
    paths:
      "/": {redirect: {status: 302, url: "http://127.0.0.1/"}}
      "/files": {file.dir: $tmp/www/files}
CONF
    [ "$(id -u)" != 0 ] || echo "user: root" >>"$tmp/h2o.conf"
    start_on_port h2o h2o -c "$tmp/h2o.conf"
    started_as h2o
}

start_haproxy() {
    find_port
    cat >"$tmp/haproxy.conf" <<CONF
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout client 60s
frontend hello
    bind 127.0.0.1:$port
    http-request return status 200 content-type text/plain string "Hello, World!"
CONF
    start_on_port haproxy haproxy -f "$tmp/haproxy.conf"
    started_as haproxy
}

start_all() {
    mkdir -p "$tmp/www/files"
    printf 'Hello, World!' >"$tmp/www/index.html"
    head -c 65536 /dev/urandom >"$tmp/www/files/64k.bin"
    head -c 1048576 /dev/urandom >"$tmp/www/files/1m.bin"

    start_bare bare && started_as bare
    start_bare bare-c -c && started_as bare-c
    start_prefork prefork hello && started_as prefork
    if [ -x "$build/bench/http_libuv" ]; then
        start_printing libuv "$build/bench/http_libuv" && started_as libuv
    fi
    ! command -v nginx >/dev/null || start_nginx
    ! command -v h2o >/dev/null || start_h2o
    ! command -v haproxy >/dev/null || start_haproxy
    if "$build/bin/prefork-server" --help | grep -q '^ *static:'; then
        start_prefork static "static:$tmp/www" && started_as static
    fi
}

# ---- one workload
# run NAME PATH N OPTIONS...: add "name ns server-busy generator-busy" to the rows.
run() {
    who=$1 place=$2
    shift 2
    got=$(measure "$(pid_of "$who")" "$(url_of "$who" "$place")" "$@") || exit
    echo "$who $got" >>"$tmp/rows"
}

backwards() {
    turned=
    for name in "$@"; do turned="$name $turned"; done
    echo "$turned"
}

# workload TITLE REQUESTS TRACED PATH "FIRST OTHERS..." OPTIONS...: rounds of FIRST, the others,
# FIRST, and every second time the others backwards; then TRACED requests to each under strace.
workload() {
    title=$1 requests=$2 traced=$3 path=$4 first=${5%% *} others=
    for name in ${5#* }; do
        ! there "$name" || others="$others $name"
    done
    shift 5
    for name in $first $others; do
        load -n $((requests / 4)) "$@" "$(url_of "$name" "$path")" ||
            die "the warm-up of $name failed: $(cat "$tmp/err" "$tmp/out")"
    done
    : >"$tmp/rows"
    round=0
    while [ $((round += 1)) -le "$rounds" ] &&
        { [ "$round" = 1 ] || [ $(($(date +%s) - began)) -lt $budget_s ]; }; do
        for name in $first $others $first; do
            run "$name" "$path" "$requests" "$@"
        done
        # shellcheck disable=SC2086
        others=$(backwards $others)
    done
    : >"$tmp/facts"
    for name in $first $others; do
        list=$(calls "$(pid_of "$name")" "$(url_of "$name" "$path")" "$traced" "$@") || exit
        echo "$name $(memory "$(pid_of "$name")") $list" >>"$tmp/facts"
    done
    summarise "$title" "$first" >"$tmp/table"
    show <"$tmp/table"
    cat "$tmp/table" >>"$tmp/tables"
}

# Resident memory of all its processes in MiB; what they share is counted in each.
memory() {
    for p in $(tree "$1"); do
        cat /proc/"$p"/status
    done | awk '/^VmRSS:/ { sum += $2 } END { printf "%.1f", sum / 1024 }'
}

# Facts: name memory calls. Rows: name ns server-busy generator-busy; FIRST begins and ends a round.
# Prints, tab-separated: workload server ns /bare min max /nginx min max server load MiB calls; "-"
# is unknown; the row of the server A/A is FIRST's second run against its first.
summarise() {
    awk -v title="$1" -v first="$2" '
        function sort(v, n,   i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        }
        function three(v) {
            sort(v, rounds)
            return sprintf("%.3f\t%.3f\t%.3f", v[middle], v[1], v[rounds])
        }
        # Median, smallest, largest of what a took in each round, divided by what b took.
        function ratio(a, b,   v, r) {
            if (!((1, b) in ns)) return "-\t-\t-"
            for (r = 1; r <= rounds; r++) v[r] = ns[r, a] / ns[r, b]
            return three(v)
        }
        function time(a,   v, r) {
            for (r = 1; r <= rounds; r++) v[r] = ns[r, a]
            sort(v, rounds)
            return v[middle]
        }
        FILENAME ~ /facts$/ {
            memory[$1] = $2
            line = $0; sub(/^[^ ]* [^ ]* */, "", line); list[$1] = line
            next
        }
        {
            server[$1] += $3; load[$1] += $4; runs[$1]++
            if ($1 != first) { ns[rounds, $1] = $2; if (rounds == 1) names[++count] = $1 }
            else if (runs[first] % 2) { ns[++rounds, first] = $2; names[1] = first; count += rounds == 1 }
            else { ns[rounds, "again"] = $2 / ns[rounds, first]; ns[rounds, first] = (ns[rounds, first] + $2) / 2 }
        }
        END {
            middle = int((rounds + 1) / 2)
            for (i = 1; i <= count; i++) {
                name = names[i]
                printf "%s\t%s\t%.0f\t%s\t%s\t%.0f\t%.0f\t%.1f\t%s\n", title, name, time(name),
                    ratio(name, first ~ /^bare/ ? first : "bare"), ratio(name, "nginx"),
                    server[name] / runs[name], load[name] / runs[name], memory[name], list[name]
            }
            for (r = 1; r <= rounds; r++) twice[r] = ns[r, "again"]
            printf "%s\tA/A\t-\t%s\t-\t-\t-\t-\t-\t-\t\n", title, three(twice)
        }' "$tmp/facts" "$tmp/rows"
}

# ---- the table in three forms, each from lines of summarise()
off_by() { echo 'function off(x) { return x < 1 ? 1 - x : x - 1 }
    function spread(m, a, b) { return m == "-" ? "-" : m " (" a " - " b ")" }'; }

show() {
    awk -F'\t' "$(off_by)"'
        $2 == "A/A" { printf "%-11s %-8s %8s  %s%s\n", "", $2, "", spread($4, $5, $6), (off($4) > 0.02 ? "  void" : ""); next }
        { printf "%-11s %-8s %8s  %-24s %-24s %3s%% %3s%% %6s   %s\n", $1 == last ? "" : $1, $2, $3,
              spread($4, $5, $6), spread($7, $8, $9), $10, $11, $12, $13; last = $1 }'
}

as_markdown() {
    printf '| workload | server | ns a request | /bare (min - max) | /nginx (min - max) | MiB | system calls per request |\n'
    printf '|---|---|---|---|---|---|---|\n'
    awk -F'\t' "$(off_by)"'
        $2 == "A/A" { printf "| | A/A | | %s%s | | | |\n", spread($4, $5, $6), (off($4) > 0.02 ? ": void" : ""); next }
        { gsub(/  +/, ", ", $13); sub(/^, /, "", $13)
          printf "| %s | %s | %s | %s | %s | %s | %s |\n", $1 == last ? "" : $1, $2, $3,
              spread($4, $5, $6), spread($7, $8, $9), $12, $13; last = $1 }'
}

# One page without network and script: a bar for each server, as long as its time.
as_page() {
    cat <<PAGE
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>prefork: the standard comparison</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --bar: #4a7fb5; --ours: #d9822b; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem }
p { margin: .3rem 0; opacity: .8 }
.rows { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, th:last-child, td:first-child, td.calls { text-align: left }
td.calls { font-size: .8em; white-space: normal; min-width: 14rem; opacity: .8 }
td.bar { width: 35%; min-width: 8rem } td.bar i { display: block; height: .8em; background: var(--bar); border-radius: 2px }
tr.ours td.bar i { background: var(--ours) } tr.ours td:first-child { font-weight: 600 }
tr.twice td { opacity: .7; font-style: italic }
</style></head><body>
<h1>The standard comparison</h1>
<p>$1</p>
<p>Server CPU time for each request, all processes of the server; one worker. Ratios are taken
within a round: median (smallest - largest). A/A is the same server twice: it says how far a ratio strays
by chance.</p>
PAGE
    awk -F'\t' "$(off_by)"'
        { line[++n] = $0; if ($2 != "A/A" && $3 > most[$1]) most[$1] = $3 }
        END {
            for (i = 1; i <= n; i++) {
                split(line[i], f, "\t")
                if (f[1] != last) {
                    if (last) print "</table></div>"
                    printf "<h2>%s</h2><div class=rows><table><tr><th>server<th>ns<th>/ bare<th>/ nginx<th>MiB<th class=bar><th>calls per request</tr>\n", f[1]
                    last = f[1]
                }
                if (f[2] == "A/A") {
                    printf "<tr class=twice><td>A/A<td><td>%s<td><td><td class=bar><td class=calls>%s</tr>\n", spread(f[4], f[5], f[6]),
                        (off(f[4]) > 0.02 ? "void: strays by more than 0.02" : "")
                    continue
                }
                printf "<tr%s><td>%s<td>%s<td>%s<td>%s<td>%s<td class=bar><i style=\"width:%.1f%%\"></i><td class=calls>%s</tr>\n",
                    f[2] == "prefork" || f[2] == "static" ? " class=ours" : "", f[2], f[3], spread(f[4], f[5], f[6]),
                    spread(f[7], f[8], f[9]), f[12], 100 * f[3] / most[f[1]], f[13]
            }
            print "</table></div></body></html>"
        }'
}

# ---- the session
began=$(date +%s)
start_all
for name in libuv nginx h2o haproxy static; do
    there "$name" || missing="${missing:-} $name"
done
steal_before=$(steal)
: >"$tmp/tables"
heading="$(machine), load $(cut -d' ' -f1 /proc/loadavg); server CPU per request, medians; rounds: $rounds"
echo "$heading"
echo "workload    server     ns/req  /bare (min - max)        /nginx (min - max)       on CPU load    MiB   calls per request"
workload keep-alive 40000 5000 / "bare prefork libuv nginx h2o haproxy" -c 64
workload pipelined 160000 5000 / "bare prefork libuv nginx h2o haproxy" -c 64 --pipeline 16
workload short 10000 5000 / "bare-c prefork libuv nginx h2o haproxy" -c 64 -H 'Connection: close'
if there nginx && there static; then
    workload "64 KiB" 20000 5000 /files/64k.bin "nginx static h2o" -c 64
    workload "1 MiB" 2000 1000 /files/1m.bin "nginx static h2o" -c 64
fi
echo "steal $(stolen "$steal_before")%; A/A is the first server against itself, void if it strays from 1.00 by more than 0.02"
[ -z "${missing:-}" ] || echo "left out, as not there:$missing"
as_markdown <"$tmp/tables" >build/bench.md
as_page "$(date -u +%F), $heading, steal $(stolen "$steal_before")%" <"$tmp/tables" >build/bench.html
echo "written: build/bench.md, build/bench.html"
