"""clerk-token doctor: each thing that can be wrong is found, said once, and counted."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import unittest

import harness

NOBODY = 65534


class Fake:
    """A daemon that has one answer for each verb, and none for the others."""

    def __init__(self, path, **answers):
        self.answers = {"PING": "OK pong", **answers}
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.answer, args=self.socket.accept()[:1],
                                 daemon=True).start()

    def answer(self, conn):
        with contextlib.suppress(OSError), conn, conn.makefile("r", newline="\n") as lines:
            for line in lines:
                tag, verb = line.split()[:2]
                if verb in self.answers:
                    conn.sendall(f"{tag} {self.answers[verb]}\n".encode())

    def close(self):
        """Not before the thread has let go of it: the descriptor's number will be another's."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


class DoctorCase(harness.Case):
    def doctor(self, *arguments, path, env=None, **options):
        """The findings, by what was looked at, and the exit status."""
        command = [harness.BUILD / "clerk-token", "doctor", "--json", "--socket", str(path)]
        done = subprocess.run([*command, *arguments], env=harness.clean_environment(env),
                              capture_output=True, text=True, check=False,
                              timeout=6 * harness.DEADLINE_S, **options)
        self.assertEqual(done.stderr, "")
        self.assertNotIn(harness.SECRET_KEY, done.stdout)
        said = json.loads(done.stdout)
        found = said["findings"]
        self.assertEqual(said["problems"], sum(f["result"] == "problem" for f in found))
        self.assertEqual(done.returncode, said["problems"])
        for f in found:
            self.assertTrue(f["result"] != "problem" or f["advice"], f)
            self.assertFalse(f["text"].endswith("."), f)
        return found

    def assert_problems(self, found, **words):
        """These and no others, each with those words."""
        problems = {f["check"]: f["text"] for f in found if f["result"] == "problem"}
        self.assertEqual(sorted(problems), sorted(words), found)
        for check, word in words.items():
            self.assertIn(word, problems[check])

    def text_of(self, found, check, result="ok"):
        texts = [f["text"] for f in found if (f["check"], f["result"]) == (check, result)]
        self.assertTrue(texts, (check, found))
        return " / ".join(texts)

    def directory(self):
        path = harness.make_directory()
        path.chmod(0o755)
        self.addCleanup(shutil.rmtree, path)
        return path

    def fake(self, **answers):
        path = self.directory() / "s"
        self.addCleanup(Fake(path, **answers).close)
        return path


class Socket(DoctorCase):
    def test_there_is_none(self):
        found = self.doctor(path="/nowhere/s")
        self.assert_problems(found, socket="there is none at /nowhere/s (by --socket)")
        self.assertIn("systemctl start", found[0]["advice"])
        self.assertEqual(found[-1]["result"], "note")

    def test_where_it_was_looked_for(self):
        command = [harness.BUILD / "clerk-token", "doctor"]
        for env, words in (({"CLERK_TOKEND_SOCKET": "/nowhere/x"},
                            "/nowhere/x (by $CLERK_TOKEND_SOCKET)"),
                           ({"XDG_RUNTIME_DIR": "/nowhere"},
                            "/run/clerk-tokend/clerk-tokend.sock (the default)")):
            done = subprocess.run(command, env=harness.clean_environment(env), text=True,
                                  capture_output=True, check=False)
            if "the default" in words and os.path.exists("/run/clerk-tokend"):
                continue
            self.assertEqual((done.returncode, done.stderr), (1, ""))
            self.assertIn(words, done.stdout)
            self.assertTrue(done.stdout.endswith("\n1 problem\n"))

    def test_it_is_no_socket(self):
        path = self.directory() / "s"
        path.touch()
        self.assert_problems(self.doctor(path=path), socket="is no socket")

    def test_it_was_left_behind(self):
        daemon = self.daemon()
        daemon.kill()
        self.assert_problems(self.doctor(path=daemon.socket), daemon="nobody listens")

    def test_nobody_answers(self):
        path = self.directory() / "s"
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(path))
            s.listen()
            found = self.doctor(path=path)
        self.assert_problems(found, daemon="did not answer within")

    def test_it_is_something_else(self):
        path = self.fake(PING="220 mail ready")
        self.assert_problems(self.doctor(path=path), daemon="protocol")

    def test_a_strange_path(self):
        path = self.directory() / "a\"b\\c\n\x1b[1m"
        found = self.doctor(path=path)
        self.assert_problems(found, socket="a\"b\\c??[1m")

    def test_all_may_write_to_its_directory(self):
        path = self.fake(STATS="OK {}", GET="ERR not_found retry=1 no")
        os.chmod(path.parent, 0o777)
        self.assert_problems(self.doctor(path=path), permission="anybody can replace")
        os.chmod(path.parent, 0o1777)
        self.assert_problems(self.doctor(path=path))


