"""Our clients against the transcripts, and the transcripts against a client that is none."""

import shutil
import subprocess
import sys
import unittest

import conformance
import harness

ADAPTERS = conformance.FOLDER / "adapters"
NODE_PACKAGE = harness.ROOT / "client/node/package.json"
CASES = conformance.read_cases()

# What a client without any care gets right.
NAIVE = {
    "answers": {"a token", "the plain session token", "one after the other", "a large token",
                "names as long as they may be", "fields and values of the future",
                "numbers as large as they may be", "the largest token by default"},
    "errors": {"errors that a later attempt may mend", "errors for good", "a code of the future",
               "retry at once, and as late as can be"},
    "malformed": {"a CR before the LF is no part of a token"},
    "names": {"what may be a name is one"},
}


def play(command, case, in_pieces=False, deadline_s=conformance.DEADLINE_S):
    conformance.Player(command, in_pieces, deadline_s).play(case)


class ClientCase(unittest.TestCase):
    """A subclass has a `command`, what it `can` do, and a test for each transcript that fits."""

    command = None
    can = set()

    def run_case(self, case):
        for in_pieces in (False, True):
            with self.subTest(in_pieces=in_pieces):
                play(self.command, case, in_pieces)

    def test_capabilities(self):
        self.assertEqual(conformance.capabilities(self.command), self.can)


def client(name, command, *can):
    tests = {f"test_{c.path.stem}: {c.name}": lambda self, c=c: self.run_case(c)
             for c in CASES if c.needs <= set(can)}
    return type(name, (ClientCase,), {"command": command, "can": set(can), **tests})


GET_OPTIONS = ("min_ttl", "expires_in", "not")

Sync = client("Sync", [str(harness.BUILD / "tests/conformance/sync")], "copies", "drop", "watch", *GET_OPTIONS)
Async = client("Async", [str(harness.BUILD / "tests/conformance/async")], "concurrent", "drop",
               "watch", *GET_OPTIONS)
Python = client("Python", [sys.executable, str(ADAPTERS / "python.py")], *GET_OPTIONS)
if NODE_PACKAGE.exists() and shutil.which("node"):
    Node = client("Node", ["node", str(ADAPTERS / "node.mjs")], "concurrent", "copies", "drop",
                  *GET_OPTIONS)
del ClientCase  # no client itself


# What it may get right, by chance.
UNSURE = {"full before the first request"}


class TranscriptsTest(unittest.TestCase):
    def play(self, case, *worse):
        command = [sys.executable, str(conformance.FOLDER / "naive.py"), *worse]
        play(command, case, deadline_s=1.0)  # it does without some

    def test_they_find_what_is_wrong(self):
        for case in CASES:
            if case.needs or case.name in UNSURE:
                continue
            with self.subTest(case.name):
                if case.name in NAIVE.get(case.path.stem, ()):
                    self.play(case)
                else:
                    self.assertRaises(conformance.Failed, self.play, case)

    def test_why(self):
        named = {case.name: case for case in CASES}
        for worse, name, why in (
            ("crlf", "a token", "not printable ASCII"),
            ("talks", "a token", "a token is on standard error"),
            ("dies", "a token", "ended with status -6"),
            ("", "a session that would be two requests", "nothing more was to be sent, not GET"),
            ("", "half an answer, and the rest of it late", "ok .* was to be said, not error"),
            ("", "a life below zero", "error protocol was to be said, not ok"),
        ):
            with self.subTest(worse + name):
                with self.assertRaisesRegex(conformance.Failed, why):
                    self.play(named[name], worse)

    def test_each_capability_is_needed(self):
        """What an adapter may say that its client can do is what a transcript needs."""
        readme = (conformance.FOLDER / "README.md").read_text()
        for capability in set().union(*(case.needs for case in CASES)):
            self.assertIn(f"`{capability}`", readme)


class CommandTest(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([conformance.FOLDER / "run", *arguments], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL)

    def test_a_good_client(self):
        done = self.run_it("--case", "the plain session", sys.executable, ADAPTERS / "python.py")
        self.assertEqual((done.returncode, done.stdout), (0, "1 passed, 0 failed, 0 skipped\n"))

    def test_another(self):
        done = self.run_it("--case", "two parts", sys.executable, conformance.FOLDER / "naive.py")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error protocol was to be said, not ok eyJh.eyJz", done.stdout)
        self.assertTrue(done.stdout.endswith("0 passed, 1 failed, 0 skipped\n"))


if __name__ == "__main__":
    unittest.main()
