#!/bin/sh
# clang-format decides the layout of all C, by the .clang-format that is nearest.
set -u
cd "$(dirname "$0")/../.." || exit 1
FORMAT=${CLANG_FORMAT:-clang-format}

if ! command -v "$FORMAT" >/dev/null 2>&1; then
	echo "no clang-format is installed"
	exit 77
fi

if [ "${1:-}" = --self-test ]; then
	folder=$(mktemp -d) || exit 1
	trap 'rm -rf "$folder"' EXIT
	cp .clang-format "$folder/"
	printf 'int   f( void )\n{ return 1 ; }\n' >"$folder/bad.c"
	printf 'int f(void)\n{\n\treturn 1;\n}\n' >"$folder/good.c"
	"$FORMAT" --dry-run --Werror "$folder/bad.c" 2>/dev/null && echo "bad layout passed" && exit 1
	"$FORMAT" --dry-run --Werror "$folder/good.c" || exit 1
	exit 0
fi

find base proto client daemon bench examples tests -name '*.[ch]' -not -path '*/node_modules/*' |
	sort | xargs "$FORMAT" --dry-run --Werror
