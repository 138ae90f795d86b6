"""The client that everybody writes first, to show that the transcripts find what is wrong with it.

An argument makes it worse: "crlf", "talks" (the token goes to standard error), "dies".
"""

import os
import socket
import sys
from urllib.parse import unquote

WORSE = sys.argv[1:]


def connect(timeout_ms):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_ms / 1000)
    connection.connect(os.environ["CLERK_TOKEND_SOCKET"])
    return connection.makefile("rw", newline="")


def get(stream, session, template):
    stream.write(f"GET {session} {template}" + ("\r\n" if "crlf" in WORSE else "\n"))
    stream.flush()
    reply = stream.readline().split()
    if "talks" in WORSE:
        print(reply, file=sys.stderr)
    if "dies" in WORSE:
        os.abort()
    return f"ok {reply[1]} {reply[2]}" if reply[0] == "OK" else f"error {reply[1]} {reply[2]}"


def main():
    stream = None
    for line in sys.stdin:
        words = [unquote(w) for w in line.split()]
        try:
            if words == ["capabilities"]:
                result = "capabilities"
            else:
                stream = stream or connect(int(words[3].split("=")[1]))
                result = get(stream, *words[1:3])
        except TimeoutError:
            result = "error deadline"
        except Exception:  # pylint: disable=broad-except
            result = "error io"
        print(result, flush=True)


if __name__ == "__main__":
    main()
