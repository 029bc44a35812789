"""Set-user-ID and set-group-ID bits: who may not give them to a file, or leave them on one that he
has changed. Each case is done in a plain folder and on a mount, and must end alike."""

import os
import struct

import pytest

from harness import run
from peer import Peer

BOTH_TRANSPORTS = True
N = 100
STRANGER = 1234
MODES = (0o4777, 0o2777, 0o6777, 0o2767, 0o6776)


def with_fd(flags, *actions):
    def act(folder):
        fd = os.open(f"{folder}/42", flags)
        try:
            for action in actions:
                action(fd)
        finally:
            os.close(fd)
    return act


def whole(fd):
    os.pwrite(fd, b"w" * N, 0)


def part(fd):
    os.pwrite(fd, b"p" * 10, 50)


def rest(fd):
    os.pwrite(fd, b"r" * 60, 0)
    os.pwrite(fd, b"r" * 40, 60)


ACTIONS = {
    "whole": with_fd(os.O_WRONLY, whole),
    "part": with_fd(os.O_RDWR, part),
    "emptied and whole": with_fd(os.O_WRONLY | os.O_TRUNC, whole),
    "emptied and filled": with_fd(os.O_WRONLY | os.O_TRUNC, rest),
    "opened alone": with_fd(os.O_RDWR),
    "truncate to the same": lambda folder: os.truncate(f"{folder}/42", N),
    "ftruncate to the same": with_fd(os.O_WRONLY, lambda fd: os.ftruncate(fd, N)),
    "utime": lambda folder: os.utime(f"{folder}/42"),
}
# Only the owner and root may, so these are root's alone.
OWNERS = {
    "chown": lambda folder: os.chown(f"{folder}/42", 7, 8),
    "chown to who it is": lambda folder: os.chown(f"{folder}/42", 0, 0),
    "chown to nobody": lambda folder: os.chown(f"{folder}/42", -1, -1),
    "chgrp": lambda folder: os.chown(f"{folder}/42", -1, 8),
    "written and then set": with_fd(os.O_WRONLY, part, lambda fd: os.fchmod(fd, 0o6755)),
    "set and then written": with_fd(os.O_WRONLY, lambda fd: os.fchmod(fd, 0o6755), part),
}


def outcome(folder, mode, action):
    """The mode that is left."""
    path = f"{folder}/42"
    with open(path, "wb") as file:
        file.write(b"o" * N)
    os.chmod(path, mode)
    os.stat(path)  # which the kernel remembers
    action(folder)
    left = run("stat", "-c", "%a", path).stdout  # asks for the mode alone
    assert oct(os.stat(path).st_mode & 0o7777) == oct(int(left, 8))
    os.unlink(path)
    return left


@pytest.fixture
def stranger():
    peer = Peer(uid=STRANGER, gid=STRANGER)
    yield peer
    peer.close()


@pytest.fixture
def folder(stores):
    return str(stores.mount(options=["allow_other"]).vectors)


def compare(plain, folder, actions, modes, end=outcome):
    wrong = []
    for mode in modes:
        for name, action in actions.items():
            want, got = (end(place, mode, action) for place in (plain, folder))
            if want != got:
                wrong.append(f"{oct(mode)}, {name}: {got}, not {want}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.needs_root("acts as several users")
def test_a_strangers_change_takes_them_away(plain, folder):
    compare(str(plain), folder, ACTIONS, MODES, by_stranger)


def by_stranger(folder, mode, action):
    def act(place):
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(STRANGER)
                os.setuid(STRANGER)
                action(place)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return outcome(folder, mode, act)


@pytest.mark.needs_root("acts as several users")
def test_roots_change_leaves_them_but_a_chown_does_not(plain, folder):
    # Where the group may not execute, a chown by root leaves the second bit elsewhere, not here.
    compare(str(plain), folder, ACTIONS | OWNERS, [mode for mode in MODES if mode != 0o2767])


@pytest.mark.needs_root("acts as several users")
def test_the_owners_change_takes_them_away(plain, stores):
    """Who writes into a program of his own sets the bits anew, if he wants them."""
    mnt = stores.mount(options=["allow_other"])
    mnt.vectors.chmod(0o777)
    user = Peer(uid=STRANGER, gid=STRANGER)
    try:
        for place in (str(plain), str(mnt.vectors)):
            assert user.call(own_program, f"{place}/42") == [0o755, 0o4755, 0o4755, 0o755, 0o4711]
    finally:
        user.close()


def own_program(path):
    os.umask(0)
    seen = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755)
    os.write(fd, b"1" * N)
    seen.append(os.fstat(fd).st_mode & 0o7777)
    os.fchmod(fd, 0o4755)
    os.close(fd)
    seen.append(os.stat(path).st_mode & 0o7777)
    fd = os.open(path, os.O_WRONLY)  # in parts, so that it is committed after the chmod
    os.pwrite(fd, b"2" * 50, 0)
    os.fchmod(fd, 0o4755)
    os.close(fd)
    seen.append(os.stat(path).st_mode & 0o7777)
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, b"3" * 50, 0)
    os.close(fd)
    seen.append(os.stat(path).st_mode & 0o7777)
    fd = os.open(os.path.dirname(path) + "/.new", os.O_CREAT | os.O_WRONLY, 0o4711)
    os.write(fd, b"4" * N)
    os.fchmod(fd, 0o4711)
    os.rename(os.path.dirname(path) + "/.new", path)
    os.close(fd)
    seen.append(os.stat(path).st_mode & 0o7777)
    return seen


