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
SESSION = re.compile(r"[A-Za-z0-9_-]{1,128}")
TEMPLATE = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.~-]{1,128}")
OPTIONS = re.compile(r"( [a-z_]+=[0-9a-f]+)*")
LINE = re.compile(rb"(?:\* [ -~]+\n)*(?!\* )([^\n]*)\n(.*)", re.DOTALL)  # the first that is no push
OK = re.compile(rb"OK ([\w-]+\.[\w-]+\.[\w-]+) id=([0-9a-f]{16}) exp=(\d+) ttl=(\d{1,19})( [!-~]+)*")
ERR = re.compile(rb"ERR ([a-z_]+) retry=(\d{1,19}|never) [ -~]*")
OURS = {FileNotFoundError: "no_daemon", ConnectionRefusedError: "no_daemon", TimeoutError: "deadline"}


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
        given = {"min_ttl": min_ttl, "expires_in": expires_in, "not": refused}
        given["wait"] = int(timeout * 900)  # so that the daemon's own answer comes in time
        options = "".join(f" {name}={value}" for name, value in given.items() if value is not None)
        if not (SESSION.fullmatch(session) and TEMPLATE.fullmatch(template)
                and OPTIONS.fullmatch(options)):
            raise Error("invalid_argument")
        request, end = f"GET {session} {template}{options}\n".encode(), time.monotonic() + timeout
        kept = vars(self.mine).pop(os.getpid(), None)  # it comes back if all goes well
        try:
            try:
                return self._ask(kept, request, end)
            except ConnectionResetError:  # the daemon restarts; a GET changes nothing
                return self._ask(None, request, end)
        except OSError as error:
            raise Error(OURS.get(type(error), "io"), 0) from error

    def _ask(self, connection, request, end):
        if connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(left(end))
            connection.connect(self.path)
        connection.settimeout(left(end))
        with contextlib.suppress(BrokenPipeError):  # what the daemon said last may still be there
            connection.sendall(request)
        data = b""
        while not (found := LINE.fullmatch(data)):
            connection.settimeout(left(end))
            chunk = connection.recv(65536)
            if not chunk:
                raise ConnectionResetError
            data += chunk
            if len(data) > LINE_MAX:
                raise Error("protocol")
        ok, err = OK.fullmatch(found[1]), ERR.fullmatch(found[1])
        if (ok or err) and not found[2]:
            vars(self.mine)[os.getpid()] = connection
        if err:
            raise Error(err[1].decode(), None if err[2] == b"never" else int(err[2]))
        if not ok:
            raise Error("protocol")
        return Token(ok[1].decode(), ok[2].decode(), int(ok[3]), int(ok[4]))


def left(end):
    if (seconds := end - time.monotonic()) <= 0:
        raise TimeoutError
    return seconds
