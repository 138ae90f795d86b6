"""Who may have which token, by unit: services of their own users, as systemd runs them."""

import unittest

import box
import harness

setUpModule, tearDownModule = box.for_module()

SERVICE = "clerk-tokend.service"
CONFIG = "/etc/clerk-tokend/clerk-tokend.conf"
EX_CONFIG = "78"
DENIED = 4
RULES = ["allow = unit=web@*.service template=hasura", "admin = uid=root"]


class Access(box.Case):
    def setUp(self):
        self.box.give_key()
        self.set_rules(*RULES)
        self.addCleanup(self.box.stop_all)

    def set_rules(self, *rules):
        self.box.configure("[access]\n" + "\n".join(rules) + "\n")

    def unit(self, name, *command, wait=True):
        """Runs something as a service of that name, with a user of its own."""
        how = ["--wait", "--pipe", "--collect"] if wait else []
        return self.box.attempt("systemd-run", "-q", *how, f"--unit={name}",
                                "--property=DynamicUser=yes",
                                "--property=SupplementaryGroups=clerk-token", *command)

    def get(self, name, template="hasura"):
        return self.unit(name, "clerk-token", "get", "sess_1", template)

    def test_two_units_of_which_one_is_refused(self):
        self.box.run("systemctl", "start", SERVICE)
        done = self.get("web@1.service")
        self.assertEqual((done.returncode, done.stdout.count(".")), (0, 2), done.stderr)
        done = self.get("other.service")
        self.assertEqual((done.returncode, done.stdout), (DENIED, ""), done.stderr)
        self.assertIn("denied", done.stderr)
        self.assertEqual(self.get("web@1.service", "supabase").returncode, DENIED)

    def test_a_reload_while_it_watches(self):
        self.box.run("systemctl", "start", SERVICE)
        self.unit("web@1.service", "clerk-token", "watch", "sess_1", "hasura", wait=False)
        self.addCleanup(self.box.attempt, "systemctl", "reset-failed", "web@1.service")
        harness.wait_for(lambda: "\"watches\":1" in self.box.run("clerk-token", "stats"),
                         what="a watch")
        self.set_rules("allow = unit=other.service", "admin = uid=root")
        self.box.run("systemctl", "reload", SERVICE)
        self.box.wait_for_property("web@1.service", "ExecMainStatus", str(DENIED))
        self.assertEqual(self.get("other.service").returncode, 0)

    def test_why(self):
        self.box.run("systemctl", "start", SERVICE)
        self.assertEqual(
            self.unit("web@1.service", "clerk-token", "why", "sess_1", "hasura").stdout,
            f"allowed by {CONFIG}:4: {RULES[0]}\n")
        self.assertEqual(
            self.box.run("clerk-token", "why", "sess_1", "hasura", "--unit", "web@2.service"),
            f"allowed by {CONFIG}:4: {RULES[0]}\n")

    def test_a_rule_that_is_wrong(self):
        self.box.run("systemctl", "start", SERVICE)
        self.set_rules("allow = unit=web")
        self.box.run("systemctl", "reload", SERVICE)
        harness.wait_for(lambda: f"{CONFIG}:4: [access] allow: a unit's name" in self.box.journal(),
                         what="the message")
        self.assertEqual(self.get("web@1.service").returncode, 0)  # as before
        self.box.attempt("systemctl", "restart", SERVICE)
        self.box.wait_for_property(SERVICE, "ExecMainStatus", EX_CONFIG)

    def test_whose_unit_cannot_be_told_is_refused(self):
        self.box.write("/run/systemd/system/clerk-tokend.service.d/test.conf",
                       "[Service]\nProtectProc=invisible\n")
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "start", SERVICE)
        self.assertEqual(self.get("web@1.service").returncode, DENIED)
        done = self.unit("web@1.service", "clerk-token", "why", "sess_1", "hasura")
        self.assertEqual(done.stdout, "denied, for its unit can't be told, on which this depends: "
                                      f"{CONFIG}:4: {RULES[0]}\n")


if __name__ == "__main__":
    unittest.main()
