"""What is logged: as fields of the journal, as lines elsewhere, how often, and who got which token.

The journal is a socket of the test's own, in the place of systemd's: the daemon has a mount
namespace to itself.
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import unittest
from pathlib import Path

import harness

CATALOG = harness.ROOT / "systemd/clerk-tokend.catalog"
LOTS = {"clerk": {"rate_limit": "100000/10s", "budget": "100%"}}
DEBUG = {**LOTS, "log": {"level": "debug"}}
NOBODY = 60001

# In a root of its own making; standard error is said to be the journal's.
IN_NAMESPACE = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
mount --bind "$1" /run/systemd/journal
shift
JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
"""


def ids_in_source():
    """{name: id} of the messages."""
    text = (harness.ROOT / "daemon/sys/log.c").read_text()
    return {name: id for id, name in re.findall(r'\{ "([0-9a-f]{32})", "([\w-]+)" \}', text)}


IDS = ids_in_source()


def fields_of(datagram):
    """The fields of one message in the journal's native protocol."""
    fields = {}
    while datagram:
        line, datagram = datagram.split(b"\n", 1)
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:  # the length, then the value
            name = line
            (size,) = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8:8 + size], datagram[9 + size:]
        fields[name.decode()] = value.decode()
    return fields


def can_unshare():
    done = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run"],
                          capture_output=True, check=False)
    return done.returncode == 0


class JournalCase(harness.Case):
    def setUp(self):
        self.dir = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.said = []

    def journal_daemon(self, sandbox, config):
        if not can_unshare():
            self.skipTest("needs a mount namespace, which only root may have")
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journal.bind(str(self.dir / "socket"))
        reader = threading.Thread(target=self.read_journal, args=[journal])
        reader.start()
        self.addCleanup(self.end_journal, reader)
        return self.daemon(sandbox, config, wrapper=[
            shutil.which("unshare"), "--mount", "sh", "-c", IN_NAMESPACE, "sh", self.dir])

    def read_journal(self, journal):
        """Goes on all the time, because who logs waits for it."""
        with journal:
            while datagram := journal.recv(1 << 20):
                self.said.append(fields_of(datagram))

    def end_journal(self, reader):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.dir / "socket"))
        reader.join()

    def of(self, name):
        """The messages of that kind that the journal has got so far."""
        return [e for e in self.said if e.get("MESSAGE_ID") == IDS[name]]

    def wait_for(self, name):
        return harness.wait_for(lambda: self.of(name), what=name)[-1]


class FieldsTest(JournalCase):
    def test_a_fetch(self):
        sandbox = self.sandbox()
        daemon = self.journal_daemon(sandbox, DEBUG)
        self.assertTrue(harness.Reply(daemon.ask("GET sess_1 hasura")).ok)
        fetched = self.wait_for("fetched")
        self.assertEqual(fetched["PRIORITY"], "7")
        self.assertEqual(fetched["SYSLOG_IDENTIFIER"], "clerk-tokend")
        self.assertEqual((fetched["CLERK_RESULT"], fetched["CLERK_STATUS"]), ("OK", "200"))
        self.assertRegex(fetched["CLERK_MS"], r"^\d+$")
        self.assertRegex(fetched["CLERK_KEY_ID"], r"^[0-9a-f]{16}$")
        self.assertNotIn("CODE_FILE", fetched)
        self.assertEqual(daemon.log(), "", "and nothing on standard error")

        sandbox.fault("status", status=503)
        self.assertFalse(harness.Reply(daemon.ask("GET sess_2 - wait=0")).ok)
        failed = self.wait_for("fetch-failed")
        self.assertEqual((failed["PRIORITY"], failed["CLERK_STATUS"]), ("4", "503"))
        self.assertTrue(failed["CLERK_TRACE_ID"])
        self.assertIn("trace_id=" + failed["CLERK_TRACE_ID"], failed["MESSAGE"])

        sandbox.fault("status", status=401, code="clerk_key_invalid")
        self.assertFalse(harness.Reply(daemon.ask("GET sess_3 -")).ok)
        refused = self.wait_for("key-refused")
        self.assertEqual((refused["PRIORITY"], refused["CLERK_KEY_ID"]),
                         ("3", fetched["CLERK_KEY_ID"]))

    def test_lifecycle(self):
        daemon = self.journal_daemon(self.sandbox(), {})
        started = self.wait_for("started")
        self.assertEqual(started["CLERK_SOCKET"], str(daemon.socket))
        self.assertEqual(started["PRIORITY"], "6")
        daemon.reload()
        self.assertEqual(self.wait_for("reloaded")["CLERK_KEY_ID"], started["CLERK_KEY_ID"])
        daemon.write_config("[cache]\nnonsense = 1\n")
        daemon.reload()
        self.wait_for("reload-failed")
        self.assertIn(f"{daemon.file}:2: ", self.of("bad-config")[0]["MESSAGE"])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.wait_for("stopping")["CLERK_WAITING"], "0")
        self.wait_for("stopped")

    def test_where_standard_error_is_no_journal(self):
        """A variable that was inherited says nothing about a file."""
        for stream in (None, "1:1", "nonsense", ""):
            with self.subTest(stream=stream):
                daemon = self.daemon(self.sandbox(), env={"JOURNAL_STREAM": stream})
                self.assertRegex(daemon.log(), r"(?m)^clerk-tokend: started version=\S+ socket=\S+")
                self.assertEqual(daemon.stop(), 0)
                for line in daemon.log().splitlines():
                    self.assertTrue(line.startswith("clerk-tokend: "), line)


