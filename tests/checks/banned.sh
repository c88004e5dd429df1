#!/bin/sh
# Calls that have a better one, and words that belong elsewhere.
set -eu
bad=0
no() { # no PATTERN WHY FILES...
    pattern=$1 why=$2
    shift 2
    if grep -nE "$pattern" "$@"; then
        echo "^ $why"
        bad=1
    fi
}
code=$(ls loop/*.[ch] ipc/*.[ch] net/*.[ch] worker/*.[ch] http/*.[ch] master/*.[ch] \
    server/*.[ch] server/ctl/*.[ch] bench/*.[ch] examples/*.c examples/seeds/*.c)
tests=$(ls tests/*/*.[ch])
# shellcheck disable=SC2086
{
    no '(^|[^a-zA-Z_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|rand|system|popen|alloca)\(' \
        'use the bounded or reentrant form' $code $tests
    no '(^|[^a-zA-Z_])signal\([^0-9]' 'use sigaction()' $code $tests
    no '(^|[^a-zA-Z_])(sleep|usleep|nanosleep)\(' 'wait for the event, with a deadline' $tests
    no 'uv_|libuv' 'libuv belongs to bench/peers alone' $code $tests
}
exit $bad
