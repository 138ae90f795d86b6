"""Plays transcripts to a client and checks what it does. Their format: README.md.

Model: the player is the daemon's side of every connection, and the one who tells the client what to
do. It does one step of a transcript after the other; what the client sends and says meanwhile is
kept until a step asks for it, and whatever no step has asked for is a failure. Nothing is timed:
each step waits for what it needs, for so long at most.
"""

import ctypes
import fcntl
import hashlib
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import termios
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
DEADLINE_S = 10.0
DRAIN_S = 0.2  # a client that has nothing to wait for may not be reading
REQUEST_MAX = 1024
ENDLESS_MAX = 16 << 20
SMALL_LINE = 2048  # beyond it, pieces are larger
PIECE = 997
CONNECTIONS_MAX = 8  # that one client may have open
PR_SET_PDEATHSIG = 1

TOKEN_HEAD = "eyJhbGciOiJSUzI1NiJ9."
CANARY = "Y29uZm9ybWFuY2U"  # in each token: what must not be on standard error
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
STEP = re.compile(r"(\w*)(\?>|>|<<|<~|<)(?: (.*))?$")
REPORT = re.compile(r"Sanitizer|runtime error|Assertion .* failed|==ERROR|ERROR SUMMARY: [1-9]")

# What a client may say of itself, whatever a transcript is about.
UNASKED = {"HELLO": "OK clerk-tokend version=1.0.0 proto=1 max_line=66048", "PING": "OK pong",
           "TRACK": "OK", "UNWATCH": "OK"}
# The rest of a request is its caller's; how long to wait may be the client's to say.
OPTIONAL = {"wait"}

libc = ctypes.CDLL(None, use_errno=True)


class Failed(AssertionError):
    """The client does not conform."""


class Away(OSError):
    """The client has closed the connection."""


def token(name, size=0):
    body = TOKEN_HEAD + CANARY + name
    return body + "x" * (size - len(body) - len(".c2ln")) + ".c2ln"


def token_id(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def expand(text):
    """{a}: a token by its name, {a.id}: its id, {a 35000}: of that size; {x*9}; {0x0d}."""

    def value(match):
        inside = match.group(1)
        if re.fullmatch(r"0x[0-9a-f]{2}", inside):
            return chr(int(inside, 16))
        if re.fullmatch(r".\*\d+", inside):
            return inside[0] * int(inside[2:])
        name, is_id, size = re.fullmatch(r"(\w+)(\.id)?(?: (\d+))?", inside).groups()
        text = token(name, int(size or 0))
        return token_id(text) if is_id else text

    return PLACEHOLDER.sub(value, text)


class Case:
    def __init__(self, path, name):
        self.path = path
        self.name = name
        self.needs = set()
        self.steps = []  # (line number, text)


def read_cases(folder=FOLDER):
    cases = []
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if line.startswith("== "):
                cases.append(Case(path, line[3:]))
            elif line.startswith("needs "):
                cases[-1].needs |= set(line.split()[1:])
            elif line and not line.startswith("#"):
                cases[-1].steps.append((number, line))
    return cases


class Request:
    def __init__(self, connection, line):
        if len(line) + 1 > REQUEST_MAX:
            raise Failed(f"a request of {len(line) + 1} bytes: {line[:80]!r}")
        if not re.fullmatch(rb"[ -~]+", line):
            raise Failed(f"a request that is not printable ASCII: {line!r}")
        self.connection = connection
        self.words = line.decode().split(" ")
        if "" in self.words:
            raise Failed(f"a request with empty fields: {line!r}")
        self.tag = self.words.pop(0) if self.words[0].startswith("#") else None
        if self.tag and not re.fullmatch(r"#[A-Za-z0-9_.:-]{1,32}", self.tag):
            raise Failed(f"{self.tag} is no tag")

    def __str__(self):
        return " ".join(self.words)

    def fits(self, pattern):
        """The same words, and the same options in any order; more only if the client may add it."""
        wanted = pattern.split(" ")
        missing = [w for w in wanted if w not in self.words]
        extra = [w for w in self.words if w not in wanted]
        in_place = [w for w in self.words if "=" not in w] == [w for w in wanted if "=" not in w]
        return in_place and not missing and {w.split("=")[0] for w in extra} <= OPTIONAL


class Connection:
    def __init__(self, accepted):
        self.socket = accepted
        self.input = b""
        self.has_ended = False  # the client sends no more
        self.is_closed = False  # by us
        self.tracks = False

    def receive(self):
        """The lines that have come."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.has_ended = not data
        *lines, self.input = (self.input + data).split(b"\n")
        return lines

    def send(self, data, in_pieces):
        """What a client that has gone away doesn't take is lost, as it would be."""
        size = len(data)
        if in_pieces:
            size = 1 if len(data) <= SMALL_LINE else PIECE
        waits = in_pieces
        try:
            for at in range(0, len(data), size or 1):
                self.send_all(data[at:at + size])
                waits = waits and self.drain()
        except Away:
            pass

    def send_all(self, data):
        end = time.monotonic() + DEADLINE_S
        while data:
            try:
                data = data[self.socket.send(data, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT):]
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failed("the client doesn't read") from None
                select.select([], [self.socket], [], 0.01)
            except OSError as error:
                raise Away from error

    def drain(self):
        """Waits until the client has read what was sent; False if it doesn't."""
        end = time.monotonic() + DRAIN_S
        left = bytearray(4)
        while True:
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, left)
            if not any(left):
                return True
            if time.monotonic() > end:
                return False
            os.sched_yield()

    def close(self):
        if not self.is_closed:
            self.is_closed = True
            self.socket.close()