class LevelTest(JournalCase):
    def test_levels(self):
        sandbox = self.sandbox()
        logs = {}
        for level in ("error", "warning", "info", "debug"):
            daemon = self.daemon(sandbox, {**LOTS, "log": {"level": level}})
            daemon.ask("GET sess_1 -")
            sandbox.fault("status", status=503)
            daemon.ask("GET sess_2 - wait=0")
            harness.wait_for(lambda: daemon.stats()["in_flight"] == 0, what="the fetch")
            sandbox.fault("status", status=401, code="clerk_key_invalid")
            daemon.ask("GET sess_3 -")
            self.assertEqual(daemon.stop(), 0)
            logs[level] = daemon.log()
        for word, first in (("unauthorized", "error"), ("unavailable", "warning"),
                            ("started", "info"), ("result=OK", "debug")):
            seen = False
            for level, log in logs.items():
                seen = seen or level == first
                self.assertEqual(word in log, seen, f"{word} at {level}: {log}")


class RepeatsTest(JournalCase):
    def test_what_repeats_is_counted(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS)
        sandbox.fault("not_json", count=-1)
        for n in range(60):
            daemon.ask(f"GET sess_{n} -")
        daemon.reload()  # something else is not held back
        harness.wait_for(lambda: "reloaded" in daemon.log(), what="the reload")
        self.assertEqual(daemon.log().count("bad_upstream"), 10)
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("suppressed suppressed=50 like=fetch-failed", daemon.log())

    def test_told_when_its_time_is_over(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS)
        sandbox.fault("not_json", count=-1)
        for n in range(13):
            daemon.ask(f"GET sess_{n} -")
        harness.wait_for(lambda: "suppressed=3" in daemon.log(), deadline=20, what="the count")


