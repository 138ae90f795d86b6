"""What the service does while it runs: says how it is, reloads, comes back."""

import json
import re
import subprocess
import unittest

import box
import harness

setUpModule, tearDownModule = box.for_module()

SERVICE = "clerk-tokend.service"
CONFIG = "/etc/clerk-tokend/clerk-tokend.conf"
EX_CONFIG = "78"


class Case(box.Case):
    def setUp(self):
        self.box.give_key()
        self.box.configure()
        self.addCleanup(self.box.stop_all)

    def start(self):
        self.box.run("systemctl", "start", SERVICE)
        return self.box.main_pid()

    def status(self):
        return self.box.show(SERVICE, "StatusText")

    def stats(self):
        return json.loads(self.box.run("clerk-token", "stats"))

    def drop_in(self, text):
        self.box.write("/run/systemd/system/clerk-tokend.service.d/test.conf", f"[Service]\n{text}\n")
        self.box.run("systemctl", "daemon-reload")

    def said(self, text):
        harness.wait_for(lambda: text in self.box.journal(), what=f"{text!r} in the journal")

    def wait_for_another(self, pid):
        """Waits until another process than that serves."""
        harness.wait_for(lambda: self.box.main_pid() not in (0, pid), what="another process")
        self.box.wait_for_property(SERVICE, "SubState", "running")


class Status(Case):
    def test_it_says_how_things_are(self):
        self.drop_in("WatchdogSec=1s")  # so the text is half a second old at most
        self.start()
        self.assertIn("Clerk not asked yet; 0 tokens in ", self.status())
        for _ in range(4):
            self.box.run("clerk-token", "get", "sess_1", "hasura")
        pattern = (r"Clerk up; 1 tokens in [\d.]+ of 256\.0 MiB; 75\.0% hits; "
                   r"\d clients; 1 of 80 calls in 10 s")
        harness.wait_for(lambda: re.fullmatch(pattern, self.status()), what=pattern)
        self.assertRegex(self.box.attempt("systemctl", "status", SERVICE).stdout,
                         "Status: \"" + pattern)


class Reload(Case):
    def reload(self):
        self.box.run("systemctl", "reload", SERVICE)
        self.box.wait_for_property(SERVICE, "SubState", "running")

    def test_a_good_one(self):
        pid = self.start()
        self.box.configure("rate_limit = 50/10s")
        self.reload()
        self.said("reloaded")
        self.assertEqual(self.stats()["budget"], 40)
        self.assertEqual(self.box.main_pid(), pid)

    def test_a_bad_one(self):
        """What ran goes on; the journal has file and line, and the status says so until it is mended."""
        pid = self.start()
        self.box.configure("rate_limit = plenty")
        self.reload()
        self.said(f"{CONFIG}:3: ")
        self.said("reload failed")
        harness.wait_for(lambda: "The last reload failed" in self.status(), what="it in the status")
        self.assertEqual(self.box.main_pid(), pid)
        self.box.run("clerk-token", "get", "sess_1")
        self.box.configure()
        self.reload()
        harness.wait_for(lambda: "reload failed" not in self.status(), what="a status without it")


class BadStart(Case):
    def test_it_is_not_started_for_ever(self):
        self.box.configure("rate_limit = plenty")
        self.assertNotEqual(self.box.attempt("systemctl", "start", SERVICE).returncode, 0)
        self.assertEqual(self.box.show(SERVICE, "ExecMainStatus"), EX_CONFIG)
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "failed")
        self.assertEqual(self.box.show(SERVICE, "NRestarts"), "0")
        self.said(f"{CONFIG}:3: ")

    def test_nor_by_who_connects(self):
        """Each connection would start it once more: after a few tries the socket gives up."""
        self.box.configure("rate_limit = plenty")
        self.box.run("systemctl", "start", "clerk-tokend.socket")
        self.box.attempt("clerk-token", "ping")
        self.box.wait_for_property("clerk-tokend.socket", "ActiveState", "failed")
        self.assertEqual(self.box.attempt("clerk-token", "ping").returncode, 6)
        self.box.configure()
        self.box.run("systemctl", "reset-failed", SERVICE)
        self.box.run("systemctl", "start", SERVICE)
        self.box.run("clerk-token", "ping")


