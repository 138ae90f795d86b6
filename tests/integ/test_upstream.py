"""The daemon and Clerk's Backend API: HTTPS and HTTP/2, everything that BAPI may answer or fail to
answer, and what callers get meanwhile."""

import base64
import json
import shutil
import socket
import subprocess
import time
import unittest

import harness

LOTS = {"clerk": {"rate_limit": "100000/10s", "budget": "100%"}}
CANARY = "sk_test_canary5Gh2Xq9LmT4w"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(payload, head=b'{"alg":"RS256","typ":"JWT"}', signature="c2ln"):
    """A token with that payload, signed by nobody; bytes are taken as they are."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"{b64(head)}.{b64(data)}.{signature}"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Nghttpx(harness.Child):
    """A proxy that speaks HTTP/2 over TLS, with a certificate of its own, to a sandbox behind it.

    `url` is where it is, `ca` what it is checked with; requests() is what its access log says.
    """

    def __init__(self, sandbox, host="localhost"):
        super().__init__()
        try:
            self.make_certificate(host)
            self.start_proxy(sandbox)
        except BaseException:
            self.close()
            raise

    def make_certificate(self, host):
        self.ca = self.dir / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName=DNS:{host}",
             "-keyout", str(self.dir / "key.pem"), "-out", str(self.ca)],
            check=True, capture_output=True, timeout=harness.DEADLINE_S)

    def start_proxy(self, sandbox):
        port = free_port()
        self.url = f"https://localhost:{port}"
        self.spawn(
            [shutil.which("nghttpx"), "--single-process", "--workers=1", "--no-ocsp",
             f"--frontend=127.0.0.1,{port}", "--backend=" + sandbox.address.replace(":", ","),
             f"--accesslog-file={self.dir}/access", "--conf=/dev/null",
             "--accesslog-format=$remote_port $alpn $status $request",
             str(self.dir / "key.pem"), str(self.ca)], harness.clean_environment())
        harness.wait_for(lambda: self.accepts(port), what="nghttpx")

    @staticmethod
    def accepts(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def requests(self):
        try:
            text = (self.dir / "access").read_text()
        except FileNotFoundError:
            return []
        return [line.split(" ", 3) for line in text.splitlines() if "/v1/" in line]


class UpstreamCase(harness.Case):
    def ask(self, daemon, request):
        return harness.Reply(daemon.ask(request))

    def ask_many(self, daemon, requests):
        """Each on its own connection, all at once; their replies in the same order."""
        conns = [self.connect(daemon) for _ in requests]
        for conn, request in zip(conns, requests):
            conn.send(request + "\n")
        replies = [harness.Reply(conn.line()) for conn in conns]
        for conn in conns:
            conn.close()
        return replies

    def assert_code(self, reply, code):
        self.assertEqual(reply.code, code, reply)
        self.assertIsNotNone(reply.retry, reply)


class HttpsTest(UpstreamCase):
    def test_tokens_over_https(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS, https=True)
        for n in range(100):
            reply = self.ask(daemon, f"GET sess_{n} hasura")
            self.assertEqual(reply.src, "clerk")
        self.assertTrue(self.ask(daemon, "GET sess_plain -").jwt)
        self.assertTrue(self.ask(daemon, "GET sess_plain - expires_in=600").ttl > 590000)
        stats = sandbox.stats()
        self.assertEqual(stats["token_calls"], 102)
        self.assertEqual(stats["by_key"]["sess_plain -"], 2)
        self.assertEqual(stats["tls_handshakes"], 1, "one after the other needs one connection")

    def test_connections_are_bounded(self):
        sandbox = self.sandbox("--latency", "100")
        daemon = self.daemon(sandbox, LOTS, https=True)
        replies = self.ask_many(daemon, [f"GET sess_{n} -" for n in range(80)])
        self.assertTrue(all(reply.jwt for reply in replies))
        stats = sandbox.stats()
        self.assertLessEqual(stats["tls_handshakes"], 8)
        self.assertLessEqual(stats["max_in_flight"], 8)
        replies = self.ask_many(daemon, [f"GET sess_more{n} -" for n in range(40)])
        self.assertTrue(all(reply.jwt for reply in replies))
        self.assertLessEqual(sandbox.stats()["tls_handshakes"], 8, "connections are used again")

    def test_unknown_authority(self):
        """Without the sandbox's CA nothing is sent, least of all the key."""
        sandbox = self.sandbox("--secret-key", CANARY)
        daemon = self.daemon(
            sandbox, {"clerk": {"ca_file": None}, "log": {"level": "debug"}}, https=True,
            env={"CLERK_SECRET_KEY": CANARY})
        conn = self.connect(daemon)
        line = conn.ask("GET sess_1 hasura")
        self.assert_code(harness.Reply(line), "unavailable")
        self.assertEqual(sandbox.calls(), 0)
        for text in (line, conn.ask("STATS"), daemon.log()):
            self.assertNotIn(CANARY, text)
            self.assertNotIn("canary", text)
        self.assertIn("fetch", daemon.log())

    def test_wrong_kind_of_server(self):
        """TLS where there is none: an error, or no answer in time."""
        sandbox = self.sandbox()
        url = sandbox.http.replace("http://", "https://")
        daemon = self.daemon(sandbox, {"clerk": {"api_url": url}})
        self.assertIn(self.ask(daemon, "GET sess_1 - wait=500").code, ("unavailable", "timeout"))
        self.assertEqual(sandbox.calls(), 0)

    def test_nobody_there(self):
        daemon = self.daemon(None)
        began = time.monotonic()
        self.assert_code(self.ask(daemon, "GET sess_1 -"), "unavailable")
        self.assertLess(time.monotonic() - began, 5)

    def test_unreachable_ca_file(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, {"clerk": {"ca_file": "/nonexistent/ca.pem"}}, https=True)
        self.assert_code(self.ask(daemon, "GET sess_1 -"), "unavailable")
        self.assertEqual(sandbox.calls(), 0)


