"""inotify(7) and fanotify(7) tell of what is changed through the mount."""

import ctypes
import errno
import os
import select
import struct

import pytest

from files import AT_FDCWD, libc, opened, refused, write_all

BOTH_TRANSPORTS = True

IN_ACCESS, IN_IGNORED = 0x1, 0x8000
IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN = 0x2, 0x4, 0x8, 0x10, 0x20
IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x40, 0x80, 0x100, 0x200
IN_DELETE_SELF = 0x400
NAMES = {value: name for name, value in list(globals().items()) if name.startswith("IN_")}

FAN_MODIFY, FAN_CLOSE_WRITE, FAN_CREATE, FAN_DELETE, FAN_RENAME = 0x2, 0x8, 0x100, 0x200, 0x10000000
FAN_CLASS_NOTIF, FAN_NONBLOCK, FAN_REPORT_DFID_NAME = 0, 0x2, 0xc00
FAN_MARK_ADD, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM = 0x1, 0x10, 0x100


class Inotify:
    def __init__(self, *paths, mask=0xfff):
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        assert self.fd >= 0
        for path in paths:
            assert libc.inotify_add_watch(self.fd, os.fsencode(path), mask) > 0, path

    def events(self):
        """(name, what) of all that has happened; the cookies of moves must match."""
        data, found, cookies = b"", [], []
        while True:
            try:
                data += os.read(self.fd, 65536)
            except BlockingIOError:
                break
        while data:
            _, mask, cookie, length = struct.unpack_from("iIII", data)
            name = data[16:16 + length].rstrip(b"\0").decode()
            data = data[16 + length:]
            found.append((name, NAMES[mask & 0x8fff]))
            cookies += [cookie] * bool(cookie)
        assert cookies[::2] == cookies[1::2]
        return found

    def close(self):
        os.close(self.fd)


@pytest.fixture
def watched(mnt):
    watch = Inotify(mnt.vectors)
    yield watch
    watch.close()


def changes(watch):
    """Without what only looks."""
    return [event for event in watch.events() if event[1] not in ("IN_OPEN", "IN_ACCESS", "IN_CLOSE_NOWRITE")]


def test_a_new_vector(mnt, watched, rng):
    mnt.put(42, rng.randbytes(mnt.size))
    assert watched.events() == [("42", "IN_CREATE"), ("42", "IN_OPEN"), ("42", "IN_MODIFY"),
                                ("42", "IN_CLOSE_WRITE")]
    mnt.get(42)
    assert watched.events()[-1] == ("42", "IN_CLOSE_NOWRITE")


def test_an_overwrite_in_pieces(mnt, watched, rng):
    mnt.put(42, rng.randbytes(mnt.size))
    watched.events()
    write_all(mnt.path(42), rng.randbytes(mnt.size), chunk=50)
    assert changes(watched) == [("42", "IN_MODIFY"), ("42", "IN_CLOSE_WRITE")]


@pytest.mark.local("renames of IDs")
def test_renames_and_removals(mnt, watched, rng):
    write_all(mnt.path(".new"), rng.randbytes(mnt.size))
    os.rename(mnt.path(".new"), mnt.path(1))
    assert changes(watched)[-2:] == [(".new", "IN_MOVED_FROM"), ("1", "IN_MOVED_TO")]
    os.rename(mnt.path(1), mnt.path(2))
    assert changes(watched) == [("1", "IN_MOVED_FROM"), ("2", "IN_MOVED_TO")]
    os.chmod(mnt.path(2), 0o600)
    assert changes(watched) == [("2", "IN_ATTRIB")]
    os.unlink(mnt.path(2))
    assert changes(watched)[-1] == ("2", "IN_DELETE")
    with refused(errno.ENOENT):
        os.unlink(mnt.path(2))
    assert changes(watched) == []


def test_what_another_process_does(mnt, watched, rng, peer):
    peer.write(mnt.path(1), rng.randbytes(mnt.size))
    assert ("1", "IN_CLOSE_WRITE") in changes(watched)
    peer.call("unlink", str(mnt.path(1)))
    assert changes(watched)[-1] == ("1", "IN_DELETE")