class AuditTest(JournalCase):
    """Who got which token, however it got it, and the token itself never."""

    def audited(self, config=None):
        daemon = self.journal_daemon(self.sandbox(), {**LOTS, "log": {"audit": "on"},
                                                      **(config or {})})
        self.addCleanup(self.assert_no_token)
        self.tokens = []
        return daemon

    def assert_no_token(self):
        for entry in self.said:
            for token in self.tokens:
                self.assertNotIn(token.split(".")[2], repr(entry))

    def got(self, reply):
        self.assertTrue(reply.jwt, reply)
        self.tokens.append(reply.jwt)
        return reply.id

    def audit(self, count):
        """All that was told so far, which is so much."""
        harness.wait_for(lambda: len(self.of("token-handed-out")) >= count, what="the audit")
        found = self.of("token-handed-out")
        self.assertEqual(len(found), count)
        return [(e["CLERK_SESSION"], e["CLERK_TEMPLATE"], e["CLERK_TOKEN_ID"]) for e in found]

    def test_each_token(self):
        daemon = self.audited()
        conn = self.connect(daemon)
        first = self.got(harness.Reply(conn.ask("GET sess_1 hasura")))
        for request in ("GET sess_1 hasura", "GET sess_1 hasura min_ttl=1", "#t GET sess_1 hasura",
                        "WATCH sess_1 hasura"):
            self.assertEqual(self.got(harness.Reply(conn.ask(request))), first)
        self.assertEqual(self.audit(5), [("sess_1", "hasura", first)] * 5)
        daemon.ask("DROP sess_1")
        pushed = self.got(harness.Reply(conn.line()))
        plain = self.got(harness.Reply(conn.ask("GET sess_2 -")))
        self.assertEqual(self.audit(7)[5:], [("sess_1", "hasura", pushed), ("sess_2", "-", plain)])
        entry = self.of("token-handed-out")[-1]
        self.assertEqual((entry["CLERK_UID"], entry["CLERK_PID"]),
                         (str(os.getuid()), str(os.getpid())))
        self.assertEqual((entry["PRIORITY"], entry["CLERK_SRC"]), ("6", "clerk"))
        for refused in ("GET sess_missing -", "PING", "GET", "STATS", "UNWATCH sess_1 hasura"):
            conn.ask(refused)
        self.assertEqual(daemon.stop(), 0)
        self.wait_for("stopped")
        self.audit(7)  # who got none is none

    def test_none_is_held_back(self):
        daemon = self.audited({"log": {"audit": "on", "level": "error"}})
        conn = self.connect(daemon)
        self.got(harness.Reply(conn.ask("GET sess_1 -")))
        conn.send("GET sess_1 -\n" * 100)
        for _ in range(100):
            self.assertTrue(harness.Reply(conn.line()).ok)
        self.audit(101)

    def test_switched_by_a_reload(self):
        daemon = self.audited()
        self.got(harness.Reply(daemon.ask("GET sess_1 -")))
        conn = self.connect(daemon)
        for n, (audit, expected) in enumerate((("off", 1), ("on", 2), ("off", 2)), 1):
            daemon.configure({"log": {"audit": audit}})
            daemon.reload()
            harness.wait_for(lambda: len(self.of("reloaded")) == n, what="the reload")
            self.assertEqual(harness.Reply(conn.ask("GET sess_1 -")).src, "cache")
            self.audit(expected)


@unittest.skipUnless(shutil.which("journalctl"), "there is no journalctl")
class CatalogTest(harness.Case):
    def journalctl(self, root, *arguments):
        done = subprocess.run(["journalctl", f"--root={root}", *arguments], text=True,
                              capture_output=True, timeout=harness.DEADLINE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_it_explains_each_message(self):
        root = harness.make_directory()
        self.addCleanup(shutil.rmtree, root, True)
        for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
            (root / directory).mkdir(parents=True)
        shutil.copy(CATALOG, root / "usr/lib/systemd/catalog")
        self.journalctl(root, "--update-catalog")
        listed = re.findall(r"^([0-9a-f]{32}) clerk-tokend: (.+)$",
                            self.journalctl(root, "--list-catalog"), re.MULTILINE)
        self.assertEqual(sorted(id for id, _ in listed), sorted(IDS.values()))
        self.assertEqual(len({subject for _, subject in listed}), len(IDS))

    def test_its_fields_are_sent(self):
        source = "".join(p.read_text() for p in (harness.ROOT / "daemon").rglob("*.c"))
        names = set(re.findall(r'(?:log_text|log_number|if_known)\("(\w+)"', source))
        used = set(re.findall(r"@CLERK_(\w+)@", CATALOG.read_text()))
        self.assertEqual({name for name in used if name.lower() not in names}, set())

    def test_it_is_installed(self):
        self.assertIn("clerk-tokend.catalog", (harness.ROOT / "Makefile").read_text())
        self.assertTrue(Path(CATALOG).is_file())


if __name__ == "__main__":
    unittest.main()