@unittest.skipUnless(shutil.which("nghttpx"), "nghttpx is not installed")
@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class Http2Test(UpstreamCase):
    def proxied(self, *arguments, config=None, **keywords):
        self.bapi = self.sandbox(*arguments)
        self.proxy = self.own(Nghttpx(self.bapi, **keywords))
        clerk = {"api_url": self.proxy.url, "ca_file": self.proxy.ca}
        return self.daemon(self.bapi, {"clerk": {**LOTS["clerk"], **clerk, **(config or {})}})

    def test_streams_share_a_connection(self):
        daemon = self.proxied("--latency", "200")
        self.assertTrue(self.ask(daemon, "GET sess_first -").jwt)
        replies = self.ask_many(daemon, [f"GET sess_{n} hasura" for n in range(90)])
        self.assertTrue(all(reply.jwt for reply in replies))
        harness.wait_for(lambda: len(self.proxy.requests()) == 91, what="the access log")
        requests = self.proxy.requests()
        self.assertEqual({alpn for _, alpn, _, _ in requests}, {"h2"})
        self.assertEqual({status for _, _, status, _ in requests}, {"200"})
        self.assertLessEqual(len({port for port, _, _, _ in requests}), 2)
        self.assertGreater(self.bapi.stats()["max_in_flight"], 30)

    def test_a_cold_start_shares_it_too(self):
        daemon = self.proxied("--latency", "50")
        replies = self.ask_many(daemon, [f"GET sess_{n} -" for n in range(50)])
        self.assertTrue(all(reply.jwt for reply in replies))
        harness.wait_for(lambda: len(self.proxy.requests()) == 50, what="the access log")
        self.assertLessEqual(len({port for port, _, _, _ in self.proxy.requests()}), 2)

    def test_a_stream_that_hangs_holds_up_none(self):
        daemon = self.proxied(config={"request_timeout": "1s", "connect_timeout": "500ms"})
        self.bapi.fault("hang", session="sess_hang", count=-1)
        conn = self.connect(daemon)
        conn.send("#slow GET sess_hang - wait=900\n")
        for n in range(20):
            self.assertTrue(self.ask(daemon, f"GET sess_{n} -").jwt)
        self.assertEqual(harness.Reply(conn.line()).code, "timeout")

    def test_errors_come_through(self):
        daemon = self.proxied()
        self.assert_code(self.ask(daemon, "GET sess_missing -"), "not_found")
        self.bapi.fault("half", session="sess_half")
        self.assertTrue(self.ask(daemon, "GET sess_half -").jwt, "retried")
        self.bapi.fault("huge", session="sess_huge", bytes=300000)
        self.assert_code(self.ask(daemon, "GET sess_huge -"), "bad_upstream")

    def test_name_that_is_not_the_certificates(self):
        daemon = self.proxied(host="clerk.example")
        self.assert_code(self.ask(daemon, "GET sess_1 -"), "unavailable")
        self.assertEqual(self.bapi.calls(), 0)


