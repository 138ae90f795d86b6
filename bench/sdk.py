#!/usr/bin/env python3
"""Measures getToken of Clerk's SDK by the daemon's HTTP front, from memory, beside the SDK at a minimal
server of Node's that answers the same bytes at once, and at the sandbox without latency.

All three have their turns in each round; the figures are the medians, with quartiles, of the rounds'
ratios. Servers are on one processor, the SDK on another. Exit status: 0 the front is at least as
quick as each; 1 it isn't; 2 it could not be measured (no Node.js, or no npm registry).
"""
import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from harness import (BUILD, DAEMON_CONFIG, LOAD_CORE, ROOT, SERVER_CORE, Bench, Failed, Server,
                     SocketServer, daemon_env, run_tool, wait_for_quiet)

PATH = "/v1/sessions/sess_bench/tokens/hasura"
AT_ONCE = (1, 10, 50)
NAMES = {"node": "a server of Node's that answers at once", "sandbox": "the sandbox"}


def sdk_folder():
    """Where examples/frameworks/backend is installed."""
    command = [sys.executable, ROOT / "tests/frameworks/frameworks.py", "backend"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "tests/integ")})
    lines = done.stdout.strip().splitlines() or ["no reason given"]
    if done.returncode:
        raise Failed(lines[-1])
    return lines[-1]


def start_front(bench, sandbox):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = "127.0.0.1:%d" % probe.getsockname()[1]
    path = bench.new_socket("tokend")
    config = path.with_suffix(".conf")
    config.write_text(DAEMON_CONFIG.format(url=sandbox.url, clients=2000, memory="64M")
                      + f"http = {address}\n")
    command = [BUILD / "clerk-tokend", "--config", config, "--socket", path]
    bench.keep(SocketServer("clerk-tokend", command, path, "PING", bench.directory,
                            core=SERVER_CORE, env=daemon_env()))
    return f"http://{address}"


def answer_of(front):
    """What the front answers: its headers, but for those that are Node's own to write, and body."""
    request = urllib.request.Request(front + PATH, method="POST",
                                     headers={"Authorization": "Bearer sk_test_sandbox"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as a:
        headers = {k: v for k, v in a.headers.items() if k.lower() not in ("date", "connection")}
        return json.dumps(headers), a.read().decode()


def start_node(bench, front):
    command = ["node", ROOT / "bench/sdk_server.mjs", *answer_of(front)]
    server = bench.keep(Server("node", command, bench.directory, core=SERVER_CORE))
    return server.wait_for(lambda: server.log.read_text().strip(), 10)


def measure(bench, folder, options):
    sandbox = bench.sandbox()
    os.sched_setaffinity(sandbox.pid, {SERVER_CORE})
    front = start_front(bench, sandbox)
    plan = {"folder": folder, "rounds": options.rounds, "calls": options.calls,
            "at_once": AT_ONCE,
            "targets": {"front": front, "node": start_node(bench, front), "sandbox": sandbox.url}}
    return run_tool(["node", ROOT / "bench/sdk.mjs", json.dumps(plan)], LOAD_CORE, daemon_env())


def report(results):
    """Prints a table; true if the front is nowhere behind."""
    met = True
    print("| calls at once | of the calls at | front, calls/s | the other's | ratio [quartiles] | |")
    print("| ---: | --- | ---: | ---: | --- | --- |")
    for at_once, rates in results.items():
        for other, name in NAMES.items():
            ratios = [f / o for f, o in zip(rates["front"], rates[other])]
            low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
            print(f"| {at_once} | {name} | {statistics.median(rates['front']):,.0f} "
                  f"| {statistics.median(rates[other]):,.0f} "
                  f"| {middle:.2f} [{low:.2f} {high:.2f}] | {'met' if middle >= 1 else 'not met'} |")
            met = met and middle >= 1
    return met


def main():
    parser = argparse.ArgumentParser(description="Measures Clerk's SDK at the daemon's HTTP front.")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--calls", type=int, default=1000, help="of a target in a round (1000)")
    options = parser.parse_args()
    try:
        folder = sdk_folder()
        busy = wait_for_quiet(30)
        with tempfile.TemporaryDirectory(prefix="clerk-tokend-bench-") as directory:
            bench = Bench(Path(directory), False)
            with contextlib.closing(bench.stack):
                results = measure(bench, folder, options)
    except Failed as problem:
        print(f"not measured: {problem}", file=sys.stderr)
        return 2
    print(f"other programs used {busy:.0%} of the processors")
    return 0 if report(results) else 1


if __name__ == "__main__":
    sys.exit(main())
