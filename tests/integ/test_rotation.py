"""The secret key changes while the daemon runs: a reload takes it, and no caller notices."""

import json
import shutil
import unittest

import harness

OLD, NEW, WRONG = "sk_test_old", "sk_test_new", "sk_test_wrong"
LOTS = {"rate_limit": "100000/10s", "budget": "100%"}


class RotationTest(harness.Case):
    def setUp(self):
        self.dir = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.file = self.dir / "key"
        self.reloads = 0
        self.asked = 0

    def begin(self, *keys, key=OLD, works=True):
        """A daemon that uses `key`, and a Clerk that accepts `keys`."""
        self.bapi = self.sandbox(*[a for k in keys for a in ("--secret-key", k)])
        self.write(key)
        self.served = self.daemon(self.bapi, {"clerk": {**LOTS, "secret_key_file": self.file}},
                                  env={"CLERK_SECRET_KEY": None})
        if works:
            self.assert_works()
            self.assert_key("accepted")
        return self.served.stats()["key_id"]

    def write(self, key):
        fresh = self.dir / "fresh"
        fresh.write_text(key)
        fresh.chmod(0o600)
        fresh.rename(self.file)

    def change_to(self, key):
        self.write(key)
        self.reload()

    def reload(self):
        self.served.reload()
        self.reloads += 1
        harness.wait_for(lambda: self.served.log().count(": reloaded ") == self.reloads,
                         what="the reload")

    def get(self, options=""):
        """Asks for what is not in memory."""
        self.asked += 1
        return harness.Reply(self.served.ask(f"GET sess_new{self.asked} -{options}"))

    def assert_works(self):
        reply = self.get()
        self.assertEqual((reply.kind, reply.fields.get("src")), ("OK", "clerk"), reply)

    def assert_key(self, standing, key_id=None):
        stats = self.served.stats()
        self.assertEqual(stats["key_state"], standing)
        if key_id:
            self.assertEqual(stats["key_id"], key_id)

    def revoke_all(self):
        self.bapi.fault("status", status=401, code="clerk_key_invalid", count=-1)

    def test_a_new_key(self):
        old = self.begin(OLD, NEW)
        self.change_to(NEW)
        self.assert_key("trial")
        self.assert_works()
        self.assert_key("accepted")
        self.assertNotEqual(self.served.stats()["key_id"], old)
        self.assertIn("Clerk accepts the new secret key", self.served.log())
        statuses = self.bapi.stats()["by_status"]
        self.assertEqual(statuses.get("401", 0), 0, statuses)

    def test_another_clerk(self):
        """Nothing of the last one is served, and its key is not sent to the other."""
        self.begin(OLD)
        other = self.sandbox("--secret-key", NEW)
        first = harness.Reply(self.served.ask("GET sess_both -"))
        self.served.configure({"clerk": {"api_url": other.http}})
        self.change_to(NEW)
        self.assert_key("untried")
        second = harness.Reply(self.served.ask("GET sess_both -"))
        self.assertEqual(second.src, "clerk")
        self.assertNotEqual(second.jwt, first.jwt)
        self.assertEqual(other.calls(), 1)
        self.served.configure({"clerk": {"api_url": self.bapi.http}})
        self.change_to(WRONG)
        self.assertEqual(self.get().code, "unauthorized")
        self.assert_key("refused")

    def test_another_clerk_with_more_room(self):
        """Who waits for the last one's limit is asked for at the other, once."""
        self.begin(OLD)
        other = self.sandbox("--secret-key", NEW)
        self.served.configure({"clerk": {"rate_limit": "1/30s", "budget": "100%"}})
        self.reload()
        connection = self.connect(self.served)
        connection.send(b"GET sess_waits - wait=60000\n")
        harness.wait_for(lambda: self.served.stats()["queued"] == 1)
        self.write(NEW)
        self.served.configure({"clerk": {**LOTS, "api_url": other.http}})
        self.reload()
        self.assertEqual(harness.Reply(connection.line()).kind, "OK")
        self.assertEqual((self.bapi.calls("sess_waits"), other.calls("sess_waits")), (0, 1))

    def test_flights_on_the_old_key_finish(self):
        self.begin(OLD, NEW)
        self.bapi.config(latency_ms=600)
        conn = self.connect(self.served)
        for n in range(5):
            conn.send(f"GET sess_{n} -\n")
        harness.wait_for(lambda: self.bapi.stats(brief=True)["in_flight"] == 5, what="the fetches")
        self.change_to(NEW)
        for _ in range(5):
            self.assertEqual(harness.Reply(conn.line()).src, "clerk")
        self.assertEqual(self.bapi.calls(), 6, "none was sent twice")
        self.assert_key("trial")
        self.assert_works()

    def test_tokens_stay(self):
        self.begin(OLD, NEW)
        token = harness.Reply(self.served.ask("GET sess_1 -"))
        self.change_to(NEW)
        again = harness.Reply(self.served.ask("GET sess_1 -"))
        self.assertEqual((again.id, again.src), (token.id, "cache"))

    def test_a_new_key_that_clerk_refuses(self):
        """Who asks doesn't notice; the operator does."""
        old = self.begin(OLD)
        self.change_to(WRONG)
        self.assert_key("trial")
        conn = self.connect(self.served)
        for n in range(8):
            conn.send(f"GET sess_{n} -\n")
        for _ in range(8):
            reply = harness.Reply(conn.line())
            self.assertEqual((reply.kind, reply.fields.get("src")), ("OK", "clerk"), reply)
        self.assert_key("fallback", old)
        self.assertEqual(self.served.stats()["ready"], 1)
        self.assertEqual(self.served.log().count("the one from before is used again"), 1)
        for n in range(3):
            self.assert_works()
        self.assertLessEqual(self.bapi.stats()["by_status"]["401"], 8)

    def test_and_then_the_old_one_too(self):
        self.begin(OLD)
        self.change_to(WRONG)
        self.assert_works()
        wrong = self.served.stats()
        self.assertEqual(wrong["key_state"], "fallback")
        self.revoke_all()
        reply = self.get(" wait=1000")
        self.assertEqual(reply.code, "unauthorized")
        self.assertGreater(reply.retry, 0)
        self.assert_key("refused")
        self.assertNotEqual(self.served.stats()["key_id"], wrong["key_id"])
        self.assertEqual(self.served.stats()["ready"], 0)
        self.assertIn("from before too", self.served.log())
        calls = self.bapi.calls()
        for _ in range(20):
            self.assertEqual(self.get().code, "unauthorized")
        self.assertEqual(self.bapi.calls(), calls, "it is not asked again and again")
        self.bapi.clear_faults()
        self.change_to(OLD)
        self.assert_works()  # at once, not later
        self.assert_key("accepted")

    def test_a_reload_tries_it_again(self):
        """Say, because Clerk did not know it everywhere yet."""
        old = self.begin(OLD, NEW)
        self.bapi.fault("status", status=401, code="clerk_key_invalid")
        self.change_to(NEW)
        self.assert_works()
        self.assert_key("fallback", old)
        self.reload()
        self.assert_key("trial")
        self.assert_works()
        self.assert_key("accepted")
        self.assertNotEqual(self.served.stats()["key_id"], old)

    def test_back_to_the_old_one(self):
        old = self.begin(OLD)
        self.change_to(WRONG)
        self.assert_works()
        self.change_to(OLD)
        self.assert_key("accepted", old)
        self.assert_works()

    def test_a_key_that_never_worked(self):
        self.begin(NEW, key=WRONG, works=False)
        self.assert_key("untried")
        self.assertEqual(self.get().code, "unauthorized")
        self.assert_key("refused")
        self.change_to(NEW)
        self.assert_key("untried")
        self.assert_works()
        self.assert_key("accepted")

    def test_a_file_that_others_can_read(self):
        """The key from before stays, and so does a file that went away."""
        old = self.begin(OLD, NEW)
        self.write(NEW)
        for change in (lambda: self.file.chmod(0o640), self.file.unlink):
            change()
            before = self.served.log().count("reload failed")
            self.served.reload()
            harness.wait_for(lambda: self.served.log().count("reload failed") > before,
                             what="the refusal")
            self.assertIn(str(self.file), self.served.log())
            self.assert_key("accepted", old)
            self.assert_works()

    def test_the_limit_goes_with_the_key(self):
        """A live key has ten times the limit of a test key, and a fallback its own."""
        self.bapi = self.sandbox("--secret-key", OLD)
        self.write(OLD)
        self.served = self.daemon(self.bapi, {"clerk": {"secret_key_file": self.file}},
                                  env={"CLERK_SECRET_KEY": None})
        self.assert_works()
        self.change_to("sk_live_wrong")
        self.assertEqual(self.served.stats()["budget"], 800)
        self.assert_works()
        self.assertEqual(self.served.stats()["budget"], 80)

    def test_no_key_is_told(self):
        self.begin(OLD)
        self.change_to(WRONG)
        self.assert_works()
        self.revoke_all()
        self.get()
        said = self.served.log() + json.dumps(self.served.stats())
        for key in (OLD, WRONG):
            self.assertNotIn(key, said)


if __name__ == "__main__":
    unittest.main()
