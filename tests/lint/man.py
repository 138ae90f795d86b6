#!/usr/bin/env python3
"""The man pages are clean mdoc (mandoc -Tlint), and leave nothing out: each configuration key, command
line option, error code and exported function is on its page."""

import re
import shutil
import subprocess
import sys

import lint

PAGES = "*.[1-8]"
# page: (source, pattern of what must be on it, as it stands on the page)
COMPLETE = {
    "daemon/clerk-tokend.conf.5": ("daemon/core/configkey.c", r'\{ "\w+", "(\w+)", CONFIG_', r"\b{}\b"),
    "daemon/clerk-tokend.8": ("daemon/main.c", r'\{ "([\w-]+)", (?:no|required)_argument', r"Fl -{}\b"),
    "client/clerk-token.1": ("client/cli.c", r'\{ "([\w-]+)", (?:no|required)_argument', r"Fl -{}\b"),
    "client/libclerktoken.3": ("client/libclerktoken.map", r"^\t(clerktoken_\w+);", r"Fn {}\b"),
    "proto/clerk-tokend-protocol.7": ("proto/PROTOCOL.md", r"^\| `([a-z]+_[a-z]+)` \|", r"\b{}\b"),
}


def untidy(root, page):
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], cwd=root, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.splitlines()


def check(root):
    findings = []
    for room in lint.ROOMS:
        for page in sorted((root / room).rglob(PAGES)):
            if not lint.SKIPPED & set(page.parts):
                findings += untidy(root, page.relative_to(root))
    for page, (source, pattern, on_page) in COMPLETE.items():
        if not (root / source).is_file():
            continue
        text = (root / page).read_text()
        wanted = re.findall(pattern, (root / source).read_text(), re.M)
        findings += [f"{page}: {name} of {source} is missing" for name in wanted
                     if not re.search(on_page.format(re.escape(name)), text)]
        if not wanted:
            findings.append(f"{source}: nothing found that belongs on {page}")
    return findings


def page(body, section=1):
    return f".Dd January 1, 2026\n.Dt A {section}\n.Os\n.Sh NAME\n.Nm a\n.Nd b\n.Sh DESCRIPTION\n{body}\n"


BAD = {"base/a.1": (page("One. Two. Three\n.Xx"), "base/a.1")}
GOOD = {"base/a.1": page("One."),
        "client/libclerktoken.3": page(".Fn clerktoken_a \"int b\"", 3),
        "client/libclerktoken.map": "A {\nglobal:\n\tclerktoken_a;\n};\n"}
LACKING = dict(GOOD, **{"client/libclerktoken.map": "A {\nglobal:\n\tclerktoken_b;\n};\n"})


def finds_what_lacks(root):
    """Turned round: fails unless something is found."""
    return [] if check(root) else ["a page that lacks a function passed"]


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        print("mandoc is not installed")
        sys.exit(77)
    if sys.argv[1:] == ["--self-test"] and lint.self_test(finds_what_lacks, {}, LACKING):
        print("a page that lacks a function passed")
        sys.exit(1)
    sys.exit(lint.main(check, BAD, GOOD))
