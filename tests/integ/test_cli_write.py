"""clerk-token watch --write: a file that holds a token that is valid, or is not there."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness  # noqa: E402
from fake_daemon import DEADLINE_S, jwt  # noqa: E402
from test_cli import NOT_FOUND, OTHER, CliCase, Watch  # noqa: E402

Start = Watch.start
del Watch  # its tests are not run twice


class Write(CliCase):
    def setUp(self):
        super().setUp()
        self.fake = self.serve()
        self.folder = Path(self.directory, "tokens")
        self.folder.mkdir()
        self.file = self.folder / "token"

    def start(self, *words):
        return Start(self, "sess_ok", "t", "--write", str(self.file), *words)

    def read(self):
        with contextlib.suppress(FileNotFoundError):
            return self.file.read_text()
        return None

    def wait_for(self, text):
        harness.wait_for(lambda: self.read() == text, what="the file's text")

    def push(self, **fields):
        """A token for who watches; the last session's watch must stand."""
        self.fake.wait_for_request("WATCH")
        return self.fake.push("sess_ok", "t", **fields)

    def test_each_token(self):
        child = self.start()
        self.wait_for(jwt("sess_ok", "t"))
        for _ in range(3):
            self.wait_for(self.push())
        self.assertEqual(os.listdir(self.folder), ["token"])
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=DEADLINE_S)
        self.assertEqual((child.returncode, out, err), (-signal.SIGTERM, "", ""))
        self.assertTrue(self.file.exists(), "a signal leaves it")

    def test_json(self):
        self.start("--json")
        harness.wait_for(self.read)
        self.assertEqual(json.loads(self.read())["jwt"], jwt("sess_ok", "t"))

    def test_mode(self):
        for umask in (0, 0o777):
            before = os.umask(umask)
            try:
                child = self.start()
            finally:
                os.umask(before)
            self.wait_for(jwt("sess_ok", "t"))
            self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
            child.kill()
            child.wait()
            self.file.unlink()

    def test_replaced_as_a_whole(self):
        """Who has it open keeps the old one; nobody ever reads a part."""
        self.file.write_text("from before")
        self.file.chmod(0o644)
        with self.file.open() as old:
            self.start()
            self.wait_for(jwt("sess_ok", "t"))
            self.assertEqual(old.read(), "from before")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        seen, done = set(), threading.Event()

        def look():
            while not done.is_set():
                seen.add(self.read())

        reader = threading.Thread(target=look)
        reader.start()
        tokens = {jwt("sess_ok", "t")} | {self.push() for _ in range(50)}
        self.wait_for(jwt("sess_ok", "t", 50))
        done.set()
        reader.join()
        self.assertLessEqual(seen, tokens)

    def test_gone(self):
        child = self.start()
        self.wait_for(jwt("sess_ok", "t"))
        self.fake.push_gone("sess_ok", "t", "not_found")
        _, err = child.communicate(timeout=DEADLINE_S)
        self.assertEqual(child.returncode, NOT_FOUND)
        self.assertIn(f"{self.file} is removed", err)
        self.assertEqual(os.listdir(self.folder), [])

    def test_gone_but_somebody_elses(self):
        child = self.start()
        self.wait_for(jwt("sess_ok", "t"))
        other = self.folder / "other"
        other.write_text("of another watch")
        other.rename(self.file)
        self.fake.push_gone("sess_ok", "t", "not_found")
        self.assertEqual(child.wait(DEADLINE_S), NOT_FOUND)
        self.assertEqual(self.read(), "of another watch")

    def test_expired(self):
        child = self.start()
        self.wait_for(jwt("sess_ok", "t"))
        self.push(ttl=300)
        self.wait_for(None)
        self.wait_for(self.push())
        child.terminate()
        self.assertIn("expired", child.communicate(timeout=DEADLINE_S)[1])

    def test_expired_without_a_daemon(self):
        child = self.start()
        self.wait_for(jwt("sess_ok", "t"))
        self.push(ttl=300)
        self.fake.stop()
        self.wait_for(None)
        self.assertIsNone(child.poll(), "it waits for the daemon to come back")
        self.fake.start()
        self.wait_for(jwt("sess_ok", "t"))

    def test_first_fails(self):
        self.file.write_text("from before")
        self.assert_fails(NOT_FOUND, "watch", "sess_err_not_found", "--write", str(self.file))
        self.assertEqual(self.read(), "from before")

    def test_what_is_no_file(self):
        link = self.folder / "link"
        link.symlink_to("token")
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        for path, text in (
            (self.folder, "is a directory"),
            (f"{self.folder}/", "is a directory"),
            (link, "is a symbolic link"),
            (fifo, "no regular file"),
            ("/dev/null", "no regular file"),
            (self.folder / "none" / "token", "No such file"),
            ("", "is a directory"),
            (self.folder / ("x" * 256), "too long"),
        ):
            with self.subTest(path):
                self.assertIn(text, self.assert_fails(OTHER, "watch", "sess_ok", "--write", str(path)))
        self.assertEqual(self.fake.requests, [])
        self.assertTrue(Path("/dev/null").is_char_device())

    def test_relative(self):
        child = Start(self, "sess_ok", "t", "--write", os.path.relpath(self.file))
        self.wait_for(jwt("sess_ok", "t"))
        child.kill()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, "/")
        self.file.unlink()
        Start(self, "sess_ok", "t", "--write", "token")
        self.wait_for(jwt("sess_ok", "t"))

    def test_disk_full(self):
        """Nothing is left of what could not be written."""
        script = f"ulimit -f 0; trap '' XFSZ; exec \"$0\" watch sess_ok --write {self.file}"
        done = subprocess.run(["sh", "-c", script, *self.command()], env=self.environment(), text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, OTHER)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
