#!/bin/sh
# Each header of ours compiles alone, and twice.
set -u
cd "$(dirname "$0")/../.." || exit 1
CC=${CC:-cc}
WARNINGS="-Wall -Wextra -Werror -Wno-unused-function"

# compile HEADER INCLUDE-FOLDER
compile() {
	printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
		$CC -std=gnu17 -D_GNU_SOURCE $WARNINGS -I"$2" -fsyntax-only -x c - 2>&1
}

if [ "${1:-}" = --self-test ]; then
	folder=$(mktemp -d) || exit 1
	trap 'rm -rf "$folder"' EXIT
	echo '#pragma once
size_t needs_stddef(void);' >"$folder/bad.h"
	echo 'struct no_guard { int a; };' >"$folder/twice.h"
	echo '#pragma once
#include <stddef.h>
size_t good(void);' >"$folder/good.h"
	compile bad.h "$folder" >/dev/null && echo "a header that lacks an include passed" && exit 1
	compile twice.h "$folder" >/dev/null && echo "a header without a guard passed" && exit 1
	compile good.h "$folder" || exit 1
	exit 0
fi

failed=0
for header in $(find base proto client daemon bench tests/unit tests/fuzz -name '*.h' \
	-not -path '*/node_modules/*' | sort); do
	compile "$header" . || { echo "$header does not compile alone"; failed=1; }
done
for header in tests/sandbox/*.h; do
	compile "${header##*/}" tests/sandbox || { echo "$header does not compile alone"; failed=1; }
done
exit $failed
