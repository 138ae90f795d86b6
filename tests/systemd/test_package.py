"""The Debian packages: built, looked at by lintian, and put into a real systemd."""

import re
import shutil
import subprocess
import unittest

import box
import harness

SERVICE = "clerk-tokend.service"
SOCKET = "clerk-tokend.socket"
PORT = "clerk-tokend-http.socket"
PACKAGES = ("clerk-tokend", "clerk-token", "libclerktoken1", "libclerktoken-dev",
            "clerk-bapi-sandbox")
DIST = harness.ROOT / "dist"
BUILD_S = 600
TOKENS = 1000
INSTANCE = "clerk-tokend@other"


def make(*arguments):
    done = subprocess.run(["make", "-s", *arguments], cwd=harness.ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=BUILD_S, check=False)
    if done.returncode:
        raise AssertionError(f"make {' '.join(arguments)}: {done.stdout[-8000:]}")
    return done.stdout


def package(name, version):
    return next(DIST.glob(f"{name}_{version}_*.deb"))


class PackageBox(box.Box):
    """One in which nothing of ours is installed but what plays Clerk; packages lie in /debs."""

    def install(self):
        self.lint = make("deb")
        self.version = re.search(r"(?m)^VERSION := (.+)$",
                                 (harness.ROOT / "Makefile").read_text()).group(1)
        layer = self.dir / "layer"
        for folder in ("usr/bin", "debs/now", "debs/next"):
            (layer / folder).mkdir(parents=True)
        shutil.copy(harness.BUILD / "clerk-bapi-sandbox", layer / "usr/bin")
        for name in PACKAGES:
            deb = package(name, self.version)
            shutil.copy(deb, layer / "debs/now")
            self.repack(deb, layer / "debs/next" / deb.name)
        self.add_programs(layer)

    def repack(self, deb, to):
        """The same package, as a later version."""
        folder = self.dir / "repacked"
        subprocess.run(["dpkg-deb", "-R", deb, folder], check=True)
        control = folder / "DEBIAN/control"
        control.write_text(control.read_text().replace(self.version, self.version + "+next"))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", folder, to], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(folder)


setUpModule, tearDownModule = box.for_module(
    PackageBox, ["dpkg-buildpackage", "dh", "lintian"])


