"""libclerktoken as a library of others' programs: its symbols, its types, how it is found and linked."""

import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

import harness
import installed

FOLDER = Path(__file__).resolve().parent
LIBRARY = harness.BUILD / "libclerktoken.so.1"
BASELINE = harness.ROOT / "client/abi/libclerktoken.so.1.abi"
MAP = (harness.ROOT / "client/libclerktoken.map").read_text()

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
LANGUAGES = {"C": ["-x", "c", "-std=c99"], "C++": ["-x", "c++", "-std=c++11"]}
COMPILERS = {"C": ["gcc", "clang"], "C++": ["g++", "clang++"]}


def public_symbols():
    """{name: version}, as the map has them."""
    found = {}
    for version, body in re.findall(r"(\w+) \{\s*global:(.*?)(?:local:.*?)?\}", MAP, re.DOTALL):
        found.update({name: version for name in re.findall(r"(\w+);", body)})
    return found


class SymbolsTest(unittest.TestCase):
    def test_the_map_is_what_is_exported(self):
        lines = installed.run(["nm", "-D", "--defined-only", LIBRARY]).splitlines()
        names = [line.split()[2] for line in lines if line.split()[1] != "A"]
        self.assertEqual({f"{name}@@{version}" for name, version in public_symbols().items()},
                         set(names))

    def test_soname(self):
        self.assertIn("Library soname: [libclerktoken.so.1]",
                      installed.run(["readelf", "-dW", LIBRARY]))

    def test_the_archive_has_no_other_names(self):
        lines = installed.run(["nm", "-g", "--defined-only", harness.BUILD / "libclerktoken.a"])
        names = {line.split()[2] for line in lines.splitlines() if len(line.split()) == 3}
        self.assertEqual(names, set(public_symbols()))

    def test_debian_knows_each_version(self):
        text = (harness.ROOT / "debian/libclerktoken1.symbols").read_text()
        self.assertEqual(set(public_symbols().values()),
                         set(re.findall(r"(?m)^ \(symver\)(\w+) ", text)))


