"""The daemon and Clerk's own OpenAPI document: `make check-contract CLERK_OPENAPI=FILE`.

Prism's validating proxy stands between a client and a server and refuses, with an error of its own,
each request and each answer that the document doesn't allow. Here it stands between the daemon and
the sandbox, and between an SDK's requests and the daemon's front. Skipped, saying so, where there is
no document, no Node.js, or no registry that Prism can be installed from.
"""

import http.client
import json
import os
import re
import shutil
import sys
import unittest
from pathlib import Path

import harness
from test_metrics import free_port

sys.path.append(str(harness.ROOT / "tests/frameworks"))
import frameworks  # noqa: E402  pylint: disable=wrong-import-position

HERE = Path(__file__).resolve().parent
FOLDER = harness.BUILD / "contract"
PACKAGES = ("package.json", "package-lock.json")
# A request or an answer that is not as the document says. The last word says which rule it was.
VIOLATION = re.compile(r"prism/errors#(\w+)|(?i:\bviolation\b)")
MARK = "/mark-"
KEY = f"Bearer {harness.SECRET_KEY}"


def setUpModule():
    if not os.environ.get("CLERK_OPENAPI"):
        raise unittest.SkipTest("CLERK_OPENAPI names no copy of Clerk's OpenAPI document")
    frameworks.need_node()
    install()


def install():
    text = "".join((HERE / name).read_text() for name in PACKAGES)
    stamp = FOLDER / ".installed"
    if stamp.exists() and stamp.read_text() == text:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in PACKAGES:
        shutil.copyfile(HERE / name, FOLDER / name)
    frameworks.install(FOLDER)
    stamp.write_text(text)


class Prism(harness.Child):
    """The proxy in front of `upstream`; http is its address."""

    def __init__(self, upstream):
        super().__init__()
        self.marks = 0
        port = free_port()
        self.http = f"http://127.0.0.1:{port}"
        self.address = f"127.0.0.1:{port}"
        program = FOLDER / "node_modules/@stoplight/prism-cli/dist/index.js"
        try:
            self.spawn([shutil.which("node"), program, "proxy", "--errors", "--host", "127.0.0.1",
                        "--port", port, os.environ["CLERK_OPENAPI"], upstream],
                       harness.clean_environment(), stdout=open(self.dir / "stdout", "wb"))
            harness.wait_for(lambda: "is listening" in self.said(), 30, "Prism")
        except BaseException:
            self.close()
            raise

    def said(self):
        return (self.dir / "stdout").read_text(errors="replace") + self.log()

    def violations(self):
        """What it objected to until now. Its log comes later than its answers, so it is asked for what
        it must object to, which comes last."""
        self.marks += 1
        mark = f" {MARK}{self.marks} "
        call(self.address, mark.strip())
        harness.wait_for(lambda: any(mark in line for line in self.objections()), what="its log")
        return [line for line in self.objections() if MARK not in line]

    def objections(self):
        return [line for line in self.said().splitlines() if VIOLATION.search(line)]

    def forwarded(self):
        return self.said().count("Forwarding")


def call(address, path, body=None, method="POST", key=KEY, **fields):
    """Status and JSON."""
    connection = http.client.HTTPConnection(address, timeout=harness.DEADLINE_S)
    headers = {"Content-Type": "application/json", "Accept": "application/json", **fields}
    try:
        connection.request(method, path, body, {**headers, **({"Authorization": key} if key else {})})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


class ContractCase(harness.Case):
    def prism(self, upstream):
        return self.own(Prism(upstream))

    def check(self, between, requests):
        """So many at least, and nothing to object to."""
        violations = between.violations()
        frameworks.note(f"{self.id()}: {len(violations)} violations in {between.forwarded()} requests")
        self.assertEqual(violations, [])
        self.assertGreaterEqual(between.forwarded(), requests)


