"""The HTTP front: what it answers to Clerk's SDKs, and to those who mean no good."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import stat
import time
import unittest

import harness
from test_metrics import UnixConnection, free_port

NOBODY = 60001
HEAD_S = 10  # HEAD_MS in daemon/sys/front.c
SKIPPED_FIELDS = {"date", "content-length", "clerk-trace-id", "x-clerk-trace-id", "cache-control"}
FORBIDDEN = {"Forwarded": "for=1.2.3.4", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "a",
             "Via": "1.1 a", "X-Real-IP": "1.2.3.4", "Origin": "http://127.0.0.1",
             "Sec-Fetch-Site": "same-origin"}

# As @clerk/backend sends it.
SDK_FIELDS = {"connection": "keep-alive", "Clerk-API-Version": "2026-05-12",
              "user-agent": "@clerk/backend@3.25.0", "Content-Type": "application/json",
              "accept": "*/*", "accept-language": "*", "sec-fetch-mode": "cors",
              "accept-encoding": "gzip, deflate"}


def path_of(session, template=None):
    return f"/v1/sessions/{session}/tokens" + (f"/{template}" if template else "")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read()
        self.json = json.loads(self.text) if self.text else None

    @property
    def jwt(self):
        return self.json["jwt"]

    @property
    def cache_status(self):
        """RFC 9211: "hit" or "fwd=miss", the life left in seconds, the state."""
        name, how, ttl, detail = self.fields["cache-status"].split("; ")
        assert name == "clerk-tokend", name
        return how, int(ttl.removeprefix("ttl=")), detail.removeprefix("detail=")

    @property
    def code(self):
        return self.json["errors"][0]["code"]


def call(connection, path, body=None, method="POST", key=harness.SECRET_KEY, **fields):
    headers = {**SDK_FIELDS, **{name.replace("_", "-"): value for name, value in fields.items()}}
    if key:
        headers["authorization"] = f"Bearer {key}"
    connection.request(method, path, body, headers)
    return Answer(connection.getresponse())


class FrontCase(harness.Case):
    def serve(self, config=None, sandbox=None, **keywords):
        self.bapi = sandbox or self.sandbox()
        self.port = free_port()
        config = {"listen": {"http": f"127.0.0.1:{self.port}"}, **(config or {})}
        self.served = self.daemon(self.bapi, config, **keywords)
        return self.served

    def connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE_S)
        self.addCleanup(connection.close)
        return connection

    def straight(self):
        """A connection to the sandbox."""
        return self.straight_to(self.bapi)

    def straight_to(self, sandbox):
        connection = http.client.HTTPConnection(sandbox.address, timeout=harness.DEADLINE_S)
        self.addCleanup(connection.close)
        return connection

    def post(self, path, body=None, **keywords):
        connection = self.connection()
        try:
            return call(connection, path, body, **keywords)
        finally:
            connection.close()

    def open_socket(self):
        s = socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S)
        self.addCleanup(s.close)
        return s

    def head(self, path="/v1/sessions/sess_1/tokens", fields="", method="POST"):
        return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Authorization: Bearer {harness.SECRET_KEY}\r\n{fields}\r\n").encode()

    def raw(self, *pieces):
        """All that is answered to those bytes."""
        with self.open_socket() as s:
            for piece in pieces:
                s.sendall(piece)
            return read_all(s)


def read_all(s):
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            answer += chunk
    return answer.decode("latin-1")


class Tokens(FrontCase):
    def test_a_token(self):
        self.serve()
        for template in (None, "hasura"):
            connection = self.connection()
            first, second = (call(connection, path_of("sess_1", template)) for _ in range(2))
            self.assertEqual((first.status, second.status), (200, 200))
            self.assertEqual(first.text, second.text)
            self.assertEqual(list(first.json), ["object", "jwt"])
            self.assertEqual(first.json["object"], "token")
            for answer, how in ((first, "fwd=miss"), (second, "hit")):
                self.assertEqual(answer.cache_status[::2], (how, "fresh"))
                self.assertIn(answer.cache_status[1], range(50, 61))
            self.assertEqual(second.fields["cache-control"], "no-store")
            self.assertEqual(self.bapi.calls("sess_1", template), 1)
            reply = harness.Reply(self.served.ask(f"GET sess_1 {template or '-'}"))
            self.assertEqual(reply.jwt, first.jwt)

    def test_it_is_bapis_answer(self):
        """Field by field, but for what is ours and what differs by nature."""
        self.serve()
        ours, theirs = (call(c, path_of("sess_1")) for c in (self.connection(), self.straight()))
        self.assertEqual(ours.fields["content-type"], "application/json")
        for answer in (ours, theirs):
            self.assertRegex(answer.fields["clerk-trace-id"], "^[0-9a-f]{32}$")
            self.assertEqual(answer.fields["x-clerk-trace-id"], answer.fields["clerk-trace-id"])
        self.assertEqual(ours.text.split(b'"jwt":"')[0], theirs.text.split(b'"jwt":"')[0])
        self.assertEqual(list(ours.json), list(theirs.json))

    def test_lifetimes(self):
        self.serve()
        plain = self.post(path_of("sess_1"))
        for body in ("{}", '{"expires_in_seconds":null}', ' {"expires_in_seconds" : null} '):
            self.assertEqual(self.post(path_of("sess_1"), body).jwt, plain.jwt, body)
        long = self.post(path_of("sess_1"), '{"expires_in_seconds":600}')
        self.assertNotEqual(long.jwt, plain.jwt)
        self.assertGreater(long.cache_status[1], 590)
        again = self.post(path_of("sess_1"), '{"expires_in_seconds":6e2}')
        self.assertEqual((again.jwt, again.cache_status[0]), (long.jwt, "hit"))
        reply = harness.Reply(self.served.ask("GET sess_1 - expires_in=600"))
        self.assertEqual(reply.jwt, long.jwt)
        self.assertEqual(self.bapi.calls(), 2)

    def test_a_body_in_chunks_and_in_pieces(self):
        self.serve()
        body = b'{"expires_in_seconds":600}'
        chunked = b"".join(b"%x\r\n%c\r\n" % (1, c) for c in body) + b"0\r\n\r\n"
        head = self.head(fields="Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                                "Connection: close\r\n")
        whole = self.raw(head + chunked)
        self.assertTrue(whole.startswith("HTTP/1.1 200 "), whole)
        pieces = self.raw(*(bytes([b]) for b in head + chunked))
        self.assertEqual(pieces.split("\r\n\r\n")[1], whole.split("\r\n\r\n")[1])

    def test_expect(self):
        self.serve()
        s = self.open_socket()
        s.sendall(self.head(fields="Content-Type: application/json\r\nContent-Length: 26\r\n"
                                   "Expect: 100-continue\r\n"))
        self.assertEqual(s.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b'{"expires_in_seconds":600}')
        self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_one_fetch_for_many(self):
        self.serve()
        self.bapi.config(latency_ms=200)
        connections = [self.connection() for _ in range(50)]
        for connection in connections:
            connection.request("POST", path_of("sess_1", "hasura"),
                               headers={"Authorization": f"Bearer {harness.SECRET_KEY}"})
        jwts = {Answer(connection.getresponse()).jwt for connection in connections}
        self.assertEqual(len(jwts), 1)
        self.assertEqual(self.bapi.calls(), 1)

    def test_a_drop(self):
        self.serve()
        first = self.post(path_of("sess_1"))
        self.served.ask("DROP sess_1")
        second = self.post(path_of("sess_1"))
        self.assertEqual(second.cache_status[0], "fwd=miss")
        self.assertNotEqual(first.jwt, second.jwt)

    def test_an_outage(self):
        """What is in memory is served, and the answer tells how it is."""
        self.serve()
        first = self.post(path_of("sess_1"))
        self.bapi.fault("status", status=503, count=-1)
        token = harness.Reply(self.served.ask("GET sess_1 -"))
        self.served.ask(f"GET sess_1 - not={token.id}")
        answer = self.post(path_of("sess_1"))
        self.assertEqual((answer.jwt, answer.cache_status[2]), (first.jwt, "stale"))
        answer = self.post(path_of("sess_2"))
        self.assertEqual((answer.status, answer.code), (503, "service_unavailable"))


class Errors(FrontCase):
    def assert_same(self, path, **keywords):
        """Both say the same, but for the trace id."""
        ours, theirs = (call(c, path, **keywords) for c in (self.connection(), self.straight()))
        self.assertEqual(ours.status, theirs.status)
        self.assertEqual(ours.fields["content-type"], theirs.fields["content-type"])
        self.assertEqual(ours.fields.get("retry-after"), theirs.fields.get("retry-after"))
        self.assertEqual(set(theirs.fields) - set(ours.fields), set())
        for answer in (ours, theirs):
            self.assertRegex(answer.json["clerk_trace_id"], "^[0-9a-f]{32}$")
            for name in ("clerk-trace-id", "x-clerk-trace-id"):
                self.assertEqual(answer.fields[name], answer.json["clerk_trace_id"])
        self.assertNotEqual(ours.json["clerk_trace_id"], theirs.json["clerk_trace_id"])
        # the order of members, too
        self.assertEqual(*(json.dumps({**a.json, "clerk_trace_id": ""}) for a in (ours, theirs)))
        return ours

    def assert_same_twice(self, path, **keywords):
        """The second time from memory."""
        calls = self.bapi.calls()
        first = self.assert_same(path, **keywords)
        asked = self.bapi.calls() - calls - 1
        second = self.assert_same(path, **keywords)
        self.assertEqual(second.text, first.text)
        self.assertEqual(self.bapi.calls() - calls, asked + 2)
        return first

    def test_keys(self):
        self.serve()
        for key, fields in ((None, {}), ("sk_test_wrong", {}), (harness.SECRET_KEY + "x", {}),
                            (harness.SECRET_KEY[:-1], {}), (None, {"Authorization": "Basic YTpi"})):
            answer = self.assert_same(path_of("sess_1"), key=key, **fields)
            self.assertEqual(answer.status, 401)
        twice = f"Authorization: Bearer {harness.SECRET_KEY}\r\nConnection: close\r\n"
        self.assertTrue(self.raw(self.head(fields=twice)).startswith("HTTP/1.1 401 "))
        self.assertEqual(self.served.stats()["gets"], 0)
        lower = f"bearer {harness.SECRET_KEY}"
        self.assertEqual(self.post(path_of("sess_1"), key=None, Authorization=lower).status, 200)

    def test_what_is_not_there(self):
        self.serve()
        for path, message in ((path_of("sess_missing_1"), "Session not found"),
                              (path_of("sess_missing_1", "hasura"), "Session not found"),
                              (path_of("sess_1", "missing"), "JWT template not found")):
            answer = self.assert_same_twice(path)
            self.assertEqual(answer.json["errors"][0]["message"], message)

    def test_a_session_that_has_ended(self):
        """Whatever Clerk says of it."""
        self.serve()
        for status in (401, 403, 404, 422):
            self.bapi.config(ended_status=status)
            self.bapi.end_session(f"sess_{status}")
            self.assertEqual(self.assert_same_twice(path_of(f"sess_{status}")).status, status)
        self.assertEqual(self.post(path_of("sess_422")).json["errors"][0]["meta"],
                         {"param_name": "session_id"})

    def test_what_is_wrong_with_a_request(self):
        self.serve()
        for body in ('{"expires_in_seconds":29}', '{"expires_in_seconds":"60"}', '{"expires_in_seconds":1e10}',
                     "[]", "{"):
            self.assert_same(path_of("sess_1"), body=body)
        self.assertEqual(self.assert_same(path_of("sess_1"), body="{}", Content_Type="text/plain").status, 415)

    def test_clerks_own_words(self):
        self.serve()
        for status, code in ((400, "request_body_invalid"), (401, "authentication_invalid"),
                             (402, "feature_not_enabled"), (403, "authorization_invalid"),
                             (404, "resource_not_found"), (405, "method"), (410, "gone"),
                             (413, "request_body_too_large"), (415, "unsupported_content_type"),
                             (418, "teapot"), (422, "form_param_unknown")):
            session = f"sess_{status}"
            self.bapi.fault("status", status=status, code=code, session=session, count=-1,
                            message=f"\u00e9 \"{status}\" <b>\n\\")
            answer = self.assert_same_twice(path_of(session, "hasura"))
            self.assertEqual((answer.status, answer.code), (status, code))

    def test_words_that_are_not_kept(self):
        """What is longer than it may be, or not of Clerk's form, is told by what it means."""
        self.serve()
        error = {"message": "m", "long_message": "m" * 1024, "code": "c"}
        for number, body in enumerate((json.dumps({"errors": [error]}), "{}", "<html>", '{"errors":[1]}')):
            self.bapi.fault("status", status=422, session=f"sess_{number}", body=body)
            answer = self.post(path_of(f"sess_{number}"))
            self.assertEqual((answer.status, answer.code), (422, "form_param_value_invalid"))
            self.assertRegex(answer.json["clerk_trace_id"], "^[0-9a-f]{32}$")

    def test_words_end_with_a_drop(self):
        self.serve()
        self.bapi.fault("status", status=403, code="authorization_invalid", session="sess_1")
        self.assertEqual(self.post(path_of("sess_1")).status, 403)
        self.served.ask("DROP sess_1")
        self.assertEqual(self.post(path_of("sess_1")).status, 200)

    def test_what_clerk_says(self):
        self.serve({"cache": {"default_wait": "1s"}})
        for number, (status, code) in enumerate([(403, "authorization_invalid"),
                                                 (503, "service_unavailable")]):
            for _ in range(8):
                self.bapi.fault("status", status=status, code=code, session=f"sess_{number}")
            answer = self.post(path_of(f"sess_{number}"))
            self.assertEqual((answer.status, answer.code), (status, code))
            self.bapi.clear_faults()
        self.assertGreater(int(answer.fields["retry-after"]), 0)

    def test_the_rate_limit(self):
        self.serve({"clerk": {"rate_limit": "1/10s", "budget": "100%"}})
        self.post(path_of("sess_1"))
        answer = self.post(path_of("sess_2"))
        self.assertEqual((answer.status, answer.code), (429, "too_many_requests"))
        self.assertTrue(1 <= int(answer.fields["retry-after"]) <= 10)
        self.assertEqual(answer.json["errors"][0]["message"], "Too many requests")

    def test_a_key_that_clerk_refuses(self):
        self.serve(env={"CLERK_SECRET_KEY": "sk_test_other"})
        for _ in range(2):
            answer = self.assert_same(path_of("sess_1"), key="sk_test_other")
            self.assertEqual((answer.status, answer.code), (401, "clerk_key_invalid"))

    def test_too_slow(self):
        self.serve({"cache": {"default_wait": "200ms"}})
        self.bapi.config(latency_ms=3000)
        answer = self.post(path_of("sess_1"))
        self.assertIn((answer.status, answer.code),
                      [(504, "gateway_timeout"), (503, "service_unavailable")])


