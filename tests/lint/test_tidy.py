"""What clang-tidy looks at again (tidy.py), on a tree of a few lines and with a program in
clang-tidy's place that writes down what it was called for."""

import json
import os
import subprocess
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

NINJA = """
rule cc
  command = cc -I.. -MD -MF $out.d -c -o $out $in
  depfile = $out.d
  deps = gcc
build good.o: cc ../engine/good.c
build other.o: cc ../engine/other.c
build again.o: cc ../engine/good.c
"""

CLANG_TIDY = """#!/bin/sh
case $1 in --version) cat version; exit 0 ;; esac
for file; do :; done
echo "$file" >>called
echo "1 warning generated." >&2
! grep -q bad "$file"
"""


class Tree:
    def __init__(self, folder, cache=None):
        self.folder = str(folder)
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(cache or folder / "cache")}
        os.mkdir(self.path("engine"))
        os.mkdir(self.path("build"))
        self.write(".clang-tidy", "Checks: all\n")
        self.write("version", "1\n")
        self.write("clang-tidy", CLANG_TIDY)
        os.chmod(self.path("clang-tidy"), 0o755)
        self.write("engine/shared.h", "int shared(void);\n")
        self.write("engine/good.c", '#include "engine/shared.h"\nint shared(void) { return 0; }\n')
        self.write("engine/other.c", "int other;\n")
        self.write("build/build.ninja", NINJA)
        self.write_commands("")
        self.build()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def write_commands(self, option):
        self.write("build/compile_commands.json", json.dumps([
            {"directory": self.path("build"), "file": f"../engine/{source}.c",
             "output": f"{output}.o", "command": f"cc -I.. {option} -c ../engine/{source}.c"}
            for source, output in (("good", "good"), ("other", "other"), ("good", "again"))]))

    def build(self):
        subprocess.run(["ninja", "-C", self.path("build")], check=True, stdout=subprocess.DEVNULL)

    def lint(self):
        """Runs it; returns whether all was clean, and the files looked at."""
        self.write("called", "")
        run = subprocess.run([sys.executable, os.path.join(HERE, "tidy.py"),
                              "--program", "./clang-tidy"], cwd=self.folder, check=False,
                             env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert run.returncode in (0, 1), run.stdout
        assert "generated" not in run.stdout
        with open(self.path("called"), encoding="utf-8") as file:
            return run.returncode == 0, sorted(file.read().split())


BOTH = ["engine/good.c", "engine/other.c"]


@pytest.fixture
def tree(tmp_path):
    made = Tree(tmp_path)
    assert made.lint() == (True, BOTH)
    assert made.lint() == (True, [])
    return made


def test_a_header_is_part_of_who_includes_it(tree):
    tree.write("engine/shared.h", "int shared(void); /* more */\n")
    tree.build()
    assert tree.lint() == (True, ["engine/good.c"])
    assert tree.lint() == (True, [])


def test_a_file_that_is_not_clean_is_looked_at_until_it_is(tree):
    for _ in range(2):
        tree.write("engine/other.c", "int bad;\n")
        tree.build()
        assert tree.lint() == (False, ["engine/other.c"])
    tree.write("engine/other.c", "int mended;\n")
    tree.build()
    assert tree.lint() == (True, ["engine/other.c"])
    tree.write("engine/other.c", "int other;\n")  # as it was when it was looked at
    tree.build()
    assert tree.lint() == (True, [])


def test_the_time_of_a_file_alone_changes_nothing(tree):
    os.utime(tree.path("engine/other.c"))
    tree.build()
    assert tree.lint() == (True, [])


def test_what_is_newer_than_its_object_is_not_taken_for_known(tree):
    # The object's list of headers is that of the file before.
    time.sleep(0.01)
    tree.write("engine/other.c", '#include "engine/shared.h"\nint other;\n')
    assert tree.lint() == (True, ["engine/other.c"])
    assert tree.lint() == (True, ["engine/other.c"])
    tree.build()
    assert tree.lint() == (True, ["engine/other.c"])
    assert tree.lint() == (True, [])


@pytest.mark.parametrize("name, text", [(".clang-tidy", "Checks: more\n"), ("version", "2\n")])
def test_other_checks_and_another_release_look_at_everything(tree, name, text):
    tree.write(name, text)
    assert tree.lint() == (True, BOTH)


def test_other_options_of_the_compiler_look_at_everything(tree):
    tree.write_commands("-DMORE")
    assert tree.lint() == (True, BOTH)


def test_what_an_interrupted_run_found_out_is_kept(tree):
    tree.write(".clang-tidy", "Checks: more\n")
    # Ends in the second file, and takes the whole run with it.
    tree.write("clang-tidy", CLANG_TIDY + "[ $(wc -l <called) -lt 2 ] || kill -9 $PPID\n")
    tree.write("called", "")
    subprocess.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable,
                    os.path.join(HERE, "tidy.py"), "--program", "./clang-tidy"],
                   cwd=tree.folder, check=False, env=tree.environment,
                   stdout=subprocess.DEVNULL)
    tree.write("clang-tidy", CLANG_TIDY)
    assert tree.lint() == (True, ["engine/other.c"])


def test_another_clone_knows_what_this_one_has_found_out(tree, tmp_path):
    (tmp_path / "clone").mkdir()
    other = Tree(tmp_path / "clone", tmp_path / "cache")
    assert other.lint() == (True, [])
    other.write("engine/other.c", "int more;\n")
    other.build()
    assert other.lint() == (True, ["engine/other.c"])
    assert tree.lint() == (True, [])


def test_without_a_cache_the_build_folder_keeps_it(tmp_path):
    tree = Tree(tmp_path, "/dev/null")
    assert tree.lint() == (True, BOTH)
    assert tree.lint() == (True, [])


@pytest.mark.parametrize("check, program, said", [
    ("format", "clang-format", "Debian clang-format version 19.1.7 (3+b1)"),
    ("tidy", "clang-tidy", "Debian LLVM version 19.1.7\n  Optimized build."),
])
def test_another_release_of_clang_is_skipped_and_said(tmp_path, check, program, said):
    fake = tmp_path / program
    fake.write_text(f"#!/bin/sh\n[ $1 = --version ] || exit 3\necho '{said}'\n")
    fake.chmod(0o755)
    lint = subprocess.run([os.path.join(HERE, "../../tools/lint"), check], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert lint.returncode == 77
    assert lint.stdout == f"skipped: this is {program} 19, and the tree keeps to 14\n"
