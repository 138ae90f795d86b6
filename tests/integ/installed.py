"""The library as a stranger finds it: put somewhere by `make install`, found through pkg-config."""

import os
import shutil
import subprocess
import unittest

import harness


def run(argv, **options):
    """Its output; standard error is shown if it fails."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, check=False, **options)
    if done.returncode:
        raise AssertionError(f"{argv}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def make(*arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return run(["make", "-s", f"BUILD={harness.BUILD}", *arguments], cwd=harness.ROOT, env=env)


class Installation:
    def __init__(self):
        library = harness.BUILD / "libclerktoken.so.1"
        if b"__asan_init" in library.read_bytes() or b"__ubsan_" in library.read_bytes():
            raise unittest.SkipTest("built with a sanitizer, which a stranger's program lacks")
        self.dir = harness.make_directory()
        self.prefix = self.dir / "usr/local"
        self.lib = self.prefix / "lib"
        try:
            make("install", f"DESTDIR={self.dir}")
        except BaseException:
            self.close()
            raise

    def pkg_config(self, *arguments):
        """Its answer, in words."""
        env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(self.dir),
               "PKG_CONFIG_PATH": str(self.lib / "pkgconfig")}
        return run(["pkg-config", *arguments, "clerktoken"], env=env).split()

    def environment(self, **more):
        """For a program that was linked with the shared library."""
        return harness.clean_environment({"LD_LIBRARY_PATH": self.lib, **more})

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
