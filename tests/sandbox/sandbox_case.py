"""What the self-tests of clerk-bapi-sandbox share: a sandbox per class, requests, tokens."""

import base64
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import unittest

def binary():
    """The program under test: the first argument, $SANDBOX_BIN, or where make leaves it."""
    if len(sys.argv) > 1 and os.path.isfile(sys.argv[1]):
        return os.path.abspath(sys.argv[1])
    built = os.path.join(os.environ.get("BUILD", "build"), "clerk-bapi-sandbox")
    return os.path.abspath(os.environ.get("SANDBOX_BIN", built))


BINARY = binary()
KEY = "sk_test_sandbox"
TIMEOUT = int(os.environ.get("SANDBOX_TIMEOUT", "10"))  # more for a slow build
JSON = {"Content-Type": "application/json"}


def start(*arguments):
    """Starts a sandbox: (process, {"http": …, "https": …, "ca": …})."""
    process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
    told = {}
    for line in process.stdout:
        name, _, value = line.strip().partition("=")
        if name == "ready":
            return process, told
        told[name] = value
    process.wait()
    raise AssertionError("sandbox ended at start")


def stop(process):
    process.terminate()
    try:
        return process.wait(TIMEOUT)
    finally:
        process.stdout.close()


def until(condition, what):
    """Polls with a deadline."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("in vain waited for " + what)


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims_of(token):
    return json.loads(decode(token.split(".")[1]))


def head_of(token):
    return json.loads(decode(token.split(".")[0]))


def verifies(token, key):
    """RSASSA-PKCS1-v1_5 with SHA-256, by hand (RFC 8017 section 8.2.2)."""
    signed, _, signature = token.rpartition(".")
    modulus = int.from_bytes(decode(key["n"]), "big")
    exponent = int.from_bytes(decode(key["e"]), "big")
    size = (modulus.bit_length() + 7) // 8
    message = pow(int.from_bytes(decode(signature), "big"), exponent, modulus)
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    info += hashlib.sha256(signed.encode()).digest()
    padding = b"\xff" * (size - len(info) - 3)
    return message.to_bytes(size, "big") == b"\x00\x01" + padding + b"\x00" + info


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def jwt(self):
        return self.json()["jwt"]

    @property
    def code(self):
        return self.json()["errors"][0]["code"]


class SandboxCase(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.process, cls.told = start(*cls.arguments)
        cls.port = port_of(cls.told["http"])

    @classmethod
    def tearDownClass(cls):
        if stop(cls.process) != 0:
            raise AssertionError("sandbox didn't end well")

    def setUp(self):
        self.control("reset", {})
        self.control("config", {"latency_ms": 0, "latency_jitter_ms": 0, "lifetime_s": 60,
                                "token_size": 0, "date_skew_s": 0, "ended_status": 404,
                                "refuse": False, "date": True, "rate_limit": None})

    def request(self, method, path, body=None, headers=None, key=KEY):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            everything = {"Authorization": "Bearer " + key} if key else {}
            everything.update(headers or {})
            connection.request(method, path, body, everything)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def control(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body)
        method = method or ("GET" if body is None else "POST")
        reply = self.request(method, "/sandbox/" + path, data, key=None)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()

    def refused(self, path, body):
        reply = self.request("POST", "/sandbox/" + path, json.dumps(body), key=None)
        self.assertEqual(reply.status, 400, reply.body)
        self.assertIn("error", reply.json())

    def token(self, session="sess_1", template=None, body=None, headers=None, key=KEY):
        path = f"/v1/sessions/{session}/tokens" + (f"/{template}" if template else "")
        return self.request("POST", path, body, headers, key)

    def fault(self, kind, **members):
        return self.control("faults", dict(members, kind=kind))

    def stats(self):
        return self.control("stats")

    def raw(self, data, until_close=True):
        """Sends bytes, and answers all that comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as sock:
            sock.sendall(data)
            got = b""
            while until_close:
                more = sock.recv(65536)
                if not more:
                    break
                got += more
            return got

    def raw_token(self, session="sess_1"):
        return (f"POST /v1/sessions/{session}/tokens HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {KEY}\r\n\r\n").encode()
