"""What is in the real journal, and in no swap."""

import json
import re
import unittest

import box
import harness

setUpModule, tearDownModule = box.for_module()

SERVICE = "clerk-tokend.service"


class Journal(box.Case):
    def setUp(self):
        self.box.give_key()
        self.box.configure("[log]\nlevel = debug\naudit = on\n")
        self.addCleanup(self.box.stop_all)
        self.box.run("systemctl", "start", SERVICE)

    def found(self, *matches):
        """The messages that match."""
        done = self.box.attempt("journalctl", "-o", "json", "-u", SERVICE, *matches)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_for(self, *matches):
        return harness.wait_for(lambda: self.found(*matches), what=f"{matches} in the journal")

    def test_fields(self):
        self.box.run("clerk-token", "get", "sess_1", "hasura")
        fetched = self.wait_for("CLERK_STATUS=200")[-1]
        self.assertEqual(fetched["SYSLOG_IDENTIFIER"], "clerk-tokend")
        self.assertEqual(fetched["_TRANSPORT"], "journal")
        self.assertRegex(fetched["CLERK_KEY_ID"], r"^[0-9a-f]{16}$")

    def test_the_audit_names_the_unit(self):
        self.box.run("systemd-run", "--wait", "--unit=somebody", "clerk-token", "get", "sess_2", "-")
        told = self.wait_for("CLERK_SESSION=sess_2")[-1]
        self.assertEqual((told["CLERK_UNIT"], told["CLERK_UID"]), ("somebody.service", "0"))
        self.assertRegex(told["CLERK_TOKEN_ID"], r"^[0-9a-f]{16}$")

    def test_a_journal_that_hangs(self):
        """Nobody waits for it; what it had no room for is counted."""
        journald = self.box.main_pid("systemd-journald.service")
        self.box.run("kill", "-STOP", journald)
        try:
            for _ in range(600):  # more than a socket's queue holds anywhere
                self.box.run("clerk-token", "get", "sess_3")
        finally:
            self.box.run("kill", "-CONT", journald)
        self.box.run("clerk-token", "get", "sess_3")
        told = self.wait_for("PRIORITY=4")[-1]
        self.assertGreater(int(told["CLERK_LOST"]), 0)

    def test_the_catalogue(self):
        self.box.run("journalctl", "--update-catalog")
        text = self.box.run("journalctl", "-x", "-u", SERVICE)
        self.assertIn("Subject: The token daemon has started", text)
        self.assertIn("It answers at /run/clerk-tokend/clerk-tokend.sock", text)

    def test_no_secret_is_in_it(self):
        """At the highest level, the audit and a configuration with the key in wrong places included."""
        tokens = [self.box.run("clerk-token", "get", f"sess_{n}", "hasura").strip() for n in range(5)]
        self.box.attempt("clerk-token", "get", "sess_missing")
        self.box.attempt("clerk-token", "get", "sess_1", "--not", box.SECRET_KEY)
        self.box.configure(f"[access]\nallow = {box.SECRET_KEY}\n")
        self.box.run("systemctl", "reload", SERVICE)
        harness.wait_for(lambda: "reload failed" in self.box.journal(), what="the refusal")
        self.box.run("systemctl", "stop", SERVICE)
        journal = self.box.run("journalctl", "-o", "export", "-u", SERVICE)
        self.assertGreaterEqual(journal.count("CLERK_TOKEN_ID="), len(tokens))
        for secret in [token.split(".")[2] for token in tokens] + [box.SECRET_KEY]:
            self.assertNotIn(secret, journal)

    def test_all_memory_is_locked(self):
        pid = self.box.main_pid()
        if not re.search(r"locked memory +unlimited", self.box.run("cat", f"/proc/{pid}/limits")):
            self.skipTest("systemd can't raise the limit of locked memory here")
        status = self.box.process_status(pid)
        locked, resident = (int(status[name].split()[0]) for name in ("VmLck", "VmRSS"))
        self.assertGreater(locked, resident)
        self.assertNotIn("not locked", self.box.journal())


if __name__ == "__main__":
    unittest.main()
