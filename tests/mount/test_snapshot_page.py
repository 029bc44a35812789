"""The history of five versions in quiverfs-snapshot(1), typed as it stands there: what is printed is
what the page shows."""

import os
import re

import pytest

from harness import is_mounted, run, shell
from man_pages import SOURCE, program_folder, unescape

PAGE = SOURCE / "tools/man/quiverfs-snapshot.1"
# Of the moment: when they were made.
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def session():
    """[(line that is typed, what it prints)]"""
    part = PAGE.read_text().split(".Sh FIVE VERSIONS\n")[1].split("\n.Sh")[0]
    blocks = re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed", part, re.M | re.S)
    assert len(blocks) == 4
    typed = unescape("".join(blocks)).split("\n$ ")
    assert typed[0].startswith("$ ")
    typed[0] = typed[0][2:]
    return [(line + "\n").split("\n", 1) for line in typed]


@pytest.mark.local("snapshots")
def test_the_history_is_what_the_page_shows(tmp):
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    environment = {**os.environ, "PATH": f"{program_folder(tmp)}:{os.environ['PATH']}"}
    typed = session()
    assert len([line for line, _ in typed if "mkdir mnt/snapshots/v" in line]) == 5
    try:
        for line, shown in typed:
            done = shell(line, cwd=tmp, env=environment)
            assert done.stderr == b""
            printed = MOMENT.sub("WHEN", done.stdout.decode())
            assert printed.rstrip("\n") == MOMENT.sub("WHEN", shown).rstrip("\n"), line
    finally:
        if is_mounted(tmp / "mnt"):
            run("umount", tmp / "mnt")