def future(seconds):
    return int(time.time()) + seconds


# Answers that hold no usable token, as faults of the sandbox's.
MALFORMED = [
    {"kind": "not_json"},
    {"kind": "no_jwt"},
    {"kind": "expired"},
    {"kind": "no_exp"},
    {"kind": "huge", "bytes": 65537},
    {"kind": "huge", "bytes": 5000000},
    {"kind": "jwt", "jwt": ""},
    {"kind": "jwt", "jwt": "."},
    {"kind": "jwt", "jwt": ".."},
    {"kind": "jwt", "jwt": "a.b"},
    {"kind": "jwt", "jwt": "a.b.c"},
    {"kind": "jwt", "jwt": "a.b.c.d"},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(0)}) + "\n"},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(0)}) + " state=fresh"},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(0)}, signature="a+b/c=")},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(0)}, signature="\u00e4")},
    {"kind": "status", "status": 200,
     "body": '{"jwt":"' + jwt({"exp": future(60), "iat": future(0)}) + '\\u0000b"}'},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(0)}, signature="")},
    {"kind": "jwt", "jwt": jwt({"exp": "soon", "iat": 1})},
    {"kind": "jwt", "jwt": jwt({"exp": -1, "iat": -61})},
    {"kind": "jwt", "jwt": jwt({"exp": future(60), "iat": future(120)})},
    {"kind": "jwt", "jwt": jwt(b'{"exp":1e999,"iat":1}')},
    {"kind": "jwt", "jwt": jwt(b'{"exp":NaN}')},
    {"kind": "jwt", "jwt": jwt(b'{"exp":')},
    {"kind": "jwt", "jwt": jwt(b"[" * 20000)},
    {"kind": "jwt", "jwt": jwt(b"\0\0\0")},
    {"kind": "status", "status": 200, "body": ""},
    {"kind": "status", "status": 200, "body": "{}"},
    {"kind": "status", "status": 200, "body": "[]"},
    {"kind": "status", "status": 200, "body": '"jwt"'},
    {"kind": "status", "status": 200, "body": '{"jwt":null}'},
    {"kind": "status", "status": 200, "body": '{"jwt":5}'},
    {"kind": "status", "status": 200, "body": '{"jwt":["a.b.c"]}'},
    {"kind": "status", "status": 200, "body": '{"jwt":"a.b.c"'},
    {"kind": "status", "status": 200, "body": "[" * 60000},
    {"kind": "status", "status": 200, "body": '{"a":' * 5000},
    {"kind": "status", "status": 200, "body": "<html>Sign in to the airport's network</html>"},
    {"kind": "status", "status": 204, "body": ""},
    {"kind": "status", "status": 302, "body": "moved"},
]


class AnswersCase(UpstreamCase):
    """One sandbox and one daemon, a session for each answer."""

    request_timeout = "5s"

    def setUp(self):
        self.bapi = self.sandbox()
        clerk = {"request_timeout": self.request_timeout, "connect_timeout": "500ms"}
        config = {"clerk": {**LOTS["clerk"], **clerk}, "cache": {"negative_ttl": "1s"}}
        self.served = self.daemon(self.bapi, config)

    def get(self, session, options=""):
        return self.ask(self.served, f"GET {session} -{options}")


