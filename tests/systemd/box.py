"""A real systemd to test against: PID 1 of namespaces of its own, over this machine's root.

    setUpModule, tearDownModule = box.for_module()

    class Test(box.Case):
        def test_start(self):
            self.box.run("systemctl", "start", "clerk-tokend.socket")

One box serves all tests of a file. What the build installs is below its root, and Clerk's Backend API
is played inside it, at http://127.0.0.1:8080, by clerk-bapi-sandbox as a unit of its own. The box has a
network, processes and a cgroup of its own, and is ended by killing its one PID 1 (guard.py).
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integ"))

import guard
import harness

HERE = Path(__file__).resolve().parent
SYSTEMD = Path("/lib/systemd/systemd")
BOOT_S = 10.0
RUN_S = 60.0
BAPI = "http://127.0.0.1:8080"
# su(1) and runuser(1) would ask a session manager that isn't there.
BECOME = 'exec setpriv --reuid="$0" --regid="$(id -g "$0")" --init-groups "$@"'
SECRET_KEY = harness.SECRET_KEY


def why_not():
    """Why there can't be a box on this machine; None if there can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    for tool in ("unshare", "nsenter", "pivot_root", "make"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return f"needs {tool}"
    if not SYSTEMD.exists():
        return f"needs {SYSTEMD}"
    root = guard.cgroup_root()
    if root is None or not os.access(root, os.W_OK):
        return "needs a cgroup v2 hierarchy that can be written to"
    if subprocess.run(["unshare", *guard.NAMESPACES, "--fork", "true"], stderr=subprocess.DEVNULL,
                      check=False).returncode:
        return "namespaces can't be made here"
    if harness.is_sanitized(harness.BUILD / "clerk-tokend"):
        return "a sanitizer can't work under the unit's hardening"
    return None


