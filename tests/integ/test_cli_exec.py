"""clerk-token exec: a program with a token in its environment."""

import os
import signal
import stat
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_daemon import CANARY, DEADLINE_S, jwt  # noqa: E402
from test_cli import DENIED, NO_DAEMON, NOT_FOUND, RETRY, USAGE, CliCase  # noqa: E402

CANT_EXECUTE, NO_COMMAND = 126, 127


class Exec(CliCase):
    def setUp(self):
        super().setUp()
        self.fake = self.serve()

    def test_environment(self):
        for words in (["sess_ok", "hasura"], ["sess_ok", "-"], ["sess_ok"]):
            token = jwt("sess_ok", words[1] if len(words) > 1 else "-")
            self.assert_prints(token + "\n", "exec", *words, "--", "printenv", "CLERK_TOKEN")

    def test_only_the_token_changes(self):
        env = self.environment(CLERK_TOKEN="an old one", OTHER="x")
        done = self.run_cli("exec", "sess_ok", "--", "env", "-0", env=env)
        seen = dict(v.split("=", 1) for v in done.stdout.rstrip("\0").split("\0"))
        self.assertEqual(seen, {**env, "CLERK_TOKEN": jwt("sess_ok", "-")})

    def test_arguments_are_the_programs(self):
        for words in (["-n", "--", "x"], ["--json", "--wait", "1s"], ["--help"], ["get", "", "a b"]):
            done = self.run_cli("exec", "sess_ok", "t", "--", sys.executable, "-c",
                                "import sys; print(sys.argv[1:])", *words)
            self.assertEqual(done.stdout, f"{words}\n", done.stderr)

    def test_not_on_a_command_line(self):
        done = self.run_cli("exec", "sess_ok", "--", "cat", "/proc/self/cmdline")
        self.assertNotIn(CANARY, done.stdout)
        self.assertEqual(done.stdout, "cat\0/proc/self/cmdline\0")

    def test_nothing_else_is_left(self):
        """No descriptor but the three, and no signal that is ignored or blocked which wasn't before."""
        done = self.run_cli("exec", "sess_ok", "--", sys.executable, "-c",
                            "import os; print(sorted(os.listdir('/proc/self/fd'))[:-1])")
        self.assertEqual(done.stdout, "['0', '1', '2']\n")
        look = ("grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status")
        before = subprocess.run(look, capture_output=True, text=True, check=True).stdout
        self.assertEqual(self.run_cli("exec", "sess_ok", "--", *look).stdout, before)
        self.assertEqual(int(before.split()[-1], 16) & 1 << signal.SIGPIPE - 1, 0)

    def test_status(self):
        for number in (0, 1, 5, 77):
            done = self.run_cli("exec", "sess_ok", "--", "sh", "-c", f"exit {number}")
            self.assertEqual((done.returncode, done.stderr), (number, ""))
        done = self.run_cli("exec", "sess_ok", "--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(done.returncode, -signal.SIGTERM)

    def test_same_process(self):
        child = subprocess.Popen(self.command("exec", "sess_ok", "--", "sh", "-c", "echo $$"),
                                 env=self.environment(), stdout=subprocess.PIPE, text=True)
        out, _ = child.communicate(timeout=DEADLINE_S)
        self.assertEqual(out, f"{child.pid}\n")

    def test_cant_run(self):
        text = self.assert_fails(NO_COMMAND, "exec", "sess_ok", "--", "no-such-program")
        self.assertIn("can't run 'no-such-program': No such file", text)
        path = Path(self.directory, "script")
        path.write_text("#!/bin/sh\n")
        self.assertIn("Permission denied", self.assert_fails(CANT_EXECUTE, "exec", "sess_ok", "--", str(path)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.assertEqual(self.run_cli("exec", "sess_ok", "--", str(path)).returncode, 0)
        self.assert_fails(CANT_EXECUTE, "exec", "sess_ok", "--", self.directory)

    def test_options(self):
        options = ["--min-ttl", "0", "--wait=70", "--expires-in", "600", "--not", "0" * 16]
        self.assertEqual(self.run_cli("exec", *options, "sess_ok", "t", "--", "true").returncode, 0)
        self.assertEqual(" ".join(self.fake.wait_for_request("GET")),
                         f"GET sess_ok t min_ttl=0 wait=70 expires_in=600 not={'0' * 16}")

    def test_no_token_no_program(self):
        mark = os.path.join(self.directory, "mark")
        for session, status in (("sess_never_denied", DENIED), ("sess_err_not_found", NOT_FOUND),
                                ("sess_err_timeout", RETRY)):
            self.assert_fails(status, "exec", session, "--", "touch", mark)
        self.fake.stop()
        self.assert_fails(NO_DAEMON, "exec", "sess_ok", "--", "touch", mark)
        self.assertFalse(os.path.exists(mark))

    def test_usage(self):
        for words in ([], ["s"], ["s", "t"], ["s", "t", "--"], ["s", "t", "true"], ["--", "true"],
                      ["s", "t", "u", "--", "true"], ["s", "--write", "f", "--", "true"]):
            with self.subTest(words):
                self.assert_fails(USAGE, "exec", *words)
        self.assertEqual(self.fake.requests, [])


if __name__ == "__main__":
    unittest.main()
