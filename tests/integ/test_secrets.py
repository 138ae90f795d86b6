"""Keys and tokens are planted, every path is driven at the highest log level, and all that the
daemon shows or keeps is searched for them: log and journal, replies, STATS, /proc, a core dump, and
its memory, freed and in use."""

import http.client
import os
import re
import resource
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

import harness
import test_front
import test_journal
import test_metrics
import test_upstream

KEY, NEW_KEY = "sk_test_canaryT7vQ2mZr8Lk5Wd", "sk_test_second9Zk3mQpW7xTbN4c"
LOTS = {"rate_limit": "100000/10s", "budget": "100%"}
NOISY = {"level": "debug", "audit": "on"}
NOBODY = 60001
WRONG_KEY = "sk_test_wrongG5tYh2Nc8RqLx6Wb"
PIECE = 24  # characters of a secret that are looked for


def pieces(secret):
    """Parts of it, because what is freed may be overwritten in part; of a token parts of its
    signature, because other tokens have the rest too."""
    part = secret.split(".")[2] if "." in secret else secret[8:]
    last = max(0, len(part) - PIECE)
    return {part[i:i + PIECE].encode() for i in (0, last // 2, last)}


def read_proc(pid, name):
    """As text; nothing where only root may read it."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode("latin-1")
    except PermissionError:
        return ""


class Memory:
    """What a process has in its memory, as root sees it."""

    def __init__(self, pid):
        self.parts = []
        os.kill(pid, signal.SIGSTOP)  # else what is mapped changes while it is read
        try:
            harness.wait_for(lambda: re.search(r"State:\s+T", read_proc(pid, "status")),
                             what="it to stand still")
            self.read(pid)
        finally:
            os.kill(pid, signal.SIGCONT)

    def read(self, pid):
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
                open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                place, mode = line.split()[:2]
                start, end = (int(n, 16) for n in place.split("-"))
                if "r" not in mode or "[v" in line:  # the kernel's own
                    continue
                memory.seek(start)
                self.parts.append(memory.read(end - start))

    def count(self, piece):
        return sum(part.count(piece) for part in self.parts)

    def has(self, secret):
        return any(self.count(piece) for piece in pieces(secret))


class SecretsCase(harness.Case):
    def setUp(self):
        self.dir = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.file = self.dir / "key"
        self.write_key(KEY)
        self.tokens, self.said = [], []

    def write_key(self, key):
        fresh = self.dir / "fresh"
        fresh.write_text(key)
        fresh.chmod(0o600)
        fresh.rename(self.file)

    def begin(self, config=None, clerk=None, **keywords):
        self.bapi = self.sandbox("--secret-key", KEY, "--secret-key", NEW_KEY)
        self.served = self.daemon(
            self.bapi, {"clerk": {**LOTS, "secret_key_file": self.file, **(clerk or {})},
                        **(config or {})}, **keywords)

    def hear(self, line):
        """A reply or push; what it tells beside the token is to be searched."""
        reply = harness.Reply(line)
        if reply.jwt:
            self.tokens.append(reply.jwt)
            line = line.replace(reply.jwt, "")
        self.said.append(line)
        return reply

    def ask(self, request):
        return self.hear(self.served.ask(request))

    def reload(self):
        before = self.served.log().count(": reloaded ")
        self.served.reload()
        harness.wait_for(lambda: self.served.log().count(": reloaded ") > before, what="a reload")

    def memory(self):
        """When nobody is connected any more."""
        harness.wait_for(lambda: self.served.stats()["clients"] == 1, what="clients to leave")
        return Memory(self.served.pid)

    def assert_gone(self, tokens):
        """Soon: what takes long, such as a FLUSH, is done in parts."""
        def is_gone():
            memory = self.memory()
            return not any(memory.has(t) for t in tokens)

        harness.wait_for(is_gone, what="tokens to be wiped")


FAULTS = [
    {"kind": "not_json"}, {"kind": "no_jwt"}, {"kind": "garbage"}, {"kind": "reset"},
    {"kind": "half"}, {"kind": "close"}, {"kind": "huge", "bytes": 300000}, {"kind": "expired"},
    {"kind": "no_exp"}, {"kind": "hang"}, {"kind": "stall"}, {"kind": "lifetime", "s": 1},
    {"kind": "content_type", "value": "text/html"},
    {"kind": "status", "status": 404}, {"kind": "status", "status": 403},
    {"kind": "status", "status": 422, "message": KEY},
    {"kind": "status", "status": 429, "retry_after": "0"},
    {"kind": "status", "status": 500}, {"kind": "status", "status": 503, "body": KEY},
    {"kind": "status", "status": 302}, {"kind": "status", "status": 200, "body": "{}"},
]


class CanaryTest(SecretsCase):
    def noisy(self):
        return {"log": NOISY, "listen": {"metrics": f"unix:{self.dir}/metrics",
                                         "http": f"unix:{self.dir}/http"}}

    def drive(self):
        """All verbs, all answers of Clerk's, and what is no request."""
        for n in range(5):
            self.assertTrue(self.ask(f"GET sess_{n} hasura").ok)
        token = self.ask("GET sess_1 hasura")
        for fault in FAULTS + [{"kind": "jwt", "jwt": token.jwt + " x"},
                               {"kind": "status", "status": 500, "message": token.jwt},
                               {"kind": "status", "status": 429, "body": token.jwt}]:
            self.bapi.fault(**fault, session=f"sess_f{len(self.said)}")
            self.ask(f"GET sess_f{len(self.said)} - wait=300")
        self.bapi.reset()
        harness.wait_for(lambda: self.ask("GET sess_after - wait=1000").ok, what="Clerk to be back")
        self.ask(f"GET sess_1 hasura not={token.id}")
        conn = self.connect(self.served)
        self.assertTrue(self.hear(conn.ask("WATCH sess_watch -")).ok)
        self.said.append(conn.ask("TRACK on"))
        self.said.append(conn.ask("DROP sess_watch"))
        self.hear(conn.line())
        self.hear(conn.line())
        conn.close()
        for wrong in (f"GET {KEY}? {token.jwt}", f"get {token.jwt}", f"GET sess_1 - wait={token.jwt}",
                      f"{KEY} {token.jwt}", f"#{KEY} PING", "GET " + token.jwt * 3):
            self.said.append(self.served.ask(wrong).replace("#" + KEY, ""))
        self.rotate(token.jwt)
        for request in ("HELLO 1", "STATS", "WHY sess_1 hasura", "DROP sess_1 hasura", "FLUSH", "STATS"):
            self.said.append(self.served.ask(request))
        for path in ("metrics", "readyz", "livez", KEY, token.jwt):
            self.said.append(self.http(path))
        self.drive_front(token.jwt)

    def drive_front(self, jwt):
        for n in range(3):
            self.tokens.append(self.post(f"sess_{n}", "hasura").jwt)
        for session, template, body in (("sess_1", "missing", None), ("sess_1", "x", jwt),
                                        ("sess_missing_1", None, None)):
            self.said.append(str(self.post(session, template, body).text))
        for session in (KEY, KEY + ".", jwt):  # whose own words it is told, as Clerk does
            self.post(session, None)

    def post(self, session, template, body=None):
        connection = test_metrics.UnixConnection(self.dir / "http")
        try:
            return test_front.call(connection, test_front.path_of(session, template), body, key=WRONG_KEY)
        finally:
            connection.close()

    def http(self, path):
        with harness.Conn(self.dir / "metrics") as conn:
            conn.send(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while conn.receive(time.monotonic() + harness.DEADLINE_S):
                pass
            return conn.input.decode()

    def rotate(self, jwt):
        """Bad configurations with secrets in the wrong places, then a key that is refused, too."""
        good = self.served.file.read_text()
        for text in (f"[clerk]\napi_url = {KEY}\n", f"[{KEY}]\n", f"[clerk]\n{jwt} = 1\n",
                     f"[access]\nallow = {KEY}\n", f"{KEY}\n"):
            self.served.write_config(text)
            before = self.served.log().count("reload failed")
            self.served.reload()
            harness.wait_for(lambda: self.told("reload failed", before), what="the refusal")
        self.served.write_config(good)
        self.bapi.fault("status", status=401, code="clerk_key_invalid", message=NEW_KEY)
        self.write_key(NEW_KEY)
        for _ in range(2):
            before = self.served.log().count(": reloaded ")
            self.served.reload()
            harness.wait_for(lambda: self.told(": reloaded ", before), what="the reload")
            self.assertTrue(self.ask(f"GET sess_r{len(self.said)} -").ok)
        self.assertEqual(self.served.stats()["key_state"], "accepted")

    def told(self, words, before):
        return self.served.log().count(words) > before

    def assert_nothing_told(self):
        self.assertGreater(len(self.tokens), 10)
        for name in ("cmdline", "environ", "comm", "status", "maps", "limits"):
            self.said.append(read_proc(self.served.pid, name))
        self.assertEqual(self.served.stop(), 0)
        self.said.append(self.served.log())
        secrets = self.tokens + [KEY, NEW_KEY, WRONG_KEY]
        for text in self.said:
            for secret in secrets:
                for piece in pieces(secret) | {secret.encode()}:
                    self.assertNotIn(piece.decode(), text)

    def test_standard_error(self):
        self.begin(self.noisy(), env={"CLERK_SECRET_KEY": KEY})
        self.drive()
        self.assert_nothing_told()

    def test_standard_error_over_https(self):
        self.begin(self.noisy(), https=True)
        self.drive()
        self.assert_nothing_told()

    def test_the_journal(self):
        journal = test_journal.JournalCase()
        journal.children = self.children
        journal.setUp()
        self.addCleanup(journal.doCleanups)
        self.bapi = self.sandbox("--secret-key", KEY)
        config = {"clerk": {**LOTS, "secret_key_file": self.file}, "log": NOISY}
        self.served = journal.journal_daemon(self.bapi, config)
        for n in range(5):
            self.assertTrue(self.ask(f"GET sess_{n} hasura").ok)
        for fault in FAULTS:
            self.bapi.fault(**fault, session=f"sess_f{len(self.said)}")
            self.ask(f"GET sess_f{len(self.said)} - wait=300")
        self.assertEqual(self.served.stop(), 0)
        journal.wait_for("stopped")
        self.assertGreater(len(journal.said), len(FAULTS))
        text = repr(journal.said) + "".join(self.said)
        for secret in self.tokens + [KEY]:
            for piece in pieces(secret):
                self.assertNotIn(piece.decode(), text)


@unittest.skipIf(harness.is_sanitized(harness.BUILD / "clerk-tokend"),
                 "a sanitizer keeps what is freed")
@unittest.skipUnless(os.getuid() == 0, "only root sees a process that is not dumpable")
class MemoryTest(SecretsCase):
    """Searched by its pieces: first that what is in use is found, so that the search is one."""

    def fill(self, count=40, first=0):
        fresh = [self.ask(f"GET sess_{n} hasura").jwt for n in range(first, first + count)]
        self.assertTrue(all(fresh))
        return fresh

    def check_drops(self):
        tokens = self.fill()
        memory = self.memory()
        self.assertTrue(all(memory.has(t) for t in tokens))
        self.served.ask("DROP sess_0")
        self.assert_gone(tokens[:1])
        self.served.ask("FLUSH")
        self.assert_gone(tokens)

    def test_dropped(self):
        self.begin()
        self.check_drops()

    def test_dropped_over_https(self):
        self.begin(https=True)
        self.check_drops()

    def test_over_http(self):
        """At the front: neither the tokens nor the keys that callers send are left."""
        port = test_metrics.free_port()
        self.begin({"listen": {"http": f"127.0.0.1:{port}"}})
        keys = len(re.findall(KEY[8:].encode(), b"".join(self.memory().parts)))

        def post(n, body=None, key=KEY):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.DEADLINE_S)
            answer = test_front.call(connection, test_front.path_of(f"sess_{n}", "hasura"), body, key=key)
            connection.close()
            return answer

        tokens = [post(n % 20).jwt for n in range(40)]
        tokens += [post(n, '{"expires_in_seconds":600}').jwt for n in range(5)]
        self.assertEqual({post(n, key=WRONG_KEY).status for n in range(5)}, {401})
        memory = self.memory()
        self.assertTrue(all(memory.has(t) for t in tokens))
        self.served.ask("FLUSH")
        self.assert_gone(tokens + [WRONG_KEY])
        self.assertLessEqual(self.memory().count(KEY[8:].encode()), keys + 2)  # Clerk's connections

    def test_over_http_2(self):
        """libcurl reads into a buffer of its own, which it keeps as long as the connection: of the
        last answers something stays there so long."""
        self.begin()
        proxy = self.own(test_upstream.Nghttpx(self.bapi))
        self.served.configure({"clerk": {"api_url": proxy.url, "ca_file": proxy.ca}})
        self.reload()
        tokens = self.fill()
        self.served.ask("FLUSH")
        harness.wait_for(lambda: self.served.stats()["tokens"] == 0, what="the flush")
        # what was flushed is freed in parts, soon after
        harness.wait_for(lambda: sum(map(self.memory().has, tokens)) <= 3, what="all but a few to go")
        self.reload()  # makes new connections
        self.assert_gone(tokens)

    def test_expired(self):
        self.begin({"cache": {"min_ttl": "0", "renew_idle": "0"}})
        self.bapi.config(lifetime_s=2)
        tokens = self.fill()
        harness.wait_for(lambda: self.served.stats()["tokens"] == 0, what="the end of their life")
        self.assert_gone(tokens)

    def test_renewed(self):
        self.begin()
        tokens = self.fill(1)
        for _ in range(3):
            conn = self.connect(self.served)
            tokens.append(self.hear(conn.ask("WATCH sess_0 hasura")).jwt)
            self.served.ask("DROP sess_0")
            tokens.append(self.hear(conn.line()).jwt)
            conn.close()
        self.assert_gone(set(tokens[:-1]) - {tokens[-1]})

    def test_evicted(self):
        self.begin({"cache": {"max_memory": "1M", "max_token_size": "8K"}})
        self.bapi.config(token_size=4000)
        tokens = self.fill(400)
        memory = self.memory()
        self.assertLessEqual(sum(memory.has(t) for t in tokens), self.served.stats()["tokens"])
        self.assertGreater(self.served.stats()["evictions"], 100)

    def test_a_smaller_memory(self):
        self.begin({"cache": {"max_memory": "4M", "max_token_size": "8K"}})
        self.bapi.config(token_size=4000)
        tokens = self.fill(400)
        self.served.configure({"cache": {"max_memory": "1M"}})
        self.reload()
        harness.wait_for(lambda: self.served.stats()["cache_bytes"] < 1 << 20, what="evictions")
        memory = self.memory()
        self.assertLessEqual(sum(memory.has(t) for t in tokens), self.served.stats()["tokens"])

    def test_clients_that_do_not_read(self):
        self.begin()
        self.bapi.config(token_size=30000)
        tokens = self.fill(3)
        conns = [self.connect(self.served) for _ in range(4)]
        for conn in conns:
            conn.send("".join(f"GET sess_{n % 3} hasura\n" for n in range(60)))
        harness.wait_for(lambda: self.served.stats()["hits"] >= 40, what="the answers")
        for conn in conns:
            conn.close()
        self.served.ask("FLUSH")
        self.assert_gone(tokens)

    def check_rotation(self):
        self.fill(5)
        self.assertEqual(self.memory().count(KEY.encode()), 2, "the key, and in a header field")
        self.write_key(NEW_KEY)
        self.reload()
        self.fill(5, first=5)
        self.assertEqual(self.served.stats()["key_state"], "accepted")
        memory = self.memory()
        self.assertEqual(memory.count(KEY.encode()), 0)
        self.assertEqual(memory.count(NEW_KEY.encode()), 2)

    def test_a_key_that_was_replaced(self):
        self.begin()
        self.check_rotation()

    def test_a_key_that_was_replaced_over_https(self):
        self.begin(https=True)
        self.check_rotation()

    def test_a_key_of_the_environment(self):
        self.begin(clerk={"secret_key_file": None}, env={"CLERK_SECRET_KEY": KEY})
        self.fill(5)
        self.assertEqual(self.memory().count(KEY.encode()), 2, "not where it came from")


@unittest.skipIf(harness.is_sanitized(harness.BUILD / "clerk-tokend"),
                 "a sanitizer keeps what is freed")
@unittest.skipUnless(os.getuid() == 0, "only root sees a process that is not dumpable")
class DumpTest(SecretsCase):
    def test_no_core(self):
        """It is killed by a signal that would dump any other process."""
        self.begin()
        self.assertTrue(self.ask("GET sess_1 -").ok)
        self.served.send_signal(signal.SIGABRT)
        status = os.waitpid(self.served.pid, 0)[1]
        self.served.process.returncode = -signal.SIGABRT
        self.assertTrue(os.WIFSIGNALED(status))
        self.assertFalse(os.WCOREDUMP(status))

    @unittest.skipUnless(shutil.which("gcore"), "there is no gcore")
    def test_a_dump_by_root(self):
        """What is in use is left out of it too."""
        self.begin()
        for n in range(20):
            self.assertTrue(self.ask(f"GET sess_{n} -").ok)
        memory = self.memory()
        self.assertTrue(all(memory.has(t) for t in self.tokens) and memory.count(KEY.encode()))
        subprocess.run(["gcore", "-o", str(self.dir / "core"), str(self.served.pid)], check=True,
                       capture_output=True, timeout=60)
        dump = (self.dir / f"core.{self.served.pid}").read_bytes()
        self.assertIn(b"clerk-tokend", dump)
        self.assertEqual(dump.count(KEY.encode()), 0)
        found = [t for t in self.tokens if any(piece in dump for piece in pieces(t))]
        self.assertEqual(found, [])
        self.assertTrue(self.ask("GET sess_1 -").ok)

    def locked(self, limit):
        """The daemon with that limit; how much memory it has locked."""
        prlimit = [shutil.which("prlimit"), f"--memlock={limit}"]
        if subprocess.run(prlimit + ["true"], capture_output=True, check=False).returncode:
            self.skipTest("the limit of locked memory can't be raised here")
        self.begin(wrapper=prlimit)
        for n in range(50):
            self.ask(f"GET sess_{n} -")
        status = Path(f"/proc/{self.served.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmLck:\s+(\d+) kB", status).group(1)) * 1024

    def test_all_memory_is_locked(self):
        self.assertGreater(self.locked("unlimited"), self.served.rss())
        self.assertNotIn("not locked", self.served.log())

    def test_the_key_is_locked(self):
        page = resource.getpagesize()
        self.assertIn(self.locked("65536"), range(page, 5 * page))
        self.assertIn("only the secret key is locked", self.served.log())
        self.assertIn("limit=65536", self.served.log())


if __name__ == "__main__":
    unittest.main()
