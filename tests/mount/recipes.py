"""Recipes of quiverfs-recipes(7), and a folder in which their lines are typed."""

import os
import re
import shutil
from pathlib import Path

from harness import is_mounted, let_go, run, sanitized_environment
from man_pages import SOURCE, examples, program_folder, python3

PAGE = SOURCE / "tools/man/quiverfs-recipes.7"
DIM = 128
# What each recipe has to be typed, each with what is shown of what it prints.
RECIPES = {part.split("\n")[0]: examples(part) for part in PAGE.read_text().split("\n.Ss ")[1:]}
# Of the moment, and of the vectors that a test draws.
NUMBER = re.compile(r"-?\b\d[\d.,:]*(?: (?:[KMG]i)?B\b)?")


def typed(recipe, which=0):
    return RECIPES[recipe][which][0]


def check_shown(recipe, which, printed):
    """That is printed which the page shows, but for numbers; dots stand for any lines."""
    shown = RECIPES[recipe][which][1]
    if shown is None:
        return
    pieces = re.split(r"^\.\.\.$", shown, flags=re.MULTILINE)
    pattern = ".*".join(re.escape(plain(piece)) for piece in pieces)
    assert re.fullmatch(pattern, plain(printed)), (printed, shown)


def plain(text):
    """Without numbers, and however it is broken into lines."""
    text = re.sub(r"\b[A-Z][a-z][a-z] \d+ \d\d:\d\d", "0", " ".join(text.split()))
    return NUMBER.sub("0", text)


def as_bytes(rows):
    return {number: row.tobytes() for number, row in enumerate(rows)}


class Place:
    """A folder, /srv on the page, with STORE and MNT, in which lines are typed."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = program_folder(folder)
        self.reports = folder / "sanitizer"
        self.reports.mkdir()
        self.environment = {**sanitized_environment(self.reports), "LC_ALL": "C.UTF-8",
                            "PYTHONPATH": str(SOURCE / "tools/python"),
                            "PATH": f"{self.programs}:{os.environ['PATH']}"}
        (self.programs / "python3").symlink_to(shutil.which(python3()["python3"]))

    def program(self, name, text, **environment):
        """A stand-in, and what it finds in its environment."""
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)
        self.environment.update(environment)

    def do(self, text, status=0):
        done = run("bash", "-e", "-o", "pipefail", "-c", text, cwd=self.folder, status=status,
                   env=self.environment)
        done.stdout = done.stdout.decode().replace(str(self.folder), "/srv")
        done.stderr = done.stderr.decode().replace(str(self.folder), "/srv")
        return done

    def type(self, recipe, which=0, status=0):
        """What it prints, which is what the page shows."""
        done = self.do(typed(recipe, which), status)
        printed = done.stdout if status == 0 else done.stderr
        check_shown(recipe, which, printed)
        return printed

    def vectors(self, where="MNT/vectors"):
        """{ID: bytes} of a mount, or of a folder of files."""
        folder = self.folder / where
        return {int(name): (folder / name).read_bytes() for name in os.listdir(folder)}

    def daemon(self):
        """The number of its process."""
        return int(re.match(r"pid (\d+)", Path(self.folder / "STORE/LOCK").read_text())[1])

    def close(self):
        for name in ("MNT", "OLD", "DOCS", "other/MNT"):
            if is_mounted(self.folder / name):
                run("umount", self.folder / name, status=None)
            if is_mounted(self.folder / name):  # whose daemon may be dead, or which is in use
                let_go(self.folder / name, status=None)
        assert [report.read_text() for report in self.reports.iterdir()] == []
