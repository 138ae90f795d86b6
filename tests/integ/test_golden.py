"""The transcripts of tests/golden, played to a real daemon. Their format: tests/golden/README.md."""

import json
import re
import unittest

import harness

GOLDEN = harness.ROOT / "tests/golden"

# What a name in braces stands for.
KINDS = {
    "jwt": r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    "id": r"[0-9a-f]{16}",
    "unix": r"[0-9]{10,11}",
    "ms": r"[0-9]{1,15}",
    "n": r"[0-9]{1,15}",
    "text": r"[ -~]+",
    "json": r"\{[ -~]*\}",
    "version": r"[0-9]+\.[0-9]+\.[0-9]+[0-9a-z.+~-]*",
}
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Names:
    """The values that have a name: the same where it is the same, different where it differs."""

    def __init__(self):
        self.values = {}

    def learn(self, name, value):
        kind = name.split(":")[0]
        if self.values.setdefault(name, value) != value:
            raise AssertionError(f"{name} is {self.values[name]}, not {value}")
        for other, its in self.values.items():
            if kind in ("jwt", "id") and other.split(":")[0] == kind and other != name:
                if its == value:
                    raise AssertionError(f"{name} is the same as {other}: {value}")


def expand_request(text, names):
    def value(match):
        inside = match.group(1)
        if inside in names.values:
            return names.values[inside]
        if inside.startswith("0x"):
            return chr(int(inside, 16))
        return inside[0] * int(inside[2:])

    return PLACEHOLDER.sub(value, text)


def match_reply(pattern, line, names):
    """True if the line is such a reply; its values are learnt then."""
    expression, wanted, last = "", [], 0
    for match in PLACEHOLDER.finditer(pattern):
        kind, _, name = match.group(1).partition(":")
        expression += re.escape(pattern[last:match.start()]) + f"({KINDS[kind]})"
        wanted.append(match.group(1) if name else None)
        last = match.end()
    found = re.fullmatch(expression + re.escape(pattern[last:]), line)
    if not found:
        return False
    for name, value in zip(wanted, found.groups()):
        if name:
            names.learn(name, value)
    return True


def stream_of(line):
    """Lines of one stream come in order: the pushes, the untagged replies, each tag."""
    return "*" if line.startswith("* ") else line.split(" ")[0] if line.startswith("#") else ""


class Player:
    def __init__(self, sandbox, daemon):
        self.sandbox = sandbox
        self.daemon = daemon
        self.names = Names()
        self.conn = None
        self.to_send = ""
        self.expected = []
        self.closed = False

    def play(self, path):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            try:
                self.play_line(line)
            except Exception as error:
                raise AssertionError(f"{path.name}, at or before line {number}: {error}") from error

    def play_line(self, line):
        if line.startswith("#"):
            return
        if not line.startswith("<"):
            self.receive()
        if not line.startswith("> ") and line != ">" or line == "> EOF":
            self.flush()
        if line == "":
            self.end_connection()
        elif line.startswith("! "):
            body, path = line[2:].rsplit(" ", 1)
            self.sandbox.call("POST", path, json.loads(body))
        elif line == "> EOF":
            self.open()
            self.conn.shut_write()
        elif line.startswith(">~ "):
            self.to_send = expand_request(line[3:], self.names)
            self.flush()
        elif line.startswith(">"):
            self.to_send += expand_request(line[2:], self.names) + "\n"
        elif line == "< EOF":
            self.receive()
            self.conn.expect_eof()
            self.closed = True
        elif line.startswith("< "):
            self.expected.append(line[2:])
        else:
            raise AssertionError(f"no such line: {line}")

    def open(self):
        if not self.conn:
            self.conn = self.daemon.connect()
            self.closed = False

    def flush(self):
        if not self.to_send:
            return
        self.open()
        try:
            self.conn.send(self.to_send)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the daemon may close before all was sent
        self.to_send = ""

    def receive(self):
        """Reads as many lines as are expected, each the next one of its stream."""
        self.flush()
        expected, self.expected = self.expected, []
        while expected:
            line = self.conn.line()
            pattern = next((e for e in expected if stream_of(e) == stream_of(line)), None)
            if pattern is None or not match_reply(pattern, line, self.names):
                raise AssertionError(f"{pattern or expected} was expected, not {line[:300]}")
            expected.remove(pattern)

    def end_connection(self):
        if self.conn and not self.closed:
            reply = self.conn.ask("#end PING")
            if reply != "#end OK pong":
                raise AssertionError(f"nothing more was expected, not {reply[:300]}")
        if self.conn:
            self.conn.close()
        self.conn = None


class GoldenTest(harness.Case):
    def play(self, name):
        sandbox = self.sandbox()
        player = Player(sandbox, self.daemon(sandbox))
        try:
            player.play(GOLDEN / name)
        finally:
            if player.conn:
                player.conn.close()


def add_tests():
    for path in sorted(GOLDEN.glob("*.txt")):
        name = "test_" + path.stem.replace("-", "_")
        setattr(GoldenTest, name, lambda self, file=path.name: self.play(file))


add_tests()

if __name__ == "__main__":
    unittest.main()
