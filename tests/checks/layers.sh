#!/bin/sh
# A folder includes only its own floor and the floors below it, as the table says.
set -eu
allowed() {
    case $1 in
    loop) echo "loop" ;;
    ipc) echo "ipc loop" ;;
    net) echo "net loop" ;;
    worker) echo "worker ipc net loop" ;;
    http) echo "http net loop" ;;
    master) echo "master ipc net loop" ;;
    server | server/ctl) echo "server master worker http ipc net loop" ;;
    bench) echo "bench http net ipc loop" ;;
    esac
}
# The public headers belong to floors too.
floor_of() {
    case $1 in
    base | executor | future | log | loop | options | periodic | poller | testing) echo loop ;;
    process) echo master ;;
    stream | tcp | resolver | subprocess) echo net ;;
    *) echo "$1" ;;
    esac
}
bad=0
for folder in loop ipc net worker http master server server/ctl bench; do
    for file in "$folder"/*.[ch]; do
        # Of worker/ the master may include the child's entry and the service, no more.
        for include in $(sed -n 's/^# *include [<"]\([a-z]*\/[a-z_]*\)\.h[>"].*/\1/p' "$file"); do
            case $folder:$include in
            master:worker/run | master:prefork/worker) continue ;;
            esac
            case $include in
            prefork/*) floor=$(floor_of "${include#prefork/}") ;;
            loop/* | ipc/* | net/* | worker/* | http/* | master/* | server/* | bench/*)
                floor=${include%%/*} ;;
            *) continue ;; # a system header
            esac
            case " $(allowed "$folder") " in
            *" $floor "*) ;;
            *) echo "$file includes $include.h: $folder may use: $(allowed "$folder")"; bad=1 ;;
            esac
        done
    done
done
exit $bad
