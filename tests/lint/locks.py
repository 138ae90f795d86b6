#!/usr/bin/env python3
"""npm's lock files pin what is installed, by its hash, and leave open where it is downloaded.

An address would be that of whoever wrote the file: a mirror, or a cache in somebody's network.
"""

import json
import sys

import lint

LOCK = "package-lock.json"


def check(root):
    findings = []
    for room in lint.ROOMS:
        for path in sorted((root / room).rglob(LOCK)):
            name = path.relative_to(root)
            if lint.SKIPPED & set(name.parts):
                continue
            packages = json.loads(path.read_text())["packages"]
            for package, pinned in packages.items():
                if "resolved" in pinned:
                    findings.append(f"{name}: {package} has an address: {pinned['resolved']}")
                if package and "integrity" not in pinned:
                    findings.append(f"{name}: {package} has no hash")
    return findings


def lock(**members):
    return json.dumps({"packages": {"": {"name": "a"}, "node_modules/b": members}})


BAD = {
    f"examples/a/{LOCK}": (lock(integrity="sha512-", resolved="https://b"), "has an address"),
    f"client/{LOCK}": (lock(version="1"), "has no hash"),
}
GOOD = {
    f"examples/a/{LOCK}": lock(integrity="sha512-"),
    f"examples/a/node_modules/b/{LOCK}": lock(resolved="https://b"),
}

if __name__ == "__main__":
    sys.exit(lint.main(check, BAD, GOOD))
