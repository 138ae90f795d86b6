"""docs/ops: the alerts fire when they should, and nothing there asks for what the daemon hasn't."""

import json
import re
import shutil
import subprocess
import unittest

import harness
from test_metrics import INSTALL, MetricsCase

OPS = harness.ROOT / "docs/ops"
METRIC = re.compile(r"\b(?:clerk_tokend|process)_\w+")


class Ops(MetricsCase):
    def exported(self):
        """The names of all samples."""
        self.start()
        return {re.split("[{ ]", name)[0] for name in self.metrics()[1].splitlines()}

    def test_the_alerts(self):
        if not shutil.which("promtool"):
            self.skipTest(f"promtool {INSTALL}")
        for arguments in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts-test.yml")):
            done = subprocess.run(["promtool", *arguments], cwd=OPS, check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_alert_is_tested_and_explained(self):
        alerts = re.findall(r"- alert: (\w+)", (OPS / "alerts.yml").read_text())
        self.assertGreater(len(alerts), 10)
        tested = (OPS / "alerts-test.yml").read_text()
        readme = (OPS / "README.md").read_text()
        for alert in alerts:
            self.assertIn(f"alertname: {alert}\n", tested)
            self.assertIn(f"| `{alert}` |", readme)

    def test_the_names_are_the_daemons(self):
        exported = self.exported() | {"clerk_tokend_clock_skew_seconds"}  # told when it is known
        for name in ("alerts.yml", "alerts-test.yml", "dashboard.json"):
            used = set(METRIC.findall((OPS / name).read_text()))
            self.assertEqual(used - exported, set(), name)

    def test_the_dashboard(self):
        dashboard = json.loads((OPS / "dashboard.json").read_text())
        panels = dashboard["panels"]
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        taken = set()
        for p in panels:
            g = p["gridPos"]
            cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                     for y in range(g["y"], g["y"] + g["h"])}
            self.assertFalse(cells & taken, p["title"])
            self.assertLessEqual(g["x"] + g["w"], 24)
            taken |= cells
            for target in p["targets"]:
                self.assertIn("$job", target["expr"])


if __name__ == "__main__":
    unittest.main()