def test_one_vector_watched(mnt, rng):
    """Also after the kernel had reason to forget its inode: a watch holds it."""
    mnt.put(1, rng.randbytes(mnt.size))
    watch = Inotify(mnt.path(1))
    for _ in range(3):
        mnt.put(1, rng.randbytes(mnt.size))
        assert ("", "IN_CLOSE_WRITE") in watch.events()
    os.unlink(mnt.path(1))
    assert ("", "IN_DELETE_SELF") in watch.events()
    watch.close()


@pytest.mark.local("checkpoint")
def test_control_files(mnt):
    watch = Inotify(mnt.control_folder)
    mnt.control("autocompact_percent", "30")
    assert changes(watch) == [("autocompact_percent", "IN_MODIFY"),
                              ("autocompact_percent", "IN_CLOSE_WRITE")]
    watch.close()


def test_bulk_writing_tells_of_control_put_alone(mnt, watched, rng):
    """Nobody opened the vector, so the kernel has nothing to tell; as quiverfs(1) says."""
    watch = Inotify(mnt.control_folder)
    mnt.control("put", (1).to_bytes(8, "little") + rng.randbytes(mnt.size))
    assert ("put", "IN_CLOSE_WRITE") in changes(watch)
    assert changes(watched) == []
    watch.close()


# ---- fanotify -----------------------------------------------------------------------


def fanotify(flags, marks, mask, path):
    fd = libc.fanotify_init(flags | FAN_NONBLOCK, os.O_RDONLY)
    if fd < 0:
        pytest.skip(f"no fanotify here: {os.strerror(ctypes.get_errno())}")
    if libc.fanotify_mark(fd, FAN_MARK_ADD | marks, ctypes.c_uint64(mask), AT_FDCWD,
                          os.fsencode(path)) != 0:
        number = ctypes.get_errno()
        os.close(fd)
        raise OSError(number, os.strerror(number))
    return fd


def fanotify_events(fd, wait=False):
    """(mask, path, pid) of each; the path is that of the descriptor that came with it."""
    found = []
    if wait:
        select.select([fd], [], [], 10)
    while True:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return found
        while data:
            length, _, _, _, mask, other, pid = struct.unpack_from("IBBHQii", data)
            path = ""
            if other >= 0:
                path = os.readlink(f"/proc/self/fd/{other}")
                os.close(other)
            found.append((mask, path, pid, data[24:length]))
            data = data[length:]


@pytest.mark.needs_root("asks fanotify for a whole mount")
@pytest.mark.parametrize("marks", [FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM])
def test_fanotify_of_the_whole_mount(mnt, rng, peer, marks):
    fd = fanotify(FAN_CLASS_NOTIF, marks, FAN_MODIFY | FAN_CLOSE_WRITE, mnt.point)
    peer.write(mnt.path(42), rng.randbytes(mnt.size))
    mnt.control("flush", "1")
    seen = fanotify_events(fd)
    assert [(path, pid) for mask, path, pid, _ in seen if mask & FAN_CLOSE_WRITE] == \
        [(str(mnt.path(42)), peer.process.pid), (str(mnt.control_folder / "flush"), os.getpid())]
    assert any(mask & FAN_MODIFY for mask, _, _, _ in seen)
    with opened(mnt.path(42), os.O_RDONLY):
        pass
    assert fanotify_events(fd) == []
    os.close(fd)


@pytest.mark.needs_root("asks fanotify for a whole mount")
def test_fanotify_with_names(mnt, rng):
    """Events of a folder's entries name them by file handle; of the folder itself, since a
    mark on a whole filesystem needs an fsid, which the kernel gives FUSE mounts or not."""
    mask = FAN_CREATE | FAN_DELETE | FAN_RENAME
    try:
        fd = fanotify(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, FAN_MARK_FILESYSTEM, mask,
                      mnt.vectors)
    except OSError as error:
        assert error.errno in (errno.ENODEV, errno.EXDEV, errno.EOPNOTSUPP), error
        pytest.skip(f"this kernel names no entries of FUSE mounts: {error}")
    mnt.put(42, rng.randbytes(mnt.size))
    os.rename(mnt.path(42), mnt.path(43))
    os.unlink(mnt.path(43))
    seen = fanotify_events(fd)
    for what, name in ((FAN_CREATE, b"42"), (FAN_RENAME, b"43"), (FAN_DELETE, b"43")):
        assert any(mask & what and name + b"\0" in info for mask, _, _, info in seen), seen
    os.close(fd)
