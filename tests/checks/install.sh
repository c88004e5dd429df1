#!/bin/sh
# What `make install` puts down is enough to build and run a program: static and shared.
set -eu
variant=${BUILD#build/}
root=$(mktemp -d) && trap 'rm -rf "$root"' EXIT
make -s install VARIANT="$variant" DESTDIR="$root" PREFIX=/usr >/dev/null
flags="-I$root/usr/include -L$root/usr/lib -pthread"
case $variant in
asan) flags="$flags -fsanitize=address,undefined" ;;
tsan) flags="$flags -fsanitize=thread" ;;
esac
# shellcheck disable=SC2086
${CC:-cc} -std=c11 $flags examples/hello.c -o "$root/shared" -lprefork
LD_LIBRARY_PATH="$root/usr/lib" "$root/shared" --version | grep -q '^prefork '
private=$(sed -n 's/^Libs.private: //p' "$root/usr/lib/pkgconfig/prefork.pc")
# shellcheck disable=SC2086
${CC:-cc} -std=c11 $flags examples/hello.c -o "$root/static" -l:libprefork.a $private
"$root/static" --version | grep -q '^prefork '
grep -q '^Version: [0-9]' "$root/usr/lib/pkgconfig/prefork.pc"
for program in prefork-server preforkctl prefork-bench; do
    [ -x "$root/usr/bin/$program" ]
    [ -e "$root/usr/share/man/man1/$program.1" ]
done
make -s uninstall VARIANT="$variant" DESTDIR="$root" PREFIX=/usr >/dev/null
left=$(find "$root/usr" ! -type d)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
