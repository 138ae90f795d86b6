"""The command line client against a daemon that misbehaves as it is told."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_daemon import CANARY, DEADLINE_S, FakeDaemon, jwt, token_id  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
NOBODY = 65534

OTHER, USAGE, NOT_FOUND, DENIED, RETRY, NO_DAEMON = 1, 2, 3, 4, 5, 6

STATUS_OF_CODE = {
    "bad_request": OTHER,
    "too_long": OTHER,
    "unknown_command": OTHER,
    "unsupported": OTHER,
    "denied": DENIED,
    "not_found": NOT_FOUND,
    "unauthorized": DENIED,
    "forbidden": DENIED,
    "rejected": RETRY,
    "rate_limited": RETRY,
    "unavailable": RETRY,
    "bad_upstream": RETRY,
    "timeout": RETRY,
    "short_lived": OTHER,
    "overloaded": RETRY,
    "shutting_down": RETRY,
    "internal": OTHER,
}
PERMANENT = {"bad_request", "too_long", "unknown_command", "unsupported", "denied", "short_lived"}


class CliCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="test_cli_")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        self.socket = f"{self.directory}/socket"

    def serve(self, **options):
        daemon = FakeDaemon(self.socket, **options)
        daemon.start()
        self.addCleanup(daemon.stop)
        return daemon

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLERK", "XDG_RUNTIME"))}
        return {**kept, "CLERK_TOKEND_SOCKET": self.socket, **more}

    def command(self, *arguments):
        return [str(BUILD / "clerk-token"), *arguments]

    def check_stderr(self, text):
        self.assertNotIn(CANARY, text)
        for report in ("Sanitizer", "runtime error", "==ERROR"):
            self.assertNotIn(report, text)

    def run_cli(self, *arguments, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=6 * DEADLINE_S,
            **options,
        )
        self.check_stderr(done.stderr)
        return done

    def assert_fails(self, status, *arguments, **options):
        done = self.run_cli(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout or ""), (status, ""), done.stderr)
        self.assertTrue(done.stderr.startswith("clerk-token: "), done.stderr)
        return done.stderr

    def assert_prints(self, text, *arguments, **options):
        done = self.run_cli(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, text, ""))


class Get(CliCase):
    def test_token_alone(self):
        self.serve()
        self.assert_prints(jwt("sess_ok", "-") + "\n", "get", "sess_ok")
        self.assert_prints(jwt("sess_ok", "-") + "\n", "get", "sess_ok", "-")
        self.assert_prints(jwt("sess_ok", "a.b") + "\n", "get", "sess_ok", "a.b")
        self.assert_prints(jwt("-s", "t") + "\n", "get", "--", "-s", "t")

    def test_json(self):
        self.serve()
        token = jwt("sess_ok", "hasura")
        done = self.run_cli("get", "--json", "sess_ok", "hasura")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        answer = json.loads(done.stdout)
        ttl, reuse = answer.pop("ttl_ms"), answer.pop("reuse_ms")
        self.assertEqual(
            answer,
            {
                "jwt": token,
                "id": token_id(token),
                "exp": 2000000000,
                "state": "fresh",
                "source": "cache",
            },
        )
        self.assertTrue(55000 - 1000 * DEADLINE_S < ttl <= 55000)
        self.assertTrue(0 <= reuse <= 2000)

    def test_request(self):
        daemon = self.serve()
        options = ["--min-ttl", "0", "--wait=70", "--expires-in", "600", "--not", "0" * 16]
        for words in (
            [*options, "get", "sess_ok", "t"],
            ["get", "sess_ok", "t", *options],
            ["get", *options[:3], "sess_ok", *options[3:], "t"],
        ):
            daemon.requests.clear()
            self.assertEqual(self.run_cli(*words).returncode, 0)
            self.assertEqual(
                " ".join(daemon.wait_for_request("GET")),
                f"GET sess_ok t min_ttl=0 wait=70 expires_in=600 not={'0' * 16}",
            )

    def test_wait_by_default(self):
        daemon = self.serve()
        self.assertEqual(self.run_cli("get", "sess_ok").returncode, 0)
        wait = daemon.wait_for_request("GET")[3]
        self.assertRegex(wait, "^wait=4[0-9]{3}$")

    def test_statuses(self):
        self.serve()
        for code, status in STATUS_OF_CODE.items():
            with self.subTest(code):
                kind = "never" if code in PERMANENT else "err"
                text = self.assert_fails(status, "get", f"sess_{kind}_{code}")
                self.assertIn(f"{code}: as it was told", text)
                self.assertEqual("again in 1500 ms" in text, status == RETRY)
        self.assert_fails(OTHER, "get", "sess_never_rejected")
        self.assert_fails(RETRY, "get", "sess_err_of_the_future")
        self.assert_fails(OTHER, "get", "sess_never_of_the_future")

    def test_odd_replies(self):
        self.serve()
        self.assert_prints(jwt("sess_drip", "-") + "\n", "get", "sess_drip")
        self.assert_prints(jwt("sess_noise", "-") + "\n", "get", "sess_noise")
        self.assert_fails(OTHER, "get", "sess_garbage")
        self.assert_fails(OTHER, "get", "sess_huge")
        self.assert_fails(RETRY, "get", "sess_close")

    def test_deadline(self):
        self.serve()
        start = time.monotonic()
        self.assert_fails(RETRY, "get", "sess_silent", "--wait", "50")
        self.assertTrue(1.0 <= time.monotonic() - start < DEADLINE_S)


class Others(CliCase):
    def test_outputs(self):
        daemon = self.serve()
        self.assert_prints("pong\n", "ping")
        self.assert_prints('{"pong":true}\n', "ping", "--json")
        self.assert_prints("dropped=2\n", "drop", "s")
        self.assertEqual(daemon.wait_for_request("DROP"), ["DROP", "s"])
        daemon.requests.clear()
        self.assert_prints('{"dropped":2}\n', "drop", "s", "-", "--json")
        self.assertEqual(daemon.wait_for_request("DROP"), ["DROP", "s", "-"])
        self.assert_prints("dropped=12\n", "flush")
        self.assert_prints('{"clients": 1, "hits": 2}\n', "stats")
        self.assert_prints('{"clients": 1, "hits": 2}\n', "stats", "--json")

    def test_denied(self):
        self.serve().denied = "FLUSH"
        self.assertIn("administrators only", self.assert_fails(DENIED, "flush"))

    def test_help(self):
        done = self.run_cli("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("get SESSION [TEMPLATE]", done.stdout)
        done = self.run_cli("get", "--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^clerk-token [0-9]+\.[0-9]+\.[0-9]+\S*\n$")

    def test_usage(self):
        self.serve()
        for words in (
            [],
            ["frobnicate"],
            ["get"],
            ["get", "s", "t", "u"],
            ["ping", "s"],
            ["--frobnicate", "ping"],
            ["-x", "ping"],
            ["get", "s", "--wait"],
            ["get", "s", "--wait", "1s"],
            ["get", "s", "--wait", "-1"],
            ["get", "s", "--wait", "3600001"],
            ["get", "s", "--wait", "2147483647"],
            ["get", "s", "--min-ttl", ""],
            ["get", "s", "--min-ttl", "99999999999999999999"],
            ["get", "s", "--expires-in", "29"],
            ["get", "s", "--expires-in", "0"],
            ["get", "s", "--not", "abc"],
            ["get", "a b"],
            ["get", ""],
            ["get", "s\nFLUSH"],
            ["get", "s", ".."],
            ["drop", "s", "t/u"],
            ["ping", "--wait", "3"],
            ["ping", "--socket", "a" * 108],
        ):
            with self.subTest(words):
                self.assert_fails(USAGE, *words)


class Messages(CliCase):
    def test_did_you_mean(self):
        for words, meant in (
            (["gte", "s"], "get"),
            (["statsu"], "stats"),
            (["exce", "s"], "exec"),
            (["get", "s", "--wiat", "3"], "--wait"),
            (["get", "s", "--min-tll=3"], "--min-ttl"),
        ):
            with self.subTest(words):
                self.assertIn(f"did you mean {meant}?", self.assert_fails(USAGE, *words))
        for words in (["frobnicate"], ["x"], ["get", "s", "--frobnicate"], ["a" * 1000]):
            self.assertNotIn("did you mean", self.assert_fails(USAGE, *words))

    def test_option_of_another_command(self):
        self.assertIn("ping doesn't have this option: --wait", self.assert_fails(USAGE, "ping", "--wait", "3"))
        self.assert_fails(USAGE, "get", "s", "--uid", "0")
        self.assert_fails(USAGE, "get", "s", "--write", "f")

    def fails_as_json(self, status, *words, **options):
        done = self.run_cli(*words, **options)
        self.assertEqual((done.returncode, done.stdout or ""), (status, ""), done.stderr)
        return json.loads(done.stderr)

    def test_json(self):
        self.assertEqual(self.fails_as_json(NO_DAEMON, "ping", "--json")["error"], "no_daemon")
        self.serve()
        answer = self.fails_as_json(RETRY, "get", "sess_err_rate_limited", "--json")
        self.assertEqual((answer["error"], answer["retry_ms"]), ("rate_limited", 1500))
        self.assertEqual(answer["text"], "as it was told")
        self.assertIn("clerk-token doctor", answer["advice"])
        answer = self.fails_as_json(DENIED, "--json", "exec", "sess_never_denied", "--", "true")
        self.assertEqual((answer["error"], answer["retry_ms"]), ("denied", None))

    def test_json_of_mistakes(self):
        for words in (
            ["--json"],
            ["--json", 'gte"\\\n\x1b'],
            ["get", "--frobnicate", "--json"],
            ["get", "s", "--wait", "1s", "--json"],
            ["get", "a b", "--json"],
            ["--json", "l\u00f6sche", "\U0001f511"],
            ["--json", b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82".decode(errors="surrogateescape")],
        ):
            with self.subTest(words):
                answer = self.fails_as_json(USAGE, *words)
                self.assertIn(answer["error"], ("usage", "invalid_argument"))
                self.assertIn("--help", answer["advice"])
        self.assertIn("l\u00f6sche", self.fails_as_json(USAGE, "--json", "l\u00f6sche")["text"])
        with open("/dev/full", "w") as full:
            self.serve()
            answer = self.fails_as_json(OTHER, "ping", "--json", stdout=full)
        self.assertEqual(answer["error"], "output")

    def test_json_of_why(self):
        daemon = self.serve()
        daemon.why = 'allowed because=a"b\\ admin=no file=x\\ line=1,"x":2 rule=allow uid="0"'
        self.assertEqual(json.loads(self.run_cli("why", "s", "--json").stdout),
                         {"allowed": True, "because": 'a"b\\', "admin": False, "file": "x\\", "line": 0,
                          "rule": 'allow uid="0"'})

    def test_advice(self):
        """Whatever goes wrong, there is something to do, and what it names is there."""
        self.serve()
        commands = re.findall(r"^  ([a-z]+)\b", self.run_cli("--help").stdout, re.MULTILINE)
        for code in STATUS_OF_CODE:
            answer = self.fails_as_json(
                STATUS_OF_CODE[code], "get", f"sess_err_{code}" if code not in PERMANENT else f"sess_never_{code}",
                "--json")
            for named in re.findall(r"clerk-token ([a-z]+)", answer.get("advice", "")):
                self.assertIn(named, commands)
            if code not in ("bad_request", "too_long", "unsupported", "shutting_down"):
                self.assertIn("advice", answer, code)


class Socket(CliCase):
    def test_no_daemon(self):
        text = self.assert_fails(NO_DAEMON, "ping")
        self.assertIn(self.socket, text)
        self.assertIn("systemctl start clerk-tokend.socket", text)

    def test_nobody_listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
            left_behind.bind(self.socket)
        self.assertIn("refused", self.assert_fails(NO_DAEMON, "ping"))

    def test_no_socket(self):
        Path(self.socket).write_text("")
        self.assert_fails(NO_DAEMON, "ping")
        self.assert_fails(NO_DAEMON, "ping", "--socket", self.socket + "/below")

    def test_search(self):
        runtime = Path(self.directory)
        (runtime / "clerk-tokend").mkdir()
        own = runtime / "clerk-tokend" / "clerk-tokend.sock"
        with FakeDaemon(own):
            env = self.environment(XDG_RUNTIME_DIR=str(runtime))
            self.assertIn(self.socket, self.assert_fails(NO_DAEMON, "ping", env=env))
            env["CLERK_TOKEND_SOCKET"] = ""
            self.assert_prints("pong\n", "ping", env=env)
            self.assert_fails(NO_DAEMON, "ping", "--socket", self.socket, env=env)
        env["CLERK_TOKEND_SOCKET"] = str(own)
        self.assertIn(str(own), self.assert_fails(NO_DAEMON, "ping", env=env))

    def test_mode(self):
        options = {}
        if os.getuid() == 0:
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            if not all(p.stat().st_mode & 1 for p in (BUILD, *BUILD.parents)):
                self.skipTest("others can't reach the program")
        self.serve(mode=0o020)
        text = self.assert_fails(DENIED, "ping", **options)
        self.assertIn("Members of the group", text)
        os.chmod(self.socket, 0)
        self.assertIn("Only its owner", self.assert_fails(DENIED, "ping", **options))
        os.chmod(self.directory, 0)
        self.assertIn("can't be searched", self.assert_fails(DENIED, "ping", **options))
        os.chmod(self.directory, 0o755)


class Output(CliCase):
    def test_full(self):
        self.serve()
        with open("/dev/full", "w") as full:
            for words in (["get", "sess_ok"], ["stats"], ["--help"], ["watch", "sess_ok"]):
                text = self.assert_fails(OTHER, *words, stdout=full)
                self.assertIn("standard output", text)

    def test_pipe(self):
        self.serve()
        reading, writing = os.pipe()
        os.close(reading)
        try:
            text = self.assert_fails(OTHER, "get", "sess_ok", stdout=writing)
        finally:
            os.close(writing)
        self.assertIn("standard output", text)

    def test_closed(self):
        daemon = self.serve()
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" >&-', *self.command("get", "sess_ok")],
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
        )
        self.assertEqual(done.returncode, OTHER)
        self.assertEqual(daemon.requests, [])
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" <&- 2>&-', *self.command("get", "sess_ok")],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
        )
        self.assertEqual((done.returncode, done.stdout), (0, jwt("sess_ok", "-") + "\n"))


class Watch(CliCase):
    def start(self, *words):
        child = subprocess.Popen(
            self.command("watch", *words),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        timer = threading.Timer(3 * DEADLINE_S, child.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def test_tokens(self):
        daemon = self.serve()
        child = self.start("sess_ok", "t")
        self.assertEqual(child.stdout.readline(), jwt("sess_ok", "t") + "\n")
        daemon.wait_for_request("WATCH")
        for _ in range(3):
            token = daemon.push("sess_ok", "t")
            self.assertEqual(child.stdout.readline(), token + "\n")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(), -signal.SIGTERM)

    def test_json(self):
        daemon = self.serve()
        child = self.start("sess_ok", "--json")
        self.assertEqual(json.loads(child.stdout.readline())["jwt"], jwt("sess_ok", "-"))
        daemon.wait_for_request("WATCH")
        token = daemon.push("sess_ok", "-", state="due")
        answer = json.loads(child.stdout.readline())
        self.assertEqual(
            (answer["jwt"], answer["state"], answer["source"]), (token, "due", "push")
        )

    def test_gone(self):
        daemon = self.serve()
        for code, status in (
            ("not_found", NOT_FOUND),
            ("denied", DENIED),
            ("unavailable", RETRY),
            ("rejected", OTHER),
            ("of_the_future", OTHER),
        ):
            with self.subTest(code):
                daemon.restart()
                child = self.start("sess_ok")
                daemon.wait_for_request("WATCH")
                daemon.push_gone("sess_ok", "-", code)
                text = child.stderr.read()
                self.check_stderr(text)
                self.assertEqual(child.wait(), status, text)

    def test_restart(self):
        daemon = self.serve()
        child = self.start("sess_ok")
        self.assertEqual(child.stdout.readline(), jwt("sess_ok", "-") + "\n")
        daemon.restart()
        daemon.wait_for_request("WATCH")
        token = daemon.push("sess_ok", "-")
        self.assertEqual(child.stdout.readline(), token + "\n")  # the first one isn't repeated

    def test_first_fails(self):
        self.serve()
        self.assert_fails(NOT_FOUND, "watch", "sess_err_not_found")
        self.assert_fails(RETRY, "watch", "sess_err_unavailable")
        self.assert_fails(OTHER, "watch", "sess_garbage")

    def test_reader_gone(self):
        daemon = self.serve()
        child = self.start("sess_ok")
        child.stdout.readline()
        child.stdout.close()
        daemon.wait_for_request("WATCH")
        daemon.push("sess_ok", "-")
        self.assertIn("standard output", child.stderr.read())
        self.assertEqual(child.wait(), OTHER)


class Examples(CliCase):
    @unittest.skipUnless(shutil.which("nc"), "nc is missing")
    def test_shell(self):
        self.serve()
        script = str(ROOT / "examples" / "get.sh")
        for session, status, out in (
            ("sess_ok", 0, jwt("sess_ok", "-") + "\n"),
            ("sess_never_denied", 1, ""),
        ):
            done = subprocess.run(
                ["sh", script, session],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                timeout=DEADLINE_S,
            )
            self.assertEqual((done.returncode, done.stdout), (status, out), done.stderr)


if __name__ == "__main__":
    unittest.main()
