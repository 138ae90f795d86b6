#!/bin/sh
# All programs build with clang too, without a warning.
set -u
cd "$(dirname "$0")/../.." || exit 1

if ! command -v clang >/dev/null 2>&1; then
	echo "no clang is installed"
	exit 77
fi
if [ "${1:-}" = --self-test ]; then
	printf 'int f(void);\nint f(void)\n{\n\tint unused;\n\treturn 1;\n}\n' |
		clang -Wall -Werror -x c -fsyntax-only - 2>/dev/null && echo "a warning passed" && exit 1
	exit 0
fi
exec make --no-print-directory CC=clang SANITIZE= BUILD="${BUILD:-build}/clang" all