class Requests(ContractCase):
    """What the daemon asks of Clerk."""

    def setUp(self):
        self.clerk = self.sandbox()
        self.between = self.prism(self.clerk.http)

    def serve(self, config=None):
        return self.daemon(self.between, {"clerk": {"request_timeout": "10s"}, **(config or {})})

    def test_tokens(self):
        daemon = self.serve()
        for request in ("sess_1 -", "sess_1 hasura", "sess_1 a.b~c-d_e", "sess_1 - expires_in=30",
                        "sess_1 hasura expires_in=315360000"):
            self.assertTrue(harness.Reply(daemon.ask(f"GET {request} wait=9000")).ok, request)
        self.check(self.between, 5)

    def test_errors(self):
        daemon = self.serve()
        reply = harness.Reply(daemon.ask("GET sess_missing hasura wait=9000"))
        self.assertEqual(reply.code, "not_found")
        self.assertEqual(harness.Reply(daemon.ask("GET sess_1 missing wait=9000")).code, "not_found")
        self.clerk.fault("status", status=401, code="authentication_invalid")
        self.assertEqual(harness.Reply(daemon.ask("GET sess_1 - wait=9000")).code, "forbidden")
        self.check(self.between, 3)

    def test_a_watched_token(self):
        self.clerk.config(lifetime_s=3)
        daemon = self.serve({"cache": {"min_ttl": "0s"}})
        conn = self.connect(daemon)
        self.assertTrue(harness.Reply(conn.ask("WATCH sess_1 - wait=9000")).ok)
        self.assertTrue(conn.line().startswith("* TOKEN sess_1 - "))
        self.check(self.between, 2)


class Front(ContractCase):
    """What the daemon answers, and passes on, in Clerk's place."""

    def test_answers(self):
        self.clerk = self.sandbox()
        port = free_port()
        self.daemon(self.clerk, {"listen": {"http": f"127.0.0.1:{port}"}})
        between = self.prism(f"http://127.0.0.1:{port}")
        tokens = "/v1/sessions/sess_1/tokens"
        answers = [
            (call(between.address, tokens), 200),
            (call(between.address, tokens), 200),
            (call(between.address, tokens, '{"expires_in_seconds":60}'), 200),
            (call(between.address, f"{tokens}/hasura"), 200),
            (call(between.address, "/v1/sessions/sess_missing/tokens"), 404),
            (call(between.address, f"{tokens}/missing"), 404),
            (call(between.address, tokens, key="Bearer sk_test_nonsense"), 401),
            (call(between.address, "/v1/jwks", method="GET"), 200),
            (call(between.address, "/v1/sessions/sess_1", method="GET"), 200),
            (call(between.address, "/v1/sessions/sess_1/revoke"), 200),
        ]
        self.assertEqual([status for (status, _), _ in answers], [wanted for _, wanted in answers])
        self.check(between, len(answers))

    def test_refusals(self):
        """As the sandbox says it itself, but for the trace id."""
        self.clerk = self.sandbox()
        self.clerk.fault("status", status=401, code="authentication_invalid", session="sess_401", count=-1)
        port = free_port()
        self.daemon(self.clerk, {"listen": {"http": f"127.0.0.1:{port}"}})
        between = self.prism(f"http://127.0.0.1:{port}")
        paths = (("sess_missing/tokens", 404), ("sess_missing/tokens/hasura", 404),
                 ("sess_1/tokens/missing", 404), ("sess_401/tokens", 401))
        for path, wanted in paths:
            said = [call(address, f"/v1/sessions/{path}") for address in (between.address, self.clerk.address)]
            for _, body in said:
                self.assertRegex(body.pop("clerk_trace_id"), "^[0-9a-f]{32}$")
            self.assertEqual(said[0], said[1])
            self.assertEqual(said[0][0], wanted)
        self.check(between, len(paths))


class Proof(ContractCase):
    """The check can fail: what is wrong is reported."""

    def reported(self, between, *arguments, **keywords):
        before = len(between.violations())
        call(between.address, *arguments, **keywords)
        return len(between.violations()) > before

    def test_wrong_requests(self):
        between = self.prism(self.sandbox().http)
        tokens = "/v1/sessions/sess_1/tokens"
        self.assertFalse(self.reported(between, tokens))
        self.assertTrue(self.reported(between, tokens, '{"expires_in_seconds":"60"}'))
        self.assertTrue(self.reported(between, tokens, key=None))
        self.assertTrue(self.reported(between, tokens, method="PUT"))
        self.assertTrue(self.reported(between, "/v1/session/sess_1/tokens"))

    def test_wrong_answers(self):
        clerk = self.sandbox()
        between = self.prism(clerk.http)
        clerk.fault("status", status=200, body='{"object":"jwt","jwt":1}')
        self.assertTrue(self.reported(between, "/v1/sessions/sess_1/tokens"))
        clerk.fault("status", status=418)
        self.assertTrue(self.reported(between, "/v1/sessions/sess_1/tokens"))


if __name__ == "__main__":
    unittest.main()
