"""Webhooks of Clerk's: a session is forgotten the moment it ends, and nothing else has an effect."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import subprocess
import time

import harness

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
OTHER_SECRET = "whsec_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
BODY_MAX = 256 * 1024


def sign(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def event(session="sess_1", kind="session.ended", **members):
    """As Clerk sends it, less what doesn't matter here."""
    data = {"object": "session", "id": session, "status": "ended", "user_id": "user_1", **members}
    return json.dumps({"data": data, "object": "event", "type": kind,
                       "timestamp": 1716883200, "instance_id": "ins_1"}).encode()


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.count = 0
        self.clerk = self.sandbox()
        self.secret_file = self.clerk.dir / "webhook-secret"
        self.write_secret(SECRET + "\n")
        self.port = self.free_port()
        self.served = self.daemon(self.clerk, {
            "clerk": {"webhook_secret_file": self.secret_file},
            "listen": {"webhooks": f"127.0.0.1:{self.port}"},
        })

    @staticmethod
    def free_port():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def write_secret(self, text, mode=0o600):
        self.secret_file.write_text(text)
        self.secret_file.chmod(mode)

    def post(self, body, headers, path="/clerk", method="POST"):
        """The answer's status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def message(self, body, secret=SECRET, message_id=None, timestamp=None):
        self.count += 1
        message_id = message_id or f"msg_{self.count}"
        timestamp = int(time.time()) if timestamp is None else timestamp
        return {
            "svix-id": message_id,
            "svix-timestamp": str(timestamp),
            "svix-signature": sign(secret, message_id, timestamp, body),
            "Content-Type": "application/json",
        }

    def deliver(self, body, **how):
        return self.post(body, self.message(body, **how))

    def get(self, session="sess_1", template="hasura"):
        reply = self.served.ask(f"GET {session} {template}")
        self.assertTrue(reply.startswith("OK "), reply)
        return reply.split(" ")[1]

    def assert_no_effect(self, *statuses):
        """Of what the test has sent since `self.token` was got."""
        self.assertEqual(self.get(), self.token)
        self.assertEqual(self.served.stats()["webhooks_ended"], 0)

    def test_the_session_is_forgotten_for_every_template(self):
        for kind in ("session.ended", "session.removed", "session.revoked"):
            tokens = [self.get(template=t) for t in ("hasura", "-", "other")]
            neighbour = self.get("sess_2")
            self.assertEqual(self.deliver(event(kind=kind)), 204)
            self.assertEqual(self.get("sess_2"), neighbour)
            self.assertFalse(set(tokens) & {self.get(template=t) for t in ("hasura", "-", "other")})
        self.assertEqual(self.served.stats()["webhooks_ended"], 3)

    def test_as_the_readme_signs_one(self):
        """By its own commands, twice."""
        text = (harness.ROOT / "README.md").read_text()
        script = next(b for b in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "hexkey" in b)
        script = script.replace("127.0.0.1:9466", f"127.0.0.1:{self.port}").replace("sess_2abc", "sess_1")
        again = script[script.index("curl "):]
        before = self.get()
        done = subprocess.run(["sh", "-euc", f"{script}\n{again}"], env={**os.environ, "secret": SECRET},
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
                              timeout=60)
        self.assertEqual(re.findall(r"HTTP/1.1 (\d+)", done.stdout), ["204", "409"])
        self.assertNotEqual(self.get(), before)

    def test_trackers_and_watchers_are_told(self):
        with self.served.connect() as tracker, self.served.connect() as watcher:
            self.assertEqual(tracker.ask("TRACK on"), "OK")
            self.assertTrue(watcher.ask("WATCH sess_1 hasura").startswith("OK "))
            self.clerk.end_session("sess_1")
            self.assertEqual(self.deliver(event()), 204)
            self.assertEqual(tracker.line(), "* DROP sess_1 *")
            self.assertEqual(watcher.line(), "* GONE sess_1 hasura not_found")

    def test_other_events_are_counted_only(self):
        self.token = self.get()
        for kind in ("session.created", "session.pending", "user.deleted", "session.ended.x"):
            self.assertEqual(self.deliver(event(kind=kind)), 204)
        self.assertEqual(self.deliver(b"{\"type\":\"session.ended\",\"data\":{\"id\":\"*\"}}"), 204)
        self.assertEqual(self.deliver("{\"type\":\"session.ended\"".encode("utf-16")), 204)
        self.assertEqual(self.served.stats()["webhooks"], 6)
        self.assert_no_effect()

    def test_what_is_forged_has_no_effect(self):
        self.token = self.get()
        body = event()
        good = self.message(body)
        self.assertEqual(self.deliver(body, secret=OTHER_SECRET), 401)
        self.assertEqual(self.post(body.replace(b"sess_1", b"sess_2"), good), 401)
        self.assertEqual(self.post(body[:-1], good), 401)
        self.assertEqual(self.post(body + b" ", good), 401)
        self.assertEqual(self.post(b"", good), 401)
        for name in ("svix-id", "svix-timestamp"):
            self.assertEqual(self.post(body, {**good, name: good[name] + "1"}), 401)
        for name in ("svix-id", "svix-timestamp", "svix-signature"):
            self.assertEqual(self.post(body, {k: v for k, v in good.items() if k != name}), 400)
        self.assertEqual(self.post(body, {}), 400)
        self.assertEqual(self.served.stats()["webhooks_refused"], 11)
        self.assert_no_effect()
        self.assertIn("webhook was refused", self.served.log())

    def test_what_is_stale_has_no_effect(self):
        self.token = self.get()
        now = int(time.time())
        for timestamp in (0, now - 310, now + 310, now * 1000):
            self.assertIn(self.deliver(event(), timestamp=timestamp), (400, 401))
        self.assert_no_effect()

    def test_age_is_told_by_clerks_clock(self):
        self.clerk.config(date_skew_s=-3600)
        before = self.get()
        self.assertEqual(self.deliver(event()), 401)
        self.assertEqual(self.deliver(event(), timestamp=int(time.time()) - 3600), 204)
        self.assertNotEqual(self.get(), before)

    def test_a_replay_has_no_effect(self):
        body = event()
        message = self.message(body, message_id="msg_once")
        self.assertEqual(self.post(body, message), 204)
        token = self.get()
        self.assertEqual(self.post(body, message), 409)
        later = int(message["svix-timestamp"]) + 1
        self.assertEqual(self.deliver(body, message_id="msg_once", timestamp=later), 204)
        self.assertEqual(self.get(), token)
        self.assertEqual(self.served.stats()["webhooks_ended"], 1)

    def test_a_field_that_comes_twice_is_none(self):
        self.token = self.get()
        body = event()
        lines = [f"{k}: {v}" for k, v in self.message(body).items()]
        for twice in lines[:3]:
            head = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, twice]
            self.assertEqual(self.raw(head, body)[:12], b"HTTP/1.1 400")
        self.assert_no_effect()

    def raw(self, head, body):
        with socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S) as s:
            s.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
            return self.rest(s)

    @staticmethod
    def rest(s):
        text = b""
        try:
            while data := s.recv(65536):
                text += data
        except ConnectionResetError:
            pass  # it was closed with input unread
        return text

    def test_what_is_too_large_is_refused(self):
        self.token = self.get()
        body = event(padding="x" * BODY_MAX)
        self.assertEqual(self.raw(["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"],
                                  body[:65536])[:12], b"HTTP/1.1 413")
        self.assert_no_effect()
        largest = event(padding="")
        largest = event(padding="x" * (BODY_MAX - len(largest)))
        self.assertEqual(len(largest), BODY_MAX)
        self.assertEqual(self.deliver(largest), 204)

    def test_what_is_cut_off_has_no_effect(self):
        self.token = self.get()
        body = event()
        head = [f"{k}: {v}" for k, v in self.message(body).items()]
        head = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *head, "", ""]
        text = "\r\n".join(head).encode() + body
        for cut in range(0, len(text), 7):
            with socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S) as s:
                s.sendall(text[:cut])
                s.shutdown(socket.SHUT_WR)
                self.assertNotIn(b" 204 ", self.rest(s))
        self.assert_no_effect()
        self.assertEqual(self.raw(head[:-2], body)[:12], b"HTTP/1.1 204")

    def test_lengths_that_disagree_are_refused(self):
        self.token = self.get()
        body = event()
        fields = [f"{k}: {v}" for k, v in self.message(body).items()]
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        for extra, payload in [
            ([f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"], chunked),
            ([f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 1}"], body),
            (["Transfer-Encoding: gzip, chunked"], chunked),
            ([f"Content-Length: +{len(body)}"], body),
        ]:
            answer = self.raw(["POST / HTTP/1.1", "Host: x", *extra, *fields], payload)
            self.assertIn(answer[:12], (b"HTTP/1.1 400", b"HTTP/1.1 501"), extra)
        self.assert_no_effect()
        answer = self.raw(["POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *fields],
                          chunked)
        self.assertEqual(answer[:12], b"HTTP/1.1 204")

    def test_only_post(self):
        self.token = self.get()
        body = event()
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(self.post(body, self.message(body), method=method), 405)
        self.assert_no_effect()

    def test_a_secret_is_changed_without_a_gap(self):
        self.write_secret(f"{OTHER_SECRET} {SECRET}\n")
        self.served.reload()
        harness.wait_for(lambda: self.deliver(event(), secret=OTHER_SECRET) == 204)
        self.assertEqual(self.deliver(event()), 204)
        self.write_secret(f"{OTHER_SECRET}\n")
        self.served.reload()
        harness.wait_for(lambda: self.deliver(event()) == 401)
        self.assertEqual(self.deliver(event(), secret=OTHER_SECRET), 204)

    def test_a_reload_with_a_bad_secret_keeps_the_one_from_before(self):
        self.write_secret("whsec_short\n")
        self.served.reload()
        harness.wait_for(lambda: "reload failed" in self.served.log())
        self.assertNotIn("whsec_short", self.served.log())
        self.assertEqual(self.deliver(event()), 204)

    def refused_start(self, text):
        daemon = self.daemon(self.clerk, {
            "clerk": {"webhook_secret_file": self.secret_file if text is not None else None},
            "listen": {"webhooks": f"127.0.0.1:{self.free_port()}"},
        }, wait=False)
        self.assertEqual(daemon.wait(), 78)
        if text and len(text) > len("whsec_\n"):
            self.assertNotIn(text.strip(), daemon.log())
        return daemon.log()

    def test_no_start_without_a_secret_that_can_be_used(self):
        self.assertIn("webhook_secret_file", self.refused_start(None))
        for bad in ("", "sk_test_x\n", "whsec_\n", f"{SECRET}x!\n"):
            self.write_secret(bad)
            self.assertIn("signing secret", self.refused_start(bad))
        self.write_secret(SECRET, 0o644)
        self.assertIn("others than its owner", self.refused_start(SECRET))

    def test_the_secret_may_be_a_credential(self):
        directory = self.clerk.dir / "credentials"
        directory.mkdir()
        (directory / "clerk_webhook_secret").write_text(OTHER_SECRET)
        self.port = self.free_port()
        self.served = self.daemon(self.clerk, {"listen": {"webhooks": f"127.0.0.1:{self.port}"}},
                                  env={"CREDENTIALS_DIRECTORY": directory})
        self.assertEqual(self.deliver(event(), secret=OTHER_SECRET), 204)

    def test_at_a_socket(self):
        path = self.clerk.dir / "webhooks.sock"
        self.daemon(self.clerk, {
            "clerk": {"webhook_secret_file": self.secret_file},
            "listen": {"webhooks": f"unix:{path}"},
        })
        body = event()
        fields = [f"{k}: {v}" for k, v in self.message(body).items()]
        head = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close"]
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(harness.DEADLINE_S)
            s.connect(str(path))
            s.sendall("\r\n".join([*head, *fields, "", ""]).encode() + body)
            self.assertEqual(self.rest(s)[:12], b"HTTP/1.1 204")


if __name__ == "__main__":
    import unittest

    unittest.main()