@unittest.skipUnless(os.geteuid() == 0, "another user is needed: only root can be one")
class Permission(DoctorCase):
    def as_nobody(self, daemon):
        daemon.dir.chmod(0o755)
        return self.doctor(path=daemon.socket.relative_to(daemon.dir), cwd=daemon.dir,
                           user=NOBODY, group=NOBODY, extra_groups=[])

    def setUp(self):
        try:
            subprocess.run([harness.BUILD / "clerk-token", "--version"], user=NOBODY, check=True,
                           capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"others can't run the build: {error}")

    def test_not_of_the_group(self):
        found = self.as_nobody(self.daemon(self.sandbox(), {"listen": {"socket_mode": "0660"}}))
        self.assert_problems(found, permission="nobody may not open the socket")
        self.assertIn("usermod --append --groups root nobody",
                      next(f["advice"] for f in found if f["check"] == "permission"))

    def test_only_its_owner(self):
        found = self.as_nobody(self.daemon(self.sandbox(), {"listen": {"socket_mode": "0600"}}))
        self.assert_problems(found, permission="nobody may not")

    def test_an_ordinary_user_sees_all(self):
        found = self.as_nobody(self.daemon(self.sandbox(), {"listen": {"socket_mode": "0666"}}))
        self.assert_problems(found)
        self.assertIn("every user", self.text_of(found, "permission", "note"))
        self.assertIn("development", self.text_of(found, "key"))

    def test_a_directory_that_is_closed(self):
        directory = self.directory()
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        found = self.doctor(path=closed / "s", user=NOBODY, group=NOBODY, extra_groups=[])
        self.assert_problems(found, socket="can't be looked at: Permission denied")


class Clerk(DoctorCase):
    def test_all_is_well(self):
        daemon = self.daemon(self.sandbox(), https=True)
        found = self.doctor(path=daemon.socket)
        self.assert_problems(found)
        self.assertIn("of a development instance", self.text_of(found, "key"))
        self.assertIn("it answers", self.text_of(found, "clerk"))
        self.assertIn("closed", self.text_of(found, "breaker"))
        self.assertIn("ca_file", self.text_of(found, "tls"))
        self.assertIn("agrees", self.text_of(found, "clock"))
        self.assertIn("of 80 requests in 10 s", self.text_of(found, "budget"))
        self.assertIn("none: who may open", self.text_of(found, "rules"))
        self.assertIn("connections", self.text_of(found, "descriptors"))
        self.assertTrue(any(f["check"] == "swap" for f in found))
        done = subprocess.run([harness.BUILD / "clerk-token", "doctor", "--socket", daemon.socket],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.endswith("\nno problems\n"))

    def test_a_production_key(self):
        daemon = self.daemon(self.sandbox("--secret-key", "sk_live_x"),
                             env={"CLERK_SECRET_KEY": "sk_live_x"})
        found = self.doctor(path=daemon.socket)
        self.assert_problems(found)
        self.assertIn("production", self.text_of(found, "key"))
        self.assertIn("of 800 requests", self.text_of(found, "budget"))
        self.assertIn("none", self.text_of(found, "tls", "note"))

    def test_the_key_is_refused(self):
        daemon = self.daemon(self.sandbox(), env={"CLERK_SECRET_KEY": "sk_test_wrong"})
        found = self.doctor(path=daemon.socket)
        self.assert_problems(found, key="rejects the secret key")
        self.assertIn("open", self.text_of(found, "breaker", "note"))
        self.assertNotIn("sk_test_wrong", str(found))

    def test_a_key_of_no_kind(self):
        path = self.fake(GET="ERR unauthorized retry=1 no", STATS='OK {"key":"unknown"}')
        found = self.doctor(path=path)
        self.assertEqual([f["text"] for f in found if f["check"] == "key"],
                         ["Clerk rejects the secret key",
                          "it begins neither with sk_live_ nor with sk_test_"])

    def test_clerk_is_out_of_reach(self):
        daemon = self.daemon()
        self.assert_problems(self.doctor(path=daemon.socket), clerk="connect")
        for i in range(5):
            daemon.ask(f"GET sess_{i} -")
        found = self.doctor(path=daemon.socket)
        self.assert_problems(found, clerk="")
        self.assertIn("open", self.text_of(found, "breaker", "note"))
        self.assertIn("not said yet", self.text_of(found, "clock", "note"))

    def test_clerk_fails(self):
        sandbox = self.sandbox()
        sandbox.fault("status", status=500, count=-1)
        self.assert_problems(self.doctor(path=self.daemon(sandbox).socket), clerk="")

    def test_a_certificate_that_is_not_trusted(self):
        other = self.sandbox()
        daemon = self.daemon(self.sandbox(), {"clerk": {"ca_file": other.ca}}, https=True)
        self.assert_problems(self.doctor(path=daemon.socket), tls="not trusted")

    def test_clocks_apart(self):
        for skew_s, words in ((50, "s behind Clerk's"), (-50, "s ahead of Clerk's")):
            sandbox = self.sandbox()
            sandbox.config(date_skew_s=skew_s)
            found = self.doctor(path=self.daemon(sandbox).socket)
            self.assert_problems(found, clock=words)

    def test_throttled(self):
        sandbox = self.sandbox()
        sandbox.fault("status", status=429, retry_after="1")
        daemon = self.daemon(sandbox)
        daemon.ask("GET sess_1 -")
        self.assert_problems(self.doctor(path=daemon.socket), budget="429")

    def test_the_budget_is_spent(self):
        limit = {"rate_limit": "3/1h", "budget": "100%"}
        daemon = self.daemon(self.sandbox(), {"clerk": limit})
        for i in range(3):
            daemon.ask(f"GET sess_{i} -")
        self.assert_problems(self.doctor(path=daemon.socket),
                             budget="3 of 3 requests in 3600 s are in use")

    def test_a_token_of_ones_own(self):
        daemon = self.daemon(self.sandbox())
        found = self.doctor("sess_1", "hasura", path=daemon.socket)
        self.assert_problems(found)
        token = harness.Reply(daemon.ask("GET sess_1 hasura"))
        self.assertIn(token.id, self.text_of(found, "token"))
        self.assertNotIn(token.jwt, str(found))
        self.assert_problems(self.doctor("sess_missing", path=daemon.socket), token="not_found")
        self.assert_problems(self.doctor("sess 1", path=daemon.socket), token="invalid_argument")

    def test_without_one_clerk_is_asked_for_none_that_exists(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox)
        self.doctor(path=daemon.socket)
        self.assertEqual(daemon.stats()["fetched_tokens"], 0)
        self.assertLessEqual(sandbox.calls(), 2)


