"""What @clerk/backend, in three major versions, and curl get of a daemon at whose address they ask,
beside what they get of Clerk itself."""

import base64
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import frameworks
import harness

MAJORS = ("1", "2", "3")
TRACE_ID = r"^[0-9a-f]{32}$"
# What Clerk may say of one session, and what is said at the daemon's address. A refusal is Clerk's own, word
# for word. What may pass is the daemon's, which has tried for as long as its caller waits.
SAME = None
LIMITED = (429, "too_many_requests")
LATER = (503, "service_unavailable")
REFUSALS = {
    "400": ({"status": 400, "code": "request_body_invalid"}, SAME),
    "401_of_a_session": ({"status": 401, "code": "authentication_invalid"}, SAME),
    "403": ({"status": 403, "code": "authorization_invalid"}, SAME),
    "404": ({"status": 404, "code": "resource_not_found"}, SAME),
    "409": ({"status": 409, "code": "resource_locked"}, LATER),
    "413": ({"status": 413, "code": "request_body_too_large"}, SAME),
    "415": ({"status": 415, "code": "unsupported_content_type"}, SAME),
    "422": ({"status": 422, "code": "form_param_unknown", "message": "\u00e9 <b> \"`\\"}, SAME),
    "429": ({"status": 429, "code": "too_many_requests", "retry_after": "60"}, LIMITED),
    "500": ({"status": 500, "code": "internal_clerk_error"}, LATER),
    "503": ({"status": 503, "code": "service_unavailable", "retry_after": "60"}, LATER),
}


def claims(jwt):
    """Those that are the same in each token of a session and template."""
    text = jwt.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return {name: said[name] for name in said if name not in ("exp", "iat", "nbf", "jti")}


class Backend(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = frameworks.project("backend")

    def setUp(self):
        self.clerk = self.sandbox()

    def sdk(self, major, url, *arguments, key=harness.SECRET_KEY, env=None, options=()):
        """What getToken returned or threw."""
        env = {**frameworks.QUIET, "CLERK_SECRET_KEY": key, "CLERK_API_URL": url, **(env or {})}
        done = subprocess.run(
            ["node", *options, "token.js", major, *arguments], cwd=self.folder,
            env=harness.clean_environment(env), timeout=harness.DEADLINE_S * 3,
            stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


class Register(Backend):
    """By --import, the address being Clerk's."""

    def ask(self, daemon, *arguments):
        options = frameworks.register()
        env = {"CLERK_TOKEND_SOCKET": daemon.socket}
        return [self.sdk(major, self.clerk.http, *arguments, env=env, options=options)
                for major in MAJORS]

    def test_token(self):
        answers = self.ask(self.daemon(self.clerk), "sess_1", "hasura")
        self.assertEqual(len({answer["jwt"] for answer in answers}), 1)
        self.assertEqual(self.clerk.calls(), 1)

    def test_no_such_session(self):
        for answer in self.ask(self.daemon(self.clerk), "sess_missing", "hasura"):
            self.assertEqual(answer["status"], 404)
            self.assertEqual([e["code"] for e in answer["errors"]], ["resource_not_found"])


class Front(Backend):
    """At the daemon's address."""

    def setUp(self):
        super().setUp()
        self.front = frameworks.front(self, self.clerk)

    def compare(self, *arguments, differs=None, **options):
        """Asks Clerk and the daemon, by each version; returns what the daemon made of it. `differs`
        is the status and code of its refusal, if it is not Clerk's."""
        asked = [(major, url) for major in MAJORS for url in (self.clerk.http, self.front)]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda a: self.sdk(*a, *arguments, **options), asked))
        for major, expected, answer in zip(MAJORS, said[::2], said[1::2]):
            with self.subTest(f"@clerk/backend {major}"):
                if "jwt" in expected:
                    self.assertEqual(list(answer), ["jwt"])
                    self.assertEqual(claims(answer["jwt"]), claims(expected["jwt"]))
                else:
                    self.compare_refusals(expected, answer, differs)
        return said[1::2]

    def compare_refusals(self, expected, answer, differs):
        self.assertRegex(expected["clerkTraceId"], TRACE_ID)
        self.assertRegex(answer["clerkTraceId"], TRACE_ID)
        self.assertEqual(answer["name"], expected["name"])
        [theirs], [ours] = expected["errors"], answer["errors"]
        if differs is SAME:
            self.assertEqual((answer["status"], ours), (expected["status"], theirs))
        else:
            self.assertEqual((answer["status"], ours["code"]), differs)
        self.assertEqual(list(ours), list(theirs))
        if "retryAfter" in expected:
            # The daemon was told of it when it asked first; since then it counts.
            self.assertLessEqual(answer["retryAfter"], expected["retryAfter"])
            self.assertGreater(answer["retryAfter"], expected["retryAfter"] - 30)
        elif differs == LATER:
            self.assertGreater(answer["retryAfter"], 0)
        else:
            self.assertNotIn("retryAfter", answer)

    def test_token_of_a_template(self):
        answers = self.compare("sess_1", "hasura")
        self.assertEqual(len({answer["jwt"] for answer in answers}), 1)
        self.assertEqual(self.clerk.calls("sess_1", "hasura"), len(MAJORS) + 1)

    def test_session_token(self):
        answers = self.compare("sess_1")
        self.assertEqual(len({answer["jwt"] for answer in answers}), 1)

    def test_no_such_session(self):
        self.compare("sess_missing", "hasura")

    def test_no_such_template(self):
        self.compare("sess_1", "missing")

    def test_a_session_that_has_ended(self):
        """Its error has a `meta`."""
        self.clerk.config(ended_status=422)
        self.clerk.end_session("sess_1")
        self.compare("sess_1", "hasura")

    def test_wrong_secret_key(self):
        self.compare("sess_1", "hasura", key="sk_test_another")

    def test_curl(self):
        for path in ("sess_1/tokens/hasura", "sess_1/tokens", "sess_missing/tokens/hasura"):
            with self.subTest(path):
                self.assertEqual(self.curl(self.front, path), self.curl(self.clerk.http, path))

    def curl(self, url, path):
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-X", "POST", "-w", "\n%{http_code} %{content_type}",
             "-H", f"Authorization: Bearer {harness.SECRET_KEY}", f"{url}/v1/sessions/{path}"],
            stdout=subprocess.PIPE, text=True, check=True, timeout=harness.DEADLINE_S)
        text, outcome = done.stdout.rsplit("\n", 1)
        body = json.loads(text)
        if "jwt" in body:
            body["jwt"] = claims(body["jwt"])
        else:
            self.assertRegex(body.pop("clerk_trace_id"), TRACE_ID)
        return outcome, body


def refusal_test(members, differs):
    def test(self):
        self.clerk.fault("status", count=-1, **members)
        self.compare("sess_1", "hasura", differs=differs)
    return test


for name, refusal in REFUSALS.items():
    setattr(Front, "test_clerk_says_" + name, refusal_test(*refusal))