class WhoMay(FrontCase):
    def test_host(self):
        self.serve()
        for host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}", f"LocalHost:{self.port}"):
            self.assertEqual(self.post(path_of("sess_1"), Host=host).status, 200, host)
        for host in ("evil.example", f"evil.example:{self.port}", "127.0.0.1", "localhost",
                     f"127.0.0.1:{self.port + 1}", f"127.0.0.2:{self.port}", f"[::1]:{self.port}",
                     f"127.0.0.1.evil.example:{self.port}", f"127.0.0.1:{self.port}0"):
            answer = self.post(path_of("sess_1"), Host=host)
            self.assertEqual(answer.status, 421, host)

    def test_forwarded(self):
        self.serve()
        for name, value in FORBIDDEN.items():
            self.assertEqual(self.post(path_of("sess_1"), **{name: value}).status, 403, name)

    def test_the_other_loopback(self):
        try:
            port = free_port(socket.AF_INET6, "::1")
        except OSError as error:
            self.skipTest(f"no IPv6: {error}")
        self.daemon(self.sandbox(), {"listen": {"http": f"[::1]:{port}"}})
        connection = http.client.HTTPConnection("::1", port, timeout=harness.DEADLINE_S)
        self.addCleanup(connection.close)
        self.assertEqual(call(connection, path_of("sess_1")).status, 200)

    def test_a_new_key(self):
        """Until Clerk has accepted it, the one from before is good, too."""
        first, second = "sk_test_first", "sk_test_second"
        path = harness.make_directory() / "key"
        self.addCleanup(shutil.rmtree, path.parent)
        path.touch(mode=0o600)
        path.write_text(first)
        bapi = self.sandbox("--secret-key", first, "--secret-key", second)
        self.serve({"clerk": {"secret_key_file": path}}, bapi, env={"CLERK_SECRET_KEY": None})
        self.assertEqual(self.post(path_of("sess_1"), key=first).status, 200)
        self.assertEqual(self.post(path_of("sess_1"), key=second).status, 401)
        path.write_text(second)
        self.served.reload()
        harness.wait_for(lambda: ": reloaded " in self.served.log())
        self.assertEqual(self.post(path_of("sess_1"), key=first).status, 200)
        self.assertEqual(self.post(path_of("sess_2"), key=second).status, 200)
        self.assertEqual(self.post(path_of("sess_1"), key=first).status, 401)

    def test_connections_of_many(self):
        """At a port one more takes the place of an idle one."""
        self.serve({"listen": {"http": f"127.0.0.1:{free_port()}", "max_clients": 20}})
        self.port = int(self.served.sections["listen"]["http"].rpartition(":")[2])
        sockets = [self.open_socket() for _ in range(30)]
        self.assertEqual(self.post(path_of("sess_1")).status, 200)
        self.assertEqual(self.served.ask("PING"), "OK pong")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(sockets[0].recv(1), b"")


