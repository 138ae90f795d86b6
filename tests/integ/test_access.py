"""Who may have which token: rules, asked for by real users, groups and units."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import harness

EX_CONFIG = 78
ALICE, BOB, GROUP = 60101, 60102, 60201
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))
DENIED = "ERR denied retry=never local policy forbids it"


class Peer(harness.Conn):
    """A connection that a process of another user, groups or cgroup made, and left to us."""

    def __init__(self, path, uid, groups=(), cgroup=None):
        self.deadline = harness.DEADLINE_S
        self.input = b""
        ours, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.be_peer(its, path, uid, groups, cgroup)
        its.close()
        ours.settimeout(self.deadline)
        try:
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            self.socket = socket.socket(fileno=fds[0])
        except BaseException:
            self.end_process()
            raise
        finally:
            ours.close()

    @staticmethod
    def be_peer(its, path, uid, groups, cgroup):
        try:
            if cgroup:
                (cgroup / "cgroup.procs").write_text("0")
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            harness.die_with_parent()
            conn = harness.Conn(path)
            socket.send_fds(its, [b"x"], [conn.socket.fileno()])
            while True:
                signal.pause()
        finally:
            os._exit(1)

    def end_process(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = None

    def close(self):
        self.end_process()
        super().close()


class AccessCase(harness.Case):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become other users")
        self.box = self.sandbox()
        self.serving = None

    def config_of(self, rules):
        lines = ["[clerk]", f"api_url = {self.box.http}", "[listen]", "socket_mode = 0666"]
        lines += ["[access]"] + [rule.replace(" ", " = ", 1) for rule in rules]
        return "\n".join(lines) + "\n"

    def serve(self, *rules):
        """A daemon with rules such as "allow uid=1"."""
        self.serving = self.daemon(self.box, wait=False)
        self.serving.kill()  # it has another configuration
        os.chmod(self.serving.dir, 0o755)
        self.serving.write_config(self.config_of(rules))
        self.serving.start()

    def reload(self, *rules):
        """Returns when they are in force, or refused."""
        before = self.serving.log().count("reload")
        self.serving.write_config(self.config_of(rules))
        self.serving.reload()
        harness.wait_for(lambda: self.serving.log().count("reload") > before, what="the reload")

    def peer(self, uid, groups=(), cgroup=None):
        peer = Peer(self.serving.socket, uid, groups, cgroup)
        self.addCleanup(peer.close)
        return peer

    def assert_token(self, line):
        self.assertRegex(line, r"^OK \S+\.\S+\.\S+ id=")


class UsersTest(AccessCase):
    def test_users(self):
        self.serve("deny uid=nobody", f"allow uid={ALICE} template=hasura,-", "admin uid=root")
        alice, bob, root = self.peer(ALICE), self.peer(BOB), self.peer(0)
        self.assert_token(alice.ask("GET sess_1 hasura"))
        self.assert_token(alice.ask("GET sess_1 -"))
        self.assertEqual(alice.ask("GET sess_1 supabase"), DENIED)
        self.assertEqual(bob.ask("GET sess_1 hasura"), DENIED)
        self.assertEqual(bob.ask("WATCH sess_1 hasura"), DENIED)
        self.assertEqual(bob.ask("DROP sess_1"), DENIED)
        self.assertEqual(bob.ask("STATS"), DENIED)
        self.assertEqual(bob.ask("TRACK on"), DENIED)
        self.assertEqual(bob.ask("PING"), "OK pong")
        self.assertEqual(alice.ask("FLUSH"), DENIED)
        self.assertEqual(root.ask("FLUSH"), "OK dropped=2")
        self.assertEqual(self.peer(65534).ask("GET sess_1 hasura"), DENIED)

    def test_a_hit_is_decided_as_a_miss_is(self):
        """In whatever company it comes: what lies in memory is nobody's who may not have it."""
        self.serve(f"allow uid={ALICE} session=sess_a", f"allow uid={BOB}")
        alice, bob = self.peer(ALICE), self.peer(BOB)
        for session in ("sess_a", "sess_b"):
            self.assert_token(bob.ask(f"GET {session} hasura"))
        asked = ["sess_a", "sess_b", "sess_a", "sess_a", "sess_b"] * 8
        alice.send("".join(f"GET {session} hasura\n" for session in asked))
        for session in asked:
            line = alice.line()
            if session == "sess_a":
                self.assert_token(line)
            else:
                self.assertEqual(line, DENIED)
        self.assertEqual(self.box.calls(), 2)

    def test_supplementary_groups(self):
        self.serve(f"allow gid={GROUP}")
        self.assert_token(self.peer(ALICE, [ALICE, GROUP]).ask("GET sess_1 hasura"))
        self.assertEqual(self.peer(ALICE).ask("GET sess_1 hasura"), DENIED)
        self.assert_token(self.peer(GROUP).ask("GET sess_1 hasura"))  # its own
        many = [*range(70000, 71000), GROUP]
        self.assert_token(self.peer(ALICE, many).ask("GET sess_1 hasura"))

    def test_names_of_groups(self):
        self.serve("allow gid=adm")
        self.assert_token(self.peer(ALICE, [4]).ask("GET sess_1 hasura"))

    def test_without_rules(self):
        self.serve()
        self.assert_token(self.peer(BOB).ask("GET sess_1 hasura"))
        self.assertEqual(self.peer(BOB).ask("FLUSH"), DENIED)
        self.assertEqual(self.peer(0).ask("FLUSH"), "OK dropped=1")


