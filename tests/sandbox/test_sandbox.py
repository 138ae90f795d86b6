#!/usr/bin/env python3
"""Self-test of clerk-bapi-sandbox.

Run as `python3 tests/sandbox/test_sandbox.py [PROGRAM]`; without an argument the program is
$SANDBOX_BIN or $BUILD/clerk-bapi-sandbox ($BUILD: build). Nothing beyond Python's standard library is needed. Each
class has a sandbox of its own, which is reset before each test, so no test depends on another.
"""

import http.client
import os
import socket
import sys
import threading
import time
import unittest

from sandbox_case import JSON, KEY, TIMEOUT, SandboxCase, claims_of, head_of, until, verifies
from transport_cases import Http, Https, Options  # noqa: F401, they are tests too


class Tokens(SandboxCase):
    def test_plain(self):
        before = int(time.time())
        reply = self.token("sess_abc")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        self.assertIn("Date", reply.headers)
        self.assertEqual(reply.json()["object"], "token")
        head, claims = head_of(reply.jwt), claims_of(reply.jwt)
        self.assertEqual((head["alg"], head["typ"]), ("RS256", "JWT"))
        self.assertEqual(list(claims), sorted(claims))
        self.assertEqual(set(claims), {"azp", "exp", "fva", "iat", "iss", "jti", "nbf", "sid",
                                       "sts", "sub", "v"})
        self.assertEqual((claims["sid"], claims["sub"]), ("sess_abc", "user_abc"))
        self.assertEqual((claims["sts"], claims["v"], claims["fva"]), ("active", 2, [0, -1]))
        self.assertEqual(claims["exp"] - claims["iat"], 60)
        self.assertEqual(claims["iat"] - claims["nbf"], 5)
        self.assertIn(claims["iat"] - before, range(0, TIMEOUT))

    def test_template(self):
        claims = claims_of(self.token("sess_abc", "hasura").jwt)
        self.assertNotIn("sid", claims)
        self.assertEqual(claims["template"], "hasura")
        self.assertEqual(set(claims), {"azp", "exp", "iat", "iss", "jti", "nbf", "sub",
                                       "template"})

    def test_signature(self):
        keys = self.request("GET", "/v1/jwks").json()["keys"]
        self.assertEqual(keys, self.request("GET", "/.well-known/jwks.json", key=None).json()["keys"])
        token = self.token().jwt
        self.assertEqual(keys[0]["kid"], head_of(token)["kid"])
        self.assertTrue(verifies(token, keys[0]))
        self.assertFalse(verifies("x" + token, keys[0]))

    def test_every_token_is_another(self):
        tokens = [self.token().jwt for _ in range(20)]
        self.assertEqual(len(set(tokens)), 20)
        self.assertEqual(len({claims_of(token)["jti"] for token in tokens}), 20)

    def test_expires_in(self):
        def life(body, headers=JSON):
            claims = claims_of(self.token(body=body, headers=headers).jwt)
            return claims["exp"] - claims["iat"]
        self.assertEqual(life('{"expires_in_seconds":600}'), 600)
        self.assertEqual(life('{"expires_in_seconds":null}'), 60)
        self.assertEqual(life("{}", {"Content-Type": "application/json; charset=utf-8"}), 60)
        self.assertEqual(life("", JSON), 60)

    def test_size(self):
        for size in (1000, 1001, 1002, 1003, 2000, 40000):
            self.control("config", {"token_size": size})
            for template in (None, "t"):
                token = self.token(template=template).jwt
                self.assertIn(size - len(token), (0, 1))
                self.assertIn("filler", claims_of(token))

    def test_clock_is_off(self):
        self.control("config", {"date_skew_s": -7200})
        reply = self.token()
        claims = claims_of(reply.jwt)
        self.assertLess(claims["iat"], time.time() - 7000)
        self.assertEqual(claims["exp"] - claims["iat"], 60)
        date = time.strftime("%a, %d %b %Y %H", time.gmtime(claims["iat"]))
        self.assertTrue(reply.headers["Date"].startswith(date))
        self.control("config", {"date": False})
        self.assertNotIn("Date", self.token().headers)

    def test_lifetime(self):
        self.control("config", {"lifetime_s": 3})
        claims = claims_of(self.token().jwt)
        self.assertEqual(claims["exp"] - claims["iat"], 3)