class Limits(DoctorCase):
    def test_too_few_descriptors(self):
        daemon = self.daemon(self.sandbox(), wrapper=[shutil.which("prlimit"), "--nofile=256:256"])
        self.assert_problems(self.doctor(path=daemon.socket), descriptors="the limit is 256")

    def test_connections_run_out(self):
        daemon = self.daemon(self.sandbox(), {"listen": {"max_clients": 10}})
        self.own_clients = [self.connect(daemon) for _ in range(9)]
        for conn in self.own_clients:
            conn.ask("PING")
        self.assert_problems(self.doctor(path=daemon.socket), descriptors="of 10 connections")

    def test_rules_that_refuse(self):
        path = self.fake(GET="ERR denied retry=never no", STATS='OK {"rules":3,"clerk":"up"}')
        found = self.doctor(path=path)
        self.assert_problems(found)
        self.assertIn("refuse a test session", self.text_of(found, "rules", "note"))
        found = self.doctor("sess_1", path=path)
        self.assert_problems(found, rules="refuse this token")

    def test_rules_of_a_real_daemon(self):
        rule = f"uid={os.geteuid()} template=hasura"
        daemon = self.daemon(self.sandbox(), {"access": {"allow": rule}})
        found = self.doctor(path=daemon.socket)
        self.assert_problems(found)
        self.text_of(found, "rules", "note")
        self.assert_problems(self.doctor("sess_1", path=daemon.socket), rules="refuse this token")
        found = self.doctor("sess_1", "hasura", path=daemon.socket)
        self.assert_problems(found)
        self.assertIn("1 in [access]", self.text_of(found, "rules"))

    def test_stopping(self):
        path = self.fake(GET="ERR shutting_down retry=9 stopping", STATS="OK {}")
        self.assert_problems(self.doctor(path=path), token="shutting_down")

    def test_statistics_are_refused(self):
        path = self.fake(GET="ERR not_found retry=9 no", STATS="ERR denied retry=never no")
        self.assert_problems(self.doctor(path=path), daemon="statistics")


class OddStats(DoctorCase):
    """Whatever stands for statistics is read without harm; what is missing is passed over."""

    def test_any(self):
        odd = ("{}", "{", "[]", "7", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\\", "{\"a\":\"\\",
               "{\"budget\":99999999999999999999,\"uid\":-}", "{\"clerk\":7,\"rules\":\"x\"}",
               "{\"x\":{\"rules\":5},\"y\":[{\"key\":\"unknown\"}]}", "{\"clock_skew_s\":-}",
               "}" * 99, "{\"a\":]]]],\"rules\":5}", "{,,,}", "{\"version\":\"" + "v" * 9999 + "\"}")
        for text in odd:
            path = self.fake(GET="ERR not_found retry=9 no", STATS="OK " + text)
            found = self.doctor(path=path)
            self.assert_problems(found)

    def test_the_outer_members_count(self):
        path = self.fake(GET="ERR not_found retry=9 no",
                         STATS='OK {"x":{"rules":5},"s":"\\"rules\\":6","rules":7}')
        self.assertIn("7 in", self.text_of(self.doctor(path=path), "rules"))


class Output(DoctorCase):
    def test_nobody_reads(self):
        command = [harness.BUILD / "clerk-token", "doctor", "--socket", "/nowhere/s"]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"can't write", done.stderr)

    def test_usage(self):
        command = [harness.BUILD / "clerk-token", "doctor"]
        for arguments in (["a", "b", "c"], ["--wait", "3"]):
            done = subprocess.run([*command, *arguments], capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""))


if __name__ == "__main__":
    unittest.main()
