#!/usr/bin/env python3
"""Tries what the daemon has no need of, and prints what came of each as JSON: "ok" or an errno's
name. Run as the service by test_hardening.py, and without it, to see that a refusal is the unit's.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PTRACE_TRACEME = 0
PER_LINUX32 = 8
SYSLOG_SIZE = 10
MULTICAST = ("239.255.255.250", 1900)


def call(function, *arguments):
    def act():
        if getattr(libc, function)(*arguments) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    return act


def write(path):
    def act():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return act


def read(path):
    def act():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.read(fd, 1)
        finally:
            os.close(fd)
    return act


def open_socket(family, kind, protocol=0):
    return lambda: socket.socket(family, kind, protocol).close()


def send_multicast():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        s.sendto(b"x", MULTICAST)


def unit_of(pid):
    def act():
        unit = ctypes.c_char_p()
        result = ctypes.CDLL("libsystemd.so.0").sd_pid_get_unit(pid, ctypes.byref(unit))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
    return act


def connect_loopback():
    socket.create_connection(("127.0.0.1", 8080), 5).close()


def make_setuid():
    path = "/dev/shm/probe"
    write(path)()
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def write_and_run_memory():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


FORBIDDEN = {
    "write to /etc": write("/etc/probe"),
    "write to /usr": write("/usr/probe"),
    "write to /var": write("/var/probe"),
    "write to /run": write("/run/probe"),
    "list /home": lambda: os.listdir("/home"),
    "list /root": lambda: os.listdir("/root"),
    "read the encrypted key": lambda: os.listdir("/etc/credstore.encrypted"),
    "read /proc/1/environ": read("/proc/1/environ"),
    "read /proc/meminfo": read("/proc/meminfo"),
    "kernel log": call("klogctl", SYSLOG_SIZE, None, 0),
    "netlink": open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packets": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw IP": open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "multicast": send_multicast,
    "user namespace": call("unshare", CLONE_NEWUSER),
    "network namespace": call("unshare", CLONE_NEWNET),
    "mount": call("mount", b"tmpfs", b"/mnt", b"tmpfs", 0, None),
    "chroot": call("chroot", b"/"),
    "ptrace": call("ptrace", PTRACE_TRACEME, 0, None, None),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    "another personality": call("personality", PER_LINUX32),
    "memory to write and run": write_and_run_memory,
    "a setuid file": make_setuid,
}

NEEDED = {
    "connect": connect_loopback,
    "a Unix socket": open_socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "IPv6": open_socket(socket.AF_INET6, socket.SOCK_STREAM),
    "the unit of who asks": unit_of(int(sys.argv[1])),
    "its own memory": lambda: mmap.mmap(-1, 4096).close(),
}


def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "ok"


def main():
    # In a process each: some change it.
    for name, act in {**FORBIDDEN, **NEEDED}.items():
        if os.fork() == 0:
            kind = "needed" if name in NEEDED else "forbidden"
            print(json.dumps([kind, name, attempt(act)]), flush=True)
            os._exit(0)
        os.wait()


if __name__ == "__main__":
    main()
