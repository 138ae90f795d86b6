"""The servers at sockets that systemd hands over under their names."""

import http.client
import socket
import unittest

import harness
from test_front import call, path_of
from test_metrics import UnixConnection, free_port

EX_CONFIG = 78
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"


class Handed(harness.Case):
    def listener(self, address="127.0.0.1", family=socket.AF_INET, kind=socket.SOCK_STREAM):
        s = socket.socket(family, kind)
        self.addCleanup(s.close)
        s.bind(str(address) if family == socket.AF_UNIX else (address, 0))
        if kind == socket.SOCK_STREAM:
            s.listen(16)
        return s

    def activated(self, handed, config=None, **keywords):
        return self.own(harness.Activated(
            keywords.pop("sandbox", None), config, [(name, s.fileno()) for name, s in handed],
            **keywords))

    def connection(self, s):
        host, port = s.getsockname()[:2]
        connection = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        self.addCleanup(connection.close)
        return connection

    def get(self, connection, path):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def refused(self, handed, config=None):
        """What the daemon says instead of starting."""
        daemon = self.activated(handed, config, wait=False)
        self.assertEqual(daemon.wait(), EX_CONFIG, daemon.log())
        return daemon.log()


class Front(Handed):
    def test_it_is_on_though_nothing_is_configured(self):
        s = self.listener()
        daemon = self.activated([("http", s)], sandbox=self.sandbox())
        self.assertEqual(call(self.connection(s), path_of("sess_1")).status, 200)
        self.assertIn(f"http=127.0.0.1:{s.getsockname()[1]}", daemon.log())
        self.assertEqual(call(self.connection(s), path_of("sess_1"), key="sk_test_x").status, 401)

    def test_it_goes_before_what_is_configured(self):
        s, other = self.listener(), free_port()
        daemon = self.activated([("http", s)], {"listen": {"http": f"127.0.0.1:{other}"}},
                                sandbox=self.sandbox())
        self.assertEqual(call(self.connection(s), path_of("sess_1")).status, 200)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", other), harness.DEADLINE_S)
        daemon.reload()
        harness.wait_for(lambda: "reloaded" in daemon.log(), what="a reload")
        self.assertNotIn("next start", daemon.log())
        self.assertEqual(call(self.connection(s), path_of("sess_1")).status, 200)

    def test_others_are_for_clients(self):
        """In whatever order, by whatever name."""
        s = self.listener()
        with harness.Child() as child:
            clients = [self.listener(child.dir / name, socket.AF_UNIX) for name in "ab"]
            daemon = self.activated([("clerk-tokend.socket", clients[0]), ("http", s),
                                     ("Https", clients[1])], sandbox=self.sandbox(), wait=False)
            for client in clients:
                with harness.Conn(client.getsockname()) as conn:
                    self.assertEqual(conn.ask("PING"), "OK pong")
            self.assertEqual(call(self.connection(s), path_of("sess_1")).status, 200)
            self.assertFalse(daemon.socket.exists(), "it made one of its own too")

    def test_host_names_the_address_that_the_connection_came_to(self):
        both = [self.listener("::1", socket.AF_INET6), self.listener()]
        self.activated([("http", s) for s in both], sandbox=self.sandbox())
        ports = [s.getsockname()[1] for s in both]
        for s, own, foreign in zip(both, ports, reversed(ports)):
            for host, status in {"127.0.0.1": 421, "[::1]": 421, "localhost": 200, "evil": 421,
                                 {"::1": "[::1]"}.get(s.getsockname()[0], "127.0.0.1"): 200}.items():
                with self.subTest(s=s, host=host):
                    answers = [call(self.connection(s), path_of("sess_1"), Host=f"{host}:{port}")
                               for port in (own, foreign)]
                    self.assertEqual([a.status for a in answers], [status, 421])

    def test_at_a_path_no_key_is_needed(self):
        with harness.Child() as child:
            s = self.listener(child.dir / "http", socket.AF_UNIX)
            self.activated([("http", s)], sandbox=self.sandbox())
            connection = UnixConnection(child.dir / "http")
            self.addCleanup(connection.close)
            self.assertEqual(call(connection, path_of("sess_1"), key=None).status, 200)

    def test_it_must_not_ask_itself(self):
        s = self.listener()
        own = {"clerk": {"api_url": f"http://127.0.0.1:{s.getsockname()[1]}"}}
        self.assertIn("the daemon's own [listen] http", self.refused([("http", s)], own))


class Others(Handed):
    def test_metrics(self):
        s = self.listener()
        self.activated([("metrics", s)])
        self.assertEqual(self.get(self.connection(s), "/livez"), (200, b"live\n"))

    def test_webhooks(self):
        """At any address, if there is a secret."""
        s = self.listener("0.0.0.0")
        self.assertIn("clerk_webhook_secret", self.refused([("webhooks", s)]))
        with harness.Child() as child:
            secret = child.dir / "secret"
            secret.write_text(SECRET)
            secret.chmod(0o600)
            self.activated([("webhooks", s)], {"clerk": {"webhook_secret_file": secret}})
            self.assertEqual(self.get(self.connection(s), "/")[0], 405)


class Refused(Handed):
    def test_not_on_loopback(self):
        for name in ("http", "metrics"):
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with self.subTest(name=name, address=address):
                    s = self.listener(address, family)
                    log = self.refused([(name, self.listener()), (name, s)])
                    self.assertIn(f"{s.getsockname()[1]} that systemd hands over for {name}: "
                                  "expected off, a loopback ADDRESS:PORT", log)

    def test_no_listening_stream_socket(self):
        bound = socket.socket()
        self.addCleanup(bound.close)
        bound.bind(("127.0.0.1", 0))
        for s in (bound, self.listener(kind=socket.SOCK_DGRAM),
                  self.listener("\0" + self.id(), socket.AF_UNIX)):
            for name in ("http", "metrics", "webhooks"):
                with self.subTest(s=s, name=name):
                    self.assertIn(f"for {name} is no listening stream socket at a port or a path",
                                  self.refused([(name, s)]))

    def test_a_port_for_clients(self):
        self.assertIn("for clients is no listening Unix stream socket",
                      self.refused([("clerk-tokend.socket", self.listener())]))

    def test_ports_and_paths(self):
        with harness.Child() as child:
            path = self.listener(child.dir / "http", socket.AF_UNIX)
            self.assertIn("is at a path, and another one at a port",
                          self.refused([("http", self.listener()), ("http", path)]))

    def test_what_is_not_there(self):
        daemon = self.daemon(wrapper=["/bin/sh", "-c", 'LISTEN_FDS=2 LISTEN_PID=$$ exec "$@"', "sh"],
                             wait=False)
        self.assertEqual(daemon.wait(), EX_CONFIG)
        self.assertIn("what systemd handed over can't be used", daemon.log())


if __name__ == "__main__":
    unittest.main()
