#!/usr/bin/env python3
"""Arrows only go down: who may include what, of ours and of others."""

import re
import sys

import lint

# Each file belongs to the first room whose pattern fits; of ours it may include what fits one of
# the second patterns.
ROOMS = [
    (r"base/.*", [r"base/.*"]),
    (r"proto/.*", [r"proto/.*", r"base/.*"]),
    (r"client/cli[._][^/]*", [r"client/clerktoken\.h", r"client/cli[._][^/]*"]),
    (r"client/clerktoken\.h", []),
    (r"client/.*", [r"client/(?!cli[._]).*", r"proto/.*", r"base/.*"]),
    (r"daemon/core/.*", [r"daemon/core/.*", r"proto/.*", r"base/.*"]),
    (r"daemon/sys/.*", [r"daemon/sys/.*", r"daemon/core/.*", r"proto/.*", r"base/.*"]),
    (r"daemon/(app|main)\.[ch]", [r"daemon/.*", r"proto/.*", r"base/.*"]),
    # A stand-in for somebody else's server shares nothing with the daemon.
    (r"tests/sandbox/.*", [r"tests/sandbox/.*"]),
    # The scale simulator and bench/core drive the real core; what measures the daemon knows its socket
    # only.
    (r"bench/core/.*", [r"daemon/core/.*", r"proto/.*", r"base/.*"]),
    # What measures the library is a program of its users'.
    (r"bench/client/.*", [r"bench/.*", r"client/clerktoken\.h"]),
    (r"bench/scale/.*", [r"bench/.*", r"daemon/core/.*", r"proto/.*", r"base/.*"]),
    (r"bench/library\.c", [r"bench/.*", r"client/clerktoken\.h"]),
    (r"bench/.*", [r"bench/.*"]),
    (r"examples/.*", [r"clerktoken\.h", r"client/clerktoken\.h"]),
    (r"tests/.*", [r".*"]),
]

# Headers of others have owners. What no pattern fits is the C library's or the kernel's.
APP = r"daemon/(app|main)\.c"
OWNERS = [
    (r"sodium\.h", [r"base/secret\.c", r"daemon/core/(answer|image|jwt|svix)\.c", r"daemon/sys/(front|warm|webhooks)\.c", APP]),
    (r"event2/.*", [r"daemon/sys/.*"]),
    (r"curl/.*", [r"daemon/sys/(upstream|bapi|pool|exchange)\.[ch]"]),
    (r"systemd/.*", [r"daemon/sys/.*"]),
    (r"(cjson/)?cJSON\.h", [r"daemon/core/json\.c"]),
    (r"ini\.h", [r"daemon/core/config\.c"]),
    (r"openssl/.*|cmocka\.h", []),
]

