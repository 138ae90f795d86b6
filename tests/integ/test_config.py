"""Every key of the configuration with every kind of wrong value, the files in every wrong mode: at a
start each ends with status 78, at a reload with what was there before; each is named with its file
and line."""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

import harness

EX_CONFIG = 78
DAEMON = harness.BUILD / "clerk-tokend"
KEY_TABLE = harness.ROOT / "daemon/core/configkey.c"

DURATIONS = ["", "5", "-1s", "5 s", "5S", "5sec", "5d", "1.5s", "s", "1s1s", "0x5s", "99999999h",
             "99999999999999999999s", "on", "5s,", "five"]
SIZES = ["", "256", "256X", "-1M", "1.5M", "M", "1 M", "1m", "99999999999G", "1MM", "99999999999999M"]
COUNTS = ["", "0", "-1", "1.5", "many", "1k", "0x10", "99999999", "99999999999999999999", "8 8"]
PERCENTS = ["", "0%", "101%", "80", "-1%", "80.5%", "%", "80 %", "80%%", "all"]
PATHS = ["", "relative", "./x", "~/x", "/"]
ADDRESSES = ["", "on", "everywhere", "9090", ":9090", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0x50",
             "127.0.0.1:99999", "127.0.0.1:-1", "localhost:80:80", "unix:", "unix:relative",
             "http://127.0.0.1:80", "a.b:80"]
OF_OTHERS = ["0.0.0.0:9090", "10.0.0.1:9090", "[::]:9090"]

# Of each key: what it must not be.
WRONG = {
    "clerk": {
        "api_url": ["", "api.clerk.com", "http://api.clerk.com", "http://10.0.0.1", "ftp://127.0.0.1",
                    "https://", "https:///x", "https://u:p@a.b", "https://a.b/?q=1", "https://a.b/#f",
                    "https://a.b:99999", "https://a b", "http://127.0.0.1.a.b", "http://[::2]"],
        "api_version": ["", "yesterday", "2025-1-1", "20251110", "2025-11-10\"", "2025/11/10"],
        "secret_key_file": PATHS,
        "webhook_secret_file": PATHS,
        "ca_file": PATHS,
        "connect_timeout": DURATIONS + ["0", "9ms", "11m"],
        "request_timeout": DURATIONS + ["0", "9ms", "11m"],
        "max_connections": COUNTS + ["257"],
        "rate_limit": ["", "100", "0/10s", "100/0s", "100/10", "/10s", "100/", "-1/10s", "100/10s/1s",
                       "100001/10s", "100/2h", "1e3/10s", "off", "100 / 10s"],
        "budget": PERCENTS,
    },
    "cache": {
        "max_memory": SIZES + ["0", "1023K", "1025G"],
        "max_token_size": SIZES + ["0", "1023", "2M"],
        "refresh_at": PERCENTS + ["100%"],
        "renew_idle": DURATIONS + ["721h", "off"],
        "min_ttl": DURATIONS + ["25h"],
        "negative_ttl": DURATIONS + ["61m"],
        "default_wait": DURATIONS + ["61m"],
    },
    "listen": {
        "socket": PATHS + ["/" + "x" * 107, "unix:/run/x"],
        "socket_mode": ["", "0888", "1777", "0o660", "rw-rw----", "66", "00660", "-660",
                        "0660 0660"],
        "socket_group": ["", "-adm", "a b", "a:b", "x" * 33, "../x"],
        "max_clients": COUNTS + ["1000001"],
        "http": ADDRESSES + OF_OTHERS,
        "metrics": ADDRESSES + OF_OTHERS,
        "webhooks": ADDRESSES,
    },
    "log": {
        "level": ["", "err", "warn", "trace", "INFO", "7", "debug,info"],
        "audit": ["", "yes", "true", "1", "ON", "onn"],
    },
    "access": {
        key: ["", "hello", "uid=", "=x", "user=x", "uid=no-such-user-here", "gid=no-such-group-here",
              "uid=4294967296", "uid=1 uid=2", "unit=web", "template=a/b", "* uid=1"]
        for key in ("allow", "deny", "admin")
    },
}
# What only one kind of rule refuses.
WRONG["access"]["admin"] = WRONG["access"]["admin"] + ["uid=0 session=sess_1", "uid=0 template=a"]