@unittest.skipUnless(shutil.which("abidiff"), "no abidiff is installed")
class InterfaceTest(unittest.TestCase):
    def check(self, baseline):
        """The status of the check, and what it says."""
        done = subprocess.run([FOLDER / "abi", "check", LIBRARY, baseline], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout

    def check_altered(self, alter):
        """... against a baseline that says something else."""
        tree = ET.parse(BASELINE)
        alter(tree.getroot())
        folder = harness.make_directory()
        self.addCleanup(shutil.rmtree, folder)
        tree.write(folder / "baseline.abi")
        return self.check(folder / "baseline.abi")

    def test_nothing_has_changed(self):
        machine = installed.run(["uname", "-m"]).strip()
        if machine != "x86_64":
            self.skipTest(f"the baseline is of x86_64, this is {machine}")
        status, text = self.check(BASELINE)
        if status == 77:
            self.skipTest(text.splitlines()[-1])
        self.assertEqual(status, 0, text)

    def test_a_member_has_moved(self):
        def alter(root):
            member = root.find(".//class-decl[@name='clerktoken_failure']"
                               "/data-member/var-decl[@name='retry_ms']/..")
            member.set("layout-offset-in-bits", "1984")

        status, text = self.check_altered(alter)
        self.assertEqual(status, 1, text)
        self.assertIn("'int64_t retry_ms' offset changed from 1984 to 64", text)

    def test_a_function_is_gone(self):
        def alter(root):
            for element in root.iter():
                for name, value in element.attrib.items():
                    element.set(name, value.replace("clerktoken_ping", "clerktoken_pong"))

        status, text = self.check_altered(alter)
        self.assertEqual(status, 1, text)
        self.assertIn("clerktoken_pong", text)

    def test_an_error_has_another_number(self):
        def alter(root):
            root.find(".//enumerator[@name='CLERKTOKEN_DENIED']").set("value", "77")

        self.assertEqual(self.check_altered(alter)[0], 1)

    def test_an_argument_has_another_type(self):
        def alter(root):
            function = root.find(".//function-decl[@name='clerktoken_ping']")
            function.remove(function.findall("parameter")[1])

        self.assertEqual(self.check_altered(alter)[0], 1)

    def test_a_function_is_new(self):
        def alter(root):
            for parent in list(root.iter()):
                for child in list(parent):
                    if child.get("name") == "clerktoken_ping":
                        parent.remove(child)

        status, text = self.check_altered(alter)
        self.assertEqual(status, 77, text)
        self.assertIn("make abi-baseline", text)

    def test_options_may_grow(self):
        def alter(root):
            options = root.find(".//class-decl[@name='clerktoken_get_options']")
            last = options.findall("data-member")[-1]
            options.remove(last)
            options.set("size-in-bits", last.get("layout-offset-in-bits"))

        status, text = self.check_altered(alter)
        self.assertEqual(status, 77, text)

    def test_options_may_not_change(self):
        def alter(root):
            options = root.find(".//class-decl[@name='clerktoken_get_options']")
            options.remove(options.findall("data-member")[1])

        self.assertEqual(self.check_altered(alter)[0], 1)


class StrangerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installation = installed.Installation()
        cls.addClassCleanup(cls.installation.close)
        cls.sandbox = harness.Sandbox()
        cls.addClassCleanup(cls.sandbox.close)
        cls.daemon = harness.Daemon(cls.sandbox)
        cls.addClassCleanup(cls.daemon.close)
        cls.flags = cls.installation.pkg_config("--cflags")

    def compile(self, language, compiler, *arguments):
        program = shutil.which(compiler)
        if not program:
            self.skipTest(f"no {compiler} is installed")
        installed.run([program, *LANGUAGES[language], *WARNINGS, *self.flags, *arguments])

    def build(self, language, *libraries):
        """A program out of use.c; every public symbol is in it."""
        stem = self.installation.dir / f"use-{language}"
        compiler = COMPILERS[language][0]
        self.compile(language, compiler, "-c", FOLDER / "use.c", "-o", f"{stem}.o")
        unused = set(public_symbols()) - set(installed.run(["nm", "-u", f"{stem}.o"]).split())
        self.assertEqual(unused, set(), "use.c uses all symbols of the map")
        installed.run([compiler, f"{stem}.o", *libraries, "-o", stem])
        return stem

    def use(self, program, env):
        self.daemon.ask("FLUSH")
        self.assertEqual(installed.run([program, self.daemon.socket], env=env), "")
        return installed.run(["readelf", "-dW", program])

    def test_shared(self):
        for language in LANGUAGES:
            with self.subTest(language):
                program = self.build(language, *self.installation.pkg_config("--libs"))
                needs = self.use(program, self.installation.environment())
                self.assertIn("[libclerktoken.so.1]", needs)

    def test_static(self):
        for language in LANGUAGES:
            with self.subTest(language):
                program = self.build(language, self.installation.lib / "libclerktoken.a")
                needs = self.use(program, harness.clean_environment())
                self.assertNotIn("clerktoken", needs)

    def test_the_header_is_clean(self):
        for language, compilers in COMPILERS.items():
            for compiler in compilers:
                with self.subTest(compiler):
                    self.compile(language, compiler, "-fsyntax-only", FOLDER / "use.c")

    def test_version(self):
        version = re.search(r"(?m)^VERSION := (.+)$",
                            (harness.ROOT / "Makefile").read_text()).group(1)
        self.assertEqual(self.installation.pkg_config("--modversion"), [version])

    def test_uninstall(self):
        other = installed.Installation()
        self.addCleanup(other.close)
        installed.make("uninstall", f"DESTDIR={other.dir}")
        self.assertEqual([p for p in other.dir.rglob("*") if not p.is_dir()], [])


if __name__ == "__main__":
    unittest.main()
