"""The completions, in the shells that they are for."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import BUILD, DEADLINE_S, ROOT, clean_environment  # noqa: E402

FOLDER = ROOT / "client" / "completions"
LOADER = Path("/usr/share/bash-completion/bash_completion")
COMMANDS = ["get", "watch", "exec", "drop", "flush", "why", "ping", "stats", "top", "doctor"]
COMMON = ["--json", "--socket", "--help", "--version"]
GET = ["--min-ttl", "--wait", "--expires-in", "--not"]
WHY = ["--uid", "--gid", "--unit"]
EVERY = COMMON + GET + WHY + ["--write", "--once"]

# What is on the line; all of the commands and options that are offered then.
CASES = [
    ("", COMMANDS),
    ("ge", ["get"]),
    ("w", ["watch", "why"]),
    ("--", EVERY),
    ("--json --socket ping ", COMMANDS),  # that is the socket's name
    ("get --", COMMON + GET),
    ("get s t --w", ["--wait"]),
    ("watch s --w", ["--wait", "--write"]),
    ("exec s --expires-in 60 --n", ["--not"]),
    ("drop --", COMMON),
    ("flush --", COMMON),
    ("top --", COMMON + ["--once"]),
    ("why --", COMMON + WHY),
    ("stats --js", ["--json"]),
    ("get --wait ", []),
    ("get ", []),
    ("exec s t -- printen", ["printenv"]),
    ("exec s t -- no-such-program --", []),
    ("why s --uid roo", ["root"]),
    ("why s --gid roo", ["root"]),
    ("watch s --write /usr/bin/printen", ["/usr/bin/printenv"]),
]


def help_text():
    return subprocess.run([BUILD / "clerk-token", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


class Complete(unittest.TestCase):
    """Nothing of --help is missing, nothing else is there."""

    def test_help(self):
        text = help_text()
        commands = re.findall(r"^  ([a-z]+)\b", text, re.MULTILINE)
        options = re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE) + ["--version"]
        self.assertEqual(sorted(commands), sorted(COMMANDS))
        self.assertEqual(sorted(options), sorted(EVERY))

    def test_files(self):
        """Each file names all of them, on machines without its shell too."""
        for path in sorted(FOLDER.iterdir()):
            text = path.read_text()
            for word in COMMANDS + [o.lstrip("-") for o in EVERY]:
                self.assertRegex(text, rf"(?<![\w]){word}(?![\w-])", path.name)

    def test_which_command_has_which(self):
        """As the program itself has it: CASES is right."""
        for command in COMMANDS:
            offered = next((o for line, o in CASES if line == f"{command} --"), None)
            if command in ("watch", "exec", "ping", "stats", "doctor"):
                continue  # as get with --write, as get, as drop
            for option in GET + WHY + ["--write", "--once"]:
                value = [] if option == "--once" else ["30"]
                words = [command] + ["s"] * (command in ("get", "drop", "why")) + [option, *value]
                done = subprocess.run([BUILD / "clerk-token", "--socket", "/nonexistent/s", *words],
                                      stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual("doesn't have this option" not in done.stderr, option in offered, words)


class Shell:
    """What is offered at the end of a line; the shells' tests are in here once."""

    program = None

    def setUp(self):
        if not shutil.which(self.program):
            self.skipTest(f"{self.program} is missing")
        self.folder = tempfile.mkdtemp(prefix="test_completions_")
        self.addCleanup(shutil.rmtree, self.folder)
        (Path(self.folder) / "clerk-token").symlink_to(BUILD / "clerk-token")
        self.env = clean_environment({"HOME": self.folder, "TERM": "dumb", "LC_ALL": "C.UTF-8",
                                      "PATH": f"{self.folder}:{os.environ['PATH']}"})

    def run_shell(self, *words):
        done = subprocess.run([self.program, *words], env=self.env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_cases(self):
        for line, expected in CASES:
            with self.subTest(line):
                self.assertEqual(sorted(self.offered(line)), sorted(expected))


class Bash(Shell, unittest.TestCase):
    program = "bash"
    source = f". {FOLDER}/clerk-token.bash"

    def offered(self, line):
        script = """
            COMP_LINE="clerk-token $1" COMP_POINT=${#COMP_LINE}
            read -ra COMP_WORDS <<<"$COMP_LINE"
            [[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            compopt() { :; }
            _clerk_token clerk-token
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        out = self.run_shell("--norc", "--noprofile", "-c", f"{self.source}\n{script}", "bash", line)
        return {w for w in out.splitlines() if w and w != "--"}

    def test_equals(self):
        self.assertEqual(self.offered("why s --uid = roo"), {"root"})  # as bash splits it
        self.assertEqual(self.offered("why --uid = x --g"), {"--gid"})


class BashCompletion(Bash):
    """The same as it is found by bash-completion, which finds the program's completions, too."""

    source = f". {LOADER}\nln -sf {FOLDER}/clerk-token.bash \"$BASH_COMPLETION_USER_DIR/completions/clerk-token\"\n" \
             "_completion_loader clerk-token\ncomplete -p clerk-token >/dev/null"

    def setUp(self):
        if not LOADER.exists():
            self.skipTest("bash-completion is missing")
        super().setUp()
        (Path(self.folder) / "completions").mkdir()
        self.env["BASH_COMPLETION_USER_DIR"] = self.folder


class Fish(Shell, unittest.TestCase):
    program = "fish"

    def offered(self, line):
        out = self.run_shell("--no-config", "-c", f"source {FOLDER}/clerk-token.fish; complete -C \"clerk-token $argv\"",
                             "--", line)
        return [w.split("\t")[0] for w in out.splitlines()]


class Zsh(Shell, unittest.TestCase):
    """zsh completes only for somebody at a terminal."""

    program = "zsh"

    def setUp(self):
        super().setUp()
        (Path(self.folder) / "_clerk-token").symlink_to(FOLDER / "clerk-token.zsh")
        # What would be offered is printed, and not offered.
        (Path(self.folder) / ".zshrc").write_text(r"""
            unset zle_bracketed_paste
            PROMPT=%1{[go]%}
            fpath=(~ $fpath)
            autoload -Uz compinit && compinit -u -D
            compadd() {
                if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
                    builtin compadd "$@"
                    return
                fi
                local -a hits
                builtin compadd -A hits "$@"
                print -rl -- $'\n'"<"${^hits}">"
            }
            zle -C offer list-choices _main_complete
            bindkey '^G' offer
        """)
        pid, self.master = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-i", "--no-globalrcs"], self.env)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.kill, pid, 9)
        self.type("print -r -- do''ne\n")

    def type(self, keys):
        """What it says, up to the prompt behind `done`: before it listens the terminal itself takes keys."""
        os.write(self.master, keys.encode())
        end = time.monotonic() + DEADLINE_S
        said = ""
        while "[go]" not in said.partition("done\r\n")[2]:
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no prompt: {said!r}")
            said += os.read(self.master, 65536).decode(errors="replace")
        return said

    def offered(self, line):
        said = self.type(f"clerk-token {line}\x07\x15print -r -- do''ne\n")
        return {w.removesuffix("=") for w in re.findall(r"\n<([^>\r\n]*)>", said.replace("\r", ""))}

    def test_cases(self):
        for line, expected in CASES:
            with self.subTest(line):
                expected = [os.path.basename(w) for w in expected]  # files are offered without their path
                self.assertEqual(sorted(self.offered(line)), sorted(expected))


if __name__ == "__main__":
    unittest.main()
