"""What the shipped unit forbids: by systemd's own judgement, and by trying it."""

import json
import unittest
from pathlib import Path

import box

setUpModule, tearDownModule = box.for_module()

UNITS = "/usr/lib/systemd/system"
EXPOSURE_MAX = "13"  # tenths
PROBE = "/usr/lib/clerk-tokend-tests/probe.py"


class Hardening(box.Case):
    def setUp(self):
        self.addCleanup(self.box.stop_all)

    def test_units_are_well_formed(self):
        self.box.run("systemd-analyze", "verify", "--man=no", "clerk-tokend.service",
                     "clerk-tokend.socket", "clerk-tokend-http.socket", "clerk-tokend@x.service",
                     "clerk-tokend@x.socket")

    def test_exposure(self):
        for unit in ("clerk-tokend.service", "clerk-tokend@.service"):
            done = self.box.attempt("systemd-analyze", "security", "--no-pager", "--offline=true",
                                    f"--threshold={EXPOSURE_MAX}", f"{UNITS}/{unit}")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @staticmethod
    def results(text):
        """{name: errno} of what is forbidden, and of what is needed."""
        found = {"forbidden": {}, "needed": {}}
        for line in text.splitlines():
            kind, name, result = json.loads(line)
            found[kind][name] = result
        return found

    def test_what_is_forbidden_fails(self):
        """The unit with a probe in the daemon's place; the probe alone, as root, may do all."""
        self.box.write(PROBE, Path(__file__).with_name("probe.py").read_text())
        self.box.run("systemd-run", "-q", "--unit=asks", "--uid=nobody", "sleep", "infinity")
        self.addCleanup(self.box.run, "systemctl", "stop", "asks")
        command = f"/usr/bin/python3 {PROBE} {self.box.main_pid('asks')}"
        outside = self.results(self.box.run(*command.split()))
        self.assertEqual(set(outside["forbidden"].values()), {"ok"}, outside)

        self.box.give_key()
        self.box.write("/run/systemd/system/clerk-tokend.service.d/probe.conf",
                       f"[Service]\nType=oneshot\nExecStart=\nExecStart={command}\n")
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "start", "clerk-tokend.service")
        inside = self.results(self.box.journal())
        self.assertEqual(set(inside["needed"].values()), {"ok"}, inside)
        self.assertEqual(set(inside["forbidden"]), set(outside["forbidden"]))
        self.assertEqual([n for n, r in inside["forbidden"].items() if r == "ok"], [], inside)


    def token_over_http(self, *where):
        text = self.box.run("curl", "-sS", "-X", "POST", "-H", f"Authorization: Bearer {box.SECRET_KEY}",
                            *where)
        self.assertEqual(json.loads(text)["object"], "token")

    def test_the_front_listens(self):
        """At a port, and at a socket in a directory that a drop-in gives it."""
        self.box.give_key()
        self.box.configure("[listen]\nhttp = 127.0.0.1:9465\n")
        self.box.run("systemctl", "start", "clerk-tokend.service")
        self.token_over_http("http://127.0.0.1:9465/v1/sessions/sess_1/tokens")
        self.box.write("/run/systemd/system/clerk-tokend.service.d/http.conf",
                       "[Service]\nRuntimeDirectory=clerk-tokend-http\n")
        self.box.configure("[listen]\nhttp = unix:/run/clerk-tokend-http/http.sock\n")
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "restart", "clerk-tokend.service")
        self.token_over_http("--unix-socket", "/run/clerk-tokend-http/http.sock",
                             "http://localhost/v1/sessions/sess_1/tokens")


if __name__ == "__main__":
    unittest.main()