class ReloadTest(AccessCase):
    def test_open_connections(self):
        self.serve("allow *")
        alice = self.peer(ALICE)
        self.assert_token(alice.ask("GET sess_1 hasura"))
        self.assertEqual(alice.ask("WATCH sess_2 hasura")[:3], "OK ")
        self.reload(f"deny uid={ALICE} session=sess_2", "allow *")
        self.assertEqual(alice.line(), "* GONE sess_2 hasura denied")
        self.assert_token(alice.ask("GET sess_1 hasura"))
        self.assertEqual(alice.ask("GET sess_2 hasura"), DENIED)
        self.reload(f"deny uid={ALICE}", "allow *")
        self.assertEqual(alice.ask("GET sess_1 hasura"), DENIED)
        self.reload()
        self.assert_token(alice.ask("GET sess_1 hasura"))

    def test_who_waits(self):
        self.box.fault("delay", ms=2000)
        self.serve("allow *")
        alice, bob = self.peer(ALICE), self.peer(BOB)
        alice.send("GET sess_1 hasura\n")
        bob.send("GET sess_1 hasura\n")
        harness.wait_for(lambda: self.serving.stats()["waiting"] == 2, what="two who wait")
        self.reload(f"allow uid={BOB}")
        self.assertEqual(alice.line(), DENIED)
        self.assert_token(bob.line())

    def test_who_keeps_copies(self):
        self.serve("allow *")
        alice, bob = self.peer(ALICE), self.peer(BOB)
        self.assertEqual(alice.ask("TRACK on"), "OK")
        self.assertEqual(bob.ask("TRACK on"), "OK")
        self.reload(f"allow uid={ALICE} session=sess_a template=hasura", f"allow uid={BOB}")
        self.assertEqual(alice.line(), "* DROP * *")
        self.assertEqual(bob.ask("DROP sess_b"), "OK dropped=0")
        self.assertEqual(bob.line(), "* DROP sess_b *")  # and nothing for a change that isn't his
        self.assertEqual(bob.ask("DROP sess_a supabase"), "OK dropped=0")
        self.assertEqual(bob.line(), "* DROP sess_a supabase")
        self.assertEqual(bob.ask("DROP sess_a"), "OK dropped=0")
        self.assertEqual(alice.line(), "* DROP sess_a *")  # not of what it may not have

    def test_a_bad_rule_changes_nothing(self):
        self.serve(f"allow uid={ALICE}")
        alice, bob = self.peer(ALICE), self.peer(BOB)
        self.reload("allow *", "deny user=x")
        self.assertIn(f"{self.serving.file}:7: [access] deny: expected uid=", self.serving.log())
        self.assert_token(alice.ask("GET sess_1 hasura"))
        self.assertEqual(bob.ask("GET sess_1 hasura"), DENIED)


