"""Applications of Clerk's SDKs as their users write them, run for real.

A project of examples/frameworks is copied to BUILD/frameworks, installed with `npm ci` and built,
once: again only after a change of it. Its application then runs as often as wanted, each time on a
port that the kernel chooses. Beside the copies node_modules/clerktoken stands for the installed
package, so that `--import clerktoken/register` works in each of them as for any user.

Where there is no Node.js, or no registry to install from, tests are skipped, saying why.

By itself (PYTHONPATH=tests/integ), it installs the project that it is told and prints its folder.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness

EXAMPLES = harness.ROOT / "examples/frameworks"
PROJECTS = harness.BUILD / "frameworks"
PACKAGE = harness.ROOT / "client/node"
PUBLISHABLE_KEY = "pk_test_c2FuZGJveC5jbGVyay5hY2NvdW50cy5kZXYk"
NODE_OLDEST = (20, 9)  # what the current Next.js needs
NPM_DEADLINE_S = 120
APP_DEADLINE_S = 60
REQUESTS = 200
AT_ONCE = 50

# How npm says that it could not reach the registry, as opposed to not liking what it got.
UNREACHABLE = re.compile(
    r"npm (?:error|ERR!) (?:code|errno) "
    r"(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONN\w+|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|ERR_SOCKET\w*"
    r"|EPROTO|SELF_SIGNED\w*|UNABLE_TO\w+|CERT_\w+|E401|E403|E407|E429|E5\d\d)"
)
# Neither Clerk nor Next.js is told of a test.
QUIET = {
    "CLERK_TELEMETRY_DISABLED": "1",
    "NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED": "1",
    "NEXT_TELEMETRY_DISABLED": "1",
}
KEYS = {
    "CLERK_SECRET_KEY": harness.SECRET_KEY,
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
}
# What a page in a browser sends, through a reverse proxy. The daemon would refuse it of its own callers.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Origin": "http://localhost:3000",
    "Sec-Fetch-Site": "same-origin",
    "X-Forwarded-For": "192.0.2.1",
    "Via": "1.1 proxy",
}


def note(text):
    """A line that tests/run shows at its end."""
    print(f"\nnote: {text}", flush=True)


def need_node():
    if not shutil.which("node") or not shutil.which("npm"):
        raise unittest.SkipTest("there is no node or no npm")
    version = subprocess.check_output(["node", "--version"], text=True).strip()
    if tuple(int(n) for n in version[1:].split(".")[:2]) < NODE_OLDEST:
        raise unittest.SkipTest(f"node {version} is too old for these frameworks")


def sources(name):
    return sorted(f for f in (EXAMPLES / name).rglob("*") if f.is_file() and not is_built(f))


def is_built(path):
    """What somebody who tried the example out has left there."""
    return bool({"node_modules", ".next", "build"} & set(path.relative_to(EXAMPLES).parts))


def project(name):
    """The folder of that project, installed and built."""
    need_node()
    folder = PROJECTS / name
    stamp = folder / ".built"
    digest = hashlib.sha256()
    for source in sources(name):
        digest.update(b"%s\0%s\0" % (str(source).encode(), source.read_bytes()))
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    for source in sources(name):
        target = folder / source.relative_to(EXAMPLES / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    install(folder)
    if "build" in json.loads((folder / "package.json").read_text()).get("scripts", {}):
        npm(folder, "run", "build").check_returncode()
    stamp.write_text(digest.hexdigest())
    return folder


def npm(folder, *arguments):
    """Runs npm with what the caller's surroundings say of proxies and certificates."""
    done = subprocess.run(
        ["npm", *arguments], cwd=folder, env={**os.environ, **KEYS, **QUIET}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=NPM_DEADLINE_S)
    print(done.stdout, flush=True)
    return done


def install(folder):
    try:
        done = npm(folder, "ci", "--include=dev", "--no-audit", "--no-fund",
                   "--fetch-retries=1", "--fetch-timeout=30000")
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest(f"npm ci: not within {NPM_DEADLINE_S} s") from None
    unreachable = UNREACHABLE.search(done.stdout)
    if done.returncode != 0 and unreachable:
        raise unittest.SkipTest(f"the npm registry can't be reached ({unreachable.group(1)})")
    done.check_returncode()


def register():
    """What makes node take tokens from the daemon, for applications in PROJECTS."""
    if not PACKAGE.is_dir():
        raise unittest.SkipTest("there is no client/node")
    link = PROJECTS / "node_modules/clerktoken"
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(PACKAGE)
    except FileExistsError:
        pass
    return ["--import", "clerktoken/register"]