class AtASocket(harness.Case):
    def serve(self, config=None, **listen):
        self.path = harness.make_directory() / "http.sock"
        self.addCleanup(shutil.rmtree, self.path.parent)
        os.chmod(self.path.parent, 0o755)
        self.bapi = self.sandbox()
        config = {"listen": {"http": f"unix:{self.path}", **listen}, **(config or {})}
        self.served = self.daemon(self.bapi, config)

    def connection(self):
        connection = UnixConnection(self.path)
        self.addCleanup(connection.close)
        return connection

    def post(self, path, key=None, **keywords):
        return call(self.connection(), path, key=key, **keywords)

    def test_no_key_is_needed(self):
        self.serve(socket_mode="0600")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(self.post(path_of("sess_1")).status, 200)
        self.assertEqual(self.post(path_of("sess_1"), key="wrong").status, 200)
        self.assertEqual(self.bapi.calls(), 1)
        for name, value in FORBIDDEN.items():
            self.assertEqual(self.post(path_of("sess_1"), **{name: value}).status, 403, name)
        self.assertEqual(self.served.stop(), 0)
        self.assertFalse(self.path.exists())

    def test_rules(self):
        self.serve({"access": {"allow": "template=hasura"}})
        connection = self.connection()
        for _ in range(2):
            self.assertEqual(call(connection, path_of("sess_1", "hasura")).status, 200)
        answer = call(connection, path_of("sess_1"))
        self.assertEqual((answer.status, answer.code), (403, "authorization_invalid"))
        self.served.configure({"access": {"allow": "template=-"}})
        self.served.reload()
        harness.wait_for(lambda: ": reloaded " in self.served.log())
        self.assertEqual(call(connection, path_of("sess_1", "hasura")).status, 403)
        self.assertEqual(call(connection, path_of("sess_1")).status, 200)

    def test_what_rules_leave_of_the_rest(self):
        """Clerk answers anything to the daemon's key, tokens of others too."""
        self.serve({"access": {"allow": "template=hasura"}})
        for path, body in (("/v1/sessions/sess_1", None), ("/v1/sessions/sess_1/revoke", None),
                           (path_of("sess_1", "other") + "?x=1", None),
                           (path_of("sess_1", "hasura"), '{"x":1}'), (path_of("sess_1/.", "x"), None)):
            for method in ("GET", "POST"):
                answer = self.post(path, body=body, method=method)
                self.assertEqual((answer.status, answer.code), (403, "authorization_invalid"), path)
        self.assertEqual(self.post("/v1/jwks", method="GET").status, 200)
        self.assertEqual(self.bapi.calls(), 0)

    def test_who_waits_when_rules_change(self):
        self.serve()
        self.bapi.fault("hang", session="sess_1")
        connection = self.connection()
        connection.request("POST", path_of("sess_1"))
        harness.wait_for(lambda: self.served.stats()["waiting"] == 1)
        self.served.configure({"access": {"allow": "session=sess_2"}})
        self.served.reload()
        self.assertEqual(Answer(connection.getresponse()).status, 403)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_users(self):
        self.serve({"access": {"allow": f"uid={NOBODY}"}}, socket_mode="0666")
        self.assertEqual(self.post(path_of("sess_1")).status, 403)
        child = harness.Fork(
            lambda parent: call(UnixConnection("http.sock"), path_of("sess_1"), key=None).status,
            NOBODY, self.path.parent)
        self.addCleanup(child.close)
        self.assertEqual(child.stop(), 200)

    def test_who_hangs_up_waits_no_more(self):
        self.serve()
        self.bapi.fault("hang", session="sess_1")
        connection = self.connection()
        connection.request("POST", path_of("sess_1"))
        harness.wait_for(lambda: self.served.stats()["waiting"] == 1)
        connection.close()
        harness.wait_for(lambda: self.served.stats()["waiting"] == 0)


