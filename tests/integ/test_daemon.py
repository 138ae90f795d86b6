"""The daemon as a process: configuration, keys, signals, its socket, systemd, what it tells whom,
and what it tells nobody."""

import grp
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest
from pathlib import Path

import harness

EX_CONFIG = 78
DAEMON = harness.BUILD / "clerk-tokend"
CANARY = "sk_test_canaryT7vQ2mZr8Lk5Wd"
NOBODY = 60001  # a uid that is nobody's
LOTS = {"clerk": {"rate_limit": "100000/10s", "budget": "100%"}}


class ProgramCase(harness.Case):
    """Runs the program, in a directory of its own, until it ends or serves."""

    def setUp(self):
        self.dir = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.conf = self.dir / "t.conf"

    def run_program(self, *arguments, text="", env=None):
        """Its result; arguments come behind --config and --socket."""
        if text is not None:
            self.conf.write_text(text)
        environment = {"CLERK_SECRET_KEY": harness.SECRET_KEY, **(env or {})}
        path = self.dir / "s"
        process = subprocess.Popen(
            [str(DAEMON), "--config", str(self.conf), "--socket", str(path), *arguments],
            env=harness.clean_environment(environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=harness.die_with_parent)
        try:
            harness.wait_for(lambda: process.poll() is not None or path.exists(), what="an end")
        finally:
            if process.poll() is None:
                process.kill()  # it serves, or hangs
        out, err = process.communicate(timeout=harness.DEADLINE_S)
        path.unlink(missing_ok=True)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def assert_refused(self, done, *words):
        self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)

    def key_file(self, key=harness.SECRET_KEY + "\n", mode=0o600):
        path = self.dir / "key"
        path.write_text(key)
        path.chmod(mode)
        return path


WRONG_CONFIGURATIONS = [
    ("[clrk]\napi_url = https://api.clerk.com\n", 1),
    ("# fine\n\n[clerk]\napi_uri = https://api.clerk.com\n", 4),
    ("api_url = https://api.clerk.com\n", 1),
    ("[clerk]\nrequest_timeout = 5\n", 2),
    ("[clerk]\nrequest_timeout = 5 s\n", 2),
    ("[clerk]\nrequest_timeout = 5d\n", 2),
    ("[clerk]\nrequest_timeout = -5s\n", 2),
    ("[clerk]\nrequest_timeout = 5.5s\n", 2),
    ("[clerk]\nrequest_timeout =\n", 2),
    ("[clerk]\nmax_connections = 0\n", 2),
    ("[clerk]\nmax_connections = many\n", 2),
    ("[clerk]\nrate_limit = 100\n", 2),
    ("[clerk]\nrate_limit = 0/10s\n", 2),
    ("[clerk]\nbudget = 80\n", 2),
    ("[clerk]\nbudget = 101%\n", 2),
    ("[clerk]\napi_version = yesterday\n", 2),
    ("[clerk]\nsecret_key_file = key\n", 2),
    ("[clerk]\napi_url = http://api.clerk.com\n", 2),
    ("[clerk]\napi_url = http://10.0.0.1:80\n", 2),
    ("[clerk]\napi_url = http://127.0.0.1.example.com\n", 2),
    ("[clerk]\napi_url = http://localhost@example.com\n", 2),
    ("[clerk]\napi_url = ftp://127.0.0.1\n", 2),
    ("[clerk]\napi_url = https://user:password@api.clerk.com\n", 2),
    ("[clerk]\napi_url = https://api.clerk.com/?a=b\n", 2),
    ("[cache]\nmax_memory = 256\n", 2),
    ("[cache]\nmax_memory = 256X\n", 2),
    ("[cache]\nmax_memory = 99999999999999999999G\n", 2),
    ("[cache]\nrefresh_at = 0%\n", 2),
    ("[cache]\n\nmin_ttl = 5x\n", 3),
    ("[listen]\nsocket_mode = 0888\n", 2),
    ("[listen]\nsocket_mode = 1777\n", 2),
    ("[listen]\nsocket = relative\n", 2),
    ("[listen]\nsocket = /" + "x" * 107 + "\n", 2),
    ("[listen]\nmax_clients = 0\n", 2),
    ("[listen]\nhttp = everywhere\n", 2),
    ("[cache]\nmin_ttl = 5s\nmin_ttl = 6s\n", 3),
    ("[cache]\nmin_ttl\n", 2),
    ("[cache\nmin_ttl = 5s\n", 1),
    ("[cache] x\nmin_ttl = 5s\n", 1),
    ("[cache]\nmin_ttl = 5s\x07\n", 2),
    ("[cache]\n# " + "x" * 100000 + "\n", 2),
    ("[shared_cache]\nurl = redis://\n", 2),
]


