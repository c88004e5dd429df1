#!/bin/sh
# The manuals are whole and true: each public function has one, each option of a program
# stands in its page, and each program in an example compiles.
set -eu
: "${BUILD:?the build directory, such as build/release}"
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
bad=0
missing() {
    echo "missing: $*"
    bad=1
}

functions=$(cat include/prefork/*.h | tr '\n' ' ' | grep -o 'PF_API[^;{]*;' |
    grep -oE 'pf_[a-z_0-9]+ *(\(|;)' | grep -oE 'pf_[a-z_0-9]+' | sort -u)
[ -n "$functions" ] || missing "any function in include/prefork/*.h"
for name in $functions; do
    grep -qE "^\.(Nm|Fn|Fo) $name( |$)" docs/man/*.3 || missing "$name in docs/man/*.3"
done

for program in prefork-server preforkctl prefork-bench; do
    options=$("$BUILD/bin/$program" --help | grep -oE '(^|[ ,])--[a-z][a-z0-9_-]*' | tr -d ' ,')
    [ -n "$options" ] || missing "any option in $program --help"
    for option in $options; do
        grep -qE "Fl -${option#--}( |$)" "docs/man/$program.1" ||
            missing "$option in docs/man/$program.1"
    done
done

# Each literal block becomes a file; roff's escapes are undone in those that are programs.
awk -v dir="$tmp" '
    /^\.Ed/ { close(out); out = "" }
    out { print > out }
    /^\.Bd -literal/ { page = FILENAME; sub(".*/", "", page); out = dir "/" page "." ++n ".c" }
' docs/man/*.[137]
programs=$(grep -l 'int main' "$tmp"/*.c) || missing "any program in docs/man/*"
for file in $programs; do
    sed -i -e 's/\\-/-/g' -e "s/\\\\(aq/'/g" -e 's/\\&//g' -e 's/\\e/\\/g' "$file"
    ${CC:-cc} -Iinclude -std=c11 -Wall -Wextra -Werror -fsyntax-only "$file" || bad=1
done
exit $bad
