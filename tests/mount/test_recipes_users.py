"""The recipes of quiverfs-recipes(7) that share a mount: typed by root, by jo, whose store it is, by ann,
a colleague, and by eve, who has nothing to do with it."""

import os
import re
import shutil
from pathlib import Path

import pytest

from harness import QUIVERFS, wait_for_release
from namespace import Namespace
from python_package import draw, nearest, numpy
from recipes import DIM, PAGE, as_bytes, check_shown, typed

pytestmark = pytest.mark.needs_root("acts as several users")
PEOPLE = {"jo": 70001, "ann": 70002, "eve": 70003}


class People(Namespace):
    """A mount namespace with an /etc of its own, in which these people are known."""

    def __init__(self, folder):
        super().__init__(folder)
        self.home = folder / "home"
        self.home.mkdir()
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.programs / "quiverfs").symlink_to(shutil.which(QUIVERFS))
        self.root(f"chown {PEOPLE['jo']} {self.home}\n"
                  f"mkdir {folder}/etc {folder}/dev\n"
                  f"mount -t tmpfs none {folder}/etc\n"
                  f"cp -a /etc/. {folder}/etc\n"
                  f"mount --bind {folder}/etc /etc\n"
                  f"mount -t tmpfs none {folder}/dev\n"
                  f"mknod -m 666 {folder}/dev/fuse c $(stat -c '0x%t 0x%T' /dev/fuse)\n"
                  f"mount --bind {folder}/dev/fuse /dev/fuse\n"
                  "touch /etc/fuse.conf\n"
                  "sed -i /^user_allow_other/d /etc/fuse.conf\n")
        for name, number in PEOPLE.items():
            self.root(f"echo {name}:x:{number}:{number}::/:/bin/sh >>/etc/passwd\n"
                      f"echo {name}:x:{number}: >>/etc/group\n")

    def root(self, text, status=0):
        return self.shell([], text, status)

    def shell(self, before, text, status):
        done = self.run(*before, "env", f"PATH={self.programs}:/usr/sbin:/usr/bin:/sbin:/bin",
                        "LC_ALL=C.UTF-8", "HOME=/", "bash", "-e", "-c", f"cd {self.home}\n{text}",
                        status=status)
        return done.stdout if status == 0 else done.stderr

    def type(self, name, recipe, which=0, status=0):
        """What it prints, which is what the page shows."""
        printed = self.do(name, typed(recipe, which), status)
        check_shown(recipe, which, printed)
        return printed

    def do(self, name, text, status=0):
        return self.shell(["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups"], text,
                          status)

    def take_away(self):
        self.root("umount -l MNT || :")
        super().take_away()


@pytest.fixture
def rows(rng):
    return draw(rng, 100, DIM, "f4")


@pytest.fixture
def people(tmp, rows, io_uring):
    """jo has filled her store, and mounted it for herself."""
    del io_uring
    for tool in ("setpriv", "fusermount3", "groupadd"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"there is no {tool}")
    made = People(tmp)
    numpy.save(tmp / "rows.npy", rows)
    try:
        made.do("jo", f"quiverfs create STORE --dim {DIM}; quiverfs import STORE ../rows.npy; mkdir MNT;"
                      "quiverfs mount STORE MNT")
        yield made
        made.root("umount MNT")
        wait_for_release(made.home / "STORE")
        assert "no faults" in made.do("jo", "quiverfs check STORE")
    finally:
        made.take_away()
    assert [report.read_text() for report in made.reports.iterdir()] == []


def vectors(people, name):
    """{ID: bytes}, as this user reads them."""
    copy = people.folder / f"read_by_{name}"
    people.root(f"rm -rf {copy}; mkdir {copy}; chown {name} {copy}")
    people.do(name, f"cp -r MNT/vectors/. {copy}")
    found = {int(path.name): path.read_bytes() for path in Path(copy).iterdir()}
    shutil.rmtree(copy)
    return found


