"""A daemon that speaks the wire protocol and misbehaves as it is told, for the tests of clients.

What it does with a GET or WATCH is in the session's name:

    sess_ok             a token
    sess_err_CODE       ERR CODE retry=1500
    sess_never_CODE     ERR CODE retry=never
    sess_silent         no answer
    sess_close          the connection is closed instead of an answer
    sess_drip           a token, byte by byte
    sess_huge           a line that never ends
    sess_garbage        something that is no reply
    sess_noise          pushes and fields that nobody knows, and a token

    with FakeDaemon(path) as daemon:
        ...
        daemon.wait_for_request("WATCH")
        daemon.push("sess_ok", "-", state="due")
        daemon.restart()
"""

import contextlib
import hashlib
import os
import socket
import threading

DEADLINE_S = 10.0

# The tests look for it where it must not be.
CANARY = "Y2FuYXJ5"


def jwt(session, template, serial=0):
    return f"eyJhbGciOiJSUzI1NiJ9.{CANARY}{session}_{template.replace('.', '_')}{serial}.c2ln"


def token_id(token):
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def token_fields(token, ttl=55000, reuse=2000, state="fresh"):
    return f"{token} id={token_id(token)} exp=2000000000 ttl={ttl} reuse={reuse} state={state}"


class Connection:
    def __init__(self, daemon, sock):
        self.daemon = daemon
        self.sock = sock
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def send(self, text):
        with self.lock:
            self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def serve(self):
        with contextlib.suppress(OSError):
            for line in self.sock.makefile("r", newline="\n"):
                if not self.take(line.rstrip("\n").split(" ")):
                    break
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def take(self, words):
        tag = words.pop(0) + " " if words[0].startswith("#") else ""
        again = self.answer(tag, *words)
        self.daemon.note(self, words)
        return again

    def answer(self, tag, verb, session="", template="-", *_options):
        simple = {
            "PING": "OK pong",
            "STATS": f"OK {self.daemon.stats}",
            "DROP": "OK dropped=2",
            "FLUSH": "OK dropped=12",
            "WHY": f"OK {self.daemon.why}",
        }
        if self.daemon.denied is not None and verb == self.daemon.denied:
            self.send(f"{tag}ERR denied retry=never administrators only\n")
        elif verb in simple:
            self.send(f"{tag}{simple[verb]}\n")
        else:
            return self.answer_token(tag, session, template)
        return True

    def answer_token(self, tag, session, template):
        fields = token_fields(jwt(session, template)) + " src=cache"
        kind, _, code = session.removeprefix("sess_").partition("_")
        if kind == "err":
            self.send(f"{tag}ERR {code} retry=1500 as it was told\n")
        elif kind == "never":
            self.send(f"{tag}ERR {code} retry=never as it was told\n")
        elif kind == "garbage":
            self.send("HTTP/1.1 400 Bad Request\r\n")
        elif kind == "noise":
            self.send(f"* NEWS x y\n* DROP s *\n{tag}OK {fields} more=fields of the future\n")
        elif kind == "drip":
            for byte in f"{tag}OK {fields}\n".encode():
                self.send(bytes((byte,)))
        elif kind == "huge":
            while True:
                self.send("x" * 65536)
        elif kind == "close":
            return False
        elif kind != "silent":
            self.send(f"{tag}OK {fields}\n")
        return True


class FakeDaemon:
    def __init__(self, path, mode=0o666):
        self.path = str(path)
        self.mode = mode
        self.denied = None  # a verb that is answered with ERR denied
        self.stats = '{"clients": 1, "hits": 2}'
        self.why = "allowed because=no_rules admin=no"
        self.requests = []  # each a list of words, without its tag
        self.serial = 0
        self.condition = threading.Condition()
        self.connections = []
        self.watchers = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chmod(self.path, self.mode)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = Connection(self, sock)
            with self.condition:
                self.connections.append(connection)
            connection.thread.start()

    def stop(self):
        """May be called twice."""
        if not os.path.exists(self.path):
            return
        os.unlink(self.path)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        with self.condition:
            connections, self.connections = self.connections, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.thread.join()
        # Only now: a connection may note its last request after its answer has been read.
        with self.condition:
            self.watchers.clear()
            self.requests.clear()

    def restart(self):
        self.stop()
        self.start()

    def note(self, connection, words):
        with self.condition:
            self.requests.append(words)
            if words[0] == "WATCH":
                self.watchers.append(connection)
            self.condition.notify_all()

    def wait_for_request(self, verb):
        """The words of the first request with that verb, once it is answered."""
        with self.condition:
            found = lambda: next((r for r in self.requests if r[0] == verb), None)
            if not self.condition.wait_for(found, DEADLINE_S):
                raise AssertionError(f"no {verb} has come")
            return found()

    def push(self, session, template, **fields):
        """Pushes a new token to each watcher, and returns it."""
        with self.condition:
            self.serial += 1
            token = jwt(session, template, self.serial)
            watchers = list(self.watchers)
        for watcher in watchers:
            watcher.send(f"* TOKEN {session} {template} {token_fields(token, **fields)}\n")
        return token

    def push_gone(self, session, template, code):
        with self.condition:
            watchers = list(self.watchers)
        for watcher in watchers:
            watcher.send(f"* GONE {session} {template} {code}\n")
