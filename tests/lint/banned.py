#!/usr/bin/env python3
"""Functions that are not used, and those that have one place."""

import re
import sys

import lint

# (what, where it is allowed, why). Calls by name, unless the pattern says otherwise.
RULES = [
    (r"\b(?:strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|stpcpy)\s*\(", r"tests/.*|bench/.*",
     "unbounded, or without a terminator"),
    (r"\b(?:atoi|atol|atoll|atof|strtol|strtoul|strtoll|strtoull|sscanf|strtok)\s*\(",
     r"tests/.*|bench/.*", "use the bounded parsers of base/span.h"),
    (r"\b(?:alloca|system|popen|localtime|gmtime|asctime|ctime|setjmp|longjmp)\s*\(",
     r"tests/.*|bench/.*", "banned"),
    (r"\b(?:malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|posix_memalign"
     r"|aligned_alloc)\s*\(", r"base/mem\.c|daemon/sys/wipe\.c|tests/.*|bench/.*|examples/.*",
     "allocate with base/mem.h"),
    (r"\b(?:exit|_exit|quick_exit|abort)\s*\(",
     r"daemon/main\.c|client/cli[._][^/]*|tests/.*|bench/.*|examples/.*", "only main decides to end"),
    (r"\btypedef\s+(?:struct|union|enum)\b", r"tests/sandbox/.*", "write struct"),
    (r"\bassert\s*\([^;]*(?:\+\+|--|[^=!<>]=[^=])", r"", "an assert has no side effect"),
]


def check(root):
    findings = []
    rules = [(re.compile(what), re.compile(where), why) for what, where, why in RULES]
    for path in lint.sources(root):
        for number, line in lint.code_lines(root, path):
            for what, where, why in rules:
                match = what.search(line)
                if match and not where.fullmatch(path.as_posix()):
                    name = match.group(0).rstrip("( ")
                    findings.append(f"{path}:{number}: {name}: {why}")
    return findings


BAD = {
    "base/a.c": ("\tstrcpy(a, b);\n", "strcpy"),
    "base/b.c": ("\tn = sprintf (a, b);\n", "sprintf"),
    "base/c.c": ("\tchar *p = malloc(3);\n", "malloc"),
    "base/d.c": ("\tfree(p);\n", "free"),
    "proto/a.c": ("\tn = strtol(a, NULL, 10);\n", "strtol"),
    "proto/b.c": ("typedef struct foo foo;\n", "typedef struct"),
    "proto/c.c": ("\tassert(n++ < 3);\n", "side effect"),
    "client/a.c": ("\tp = strdup(a);\n", "strdup"),
    "client/client.c": ("\texit(1);\n", "exit"),
    "client/b.c": ("\texit(1);\n", "exit"),
    "daemon/core/a.c": ("\tchar *p = alloca(n);\n", "alloca"),
    "daemon/core/b.c": ("\tif (sscanf(a, \"%d\", &n))\n", "sscanf"),
    "daemon/sys/a.c": ("\tsystem(\"rm\");\n", "system"),
    "daemon/app.c": ("\tabort();\n", "abort"),
}
GOOD = {
    "base/mem.c": "\treturn malloc(size);\n\tfree(ptr);\n",
    "base/a.c": "\tmem_free(p); /* not free(p) */\n\ts = \"exit(1)\";\n\tassert(a == b);\n",
    "base/b.c": "\tengine_free(e);\n\tx.free = mem_free;\n\tassert(a <= b && a != c && a >= d);\n",
    "daemon/main.c": "\texit(1);\n",
    "client/cli.c": "\texit(2);\n",
    "tests/unit/a.c": "\tn = atoi(a);\n\tfree(p);\n",
}

if __name__ == "__main__":
    sys.exit(lint.main(check, BAD, GOOD))
