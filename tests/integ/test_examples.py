"""The examples, built as a stranger would and run against a real daemon."""

import ast
import base64
import http.server
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import unittest

import harness
import installed

EXAMPLES = harness.ROOT / "examples"
SESSIONS = [f"sess_{n}" for n in range(20)]


def subject(token):
    """Whom a token is about."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


class Service(http.server.ThreadingHTTPServer):
    """Somebody else's: refuses the first token that it sees of each session, and tells the second."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen = {}
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        token = self.headers["Authorization"].removeprefix("Bearer ")
        with self.server.lock:
            first = self.server.seen.setdefault(subject(token), token)
        self.send_response(401 if first == token else 200)
        self.end_headers()
        self.wfile.write(b"" if first == token else b"welcome")

    def log_message(self, *_):
        pass


class ExampleCase(harness.Case):
    def setUp(self):
        self.bapi = self.sandbox()
        self.tokend = self.daemon(self.bapi)
        self.folder = harness.make_directory()
        self.addCleanup(shutil.rmtree, self.folder)

    def environment(self, **more):
        return harness.clean_environment({"CLERK_TOKEND_SOCKET": self.tokend.socket, **more})

    def run_it(self, *argv, status=0, env=None):
        """Its standard output, and standard error."""
        done = subprocess.run([str(a) for a in argv], env=env or self.environment(), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr

    def jwt(self, session, template="hasura"):
        return harness.Reply(self.tokend.ask(f"GET {session} {template}")).jwt

    def check_many(self, *argv, env=None):
        """One that prints the tokens of all sessions, but for one that there is not."""
        self.bapi.end_session("sess_none")
        out, err = self.run_it(*argv, "hasura", *SESSIONS, "sess_none", status=1, env=env)
        self.assertEqual(sorted(out.splitlines()), sorted(f"{s} {self.jwt(s)}" for s in SESSIONS))
        self.assertRegex(err, r"^sess_none: .+\n$")
        self.assertEqual(self.bapi.calls(SESSIONS[0], "hasura"), 1)


class Scripts(ExampleCase):
    def test_shell(self):
        out, err = self.run_it("sh", EXAMPLES / "get.sh", "sess_1", "hasura")
        self.assertEqual((out, err), (self.jwt("sess_1") + "\n", ""))
        out, err = self.run_it("sh", EXAMPLES / "get.sh", "sess_1")
        self.assertEqual((out, err), (self.jwt("sess_1", "-") + "\n", ""))
        out, err = self.run_it("sh", EXAMPLES / "get.sh", "sess.1", status=1)
        self.assertEqual((out, err[:15]), ("", "ERR bad_request"))

    def test_python(self):
        service = Service()
        self.addCleanup(service.close)
        out, err = self.run_it(sys.executable, EXAMPLES / "call.py", service.url, "hasura", *SESSIONS)
        self.assertEqual((out, err), ("".join(f"{s} welcome\n" for s in SESSIONS), ""))

    def test_python_after_fork(self):
        """Parent and child each have their own connection, and get the right answers."""
        script = (
            "import os, sys\n"
            f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
            "import clerktoken\n"
            "client = clerktoken.Client()\n"
            "first = client.get('sess_1', 'hasura')\n"
            "child = os.fork()\n"
            "for n in range(200):\n"
            "    assert client.get('sess_1' if child else 'sess_2', 'hasura').jwt != '' \n"
            "    assert (client.get('sess_1', 'hasura').id == first.id)\n"
            "if child:\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "print(first)\n")
        out, _ = self.run_it(sys.executable, "-c", script)
        self.assertNotIn(self.jwt("sess_1"), out)
        self.assertEqual(out.count("<Token id="), 2)

    def test_python_in_threads(self):
        script = (
            "import sys\n"
            "from concurrent.futures import ThreadPoolExecutor\n"
            f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
            "import clerktoken\n"
            "client = clerktoken.Client()\n"
            "names = [f'sess_{n % 20}' for n in range(2000)]\n"
            "with ThreadPoolExecutor(16) as threads:\n"
            "    ids = list(threads.map(lambda name: client.get(name, 'hasura').id, names))\n"
            "assert all(len({i for i, n in zip(ids, names) if n == name}) == 1 for name in names[:20])\n"
            "assert len(set(ids)) == 20\n")
        self.run_it(sys.executable, "-c", script)

    @unittest.skipUnless(shutil.which("node"), "no node is installed")
    def test_node(self):
        """The package stands where `npm install` puts it."""
        (self.folder / "node_modules").mkdir()
        (self.folder / "node_modules/clerktoken").symlink_to(harness.ROOT / "client/node")
        shutil.copy(EXAMPLES / "fetch.mjs", self.folder)
        self.check_many("node", self.folder / "fetch.mjs")


class Programs(ExampleCase):
    @classmethod
    def setUpClass(cls):
        cls.installation = installed.Installation()
        cls.addClassCleanup(cls.installation.close)

    def build(self, name):
        """By the command at its top."""
        head = (EXAMPLES / name).read_text().split("*/")[0]
        packages = re.search(r"\$\(pkg-config --cflags --libs ([a-z_ ]+)\)", head).group(1).split()
        others = [p for p in packages if p != "clerktoken"]
        flags = self.installation.pkg_config("--cflags", "--libs")
        if others:
            flags += shlex.split(installed.run(["pkg-config", "--cflags", "--libs", *others]))
        program = self.folder / name.removesuffix(".c")
        installed.run(["cc", "-Wall", "-Wextra", "-Werror", EXAMPLES / name, *flags, "-o", program])
        return program

    def loading(self):
        return self.installation.environment(CLERK_TOKEND_SOCKET=self.tokend.socket)

    def test_get(self):
        program = self.build("get.c")
        out, err = self.run_it(program, "sess_1", "hasura", env=self.loading())
        self.assertEqual((out, err), (self.jwt("sess_1") + "\n", ""))
        out, err = self.run_it(program, "sess.1", "hasura", status=1, env=self.loading())
        self.assertEqual((out, err[:16]), ("", "invalid_argument"))

    def test_epoll(self):
        self.check_many(self.build("epoll.c"), env=self.loading())

    def test_libevent(self):
        """Each session's token, and the one that comes after a drop."""
        program = self.build("libevent.c")
        with subprocess.Popen([program, "hasura", *SESSIONS], env=self.loading(), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as running:
            watchdog = threading.Timer(60, running.kill)
            watchdog.start()
            try:
                lines = [running.stdout.readline() for _ in SESSIONS]
                self.assertEqual(sorted(lines), sorted(self.line(s) for s in SESSIONS))
                self.assertEqual(self.tokend.ask("DROP sess_7"), "OK dropped=1")
                self.assertEqual(running.stdout.readline(), self.line("sess_7"))
                running.send_signal(signal.SIGTERM)
                self.assertEqual(running.wait(), 0)
            finally:
                running.kill()
                watchdog.cancel()

    def line(self, session):
        reply = harness.Reply(self.tokend.ask(f"GET {session} hasura"))
        return f"{session} {reply.fields['id']}\n"


def code_lines(path):
    """How many lines are neither blank nor a comment nor of a docstring."""
    text = path.read_text()
    no_code = {number for number, line in enumerate(text.splitlines(), 1)
               if not line.strip() or line.lstrip().startswith("#")}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            no_code.update(range(node.lineno, node.end_lineno + 1))
    return len(text.splitlines()) - len(no_code)


class ReadmeTest(unittest.TestCase):
    def test_it_counts_right(self):
        self.assertLessEqual(code_lines(EXAMPLES / "clerktoken.py"), 60)

    def test_it_names_all(self):
        text = (EXAMPLES / "README.md").read_text()
        there = {p.name for p in EXAMPLES.iterdir() if p.is_file()} - {"README.md"}
        self.assertEqual(set(re.findall(r"^\| \[`([^`/]+)`\]", text, re.MULTILINE)), there)


if __name__ == "__main__":
    unittest.main()
