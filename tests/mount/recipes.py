"""Recipes of quiverfs-recipes(7), and a folder in which their lines are typed."""

import os
import re
import shutil
from pathlib import Path

from harness import is_mounted, let_go, run, sanitized_environment
from man_pages import SOURCE, program_folder, python3, sections

PAGE = SOURCE / "tools/man/quiverfs-recipes.7"
DIM = 128
# What each recipe has to be typed, and what is shown of what it prints.
TYPED, SHOWN = sections(PAGE), sections(PAGE, "indent-two")
# Of the moment: the time of day, and the number of a process.
MOMENT = re.compile(r"\w\w\w \d\d \d\d:\d\d|process \d+")


def like(text, shown):
    """Whether that was printed, but for what is of the moment."""
    return MOMENT.sub("WHEN", text).rstrip("\n") == MOMENT.sub("WHEN", shown).rstrip("\n")


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

    def type(self, name, which=0, status=0):
        """What it prints."""
        done = self.do(TYPED[name][which], status)
        return done.stdout if status == 0 else done.stderr

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