class Errors(SandboxCase):
    def check(self, reply, status, code):
        self.assertEqual(reply.status, status, reply.body)
        error = reply.json()
        self.assertEqual(reply.code, code)
        self.assertTrue(error["errors"][0]["message"])
        self.assertTrue(error["errors"][0]["long_message"])
        self.assertEqual(error["clerk_trace_id"], reply.headers["Clerk-Trace-Id"])
        self.assertEqual(reply.headers["Content-Type"], "application/json")

    def test_key(self):
        self.check(self.token(key="sk_test_wrong"), 401, "clerk_key_invalid")
        self.check(self.token(key=None), 401, "could_not_authenticate_request")
        self.check(self.token(key=None, headers={"Authorization": "Basic x"}), 401,
                   "authorization_header_format_invalid")
        self.check(self.request("GET", "/v1/jwks", key=None), 401,
                   "could_not_authenticate_request")

    def test_version(self):
        self.assertEqual(self.token(headers={"Clerk-API-Version": "2025-11-10"}).status, 200)
        self.check(self.token(headers={"Clerk-API-Version": "newest"}), 400, "api_version_invalid")
        path = "/v1/sessions/sess_1/tokens?__clerk_api_version="
        self.assertEqual(self.request("POST", path + "2025-11-10").status, 200)
        self.check(self.request("POST", path + "2025-13-10"), 400, "api_version_invalid")
        self.check(self.request("POST", path + "2025-11-10",
                                headers={"Clerk-API-Version": "2025-11-10"}),
                   400, "api_version_invalid")

    def test_body(self):
        def ask(body, headers=JSON):
            return self.token(body=body, headers=headers)
        self.check(ask("{}", {"Content-Type": "text/plain"}), 415, "unsupported_content_type")
        for body in ("{", "[]", "7", "{} x", "{}\0"):
            self.check(ask(body), 400, "request_body_invalid")
        for value in ("29", "-1", "0", "1e-999"):
            self.check(ask(f'{{"expires_in_seconds":{value}}}'), 422, "form_param_value_invalid")
        for value in ('"60"', "60.5", "1e999", "true", "[60]"):
            self.check(ask(f'{{"expires_in_seconds":{value}}}'), 422, "form_param_type_invalid")
        reply = ask('{"expires_in_seconds":315360001}')
        self.check(reply, 422, "form_param_value_too_large")
        self.assertEqual(reply.json()["errors"][0]["meta"], {"param_name": "expires_in_seconds"})

    def test_not_found(self):
        for session in ("sess_missing1", "user_1", "sess_%00", "sess_%", "sess_" + "x" * 200):
            self.check(self.token(session), 404, "resource_not_found")
        for template in ("missing", "missing_one", "%7f", "x" * 200):
            self.check(self.token("sess_1", template), 404, "resource_not_found")
        for path in ("/", "/v1/users", "/v1/sessions", "/v1/sessions//tokens", "/v2",
                     "/v1/sessions/sess_1/tokens/", "/v1/sessions/sess_1/tokens/a/b",
                     "/v1/sessions/sess_1/tokens/a/b/c/d/e/f"):
            self.check(self.request("POST", path), 404, "resource_not_found")

    def test_method(self):
        for method, path, allow in (("GET", "/v1/sessions/sess_1/tokens", "POST"),
                                    ("HEAD", "/v1/sessions/sess_1/tokens/t", "POST"),
                                    ("DELETE", "/v1/sessions/sess_1", "GET"),
                                    ("POST", "/v1/jwks", "GET")):
            reply = self.request(method, path)
            self.assertEqual((reply.status, reply.headers["Allow"]), (405, allow))

    def test_rate_limit(self):
        self.control("config", {"rate_limit": "3/1"})
        self.assertEqual([self.token().status for _ in range(3)], [200] * 3)
        reply = self.token()
        self.check(reply, 429, "too_many_requests")
        self.assertEqual(reply.headers["Retry-After"], "1")
        self.assertEqual(self.request("GET", "/v1/sessions/sess_1").status, 429)
        self.assertEqual(self.request("GET", "/v1/jwks").status, 200)
        self.assertEqual(self.token(key="sk_test_wrong").status, 401)
        until(lambda: self.token().status == 200, "the next window")

    def test_ended_session(self):
        self.assertEqual(self.token("sess_e").status, 200)
        self.control("sessions/sess_e/end", {})
        self.check(self.token("sess_e"), 404, "resource_not_found")
        self.check(self.token("sess_e", "t"), 404, "resource_not_found")
        self.assertEqual(self.request("GET", "/v1/sessions/sess_e").json()["status"], "ended")
        for status, code in ((401, "authentication_invalid"), (403, "authorization_invalid"),
                             (422, "form_param_value_invalid")):
            self.control("config", {"ended_status": status})
            self.check(self.token("sess_e"), status, code)
        self.assertEqual(self.token("sess_f").status, 200)
        self.control("reset", {})
        self.assertEqual(self.token("sess_e").status, 200)

    def test_revoke(self):
        reply = self.request("POST", "/v1/sessions/sess_r/revoke")
        self.assertEqual((reply.status, reply.json()["status"]), (200, "revoked"))
        self.check(self.token("sess_r"), 404, "resource_not_found")
        self.check(self.request("POST", "/v1/sessions/sess_missing/revoke"), 404,
                   "resource_not_found")