class UsableTokenTest(AnswersCase):
    def test_no_usable_token(self):
        for n, fault in enumerate(MALFORMED):
            session = f"sess_bad{n}"
            with self.subTest(fault={k: str(v)[:60] for k, v in fault.items()}):
                self.bapi.fault(**fault, session=session)
                tokens = self.served.stats()["tokens"]
                began = time.monotonic()
                reply = self.get(session)
                self.assert_code(reply, "bad_upstream")
                self.assertLess(time.monotonic() - began, 2)
                self.assertLess(len(reply.line), 300)
                self.assertEqual(self.served.stats()["tokens"], tokens, "it was kept")
                self.assertEqual(self.bapi.calls(session), 1)
                self.assertEqual(self.get(session).src, "clerk", "nothing was remembered")
                self.assertEqual(self.bapi.calls(session), 2)

    def test_the_largest_token(self):
        self.bapi.fault("huge", session="sess_large", bytes=65536)
        reply = self.get("sess_large")
        self.assertGreaterEqual(len(reply.jwt), 65534)
        self.assertEqual(self.get("sess_large").jwt, reply.jwt)

    def test_what_is_tolerated(self):
        for n, fault in enumerate((
                {"kind": "content_type", "value": "application/json; charset=utf-8"},
                {"kind": "content_type", "value": "text/plain"},
                {"kind": "content_type", "value": ""},
                {"kind": "chunked"},
                {"kind": "status", "status": 200, "body": ' \r\n{"x":{"jwt":1},"jwt":"'
                 + jwt({"exp": future(60), "iat": future(0), "more": ["\u00e4"]}) + '"}\n'},
        )):
            with self.subTest(fault=fault):
                self.bapi.fault(**fault, session=f"sess_good{n}")
                self.assertTrue(self.get(f"sess_good{n}").jwt)
                self.assertEqual(self.bapi.calls(f"sess_good{n}"), 1)


class FailingTest(AnswersCase):
    request_timeout = "500ms"

    def test_what_is_tried_again(self):
        for n, (fault, calls) in enumerate((
                ({"kind": "half"}, 2),
                ({"kind": "close"}, 2),
                ({"kind": "reset"}, 2),
                ({"kind": "garbage"}, 2),
                ({"kind": "hang"}, 2),
                ({"kind": "stall"}, 2),
                ({"kind": "status", "status": 500}, 2),
                ({"kind": "status", "status": 502, "body": "<html>"}, 2),
                ({"kind": "status", "status": 503, "count": 2}, 3),
                ({"kind": "status", "status": 503, "retry_after": "1"}, 2),
                ({"kind": "status", "status": 504}, 2),
                ({"kind": "status", "status": 409, "code": "conflict"}, 2),
        )):
            session = f"sess_again{n}"
            with self.subTest(fault=fault):
                self.bapi.fault(**fault, session=session)
                self.assertTrue(self.get(session, " wait=8000").jwt)
                self.assertGreaterEqual(self.bapi.calls(session), 2)
                self.assertLessEqual(self.bapi.calls(session), calls + 1)
                # The circuit breaker counts failures in a row; each is an outage of its own.
                self.assertTrue(self.get(f"sess_between{n}").jwt)

    def test_what_goes_on_failing(self):
        for n, fault in enumerate((
                {"kind": "half"}, {"kind": "reset"}, {"kind": "garbage"}, {"kind": "hang"},
                {"kind": "stall"}, {"kind": "status", "status": 503})):
            session = f"sess_down{n}"
            with self.subTest(fault=fault):
                self.bapi.fault(**fault, session=session, count=-1)
                began = time.monotonic()
                self.assert_code(self.get(session, " wait=9000"), "unavailable")
                self.assertLess(time.monotonic() - began, 8)
                self.assertLessEqual(self.bapi.calls(session), 4)
                harness.wait_for(lambda: self.get("sess_up").ok, what="the others to be served")
                self.get(f"sess_up{n}")

    def test_the_caller_waits_no_longer_than_it_said(self):
        self.bapi.fault("hang", session="sess_hang", count=-1)
        began = time.monotonic()
        self.assert_code(self.get("sess_hang", " wait=200"), "timeout")
        self.assertLess(time.monotonic() - began, 0.45)
        self.bapi.call("POST", "reset")


