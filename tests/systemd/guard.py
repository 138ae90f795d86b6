#!/usr/bin/env python3
"""Starts a systemd as PID 1 of namespaces of its own, and ends it and all that it left.

    guard.py BOOT LAYER

BOOT is run there, with LAYER. The first line on standard output is systemd's process id out here.
When standard input ends, so does everything: it is a pipe from the test, which the kernel closes
however the test ends. The guard has a session of its own, so that it outlives a test that is killed
with its process group, for as long as that takes.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integ"))

import harness

END_S = 10.0
NAMESPACES = ["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]


def cgroup_root():
    """Where the unified hierarchy is mounted; on a hybrid host that is a folder of its own."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    return None


class Cgroup:
    """A cgroup and all below it."""

    def __init__(self):
        self.path = self.path_of(os.getpid())
        self.path.mkdir()

    @staticmethod
    def path_of(guard_pid):
        return cgroup_root() / f"clerk-tokend-tests-{guard_pid}"

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def remove(self):
        end = time.monotonic() + END_S
        while self.path.exists():
            for folder, _, _ in os.walk(self.path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass  # a process of it is not quite gone
            if time.monotonic() > end:
                raise harness.Timeout(f"{self.path} can't be removed")
            time.sleep(0.01)


def child_of(process):
    """The process id of its only child; 0 if it ended without one."""
    def look():
        if process.poll() is not None:
            return [0]
        return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(harness.wait_for(look, END_S, "a child of unshare")[0])


def start(boot, layer, cgroup):
    def prepare():
        harness.die_with_parent()
        cgroup.enter()

    return subprocess.Popen(
        ["unshare", "--fork", "--kill-child", *NAMESPACES, boot, layer],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=prepare,
    )


def main(boot, layer):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the test says when
    cgroup = Cgroup()
    try:
        unshare = start(boot, layer, cgroup)
        pid = child_of(unshare)
        print(pid, flush=True)
        sys.stdin.buffer.read()
        if unshare.poll() is None:
            os.kill(pid, signal.SIGKILL)  # PID 1 of the namespace: all else goes with it
            unshare.wait(END_S)
    finally:
        cgroup.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
