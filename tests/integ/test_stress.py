"""Threads and forked children that share one client, while the daemon is stopped, killed and started.

A small run each for the library as it is, under valgrind, and built with ThreadSanitizer; STRESS_GETS,
STRESS_RESTARTS and STRESS_THREADS in the environment make it a large one (`make stress`).
"""

import json
import os
import shutil
import subprocess
import unittest

import harness

GETS = int(os.environ.get("STRESS_GETS", 150000))
RESTARTS = int(os.environ.get("STRESS_RESTARTS", 10))
THREADS = int(os.environ.get("STRESS_THREADS", 16))
IS_LARGE = GETS >= 1000000
FORKS = 4
TIMEOUT_MS = 10000
LIFETIME_S = 5
PROGRAM = harness.BUILD / "tests/stress/clerk-token-stress"
PROGRAM_TSAN = harness.BUILD / "tests/stress/clerk-token-stress.tsan"
TIME_LIMIT_S = 60 + GETS / 500


class Test(harness.Case):
    def start(self):
        """Tokens of a short life, so that they end and are renewed meanwhile."""
        sandbox = self.sandbox("--lifetime", str(LIFETIME_S))
        return self.daemon(sandbox, {"clerk": {"rate_limit": "100000/10s"}, "cache": {"min_ttl": "1s"}})

    def stress(self, command, gets, restarts=RESTARTS, threads=THREADS, forks=FORKS, env=None):
        daemon = self.start()
        argv = [*command, daemon.socket, threads, forks, gets, restarts, TIMEOUT_MS]
        with open(daemon.dir / "stress", "wb") as errors:
            program = subprocess.Popen(
                [str(a) for a in argv], stdout=subprocess.PIPE, stderr=errors,
                env=harness.clean_environment(env), preexec_fn=harness.die_with_parent)
        try:
            for done in range(restarts):
                self.assertEqual(program.stdout.readline(), b".\n")
                self.assertIsNone(program.poll(), "it has ended before the last restart")
                if done % 2:
                    daemon.kill()
                else:
                    self.assertEqual(daemon.stop(), 0)
                daemon.start()
            output = program.communicate(timeout=TIME_LIMIT_S)[0]
        finally:
            program.kill()
            program.wait()
            program.stdout.close()
        said = (daemon.dir / "stress").read_text(errors="replace")
        self.assertEqual(program.returncode, 0, f"{output} {said[-4000:]}")
        result = json.loads(output.splitlines()[-1])
        if IS_LARGE:
            print(json.dumps(result))
        self.assertGreaterEqual(result["gets"], gets * 9 // 10)
        self.assertEqual(result["tokens"] + result["late"], result["gets"])
        self.assertEqual(result["forks"], threads * forks)
        return said

    def test_restarts(self):
        self.stress([PROGRAM], GETS)

    @unittest.skipUnless(shutil.which("valgrind"), "no valgrind")
    @unittest.skipIf(PROGRAM.exists() and harness.is_sanitized(PROGRAM), "not beside AddressSanitizer")
    def test_memory(self):
        valgrind = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]
        self.stress([*valgrind, PROGRAM], GETS // 25, restarts=4, threads=4)

    @unittest.skipUnless(PROGRAM_TSAN.exists(), "the compiler has no ThreadSanitizer")
    def test_races(self):
        """Without forks: ThreadSanitizer's own allocator doesn't survive them. No memory is shared
        with a child anyway."""
        said = self.stress([PROGRAM_TSAN], GETS // 5, restarts=4, forks=0,
                           env={"TSAN_OPTIONS": "exitcode=66"})
        self.assertNotIn("WARNING: ThreadSanitizer", said)


if __name__ == "__main__":
    unittest.main()
