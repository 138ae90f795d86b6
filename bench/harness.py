"""What the rows of bench/run are measured with: servers, the load generator, our small tools."""
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
TOOLS = BUILD / "bench"
TOKEN_SIZE = 900
KEYS = 10000
SERVER_CORE, LOAD_CORE = 0, 1
BUSY = 0.1                      # share of the CPU time from which on others disturb a measurement

DAEMON_CONFIG = """\
[clerk]
api_url = {url}
rate_limit = 100000/1s
request_timeout = 60s
[cache]
max_memory = {memory}
default_wait = 60s
[listen]
max_clients = {clients}
http = {http}
"""

# One process, no logs; every answer with a token's body. /v1 answers from its configuration, or,
# where it caches, from a file that Clerk's answer was kept in.
NGINX_CONFIG = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path {directory}/nginx-body;
  proxy_temp_path {directory}/nginx-proxy;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  proxy_cache_path {directory}/nginx-cache keys_zone=tokens:16m use_temp_path=off;
  server {{
    listen {address};
    location / {{ return 200 '{{"object":"token","jwt":"{token}"}}'; }}
  }}
  server {{
    listen {cached_address};
    location / {{
      proxy_pass {url};
      proxy_cache tokens;
      proxy_cache_methods POST;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 1h;
    }}
  }}
}}
"""


class Failed(Exception):
    """A row could not be measured."""


class Missing(Exception):
    """A tool that the row needs is not installed."""


def need(tool):
    if not shutil.which(tool):
        raise Missing(f"{tool} is not installed")


def in_child(core):
    """What a child does before exec: it ends when we do, and stays on one CPU (None: any)."""
    prctl, pr_set_pdeathsig = ctypes.CDLL(None).prctl, 1

    def prepare():
        prctl(pr_set_pdeathsig, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})
    return prepare


class Server:
    """A process that was started here, with a log file; ended by stop(), by its pid."""

    def __init__(self, name, command, directory, core=None, env=None):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(part) for part in command], env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=in_child(core))
        self.pid = self.process.pid

    def wait_for(self, ready, seconds):
        """Waits until ready() returns something true, and returns that; else stops the server."""
        try:
            return self.poll(ready, seconds)
        except BaseException:
            self.stop()
            raise

    def poll(self, ready, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with status {self.process.returncode}: "
                             f"{self.tail()}")
            answer = ready()
            if answer:
                return answer
            time.sleep(0.01)
        raise Failed(f"{self.name} was not ready after {seconds} s: {self.tail()}")

    def tail(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it logged nothing"

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                print(f"{self.name} does not end when asked to", file=sys.stderr)
                self.process.kill()
                self.process.wait()


class SocketServer(Server):
    """A server on a Unix socket, ready once it answers the line `request`."""

    def __init__(self, name, command, path, request, directory, wait=10, **options):
        super().__init__(name, command, directory, **options)
        self.path, self.request = path, request
        self.wait_for(self.answers, wait)

    def answers(self):
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return ask(self.path, self.request)
        return None


def ask(path, line):
    """One request line and its reply line."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(line.encode() + b"\r\n")
        with client.makefile("rb") as replies:
            reply = replies.readline().decode().rstrip()
    if not reply:
        raise Failed(f"{path.name} was closed instead of an answer to {line}")
    return reply


class Sandbox(Server):
    """The stand-in for Clerk's Backend API."""

    def __init__(self, directory):
        command = [BUILD / "clerk-bapi-sandbox", "--http", "127.0.0.1:0", "--dir", directory,
                   "--lifetime", "3600", "--token-size", TOKEN_SIZE, "--fast", "--die-with-parent"]
        super().__init__("sandbox", command, directory)
        self.url = self.wait_for(self.find_url, 10)

    def find_url(self):
        lines = self.log.read_text().splitlines()
        urls = [line[len("http="):] for line in lines if line.startswith("http=")]
        return urls[-1] if urls and lines[-1] == "ready" else None

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def token_calls(self):
        return self.call("/sandbox/stats?brief=1")["token_calls"]


