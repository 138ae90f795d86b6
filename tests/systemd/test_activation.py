"""How the service starts, and on what: the socket, the credential, the instance."""

import unittest

import box

setUpModule, tearDownModule = box.for_module()


class Activation(box.Case):
    def test_the_first_connection_starts_the_service(self):
        self.box.give_key()
        self.box.configure()
        self.box.run("systemctl", "start", "clerk-tokend.socket")
        self.assertEqual(self.box.show("clerk-tokend.service", "ActiveState"), "inactive")
        token = self.box.run("clerk-token", "get", "sess_1", "hasura")
        self.assertEqual(token.count("."), 2)
        self.assertEqual(self.box.show("clerk-tokend.service", "ActiveState"), "active")


if __name__ == "__main__":
    unittest.main()
