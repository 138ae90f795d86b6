"""What the lints share: the project's files, findings, and the proof that each lint can fail.

A lint is a function from a root folder to a list of findings. `--self-test` runs it on a small
tree that breaks each of its rules, and on one that breaks none.
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("base", "proto", "client", "daemon", "bench", "examples", "tests")
SKIPPED = {"node_modules", "build", ".git"}


def sources(root, rooms=ROOMS):
    """C sources and headers below those folders, as paths relative to the root."""
    found = []
    for room in rooms:
        for path in sorted((root / room).rglob("*.[ch]")):
            if not SKIPPED & set(path.relative_to(root).parts):
                found.append(path.relative_to(root))
    return found


def without_comments_and_strings(text):
    """The same text, with blanks for comments and for what stands in quotes; lines stay lines."""

    def blank(match):
        kept = match.group(0)
        if kept.startswith(("/*", "//")):
            return re.sub(r"[^\n]", " ", kept)
        return kept[0] + " " * (len(kept) - 2) + kept[0]

    pattern = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, blank, text, flags=re.S)


def code_lines(root, path):
    """(number, line) of the code, comments and strings blanked."""
    text = without_comments_and_strings((root / path).read_text())
    return list(enumerate(text.split("\n"), 1))


def self_test(check, bad, good):
    """`bad` is {path: (text, what must be found)}, `good` is {path: text}."""
    failures = []
    for path, (text, wanted) in bad.items():
        with tempfile.TemporaryDirectory() as folder:
            plant(Path(folder), {path: text})
            findings = check(Path(folder))
            if not any(wanted in finding for finding in findings):
                failures.append(f"{path}: {wanted!r} was not found in {text!r}: {findings}")
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder), good)
        failures += [f"found where nothing is wrong: {f}" for f in check(Path(folder))]
    return failures


def plant(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def main(check, bad, good):
    testing = sys.argv[1:] == ["--self-test"]
    findings = self_test(check, bad, good) if testing else check(ROOT)
    for finding in findings:
        print(finding)
    return 1 if findings else 0