@pytest.mark.needs_root("acts as several users")
@pytest.mark.parametrize("name", ["42.npy", "42.txt"])
def test_a_write_through_a_view_does(stores, stranger, name):
    mnt = stores.mount(options=["allow_other"])
    for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        mnt.put(42, bytes(N))
        os.chmod(mnt.path(42), 0o6777)
        data = mnt.path(name).read_bytes()
        stranger.call(overwrite, str(mnt.path(name)), flags, data)
        assert os.stat(mnt.path(42)).st_mode & 0o7777 == 0o777


def overwrite(path, flags, data):
    fd = os.open(path, flags)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


@pytest.mark.needs_root("acts as several users")
@pytest.mark.parametrize("maker", [0, STRANGER])
@pytest.mark.parametrize("options", [["uid=0"], ["uid=99"], ["gid=0"], ["gid=99"]])
def test_nobody_makes_a_program_of_somebody_elses(stores, options, maker):
    """What belongs to somebody by an option of the mount was not made by him."""
    mnt = stores.mount(options=["allow_other", "suid", *options])
    mnt.vectors.chmod(0o777)
    other = Peer(uid=maker, gid=maker, umask=0)
    kind, _, number = options[0].partition("=")
    bit = 0o4000 if kind == "uid" else 0o2000
    try:
        for number_of_file, name in enumerate(("1", "2.npy", ".3", ".4")):
            other.call(make, str(mnt.path(name)), 0o6755)
            status = os.stat(mnt.path(name))
            owner = status.st_uid if kind == "uid" else status.st_gid
            assert owner == int(number), name
            if owner != maker:
                assert not status.st_mode & bit, (name, number_of_file)
            if name == ".4":
                with pytest.raises(OSError) if int(number) != maker and maker and kind == "uid" \
                        else open(os.devnull, "rb"):
                    other.call("chmod", str(mnt.path(name)), 0o6755)
    finally:
        other.close()


@pytest.mark.needs_root("acts as several users")
def test_an_option_makes_no_program_somebodys_who_is_not_its_owner(stores):
    mnt = stores.mount()
    for number, owner in ((1, STRANGER), (2, 99)):
        mnt.put(number, bytes(N))
        os.chown(mnt.path(number), owner, owner)
        os.chmod(mnt.path(number), 0o6755)
    mnt = stores.again(mnt, options=["suid", "uid=99", "gid=99"])
    assert os.stat(mnt.path(1)).st_mode & 0o7777 == 0o755
    assert os.stat(mnt.path(2)).st_mode & 0o7777 == 0o6755
    os.chmod(mnt.path(1), 0o6711)
    assert os.stat(mnt.path(1)).st_mode & 0o7777 == 0o711


def make(path, mode):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, mode)
    if path.endswith(".npy"):
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (25,), }"
        header += b" " * (117 - len(header)) + b"\n"
        os.write(fd, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    os.write(fd, bytes(N))
    os.close(fd)


def test_bulk_writing_does(stores, ordinary_user):
    """By a user who has mounted what holds a program that root has put there."""
    store = stores.create()
    mnt = stores.mount(store)
    mnt.put(42, bytes(N))
    os.chmod(mnt.path(42), 0o6755)
    mnt.unmount()
    os.system(f"chown -R nobody:nogroup {store.path} {store.folder}/mnt")
    theirs = stores.mount(store, **ordinary_user)
    nobody = Peer(uid=65534, gid=65534)
    try:
        nobody.call(bulk, str(theirs.point))
        assert nobody.call("stat", str(theirs.path(42))).st_mode & 0o7777 == 0o755
    finally:
        nobody.close()


def bulk(point):
    fd = os.open(f"{point}/control/put", os.O_WRONLY)
    os.write(fd, struct.pack("<Q", 42) + b"b" * N)
    os.close(fd)
