"""clang-tidy over every file that a build folder compiles, except those that it has found clean as
they are: a file is looked at again when it, a header that it includes, its compiler's options,
.clang-tidy or clang-tidy changes. What is known is kept in the user's cache, as ccache does: it
holds in every clone.

A file that several programs are made of is looked at with the options of the first alone.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time

TREES = ("engine", "fs", "tools", "tests")
KEPT_DAYS = 60
SILENT = re.compile(r"warnings? generated\.$|^Suppressed|^Use -header-filter")


def known_folder(own):
    """The user's, or where there can be none one of the build folder's."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in (os.path.join(cache, "quiverfs-lint"), os.path.join(own, "clean")):
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    raise OSError(f"{own} cannot be written")


class Tidy:
    def __init__(self, build, program):
        self.build = build
        self.program = program
        self.folder = os.path.join(build, "lint")
        os.makedirs(self.folder, exist_ok=True)
        self.known = known_folder(self.folder)
        self.hashes = {}
        # Options stand in the first place: the rest of the database says the same again.
        self.commands = {}
        with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
            for command in json.load(file):
                path = os.path.relpath(os.path.join(command["directory"], command["file"]))
                if path.split(os.sep)[0] in TREES:
                    self.commands.setdefault(path, command)
        self.common = subprocess.run([program, "--version"], check=True,
                                     stdout=subprocess.PIPE).stdout
        with open(".clang-tidy", "rb") as file:
            self.common += file.read()

    def read_dependencies(self):
        """Of each object, as ninja has it of the compiler: {output: (time in ns, files)}."""
        text = subprocess.run(["ninja", "-t", "deps"], cwd=self.build, check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        found, files = {}, []
        for line in text.splitlines():
            head = re.match(r"(\S.*): #deps \d+, deps mtime (\d+) ", line)
            if head:
                files = []
                found[head[1]] = (int(head[2]), files)
            elif line.startswith(" "):
                files.append(os.path.join(self.build, line.strip()))
        return found

    def hash_of(self, path):
        if path not in self.hashes:
            with open(path, "rb") as file:
                self.hashes[path] = hashlib.sha256(file.read()).digest()
        return self.hashes[path]

    def key(self, command, dependencies):
        """What the verdict on a file depends on; None where the build folder is older than the
        files, so that it cannot say what they include."""
        built, files = dependencies.get(command["output"], (0, ()))
        try:
            if not files or any(os.stat(path).st_mtime_ns > built for path in files):
                return None
            parts = [self.common, command["command"].encode()]
            parts += [self.hash_of(path) for path in files]
        except OSError:
            return None
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def look_at(self, path):
        """Runs clang-tidy on one file; returns whether it has nothing to say, and what it says."""
        run = subprocess.run([self.program, "-p", self.folder, "--quiet", path], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        said = "".join(line for line in (run.stdout + run.stderr).splitlines(True)
                       if not SILENT.search(line.rstrip()))
        return run.returncode == 0, said

    def is_known(self, key):
        """An empty file by its name; its time is that of its last use."""
        try:
            os.utime(os.path.join(self.known, key))
            return True
        except FileNotFoundError:
            return False

    def know(self, key):
        with open(os.path.join(self.known, key), "wb"):
            pass

    def forget_old(self):
        oldest = time.time() - KEPT_DAYS * 24 * 3600
        for entry in os.scandir(self.known):
            with contextlib.suppress(FileNotFoundError):  # another run does the same
                if entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)

    def run(self, workers):
        self.forget_old()
        with open(os.path.join(self.folder, "compile_commands.json"), "w",
                  encoding="utf-8") as file:
            json.dump(list(self.commands.values()), file)
        dependencies = self.read_dependencies()
        keys = {path: self.key(command, dependencies) for path, command in self.commands.items()}
        todo = sorted(path for path, key in keys.items() if key is None or not self.is_known(key))
        print(f"clang-tidy: {len(todo)} of {len(keys)} files to look at, the others are as they "
              "were when nothing was wrong", flush=True)
        began, bad = time.monotonic(), 0
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            jobs = {pool.submit(self.look_at, path): path for path in todo}
            for job in concurrent.futures.as_completed(jobs):
                good, said = job.result()
                if said:
                    print(said, end="", flush=True)
                if not good:
                    bad += 1
                elif keys[jobs[job]] is not None:
                    # At once: what an interrupted run has found out is known to the next.
                    self.know(keys[jobs[job]])
        if todo:
            print(f"clang-tidy: {time.monotonic() - began:.0f} s")
        if bad:
            print(f"clang-tidy: {bad} {'file is' if bad == 1 else 'files are'} not clean")
        return bad == 0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--program", default="clang-tidy")
    given = parser.parse_args(arguments)
    if not os.path.exists(os.path.join(given.build, "compile_commands.json")):
        print(f"tidy: {given.build} is no build folder; run: meson setup {given.build}",
              file=sys.stderr)
        return 2
    return 0 if Tidy(given.build, given.program).run(len(os.sched_getaffinity(0))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