class AnswersTest(AnswersCase):
    def test_definite_answers_are_remembered_for_a_moment(self):
        for status, code, error in ((404, "not_found", "resource_not_found"),
                                    (403, "forbidden", "authorization_invalid"),
                                    (401, "forbidden", "authentication_invalid"),
                                    (422, "rejected", "form_param_format_invalid"),
                                    (400, "rejected", "request_body_invalid"),
                                    (418, "rejected", "teapot")):
            session = f"sess_no{status}"
            with self.subTest(status=status):
                self.bapi.fault("status", status=status, code=error, session=session, count=-1)
                self.assert_code(self.get(session), code)
                calls = self.bapi.calls(session)
                self.assertLessEqual(calls, 2)
                self.assert_code(self.get(session), code)
                self.assertEqual(self.bapi.calls(session), calls, "it asked again at once")
                self.bapi.clear_faults()
                harness.wait_for(lambda: self.get(session).ok, 5, "negative_ttl to pass")

    def test_an_ended_session(self):
        self.assertTrue(self.get("sess_ended").jwt)
        self.bapi.end_session("sess_ended")
        self.assertEqual(self.served.ask("DROP sess_ended"), "OK dropped=1")
        self.assert_code(self.get("sess_ended"), "not_found")

    def test_a_new_session_that_lags(self):
        self.bapi.fault("status", status=404, code="resource_not_found", session="sess_new")
        self.assertTrue(self.get("sess_new").jwt)

    def test_clocks_that_differ(self):
        """Clerk's is fifty seconds off, either way: said once, and nothing else changes."""
        for skew in (50, -50):
            self.bapi.config(date_skew_s=-skew)
            for n in range(3):
                reply = self.get(f"sess_skew{skew}_{n}")
                self.assertTrue(55000 < reply.ttl <= 60000, reply)
                self.assertEqual(reply.state, "fresh")
            self.assertAlmostEqual(self.served.stats()["clock_skew_s"], skew, delta=1)
            warnings = [line for line in self.served.log().splitlines() if "clock" in line]
            self.assertEqual(len(warnings), 1, warnings)
            self.assertRegex(warnings[0], r"skew_s=(49|50|51)\b")
        self.bapi.config(date_skew_s=0)
        self.get("sess_no_skew")
        self.assertAlmostEqual(self.served.stats()["clock_skew_s"], 0, delta=1)
        self.assertIn("agree again", self.served.log())

    def test_the_same_token_once_more(self):
        first = self.get("sess_same")
        self.bapi.fault("same", session="sess_same", count=-1)
        again = self.get("sess_same", f" not={first.id}")
        self.assertEqual((again.id, again.src), (first.id, "clerk"))
        for _ in range(20):
            self.assertEqual(self.get("sess_same", f" not={first.id}").src, "cache")
        self.assertEqual(self.bapi.calls("sess_same"), 2)
        self.assertEqual(self.served.stats()["same_tokens"], 1)

    def test_clocks(self):
        """Neither BAPI's clock nor ours needs to be right."""
        for skew in (86400, -86400, 4000000, 0):
            with self.subTest(skew=skew):
                self.bapi.config(date_skew_s=skew)
                reply = self.get(f"sess_skew{skew}".replace("-", "m"))
                self.assertTrue(55000 < reply.ttl <= 60000, reply.ttl)
                self.assertEqual((reply.state, reply.reuse > 0), ("fresh", True))
        self.bapi.config(date=False, date_skew_s=86400)
        self.assertTrue(55000 < self.get("sess_undated").ttl <= 60000)

    def test_lifetime_is_the_smaller_of_two(self):
        for payload, least, most in (
                ({"exp": future(50)}, 45000, 51000),  # no iat: exp - Date
                ({"exp": future(50), "iat": future(-1000)}, 45000, 51000),
                ({"exp": future(1000), "iat": future(980)}, 15000, 20000),
                ({"exp": future(40) + 0.5, "iat": future(0)}, 35000, 42000)):
            with self.subTest(payload=payload):
                self.bapi.fault("jwt", jwt=jwt(payload), session="sess_life")
                reply = self.get("sess_life")
                self.assertTrue(least < reply.ttl <= most, reply.ttl)
                self.served.ask("DROP sess_life")
        self.bapi.config(date=False)
        self.bapi.fault("jwt", jwt=jwt({"exp": future(50)}), session="sess_life")
        self.assert_code(self.get("sess_life"), "bad_upstream")

    def test_short_lived(self):
        reply = self.get("sess_short", " min_ttl=3600")
        self.assertEqual((reply.code, reply.retry), ("short_lived", None))
        self.assertTrue(self.get("sess_short").jwt)