class Box:
    """`pid` is that of its systemd, out here."""

    def __init__(self):
        self.dir = harness.make_directory()
        self.log = self.dir / "boot"
        self.guard = None
        self.pid = None
        try:
            self.install()
            self.boot()
        except BaseException:
            if self.log.exists():
                print(self.log.read_text(errors="replace"), flush=True)
            self.close()
            raise

    def install(self):
        layer = self.dir / "layer"
        command = ["make", "-s", "install", f"BUILD={os.path.relpath(harness.BUILD, harness.ROOT)}",
                   f"DESTDIR={layer}", "PREFIX=/usr"]
        done = subprocess.run(command, cwd=harness.ROOT, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise AssertionError(f"make install: {done.stdout}")
        self.add_programs(layer)

    def add_programs(self, layer):
        """What only the tests need."""
        for program in (harness.BUILD / "tests/systemd").glob("*"):
            if os.access(program, os.X_OK):
                shutil.copy(program, layer / "usr/bin")
        self.layer = layer

    def boot(self):
        with open(self.log, "wb") as log:
            self.guard = subprocess.Popen(
                [sys.executable, HERE / "guard.py", HERE / "boot.sh", self.layer],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        if not select.select([self.guard.stdout], [], [], BOOT_S)[0]:
            raise harness.Timeout("no systemd")
        self.pid = int(self.guard.stdout.readline() or 0)
        if not self.pid:
            raise AssertionError("no systemd")
        harness.wait_for(self.is_up, BOOT_S, "a systemd that has started")
        self.run("systemd-run", "-q", "--unit=bapi", "--service-type=exec", "clerk-bapi-sandbox",
                 "--http", "127.0.0.1:8080")
        self.wait_for_output("curl", "-sf", f"{BAPI}/sandbox/stats")

    def is_up(self):
        if not Path(f"/proc/{self.pid}").exists():
            raise AssertionError("systemd has ended")
        return self.attempt("systemctl", "is-system-running").stdout.strip() in (
            "running", "degraded")

    # What runs in it

    def command(self, *arguments, user=None):
        """The command line that runs something in the box from out here, in no unit."""
        become = ["sh", "-c", BECOME, user] if user else []
        return ["nsenter", "-t", str(self.pid), "-a", "--", "env", "-i", "LANG=C.UTF-8",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *become, *map(str, arguments)]

    def start(self, *arguments, user=None, **keywords):
        """A process in the box that goes on; its caller ends it."""
        return subprocess.Popen(self.command(*arguments, user=user),
                                preexec_fn=harness.die_with_parent, **keywords)

    def attempt(self, *arguments, text=None, user=None, deadline=RUN_S):
        """Runs something in the box to its end, whatever that is."""
        # nsenter(1) asks for a terminal's working folder; ours may not exist there
        return subprocess.run(self.command(*arguments, user=user), input=text or "", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=deadline,
                              check=False)

    def run(self, *arguments, **keywords):
        """Runs something in the box that must work; its output."""
        done = self.attempt(*arguments, **keywords)
        if done.returncode:
            raise AssertionError(
                f"{' '.join(map(str, arguments))}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stdout

    def wait_for_output(self, *arguments, deadline=harness.DEADLINE_S):
        """Runs it until it works; its output."""
        def output():
            done = self.attempt(*arguments)
            return done.returncode == 0 and (done.stdout or True)
        return harness.wait_for(output, deadline, " ".join(map(str, arguments)))

    def write(self, path, text, mode="644"):
        self.run("sh", "-c", 'umask 077; mkdir -p -m 755 "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"',
                 "sh", path, mode, text=text)

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def wait_for_property(self, unit, name, value, deadline=harness.DEADLINE_S):
        harness.wait_for(lambda: self.show(unit, name) == value, deadline,
                         f"{unit}: {name}={value}")

    def main_pid(self, unit="clerk-tokend.service"):
        return int(self.show(unit, "MainPID"))

    def process_status(self, pid):
        """The fields of /proc/PID/status."""
        lines = self.run("cat", f"/proc/{pid}/status").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def journal(self, unit="clerk-tokend.service"):
        """What it said, in its present or last invocation, as text."""
        self.run("journalctl", "--sync")
        identity = self.show(unit, "InvocationID")
        return self.run("journalctl", "-q", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={identity}")

    # What an operator does

    def give_key(self, key=SECRET_KEY, instance=None):
        """Encrypts a secret key to where the units look for it."""
        path = "/etc/credstore.encrypted/clerk_secret_key" + (f".{instance}" if instance else "")
        self.run("systemd-creds", "encrypt", "--name=clerk_secret_key", "-", path, text=key)

    def configure(self, text="", instance=None):
        """Writes the configuration; what it says goes behind api_url in [clerk]."""
        self.write(f"/etc/clerk-tokend/{instance or 'clerk-tokend'}.conf",
                   f"[clerk]\napi_url = {BAPI}\n{text}")

    def stop_all(self):
        """As after installing: nothing runs, has failed or is configured."""
        self.run("systemctl", "stop", "clerk-tokend*")
        self.run("sh", "-c", "rm -rf /etc/clerk-tokend/* /etc/credstore.encrypted/*"
                             " /run/systemd/system/clerk-tokend*.d")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "reset-failed")

    # Clerk, as played in it

    def bapi(self, method, path, **members):
        body = ["-H", "Content-Type: application/json", "-d", json.dumps(members)] if members else []
        return json.loads(self.run("curl", "-sf", "-X", method, *body, f"{BAPI}/sandbox/{path}"))

    def bapi_calls(self):
        """How many requests for tokens came."""
        return self.bapi("GET", "stats?brief=1")["token_calls"]

    def close(self):
        """Ends all of it. May be called twice."""
        if self.guard:
            self.guard.stdin.close()
            self.guard.wait()
            self.guard.stdout.close()
            self.guard = None
        shutil.rmtree(self.dir, ignore_errors=True)


the_box = None  # of the file whose tests run


class Load:
    """clerk-token-load in the box, once each of its clients has had an answer."""

    def __init__(self, test, clients, pause_ms, sessions=20):
        self.process = test.box.start("clerk-token-load", clients, pause_ms, sessions,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.close)
        test.assertEqual(self.process.stdout.readline(), "ready\n")

    def finish(self):
        """What came of it."""
        self.process.stdin.close()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def for_module(make=Box, tools=()):
    """A file's setUpModule and tearDownModule; what it needs beside a box are those tools."""
    def set_up():
        global the_box
        missing = [tool for tool in tools if not shutil.which(tool)]
        reason = why_not() or (f"needs {', '.join(missing)}" if missing else None)
        if reason:
            raise unittest.SkipTest(reason)
        the_box = make()

    def tear_down():
        the_box.close()

    return set_up, tear_down


class Case(unittest.TestCase):
    """A test in the box of its file; where it fails, the journal is shown."""

    @property
    def box(self):
        return the_box

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(self.box.attempt("journalctl", "-q", "-n", "200").stdout, flush=True)
        return result
