"""clerk-token top: on a terminal, and for what is none."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness  # noqa: E402
from fake_daemon import DEADLINE_S  # noqa: E402
from test_cli import NO_DAEMON, OTHER, USAGE, CliCase  # noqa: E402

UP, DOWN = "\033[?1049h", "\033[?1049l"
ESCAPE = re.compile(r"\033\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\033\[[0-9;]*m")
BLOCKS = "▁▂▃▄▅▆▇█"


def stats(gets=0, hits=0, **more):
    return json.dumps({
        "gets": gets, "hits": hits, "waits": gets - hits, "errors": {"denied": 1, "timeout": 2},
        "fetches": gets - hits, "tokens": 812, "memory_bytes": 1363149, "cache_max_bytes": 256 << 20,
        "clients": 41, "max_clients": 10000, "budget": 800, "budget_allowed": 800, "budget_used": 12,
        "budget_window_ms": 10000, "version": "1.2.3", "key": "production", "key_state": "accepted",
        "clerk": "up", "cpu_ms": 5, "busiest": [
            {"id": "9f86d081884c7d65", "template": "hasura", "uses_per_minute": 123456},
            {"id": "0c6a1b2d3e4f5061", "template": "-", "uses_per_minute": 1234}], **more})


class Terminal:
    """A terminal with the program on it."""

    def __init__(self, command, env, width=80, height=24):
        self.master, slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(slave)
        self.text = ""
        self.process = subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        self.slave = slave

    def resize(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            self.text += data.decode(errors="replace")
            seconds = 0
        return self.text

    def wait_for(self, condition, what):
        end = time.monotonic() + DEADLINE_S
        while not condition(self.read()):
            if time.monotonic() > end:
                raise AssertionError(f"no {what}: {self.text!r}")

    def wait_for_text(self, text):
        self.wait_for(lambda _: text in self.page(), text)

    def page(self):
        """The last page that was drawn whole, as text."""
        pages = self.text.split("\033[H")
        pages = [p for p in pages[1:] if "\033[J" in p or p is not pages[-1]]
        return ESCAPE.sub("", pages[-1]).replace("\r", "") if pages else ""

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait(self):
        """Its status, with nothing left in the terminal."""
        end = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        self.read()
        return self.process.returncode

    def is_restored(self):
        return (self.text.count(UP) == self.text.count(DOWN) and self.text.rstrip().endswith(DOWN)
                and "\033[?25h" in self.text and termios.tcgetattr(self.slave) == self.before)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Top(CliCase):
    def setUp(self):
        super().setUp()
        self.fake = self.serve()
        self.fake.stats = stats(1000, 990)

    def environment(self, **more):
        return super().environment(**{"TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **more})

    def start(self, width=80, height=24, **env):
        terminal = Terminal(self.command("top"), self.environment(**env), width, height)
        self.addCleanup(terminal.close)
        terminal.wait_for_text("busiest")
        return terminal


class Live(Top):
    def test_page(self):
        terminal = self.start()
        self.fake.stats = stats(3000, 2980)
        terminal.wait_for(lambda text: "█" in text, "plot")
        page = terminal.page()
        for text in ("clerk-tokend 1.2.3", "Clerk up", "production key accepted", "99.3 % since the start", "12 of 800 calls in 10 s", "1.3 of 256 MiB", "812 tokens",
                     "41 of 10000", "9f86d081884c7d65              >60,000   hasura",
                     "0c6a1b2d3e4f5061                1,234   - (session token)"):
            self.assertIn(text, page)
        self.assertRegex(page, r"99.5 % of [12],\d{3} gets a second")
        lines = page.split("\n")
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        terminal.press("q")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_restored(), terminal.text[-200:])

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            terminal = self.start()
            terminal.process.send_signal(number)
            self.assertEqual(terminal.wait(), -number)
            self.assertTrue(terminal.is_restored(), terminal.text[-200:])

    def test_stopped_and_continued(self):
        terminal = self.start()
        terminal.process.send_signal(signal.SIGTSTP)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(terminal.process.pid, os.WUNTRACED)[1]))
        terminal.read()
        self.assertTrue(terminal.is_restored(), terminal.text[-200:])
        terminal.text = ""
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for_text("busiest")
        self.assertIn(UP, terminal.text)

    def test_sizes(self):
        terminal = self.start()
        for width, height in ((40, 10), (200, 60), (1, 1), (1000, 500), (80, 24)):
            terminal.text = ""
            terminal.resize(width, height)
            terminal.process.send_signal(signal.SIGWINCH)
            terminal.wait_for(lambda _, h=height: terminal.page().count("\n") in range(min(h, 14) - 1, h)
                              and terminal.page(), f"page of {width} x {height}")
            self.assertLessEqual(max(map(len, terminal.page().split("\n"))), width)
        self.assertIsNone(terminal.process.poll())

    def test_what_the_terminal_can(self):
        terminal = self.start()
        self.assertRegex(terminal.text, COLOUR)
        for env, has_colour, has_blocks in (({"NO_COLOR": "1"}, False, True), ({"LC_ALL": "C"}, True, False)):
            self.fake.stats = stats(1000, 990)
            terminal = self.start(**env)
            self.fake.stats = stats(9000, 8000)
            terminal.wait_for(lambda text: "#" in text or "█" in text, "plot")
            self.assertEqual(bool(COLOUR.search(terminal.text)), has_colour)
            self.assertEqual(any(b in terminal.text for b in BLOCKS), has_blocks)

    def test_daemon_away_and_back(self):
        terminal = self.start()
        self.fake.stop()
        terminal.wait_for_text("no answer")
        self.fake.stats = stats(10, 10)
        self.fake.start()
        terminal.wait_for_text("Clerk up")
        terminal.wait_for_text("100.0 % since the start")

    def test_trouble_with_clerk(self):
        self.fake.stats = stats(1, 1, clerk="down", clerk_reason="Clerk can't be reached",
                                budget_allowed=300, key_state="refused")
        page = self.start().page()
        for text in ("Clerk down", "Clerk can't be reached", "429s took 500", "key refused"):
            self.assertIn(text, page)

    def test_keys_nobody_knows(self):
        terminal = self.start()
        terminal.press("xyz\033[A\n")
        terminal.press("Q")
        self.assertEqual(terminal.wait(), 0)

    def test_nothing_in_stats(self):
        for text in ("{}", '{"busiest":7,"errors":[]}', '{"busiest":[{"id":"\\u001b[2J","template":3},4]}'):
            self.fake.stats = text
            terminal = self.start()
            self.assertNotIn("\033[2J", terminal.text)
            terminal.press("q")
            self.assertEqual(terminal.wait(), 0, text)


    def test_numbers_beyond_reason(self):
        for most, shown in ((2**63 - 1, " 0 tokens"), (10**14, "100,000,000,000,000 tok")):
            with self.subTest(most):
                self.check_numbers(most, shown)

    def check_numbers(self, most, shown):
        counts = {name: most for name in (
            "waits", "fetches", "tokens", "memory_bytes", "cache_max_bytes", "resident_bytes",
            "clients", "max_clients", "watches", "budget", "budget_allowed", "budget_used",
            "budget_window_ms", "slowest_ms", "cpu_ms", "evictions", "in_flight", "queued")}
        terminal = self.start()
        self.fake.stats = stats(most, most, errors={"denied": most, "timeout": most}, **counts)
        terminal.wait_for_text(shown)
        self.assertNotRegex(terminal.page(), r"-\d")
        terminal.press("q")
        self.assertEqual(terminal.wait(), 0)


class Plain(Top):
    def run_plain(self, *words, **env):
        return self.run_cli("top", *words, env=self.environment(**env))

    def check_plain(self, text):
        self.assertIn("99.0 % since the start", text)
        self.assertIn("9f86d081884c7d65", text)
        self.assertRegex(text, r"^[ -~\n]*$")
        self.assertLessEqual(max(map(len, text.split("\n"))), 80)
        self.assertTrue(text.endswith("\n"))

    def test_no_terminal(self):
        done = self.run_plain()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check_plain(done.stdout)

    def test_once_on_a_terminal(self):
        for words, env in ((["--once"], {}), ([], {"TERM": "dumb"})):
            terminal = Terminal(self.command("top", *words), self.environment(**env))
            self.addCleanup(terminal.close)
            self.assertEqual(terminal.wait(), 0)
            self.check_plain(terminal.text.replace("\r\n", "\n"))

    def test_json(self):
        done = self.run_plain("--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout), json.loads(self.fake.stats))

    def test_failures(self):
        with open("/dev/full", "w") as full:
            self.assert_fails(OTHER, "top", env=self.environment(), stdout=full)
        self.assert_fails(USAGE, "ping", "--once")
        self.fake.stop()
        self.assert_fails(NO_DAEMON, "top", env=self.environment())
        terminal = Terminal(self.command("top"), self.environment())
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.wait(), NO_DAEMON)
        self.assertNotIn("\033", terminal.text)


class Busiest(harness.Case):
    def test_real_daemon(self):
        """The one that is asked for most comes first, by the id that its token has."""
        daemon = self.daemon(self.sandbox())
        conn = self.connect(daemon)
        ids = {s: harness.Reply(conn.ask(f"GET {s} hasura")).id for s in ("sess_a", "sess_b")}
        end = time.monotonic() + DEADLINE_S
        while True:
            conn.ask("GET sess_b hasura")
            conn.ask("GET sess_b hasura")
            stats_now = json.loads(conn.ask("STATS")[3:])
            if stats_now["busiest"]:
                break
            self.assertLess(time.monotonic(), end, "no busiest key")
            time.sleep(0.02)
        first = stats_now["busiest"][0]
        self.assertEqual((first["id"], first["template"]), (ids["sess_b"], "hasura"))
        self.assertGreater(first["uses_per_minute"], 60)
        self.assertNotIn("sess_", json.dumps(stats_now))


if __name__ == "__main__":
    unittest.main()
