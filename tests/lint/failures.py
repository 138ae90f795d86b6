#!/usr/bin/env python3
"""Every failure in the table of tests/replay/README.md has its test.

A cell of tests holds `timeline`, or `folder/file` with the name of a test in it, or without one.
"""

import re
import sys

import lint

TABLE = "tests/replay/README.md"


def missing(root, name, test):
    """What is wrong with that test; None: nothing."""
    if "/" not in name:
        path = root / "tests/replay" / f"{name}.timeline"
        return None if path.is_file() else f"there is no timeline {name}"
    path = root / "tests" / name
    if not path.is_file():
        return f"there is no tests/{name}"
    if test and not re.search(rf"\b{test}\(", path.read_text()):
        return f"there is no {test} in tests/{name}"
    return None


def check(root):
    findings = []
    for number, line in enumerate((root / TABLE).read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("failure", "---"):
            continue
        tests = re.findall(r"`([\w./]+)`(?: (\w+))?", cells[-1])
        problems = [missing(root, *test) for test in tests] or ["it has no test"]
        findings += [f"{TABLE}:{number}: {problem}" for problem in problems if problem]
    return findings


def table(cell):
    return f"| failure | test |\n| --- | --- |\n| it fails | {cell} |\n"


BAD = {
    "`b`": "there is no timeline b",
    "`a`, `unit/test_b.c` test_it": "there is no tests/unit/test_b.c",
    "`replay/README.md` test_b": "there is no test_b",
    "to be written": "it has no test",
}
GOOD = {
    TABLE: table("`a`, `unit/test_a.c` test_it, `unit/test_a.c`"),
    "tests/replay/a.timeline": "",
    "tests/unit/test_a.c": "static void test_it(void **state)\n",
}


def main():
    if sys.argv[1:] != ["--self-test"]:
        return lint.main(check, {}, {})
    return any([lint.main(check, {TABLE: (table(cell), wanted)}, GOOD)
                for cell, wanted in BAD.items()])


if __name__ == "__main__":
    sys.exit(main())