class ConfigurationTest(ProgramCase):
    def test_what_is_wrong_names_file_and_line(self):
        for text, line in WRONG_CONFIGURATIONS:
            with self.subTest(text=text[:60]):
                self.assert_refused(self.run_program(text=text), f"{self.conf}:{line}:")
                self.assert_refused(self.run_program("--check-config", text=text),
                                    f"{self.conf}:{line}:")

    def test_values_that_do_not_go_together(self):
        for text in ("[clerk]\nconnect_timeout = 6s\nrequest_timeout = 5s\n",
                     "[cache]\nmax_memory = 1M\nmax_token_size = 1M\n"):
            self.assert_refused(self.run_program("--check-config", text=text))

    def test_a_value_is_never_quoted(self):
        done = self.run_program(text=f"[clerk]\napi_url = {CANARY}\nrequest_timeout = {CANARY}\n")
        self.assert_refused(done)
        self.assertNotIn(CANARY, done.stderr)

    def test_files_that_cannot_be_read(self):
        self.assert_refused(self.run_program(text=None), str(self.conf))
        self.conf.mkdir()
        self.assert_refused(self.run_program(text=None), str(self.conf))
        self.conf.rmdir()
        os.mkfifo(self.conf)
        self.assert_refused(self.run_program(text=None), str(self.conf))

    def test_command_line(self):
        done = self.run_program("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^clerk-tokend \d")
        done = self.run_program("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--check-config", done.stdout)
        for wrong in ("--nonsense", "surplus", "--config"):
            done = self.run_program(wrong)
            self.assertGreater(done.returncode, 0)

    def test_check(self):
        done = self.run_program("--check-config", text="[cache]\nmin_ttl = 7s\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_refused(self.run_program("--check-config", env={"CLERK_SECRET_KEY": None}),
                            "secret key")

    def print_config(self, **keywords):
        done = self.run_program("--print-config", **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_daemon_that_would_ask_itself(self):
        """As one that was started with its callers' CLERK_API_URL."""
        text = "[listen]\nhttp = 127.0.0.1:8080\n"
        for url in ("http://127.0.0.1:8080", "http://localhost:8080/", "http://127.0.0.1:8080/v1"):
            done = self.run_program("--check-config", text=text, env={"CLERK_API_URL": url})
            self.assert_refused(done, "api_url")
        for url in ("http://127.0.0.1:80", "https://example.org:8080"):
            done = self.run_program("--check-config", text=text, env={"CLERK_API_URL": url})
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_print_and_read_again(self):
        text = ("[clerk]\napi_url = https://localhost:8443/base/\nrate_limit = 7/90s\n"
                "ca_file = /etc/ca.pem\nbudget = 1%\n[cache]\nmax_memory = 5M\nmin_ttl = 1500ms\n"
                "refresh_at = 60%\nrenew_idle = 3h\n[listen]\nsocket_mode = 0600\n"
                "socket_group = adm\nmax_clients = 17\n")
        first = self.print_config(text=text)
        for wanted in ("rate_limit = 7/90s", "min_ttl = 1500ms", "socket_mode = 0600",
                       "max_memory = 5M", "renew_idle = 3h", "max_clients = 17",
                       "api_url = https://localhost:8443/base"):
            self.assertIn(wanted, first)
        self.assertEqual(self.print_config(text=first), first)
        defaults = self.print_config(text="")
        self.assertEqual(self.print_config(text=defaults), defaults)
        for wanted in ("api_url = https://api.clerk.com", "api_version = 2025-11-10",
                       "connect_timeout = 2s", "request_timeout = 5s", "max_connections = 8",
                       "rate_limit = auto", "budget = 80%", "max_memory = 256M",
                       "max_token_size = 64K", "refresh_at = auto", "renew_idle = auto",
                       "min_ttl = 5s", "negative_ttl = 10s", "default_wait = 3s",
                       "socket_mode = 0660", "max_clients = 10000", "http = off", "metrics = off"):
            self.assertIn(wanted + "\n", defaults)

    def test_drop_ins(self):
        drop_ins = Path(f"{self.conf}.d")
        drop_ins.mkdir()
        (drop_ins / "10-first.conf").write_text("[cache]\nmin_ttl = 1s\nnegative_ttl = 2s\n")
        (drop_ins / "9-last.conf").write_text("[cache]\nmin_ttl = 9s\n")
        (drop_ins / "99.conf.bak").write_text("[nonsense]\n")
        (drop_ins / ".hidden.conf").write_text("[nonsense]\n")
        (drop_ins / "README").write_text("not for the daemon")
        text = self.print_config(text="[cache]\nmin_ttl = 3s\ndefault_wait = 4s\n")
        for wanted in ("min_ttl = 9s", "negative_ttl = 2s", "default_wait = 4s"):
            self.assertIn(wanted + "\n", text)
        (drop_ins / "50-bad.conf").write_text("[cache]\nmin_ttl = 1s\nnope = 1\n")
        self.assert_refused(self.run_program(), f"{drop_ins}/50-bad.conf:3:")

    def test_api_url_of_the_environment(self):
        url = "http://127.0.0.1:4010"
        self.assertIn(f"api_url = {url}\n", self.print_config(env={"CLERK_API_URL": url}))
        for wrong in ("http://example.com", "api.clerk.com", "https://"):
            self.assert_refused(self.run_program(env={"CLERK_API_URL": wrong}), "CLERK_API_URL")
        for right in ("http://localhost:1", "http://127.5.5.5", "http://[::1]:80", "https://a.b/c"):
            self.assertIn(f"api_url = {right}\n", self.print_config(env={"CLERK_API_URL": right}))


class KeyTest(ProgramCase):
    def test_file_mode(self):
        for mode in (0o644, 0o640, 0o660, 0o604, 0o602, 0o620, 0o666):
            path = self.key_file(mode=mode)
            done = self.run_program(text=f"[clerk]\nsecret_key_file = {path}\n")
            self.assert_refused(done, str(path))
        for mode in (0o600, 0o400):
            path = self.key_file(mode=mode)
            done = self.run_program("--check-config", text=f"[clerk]\nsecret_key_file = {path}\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            path.unlink()

    def test_files_of_the_wrong_kind(self):
        path = self.dir / "key"
        text = f"[clerk]\nsecret_key_file = {path}\n"
        self.assert_refused(self.run_program(text=text), str(path))
        path.mkdir(0o700)
        self.assert_refused(self.run_program(text=text), str(path))
        path.rmdir()
        os.mkfifo(path, 0o600)
        self.assert_refused(self.run_program(text=text), str(path))
        path.unlink()

    def test_what_is_no_key(self):
        for content in ("", "\n", "pk_test_" + CANARY[8:], CANARY + "\nmore", CANARY + " x",
                        CANARY + "\r\nX-Header: 1", CANARY + "\0", "sk_test_" + "x" * 600,
                        CANARY + "\u00e4", "sk_live_"):
            with self.subTest(content=content[:40]):
                path = self.key_file(content)
                done = self.run_program(text=f"[clerk]\nsecret_key_file = {path}\n")
                self.assert_refused(done, str(path))
                self.assertNotIn(CANARY[8:], done.stderr)
                path.unlink()

    def test_somebody_elses_file(self):
        if os.getuid() != 0:
            self.skipTest("only root can give files away")
        path = self.key_file()
        os.chown(path, NOBODY, NOBODY)
        done = self.run_program(text=f"[clerk]\nsecret_key_file = {path}\n")
        self.assert_refused(done, str(path))

    def test_no_source(self):
        for env in ({"CLERK_SECRET_KEY": None}, {"CLERK_SECRET_KEY": ""}):
            self.assert_refused(self.run_program(env=env), "secret key")

    def test_order_of_the_sources(self):
        """The credential, then the file, then the environment."""
        credentials = self.dir / "credentials"
        credentials.mkdir()
        (credentials / "clerk_secret_key").write_text("sk_test_credential")
        path = self.key_file("sk_test_file\n")
        file = {"clerk": {"secret_key_file": path}}
        environment = {"CLERK_SECRET_KEY": "sk_test_environment"}
        both = {**environment, "CREDENTIALS_DIRECTORY": credentials}
        for key, config, env in (("sk_test_credential", file, both),
                                 ("sk_test_file", file, environment),
                                 ("sk_test_environment", {}, environment)):
            with self.subTest(key=key):
                sandbox = self.sandbox("--secret-key", key)
                daemon = self.daemon(sandbox, config, env=env)
                self.assertTrue(harness.Reply(daemon.ask("GET sess_1 -")).ok)


class ReloadTest(ProgramCase):
    def test_good_and_bad(self):
        daemon = self.daemon(self.sandbox(), {"clerk": {"rate_limit": "50/10s"}})
        conn = self.connect(daemon)
        token = harness.Reply(conn.ask("GET sess_1 -"))
        self.assertEqual(daemon.stats()["budget"], 40)
        daemon.configure({"clerk": {"rate_limit": "100/10s"}})
        daemon.reload()
        harness.wait_for(lambda: daemon.stats()["budget"] == 80, what="the new budget")

        good = daemon.file.read_text()
        for text in ("[clerk]\nnonsense = 1\n", "[clerk]\nrate_limit = 10\n", "[", "\0" * 100):
            before = daemon.log().count("reload failed")
            daemon.write_config(text)
            daemon.reload()
            harness.wait_for(lambda: daemon.log().count("reload failed") > before, what="the log")
            self.assertEqual(daemon.stats()["budget"], 80)
            self.assertEqual(harness.Reply(conn.ask("GET sess_1 -")).id, token.id)
        self.assertRegex(daemon.log(), re.escape(str(daemon.file)) + r":\d+: ")

        daemon.write_config(good.replace("100/10s", "200/10s"))
        daemon.reload()
        harness.wait_for(lambda: daemon.stats()["budget"] == 160, what="the next budget")
        self.assertEqual(harness.Reply(conn.ask("GET sess_1 -")).src, "cache")

    def test_what_only_a_start_changes_is_told(self):
        for listen in ({"socket_mode": "0600"}, {"socket_group": "0"}):
            daemon = self.daemon(self.sandbox())
            daemon.configure({"listen": listen})
            daemon.reload()
            harness.wait_for(lambda d=daemon: "reloaded" in d.log(), what="the reload")
            self.assertIn("changes at the next start", daemon.log())

    def test_a_fetch_goes_on_through_it(self):
        sandbox = self.sandbox("--latency", "500")
        daemon = self.daemon(sandbox)
        conn = self.connect(daemon)
        conn.send("GET sess_1 -\n")
        harness.wait_for(lambda: sandbox.stats(brief=True)["in_flight"], what="the fetch")
        daemon.reload()
        self.assertTrue(harness.Reply(conn.line()).jwt)
        self.assertEqual(sandbox.calls(), 1)

    def test_many_signals(self):
        daemon = self.daemon(self.sandbox())
        for _ in range(50):
            daemon.reload()
            self.assertTrue(daemon.ask("PING"))
        self.assertTrue(harness.Reply(daemon.ask("GET sess_1 -")).jwt)

    def test_another_key(self):
        sandbox = self.sandbox("--secret-key", "sk_test_new")
        path = self.key_file("sk_test_old")
        daemon = self.daemon(sandbox, {"clerk": {"secret_key_file": path}},
                             env={"CLERK_SECRET_KEY": None})
        self.assertEqual(harness.Reply(daemon.ask("GET sess_1 -")).code, "unauthorized")

        path.write_text("sk_test_new")
        path.chmod(0o644)
        daemon.reload()
        harness.wait_for(lambda: "reload failed" in daemon.log(), what="the refusal")
        self.assertEqual(harness.Reply(daemon.ask("GET sess_1 -")).code, "unauthorized")

        path.chmod(0o600)
        daemon.reload()
        harness.wait_for(lambda: "reloaded" in daemon.log(), what="the reload")
        self.assertTrue(harness.Reply(daemon.ask("GET sess_1 -")).jwt, "at once, not later")
        for key in ("sk_test_new", "sk_test_old"):
            self.assertNotIn(key, daemon.log())

    def test_the_environments_key_stays(self):
        """It was wiped at the start, and is remembered."""
        daemon = self.daemon(self.sandbox(), env={"CLERK_SECRET_KEY": harness.SECRET_KEY})
        daemon.reload()
        harness.wait_for(lambda: "reloaded" in daemon.log(), what="the reload")
        self.assertTrue(harness.Reply(daemon.ask("GET sess_1 -")).jwt)


class StopTest(ProgramCase):
    def test_what_is_in_flight_is_answered(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                sandbox = self.sandbox("--latency", "700")
                daemon = self.daemon(sandbox)
                self.assertTrue(harness.Reply(daemon.ask("GET sess_warm -")).jwt)
                conns = [self.connect(daemon) for _ in range(5)]
                for n, conn in enumerate(conns):
                    conn.send(f"GET sess_{n} -\n#t PING\n")
                    self.assertEqual(conn.line(), "#t OK pong")
                idle = self.connect(daemon)
                self.assertEqual(idle.ask("PING"), "OK pong")
                harness.wait_for(lambda: sandbox.stats(brief=True)["in_flight"] == 5,
                                 what="the fetches")
                daemon.send_signal(number)
                idle.expect_eof()
                for conn in conns:
                    self.assertTrue(harness.Reply(conn.line()).jwt)
                    conn.expect_eof()
                self.assertEqual(daemon.wait(), 0)
                self.assertFalse(daemon.socket.exists())

    def test_what_takes_too_long_is_told_so(self):
        sandbox = self.sandbox()
        sandbox.fault("hang", count=-1)
        daemon = self.daemon(sandbox)
        conn = self.connect(daemon)
        conn.send("GET sess_1 - wait=60000\n")
        harness.wait_for(lambda: sandbox.stats(brief=True)["in_flight"], what="the fetch")
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 6)
        reply = harness.Reply(conn.line())
        self.assertIn(reply.code, ("shutting_down", "unavailable", "timeout"))

    def test_told_twice(self):
        sandbox = self.sandbox()
        sandbox.fault("hang", count=-1)
        daemon = self.daemon(sandbox)
        conn = self.connect(daemon)
        conn.send("GET sess_1 - wait=60000\n")
        harness.wait_for(lambda: sandbox.stats(brief=True)["in_flight"], what="the fetch")
        daemon.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping" in daemon.log(), what="the first signal")
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 1.5)

    def test_a_client_that_does_not_read(self):
        sandbox = self.sandbox("--fast")
        sandbox.config(token_size=60000)
        daemon = self.daemon(sandbox)
        conn = self.connect(daemon)
        self.assertTrue(harness.Reply(conn.ask("GET sess_1 -")).jwt)
        conn.send("GET sess_1 -\n" * 200)
        harness.wait_for(lambda: daemon.stats()["hits"] >= 5, what="the answers")
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 6)


