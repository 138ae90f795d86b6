#!/usr/bin/env python3
"""Functions of at most 60 lines, files of at most 600.

Files are laid out by clang-format, so a function begins at the line that opens a brace in column 0
behind a line with its name, and ends at a brace in column 0. Both braces are counted, and what
stands between the name and the first.
"""

import re
import sys

import lint

FUNCTION_MAX = 60
FILE_MAX = 600
TABLE = re.compile(r"=\s*\{?\s*$")  # the start of a table, which is no function


def functions(lines):
    """(name, number of the first line, length) of each."""
    found = []
    head = None  # where what stands at column 0 began
    opened = False
    for number, line in lines:
        if line.startswith("{"):
            opened = head is not None
        elif line.startswith("}"):
            if opened and head:
                found.append((head[1], head[0], number - head[0] + 1))
            head, opened = None, False
        elif re.match(r"[A-Za-z_]", line) and not opened:
            if head is None or re.search(r"\w\s*\(", line):
                name = re.search(r"(\w+)\s*\(", line)
                head = (number, name.group(1) if name else "?")
            if line.rstrip().endswith((";", "{")) or TABLE.search(line):
                head = None
        elif not line.strip() and not opened:
            head = None
    return found


def check(root):
    findings = []
    for path in lint.sources(root):
        lines = lint.code_lines(root, path)
        total = (root / path).read_text().count("\n")
        if total > FILE_MAX:
            findings.append(f"{path}: {total} lines, {FILE_MAX} is the limit")
        for name, number, length in functions(lines):
            if length > FUNCTION_MAX:
                findings.append(
                    f"{path}:{number}: {name}() has {length} lines, {FUNCTION_MAX} is the limit"
                )
    return findings


def function(head, lines):
    return head + "\n{\n" + "\tx();\n" * lines + "}\n"


TABLE_TEXT = "static const int table[] = {\n" + "\t1,\n" * 100 + "};\n"
BAD = {
    "base/a.c": (function("int a(void)", 58), "a() has 61 lines"),
    "base/b.c": (function("static int b(int a,\n\t     int b)", 57), "b() has 61 lines"),
    "base/c.c": ("int x;\n" + TABLE_TEXT + function("int c(void)", 60), "c() has 63 lines"),
    "base/d.c": ("\n" * 601, "601 lines"),
    "base/e.h": (function("static inline int e(void)", 70), "e() has"),
    "base/f.c": ("struct s {\n\tint a;\n};\n\n" + function("int f(void)", 70), "f() has"),
    "tests/a.c": (function("int g(void)", 70), "g() has"),
}
GOOD = {
    "base/a.c": function("int a(void)", 57) + "\n" + function("int b(void)", 57),
    "base/b.c": TABLE_TEXT + "\nstruct s {\n" + "\tint a;\n" * 100 + "};\n",
    "base/c.c": "static const struct {\n\tint a;\n} t[] = {\n" + "\t{ 1 },\n" * 100 + "};\n",
    "base/d.c": "\n" * 600,
}

if __name__ == "__main__":
    sys.exit(lint.main(check, BAD, GOOD))
