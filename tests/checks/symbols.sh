#!/bin/sh
# Every global symbol of the libraries begins pf_; the shared one exports what the public
# headers declare, all of it and nothing else.
set -eu
bad=0
strange=$(nm -g --defined-only "$BUILD/lib/libprefork.a" | awk 'NF == 3 {print $3}' |
    grep -v '^pf_' | grep -v '^__odr_asan' | sort -u || true)
[ -z "$strange" ] || { echo "libprefork.a defines: $strange"; bad=1; }

exported=$(nm -D --defined-only "$BUILD/lib/libprefork.so" |
    awk 'NF == 3 && $2 != "A" {sub(/@.*/, "", $3); print $3}' | grep -v '^__' | sort -u)
declared=$(cat include/prefork/*.h | tr '\n' ' ' |
    grep -o 'PF_API[^;{]*;' | grep -oE '\(?pf_[a-z_0-9]+\)?( *\(|;)' |
    grep -oE 'pf_[a-z_0-9]+' | sort -u)
for name in $declared; do
    [ "$name" != pf_poller_kqueue ] || continue # of other systems
    echo "$exported" | grep -qx "$name" || { echo "declared, not exported: $name"; bad=1; }
done
for name in $exported; do
    echo "$declared" | grep -qx "$name" || { echo "exported, not declared: $name"; bad=1; }
done
exit $bad
