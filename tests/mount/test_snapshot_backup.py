"""The backups in one line of quiverfs-backup(7), typed as they stand there, beside a writer and one
after another; and what a tool reads of a snapshot of another name."""

import os
import re
import shutil
import struct
import threading
import time
from pathlib import Path

import pytest

from harness import quiverfs, run, shell
from man_pages import SOURCE, unescape

PAGE = SOURCE / "tools/man/quiverfs-backup.7"
COUNT = 200
TOOLS = ["rsync", "borg", "restic", "tar"]


def line_of(tool):
    """The line of the page that uses the tool; `mnt` and all else is in the working directory."""
    part = PAGE.read_text().split(".Sh WHAT TO BACK UP\n")[1]
    block = re.search(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed", part, re.M | re.S)[1]
    lines = [line for line in unescape(block).splitlines() if f"&& {tool} " in line]
    assert len(lines) == 1 and lines[0].endswith(" && rmdir mnt/snapshots/backup")
    return lines[0]


class Backup:
    """What a tool has of the vectors: each backup is that line, typed in the store's folder."""

    def __init__(self, tool, mnt):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}: tools/setup installs it")
        self.tool = tool
        self.folder = mnt.store.folder
        self.point = mnt.point
        assert self.point.name == "mnt"
        self.environment = dict(
            os.environ, BORG_REPO=str(self.folder / "borg"), BORG_BASE_DIR=str(self.folder),
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
            RESTIC_REPOSITORY=str(self.folder / "restic"), RESTIC_PASSWORD="x",
            RESTIC_CACHE_DIR=str(self.folder / "restic-cache"))
        if tool == "borg":
            self.run("borg", "init", "-e", "none")
        if tool == "restic":
            self.run("restic", "init")

    def run(self, *words, **options):
        return run(*words, cwd=self.folder, env=self.environment, **options)

    def make(self, name="backup", **more):
        """The IDs of the vectors that were read, as the tool tells of them: the line, with an
        option that has it tell."""
        line = line_of(self.tool).replace("snapshots/backup", f"snapshots/{name}")
        telling = {"rsync": "rsync --out-format=%n", "tar": "tar",
                   "borg": "borg create --list --filter AM", "restic": "restic -v -v backup"}
        words = {"borg": "borg create", "restic": "restic backup"}.get(self.tool, self.tool)
        done = shell(line.replace(f"&& {words} ", f"&& {telling[self.tool]} ").replace(
            "::{now}", f"::{time.monotonic_ns()}"), cwd=self.folder, env=self.environment, **more)
        told = (done.stdout + done.stderr).decode()
        if self.tool == "tar":
            told = self.run("tar", "-t", "-f", "vectors.tar").stdout.decode()
        if self.tool == "restic":
            told = "\n".join(re.findall(r"^(?:new|modified) +(\S*),.*$", told, re.M))
        return {int(word) for word in re.findall(r"(?:^|/)(\d+)$", told, re.M)}

    def type(self):
        """The line as it stands."""
        shell(line_of(self.tool), cwd=self.folder, env=self.environment)
        assert os.listdir(self.point / "snapshots") == []

    def back(self):
        """{ID: bytes} of what the last backup has."""
        to = self.folder / "back"
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        if self.tool == "rsync":
            to = self.folder / "copy"
        elif self.tool == "borg":
            last = self.run("borg", "list", "--last", "1", "--short").stdout.decode().strip()
            run("borg", "extract", f"::{last}", cwd=to, env=self.environment)
        elif self.tool == "restic":
            self.run("restic", "restore", "latest", "--target", to)
        else:
            run("tar", "-x", "-g", "/dev/null", "-f", self.folder / "vectors.tar", cwd=to)
        run("chmod", "-R", "u+w", to)  # snapshots/ is nobody's to write to
        return {int(path.name): path.read_bytes() for path in Path(to).rglob("[0-9]*")
                if path.is_file() and path.parent.name in ("vectors", "copy")}


class Writer:
    """Commits all vectors at once, each time with another number in all of them; in between it
    writes each by itself, so that no reader of files is left alone."""

    def __init__(self, mnt):
        self.mnt = mnt
        self.number = 0
        self.stop = threading.Event()
        self.put()
        self.thread = threading.Thread(target=self.go)

    def put(self):
        data = struct.pack("<I", self.number + 1) * (self.mnt.size // 4)
        self.mnt.control("put", b"".join(struct.pack("<Q", vector) + data
                                         for vector in range(COUNT)))
        self.number += 1  # of the last that has been committed

    def go(self):
        while not self.stop.is_set():
            self.put()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.mark.local("snapshots")
@pytest.mark.parametrize("tool", TOOLS)
def test_a_backup_beside_a_writer_is_of_one_moment(stores, tool):
    mnt = stores.mount()
    backup = Backup(tool, mnt)
    writer = Writer(mnt)
    last = 0
    for _ in range(2 if tool != "tar" else 1):  # of an incremental tar each part has some
        with writer:
            before = writer.number
            backup.type()
            assert writer.number > before + 1  # it was beside it
        found = backup.back()
        assert set(found) == set(range(COUNT))
        numbers = {data[:4] for data in found.values()}
        assert len(numbers) == 1 and all(data == data[:4] * (mnt.size // 4)
                                         for data in found.values())
        number, = struct.unpack("<I", numbers.pop())
        assert last <= before <= number <= writer.number + 1
        last = number
        writer.thread = threading.Thread(target=writer.go)
        writer.stop.clear()


@pytest.mark.local("snapshots")
@pytest.mark.parametrize("tool", TOOLS)
def test_the_second_backup_reads_what_has_changed(stores, rng, tool):
    mnt = stores.mount()
    backup = Backup(tool, mnt)
    rows = {vector: rng.randbytes(mnt.size) for vector in range(COUNT)}
    for vector, data in rows.items():
        mnt.put(vector, data)
    time.sleep(0.02)
    assert backup.make() == set(range(COUNT))
    if tool == "borg":  # what had the newest ctime is read once more
        backup.make()
    assert backup.make() == set()
    for vector in (3, 77, 1000):
        rows[vector] = rng.randbytes(mnt.size)
        mnt.put(vector, rows[vector])
    mnt.path(5).unlink()
    del rows[5]
    time.sleep(0.02)
    assert backup.make() == {3, 77, 1000}
    if tool != "tar":
        assert backup.back() == rows
    mnt = stores.again(mnt)
    quiverfs("compact", mnt.point)
    time.sleep(0.02)
    assert backup.make() - {1000, 77, 3} == set()
    assert backup.make() == set()
    # of another name
    others = backup.make("another")
    assert others == (set() if tool == "rsync" else set(rows))


@pytest.mark.local("snapshots")
def test_one_that_fails_leaves_the_snapshot_and_says_so(stores, rng):
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    line = line_of("rsync")
    done = shell(line.replace("rsync -a", "false -a"), cwd=mnt.store.folder, status=1)
    assert os.listdir(mnt.point / "snapshots") == ["backup"]
    done = shell(line, cwd=mnt.store.folder, status=1)
    assert b"File exists" in done.stderr and not (mnt.store.folder / "copy").exists()
    shell(line.partition(" && ")[2], cwd=mnt.store.folder)
    assert (mnt.store.folder / "copy/1").read_bytes() == mnt.get(1)
    assert os.listdir(mnt.point / "snapshots") == []