class UnitsTest(AccessCase):
    """Units as systemd makes them: cgroups with such names."""

    def unit(self, name):
        """A cgroup that libsystemd takes for that unit."""
        for root in CGROUPS:
            path = root / "system.slice" / name
            if (root / "cgroup.procs").is_file() and self.make(path) and self.is_unit(path, name):
                return path
        self.skipTest("no cgroups can be made here that libsystemd takes for units")

    def make(self, path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        self.addCleanup(self.remove, path)
        return (path / "cgroup.procs").is_file()

    @staticmethod
    def remove(path):
        for folder in (path, path.parent):
            try:
                folder.rmdir()
            except OSError:
                return

    @staticmethod
    def is_unit(path, name):
        libsystemd = ctypes.CDLL("libsystemd.so.0")
        with subprocess.Popen(["sleep", "60"], preexec_fn=harness.die_with_parent) as process:
            try:
                (path / "cgroup.procs").write_text(str(process.pid))
                unit = ctypes.c_char_p()
                result = libsystemd.sd_pid_get_unit(process.pid, ctypes.byref(unit))
                return result == 0 and unit.value == name.encode()
            except OSError:
                return False
            finally:
                process.kill()

    def test_units(self):
        web, other = self.unit("cttest-web@1.service"), self.unit("cttest-other.service")
        self.serve("allow unit=cttest-web@*.service template=hasura")
        peer = self.peer(ALICE, cgroup=web)
        self.assert_token(peer.ask("GET sess_1 hasura"))
        self.assertEqual(peer.ask("GET sess_1 supabase"), DENIED)
        self.assertEqual(self.peer(ALICE, cgroup=other).ask("GET sess_1 hasura"), DENIED)
        self.assertEqual(self.peer(0).ask("GET sess_1 hasura"), DENIED)  # in no unit

    def test_a_reload_that_brings_units(self):
        web = self.unit("cttest-web@1.service")
        self.serve("allow *")
        inside, outside = self.peer(ALICE, cgroup=web), self.peer(ALICE)
        self.reload("allow unit=cttest-web@1.service")
        self.assert_token(inside.ask("GET sess_1 hasura"))
        self.assertEqual(outside.ask("GET sess_1 hasura"), DENIED)

    def test_a_peer_that_is_gone(self):
        """Its number may be somebody else's by now: neither is a unit's right lent to whoever has
        its connection, nor a unit's refusal dodged."""
        web = self.unit("cttest-web@1.service")
        self.serve("allow *")
        peer = self.peer(ALICE, cgroup=web)
        self.assert_token(peer.ask("GET sess_1 hasura"))
        peer.end_process()
        for rules in (["allow unit=*"], ["deny unit=cttest-evil.service", "allow *"]):
            self.reload(*rules)
            self.assertEqual(peer.ask("GET sess_1 hasura"), DENIED)
            self.assertRegex(peer.ask("WHY sess_1 hasura"),
                             r"^OK denied because=unclear_unit admin=no file=\S+ line=6 rule=")
        self.reload(f"allow uid={ALICE}", "allow unit=*")
        self.assert_token(peer.ask("GET sess_1 hasura"))  # its user is what it was


class WhyTest(AccessCase):
    """clerk-token why."""

    def why(self, *arguments, uid=0):
        done = subprocess.run(
            [harness.BUILD / "clerk-token", "--socket", "s", "why", *arguments],
            cwd=self.serving.dir, env=harness.clean_environment(), user=uid, extra_groups=[],
            capture_output=True, text=True, timeout=harness.DEADLINE_S, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_without_rules(self):
        self.serve()
        self.assertEqual(self.why("sess_1"),
                         (0, "allowed: there are no rules\nan administrator\n", ""))
        self.assertEqual(self.why("sess_1", uid=ALICE), (0, "allowed: there are no rules\n", ""))

    def test_which_rule(self):
        self.serve(f"deny gid={GROUP}", f"allow uid={ALICE},nobody template=hasura",
                   "allow unit=web@*.service", "admin uid=root")
        file = self.serving.file
        by_user = f"allowed by {file}:7: allow = uid={ALICE},nobody template=hasura\n"
        self.assertEqual(self.why("sess_1", "hasura", uid=ALICE), (0, by_user, ""))
        self.assertEqual(self.why("sess_1", "-", uid=ALICE),
                         (4, "denied: no rule matches\n", ""))
        self.assertEqual(self.why("sess_1", "hasura", "--uid", str(ALICE)), (0, by_user, ""))
        self.assertEqual(self.why("sess_1", "hasura", "--uid", "nobody"), (0, by_user, ""))
        self.assertEqual(self.why("sess_1", "hasura", "--uid", str(ALICE), "--gid", str(GROUP)),
                         (4, f"denied by {file}:6: deny = gid={GROUP}\n", ""))
        self.assertEqual(self.why("sess_1", "hasura", "--unit", "web@1.service"),
                         (0, f"allowed by {file}:8: allow = unit=web@*.service\n", ""))
        self.assertEqual(self.why("sess_1", "hasura", "--uid", "root"),
                         (0, f"allowed by {file}:9: admin = uid=root\nan administrator\n", ""))
        status, out, _ = self.why("--json", "sess_1", "hasura", "--unit", "web@1.service")
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(out), {
            "allowed": True, "because": "rule", "admin": False, "file": str(file), "line": 8,
            "rule": "allow unit=web@*.service"})
        status, out, _ = self.why("--json", "sess_1", uid=BOB)
        self.assertEqual((status, json.loads(out)),
                         (4, {"allowed": False, "because": "no_match", "admin": False}))

    def test_who_may_ask(self):
        self.serve("admin uid=root", f"allow uid={ALICE}")
        status, out, err = self.why("sess_1", "--uid", "root", uid=ALICE)
        self.assertEqual((status, out), (4, ""))
        self.assertIn("denied: local policy forbids it", err)

    def test_usage(self):
        self.serve()
        for wrong in (["--uid", "no-such-user"], ["--gid", "no-such-group"], ["--uid", "-1"],
                      ["--unit", ""], ["--uid", "1", "--uid", "2"], ["--wait", "1"]):
            with self.subTest(wrong=wrong):
                status, out, err = self.why("sess_1", *wrong)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("clerk-token: ", err)


BAD_RULES = [
    "allow user=x", "deny uid", "allow uid=", "allow uid=1,", "allow uid=no-such-user",
    "admin gid=no-such-group", "allow uid=1 uid=2", "allow uid=4294967295", "allow unit=web",
    "allow unit=a/b.service", "allow session=a.b", "allow template=a/b", "allow template=[ab]",
    "admin uid=0 session=*", "allow * uid=1", "deny everybody",
]


class ConfigTest(harness.Case):
    def test_bad_rules(self):
        folder = harness.make_directory()
        self.addCleanup(shutil.rmtree, folder, True)
        file = folder / "t.conf"
        for rule in BAD_RULES:
            with self.subTest(rule=rule):
                file.write_text("[access]\n\n" + rule.replace(" ", " = ", 1) + "\n")
                done = subprocess.run(
                    [harness.BUILD / "clerk-tokend", "--config", file, "--socket", folder / "s"],
                    env=harness.clean_environment({"CLERK_SECRET_KEY": harness.SECRET_KEY}),
                    capture_output=True, text=True, timeout=harness.DEADLINE_S, check=False)
                self.assertEqual(done.returncode, EX_CONFIG)
                self.assertIn(f"{file}:3: [access] {rule.split()[0]}: ", done.stderr)


if __name__ == "__main__":
    harness.unittest.main()