# What the rooms that do no I/O and read no clock may have of the C library.
PURE = r"(proto|daemon/core)/.*"
PURE_HEADERS = {
    "assert.h", "emmintrin.h", "errno.h", "limits.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
    "string.h", "strings.h", "sys/types.h",
}
PURE_EXCEPTIONS = {
    "daemon/core/config.c": {"stdio.h"},  # vsnprintf()
    "daemon/core/rule.c": {"stdio.h"},  # snprintf()
    "daemon/core/url.c": {"arpa/inet.h"},  # inet_pton()
}
PURE_CALLS = re.compile(
    r"\b(clock_gettime|time|gettimeofday|localtime_r|gmtime_r|random|rand|getrandom|open|read|"
    r"write|socket|printf|fprintf|puts|fopen|syslog|sd_journal_\w+|randombytes_\w+|getenv)\s*\("
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def fits(patterns, path):
    return any(re.fullmatch(p, path) for p in patterns)


def check_ours(root, path, included):
    # Relative to the root, or to the including file's folder.
    name = included
    if not (root / name).exists() and (root / path).parent.joinpath(name).exists():
        name = (path.parent / name).as_posix()
    for room, allowed in ROOMS:
        if re.fullmatch(room, path.as_posix()):
            return None if fits(allowed, name) else f"must not include {name}"
    return "belongs to no room"


def check_foreign(path, included):
    name = path.as_posix()
    if name.startswith(("tests/", "bench/", "examples/")):
        return None
    for header, owners in OWNERS:
        if re.fullmatch(header, included):
            return None if fits(owners, name) else f"is no owner of <{included}>"
    allowed = PURE_HEADERS | PURE_EXCEPTIONS.get(name, set())
    if re.fullmatch(PURE, name) and included not in allowed:
        return f"is pure: no <{included}>"
    return None


def check_file(root, path):
    findings = []
    for number, line in enumerate((root / path).read_text().split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        if match.group(1) == '"' or (root / match.group(2)).exists():
            finding = check_ours(root, path, match.group(2))
        else:
            finding = check_foreign(path, match.group(2))
        if finding:
            findings.append(f"{path}:{number}: {finding}")
    if re.fullmatch(PURE, path.as_posix()):
        for number, line in lint.code_lines(root, path):
            match = PURE_CALLS.search(line)
            if match:
                findings.append(f"{path}:{number}: is pure: no {match.group(1)}()")
    return findings


def check_exceptions(root):
    """An exception for what is no more would hide the next one."""
    findings = []
    for name, headers in PURE_EXCEPTIONS.items():
        text = (root / name).read_text() if (root / name).exists() else ""
        for header in headers:
            if text and f"<{header}>" not in text:
                findings.append(f"{name}: the exception for <{header}> is not needed")
    return findings


def check(root):
    findings = check_exceptions(root)
    for path in lint.sources(root):
        findings += check_file(root, path)
    return findings


BAD = {
    "base/a.c": ('#include "proto/wire.h"\n', "must not include proto/wire.h"),
    "proto/a.c": ('#include "daemon/core/engine.h"\n', "must not include"),
    "proto/b.c": ("#include <unistd.h>\n", "is pure: no <unistd.h>"),
    "client/call.c": ('#include "daemon/core/engine.h"\n', "must not include"),
    "client/cli.c": ('#include "base/buf.h"\n', "must not include base/buf.h"),
    "client/client.c": ('#include "daemon/core/engine.h"\n', "must not include"),
    "client/cli_a.c": ('#include "client/conn.h"\n', "must not include client/conn.h"),
    "client/a.c": ('#include "client/cli_a.h"\n', "must not include client/cli_a.h"),
    "client/clerktoken.h": ('#include "base/span.h"\n', "must not include base/span.h"),
    "client/b.c": ("#include <event2/event.h>\n", "is no owner of <event2/event.h>"),
    "daemon/core/a.c": ('#include "daemon/sys/loop.h"\n', "must not include daemon/sys/loop.h"),
    "daemon/core/b.c": ("#include <sodium.h>\n", "is no owner of <sodium.h>"),
    "daemon/core/c.c": ("#include <time.h>\n", "is pure: no <time.h>"),
    "daemon/core/d.c": ("#include <sys/socket.h>\n", "is pure"),
    "daemon/core/e.c": ("#include <stdio.h>\n", "is pure: no <stdio.h>"),
    "daemon/core/f.c": ("int x = clock_gettime (0, 0);\n", "is pure: no clock_gettime()"),
    "daemon/core/g.c": ("#include <cjson/cJSON.h>\n", "is no owner of <cjson/cJSON.h>"),
    "daemon/core/h.c": ("#include <ini.h>\n", "is no owner of <ini.h>"),
    "daemon/core/i.c": ("  #  include <event2/event.h>\n", "is no owner"),
    "daemon/sys/a.c": ('#include "daemon/app.h"\n', "must not include daemon/app.h"),
    "daemon/sys/b.c": ("#include <curl/curl.h>\n", "is no owner of <curl/curl.h>"),
    "daemon/app.c": ("#include <event2/event.h>\n", "is no owner"),
    "daemon/main.c": ("#include <systemd/sd-daemon.h>\n", "is no owner"),
    "daemon/new/a.c": ('#include "base/buf.h"\n', "belongs to no room"),
    "bench/a.c": ('#include "base/buf.h"\n', "must not include base/buf.h"),
    "tests/sandbox/a.c": ('#include "base/buf.h"\n', "must not include base/buf.h"),
}
GOOD = {
    "base/secret.c": '#include "base/secret.h"\n#include <sodium.h>\n#include <unistd.h>\n',
    "proto/a.c": '#include "base/span.h"\n#include <string.h>\n/* time() stands still */\n',
    "client/cli.c": '#include "client/clerktoken.h"\n#include <stdio.h>\n',
    "client/a.c": '#include "client/clerktoken.h"\n#include "proto/wire.h"\n',
    "daemon/core/answer.c": '#include "proto/wire.h"\n#include <sodium.h>\nint mono_time(int a);\n',
    "daemon/sys/upstream.c": '#include "daemon/core/answer.h"\n#include <curl/curl.h>\n',
    "daemon/app.c": '#include "daemon/sys/loop.h"\n#include <sodium.h>\n',
    "tests/unit/a.c": '#include "daemon/core/engine.h"\n#include <cmocka.h>\n',
    "tests/sandbox/a.c": '#include "a.h"\n#include <openssl/ssl.h>\n',
    "tests/sandbox/a.h": "\n",
}

if __name__ == "__main__":
    sys.exit(lint.main(check, BAD, GOOD))