class App(harness.Child):
    """An application: `argv` is run by node, in the folder, at a free port of the loopback."""

    def __init__(self, folder, argv, env, options=()):
        super().__init__()
        env = {**KEYS, **QUIET, "NODE_ENV": "production", "HOST": "127.0.0.1", "PORT": "0", **env}
        try:
            self.spawn([shutil.which("node"), *options, *argv], harness.clean_environment(env),
                       cwd=folder)
            port = harness.wait_for(self.port, APP_DEADLINE_S, "a listening application")
            self.url = f"http://127.0.0.1:{port}"
        except BaseException:
            self.close()
            raise

    def port(self):
        """The port that it listens on; None before it does."""
        if not self.is_running():
            raise AssertionError(f"the application has ended: {self.log()}")
        sockets = set()
        for fd in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                sockets.add(os.readlink(fd.path))
            except FileNotFoundError:
                pass  # closed meanwhile
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].split(":")[1], 16)
        return None

    def get(self, path, session_token=None):
        """Status and body of a request, signed in with that token."""
        headers = dict(BROWSER)
        if session_token:
            headers["Authorization"] = f"Bearer {session_token}"
        request = urllib.request.Request(self.url + path, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=APP_DEADLINE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def sign_in(sandbox, session):
    """The token that the browser of a user with that session would send."""
    request = urllib.request.Request(
        f"{sandbox.http}/v1/sessions/{session}/tokens", method="POST",
        headers={"Authorization": f"Bearer {harness.SECRET_KEY}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=harness.DEADLINE_S) as answer:
        return json.load(answer)["jwt"]


class Framework:
    """What holds for each framework's example; a test names its project, its way to start it, and
    the paths that answer with a token."""

    name = None
    argv = ()
    routes = {}  # what it is: its path

    @classmethod
    def setUpClass(cls):
        cls.folder = project(cls.name)

    def app(self, env, options=()):
        return self.own(App(self.folder, self.argv, env, options))

    def ask_often(self, app, path, session_token):
        """The tokens that REQUESTS requests got, and how long they took together."""
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda _: app.get(path, session_token), range(REQUESTS)))
        took = time.monotonic() - began
        refused = [answer for answer in answers if answer[0] != 200]
        self.assertEqual(refused, [], f"{len(refused)} requests")
        return {body["jwt"] for _, body in answers}, took

    def check(self, app, sandbox, how, calls):
        for number, (route, path) in enumerate(self.routes.items()):
            with self.subTest(route):
                session = f"sess_{self.name}{number}"
                session_token = sign_in(sandbox, session)
                self.assertEqual(app.get(path)[0], 401)
                self.assertEqual(app.get(path, session_token[:-4] + "AAAA")[0], 401)
                before = sandbox.calls()
                tokens, took = self.ask_often(app, path, session_token)
                made = sandbox.calls() - before
                note(f"{route:<22} {how:<22} {REQUESTS} requests: {made:>3} "
                     f"{'call ' if made == 1 else 'calls'} of Clerk's API, "
                     f"{len(tokens):>3} {'token' if len(tokens) == 1 else 'tokens'}, "
                     f"{REQUESTS / took:5.0f}/s")
                self.assertEqual(made, calls)
                self.assertEqual(sandbox.calls(session, "hasura"), calls)
                self.assertEqual(len(tokens), calls)

    def test_alone(self):
        """What there is to gain, and that the others would see it."""
        sandbox = self.sandbox()
        self.check(self.app({"CLERK_API_URL": sandbox.http}), sandbox, "alone", REQUESTS)

    def test_front(self):
        sandbox = self.sandbox()
        app = self.app({"CLERK_API_URL": front(self, sandbox)})
        self.check(app, sandbox, "CLERK_API_URL", 1)

    def test_register(self):
        sandbox = self.sandbox()
        daemon = self.daemon(sandbox)
        env = {"CLERK_API_URL": sandbox.http, "CLERK_TOKEND_SOCKET": daemon.socket}
        app = self.app(env, register())
        self.check(app, sandbox, "--import", 1)

    def test_the_code_knows_nothing_of_the_daemon(self):
        for source in sources(self.name):
            self.assertNotRegex(source.read_text(), r"(?i)tokend|clerktoken")


def front(case, sandbox):
    """The address at which a daemon answers as Clerk does."""
    probe = harness.socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % probe.getsockname()[1]
    probe.close()
    case.daemon(sandbox, {"listen": {"http": address}})
    return f"http://{address}"


if __name__ == "__main__":
    try:
        print(project(sys.argv[1]))
    except unittest.SkipTest as skip:
        print(skip)
        sys.exit(77)
