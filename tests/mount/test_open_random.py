"""Random histories of descriptors and names, in a plain folder and on a mount: they must agree.

What is compared is what is to be the same: whole writes that are committed, what is found by
path, what a descriptor says of its file. A mount knows a vector by its ID, so what a request
without a descriptor means is left out where an ID was given to another vector meanwhile.
"""

import errno
import os
import random

from harness import LONG

import pytest

BOTH_TRANSPORTS = True
N = 100
IDS = ("1", "2", "3", "4")
FOLDERS = (".d", ".e")
SCRATCH = (".a", ".b", ".d/a", ".d/1", ".e/1")
OPEN_MAX = 10
STEPS = 20000 if LONG else 2500


class Both:
    """A plain folder and a mount, to which the same is done."""

    def __init__(self, plain, mounted, seed):
        self.folders = (plain, mounted)
        self.rng = random.Random(seed)
        self.files = []  # (name it was opened by, descriptors in both, may write)
        self.serial = 0
        self.done = []

    def each(self, what, action):
        """Do it in both; the outcome, which must be the same."""
        outcomes = []
        for place in range(2):
            try:
                outcomes.append(action(place))
            except OSError as error:
                outcomes.append(errno.errorcode[error.errno])
        self.done.append(f"{what} -> {outcomes[0]!r}")
        assert outcomes[0] == outcomes[1], \
            "\n".join(self.done[-40:]) + f"\nbut on the mount {outcomes[1]!r}"
        return outcomes[0]

    def path(self, place, name):
        return f"{self.folders[place]}/{name}"

    def data(self):
        self.serial += 1
        return self.serial.to_bytes(4, "little") * (N // 4)

    def exists(self, name):
        return os.path.exists(self.path(0, name))

    # ---- steps --------------------------------------------------------------------------

    def write_whole(self, fds, what):
        """All of it at once or in two, and committed."""
        data, cut = self.data(), self.rng.choice((0, 0, 40))

        def action(place):
            if cut:
                os.pwrite(fds[place], data[:cut], 0)
            os.pwrite(fds[place], data[cut:], cut)
            os.fsync(fds[place])

        self.each(what, action)

    def open(self):
        if len(self.files) >= OPEN_MAX:
            return
        name = self.rng.choice(IDS + SCRATCH)
        flags = self.rng.choice((os.O_RDONLY, os.O_RDWR, os.O_WRONLY))
        there = self.exists(name)
        if flags != os.O_RDONLY:
            flags |= os.O_CREAT
            if there:
                flags |= self.rng.choice((0, os.O_TRUNC))
        fds = [-1, -1]

        def action(place):
            fds[place] = os.open(self.path(place, name), flags, 0o640)

        if self.each(f"open {name} {flags:#o}", action) is not None:
            return
        if flags != os.O_RDONLY and (not there or flags & os.O_TRUNC):
            self.write_whole(fds, f"fill {name}")
        self.files.append((name, fds, flags & os.O_ACCMODE))

    def pick(self):
        return self.rng.choice(self.files) if self.files else (None, None, None)

    def close(self):
        file = self.pick()
        if file[0] is not None:
            self.files.remove(file)
            self.each(f"close {file[0]}", lambda place: os.close(file[1][place]))

    def write(self):
        name, fds, access = self.pick()
        if name is not None and access != os.O_RDONLY:
            self.write_whole(fds, f"write by {name}")
            if access == os.O_RDWR:
                self.each(f"read by {name}", lambda place: os.pread(fds[place], N, 0))

    def is_plain_to_see(self, name, fds, access):
        """Whether what comes without a descriptor, by that node, can mean this file alone. A
        reader may have a second node, which does not follow a rename."""
        if name in SCRATCH:
            return True
        if access == os.O_RDONLY:
            return False
        inode = os.fstat(fds[0]).st_ino
        if self.exists(name) and os.stat(self.path(0, name)).st_ino != inode:
            return False
        return all(os.fstat(others[0]).st_ino == inode
                   for other, others, _ in self.files if other == name)

    def stat_open(self):
        name, fds, access = self.pick()
        if name is not None and self.is_plain_to_see(name, fds, access):
            self.each(f"fstat {name}", lambda place: shown(os.fstat(fds[place])))

    def change_open(self):
        name, fds, access = self.pick()
        if name is None or not self.is_plain_to_see(name, fds, access):
            return
        value = self.rng.randrange(512)
        if self.rng.random() < 0.5:
            self.each(f"fchmod {name} {value | 0o600:#o}",
                      lambda place: os.fchmod(fds[place], value | 0o600))
        else:
            self.each(f"futimens {name} {value}",
                      lambda place: os.utime(fds[place], (value, value)))
        self.each(f"fstat {name}", lambda place: shown(os.fstat(fds[place])))

    def change_path(self):
        name, value = self.rng.choice(IDS + SCRATCH), self.rng.randrange(512)
        kind = self.rng.randrange(3)

        def action(place):
            path = self.path(place, name)
            if kind == 0:
                os.chmod(path, value | 0o600)
            elif kind == 1:
                os.utime(path, (value, value))
            elif os.path.getsize(path) == N:
                os.truncate(path, N)

        self.each(f"change {kind} of {name} {value}", action)

    def unlink(self):
        name = self.rng.choice(IDS + SCRATCH)
        self.each(f"unlink {name}", lambda place: os.unlink(self.path(place, name)))

    def rename(self):
        old, new = self.rng.choice(IDS + SCRATCH), self.rng.choice(IDS + SCRATCH)
        if new in SCRATCH and old in IDS:
            return  # a vector becomes no scratch file
        self.each(f"rename {old} {new}",
                  lambda place: os.rename(self.path(place, old), self.path(place, new)))

    def change_folder(self):
        name, other = self.rng.sample(FOLDERS, 2)
        kind = self.rng.randrange(4)
        self.each(f"folder {kind} {name}", lambda place: (
            os.mkdir, os.mkdir, os.rmdir,
            lambda path: os.rename(path, self.path(place, other)))[kind](self.path(place, name)))

    def look(self):
        self.each("look", lambda place: contents(self.folders[place]))

    def run(self, steps):
        kinds = [self.open] * 6 + [self.close] * 3 + [self.write] * 5 + [self.stat_open] * 3 + \
            [self.change_open] * 3 + [self.change_path] * 2 + [self.unlink] * 2 + \
            [self.rename] * 4 + [self.change_folder] * 2 + [self.look] * 2
        try:
            for _ in range(steps):
                self.rng.choice(kinds)()
            while self.files:
                self.close()
            self.look()
        except AssertionError as error:
            return str(error)
        return ""


def when(status):
    """A time that was set; else only that it was not."""
    return status.st_mtime if status.st_mtime < 1000 else "now"


def shown(status):
    """Of what is gone each node keeps attributes of its own (test_open_names.py has them)."""
    if status.st_nlink == 0:
        return 0, status.st_size
    return status.st_nlink, status.st_size, oct(status.st_mode), when(status)


def contents(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name in FOLDERS:
            found[name] = contents(f"{folder}/{name}")
            continue
        with open(f"{folder}/{name}", "rb") as file:
            data = file.read()
        found[name] = (data, *shown(os.stat(f"{folder}/{name}")))
    return found


def play(plain, mounted, seed, steps):
    return Both(plain, mounted, seed).run(steps)


@pytest.mark.local("renames of IDs")
def test_a_history_goes_as_in_a_plain_folder(mnt, plain, rng):
    fault = play(str(plain), str(mnt.vectors), rng.random(), STEPS)
    assert not fault, fault
