"""Tokens from clerk-tokend, by the standard library alone: proto/PROTOCOL.md's client in an afternoon.

    client = clerktoken.Client()
    headers = {"Authorization": f"Bearer {client.get('sess_2abc', 'hasura').jwt}"}

Threads may share a client: each has a connection of its own, and so has the child after a fork().
"""
import collections
import contextlib
import os
import re
import socket
import threading
import time

LINE_MAX = (1 << 20) + 512  # bytes; more than any daemon's max_token_size
REQUEST = re.compile(r"GET ([\w-]{1,128}) (?!\.{1,2} )([\w.~-]{1,128})(?: [a-z_]+=[0-9a-f]+)+\n", re.A)
LINE = re.compile(rb"(?:\* [ -~]+\n)*(?!\* )([^\n]*)\n(.*)", re.DOTALL)  # the first that is no push
OK = re.compile(rb"OK ([\w-]+\.[\w-]+\.[\w-]+) id=([0-9a-f]{16}) exp=(\d{1,19}) ttl=(\d{1,19})( [!-~]+)*")
ERR = re.compile(rb"ERR ([a-z_]+) retry=(\d{1,19}|never) [ -~]*")
OURS = {FileNotFoundError: "no_daemon", ConnectionRefusedError: "no_daemon",
        TimeoutError: "deadline", ValueError: "deadline"}  # a timeout below 0 is a ValueError


class Error(Exception):
    """`code` is the protocol's, or one of OURS; ask again after `retry_ms`, None: never."""

    def __init__(self, code, retry_ms=None):
        super().__init__(code)
        self.code, self.retry_ms = code, retry_ms


class Token(collections.namedtuple("Token", "jwt id exp ttl_ms")):
    def __repr__(self):  # the token itself is printed by nobody who doesn't mean to
        return f"<Token id={self.id} ttl_ms={self.ttl_ms}>"


class Client:
    def __init__(self, path=None):
        own = os.environ.get("XDG_RUNTIME_DIR", "") + "/clerk-tokend/clerk-tokend.sock"
        default = own if os.path.exists(own) else "/run/clerk-tokend/clerk-tokend.sock"
        self.path = path or os.environ.get("CLERK_TOKEND_SOCKET") or default
        self.mine = threading.local()  # a connection, in the process that opened it

    def get(self, session, template="-", timeout=3.0, min_ttl=None, expires_in=None, refused=None):
        """A token, within `timeout` seconds. `refused` is the id of one that a service has refused."""
        # The wait ends before the timeout, so that the daemon's own answer comes in time.
        given = {"wait": int(timeout * 900), "min_ttl": min_ttl, "expires_in": expires_in, "not": refused}
        options = "".join(f" {name}={value}" for name, value in given.items() if value is not None)
        request, end = f"GET {session} {template}{options}\n", time.monotonic() + timeout
        if not (parts := REQUEST.fullmatch(request)) or parts.groups() != (session, template):
            raise Error("invalid_argument")
        try:
            with contextlib.suppress(ConnectionResetError):  # the daemon restarts: ask the next one
                return self._ask(vars(self.mine).pop(os.getpid(), None), request, end)
            return self._ask(None, request, end)
        except (OSError, ValueError) as error:
            raise Error(OURS.get(type(error), "io"), 0) from error

    def _ask(self, kept, request, end):  # what was kept is kept again if all goes well
        connection = kept or socket.socket(socket.AF_UNIX)
        connection.settimeout(end - time.monotonic())
        if connection is not kept:
            connection.connect(self.path)  # with a timeout: at once, or not at all
        with contextlib.suppress(BrokenPipeError):  # what the daemon said last may still be there
            connection.sendall(request.encode())
        data = b""
        while not (found := LINE.fullmatch(data)):
            connection.settimeout(end - time.monotonic())
            chunk = connection.recv(min(65536, LINE_MAX - len(data)))
            if not chunk:
                raise ConnectionResetError if len(data) < LINE_MAX else Error("protocol")
            data += chunk
        ok, err = OK.fullmatch(found[1]), ERR.fullmatch(found[1])
        if (ok or err) and not found[2]:
            vars(self.mine)[os.getpid()] = connection
        if not ok:
            code, retry = (err[1].decode(), err[2]) if err else ("protocol", b"never")
            raise Error(code, None if retry == b"never" else int(retry))
        return Token(ok[1].decode(), ok[2].decode(), int(ok[3]), int(ok[4]))