class ColdStartTest(UpstreamCase):
    """Nothing is known of the server yet, and the first request of all gets no answer."""

    def check(self, https):
        sandbox = self.sandbox()
        sandbox.fault("hang", session="sess_hang", count=-1)
        daemon = self.daemon(sandbox, LOTS, https=https)
        conn = self.connect(daemon)
        conn.send("GET sess_hang - wait=9000\n")
        harness.wait_for(lambda: sandbox.stats(brief=True)["in_flight"], what="the first request")
        began = time.monotonic()
        self.assertTrue(self.ask(daemon, "GET sess_1 -").jwt)
        self.assertLess(time.monotonic() - began, 1)

    def test_http(self):
        self.check(https=False)

    def test_https(self):
        self.check(https=True)


class RefusedTest(UpstreamCase):
    def test_throttled(self):
        """429: those who can wait get theirs when Clerk said; nobody else asks; hits go on."""
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS)
        self.assertTrue(self.ask(daemon, "GET sess_hot -").jwt)
        sandbox.fault("status", status=429, retry_after="2", session="sess_limit")
        patient = self.connect(daemon)
        patient.send("GET sess_limit - wait=9000\n")
        began = time.monotonic()
        harness.wait_for(lambda: daemon.stats()["throttled"], what="the 429")
        calls = sandbox.calls()
        hits = 0
        while time.monotonic() - began < 1.7:
            self.assertEqual(self.ask(daemon, "GET sess_hot -").src, "cache")
            reply = self.ask(daemon, f"GET sess_hasty{hits} - wait=20")
            self.assert_code(reply, "rate_limited")
            # the next ones of a user are told to come back after it, within a window
            self.assertTrue(0 < reply.retry <= (12000 if hits else 2000), reply)
            hits += 1
        self.assertEqual(sandbox.calls(), calls, "it asked while it should not")
        self.assertTrue(harness.Reply(patient.line()).jwt)
        self.assertGreater(time.monotonic() - began, 1.8)
        self.assertTrue(self.ask(daemon, "GET sess_after -").jwt)

    def test_throttled_in_odd_words(self):
        dates = "Thu, 01 Jan 1970 00:00:00 GMT", "0.7"
        for text in ("soon", "", "-5", "99999999999999999999", *dates):
            with self.subTest(retry_after=text):
                sandbox = self.sandbox()
                daemon = self.daemon(sandbox, LOTS)
                sandbox.fault("status", status=429, retry_after=text)
                reply = self.ask(daemon, "GET sess_1 - wait=100")
                self.assert_code(reply, "rate_limited")
                self.assertGreater(reply.retry, 0)
                for child in (daemon, sandbox):
                    child.stop()

    def test_budget(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, {"clerk": {"rate_limit": "10/10s", "budget": "50%"}})
        for n in range(5):
            self.assertTrue(self.ask(daemon, f"GET sess_{n} -").jwt)
        reply = self.ask(daemon, "GET sess_5 - wait=100")
        self.assert_code(reply, "rate_limited")
        self.assertTrue(5000 < reply.retry <= 10000, reply)
        self.assertEqual(self.ask(daemon, "GET sess_0 -").src, "cache")
        self.assertEqual(sandbox.calls(), 5)

    def test_wrong_secret_key(self):
        """Clerk is asked now and then, not for every request."""
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS, env={"CLERK_SECRET_KEY": "sk_test_wrong"})
        for n in range(100):
            reply = self.ask(daemon, f"GET sess_{n} -")
            self.assert_code(reply, "unauthorized")
            self.assertGreater(reply.retry, 0)
        self.assertLessEqual(sandbox.calls(), 2)
        self.assertEqual(daemon.stats()["ready"], 0)

    def test_key_revoked_while_tokens_are_held(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox, LOTS)
        self.assertTrue(self.ask(daemon, "GET sess_held -").jwt)
        sandbox.fault("status", status=401, code="clerk_key_invalid", count=-1)
        self.assert_code(self.ask(daemon, "GET sess_new -"), "unauthorized")
        self.assertEqual(self.ask(daemon, "GET sess_held -").src, "cache")


