"""The box itself: nothing of it is left, however its test ends."""

import subprocess
import sys
import unittest
from pathlib import Path

import box
import guard
import harness

# A test that starts a box and then hangs.
HANGS = """
import sys, time
sys.path.insert(0, sys.argv[1])
import box
b = box.Box()
print(b.guard.pid, b.pid, flush=True)
time.sleep(600)
"""


def setUpModule():
    reason = box.why_not()
    if reason:
        raise unittest.SkipTest(reason)


class Leftovers(unittest.TestCase):
    def test_of_a_test_that_is_killed(self):
        test = subprocess.Popen([sys.executable, "-c", HANGS, box.HERE], stdout=subprocess.PIPE,
                                preexec_fn=harness.die_with_parent)
        self.addCleanup(test.stdout.close)
        self.addCleanup(test.wait)
        self.addCleanup(test.kill)
        guard_pid, systemd_pid = map(int, test.stdout.readline().split())
        left = [guard.Cgroup.path_of(guard_pid), Path(f"/proc/{guard_pid}"),
                Path(f"/proc/{systemd_pid}")]
        self.assertEqual([path for path in left if not path.exists()], [])
        test.kill()
        harness.wait_for(lambda: not [path for path in left if path.exists()],
                         what=f"the end of {left}")


if __name__ == "__main__":
    unittest.main()