# What is no key at all, and in which line that is.
WRONG_LINES = [
    ("[clrk]\n", 1), ("[]\n", 1), ("[clerk\n", 1), ("[clerk] x\n", 1), ("[CLERK]\n", 1),
    ("min_ttl = 5s\n", 1), ("= 5s\n", 1), ("[cache]\n= 5s\n", 2), ("[cache]\nmin_ttl\n", 2),
    ("[cache]\nMIN_TTL = 5s\n", 2), ("[cache]\nmin-ttl = 5s\n", 2), ("[cache]\nsocket = /x\n", 2),
    ("[cache]\nmin_ttl = 5s\n\n[cache]\nmin_ttl = 5s\n", 5), ("[cache]\nmin_ttl = 5s\x07\n", 2),
    ("[cache]\nmin_ttl = 5s\x00\n", 2), ("[shared_cache]\nurl = x\n", 2),
    ("[cache]\n#" + "x" * 70000 + "\n", 2), ("\ufeff\n\n[cache]\nx = 1\n", 4),
    ("[cache]\r\nmin_ttl = 5s\r\nx = 1\r\n", 3),
]


def documented_keys():
    """[(section, key)] of the daemon's own table."""
    return re.findall(r'\{ "(\w+)", "(\w+)", CONFIG_TYPE_\w+', KEY_TABLE.read_text())


def wrong_values():
    for section, keys in WRONG.items():
        for key, values in keys.items():
            for value in values:
                yield section, key, value


class ConfigCase(harness.Case):
    def setUp(self):
        self.dir = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.conf = self.dir / "t.conf"

    def check(self, text=None):
        """What --check-config says of it."""
        if text is not None:
            self.conf.write_bytes(text.encode())
        environment = harness.clean_environment({"CLERK_SECRET_KEY": harness.SECRET_KEY})
        return subprocess.run([str(DAEMON), "--config", str(self.conf), "--check-config"],
                              env=environment, capture_output=True, text=True,
                              timeout=harness.DEADLINE_S, check=False)

    def assert_refused(self, done, *words):
        self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class WrongTest(ConfigCase):
    def test_the_table_is_whole(self):
        keys = {(section, key) for section, table in WRONG.items() for key in table}
        self.assertEqual(keys, set(documented_keys()))

    def test_values(self):
        for section, key, value in wrong_values():
            with self.subTest(section=section, key=key, value=value[:40]):
                done = self.check(f"# 1\n[{section}]\n\n{key} = {value}\n")
                self.assert_refused(done, f"{self.conf}:4: ", f"[{section}] {key}: ")

    def test_what_is_expected_is_said(self):
        """The message of a value tells what would be right, and never what is wrong."""
        for section, keys in WRONG.items():
            for key in keys:
                if section == "access":
                    continue  # a rule is quoted in part: names, and no secrets
                done = self.check(f"[{section}]\n{key} = not sk_test_nonsense\n")
                self.assert_refused(done, "expected ")
                self.assertNotIn("nonsense", done.stderr)

    def test_lines(self):
        for text, line in WRONG_LINES:
            with self.subTest(text=text[:40]):
                self.assert_refused(self.check(text), f"{self.conf}:{line}: ")

    def test_in_a_drop_in(self):
        drop_ins = Path(f"{self.conf}.d")
        drop_ins.mkdir()
        for section, keys in WRONG.items():
            for key, values in keys.items():
                (drop_ins / "10.conf").write_text(f"[{section}]\n{key} = {values[1]}\n")
                self.assert_refused(self.check(""), f"{drop_ins}/10.conf:2: ")

    def test_what_does_not_go_together(self):
        for text, word in (
                ("[clerk]\nconnect_timeout = 6s\nrequest_timeout = 5s\n", "connect_timeout"),
                ("[cache]\nmax_memory = 1M\nmax_token_size = 1M\n", "max_memory")):
            self.assert_refused(self.check(text), word)