class OverTimeTest(UpstreamCase):
    """Some token lifetimes, lived through."""

    def test_an_outage(self):
        """BAPI is gone for 8 of a token's 10 seconds and longer than the token lives. Its renewal
        falls into the outage, and time enough is left to see that it fails."""
        sandbox = self.sandbox()
        sandbox.config(lifetime_s=10)
        daemon = self.daemon(sandbox, {**LOTS, "cache": {"min_ttl": "1s", "refresh_at": "50%"}})
        conn = self.connect(daemon)
        other = self.connect(daemon)
        seen, others = [], []
        gone_at, back_at, end = 4.0, 12.0, 17.5
        began = time.monotonic()
        state = "up"
        while time.monotonic() - began < end:
            at = time.monotonic() - began
            if state == "up" and at >= gone_at:
                sandbox.config(refuse=True)
                state = "gone"
            elif state == "gone" and at >= back_at:
                sandbox.config(refuse=False)
                state = "back"
            sent = time.monotonic()
            reply = harness.Reply(conn.ask("GET sess_watched - min_ttl=0 wait=1000"))
            seen.append((at, time.monotonic() - sent, reply))
            if state == "gone":
                others.append(harness.Reply(other.ask(f"GET sess_o{len(others)} - wait=0")))
            time.sleep(0.05)
        self.check_outage(seen, others, back_at)
        times = [call[0] for call in sandbox.stats()["recent"]]
        busiest = max(sum(t <= u < t + 1000 for u in times) for t in times)
        self.assertLess(busiest, 10, "attempts in a second")

    def check_outage(self, seen, others, back_at):
        first = seen[0][2]
        expired_at = seen[0][0] + 10
        for at, took, reply in seen:
            if at < expired_at - 0.5:
                self.assertTrue(reply.ok, (at, reply))
                self.assertLess(took, 0.5, (at, reply))
            if reply.ok and at < back_at:
                self.assertEqual(reply.id, first.id)
        states = {reply.state for at, _, reply in seen if at < expired_at - 0.5}
        self.assertIn("stale", states, "said that renewal fails")
        down = [(took, reply) for at, took, reply in seen if expired_at + 0.1 < at < back_at]
        self.assertTrue(down)
        for took, reply in down:
            self.assert_code(reply, "unavailable")
        instant = sum(took < 0.2 for took, _ in down)
        self.assertGreater(instant, len(down) * 0.8, "told at once that it is down")
        self.assertTrue({r.code for r in others} <= {"unavailable", "timeout"}, others[:3])
        healed = [at for at, _, reply in seen if at > back_at and reply.ok]
        self.assertTrue(healed and healed[0] < back_at + 5, "back within 5 s")
        self.assertTrue(all(r.ok for at, _, r in seen if at > healed[0]))


if __name__ == "__main__":
    unittest.main()
