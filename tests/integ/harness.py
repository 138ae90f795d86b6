"""What the tests with real processes share: a sandbox, a daemon, a connection.

Every child is ended by its process id and dies with the test (PR_SET_PDEATHSIG: the signal comes
when the thread that started it ends, so start children from the main thread). Whatever waits has a
deadline. A temporary directory holds all that a child writes.

    class Test(harness.Case):
        def test_ping(self):
            daemon = self.daemon(self.sandbox())
            self.assertEqual(daemon.ask("PING"), "OK pong")
"""

import ctypes
import fcntl
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
SECRET_KEY = "sk_test_sandbox"
DEADLINE_S = 10.0  # for what should take no time at all, on a busy machine
SUN_PATH_MAX = 107
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)

# Nothing of the caller's surroundings changes what a child does.
FOREIGN_VARIABLES = re.compile(
    r"^(CLERK_.*|NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|CREDENTIALS_DIRECTORY|JOURNAL_STREAM"
    r"|INVOCATION_ID|RUNTIME_DIRECTORY|STATE_DIRECTORY|XDG_RUNTIME_DIR|.*_proxy|.*_PROXY)$"
)
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion .* failed")


class Timeout(AssertionError):
    """A deadline has passed."""


class Closed(AssertionError):
    """The other side has closed the connection."""


def is_sanitized(program):
    """True if it was built with AddressSanitizer, under which memory says nothing."""
    return b"__asan_init" in Path(program).read_bytes()


def is_busy():
    """True where others keep the machine so busy that times say nothing of what is tested."""
    return os.getloadavg()[0] > 2 * os.cpu_count()


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_for(condition, deadline=DEADLINE_S, what="the condition"):
    """Calls `condition` until it answers something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Timeout(f"{what}: not within {deadline} s")
        time.sleep(0.01)


def clean_environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not FOREIGN_VARIABLES.match(k)}
    for name, value in (extra or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)
    return env


def make_directory():
    path = tempfile.mkdtemp(prefix="ctd-")
    if len(path) > SUN_PATH_MAX - 40:
        os.rmdir(path)
        path = tempfile.mkdtemp(prefix="ctd-", dir="/tmp")
    return Path(path)


class Child:
    """A process of ours with its directory; standard error goes to a file in it."""

    def __init__(self):
        self.dir = make_directory()
        self.process = None
        self.final_log = ""

    def spawn(self, argv, env, stdout=subprocess.DEVNULL, cwd=None, pass_fds=()):
        if not os.access(argv[0], os.X_OK):
            raise AssertionError(f"{argv[0]} is not built")
        with open(self.dir / "stderr", "ab") as log:
            self.process = subprocess.Popen(
                [str(a) for a in argv],
                env=env,
                cwd=cwd or self.dir,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                pass_fds=pass_fds,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        """What it wrote to standard error up to now, as text."""
        try:
            return (self.dir / "stderr").read_text(errors="replace")
        except FileNotFoundError:
            return self.final_log

    def wait(self, deadline=DEADLINE_S):
        """Its exit status; negative: the signal that ended it."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise Timeout(f"pid {self.pid} has not ended within {deadline} s") from None

    def send_signal(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def stop(self, deadline=DEADLINE_S):
        """Asks it to end (SIGTERM) and returns the exit status."""
        self.send_signal(signal.SIGTERM)
        return self.wait(deadline)

    def kill(self):
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def rss(self):
        """Its resident memory, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024

    def cpu(self):
        """The processor time that it has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Ends it if it runs, and removes its directory. May be called twice."""
        if self.is_running():
            self.kill()
        if self.process and self.process.stdout:
            self.process.stdout.close()
        self.final_log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Parent:
    """What a Fork's function has of the process that forked it."""

    def __init__(self, result, stop):
        self.result = result
        self.stop = stop

    def says_stop(self, seconds=0.0):
        """True once stop() was called; waits so long for it."""
        return bool(select.select([self.stop], [], [], seconds)[0])

    def tell(self, **members):
        data = json.dumps(members).encode() + b"\n"
        while data:
            data = data[os.write(self.result, data):]


class Fork:
    """A copy of this process that calls `function(parent)`; what that returns goes through JSON.

    It may be another user (`uid`, where we are root), and works in `directory`, so that a relative
    path reaches a socket whose parents are closed to that user.
    """

    def __init__(self, function, uid=None, directory=None):
        self.pid = None
        self.input = b""
        self.result, result_writer = os.pipe()
        stop_reader, self.stop_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.be_child(function, uid, directory, Parent(result_writer, stop_reader))
        os.close(result_writer)
        os.close(stop_reader)
        self.pid = pid

    @staticmethod
    def be_child(function, uid, directory, parent):
        try:
            for fd in {int(n) for n in os.listdir("/proc/self/fd")}:
                if fd not in (0, 1, 2, parent.result, parent.stop):
                    try:
                        os.close(fd)
                    except OSError:
                        pass  # that of the listing itself
            if directory:
                os.chdir(directory)
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            die_with_parent()  # here, because a change of user resets it
            parent.tell(value=function(parent))
        except BaseException:  # pylint: disable=broad-except
            parent.tell(error=traceback.format_exc())
        os._exit(0)

    def hear(self, deadline=DEADLINE_S):
        """What it told next, as a dictionary."""
        end = time.monotonic() + deadline
        while b"\n" not in self.input:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.result], [], [], left)[0]:
                raise Timeout(f"nothing from a child within {deadline} s")
            data = os.read(self.result, 65536)
            if not data:
                raise AssertionError("a child ended without a word")
            self.input += data
        line, self.input = self.input.split(b"\n", 1)
        said = json.loads(line)
        if "error" in said:
            raise AssertionError(said["error"])
        return said

    def stop(self, deadline=DEADLINE_S):
        """Tells it to stop, waits for it, and returns what its function returned."""
        try:
            os.write(self.stop_writer, b"x")
        except BrokenPipeError:
            pass  # it is done already
        try:
            said = self.hear(deadline)
            while "value" not in said:
                said = self.hear(deadline)
        finally:
            self.close()
        return said["value"]

    def close(self):
        """Ends it if it runs. May be called twice."""
        if self.pid is None:
            return
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.result)
        os.close(self.stop_writer)
        self.pid = None