class Faults(SandboxCase):
    def test_status(self):
        self.fault("status", status=503, retry_after="1.5")
        reply = self.token()
        self.assertEqual((reply.status, reply.headers["Retry-After"]), (503, "1.5"))
        self.assertEqual(reply.code, "service_unavailable")
        self.assertEqual(self.token().status, 200)
        self.fault("status", status=401, code="clerk_key_invalid", message="no")
        reply = self.token()
        self.assertEqual((reply.status, reply.code), (401, "clerk_key_invalid"))
        self.fault("status", status=502, body="<html>")
        reply = self.token()
        self.assertEqual((reply.status, reply.body), (502, b"<html>"))
        self.fault("status", status=204)
        self.assertEqual((lambda r: (r.status, r.body))(self.token()), (204, b""))

    def test_hang(self):
        self.fault("hang")
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(self.raw_token())
            until(lambda: self.stats()["in_flight"] == 1, "the request")
            self.control("faults", method="DELETE")
            self.assertEqual(self.stats()["in_flight"], 1)
            self.control("reset", {})
            self.assertEqual(sock.recv(100), b"")
        self.assertEqual(self.stats()["in_flight"], 0)

    def test_client_gives_up(self):
        self.fault("hang")
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(self.raw_token())
            until(lambda: self.stats()["in_flight"] == 1, "the request")
        until(lambda: self.stats()["in_flight"] == 0, "the end of it")
        self.assertEqual(self.stats()["by_status"], {"0": 1})

    def test_reset(self):
        self.fault("reset")
        with self.assertRaises(ConnectionResetError):
            self.raw(self.raw_token())

    def test_close(self):
        self.fault("close")
        self.assertEqual(self.raw(self.raw_token()), b"")

    def test_half(self):
        self.fault("half")
        head, _, body = self.raw(self.raw_token()).partition(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
        self.assertEqual(len(body), length // 2)

    def test_stall(self):
        self.fault("stall")
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(self.raw_token())
            got = b""
            while b"\r\n\r\n" not in got or not got.partition(b"\r\n\r\n")[2]:
                got += sock.recv(65536)
            self.assertEqual(self.stats()["in_flight"], 1)
            self.control("reset", {})
            while more := sock.recv(65536):
                got += more
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        self.assertEqual(len(body), length // 2)

    def test_garbage(self):
        self.fault("garbage")
        got = self.raw(self.raw_token())
        self.assertEqual(len(got), 256)
        self.assertFalse(got.startswith(b"HTTP"))

    def test_not_json(self):
        self.fault("not_json")
        reply = self.token()
        self.assertEqual(reply.status, 200)
        self.assertRaises(ValueError, reply.json)

    def test_no_jwt(self):
        self.fault("no_jwt")
        self.assertEqual(self.token().json(), {"object": "token"})

    def test_jwt(self):
        for text in ("a.b.c", "line\nbreak \"quoted\" \\ \x7f \u2028 \U0001f600", ""):
            self.fault("jwt", jwt=text)
            self.assertEqual(self.token().jwt, text)

    def test_expired(self):
        self.fault("expired")
        claims = claims_of(self.token().jwt)
        self.assertLess(claims["exp"], time.time())
        self.assertLess(claims["iat"], claims["exp"])

    def test_no_exp(self):
        self.fault("no_exp")
        self.assertNotIn("exp", claims_of(self.token().jwt))

    def test_content_type(self):
        self.fault("content_type", value="application/json; charset=utf-8")
        reply = self.token()
        self.assertEqual(reply.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertIn("exp", claims_of(reply.jwt))
        self.fault("content_type", value="")
        self.assertNotIn("Content-Type", self.token().headers)

    def test_huge(self):
        self.fault("huge", bytes=5000000)
        self.assertIn(5000000 - len(self.token().jwt), (0, 1))

    def test_same(self):
        first = self.token().jwt
        self.fault("same", count=2)
        self.assertEqual([self.token().jwt, self.token().jwt], [first, first])
        self.assertNotEqual(self.token().jwt, first)
        self.fault("same", session="sess_new")
        self.assertIn("exp", claims_of(self.token("sess_new").jwt))

    def test_delay(self):
        self.fault("delay", ms=300)
        self.fault("status", status=500, after_ms=300)
        for status in (200, 500):
            begin = time.monotonic()
            self.assertEqual(self.token().status, status)
            self.assertGreaterEqual(time.monotonic() - begin, 0.299)

    def test_chunked(self):
        self.fault("chunked")
        reply = self.token()
        self.assertEqual(reply.headers["Transfer-Encoding"], "chunked")
        self.assertNotIn("Content-Length", reply.headers)
        self.assertIn("exp", claims_of(reply.jwt))

    def test_lifetime(self):
        self.fault("lifetime", s=7)
        claims = claims_of(self.token().jwt)
        self.assertEqual(claims["exp"] - claims["iat"], 7)

    def test_whom(self):
        self.control("faults", [{"kind": "status", "status": 500, "session": "sess_1"},
                                {"kind": "status", "status": 501, "template": "t"},
                                {"kind": "status", "status": 502, "template": "-", "count": -1},
                                {"kind": "status", "status": 503, "count": 2}])
        self.assertEqual(self.token("sess_2", "u").status, 503)
        self.assertEqual(self.control("faults")[3]["count"], 1)
        self.assertEqual(self.token("sess_2", "t").status, 501)
        self.assertEqual(self.token("sess_1", "t").status, 500)
        self.assertEqual(self.token("sess_1").status, 502)
        self.assertEqual(self.token("sess_1", "t").status, 503)
        self.assertEqual(self.token("sess_1", "t").status, 200)
        self.assertEqual([fault["status"] for fault in self.control("faults")], [502])
        self.control("faults", method="DELETE")
        self.assertEqual(self.control("faults"), [])
        self.fault("status", status=504)
        self.assertEqual(self.token().status, 504)

    def test_bad_faults(self):
        for body in ({}, [], 7, None, "x", {"kind": "nonsense"}, {"kind": "status"},
                     {"kind": "status", "status": 99}, {"kind": "status", "status": "500"},
                     {"kind": "hang", "ms": 1}, {"kind": "delay"}, {"kind": "hang", "count": 0},
                     {"kind": "hang", "session": 7}, {"kind": "huge", "bytes": 1e300},
                     {"kind": "status", "status": 500, "retry_after": "1\r\nX: y"},
                     [{"kind": "close"}, {"kind": "nonsense"}]):
            if body == []:
                continue
            self.refused("faults", body)
        self.refused("faults", [{"kind": "close"}] * 1001)
        self.assertEqual(self.control("faults", []), [])


class Control(SandboxCase):
    def test_stats(self):
        for session, template in (("sess_1", None), ("sess_1", "t"), ("sess_missing", "t"),
                                  ("sess_1", "t")):
            self.token(session, template)
        stats = self.stats()
        self.assertEqual((stats["token_calls"], stats["tokens_minted"]), (4, 3))
        self.assertEqual(stats["by_status"], {"200": 3, "404": 1})
        self.assertEqual(stats["by_key"], {"sess_1 -": 1, "sess_1 t": 2, "sess_missing t": 1})
        self.assertEqual([call[1:] for call in stats["recent"]],
                         [["sess_1", "-", 200], ["sess_1", "t", 200], ["sess_missing", "t", 404],
                          ["sess_1", "t", 200]])
        self.assertEqual((stats["in_flight"], stats["max_in_flight"]), (0, 1))
        self.assertEqual(stats["connections_open"], 1)
        brief = self.control("stats?brief=1")
        self.assertNotIn("by_key", brief)
        self.assertNotIn("recent", brief)
        self.control("reset", {})
        self.assertEqual(self.stats()["token_calls"], 0)
        self.assertEqual(self.stats()["recent"], [])

    def test_recent_is_bounded(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        for i in range(2100):
            connection.request("POST", f"/v1/sessions/sess_missing{i}/tokens",
                               headers={"Authorization": "Bearer " + KEY})
            connection.getresponse().read()
        connection.close()
        recent = self.stats()["recent"]
        self.assertEqual(len(recent), 2000)
        self.assertEqual((recent[0][1], recent[-1][1]), ("sess_missing100", "sess_missing2099"))

    def test_latency_and_in_flight(self):
        self.control("config", {"latency_ms": 200, "latency_jitter_ms": 50})
        threads = [threading.Thread(target=self.token) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = self.stats()
        self.assertEqual((stats["max_in_flight"], stats["in_flight"]), (8, 0))

    def test_refuse(self):
        self.control("config", {"refuse": True})
        self.assertEqual(self.raw(self.raw_token()), b"")
        self.assertEqual(self.raw(b"GET /v1/jwks HTTP/1.1\r\nHost: x\r\n\r\n"), b"")
        self.control("config", {"refuse": False})
        self.assertEqual(self.token().status, 200)

    def test_bad_config(self):
        for body in ([], 7, {"latency": 1}, {"latency_ms": -1}, {"latency_ms": "1"},
                     {"rate_limit": "1"}, {"rate_limit": "0/1"}, {"rate_limit": 5},
                     {"ended_status": 402}, {"date": 1}, {"lifetime_s": 0},
                     {"lifetime_s": 90, "x": 1}):
            self.refused("config", body)
        self.assertEqual(self.control("config")["lifetime_s"], 60)
        self.control("config", {"rate_limit": "10/2"})
        self.assertEqual(self.control("config")["rate_limit"], "10/2")

    def test_sessions(self):
        self.control("sessions", {"id": "any_name", "user_id": "user_x"})
        self.assertEqual(claims_of(self.token("any_name").jwt)["sub"], "user_x")
        self.control("reset", {})
        self.assertEqual(self.token("any_name").status, 200)
        for body in ({}, {"id": 7}, {"id": "a b"}, {"id": ""}, {"id": "x", "user_id": "é"}):
            self.refused("sessions", body)
        reply = self.request("POST", "/sandbox/sessions/sess_missing/end", key=None)
        self.assertEqual(reply.status, 404)

    def test_paths(self):
        for method, path, status in (("GET", "/sandbox/nothing", 404), ("GET", "/sandbox/", 404),
                                     ("PUT", "/sandbox/faults", 405),
                                     ("GET", "/sandbox/reset", 405)):
            self.assertEqual(self.request(method, path, key=None).status, status)


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isfile(sys.argv[1]):
        del sys.argv[1]  # sandbox_case has seen it
    unittest.main()
