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
            credential = pathlib.Path(folder, "clerk_webhook_secret")  # as systemd hands it over
            credential.write_text("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
            credential.chmod(0o600)
            config = pathlib.Path(folder, "clerk-tokend.conf")
            for block in blocks:
                block = block.replace("/etc/clerk-tokend/secret_key", str(key))
                # the group is made by the installation
                config.write_text(block.replace("gid=clerk-token", "gid=0"))
                done = subprocess.run(
                    [BUILD / "clerk-tokend", "--config", config, "--check-config"],
                    env={**os.environ, "CLERK_SECRET_KEY": "sk_test_readme",
                         "CREDENTIALS_DIRECTORY": folder},
                    capture_output=True, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_it_contains(self):
        """A heading's anchor, as GitHub makes it."""
        headings = re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
        self.assertLessEqual(set(re.findall(r"\]\(#([^)]+)\)", self.text)), anchors)


class DocumentsTest(unittest.TestCase):
    def test_what_they_point_to_is_there(self):
        documents = [path for path in ROOT.rglob("*.md")
                     if not {"node_modules", "build", "dist"} & set(path.relative_to(ROOT).parts)]
        self.assertIn(ROOT / "docs/SECURITY.md", documents)
        for document in documents:
            for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)\s]*)?\)", document.read_text()):
                self.assertTrue((document.parent / target).exists(), f"{document}: {target}")

    def test_the_tests_that_show_it_are_there(self):
        """Each `file` in SECURITY.md's figures has the tests that are named behind it."""
        figures = (ROOT / "docs/SECURITY.md").read_text().partition("## Figures")[2]
        named = 0
        for file, tests in re.findall(r"`(test_\w+\.(?:py|c))`((?:,? test_\w+)+)", figures):
            folder = "integ" if file.endswith(".py") else "unit"
            text = (ROOT / "tests" / folder / file).read_text()
            for test in re.findall(r"test_\w+", tests):
                self.assertRegex(text, rf"\b{test}\(", file)
                named += 1
        self.assertGreater(named, 20)


if __name__ == "__main__":
    unittest.main()