class SocketTest(ProgramCase):
    def test_a_second_daemon_is_refused(self):
        daemon = self.daemon()
        second = subprocess.run(
            [str(DAEMON), "--config", str(daemon.file), "--socket", str(daemon.socket)],
            env=daemon.env, capture_output=True, text=True, timeout=harness.DEADLINE_S)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn(str(daemon.socket), second.stderr)
        self.assertEqual(daemon.ask("PING"), "OK pong")
        self.assertEqual(daemon.stop(), 0)

    def test_a_stale_socket_is_replaced(self):
        daemon = self.daemon()
        daemon.kill()
        self.assertTrue(daemon.socket.exists())
        daemon.start()
        self.assertEqual(daemon.ask("PING"), "OK pong")

    def test_a_socket_that_somebody_serves_is_not_taken(self):
        """Not a daemon's with a lock, but one of systemd's, say."""
        path = self.dir / "s"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen(5)
            daemon = self.daemon(None, arguments=["--socket", str(path)], wait=False)
            harness.wait_for(lambda: not daemon.is_running() or "started" in daemon.log(),
                             what="the start")
            self.assertFalse(daemon.is_running(), "it took the socket over")
            self.assertEqual(daemon.wait(), 1)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                other.settimeout(harness.DEADLINE_S)
                other.accept()[0].close()

    def test_what_is_no_socket_is_not_removed(self):
        path = self.dir / "s"
        target = self.dir / "target"
        target.write_text("precious")
        for make in (lambda: path.write_text("precious"), path.mkdir,
                     lambda: path.symlink_to(target), lambda: os.mkfifo(path)):
            make()
            daemon = self.daemon(None, arguments=["--socket", str(path)], wait=False)
            self.assertEqual(daemon.wait(), 1)
            self.assertIn(str(path), daemon.log())
            self.assertTrue(path.is_symlink() or path.exists())
            path.rmdir() if path.is_dir() else path.unlink()
        self.assertEqual(target.read_text(), "precious")

    def test_a_lock_that_is_a_link(self):
        path = self.dir / "s"
        target = self.dir / "target"
        target.write_text("precious")
        Path(f"{path}.lock").symlink_to(target)
        daemon = self.daemon(None, arguments=["--socket", str(path)], wait=False)
        self.assertEqual(daemon.wait(), 1)
        self.assertEqual(target.read_text(), "precious")

    def test_a_directory_that_is_missing(self):
        path = self.dir / "new" / "s"
        daemon = self.daemon(None, arguments=["--socket", str(path)], wait=False)
        harness.wait_for(lambda: "started" in daemon.log(), what="the start")
        with harness.Conn(path) as conn:
            self.assertEqual(conn.ask("PING"), "OK pong")
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode) & 0o022, 0)
        self.assertEqual(daemon.stop(), 0)
        daemon = self.daemon(None, arguments=["--socket", str(self.dir / "no/such/s")], wait=False)
        self.assertEqual(daemon.wait(), 1)

    def test_mode(self):
        for mode in (None, "0600", "0666", "0660", "0606"):
            before = os.umask(0o077 if mode == "0666" else 0o000)
            try:
                daemon = self.daemon(None, {"listen": {"socket_mode": mode}})
            finally:
                os.umask(before)
            is_mode = stat.S_IMODE(daemon.socket.stat().st_mode)
            self.assertEqual(is_mode, int(mode or "0660", 8))

    def test_group(self):
        if os.getuid() != 0:
            self.skipTest("only root can choose any group")
        group = next(g for g in grp.getgrall() if g.gr_gid not in (0, os.getgid()))
        for name in (group.gr_name, str(group.gr_gid)):
            with self.subTest(name=name):
                config = {"listen": {"socket_group": name}}
                daemon = self.daemon(None, config, wait=False)
                harness.wait_for(lambda: daemon.socket.exists() or not daemon.is_running(),
                                 what="the socket")
                self.assertTrue(daemon.is_running(), daemon.log())
                daemon.wait_ready()
                self.assertEqual(daemon.socket.stat().st_gid, group.gr_gid)
                self.assertEqual(stat.S_IMODE(daemon.socket.stat().st_mode), 0o660)
        daemon = self.daemon(None, {"listen": {"socket_group": "no-such-group"}}, wait=False)
        self.assertNotEqual(daemon.wait(), 0)
        self.assertIn("no-such-group", daemon.log())

    def test_who_may_connect(self):
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        daemon = self.daemon(None, {"listen": {"socket_mode": "0600"}})
        daemon.dir.chmod(0o711)

        def connect(_):
            try:
                harness.Conn("s").close()
            except PermissionError:
                return "refused"
            return "connected"

        self.assertEqual(self.fork(connect, NOBODY, daemon.dir).stop(), "refused")