class Client:
    """The adapter's process."""

    def __init__(self, command, path, log):
        def die_with_parent():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

        env = {k: v for k, v in os.environ.items() if not k.startswith(("CLERK_", "XDG_RUNTIME"))}
        env["CLERK_TOKEND_SOCKET"] = path
        self.log = log
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            preexec_fn=die_with_parent)
        self.output = b""
        self.said = []
        self.has_ended = False

    def tell(self, line):
        try:
            self.process.stdin.write(line.encode("latin-1") + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the client has ended before: {line}") from None

    def receive(self):
        data = os.read(self.process.stdout.fileno(), 65536)
        self.has_ended = not data
        *lines, self.output = (self.output + data).split(b"\n")
        self.said += [line.decode("latin-1") for line in lines]

    def finish(self):
        """No more is asked of it: it is to end by itself, well, and without having said too much."""
        self.process.stdin.close()
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise Failed("the client doesn't end at the end of its input") from None
        if status != 0:
            raise Failed(f"the client ended with status {status}")
        if self.said:
            raise Failed(f"nothing more was to be said, not {shorten(self.said[0])}")

    def check_log(self):
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        if CANARY in text:
            raise Failed("a token is on standard error")
        if REPORT.search(text):
            raise Failed(f"on standard error: {text[:2000]}")
        return text

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass


def shorten(text):
    text = str(text)
    return text if len(text) < 200 else f"{text[:90]}[...]{text[-90:]}"


def result_fits(pattern, result):
    """The first two words are the same; and those after them that the pattern has."""
    wanted, words = pattern.split(" "), result.split(" ")
    if words[0] == "ok" and words[1:] and words[1].startswith(TOKEN_HEAD):
        wanted.append(f"id={token_id(words[1])}")
    return words[:2] == wanted[:2] and all(w in words[2:] for w in wanted[2:])


class Player:
    def __init__(self, command, in_pieces=False, deadline_s=DEADLINE_S):
        self.command = command
        self.deadline_s = deadline_s  # of a step
        self.in_pieces = in_pieces
        self.connections = []
        self.accepted = 0  # of which so many were waited for
        self.awaited = 0
        self.may_track = True
        self.requests = []  # that no step has asked for yet
        self.by_label = {}  # the request, or the connection, that a step speaks of
        self.skipped = None  # the label of a request that didn't come
        self.unsent = []  # (connection, bytes) of one piece
        self.listener = None
        self.client = None

    # What happens meanwhile

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(64)

    def pump(self, seconds):
        streams = {c.socket: c for c in self.connections if not (c.is_closed or c.has_ended)}
        readable = [*streams, *([self.listener] if self.listener else [])]
        if not self.client.has_ended:
            readable.append(self.client.process.stdout)
        ready = select.select(readable, [], [], seconds)[0]
        if self.listener in ready:
            self.connections.append(Connection(self.listener.accept()[0]))
            self.accepted += 1
        for stream in ready:
            if stream in streams:
                self.take_lines(streams[stream])
        if self.client.process.stdout in ready:
            self.client.receive()

    def take_lines(self, connection):
        for line in connection.receive():
            request = Request(connection, line)
            verb = request.words[0]
            if verb == "TRACK" and not self.may_track:
                self.answer(request, "ERR overloaded retry=1000 too many connections track")
            elif verb in UNASKED:
                self.answer(request, UNASKED[verb])
                connection.tracks = str(request) == "TRACK on" or (
                    connection.tracks and str(request) != "TRACK off")
            else:
                self.requests.append(request)
        if sum(not (c.is_closed or c.has_ended) for c in self.connections) > CONNECTIONS_MAX:
            raise Failed(f"more than {CONNECTIONS_MAX} connections")

    def answer(self, request, text):
        tag = f"{request.tag} " if request.tag else ""
        in_pieces = self.in_pieces and request.words[0] not in UNASKED  # whose answer nobody waits for
        request.connection.send((tag + text + "\n").encode(), in_pieces)

    def wait(self, condition, what):
        end = time.monotonic() + self.deadline_s
        while True:
            value = condition()
            if value:
                return value
            if self.client.has_ended and not self.client.said:
                status = self.client.process.wait(DEADLINE_S)
                raise Failed(f"the client ended with status {status}; wanted: {what}")
            if time.monotonic() > end:
                seen = [str(r) for r in self.requests] + [shorten(s) for s in self.client.said]
                raise Failed(f"not within {self.deadline_s} s: {what}; there were: {seen or 'nothing'}")
            self.pump(0.1)

    # The steps

    def play(self, case):
        """Raises Failed with the step at which the client did something else."""
        with tempfile.TemporaryDirectory(prefix="ctc-") as folder, tempfile.TemporaryFile() as log:
            self.path = f"{folder}/socket"
            self.listen()
            self.client = Client(self.command, self.path, log)
            at = case.steps[0][0] if case.steps else 0
            try:
                for at, text in case.steps:
                    self.step(text)
                at = "the end"
                self.flush()
                self.client.finish()
                self.pump(0)
                self.check_unasked()
                self.client.check_log()
            except Failed as failure:
                text = self.client.check_log()
                raise Failed(f"{case.path.name}, line {at}: {failure}"
                             + (f"\n{text[:2000]}" if text else "")) from None
            finally:
                self.end()

    def end(self):
        self.client.close()
        for connection in self.connections:
            connection.close()
        if self.listener:
            self.listener.close()

    def step(self, text):
        sigil, _, rest = text.partition(" ")
        if sigil == "$":
            self.flush()
            self.client.tell(expand(rest))
        elif sigil == "=":
            self.flush()
            self.skipped = None
            self.expect_result(rest)
        elif sigil in ("asks", "copied"):
            self.flush()
            getattr(self, "step_" + sigil)(rest)
        elif text in ("connected", "untracked", "away", "back", "endless"):
            self.flush()
            getattr(self, "step_" + text)()
        else:
            found = STEP.match(text)
            if not found:
                raise ValueError(f"no such step: {text}")
            label, kind, rest = found.groups()
            if ">" in kind:
                self.flush()
                self.expect_request(label, rest, kind == "?>")
            elif label != self.skipped:
                self.say(label, kind, rest or "")

    def expect_request(self, label, pattern, is_optional):
        wanted = expand(pattern)

        def find():
            return next((r for r in self.requests if r.fits(wanted)), None)

        self.skipped = None
        if pattern == "EOF":
            connection = self.connections_of(label)[0]
            self.wait(lambda: connection.has_ended, "the client closes the connection")
            return
        said = self.client.said
        self.wait(lambda: find() or (is_optional and said), f"> {pattern}")
        request = find()
        if request:
            self.requests.remove(request)
            self.by_label[label] = request
        else:
            self.skipped = label

    def expect_result(self, text):
        label = text.split(" ")[0] + " " if text.startswith("@") else ""
        patterns = [expand(p.strip()) for p in text[len(label):].split(" | ")]

        def find():
            return next((s for s in self.client.said if s.startswith(label)), None)

        result = self.wait(find, f"= {text}")
        self.client.said.remove(result)
        if not label:
            self.pump(0)
            self.check_unasked()
        if not any(result_fits(p, result[len(label):]) for p in patterns):
            raise Failed(f"{text} was to be said, not {shorten(result)}")

    def check_unasked(self):
        if self.requests:
            raise Failed(f"nothing more was to be sent, not {self.requests[0]}")
        for connection in self.connections:
            if connection.input and not connection.is_closed:
                raise Failed(f"part of a request was sent: {connection.input!r}")

    def connections_of(self, label):
        if label == "track":
            return [c for c in self.connections if c.tracks and not c.is_closed]
        of = self.by_label[label]
        return [of if isinstance(of, Connection) else of.connection]

    def say(self, label, kind, text):
        connections = self.connections_of(label)
        if text == "EOF":
            self.flush()
            for connection in connections:
                connection.close()
            return
        line = expand(text) + ("" if kind == "<~" else "\n")
        request = self.by_label.get(label)
        if kind != "<<" and re.match(r"(OK|ERR)\b", text) and request.tag:
            line = f"{request.tag} {line}"
        for connection in connections:
            self.unsent.append((connection, line.encode("latin-1")))

    def flush(self):
        """Lines that follow each other leave in one piece, or in pieces of a byte."""
        for connection in dict.fromkeys(c for c, _ in self.unsent):
            data = b"".join(d for c, d in self.unsent if c is connection)
            if not connection.is_closed:
                connection.send(data, self.in_pieces)
        self.unsent = []

    def step_connected(self):
        self.wait(lambda: self.accepted > self.awaited, "the client connects")
        self.awaited = self.accepted
        self.by_label[""] = self.connections[-1]

    def step_untracked(self):
        self.may_track = False

    def tell_again(self, operation):
        """True if the client asks, False if it answers with what it has."""
        self.client.tell(expand(operation))
        self.wait(lambda: self.requests or self.client.said, operation)
        if self.requests:
            return True
        if not self.client.said[0].startswith("ok "):
            raise Failed(f"{operation}: {shorten(self.client.said[0])}")
        self.client.said.clear()
        return False

    def step_copied(self, text):
        operation, reply = text.split(" | ")
        end = time.monotonic() + self.deadline_s
        while self.tell_again(operation):
            if time.monotonic() > end:
                raise Failed("no copy is handed out")
            self.answer(self.requests.pop(), expand(reply))
            self.wait(lambda: self.client.said, operation)
            self.client.said.clear()
            self.pump(0.01)  # so that it isn't asked too often

    def step_asks(self, operation):
        end = time.monotonic() + self.deadline_s
        while not self.tell_again(operation):
            if time.monotonic() > end:
                raise Failed("a copy is handed out, and no end to it")
            self.pump(0.01)

    def step_away(self):
        self.listener.close()
        self.listener = None
        os.unlink(self.path)
        for connection in self.connections:
            connection.close()

    def step_back(self):
        self.listen()

    def step_endless(self):
        connection = self.connections_of("")[0]
        try:
            for _ in range(0, ENDLESS_MAX, 65536):
                connection.send_all(b"x" * 65536)
        except Away:
            return
        raise Failed(f"the client reads a line of {ENDLESS_MAX} bytes")


def capabilities(command):
    """What an adapter says that its client can do."""
    with tempfile.TemporaryDirectory(prefix="ctc-") as folder, tempfile.TemporaryFile() as log:
        client = Client(command, f"{folder}/none", log)
        try:
            client.tell("capabilities")
            client.process.stdin.close()
            words = client.process.stdout.readline().decode().split()
        finally:
            client.close()
    if not words or words[0] != "capabilities":
        raise Failed(f"{command}: no capabilities, but {words}")
    return set(words[1:])
