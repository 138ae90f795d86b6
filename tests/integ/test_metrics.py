"""The metrics endpoint: what it answers, to Prometheus and to those who mean no good."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import unittest

import harness

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, whichever Python this is
try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# What Debian's Prometheus sends.
ACCEPT = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
          "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
CONNECTIONS_MAX = 32
DEADLINE_S = 5
INSTALL = "is not installed: make deps-ops"


def free_port(family=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(family) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def needed(program):
    """Where it is; skips the test where it isn't."""
    path = shutil.which(program)
    if not path:
        raise unittest.SkipTest(f"{program} {INSTALL}")
    return path


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=harness.DEADLINE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class MetricsCase(harness.Case):
    def start(self, sandbox=None, config=None, **keywords):
        self.port = free_port()
        listen = {"metrics": f"127.0.0.1:{self.port}"}
        return self.daemon(sandbox, {"listen": listen, **(config or {})}, **keywords)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE_S)

    def request(self, path, method="GET", accept=None, connection=None):
        """(status, fields, text)"""
        connection = connection or self.connection()
        try:
            connection.request(method, path, headers={"Accept": accept} if accept else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def metrics(self, accept=None):
        status, fields, text = self.request("/metrics", accept=accept)
        self.assertEqual(status, 200)
        return fields["Content-Type"], text

    def samples(self):
        """The value of each sample, by its name with its labels."""
        lines = [line for line in self.metrics()[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def raw(self, data):
        """All that is answered to those bytes."""
        with socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S) as s:
            s.sendall(data)
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
            return answer.decode()

    def open_socket(self):
        s = socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S)
        self.addCleanup(s.close)
        return s


class Answers(MetricsCase):
    def test_the_format_that_is_asked_for(self):
        self.start()
        content_type, text = self.metrics(ACCEPT)
        self.assertEqual(content_type, OPENMETRICS)
        self.assertTrue(text.endswith("\n# EOF\n"))
        content_type, text = self.metrics()
        self.assertEqual(content_type, TEXT)
        self.assertNotIn("# EOF", text)
        self.assertEqual(self.request("/metrics?x=y")[0], 200)

    def test_methods_and_paths(self):
        self.start()
        status, fields, text = self.request("/metrics", "HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertGreater(int(fields["Content-Length"]), 1000)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
            status, fields, _ = self.request("/metrics", method)
            self.assertEqual((status, fields["Allow"]), (405, "GET, HEAD"))
        for path in ("/", "/metrics/", "/metric", "/livez/..", "//metrics"):
            self.assertEqual(self.request(path)[0], 404, path)

    def test_what_is_no_request(self):
        self.start()
        for data in (b"\r\n", b"GET sess_1 hasura\n", b"GET / HTTP/1.1\r\n a\r\n\r\n",
                     b"GET /\x00 HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\n",
                     b"GET / HTTP/1.1\r\n\r\n"):
            self.assertTrue(self.raw(data).startswith("HTTP/1.1 400 "), data)
        head = b"GET / HTTP/1.1\r\nA: " + b"a" * 9000
        self.assertTrue(self.raw(head).startswith("HTTP/1.1 431 "))

    def test_one_answer_a_connection(self):
        """Whatever comes behind the head, a body or another request, takes nothing away from it."""
        self.start()
        for rest in (b"x" * 50000, b"GET /livez HTTP/1.1\r\n\r\n" * 3):
            answer = self.raw(b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + rest)
            self.assertEqual(answer.count("HTTP/1.1 "), 1)
            self.assertTrue(answer.startswith("HTTP/1.1 405 "))
            self.assertTrue(answer.endswith("GET or HEAD\n"))

    def test_split_anywhere(self):
        self.start()
        head = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(head)):
                s.sendall(head[i:i + 1])
            self.assertIn(b"200 OK", s.recv(65536))

    def test_they_are_the_numbers_of_stats(self):
        sandbox = self.sandbox()
        daemon = self.start(sandbox)
        for session in ("sess_1", "sess_1", "sess_2", "sess_missing"):
            daemon.ask(f"GET {session} hasura")
        daemon.ask("NONSENSE")
        stats, samples = daemon.stats(), self.samples()
        self.assertEqual(stats["gets"], 4)
        for name, sample in (("gets", "gets_total"), ("hits", "hits_total"),
                             ("waits", "waits_total"), ("tokens", "tokens"),
                             ("entries", "entries"), ("budget_used", "budget_used_requests"),
                             ("fetched_tokens", "fetched_tokens_total"),
                             ("fetches_for_callers", 'fetches_total{for="caller"}'),
                             ("cache_bytes", "cache_bytes"), ("max_clients", "clients_limit")):
            self.assertEqual(samples["clerk_tokend_" + sample], stats[name], name)
        for code, count in stats["errors"].items():
            self.assertEqual(samples[f'clerk_tokend_errors_total{{code="{code}"}}'], count)
        self.assertEqual(stats["errors"]["not_found"], 1)
        self.assertEqual(samples["clerk_tokend_wait_duration_seconds_count"], 3)
        self.assertEqual(samples["clerk_tokend_fetch_duration_seconds_count"], stats["fetches"])
        self.assertEqual(samples["process_max_fds"], stats["files_max"])
        self.assertEqual(samples["process_resident_memory_bytes"] > 1 << 20, True)
        self.assertAlmostEqual(samples["process_start_time_seconds"], time.time(), delta=60)

    def test_nothing_secret_is_told(self):
        daemon = self.start(self.sandbox())
        reply = harness.Reply(daemon.ask("GET sess_canary hasura_canary"))
        text = "".join(str(self.request(path)) for path in ("/metrics", "/readyz", "/livez", "/x"))
        for secret in (reply.jwt, reply.jwt.split(".")[2], harness.SECRET_KEY, "canary"):
            self.assertNotIn(secret, text)

    def test_ready_and_live(self):
        daemon = self.start()  # nobody listens where Clerk should be
        self.assertEqual(self.request("/readyz")[0], 200)
        for i in range(3):
            self.assertIn("unavailable", daemon.ask(f"GET sess_{i} -"))
        status, _, text = self.request("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("not ready", text)
        self.assertEqual(self.request("/livez")[0], 200)

    def test_a_socket(self):
        path = harness.make_directory() / "metrics.sock"
        self.addCleanup(shutil.rmtree, path.parent)
        listen = {"metrics": f"unix:{path}", "socket_mode": "0600"}
        daemon = self.daemon(None, {"listen": listen})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        status, _, text = self.request("/metrics", connection=UnixConnection(path))
        self.assertEqual(status, 200)
        self.assertIn("clerk_tokend_ready 1", text)
        other = self.daemon(None, {"listen": listen}, wait=False)
        self.assertEqual(other.wait(), 1)
        self.assertIn("[listen] metrics:", other.log())
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(path.exists())

    def test_the_other_loopback(self):
        try:
            port = free_port(socket.AF_INET6, "::1")
        except OSError as error:
            self.skipTest(f"no IPv6: {error}")
        self.daemon(None, {"listen": {"metrics": f"[::1]:{port}"}})
        connection = http.client.HTTPConnection("::1", port, timeout=harness.DEADLINE_S)
        self.assertEqual(self.request("/livez", connection=connection)[0], 200)

    def test_a_port_in_use_stops_the_start(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            address = f"127.0.0.1:{s.getsockname()[1]}"
            daemon = self.daemon(None, {"listen": {"metrics": address}}, wait=False)
            self.assertEqual(daemon.wait(), 1)
        self.assertIn(address, daemon.log())

    def test_a_reload_that_would_move_it(self):
        daemon = self.start()
        daemon.configure({"listen": {"metrics": None}})
        daemon.reload()
        harness.wait_for(lambda: "reloaded" in daemon.log())
        self.assertIn("metrics changes at the next start", daemon.log())
        self.assertEqual(self.request("/livez")[0], 200)


class Hostile(MetricsCase):
    def test_the_slow_keep_nobody_out(self):
        self.start()
        slow = [self.open_socket() for _ in range(3 * CONNECTIONS_MAX)]
        for s in slow:
            s.sendall(b"GET /metrics HTTP/1.1\r\n")
        self.assertEqual(self.request("/livez")[0], 200)
        for s in slow[:2 * CONNECTIONS_MAX]:
            with contextlib.suppress(ConnectionResetError):  # what it sent was not read yet
                self.assertEqual(s.recv(1), b"")

    def test_a_connection_ends_in_time(self):
        """However it behaves: silent, slow, not reading, or not closing."""
        daemon = self.start()
        conn = self.connect(daemon)

        def files_open():
            return json.loads(conn.ask("STATS")[3:])["files_open"]

        before = files_open()
        began = time.monotonic()
        silent, slow, deaf, clinging = [self.open_socket() for _ in range(4)]
        slow.sendall(b"GET /livez HTTP/1.1\r\n")
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        clinging.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        while b"live" not in clinging.recv(65536):
            pass

        def is_over():
            try:
                slow.sendall(b"a")
            except OSError:
                return True
            return False

        harness.wait_for(is_over, DEADLINE_S + harness.DEADLINE_S)
        self.assertGreater(time.monotonic() - began, DEADLINE_S - 1)
        self.assertEqual(silent.recv(1), b"")
        harness.wait_for(lambda: files_open() == before)

    def test_callers_are_served_meanwhile(self):
        daemon = self.start(self.sandbox())
        conn = self.connect(daemon)
        conn.ask("GET sess_1 hasura")
        for _ in range(CONNECTIONS_MAX):
            self.open_socket().sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn("src=cache", conn.ask("GET sess_1 hasura"))

    def test_who_hangs_up(self):
        self.start()
        for data in (b"", b"GET ", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"):
            for _ in range(50):
                with socket.create_connection(("127.0.0.1", self.port)) as s:
                    s.sendall(data)
        self.assertEqual(self.request("/livez")[0], 200)


class ByOthers(MetricsCase):
    """What Prometheus and its tools say of it."""

    def busy(self):
        daemon = self.start(self.sandbox())
        daemon.ask("GET sess_1 hasura")
        daemon.ask("GET sess_missing hasura")
        return daemon

    def test_promtool(self):
        promtool = needed("promtool")
        self.busy()
        done = subprocess.run([promtool, "check", "metrics"], input=self.metrics()[1].encode(),
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""))

    @unittest.skipUnless(openmetrics, f"python3-prometheus-client {INSTALL}")
    def test_the_openmetrics_parser(self):
        self.busy()
        families = list(openmetrics.text_string_to_metric_families(self.metrics(ACCEPT)[1]))
        names = [f.name for f in families]
        self.assertEqual(len(names), len(set(names)))
        for family in families:
            self.assertTrue(family.name.startswith(("clerk_tokend_", "process_")), family.name)
            self.assertTrue(family.documentation.endswith("."), family.name)
            for unit in ("seconds", "bytes"):
                if family.name.endswith("_" + unit):
                    self.assertEqual(family.unit, unit, family.name)

    def prometheus(self, daemon):
        """A real one, which scrapes every 200 ms and knows the alerts. Returns its port."""
        program = needed("prometheus")
        port = free_port()
        config = daemon.dir / "prometheus.yml"
        rules = harness.ROOT / "docs/ops/alerts.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms",
                       "evaluation_interval": "200ms"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "clerk-tokend", "static_configs": [
                {"targets": [f"127.0.0.1:{self.port}"]}]}],
        }))
        child = self.own(harness.Child())
        child.spawn([program, f"--config.file={config}", f"--storage.tsdb.path={child.dir}/data",
                     f"--web.listen-address=127.0.0.1:{port}"], harness.clean_environment())
        return port

    def query(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.DEADLINE_S)
        try:
            connection.request("GET", "/api/v1/" + path)
            answer = connection.getresponse()
            return json.load(answer)["data"] if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    def test_a_real_prometheus(self):
        daemon = self.busy()
        port = self.prometheus(daemon)

        def found():
            data = self.query(port, "query?query=clerk_tokend_gets_total")
            return data and data["result"]

        result = harness.wait_for(found, 60, "a sample in Prometheus")
        self.assertEqual(result[0]["metric"]["job"], "clerk-tokend")
        self.assertEqual(result[0]["value"][1], "2")
        targets = self.query(port, "targets")["activeTargets"]
        self.assertEqual([(t["health"], t["lastError"]) for t in targets], [("up", "")])
        metadata = self.query(port, "metadata?metric=clerk_tokend_cache_bytes")
        self.assertEqual(metadata["clerk_tokend_cache_bytes"][0]["unit"], "bytes")  # OpenMetrics
        groups = harness.wait_for(lambda: self.evaluated(port), 60, "the alerts")
        for rule in (r for g in groups for r in g["rules"]):
            self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])

    def evaluated(self, port):
        groups = self.query(port, "rules")["groups"]
        done = all(r["health"] != "unknown" for g in groups for r in g["rules"])
        return groups if groups and done else None


if __name__ == "__main__":
    unittest.main()