class FilesTest(ConfigCase):
    def key_file(self, key=harness.SECRET_KEY, mode=0o600):
        path = self.dir / "key"
        path.unlink(missing_ok=True)
        path.write_text(key)
        path.chmod(mode)
        return path

    def test_modes_of_the_key(self):
        for mode in range(0o1000):
            path = self.key_file(mode=mode)
            done = self.check(f"[clerk]\nsecret_key_file = {path}\n")
            if mode & 0o066:
                self.assert_refused(done, str(path), "others than its owner")
            elif os.getuid() == 0:  # who may read it in any case
                self.assertEqual(done.returncode, 0, f"{mode:o}: {done.stderr}")

    def test_what_cannot_be_read(self):
        path = self.dir / "key"
        for make in (lambda: None, path.mkdir, lambda: os.mkfifo(path, 0o600),
                     lambda: path.symlink_to(self.dir / "nowhere")):
            make()
            self.assert_refused(self.check(f"[clerk]\nsecret_key_file = {path}\n"), str(path))
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)

    def test_configuration_files(self):
        self.assert_refused(self.check(), str(self.conf))
        for make in (self.conf.mkdir, lambda: os.mkfifo(self.conf)):
            make()
            self.assert_refused(self.check(), str(self.conf))
            self.conf.rmdir() if self.conf.is_dir() else self.conf.unlink()
        self.conf.write_bytes(b"#" * (1 << 20) + b"\n")
        self.assert_refused(self.check(), str(self.conf))


class ReloadTest(ConfigCase):
    """What was there before goes on, whatever is read."""

    def test_wrong_values(self):
        daemon = self.daemon(self.sandbox(), {"clerk": {"rate_limit": "50/10s"}})
        conn = self.connect(daemon)
        token = harness.Reply(conn.ask("GET sess_1 -"))
        good = daemon.file.read_text()
        cases = {(section, key): value for section, key, value in wrong_values()}  # the last of each
        for (section, key), value in cases.items():
            with self.subTest(section=section, key=key):
                self.reload(daemon, f"[{section}]\n{key} = {value}\n")
                self.assertEqual(daemon.stats()["budget"], 40)
                self.assertEqual(harness.Reply(conn.ask("GET sess_1 -")).id, token.id)
        daemon.write_config(good.replace("50/10s", "100/10s"))
        daemon.reload()
        harness.wait_for(lambda: daemon.stats()["budget"] == 80, what="the good configuration")

    @staticmethod
    def reload(daemon, text):
        """Waits until it is over: a request that comes after it is answered after it."""
        daemon.write_config(text)
        daemon.reload()
        harness.wait_for(lambda: not signal_is_pending(daemon.pid), what="the signal")
        daemon.ask("PING")

    def test_descriptors(self):
        """There is one for each connection, to Clerk too: what passes on has four times as many."""
        daemon = self.daemon(self.sandbox(), {"listen": {"max_clients": 10}},
                             wrapper=[shutil.which("prlimit"), "--nofile=100:"])
        self.assertGreaterEqual(daemon.stats()["files_max"], 10 + 64 + 32 + 5 * 8)
        daemon.configure({"listen": {"max_clients": 1000}, "clerk": {"max_connections": 256}})
        daemon.reload()
        harness.wait_for(lambda: daemon.stats()["files_max"] >= 1000 + 64 + 32 + 5 * 256)

    def test_each_is_told(self):
        """With file and line, as at a start; what repeats is counted, so one at a time."""
        for (section, key, value) in [("cache", "min_ttl", "5x"), ("log", "level", "loud"),
                                      ("access", "allow", "uid=")]:
            daemon = self.daemon(self.sandbox())
            self.reload(daemon, f"# 1\n[{section}]\n{key} = {value}\n")
            self.assertIn(f"{daemon.file}:3: [{section}] {key}: ", daemon.log())
            self.assertIn("reload failed", daemon.log())


def signal_is_pending(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    pending = [int(v, 16) for v in re.findall(r"^(?:Shd|Sig)Pnd:\s+(\w+)", status, re.MULTILINE)]
    return any(pending)


if __name__ == "__main__":
    unittest.main()