def neighbours(rows, k, without=()):
    ids = numpy.array([number for number in range(len(rows)) if number not in without])
    return nearest(ids, rows[ids], rows[42], "l2", "f4", k, without=42)[0].tolist()


def test_share_with_a_colleague(people, rows):
    recipe = "Share with a colleague"
    assert "user_allow_other" in people.do("jo", "umount MNT; quiverfs mount STORE MNT -o allow_other", 1)
    people.do("jo", "quiverfs mount STORE MNT")
    for name in ("ann", "root"):
        people.shell([] if name == "root" else ["setpriv", f"--reuid={name}", "--clear-groups"],
                     "ls MNT/vectors", 2)
    people.root(typed(recipe))
    people.type("jo", recipe, 1)
    assert vectors(people, "ann") == as_bytes(rows)
    *names, first, second, third, fourth = people.type("ann", recipe, 2).splitlines()
    assert len(names) == 3 and set(names) <= {str(number) for number in range(100)}
    found = [int(line.split()[0]) for line in (first, second)]
    assert found == neighbours(rows, 2)
    assert [int(line.split()[0]) for line in (third, fourth)] == found
    people.type("ann", recipe, 3, 1)
    people.do("jo", "mkdir MNT/snapshots/before")
    people.type("jo", recipe, 4)
    assert "Permission denied" in people.do("ann", "cat MNT/vectors/7", 1)
    assert people.do("ann", "wc -c <MNT/snapshots/before/vectors/7").strip() == str(DIM * 4)
    answer = people.do("ann", "cat MNT/nearest/42.99").splitlines()
    assert [int(line.split()[0]) for line in answer] == neighbours(rows, 98, {7})
    assert "Permission denied" in people.do("ann", "cat MNT/matrix.npy", 1)
    people.do("jo", "umount MNT; quiverfs mount STORE MNT -o allow_other,matrix_mode=0644")
    assert people.do("ann", "wc -c <MNT/matrix.npy").strip() == str(
        os.stat(people.home / "STORE/vectors.npy").st_size)


def test_share_with_a_group(people, rows):
    recipe = "Share with a group"
    people.root("echo user_allow_other >>/etc/fuse.conf")
    people.root(typed(recipe))
    people.type("jo", recipe, 1)
    assert "Permission denied" in people.do("ann", "cp MNT/vectors/42 MNT/vectors/1000", 1)
    people.type("jo", recipe, 2)
    people.type("ann", recipe, 3)
    expected = as_bytes(rows)
    expected[1000] = expected[1] = expected[42]
    del expected[2]
    assert vectors(people, "ann") == expected and vectors(people, "jo") == expected
    people.type("eve", recipe, 4, 2)
    assert "Permission denied" in people.do("eve", "cat MNT/vectors/42", 1)
    # the store remembers it
    people.do("jo", "umount MNT; quiverfs mount STORE MNT -o allow_other,umask=007")
    people.do("jo", "cp MNT/vectors/3 MNT/vectors/1001")
    people.do("ann", "cp MNT/vectors/4 MNT/vectors/1001")
    assert re.match("-rw-rw---- 1 jo +team ", people.do("ann", "ls -l MNT/vectors/1001"))
    assert people.do("ann", "cmp MNT/vectors/4 MNT/vectors/1001") == ""
    # a folder of files that are closed to all others
    line = re.search(r"^\.Ql (.*rsync .*chmod.*)$", PAGE.read_text(), re.M)[1].replace("\\-", "-")
    people.do("jo", "mkdir new; cp MNT/vectors/5 new/6; cp MNT/vectors/5 new/1002; chmod 604 new/*;"
                    # not of the second in which 6 was imported: rsync would take it for that one
                    "touch -d '2 days ago' new new/*")
    people.do("ann", line)
    for number in (6, 1002):
        assert re.match("-rw-rw---- 1 ann +team ", people.do("jo", f"ls -l MNT/vectors/{number}"))
        assert people.do("jo", f"cmp MNT/vectors/5 MNT/vectors/{number}") == ""