class Framing(FrontCase):
    def setUp(self):
        self.serve()

    def assert_refused(self, data, status=400):
        """Refused, nothing of it done, and the connection closed."""
        before = self.served.stats()["gets"]
        answer = self.raw(data + self.head("/v1/sessions/sess_smuggled/tokens"))
        self.assertTrue(answer.startswith(f"HTTP/1.1 {status} "), (data, answer))
        self.assertEqual(len(re.findall(r"HTTP/1.1 \d", answer)), 1, data)
        self.assertIn("Connection: close\r\n", answer)
        self.assertEqual(self.served.stats()["gets"], before)

    def test_smuggling(self):
        for fields in ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                       "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                       "Content-Length: 5\r\nContent-Length: 5\r\n",
                       "Content-Length: 5\r\nContent-Length: 6\r\n",
                       "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n",
                       "Content-Length: 0x5\r\n", "Content-Length: 5a\r\n", "Content-Length:\r\n",
                       "Content-Length: 99999999999999999999\r\n", "Content-Length: -1\r\n",
                       "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: xchunked\r\n",
                       "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: identity\r\n",
                       "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                       "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\r\n",
                       "Transfer-Encoding:\x0bchunked\r\n", " Transfer-Encoding: chunked\r\n",
                       "X: a\r\n Content-Length: 5\r\n", "X: a\nContent-Length: 5\r\n",
                       "X: a\rContent-Length: 5\r\n", "X: a\0b\r\n", "Host: b\r\n"):
            self.assert_refused(self.head(fields=fields))

    def test_heads(self):
        good = self.head()
        for data in (good.replace(b"\r\n", b"\n"), good.replace(b"Host: ", b"Hots: "),
                     good.replace(b"HTTP/1.1", b"HTTP/1.1 "), b"\r\n" + good,
                     good.replace(b"POST /", b"POST  /"), good.replace(b"POST /", b"POST\t/"),
                     good.replace(b"POST ", b"POST http://evil.example"),
                     good.replace(b"POST /", b"POST "), b"\x16\x03\x01\x02\x00" + good):
            self.assert_refused(data)
        self.assert_refused(good.replace(b"HTTP/1.1", b"HTTP/3.0"), 505)
        self.assert_refused(self.head(fields="Expect: 200-ok\r\n"), 417)
        self.assert_refused(self.head(fields="A: " + "a" * 9000 + "\r\n"), 431)
        self.assert_refused(self.head(fields="A: b\r\n" * 70), 431)

    def test_chunks(self):
        head = self.head(fields="Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n")
        for body in (b"\r\n", b"g\r\n", b"-1\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"2\n{}\r\n0\r\n\r\n",
                     b"2\r\n{}0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n",
                     b"2;" + b"a" * 200 + b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nA: b\r\n\r\n",
                     b"ffffffffffffffff\r\n", b"10000000000000002\r\n{}\r\n0\r\n\r\n"):
            self.assert_refused(head + body)

    def test_bodies_that_are_too_long(self):
        self.assert_refused(self.head(fields="Content-Type: application/json\r\n"
                                             "Content-Length: 4097\r\n"), 413)
        head = self.head(fields="Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n")
        self.assert_refused(head + b"1000\r\n" + b" " * 4096 + b"\r\n1\r\n \r\n", 413)

    def test_pipelined(self):
        """Answered one after the other, each when the one before has been."""
        self.bapi.config(latency_ms=50)
        heads = [self.head(path_of(f"sess_{n % 3}")) for n in range(8)]
        last = self.head(path_of("sess_0"), fields="Connection: close\r\n")
        answer = self.raw(b"".join(heads) + last)
        jwts = re.findall(r'"jwt":"([^"]+)"', answer)
        self.assertEqual(len(jwts), 9)
        for n in range(3):
            self.assertEqual(len(set(jwts[n:8:3])), 1)
        self.assertEqual(self.bapi.calls(), 3)

    def test_a_body_that_nobody_wants(self):
        """Is read, so that the next request is found where it begins; a long one isn't."""
        wrong = self.head().replace(harness.SECRET_KEY.encode(), b"wrong")
        short = wrong.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000\r\n\r\n") + b"x" * 1000
        last = self.head(fields="Connection: close\r\n")
        answer = self.raw(short + last)
        self.assertEqual(re.findall(r"HTTP/1.1 (\d+)", answer), ["401", "200"])
        long = wrong.replace(b"\r\n\r\n", b"\r\nContent-Length: 100000\r\n\r\n") + b"x" * 100000
        self.assertEqual(re.findall(r"HTTP/1.1 (\d+)", self.raw(long + last)), ["401"])
        waits = wrong.replace(b"\r\n\r\n", b"\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(re.findall(r"HTTP/1.1 (\d+)", self.raw(waits + last)), ["401"])

    def test_old_http(self):
        data = self.head().replace(b"HTTP/1.1", b"HTTP/1.0")
        self.assertIn("Connection: close\r\n", self.raw(data))
        keeps = data.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
        answer = self.raw(keeps + data)
        self.assertEqual(answer.count("HTTP/1.1 200 OK"), 2)
        self.assertEqual(answer.count("Connection: keep-alive\r\n"), 1)

    def test_half_closed(self):
        """Who has no more to say is answered all the same."""
        self.bapi.config(latency_ms=100)
        with self.open_socket() as s:
            s.sendall(self.head())
            s.shutdown(socket.SHUT_WR)
            self.assertTrue(read_all(s).startswith("HTTP/1.1 200 "))
        with self.open_socket() as s:
            s.sendall(self.head(fields="Content-Type: application/json\r\nContent-Length: 10\r\n") + b"{")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(s), "")


