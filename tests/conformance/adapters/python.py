"""examples/clerktoken.py, for tests/conformance: see its README."""

import sys
from pathlib import Path
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))

import clerktoken  # noqa: E402

NAMES = {"not": "refused"}


def run(client, words):
    names = [unquote(w) for w in words[1:] if "=" not in w]
    options = {k: unquote(v) for k, v in (w.split("=", 1) for w in words if "=" in w)}
    timeout = int(options.pop("timeout")) / 1000
    try:
        token = client.get(*names, timeout, **{NAMES.get(k, k): v for k, v in options.items()})
    except clerktoken.Error as error:
        retry = "never" if error.retry_ms is None else error.retry_ms
        return f"error {error.code} retry={retry}"
    assert token.jwt not in repr(token) + str(token), "a token is printed"
    return f"ok {token.jwt} id={token.id}"


def main():
    client = clerktoken.Client()
    for line in sys.stdin:
        words = line.split()
        if words == ["capabilities"]:
            print("capabilities min_ttl expires_in not", flush=True)
        else:
            print(run(client, words), flush=True)


if __name__ == "__main__":
    main()
