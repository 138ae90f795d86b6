"""Self-tests of clerk-bapi-sandbox, continued: HTTP as bytes, HTTPS, the command line."""

import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest

from sandbox_case import (BINARY, KEY, TIMEOUT, Reply, SandboxCase, claims_of, decode, port_of,
                          start, stop, until)


class Http(SandboxCase):
    def status(self, data):
        got = self.raw(data)
        self.assertTrue(got.startswith(b"HTTP/1.1 "), got[:80])
        return int(got[9:12])

    def test_keep_alive_and_pipelining(self):
        last = self.raw_token("sess_last").replace(b"Host: x", b"Host: x\r\nConnection: close")
        got = self.raw(self.raw_token() * 50 + last)
        self.assertEqual(got.count(b"HTTP/1.1 200 OK"), 51)
        self.assertEqual(self.stats()["by_key"], {"sess_1 -": 50, "sess_last -": 1})

    def test_pipelining_behind_a_delay(self):
        self.fault("delay", ms=50)
        last = self.raw_token("sess_missing").replace(b"Host: x", b"Host: x\r\nConnection: close")
        got = self.raw(self.raw_token() + last)
        self.assertLess(got.index(b"HTTP/1.1 200"), got.index(b"HTTP/1.1 404"))

    def test_half_closed_client(self):
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(self.raw_token())
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while more := sock.recv(65536):
                got += more
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "))

    def test_byte_by_byte(self):
        body = b'{"expires_in_seconds":600}'
        data = (b"POST /v1/sessions/sess_1/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Authorization: Bearer " + KEY.encode() + b"\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + body[:5] + b"\r\n" +
                b"15;x=y\r\n" + body[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in data:
                sock.send(bytes((byte,)))
            got = b""
            while more := sock.recv(65536):
                got += more
        claims = claims_of(json.loads(got.partition(b"\r\n\r\n")[2])["jwt"])
        self.assertEqual(claims["exp"] - claims["iat"], 600)

    def test_expect(self):
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(b"POST /sandbox/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                         b"Expect: 100-continue\r\n\r\n")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 100 "))
            sock.sendall(b"[]")
            self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))

    def test_http_1_0(self):
        self.assertEqual(self.status(b"GET /sandbox/stats HTTP/1.0\r\n\r\n"), 200)

    def test_bad_requests(self):
        get = b"GET /sandbox/stats HTTP/1.1\r\n"
        post = b"POST /sandbox/faults HTTP/1.1\r\nHost: x\r\n"
        for data, status in (
                (b"\r\n\r\nnonsense\r\n\r\n", 400), (b"GET\r\n\r\n", 400),
                (b"GET / HTTP/2.0\r\n\r\n", 505), (b"GET / FTP/1.1\r\n\r\n", 400),
                (b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                (b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                (get + b"\r\n", 400), (get + b"Host: x\r\n folded\r\n\r\n", 400),
                (get + b"Host: x\r\nno colon\r\n\r\n", 400),
                (get + b"Host: x\r\nBad name: x\r\n\r\n", 400),
                (get + b"Host: x\r\nX: a\x01b\r\n\r\n", 400),
                (get + b"Host: x\r\n" + b"A: b\r\n" * 70 + b"\r\n", 431),
                (get + b"X: " + b"y" * 20000, 431),
                (post + b"Content-Length: -1\r\n\r\n", 400),
                (post + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
                (post + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537, 413),
                (post + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
                (post + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                (post + b"Transfer-Encoding: gzip\r\n\r\n", 501),
                (post + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
                (post + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
                (post + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 3000, 400),
                (post + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 400),
                (post + b"Transfer-Encoding: chunked\r\n\r\n" +
                 (b"8000\r\n" + b"x" * 32768 + b"\r\n") * 3, 413)):
            with self.subTest(data=data[:100]):
                self.assertEqual(self.status(data), status)

    def test_absolute_form(self):
        self.assertEqual(self.status(b"GET http://x/sandbox/stats?brief=1 HTTP/1.1\r\nHost: x\r\n"
                                     b"Connection: close\r\n\r\n"), 200)

    def test_noise(self):
        """Whatever comes, the sandbox lives on."""
        for seed in range(200):
            noise = hashlib.shake_128(struct.pack("<I", seed)).digest(seed * 7)
            self.raw(b"POST /v1/sessions/" * (seed % 2) + noise, until_close=False)
        until(lambda: self.stats()["connections_open"] == 1, "all connections to end")

    def test_many_connections(self):
        count = 1500
        socks = [socket.create_connection(("127.0.0.1", self.port), TIMEOUT) for _ in range(count)]
        self.control("config", {"latency_ms": 100})
        for sock in socks:
            sock.sendall(self.raw_token("sess_missing"))
        for sock in socks:
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 404"))
        for sock in socks:
            sock.close()
        self.assertEqual(self.stats()["token_calls"], count)


class Https(SandboxCase):
    def connect(self, context, name="localhost"):
        return http.client.HTTPSConnection(name, port_of(self.told["https"]), timeout=TIMEOUT,
                                           context=context)

    def test_trust(self):
        context = ssl.create_default_context(cafile=self.told["ca"])
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name in ("localhost", "127.0.0.1"):
            connection = self.connect(context, name)
            for _ in range(3):
                connection.request("POST", "/v1/sessions/sess_1/tokens",
                                   headers={"Authorization": "Bearer " + KEY})
                self.assertIn("exp", claims_of(Reply(connection.getresponse()).jwt))
            self.assertEqual(connection.sock.selected_alpn_protocol(), "http/1.1")
            connection.close()
        self.assertEqual(self.stats()["tls_handshakes"], 2)

    def test_distrust(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.connect(ssl.create_default_context()).request("GET", "/")

    def test_plain_http_to_https(self):
        with socket.create_connection(("127.0.0.1", port_of(self.told["https"])), TIMEOUT) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertFalse(sock.recv(100).startswith(b"HTTP"))
            except ConnectionResetError:
                pass  # as good an answer

    def test_faults(self):
        context = ssl.create_default_context(cafile=self.told["ca"])
        for kind in ("reset", "close", "half", "garbage"):
            self.fault(kind)
            connection = self.connect(context)
            with self.subTest(kind), self.assertRaises((OSError, http.client.HTTPException)):
                connection.request("POST", "/v1/sessions/sess_1/tokens",
                                   headers={"Authorization": "Bearer " + KEY})
                connection.getresponse().read()
            connection.close()


class Options(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([BINARY, *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT, check=False)

    def ask(self, told, path, key=KEY):
        connection = http.client.HTTPConnection("127.0.0.1", port_of(told["http"]), timeout=TIMEOUT)
        connection.request("POST", path, headers={"Authorization": "Bearer " + key})
        reply = Reply(connection.getresponse())
        connection.close()
        return reply

    def test_usage(self):
        for arguments in (["--nonsense"], ["word"], ["--http"], ["--http", "0.0.0.0:0"],
                          ["--http", "127.0.0.1:65536"], ["--lifetime", "0"], ["--template", ""],
                          ["--template", "a:0"], ["--rate-limit", "5"], ["--token-size", "-1"],
                          ["--secret-key", ""]):
            result = self.run_it(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertIn("usage:", result.stderr)
        self.assertEqual(self.run_it("--help").returncode, 0)
        self.assertTrue(self.run_it("--version").stdout.startswith("clerk-bapi-sandbox "))

    def test_port_in_use(self):
        process, told = start("--http", "127.0.0.1:0")
        try:
            result = self.run_it("--http", "127.0.0.1:%d" % port_of(told["http"]))
            self.assertEqual(result.returncode, 1)
            self.assertIn("cannot listen", result.stderr)
        finally:
            self.assertEqual(stop(process), 0)

    def test_choices(self):
        process, told = start("--http", "127.0.0.1:0", "--secret-key", "sk_a", "--secret-key",
                              "sk_b", "--template", "a:7", "--template", "b", "--lifetime", "9",
                              "--strict-sessions", "--rate-limit", "5/100", "--fast",
                              "--token-size", "1500", "--latency", "1")
        try:
            self.assertNotIn("https", told)
            self.assertNotIn("ca", told)
            self.assertEqual(self.ask(told, "/v1/sessions/sess_1/tokens", KEY).status, 401)
            self.assertEqual(self.ask(told, "/v1/sessions/sess_1/tokens", "sk_a").status, 404)
            connection = http.client.HTTPConnection("127.0.0.1", port_of(told["http"]))
            connection.request("POST", "/sandbox/sessions", '{"id":"sess_1"}')
            self.assertEqual(Reply(connection.getresponse()).status, 200)
            connection.close()
            for path, life in (("", 9), ("/a", 7), ("/b", 9)):
                token = self.ask(told, "/v1/sessions/sess_1/tokens" + path, "sk_a").jwt
                self.assertEqual(claims_of(token)["exp"] - claims_of(token)["iat"], life)
                self.assertIn(1500 - len(token), (0, 1))
                self.assertEqual(len(decode(token.split(".")[2])), 256)
            self.assertEqual(self.ask(told, "/v1/sessions/sess_1/tokens/c", "sk_a").status, 404)
            self.assertEqual(self.ask(told, "/v1/sessions/sess_1/tokens", "sk_a").status, 429)
            self.assertEqual(self.ask(told, "/v1/sessions/sess_1/tokens", "sk_b").status, 200)
        finally:
            self.assertEqual(stop(process), 0)

    def test_ca_file(self):
        with tempfile.TemporaryDirectory() as parent:
            directory = os.path.join(parent, "new")
            process, told = start("--https", "127.0.0.1:0", "--dir", directory)
            self.assertEqual(told["ca"], os.path.join(directory, "ca.pem"))
            self.assertEqual(os.listdir(directory), ["ca.pem"])
            self.assertEqual(stop(process), 0)
            self.assertTrue(os.path.exists(told["ca"]))
        process, told = start("--https", "127.0.0.1:0")
        self.assertTrue(os.path.exists(told["ca"]))
        process.send_signal(signal.SIGINT)
        self.assertEqual(stop(process), 0)
        self.assertFalse(os.path.exists(os.path.dirname(told["ca"])))

    def test_die_with_parent(self):
        script = ("import subprocess,sys\n"
                  "p=subprocess.Popen([sys.argv[1],'--http','127.0.0.1:0','--die-with-parent'],"
                  "stdout=subprocess.PIPE,text=True)\n"
                  "print(p.stdout.readline(),end='',flush=True)\n"
                  "sys.stdin.read()\n")
        parent = subprocess.Popen([sys.executable, "-c", script, BINARY], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        port = port_of(parent.stdout.readline().strip())
        parent.kill()
        parent.communicate()

        def is_gone():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return False
            except ConnectionRefusedError:
                return True
        until(is_gone, "the sandbox to follow its parent")