class Sandbox(Child):
    """Clerk's Backend API, as build/clerk-bapi-sandbox plays it.

    `http` and `https` are URLs, `ca` the path of the certificate that HTTPS is checked with.
    """

    def __init__(self, *arguments, program=None):
        super().__init__()
        self.http = self.https = self.ca = None
        argv = [program or BUILD / "clerk-bapi-sandbox", "--http", "127.0.0.1:0"]
        argv += ["--https", "127.0.0.1:0", "--dir", self.dir, "--die-with-parent"]
        try:
            self.spawn(argv + list(arguments), clean_environment(), subprocess.PIPE)
            self.read_greeting()
        except BaseException:
            self.close()
            raise

    def read_greeting(self):
        end = time.monotonic() + DEADLINE_S
        fd = self.process.stdout.fileno()
        text = b""
        while b"ready\n" not in text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise Timeout(f"the sandbox is not ready: {text!r} {self.log()}")
            data = os.read(fd, 4096)
            if not data:
                raise AssertionError(f"the sandbox ended: {text!r} {self.log()}")
            text += data
        said = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
        self.http = said["http"] if "://" in said["http"] else "http://" + said["http"]
        self.https = said.get("https")
        if self.https and "://" not in self.https:
            self.https = "https://" + self.https
        self.ca = said.get("ca")
        self.address = self.http.split("://")[1].rstrip("/")

    def call(self, method, path, body=None):
        """A request to the control interface; the JSON that it answers."""
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_S)
        try:
            data = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if data else {}
            connection.request(method, "/sandbox/" + path, data, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise AssertionError(f"sandbox: {method} {path} {body}: {response.status} {text}")
        return json.loads(text)

    def stats(self, brief=False):
        return self.call("GET", "stats?brief=1" if brief else "stats")

    def calls(self, session=None, template="-"):
        """How many requests for tokens came, in all or for one key."""
        if session is None:
            return self.stats(brief=True)["token_calls"]
        return self.stats()["by_key"].get(f"{session} {template or '-'}", 0)

    def fault(self, kind, **members):
        """Something to go wrong with the next request that it fits, as tests/sandbox says."""
        return self.call("POST", "faults", dict(members, kind=kind))

    def clear_faults(self):
        return self.call("DELETE", "faults")

    def config(self, **members):
        return self.call("POST", "config", members) if members else self.call("GET", "config")

    def reset(self):
        return self.call("POST", "reset")

    def create_session(self, session, user=None):
        return self.call("POST", "sessions", {"id": session, **({"user_id": user} if user else {})})

    def end_session(self, session):
        return self.call("POST", f"sessions/{session}/end")


class Daemon(Child):
    """A daemon with a configuration and a socket of its own.

    `config` is {section: {key: value}} and adds to what makes it use `sandbox` (None: an address
    where nobody listens); a value of None takes a key out. `env` adds to the environment, None
    takes out. With wait=False the socket is not waited for; with start=False nothing is started yet.
    """

    def __init__(self, sandbox=None, config=None, env=None, https=False, arguments=(),
                 wait=True, program=None, wrapper=(), start=True):
        super().__init__()
        self.socket = self.dir / "s"
        self.file = self.dir / "clerk-tokend.conf"
        self.program = program or BUILD / "clerk-tokend"
        self.wrapper = list(wrapper)
        self.arguments = list(arguments)
        self.env = clean_environment({"CLERK_SECRET_KEY": SECRET_KEY, **(env or {})})
        self.sections = {"clerk": self.clerk_section(sandbox, https)}
        try:
            self.configure(config or {})
            if start:
                self.start(wait)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def clerk_section(sandbox, https):
        if sandbox is None:
            return {"api_url": "http://127.0.0.1:9"}
        if https:
            return {"api_url": sandbox.https, "ca_file": sandbox.ca}
        return {"api_url": sandbox.http}

    def configure(self, config):
        """Changes keys and writes the file; reload() makes the daemon read it."""
        for section, keys in config.items():
            self.sections.setdefault(section, {}).update(keys)
        lines = []
        for section, keys in self.sections.items():
            lines.append(f"[{section}]")
            for key, value in keys.items():
                values = value if isinstance(value, (list, tuple)) else [value]
                lines += [f"{key} = {v}" for v in values if v is not None]
        self.write_config("\n".join(lines) + "\n")

    def write_config(self, text):
        fresh = self.dir / "fresh.conf"
        fresh.write_text(text)
        fresh.rename(self.file)

    def command(self, *arguments):
        return [*self.wrapper, self.program, "--config", self.file, "--socket", self.socket,
                *arguments]

    def start(self, wait=True):
        """Starts it, again after it was stopped or killed."""
        self.spawn(self.command(*self.arguments), self.env)
        if wait:
            self.wait_ready()

    def wait_ready(self, deadline=DEADLINE_S):
        end = time.monotonic() + deadline
        while not self.answers_ping():
            if not self.is_running():
                raise AssertionError(f"the daemon ended ({self.process.returncode}): {self.log()}")
            if time.monotonic() >= end:
                raise Timeout(f"no answer at the socket within {deadline} s: {self.log()}")
            time.sleep(0.01)

    def answers_ping(self):
        try:
            with Conn(self.socket) as conn:
                return conn.ask("PING") == "OK pong"
        except (OSError, Closed, Timeout):
            return False

    def reload(self):
        """SIGHUP. What it changes is to be waited for."""
        self.send_signal(signal.SIGHUP)

    def connect(self):
        return Conn(self.socket)

    def ask(self, request, deadline=DEADLINE_S):
        """One request on a connection of its own."""
        with self.connect() as conn:
            return conn.ask(request, deadline)

    def stats(self):
        line = self.ask("STATS")
        assert line.startswith("OK {"), line
        return json.loads(line[3:])


class Activated(Daemon):
    """A daemon with descriptors as systemd hands them over: `handed` is [(name, descriptor)]."""

    def __init__(self, sandbox=None, config=None, handed=(), **keywords):
        self.handed = list(handed)
        super().__init__(sandbox, config, **keywords)

    def spawn(self, argv, env, stdout=subprocess.DEVNULL, cwd=None):
        # Out of the way of the places that they are to have.
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for _, fd in self.handed]
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(fds))
        shell = f'exec {moves}; LISTEN_PID=$$ exec "$@"'
        env = dict(env, LISTEN_FDS=str(len(fds)),
                   LISTEN_FDNAMES=":".join(name for name, _ in self.handed))
        try:
            super().spawn(["/bin/bash", "-c", shell, "sh", *argv], env, stdout, cwd, fds)
        finally:
            for fd in fds:
                os.close(fd)