class Slow(FrontCase):
    def test_slow_senders(self):
        """Of a head, of a body: each has so much time in all, and holds up nobody."""
        self.serve()
        began = time.monotonic()
        head, body, silent = (self.open_socket() for _ in range(3))
        head.sendall(b"POST / HTTP/1.1\r\nA: ")
        body.sendall(self.head(fields="Content-Type: application/json\r\nContent-Length: 4000\r\n"))
        ended = {}

        def feed():
            for s in (head, body):
                with contextlib.suppress(BlockingIOError, OSError):
                    s.setblocking(False)
                    s.sendall(b" ")
                    ended[s] = ended.get(s, b"") + s.recv(4096)
            return len(ended) == 2

        self.assertEqual(self.post(path_of("sess_1")).status, 200)
        harness.wait_for(feed, HEAD_S + harness.DEADLINE_S)
        self.assertGreater(time.monotonic() - began, HEAD_S - 1)
        for answer in ended.values():
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
        silent.sendall(self.head())  # it may be silent for longer
        self.assertTrue(silent.recv(4096).startswith(b"HTTP/1.1 200 "))


class Life(FrontCase):
    def test_the_log_says_where_it_is(self):
        daemon = self.serve()
        self.assertRegex(daemon.log(), f"(?m): started .* http=127.0.0.1:{self.port} api_url=")

    def test_a_port_in_use_stops_the_start(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            address = f"127.0.0.1:{s.getsockname()[1]}"
            daemon = self.daemon(None, {"listen": {"http": address}}, wait=False)
            self.assertEqual(daemon.wait(), 1)
        self.assertIn(f"[listen] http: can't listen at {address}", daemon.log())

    def test_a_reload_that_would_move_it(self):
        daemon = self.serve()
        daemon.configure({"listen": {"http": None}})
        daemon.reload()
        harness.wait_for(lambda: ": reloaded " in daemon.log())
        self.assertIn("http changes at the next start", daemon.log())
        self.assertEqual(self.post(path_of("sess_1")).status, 200)

    def test_stopping(self):
        """Idle connections are closed; who waits is answered."""
        daemon = self.serve()
        idle = self.connection()
        call(idle, path_of("sess_1"))
        self.bapi.config(latency_ms=500)
        waiting = self.connection()
        waiting.request("POST", path_of("sess_2"), headers={"Authorization": f"Bearer {harness.SECRET_KEY}"})
        harness.wait_for(lambda: daemon.stats()["waiting"] == 1)
        began = time.monotonic()
        daemon.send_signal(harness.signal.SIGTERM)
        self.assertEqual(idle.sock.recv(1), b"")
        answer = Answer(waiting.getresponse())
        self.assertIn(answer.status, (200, 503))
        self.assertEqual(answer.fields["connection"], "close")
        waiting.close()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 3)

    def test_who_had_just_connected_is_answered(self):
        """A request that is under way must not find its connection closed."""
        daemon = self.serve()
        self.post(path_of("sess_1"))
        fresh, silent = self.connection(), self.open_socket()
        fresh.connect()
        harness.wait_for(lambda: daemon.stats()["clients"] == 3, what="both, accepted")
        daemon.send_signal(harness.signal.SIGTERM)
        harness.wait_for(lambda: ": stopping " in daemon.log(), what="it to stop")
        answer = call(fresh, path_of("sess_1"))
        self.assertEqual((answer.status, answer.fields["connection"]), (200, "close"))
        self.assertEqual(silent.recv(1), b"")
        self.assertEqual(daemon.wait(), 0)

    def test_audit(self):
        daemon = self.serve({"log": {"audit": "on"}})
        first = self.post(path_of("sess_1", "hasura"))
        self.assertEqual(self.post(path_of("sess_1", "hasura")).jwt, first.jwt)
        harness.wait_for(lambda: daemon.log().count("session=sess_1 template=hasura") == 2)
        self.assertNotIn(first.jwt.split(".")[2], daemon.log())


if __name__ == "__main__":
    unittest.main()
