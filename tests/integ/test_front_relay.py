"""What the HTTP front passes on to Clerk: unchanged, bounded, inside the budget, and nowhere else."""

import contextlib
import hashlib
import http.client
import re
import socket
import struct
import threading
import time
import unittest
from pathlib import Path

import harness
from test_front import Answer, FrontCase, call, path_of, read_all
from test_metrics import UnixConnection, free_port
from test_warm import Manager

LARGE = 20 << 20
GROWTH_MAX = 6 << 20  # of resident memory, where 20 MB pass
PIECE = b"x" * 65536


class Origin:
    """A server in BAPI's place that keeps each head as it came, and answers by the path.

    /echo answers with the body; /large with 20 MB; /hang never; /broken with half of an answer;
    everything else with the text of `answer`, or, where that is None, with the connection's end.
    """

    def __init__(self):
        self.heads = []
        self.sent = 0
        self.closed = 0
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.http = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            with conn, conn.makefile("rb") as stream:
                while self.exchange(conn, stream):
                    pass
        except OSError:
            pass
        self.closed += 1

    def exchange(self, conn, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        self.heads.append(head.decode("latin-1"))
        path = head.split(b" ")[1].split(b"?")[0].decode()
        respond = getattr(self, path.strip("/").replace("/", "_"), None) or self.plain
        return respond(conn, head, stream)

    @staticmethod
    def pieces(head, stream):
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        left = int(length.group(1)) if length else 0
        while left:
            piece = stream.read1(min(left, 65536))
            if not piece:
                raise OSError("half a body")
            left -= len(piece)
            yield piece
        if re.search(rb"(?i)\r\ntransfer-encoding: chunked", head):
            while size := int(stream.readline(), 16):
                yield stream.read(size)
                stream.readline()
            stream.readline()

    def plain(self, conn, head, stream):
        for _ in self.pieces(head, stream):
            pass
        if self.answer is None:
            return False
        conn.sendall(self.answer)
        return True

    def echo(self, conn, head, stream):
        pieces = self.pieces(head, stream)
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            conn.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        conn.sendall(b"0\r\n\r\n")
        return True

    def large(self, conn, head, stream):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        self.sent = 0
        while self.sent < LARGE:
            conn.sendall(PIECE)
            self.sent += len(PIECE)
        return True

    def hang(self, conn, head, stream):
        while conn.recv(65536):
            pass
        return False

    def broken(self, conn, head, stream):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False

    def close(self):
        """Also wakes the thread, which would accept one more connection."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def high_water(daemon):
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024


class RelayCase(FrontCase):
    def serve_origin(self, config=None):
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.serve(config, sandbox=self.origin)
        return self.origin


class Messages(RelayCase):
    def test_unchanged(self):
        origin = self.serve_origin()
        origin.answer = (b"HTTP/1.1 422 Unprocessable\r\nContent-Type: application/json; charset=utf-8\r\n"
                         b"Clerk-Trace-Id: abc\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=5\r\n"
                         b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\n\x1f\x8b{\"a\"}")
        fields = "Content-Type: application/json\r\nAccept-Encoding: gzip\r\nX-Two: a\r\nX-Two: b\r\n" \
                 "Connection: close, X-Mine\r\nX-Mine: 1\r\nContent-Length: 8\r\n"
        answer = self.raw(self.head("/v1/users/../a%2fb?x=[1]&y", fields, "PATCH"), b'{"a": 1}')
        self.assertEqual(
            origin.heads,
            [f"PATCH /v1/users/../a%2fb?x=[1]&y HTTP/1.1\r\nHost: {origin.http[7:]}\r\n"
             f"Authorization: Bearer {harness.SECRET_KEY}\r\nContent-Type: application/json\r\n"
             "Accept-Encoding: gzip\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 8\r\n\r\n"])
        head, body = answer.split("\r\n\r\n")
        self.assertRegex(head, r"\AHTTP/1.1 422 ")
        for line in ("Content-Type: application/json; charset=utf-8", "Clerk-Trace-Id: abc",
                     "Set-Cookie: a=1", "Set-Cookie: b=2", "Content-Encoding: gzip",
                     "Content-Length: 7"):
            self.assertEqual(head.count(f"\r\n{line}"), 1, line)
        self.assertNotIn("Keep-Alive", head)
        self.assertEqual(head.count("\r\nDate:"), 1)
        self.assertEqual(body, "\x1f\x8b{\"a\"}")

    def test_methods(self):
        origin = self.serve_origin()
        connection = self.connection()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            origin.answer = b"HTTP/1.1 202 Yes\r\nContent-Length: 2\r\n\r\n" + \
                            (b"" if method == "HEAD" else b"{}")
            connection.request(method, "/v1/users", headers={"Authorization": f"Bearer {harness.SECRET_KEY}"})
            response = connection.getresponse()
            self.assertEqual((response.status, response.read()),
                             (202, b"" if method == "HEAD" else b"{}"))
            self.assertEqual(origin.heads[-1].split(" ")[0], method)
        self.assertIn("\r\nContent-Length: 0\r\n", origin.heads[1])  # as http.client sends it

    def test_what_can_not_pass(self):
        origin = self.serve_origin()
        for method in ("TRACE", "BREW"):
            self.assertRegex(self.raw(self.head("/v1/users", "Connection: close\r\n", method)),
                             r"\AHTTP/1.1 400 ")
        self.assertEqual(origin.heads, [])

    def test_large_bodies(self):
        self.serve_origin()
        body = bytes(range(256)) * (LARGE // 256)
        digest = hashlib.sha256(body).hexdigest()
        before = high_water(self.served)
        for chunked in (False, True):
            connection = self.connection()
            got = hashlib.sha256()
            connection.putrequest("POST", "/echo", skip_accept_encoding=True)
            connection.putheader("Authorization", f"Bearer {harness.SECRET_KEY}")
            connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else
                                   ("Content-Length", str(len(body)))))
            connection.endheaders()
            sender = threading.Thread(target=self.send, args=(connection, body, chunked))
            sender.start()
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            while piece := response.read(65536):
                got.update(piece)
            sender.join()
            self.assertEqual(got.hexdigest(), digest)
        if not harness.is_sanitized(self.served.program):
            self.assertLess(high_water(self.served) - before, GROWTH_MAX)

    @staticmethod
    def send(connection, body, chunked):
        for at in range(0, len(body), 100000):
            piece = body[at:at + 100000]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")

    def test_a_slow_reader(self):
        origin = self.serve_origin()
        before = high_water(self.served)
        with self.open_socket() as s:
            s.sendall(self.head("/large", "", "GET"))
            harness.wait_for(lambda: origin.sent)
            harness.wait_for(lambda: self.has_stopped(origin))
            self.assertLess(origin.sent, LARGE)
            self.assertEqual(self.post("/v1/users").status, 200)  # others go on
            total = 0
            while total < LARGE:
                total += len(s.recv(1 << 20))
        if not harness.is_sanitized(self.served.program):
            self.assertLess(high_water(self.served) - before, GROWTH_MAX)

    @staticmethod
    def has_stopped(origin):
        sent = origin.sent
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            if origin.sent != sent:
                return False
            time.sleep(0.02)
        return True

    def test_who_has_gone(self):
        origin = self.serve_origin()
        with self.open_socket() as s:
            s.sendall(self.head("/hang", "", "GET"))
            harness.wait_for(lambda: origin.heads)
            # A close alone looks like the end of what it has to say until something is written.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        harness.wait_for(lambda: origin.closed)
        with self.open_socket() as s:
            s.sendall(self.head("/large", "", "GET"))
            harness.wait_for(lambda: origin.sent)
        harness.wait_for(lambda: origin.closed == 2)
        self.assertEqual(self.post("/v1/users").status, 200)

    def test_an_answer_that_breaks_off(self):
        self.serve_origin()
        connection = self.connection()
        connection.request("GET", "/broken", headers={"Authorization": f"Bearer {harness.SECRET_KEY}"})
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            connection.getresponse().read()

    def test_an_answer_to_old_http_that_breaks_off(self):
        """Its end is the connection's, so that what is cut must not look like an end."""
        origin = self.serve_origin()
        origin.endless = lambda conn, head, stream: conn.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n") or stream.read()
        with self.open_socket() as s:
            s.sendall(self.head("/endless", "", "GET").replace(b"HTTP/1.1", b"HTTP/1.0"))
            answer = b""
            while not answer.endswith(b"half"):
                answer += s.recv(65536)
            self.assertEqual(self.served.stop(), 0)
            with self.assertRaises(ConnectionResetError):
                s.recv(1)

    def test_an_answer_that_is_none(self):
        origin = self.serve_origin()
        for line in (b"101 Switching Protocols", b"000 No"):
            for rest in (b"", b"Content-Length: 2\r\n"):
                origin.answer = b"HTTP/1.1 " + line + b"\r\n" + rest + b"Connection: close\r\n\r\n{}"
                origin.plain = lambda *arguments: Origin.plain(origin, *arguments) and False
                answer = call(self.connection(), "/v1/users", method="GET")
                self.assertEqual((answer.status, answer.code), (502, "bad_gateway"))


class Where(RelayCase):
    def test_no_redirect_is_followed(self):
        origin, other = self.serve_origin(), Origin()
        self.addCleanup(other.close)
        origin.answer = (f"HTTP/1.1 307 Elsewhere\r\nLocation: {other.http}/v1/users\r\n"
                         "Content-Length: 0\r\n\r\n").encode()
        connection = self.connection()
        answer = call(connection, "/v1/users", method="GET")
        self.assertEqual((answer.status, answer.fields["location"]), (307, f"{other.http}/v1/users"))
        self.assertEqual((len(origin.heads), len(other.heads)), (1, 0))

    def test_absolute_targets_are_refused(self):
        origin, other = self.serve_origin(), Origin()
        self.addCleanup(other.close)
        for target in (f"{other.http}/v1/users", "@x/", f"//{other.http[7:]}/v1/users"):
            self.raw(self.head(target, "Connection: close\r\n", "GET"))
        self.assertEqual(other.heads, [])

    def test_nobody_there(self):
        dead = Origin()
        dead.close()
        self.serve(sandbox=dead)
        answer = call(self.connection(), "/v1/users", method="GET")
        self.assertEqual((answer.status, answer.code), (502, "bad_gateway"))
        self.assertEqual(answer.fields["content-type"], "application/json")
        self.assertTrue(answer.json["clerk_trace_id"])

    def test_what_has_an_effect_is_sent_once(self):
        """Also where the connection that was kept ends just then, and nobody knows what it did."""
        origin = self.serve_origin()
        for body in (b"{}", None):
            origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
            self.assertEqual(self.post("/v1/users", b"{}").status, 200)
            origin.heads.clear()
            origin.answer = None
            answer = self.post("/v1/users", body)
            self.assertEqual((answer.status, answer.code), (502, "bad_gateway"))
            self.assertEqual(len(origin.heads), 1)

    def test_silence(self):
        self.serve_origin({"clerk": {"request_timeout": "100ms", "connect_timeout": "100ms"}})
        answer = call(self.connection(), "/hang", method="GET")
        self.assertEqual((answer.status, answer.code), (504, "gateway_timeout"))

    def test_by_https(self):
        self.serve(https=True)
        answer = call(self.connection(), "/v1/sessions/sess_1", method="GET")
        self.assertEqual((answer.status, answer.json["id"]), (200, "sess_1"))

    def test_another_key_and_address(self):
        first = self.serve_origin()
        second = Origin()
        self.addCleanup(second.close)
        self.post("/v1/users")
        self.served.configure({"clerk": {"api_url": second.http}})
        self.served.reload()
        harness.wait_for(lambda: self.post("/v1/users").status == 200 and second.heads)
        seen = len(first.heads)
        self.post("/v1/users")
        self.assertEqual(len(first.heads), seen)


class Sockets(RelayCase):
    def serve_socket(self, access=None):
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.directory = harness.make_directory()
        self.addCleanup(self.directory.rmdir)
        self.path = self.directory / "http"
        self.addCleanup(lambda: self.path.unlink(missing_ok=True))
        self.addCleanup(lambda: (self.directory / "http.lock").unlink(missing_ok=True))
        config = {"listen": {"http": f"unix:{self.path}"}, **({"access": access} if access else {})}
        self.served = self.daemon(self.origin, config)

    def get(self, key=None):
        connection = UnixConnection(self.path)
        try:
            return call(connection, "/v1/users", method="GET", key=key)
        finally:
            connection.close()

    def test_the_key_is_added(self):
        self.serve_socket()
        self.assertEqual(self.get().status, 200)
        self.assertEqual(self.get(key="sk_test_nonsense").status, 200)
        for head in self.origin.heads:
            self.assertEqual(re.findall("(?i)\r\nauthorization: (.*)\r\n", head),
                             [f"Bearer {harness.SECRET_KEY}"])

    def test_who_has_gone(self):
        self.serve_socket()
        connection = UnixConnection(self.path)
        connection.request("GET", "/hang")
        harness.wait_for(lambda: self.origin.heads)
        connection.close()
        harness.wait_for(lambda: self.origin.closed)

    def test_who_may_not_have_everything_may_call_nothing(self):
        self.serve_socket({"allow": ["template=hasura"]})
        answer = self.get()
        self.assertEqual((answer.status, answer.code), (403, "authorization_invalid"))
        self.assertEqual(self.origin.heads, [])


    def test_who_waits_when_rules_change(self):
        self.serve_socket()
        self.served.configure({"clerk": {"rate_limit": "1/30s", "budget": "100%"},
                               "cache": {"default_wait": "60s"}})
        self.served.reload()
        harness.wait_for(lambda: ": reloaded " in self.served.log())
        self.assertEqual(self.get().status, 200)
        connection = UnixConnection(self.path)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/users")
        harness.wait_for(lambda: self.served.stats()["queued"] == 1)
        self.served.configure({"access": {"allow": ["template=hasura"]},
                               "clerk": {"rate_limit": "1000/10s"}})
        self.served.reload()
        answer = Answer(connection.getresponse())
        self.assertEqual((answer.status, answer.code), (403, "authorization_invalid"))
        self.assertEqual(len(self.origin.heads), 1)


class Budget(FrontCase):
    def test_calls_and_tokens_stay_inside(self):
        """Many ask for more than there is; Clerk's own limiter never has to say no."""
        self.serve({"clerk": {"rate_limit": "40/2s", "budget": "100%"},
                    "cache": {"default_wait": "1s"}})
        statuses = []

        def work(number):
            connection = self.connection()
            for i in range(10):
                path = path_of(f"sess_{number}_{i}") if i % 2 else f"/v1/sessions/sess_{number}"
                answer = call(connection, path, method="POST" if i % 2 else "GET")
                statuses.append((i % 2, answer.status))
                if answer.status == 429:
                    self.assertGreaterEqual(int(answer.fields["retry-after"]), 1)
                    self.assertEqual(answer.code, "too_many_requests")

        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        windows = (time.monotonic() - began) / 2 + 1
        passed = [kind for kind, status in statuses if status == 200]
        self.assertEqual(set(status for _, status in statuses), {200, 429})
        self.assertEqual(len(statuses), 120)
        self.assertLessEqual(len(passed), 40 * (windows + 1))
        self.assertGreaterEqual(passed.count(0), 10)  # neither starves
        self.assertGreaterEqual(passed.count(1), 10)
        self.assertLessEqual(self.served.stats()["budget_used"], 40)

    def test_clerk_objects(self):
        self.serve({"clerk": {"rate_limit": "1000/10s"}})
        self.bapi.config(rate_limit="3/60")
        connection = self.connection()
        answers = [call(connection, "/v1/sessions/sess_1", method="GET") for _ in range(4)]
        self.assertEqual([a.status for a in answers], [200, 200, 200, 429])
        self.assertGreater(int(answers[3].fields["retry-after"]), 40)
        calls = self.served.stats()["calls"]
        refused = call(connection, "/v1/sessions/sess_1", method="GET")
        self.assertEqual((refused.status, refused.code), (429, "too_many_requests"))
        self.assertEqual(call(connection, path_of("sess_1")).status, 429)
        self.assertEqual((self.served.stats()["calls"], calls), (4, 4))


class Keys(RelayCase):
    KEYS = b'{"keys":[{"kid":"ins_1"}]}'

    def test_one_call_for_all(self):
        origin = self.serve_origin()
        origin.answer = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                         % len(self.KEYS)) + self.KEYS
        texts = []

        def get():
            for _ in range(5):
                answer = call(self.connection(), "/v1/jwks", method="GET")
                texts.append((answer.status, answer.fields["content-type"], answer.text))

        threads = [threading.Thread(target=get) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(texts, [(200, "application/json", self.KEYS)] * 100)
        self.assertEqual(len(origin.heads), 1)
        self.assertEqual(self.served.stats()["calls"], 0)  # Clerk doesn't count it

    def test_real_ones_by_the_sandbox(self):
        self.serve()
        through = call(self.connection(), "/v1/jwks", method="GET")
        straight = call(self.straight(), "/v1/jwks", method="GET")
        self.assertEqual((through.status, through.json), (200, straight.json))

    def test_an_outage(self):
        origin = self.serve_origin()
        origin.answer = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        answer = call(self.connection(), "/v1/jwks", method="GET")
        self.assertEqual((answer.status, answer.code), (502, "bad_gateway"))


class Sessions(FrontCase):
    def test_a_revoked_session_is_forgotten(self):
        self.serve()
        connection = self.connection()
        self.assertEqual(call(connection, path_of("sess_1")).status, 200)
        self.assertEqual(call(connection, path_of("sess_2")).status, 200)
        answer = call(connection, "/v1/sessions/sess_1/revoke")
        self.assertEqual((answer.status, answer.json["status"]), (200, "revoked"))
        self.assertNotEqual(call(connection, path_of("sess_1")).status, 200)
        self.assertEqual(call(connection, path_of("sess_2")).cache_status[0], "hit")

    def test_a_restart_brings_nothing_back_that_may_have_ended(self):
        token = call(self.straight_to(self.sandbox("--fast")), path_of("sess_1")).text
        origin = Origin()
        self.addCleanup(origin.close)
        origin.answer = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%b" % (len(token), token))
        origin.v1_sessions_sess_1_revoke = origin.hang
        self.port = free_port()
        daemon = self.own(Manager(origin, {"listen": {"http": f"127.0.0.1:{self.port}"}}))
        for session in ("sess_1", "sess_2"):
            self.assertEqual(harness.Reply(daemon.ask(f"GET {session} -")).src, "clerk")
        with self.open_socket() as s:
            s.sendall(self.head("/v1/sessions/sess_1/revoke"))
            harness.wait_for(lambda: len(origin.heads) == 3)
            self.assertEqual(daemon.stop(), 0)
        daemon.start()
        for session, source in (("sess_1", "clerk"), ("sess_2", "cache")):
            self.assertEqual(harness.Reply(daemon.ask(f"GET {session} -")).src, source, session)

    def test_who_tracks_is_told(self):
        self.serve()
        watcher = self.connect(self.served)
        self.assertEqual(watcher.ask("TRACK on"), "OK")
        self.post("/v1/sessions/sess_1/revoke")
        self.assertEqual(watcher.line(), "* DROP sess_1 *")


if __name__ == "__main__":
    unittest.main()
