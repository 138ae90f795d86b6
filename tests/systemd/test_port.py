"""The port of the HTTP front: systemd holds it, whatever becomes of the service."""

import json
import subprocess
import unittest

import box
import harness

setUpModule, tearDownModule = box.for_module()

SERVICE = "clerk-tokend.service"
SOCKET = "clerk-tokend-http.socket"
TOKEN = "http://127.0.0.1:9465/v1/sessions/sess_1/tokens"
RESTARTS = 3
# Listens at the port, as anybody could who wants to collect keys; says what came of it.
BIND = """
import errno, socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"),
                        (socket.AF_INET6, "::")):
    s = socket.socket(family)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        s.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        s.bind((address, 9465))
        s.listen()
        print("listens")
    except OSError as error:
        print(errno.errorcode[error.errno])
    s.close()
"""
# A connection for each token, until its standard input ends; says what came of them.
ASK = """
import http.client, json, select, sys
said = {}
while not select.select([sys.stdin], [], [], 0)[0]:
    connection = http.client.HTTPConnection("127.0.0.1", 9465, timeout=10)
    try:
        connection.request("POST", "/v1/sessions/sess_1/tokens",
                           headers={"Authorization": "Bearer " + sys.argv[1]})
        what = str(connection.getresponse().status)
    except OSError as error:
        what = type(error).__name__
    connection.close()
    if not said:
        print("ready", flush=True)
    said[what] = said.get(what, 0) + 1
print(json.dumps(said))
"""


class Case(box.Case):
    def setUp(self):
        self.box.give_key()
        self.box.configure()
        self.addCleanup(self.box.stop_all)
        self.addCleanup(self.box.run, "systemctl", "disable", SOCKET)

    def ask(self, where=TOKEN):
        text = self.box.run("curl", "-sS", "-X", "POST", "-H",
                            f"Authorization: Bearer {box.SECRET_KEY}", where)
        self.assertEqual(json.loads(text)["object"], "token")

    def bind(self):
        return self.box.run("python3", "-c", BIND, user="nobody").split()


class Port(Case):
    def test_it_is_held_while_the_service_is_not_there(self):
        self.assertEqual(self.bind(), ["listens"] * 3)
        self.box.run("systemctl", "enable", "--now", SOCKET)
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "inactive")
        self.assertEqual(self.bind(), ["EADDRINUSE"] * 3)
        self.ask()
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "active")
        self.box.run("systemctl", "stop", SERVICE)
        self.assertEqual(self.bind(), ["EADDRINUSE"] * 3)
        self.ask()

    def test_the_service_that_was_killed_left_it(self):
        self.box.run("systemctl", "enable", "--now", SOCKET)
        self.ask()
        self.box.run("systemctl", "kill", "-s", "KILL", SERVICE)
        self.assertEqual(self.bind(), ["EADDRINUSE"] * 3)
        self.ask()

    def test_enabled_where_the_service_runs(self):
        """A socket can't be handed to a process that runs, which has the port: a restart brings it."""
        self.box.configure("[listen]\nhttp = 127.0.0.1:9465\n")
        self.box.run("systemctl", "start", SERVICE)
        self.ask()
        self.assertNotEqual(self.box.attempt("systemctl", "enable", "--now", SOCKET).returncode, 0)
        self.box.run("systemctl", "restart", SERVICE)
        self.assertEqual(self.box.show(SOCKET, "ActiveState"), "active")
        self.ask()
        self.box.run("clerk-token", "ping")

    def test_none_is_refused_through_restarts(self):
        self.box.run("systemctl", "enable", "--now", SOCKET)
        asks = self.box.start("python3", "-c", ASK, box.SECRET_KEY, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
        self.addCleanup(asks.wait)
        self.addCleanup(asks.kill)
        self.assertEqual(asks.stdout.readline(), "ready\n")
        for _ in range(RESTARTS):
            pid = self.box.main_pid()
            self.box.run("systemctl", "restart", SERVICE)
            self.assertNotIn(self.box.main_pid(), (0, pid))
        said = json.loads(asks.communicate(timeout=harness.DEADLINE_S)[0])
        print(said)
        self.assertEqual(set(said), {"200"}, said)


class Instance(Case):
    def test_a_socket_unit_of_its_own(self):
        """As the manual has it."""
        self.box.give_key(instance="staging")
        self.box.configure(instance="staging")
        self.box.write("/run/systemd/system/clerk-tokend-http-staging.socket",
                       "[Socket]\nListenStream=127.0.0.1:9466\nFileDescriptorName=http\n"
                       "Service=clerk-tokend@staging.service\n")
        self.addCleanup(self.box.run, "rm", "/run/systemd/system/clerk-tokend-http-staging.socket")
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "start", "clerk-tokend-http-staging.socket")
        self.ask(TOKEN.replace("9465", "9466"))
        self.box.run("clerk-token", "--socket", "/run/clerk-tokend/staging.sock", "ping")


if __name__ == "__main__":
    unittest.main()