class SystemdTest(ProgramCase):
    def assert_serves(self, sandbox, path):
        with harness.Conn(path) as conn:
            self.assertTrue(harness.Reply(conn.ask("GET sess_1 -")).jwt)

    def activate(self, passed, stderr):
        """The daemon with that socket as its descriptor 3, and the pid that is its own."""
        shell = f"exec 3<&{passed.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$; " \
                'export LISTEN_FDS LISTEN_PID; exec "$@"'
        return subprocess.Popen(
            ["/bin/sh", "-c", shell, "sh", str(DAEMON), "--config", str(self.conf)],
            env=harness.clean_environment({"CLERK_SECRET_KEY": harness.SECRET_KEY}),
            pass_fds=[passed.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=stderr, preexec_fn=harness.die_with_parent)

    def test_activation_by_the_book(self):
        """LISTEN_FDS and LISTEN_PID, as sd_listen_fds(3) has them."""
        sandbox = self.sandbox()
        path = self.dir / "activated"
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.listen(16)
        child = self.own(harness.Child())
        self.conf.write_text(f"[clerk]\napi_url = {sandbox.http}\n")
        with open(child.dir / "stderr", "ab") as log:
            child.process = self.activate(listener, stderr=log)
        self.assert_serves(sandbox, path)
        self.assertEqual(child.stop(), 0, child.log())
        self.assertTrue(path.exists(), "the socket is systemd's")

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd is not installed")
    def test_activation_by_systemd(self):
        sandbox = self.sandbox()
        path = self.dir / "activated"
        wrapper = [shutil.which("systemd-socket-activate"), "-l", str(path),
                   "-E", f"CLERK_SECRET_KEY={harness.SECRET_KEY}"]
        daemon = self.daemon(sandbox, wrapper=wrapper, wait=False)
        harness.wait_for(path.exists, what="the socket")
        self.assert_serves(sandbox, path)
        self.assertFalse(daemon.socket.exists(), "it made one of its own too")
        self.assertEqual(daemon.stop(), 0, daemon.log())
        self.assertTrue(path.exists())

    def test_activation_with_something_else(self):
        """A socket that isn't a listening Unix stream socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong:
            wrong.bind(str(self.dir / "dgram"))
            self.conf.write_text("")
            child = self.own(harness.Child())
            with open(child.dir / "stderr", "ab") as log:
                child.process = self.activate(wrong, stderr=log)
            self.assertEqual(child.wait(), 78, child.log())
            self.assertIn("no listening Unix stream socket", child.log())

    def test_notifications(self):
        path = self.dir / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(harness.DEADLINE_S)
            env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": 200000}
            daemon = self.daemon(self.sandbox(), env=env)

            def heard(wanted):
                """Datagrams up to the one that says so."""
                while True:
                    lines = notify.recv(4096).decode().splitlines()
                    if wanted in lines:
                        return lines

            self.assertIn("STATUS=Clerk not asked yet; 0 tokens", "".join(heard("READY=1")))
            self.assertEqual(daemon.ask("PING"), "OK pong")
            heard("WATCHDOG=1")
            daemon.send_signal(signal.SIGSTOP)
            while select.select([notify], [], [], 0.3)[0]:
                notify.recv(4096)  # what was sent before; then nothing more
            daemon.send_signal(signal.SIGCONT)
            heard("WATCHDOG=1")
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            daemon.reload()
            fields = dict(line.split("=", 1) for line in heard("RELOADING=1"))
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self.assertTrue(before <= int(fields["MONOTONIC_USEC"]) <= after)
            heard("READY=1")
            daemon.write_config("[nonsense]\n")
            daemon.reload()
            heard("RELOADING=1")
            self.assertIn("The last reload failed", "".join(heard("READY=1")))
            daemon.send_signal(signal.SIGTERM)
            self.assertIn("EXTEND_TIMEOUT_USEC=8000000", heard("STOPPING=1"))
            self.assertEqual(daemon.wait(), 0)


class PushTest(harness.Case):
    """DROP, TRACK, WATCH, UNWATCH, FLUSH."""

    def setUp(self):
        self.bapi = self.sandbox("--fast")
        self.served = self.daemon(self.bapi, {**LOTS, "listen": {"socket_mode": "0666"}})

    def get(self, session, template="-", options=""):
        return harness.Reply(self.served.ask(f"GET {session} {template}{options}"))

    def watch(self, session, template="-"):
        conn = self.connect(self.served)
        return conn, harness.Reply(conn.ask(f"WATCH {session} {template}"))

    def test_drop(self):
        ids = {t: self.get("sess_1", t).id for t in ("-", "hasura", "other")}
        tracker = self.connect(self.served)
        self.assertEqual(tracker.ask("TRACK on"), "OK")
        self.assertEqual(self.served.ask("DROP sess_1 hasura"), "OK dropped=1")
        self.assertEqual(tracker.line(), "* DROP sess_1 hasura")
        self.assertEqual(self.get("sess_1").id, ids["-"])
        self.assertNotEqual(self.get("sess_1", "hasura").id, ids["hasura"])
        self.assertEqual(self.served.ask("DROP sess_1 -"), "OK dropped=1")
        self.assertEqual(tracker.line(), "* DROP sess_1 -")
        self.assertEqual(self.served.ask("DROP sess_1"), "OK dropped=2")
        self.assertEqual(tracker.line(), "* DROP sess_1 *")
        self.assertEqual(self.served.ask("DROP sess_unheard"), "OK dropped=0")
        self.assertEqual(tracker.line(), "* DROP sess_unheard *")
        self.assertEqual(tracker.ask("TRACK off"), "OK")
        self.assertEqual(self.served.ask("DROP sess_1"), "OK dropped=0")
        tracker.expect_silence()

    def test_a_dropped_token_does_not_come_back(self):
        """The fetch in flight is thrown away; who waits gets a newer one."""
        self.bapi.fault("delay", ms=400, session="sess_1")
        conn = self.connect(self.served)
        conn.send("GET sess_1 -\n")
        harness.wait_for(lambda: self.bapi.stats(brief=True)["in_flight"], what="the fetch")
        self.assertEqual(self.served.ask("DROP sess_1"), "OK dropped=0")
        token = harness.Reply(conn.line())
        self.assertEqual(self.bapi.calls("sess_1"), 2)
        self.assertEqual(self.get("sess_1").id, token.id)

    def test_flush(self):
        for n in range(5):
            self.get(f"sess_{n}")
        tracker = self.connect(self.served)
        tracker.ask("TRACK on")
        self.assertEqual(self.served.ask("FLUSH"), "OK dropped=5")
        self.assertEqual(tracker.line(), "* DROP * *")
        self.assertEqual(self.served.stats()["tokens"], 0)

    def test_flush_is_for_administrators(self):
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        self.served.dir.chmod(0o711)
        first = self.get("sess_1")

        def ask(_):
            with harness.Conn("s") as conn:
                return [conn.ask(r) for r in ("FLUSH", "#t FLUSH", "GET sess_1 -", "PING")]

        replies = self.fork(ask, NOBODY, self.served.dir).stop()
        for line in replies[:2]:
            reply = harness.Reply(line)
            self.assertEqual((reply.code, reply.retry), ("denied", None))
        self.assertEqual(harness.Reply(replies[2]).id, first.id)
        self.assertEqual(replies[3], "OK pong")
        self.assertEqual(self.served.stats()["flushes"], 0)

    def test_watch(self):
        conn, first = self.watch("sess_1", "hasura")
        self.assertEqual(first.src, "clerk")
        self.served.ask("DROP sess_1")
        push = harness.Reply(conn.line())
        self.assertEqual((push.kind, push.words[:3]), ("*", ["TOKEN", "sess_1", "hasura"]))
        self.assertEqual(push.jwt, self.get("sess_1", "hasura").jwt)
        self.assertNotEqual(push.id, first.id)
        self.assertTrue(push.ttl > 0 and push.reuse > 0 and push.state == "fresh")
        self.assertEqual(conn.ask("UNWATCH sess_1 hasura"), "OK")
        self.served.ask("DROP sess_1")
        self.get("sess_1", "hasura")
        conn.expect_silence()
        self.assertEqual(self.served.stats()["watches"], 0)

    def test_watch_and_unwatch_in_one_piece(self):
        """What is watched no more is not pushed, even if its first answer had to be waited for."""
        self.bapi.fault("delay", ms=200, session="sess_1")
        conn = self.connect(self.served)
        conn.send("WATCH sess_1 -\nUNWATCH sess_1 -\n")
        self.assertTrue(harness.Reply(conn.line()).jwt)
        self.assertEqual(conn.line(), "OK")
        self.served.ask("DROP sess_1")
        self.get("sess_1")
        conn.expect_silence()
        self.assertEqual(self.served.stats()["watches"], 0)

    def test_watched_twice(self):
        conn, first = self.watch("sess_1")
        again = harness.Reply(conn.ask("WATCH sess_1 -"))
        self.assertEqual((again.id, again.src), (first.id, "cache"))
        self.served.ask("DROP sess_1")
        self.assertEqual(harness.Reply(conn.line()).kind, "*")
        conn.expect_silence()
        self.assertEqual(self.served.stats()["watches"], 1)

    def test_renewed_when_due(self):
        self.bapi.config(lifetime_s=3)
        conn = self.connect(self.served)
        first = harness.Reply(conn.ask("WATCH sess_1 - min_ttl=0"))
        ids = [first.id] + [harness.Reply(conn.line(5)).id for _ in range(2)]
        self.assertEqual(len(set(ids)), 3)

    def test_gone(self):
        conn, _ = self.watch("sess_1")
        self.bapi.end_session("sess_1")
        self.served.ask("DROP sess_1")
        self.assertEqual(conn.line(), "* GONE sess_1 - not_found")
        self.assertEqual(self.served.stats()["watches"], 0)
        conn.expect_silence()
        self.assertEqual(harness.Reply(conn.ask("WATCH sess_1 -")).code, "not_found")

    def test_a_watch_that_cannot_begin(self):
        conn, reply = self.watch("sess_missing")
        self.assertEqual(reply.code, "not_found")
        self.assertEqual(self.served.stats()["watches"], 0)
        conn.expect_silence()

    def test_watchers_leave(self):
        for _ in range(50):
            conn, _ = self.watch("sess_1")
            conn.close()
        harness.wait_for(lambda: self.served.stats()["watches"] == 0, what="watches to be gone")

    def test_a_slow_watcher_gets_the_latest_only(self):
        self.bapi.config(token_size=20000)
        slow, _ = self.watch("sess_1")
        quick, last = self.watch("sess_1")
        renewals = 150
        for _ in range(renewals):
            self.served.ask("DROP sess_1")
            push = harness.Reply(quick.line())
            self.assertNotEqual(push.id, last.id)
            last = push
        received = 0
        while True:
            push = harness.Reply(slow.line())
            received += 1
            if push.id == last.id:
                break
        slow.expect_silence()
        # What the kernel holds for it, and a few more; not what it never looked at.
        self.assertLess(received * 20000, 600000, f"{received} of {renewals} were kept for it")


class SecretsTest(ProgramCase):
    def test_a_process_of_its_own(self):
        """No core dump, no peeking by the same user, no new privileges."""
        daemon = self.daemon(self.sandbox())
        limits = Path(f"/proc/{daemon.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        self.assertRegex(status, r"NoNewPrivs:\s+1")

    def test_run_by_an_ordinary_user(self):
        """Who is an administrator then; not dumpable, so what is in /proc is root's."""
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        home = harness.make_directory()
        self.addCleanup(shutil.rmtree, home, True)
        program = home / "clerk-tokend"
        shutil.copy(DAEMON, program)
        os.chown(home, NOBODY, NOBODY)
        (home / "c").write_text("[clerk]\napi_url = http://127.0.0.1:9\n")
        env = harness.clean_environment({"CLERK_SECRET_KEY": CANARY})

        def become():
            os.chdir(home)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            harness.die_with_parent()

        child = self.own(harness.Child())
        with open(child.dir / "stderr", "ab") as log:
            child.process = subprocess.Popen(
                ["./clerk-tokend", "--config", "c", "--socket", str(home / "s")], env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                preexec_fn=become)
        harness.wait_for(lambda: "started" in child.log() or not child.is_running(),
                         what="the start")
        if not child.is_running() and "can't" in child.log():
            self.skipTest("another user can't reach the temporary directory")
        self.assertTrue(child.is_running(), child.log())
        status = Path(f"/proc/{child.pid}/status").read_text()
        self.assertRegex(status, rf"Uid:\s+{NOBODY}\s+{NOBODY}")
        self.assertEqual(os.stat(f"/proc/{child.pid}/environ").st_uid, 0, "it is dumpable")
        pid = child.pid

        def peek(_):
            got = []
            for name in ("mem", "environ", "maps"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as stream:
                        stream.read(1)
                    got.append(name)
                except PermissionError:
                    pass
            with harness.Conn("s") as conn:
                got.append(conn.ask("FLUSH"))
            return got

        self.assertEqual(self.fork(peek, NOBODY, home).stop(), ["OK dropped=0"])
        self.assertNotIn(CANARY, read_environment(pid))
        self.assertEqual(child.stop(), 0, child.log())


def read_environment(pid):
    """The area in which the process got its environment."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode("latin-1")


class IdleTest(harness.Case):
    def test_it_sleeps(self):
        """With connections and tokens, and nothing to do, it uses no processor time."""
        daemon = self.daemon(self.sandbox())
        conns = [self.connect(daemon) for _ in range(50)]
        for n, conn in enumerate(conns):
            self.assertTrue(harness.Reply(conn.ask(f"GET sess_{n} -")).jwt)
        before = daemon.cpu()
        select.select([], [], [], 1.0)
        self.assertLess(daemon.cpu() - before, 0.05)


if __name__ == "__main__":
    unittest.main()
