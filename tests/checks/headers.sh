#!/bin/sh
# Each public header compiles alone, in C and in C++, without a warning.
set -eu
bad=0
cxx=${CXX:-c++}
for header in include/prefork.h include/prefork/*.h; do
    name=${header#include/}
    echo "#include <$name>" | ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude \
        -fsyntax-only -x c - || bad=1
    echo "#include <$name>" | $cxx -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude \
        -fsyntax-only -x c++ - || bad=1
done
exit $bad