class Bench:
    """The temporary directory, the servers of the row under way, and how they are started."""

    def __init__(self, directory, quick):
        self.directory = directory
        self.rounds = 3 if quick else 11
        self.quick = quick
        self.stack = contextlib.ExitStack()
        self.started = 0
        self.token_size = TOKEN_SIZE

    def keep(self, server):
        """Has server stopped when the row ends."""
        self.stack.callback(server.stop)
        return server

    def new_socket(self, name):
        self.started += 1
        return self.directory / f"{name}{self.started}.sock"

    def sandbox(self):
        return self.keep(Sandbox(self.directory))

    def daemon_command(self, url, path, clients=2000, memory="512M", http="off"):
        config = path.with_suffix(".conf")
        config.write_text(DAEMON_CONFIG.format(url=url, clients=clients, memory=memory, http=http))
        return [BUILD / "clerk-tokend", "--config", config, "--socket", path]

    def daemon(self, sandbox, clients=2000, under=(), memory="512M", http="off", **options):
        path = self.new_socket("tokend")
        command = [*under, *self.daemon_command(sandbox.url, path, clients, memory, http)]
        return self.keep(SocketServer("clerk-tokend", command, path, "PING", self.directory,
                                      env=daemon_env(), **options))

    def memcached_command(self, path, clients=2000):
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return ["memcached", *user, "-U", 0, "-s", path, "-t", 1, "-m", 256, "-c", clients]

    def memcached(self, clients=2000, **options):
        need("memcached")
        path = self.new_socket("memcached")
        return self.keep(SocketServer("memcached", self.memcached_command(path, clients), path,
                                      "version", self.directory, **options))

    def nginx(self, sandbox, address, cached_address, **options):
        """An nginx at both; what it serves at the second is Clerk's, and kept."""
        need("nginx")
        config = self.directory / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(
            directory=self.directory, address=address, cached_address=cached_address,
            user="user root;" if os.geteuid() == 0 else "", url=sandbox.url,
            token="v" * self.token_size))
        server = self.keep(Server("nginx", ["nginx", "-c", config, "-e", "stderr"], self.directory,
                                  **options))
        server.wait_for(lambda: is_listening(address), 10)
        return server

    def floor(self, under=(), **options):
        path = self.new_socket("floor")
        command = [*under, TOOLS / "floor", path, self.token_size]
        return self.keep(SocketServer("floor", command, path, "GET", self.directory, **options))

    def learn_token_size(self, daemon):
        """base64 has no strings of some lengths: the sandbox's tokens may be a byte shorter."""
        reply = ask(daemon.path, "GET sess_token_size hasura").split()
        if reply[0] != "OK":
            raise Failed("the daemon's first answer is " + " ".join(reply))
        self.token_size = len(reply[1])
        if not TOKEN_SIZE - 4 <= self.token_size <= TOKEN_SIZE:
            raise Failed(f"the sandbox's tokens have {self.token_size} bytes, not {TOKEN_SIZE}")

    def load(self, server, protocol, core=LOAD_CORE, pid=None, **options):
        """Runs the load generator; options become its options: for_=400 is --for 400."""
        command = [TOOLS / "load", "--socket", options.pop("at", None) or server.path,
                   "--protocol", protocol,
                   "--length", self.token_size, "--timeout", 60000]
        for name, value in options.items():
            option = "--" + name.strip("_").replace("_", "-")
            command += [option] if value is True else [option, value]
        if pid:
            command += ["--server", pid]
        return run_tool(command, core)

    def fill(self, server, first=0, count=KEYS, **options):
        """Has the server hold `count` keys, each of which was checked."""
        shape = {"connections": 8, "depth": 8, "sequential": True}
        memcached = server.name == "memcached"
        more = {} if memcached else {"owner": True}
        return self.load(server, "set" if memcached else "tokend", first=first, keys=count,
                         count=count, **shape, **more, **options)


def free_address():
    """ADDRESS:PORT where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def is_listening(address):
    is_local = address.startswith("unix:")
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET) as s:
        return s.connect_ex(address[len("unix:"):] if is_local else (host, int(port))) == 0


def busy_share(seconds=0.5):
    """The share of all CPU time that others use, while nothing of ours runs."""
    def sample():
        with open("/proc/stat", encoding="ascii") as stat:
            ticks = [int(field) for field in stat.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]  # idle and waiting for disks

    total, idle = sample()
    time.sleep(seconds)
    total_then, idle_then = sample()
    return 1 - (idle_then - idle) / max(1, total_then - total)


def wait_for_quiet(seconds):
    """Waits until the others use less than BUSY, but not for long; returns what they use."""
    deadline = time.monotonic() + seconds
    while (share := busy_share()) > BUSY and time.monotonic() < deadline:
        pass
    return share


def daemon_env():
    return {**{name: value for name, value in os.environ.items() if not name.startswith("CLERK_")},
            "CLERK_SECRET_KEY": "sk_test_sandbox"}


def run_tool(command, core=None, env=None):
    """Runs one of our tools to its end and returns what it printed, from JSON."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, env=env,
                          stderr=subprocess.PIPE, text=True, preexec_fn=in_child(core), timeout=600)
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1] if done.stderr else
                     f"{command[0]} ended with status {done.returncode}")
    return json.loads(done.stdout)


def raise_file_limit(clients):
    """Lets our children have that many clients each; returns how many the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + 1000
    if hard < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            hard = wanted
    return min(clients, hard - 1000)
