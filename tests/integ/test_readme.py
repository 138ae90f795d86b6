"""What the README shows is true."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "README.md").read_text()

    def test_the_configuration_is_good(self):
        blocks = re.findall(r"```ini\n(.*?)```", self.text, re.DOTALL)
        self.assertTrue(blocks)
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder, "key")
            key.write_text("sk_test_readme")
            key.chmod(0o600)
            webhook_secret = pathlib.Path(folder, "webhook_secret")
            webhook_secret.write_text("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
            webhook_secret.chmod(0o600)
            config = pathlib.Path(folder, "clerk-tokend.conf")
            for block in blocks:
                block = block.replace("/etc/clerk-tokend/secret_key", str(key))
                block = block.replace("/etc/clerk-tokend/webhook_secret", str(webhook_secret))
                # the group is made by the installation
                config.write_text(block.replace("gid=clerk-token", "gid=0"))
                done = subprocess.run(
                    [BUILD / "clerk-tokend", "--config", config, "--check-config"],
                    env={**os.environ, "CLERK_SECRET_KEY": "sk_test_readme"},
                    capture_output=True, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_it_points_to_is_there(self):
        for target in re.findall(r"\]\(([^)#:]+)\)", self.text):
            self.assertTrue((ROOT / target).exists(), target)


if __name__ == "__main__":
    unittest.main()