class Conn:
    """A blocking client that speaks in lines; every wait has a deadline in seconds."""

    def __init__(self, path, deadline=DEADLINE_S):
        self.deadline = deadline
        self.input = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(deadline)
        try:
            self.socket.connect(str(path))
        except BaseException:
            self.socket.close()
            raise

    def send(self, data):
        """Bytes, or text, as they are: no LF is added."""
        self.socket.settimeout(self.deadline)
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def receive(self, end):
        """Adds what has come to the input; False at the end of the stream."""
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            raise Timeout(f"nothing came in time; unfinished: {self.input[:200]!r}")
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""  # the other side closed without reading all that was sent
        self.input += data
        return bool(data)

    def line(self, deadline=None):
        """The next line, without its LF."""
        end = time.monotonic() + (self.deadline if deadline is None else deadline)
        while b"\n" not in self.input:
            if not self.receive(end):
                raise Closed(f"closed; unfinished: {self.input[:200]!r}")
        line, self.input = self.input.split(b"\n", 1)
        return line.decode("latin-1")

    def ask(self, request, deadline=None):
        """Sends a line and reads one."""
        self.send(request + "\n")
        return self.line(deadline)

    def expect_eof(self, deadline=None):
        """The connection closes, and nothing more comes before."""
        end = time.monotonic() + (self.deadline if deadline is None else deadline)
        while self.receive(end):
            pass
        if self.input:
            raise AssertionError(f"the end was expected, not {self.input[:200]!r}")

    def expect_silence(self, seconds=0.2):
        """Nothing comes, and the connection stays open, for so long."""
        try:
            line = self.line(seconds)
        except Timeout:
            if not self.input:
                return
            line = self.input
        raise AssertionError(f"nothing was expected, not {line[:200]!r}")

    def shut_write(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Reply:
    """A reply or push in its parts: tag, kind ("OK", "ERR", "*"), words, and fields by name.

    Of a token, `jwt`, and `id`, `exp`, `ttl`, `reuse`, `state`, `src`; of an error, `code`,
    `retry` (milliseconds, None: never) and `text`.
    """

    def __init__(self, line):
        self.line = line
        words = line.split(" ")
        self.tag = words.pop(0)[1:] if line.startswith("#") else None
        self.kind = words.pop(0)
        self.code = self.retry = self.text = self.jwt = None
        if self.kind == "ERR":
            self.code = words[0]
            retry = words[1].split("=", 1)[1]
            self.retry = None if retry == "never" else int(retry)
            self.text = " ".join(words[2:])
        self.words = [w for w in words if "=" not in w]
        self.fields = dict(w.split("=", 1) for w in words if "=" in w)
        if self.kind == "OK" and self.words and "id" in self.fields:
            self.jwt = self.words[0]
        elif self.kind == "*" and self.words[0] == "TOKEN":
            self.jwt = self.words[3]

    @property
    def ok(self):
        return self.kind == "OK"

    def __getattr__(self, name):
        if name not in ("id", "exp", "ttl", "reuse", "state", "src", "dropped"):
            raise AttributeError(name)
        value = self.fields[name]
        return int(value) if name in ("exp", "ttl", "reuse", "dropped") else value

    def __repr__(self):
        return f"Reply({self.line!r})"


class Case(unittest.TestCase):
    """A test that owns children: they are ended with it, their logs shown where it fails."""

    def own(self, child):
        self.children.append(child)
        return child

    def sandbox(self, *arguments):
        return self.own(Sandbox(*arguments))

    def daemon(self, sandbox=None, config=None, **keywords):
        return self.own(Daemon(sandbox, config, **keywords))

    def connect(self, daemon):
        conn = daemon.connect()
        self.addCleanup(conn.close)
        return conn

    def fork(self, function, uid=None, directory=None):
        child = Fork(function, uid, directory)
        self.addCleanup(child.close)
        return child

    def tearDown(self):
        """Daemons that still run are asked to stop, and do so in order."""
        for child in self.children:
            if isinstance(child, Daemon) and child.is_running():
                self.assertEqual(child.stop(), 0, child.log())
            self.assertNotRegex(child.log(), SANITIZER_REPORT)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        self.children = []
        super().run(result)
        failed = len(result.failures) + len(result.errors) > before
        for child in reversed(self.children):
            child.close()
            if failed and child.final_log:
                print(f"--- {type(child).__name__} ---\n{child.final_log}", flush=True)
        return result
