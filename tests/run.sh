#!/bin/sh
# Run test programs and checks, say which failed, and end with `N passed, N failed, N skipped`.
# Each program is a cmocka program that reports as TAP, each *.sh a check that exits with 0,
# or 77 to be counted as skipped. WRAP is put in front of the programs (valgrind). A program
# named as POLLER@PROGRAM has its loops on that poller: tests/lib/backend.h.
set -u
: "${BUILD:?the build directory, such as build/release}"
export BUILD WRAP="${WRAP:-}" CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0:exitcode=66}"
limit=${TEST_LIMIT_S:-1800}
passed=0 failed=0 skipped=0
out=$(mktemp) && trap 'rm -f "$out"' EXIT

for t in "$@"; do
    poller=
    case $t in *@*) poller=${t%%@*} t=${t#*@} ;; esac
    name=${t#"$BUILD"/}${poller:+" ($poller)"}
    case $t in
    *.sh) run="sh $t" ;;
    *) run="${poller:+env PF_TEST_POLLER=$poller }$WRAP $t" ;;
    esac
    timeout "$limit" $run >"$out" 2>&1
    status=$?
    case $t in
    *.sh)
        case $status in
        0) ok=1 bad=0 skip=0 ;;
        77) ok=0 bad=0 skip=1 ;;
        *) ok=0 bad=1 skip=0 ;;
        esac
        ;;
    *)
        skip=$(grep -c '^not ok.*# SKIP' "$out")
        ok=$(grep -c '^ok ' "$out")
        bad=$(grep '^not ok' "$out" | grep -vc '# SKIP')
        # A program that died, or that a sanitizer failed, counts even if all its tests passed.
        [ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
        [ $((ok + bad + skip)) != 0 ] || bad=1
        ;;
    esac
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" = 0 ]; then
        printf '  %-46s %3d passed%s\n' "$name" "$ok" \
            "$([ "$skip" = 0 ] || printf ', %d skipped' "$skip")"
    else
        printf '  %-46s FAILED (status %d); again: %s\n' "$name" "$status" "$run"
        sed 's/^/    /' "$out"
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