class Stop(Case):
    def test_who_waits_for_clerk_is_answered(self):
        """It takes longer than the unit allows, and says so."""
        self.drop_in("TimeoutStopSec=500ms")
        self.start()
        self.box.bapi("POST", "config", latency_ms=2000)
        self.addCleanup(self.box.bapi, "POST", "reset")
        waiting = self.box.start("clerk-token", "get", "sess_1", stdout=subprocess.PIPE)
        self.addCleanup(waiting.stdout.close)
        self.addCleanup(waiting.wait)
        harness.wait_for(lambda: self.stats()["in_flight"] == 1, what="a call to Clerk")
        self.box.run("systemctl", "stop", SERVICE)
        self.assertEqual(waiting.wait(harness.DEADLINE_S), 0)
        self.assertEqual(self.box.show(SERVICE, "Result"), "success")


class ComesBack(Case):
    def test_after_it_hung(self):
        """Stopped, it feeds no watchdog: it is ended and started anew."""
        self.drop_in("WatchdogSec=1s")
        pid = self.start()
        self.box.run("kill", "-STOP", pid)
        self.wait_for_another(pid)
        self.assertEqual(self.box.show(SERVICE, "NRestarts"), "1")
        self.box.run("clerk-token", "get", "sess_1")

    def test_it_feeds_the_watchdog(self):
        """Under load and idle: not ended within several times its term."""
        self.drop_in("WatchdogSec=1s")
        pid = self.start()
        load = box.Load(self, 50, 1)
        harness.wait_for(lambda: self.runs_for_s() > 2.5, what="some seconds under load")
        self.assertEqual(load.finish()["errors"], 0)
        harness.wait_for(lambda: self.runs_for_s() > 5, what="some seconds idle")
        self.assertEqual(self.box.main_pid(), pid)

    def runs_for_s(self):
        since = int(self.box.show(SERVICE, "ActiveEnterTimestampMonotonic")) / 1e6
        return float(self.box.run("cat", "/proc/uptime").split()[0]) - since

    def test_after_it_was_killed_under_a_thousand(self):
        pid = self.start()
        load = box.Load(self, 1000, 100)
        self.box.run("kill", "-KILL", pid)
        self.wait_for_another(pid)
        harness.wait_for(lambda: self.stats()["clients"] > 1000,
                         what="a thousand clients that have come back")
        said = load.finish()
        print(said)
        self.assertEqual(said["errors"], 0, said)

    def restart_under(self, load):
        for _ in range(3):
            pid = self.box.main_pid()
            self.box.run("systemctl", "restart", SERVICE)
            self.assertNotIn(self.box.main_pid(), (0, pid))
            self.wait_for_gets(500)
        said = load.finish()
        print(said)
        self.assertEqual(said["errors"], 0, said)

    def wait_for_gets(self, count):
        harness.wait_for(lambda: self.stats()["gets"] >= count, what=f"{count} gets")

    def test_restarted_under_two_hundred(self):
        self.start()
        self.restart_under(box.Load(self, 200, 5))

    def test_restarted_under_two_hundred_that_wait_for_clerk(self):
        """Each call is for another session, so that there is always much under way and in queues."""
        self.box.configure("rate_limit = 100000/1s\nmax_connections = 100")
        self.box.bapi("POST", "config", latency_ms=100, rate_limit="off")
        self.addCleanup(self.box.bapi, "POST", "reset")
        self.start()
        self.restart_under(box.Load(self, 200, 5, 1000000))


if __name__ == "__main__":
    unittest.main()