class Package(box.Case):
    def setUp(self):
        self.box.run("rm", "-f", "/usr/sbin/policy-rc.d")  # of a container, in which nothing starts
        self.addCleanup(self.dpkg, "--purge", *PACKAGES)
        self.install("now")
        self.addCleanup(self.box.bapi, "POST", "reset")

    def dpkg(self, *arguments):
        return self.box.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *arguments)

    def install(self, which):
        self.dpkg("--force-confold", "-i", *self.box.run(
            "sh", "-c", f"ls /debs/{which}/*.deb").split())

    def use(self):
        self.box.give_key()
        self.box.configure("rate_limit = 100000/1s\nbudget = 100%")
        self.box.bapi("POST", "config", lifetime_s=3600, rate_limit=None)

    def start_instance(self):
        """One that is running, and asked for nothing."""
        self.box.give_key(instance="other")
        self.box.configure(instance="other")
        self.box.run("systemctl", "start", f"{INSTANCE}.service")
        self.addCleanup(self.box.attempt, "systemctl", "stop", f"{INSTANCE}.socket",
                        f"{INSTANCE}.service")

    def fill(self):
        """Asks for many tokens; how many came from memory."""
        script = ("import socket\n"
                  "s = socket.socket(socket.AF_UNIX)\n"
                  "s.connect('/run/clerk-tokend/clerk-tokend.sock')\n"
                  "lines = s.makefile()\n"
                  "cached = 0\n"
                  f"for first in range(0, {TOKENS}, 50):\n"
                  "    s.sendall(''.join(f'GET sess_p{i} hasura\\n' for i in range(first, first + 50))"
                  ".encode())\n"
                  "    cached += sum('src=cache' in lines.readline() for _ in range(50))\n"
                  "print(cached)\n")
        return int(self.box.run("python3", "-c", script))

    def test_lintian_has_nothing_to_say(self):
        self.assertNotRegex(self.box.lint, r"(?m)^[EWI]: ")

    def test_installed(self):
        """The socket listens, nothing runs, and one secret is all that is missing."""
        self.assertEqual(self.box.show(SOCKET, "ActiveState"), "active")
        self.assertEqual(self.box.show(SOCKET, "UnitFileState"), "enabled")
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "inactive")
        self.assertEqual(self.box.show(PORT, "ActiveState"), "inactive")
        self.assertEqual(self.box.show(PORT, "UnitFileState"), "disabled")
        self.assertIn("clerk-token:", self.box.run("getent", "group", "clerk-token"))
        mode = self.box.run("stat", "-c", "%a %U %G", "/run/clerk-tokend/clerk-tokend.sock")
        self.assertEqual(mode.strip(), "660 root clerk-token")
        self.use()
        token = self.box.run("clerk-token", "get", "sess_1", "hasura")
        self.assertEqual(token.count("."), 2)
        for program in ("clerk-bapi-sandbox", "clerk-token"):
            self.assertIn(self.box.version, self.box.run(program, "--version"))
            self.assertIn(program + ":", self.box.run("dpkg", "-S", f"/usr/bin/{program}"))

    def test_upgraded(self):
        """Clients see a pause and no error; what was in memory is there."""
        self.use()
        self.box.run("systemctl", "enable", "--now", PORT)
        since = self.box.show(PORT, "ActiveEnterTimestampMonotonic")
        self.assertEqual(self.fill(), 0)
        load = box.Load(self, 50, 2)
        calls = self.box.bapi_calls()
        before = self.box.main_pid()
        self.install("next")
        self.box.wait_for_property(SERVICE, "SubState", "running")
        self.assertNotEqual(self.box.main_pid(), before)
        self.assertEqual(self.fill(), TOKENS)
        self.assertEqual(load.finish()["errors"], 0)
        self.assertEqual(self.box.bapi_calls(), calls)
        self.assertEqual(self.box.show(PORT, "ActiveEnterTimestampMonotonic"), since)
        self.assertEqual(self.box.show(PORT, "UnitFileState"), "enabled")

    def test_instances_upgraded(self):
        """Those that run go on as the new version, those that do not stay as they are."""
        self.use()
        self.start_instance()
        before = self.box.main_pid(f"{INSTANCE}.service")
        self.install("next")
        self.box.wait_for_property(f"{INSTANCE}.service", "SubState", "running")
        self.assertNotEqual(self.box.main_pid(f"{INSTANCE}.service"), before)
        self.box.run("systemctl", "stop", f"{INSTANCE}.service")
        self.install("now")
        self.assertEqual(self.box.show(f"{INSTANCE}.service", "ActiveState"), "inactive")

    def test_removed_and_purged(self):
        self.use()
        self.start_instance()
        self.box.run("systemctl", "enable", "--now", PORT)
        self.box.run("clerk-token", "get", "sess_1")
        self.dpkg("--remove", *PACKAGES)
        self.assertEqual(self.box.show(SERVICE, "ActiveState"), "inactive")
        self.assertEqual(self.box.show(SOCKET, "ActiveState"), "inactive")
        self.assertEqual(self.box.show(PORT, "ActiveState"), "inactive")
        self.assertEqual(self.box.show(f"{INSTANCE}.service", "ActiveState"), "inactive")
        self.assertEqual(self.box.show(f"{INSTANCE}.socket", "ActiveState"), "inactive")
        kept = self.box.run("ls", "/etc/clerk-tokend", "/etc/credstore.encrypted")
        self.assertIn("clerk-tokend.conf", kept)
        self.assertIn("clerk_secret_key", kept)
        self.dpkg("--purge", *PACKAGES)
        left = self.box.run("sh", "-c", "ls -d /etc/clerk-tokend /etc/credstore.encrypted/*"
                                        " /etc/systemd/system/*.wants/clerk-tokend*"
                                        " /lib/systemd/system/clerk-tokend* /usr/sbin/clerk-tokend"
                                        " 2>/dev/null; true")
        self.assertEqual(left, "")


if __name__ == "__main__":
    unittest.main()
