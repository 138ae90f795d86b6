"""How the service starts, and on what: the socket, the credential, the instance."""

import json
import unittest

import box

setUpModule, tearDownModule = box.for_module()

SERVICE = "clerk-tokend.service"
SOCKET = "clerk-tokend.socket"
DROP_IN = "/run/systemd/system/clerk-tokend.service.d/test.conf"
EX_CONFIG = "78"


class Case(box.Case):
    def setUp(self):
        self.box.give_key()
        self.box.configure()
        self.addCleanup(self.box.stop_all)

    def drop_in(self, text):
        self.box.write(DROP_IN, f"[Service]\n{text}\n")
        self.box.run("systemctl", "daemon-reload")


class Activation(Case):
    def test_the_first_connection_starts_the_service(self):
        self.box.run("systemctl", "start", SOCKET)
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "inactive")
        token = self.box.run("clerk-token", "get", "sess_1", "hasura")
        self.assertEqual(token.count("."), 2)
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "active")

    def test_the_service_alone_brings_its_socket(self):
        self.box.run("systemctl", "start", SERVICE)
        self.assertEqual(self.box.show(SOCKET, "ActiveState"), "active")
        self.box.run("clerk-token", "ping")

    def test_the_socket_is_for_its_group(self):
        self.box.run("systemctl", "start", SOCKET)
        self.assertEqual(
            self.box.run("stat", "-c", "%U:%G %a", "/run/clerk-tokend/clerk-tokend.sock").strip(),
            "root:clerk-token 660")
        self.box.run("useradd", "--system", "--groups", "clerk-token", "member")
        self.box.run("useradd", "--system", "stranger")
        self.box.run("clerk-token", "ping", user="member")
        done = self.box.attempt("clerk-token", "ping", user="stranger")
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_one_of_the_services_own_is_for_its_group(self):
        """As the manual has it for the front and the metrics: chown(2) is forbidden, Group= is not."""
        self.box.configure("[listen]\nhttp = unix:/run/clerk-tokend-http/socket\n"
                           "socket_group = clerk-token\n")
        self.drop_in("RuntimeDirectory=clerk-tokend-http\nGroup=clerk-token")
        self.box.run("systemctl", "start", SERVICE)
        self.assertEqual(
            self.box.run("stat", "-c", "%G %a", "/run/clerk-tokend-http/socket").strip(),
            "clerk-token 660")
        self.box.run("useradd", "--system", "--groups", "clerk-token", "caller")
        self.box.run("useradd", "--system", "nobodys-caller")
        ask = ["curl", "-sf", "--unix-socket", "/run/clerk-tokend-http/socket", "-X", "POST",
               "http://localhost/v1/sessions/sess_1/tokens"]
        self.assertIn('"jwt"', self.box.run(*ask, user="caller"))
        self.assertNotEqual(self.box.attempt(*ask, user="nobodys-caller").returncode, 0)

    def test_no_root_and_no_other_user_of_the_host(self):
        self.box.run("systemctl", "start", SERVICE)
        fields = self.box.process_status(self.box.main_pid())
        uids = set(fields["Uid"].split()) | set(fields["Gid"].split())
        self.assertEqual(len(uids), 1)
        self.assertIn(int(uids.pop()), range(61184, 65520))  # those of DynamicUser=
        self.assertEqual({fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
                         {"0000000000000000"})


class Credential(Case):
    def test_an_encrypted_one(self):
        self.box.run("systemctl", "start", SERVICE)
        self.box.run("clerk-token", "get", "sess_1")

    def test_a_plain_one(self):
        self.box.run("rm", "/etc/credstore.encrypted/clerk_secret_key")
        self.box.write("/etc/clerk-tokend/secret_key", box.SECRET_KEY + "\n", "600")
        self.drop_in("LoadCredential=clerk_secret_key:/etc/clerk-tokend/secret_key")
        self.box.run("systemctl", "start", SERVICE)
        self.box.run("clerk-token", "get", "sess_1")

    def test_none(self):
        """Says so, and is not started for ever."""
        self.box.run("rm", "/etc/credstore.encrypted/clerk_secret_key")
        self.assertNotEqual(self.box.attempt("systemctl", "start", SERVICE).returncode, 0)
        self.assertEqual(self.box.show(SERVICE, "ExecMainStatus"), EX_CONFIG)
        self.assertEqual(self.box.show(SERVICE, "NRestarts"), "0")
        self.assertIn("no credential clerk_secret_key", self.box.journal())

    def test_it_is_nobody_elses(self):
        self.box.run("systemctl", "start", SERVICE)
        for path in (f"/run/credentials/{SERVICE}/clerk_secret_key",
                     "/etc/credstore.encrypted/clerk_secret_key"):
            done = self.box.attempt("cat", path, user="nobody")
            self.assertIn("Permission denied", done.stderr)
        environment = self.box.run("cat", f"/proc/{self.box.main_pid()}/environ")
        self.assertNotIn("sk_", environment)


class Instances(Case):
    KEYS = {"production": "sk_live_one", "staging": "sk_test_two"}

    def test_two_at_once(self):
        """Each has its own key, configuration, socket and user."""
        for name, key in self.KEYS.items():
            self.box.give_key(key, name)
            self.box.configure("request_timeout = 4s", name)
            self.box.run("systemctl", "start", f"clerk-tokend@{name}.socket")
        stats = {}
        for name in self.KEYS:
            socket = f"/run/clerk-tokend/{name}.sock"
            self.box.run("clerk-token", "--socket", socket, "ping")
            stats[name] = json.loads(self.box.run("clerk-token", "--socket", socket, "stats"))
        # 80% of what Clerk allows a key of its kind
        self.assertEqual(stats["production"]["budget"], 800)
        self.assertEqual(stats["staging"]["budget"], 80)
        pids = [self.box.main_pid(f"clerk-tokend@{name}.service") for name in self.KEYS]
        users = {self.box.process_status(pid)["Uid"] for pid in pids}
        self.assertEqual(len(users), 2)

    def test_one_without_a_configuration(self):
        """Its name may be a slip of the pen."""
        self.box.give_key("sk_test_two", "stagign")
        done = self.box.attempt("systemctl", "start", "clerk-tokend@stagign.service")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/etc/clerk-tokend/stagign.conf",
                      self.box.journal("clerk-tokend@stagign.service"))

    def test_the_template_is_the_unit_with_its_names(self):
        """Whoever changes one changes the other."""
        def read(name):
            return self.box.run("cat", f"/usr/lib/systemd/system/{name}")
        for kind, changes in {
            "service": [
                ("programs (%i)", "programs"),
                ("clerk-tokend@%i.socket", SOCKET),
                (" --config /etc/clerk-tokend/%i.conf --socket /run/clerk-tokend/%i.sock", ""),
                ("User=clerk-tokend-%i\n", ""),
                ("clerk_secret_key:clerk_secret_key.%i", "clerk_secret_key"),
                ("clerk_secret_key.%i", "clerk_secret_key"),
                ("clerk_webhook_secret:clerk_webhook_secret.%i", "clerk_webhook_secret"),
            ],
            "socket": [("clerk-tokend (%i)", "clerk-tokend"), ("%i.sock", "clerk-tokend.sock")],
        }.items():
            text = read(f"clerk-tokend@.{kind}")
            for of_instance, of_unit in changes:
                self.assertIn(of_instance, text)
                text = text.replace(of_instance, of_unit)
            self.assertEqual(text, read(f"clerk-tokend.{kind}"))


if __name__ == "__main__":
    unittest.main()
