"""Open files whose names change: removed, replaced, renamed, made again by others.

A program goes on with the descriptor that it has, as on other filesystems. So each case is done
twice, in a plain folder and on a mount, and must end alike.
"""

import errno
import mmap
import os
import subprocess
import threading
import time

import pytest

from files import opened, write_all
from harness import shell, until

BOTH_TRANSPORTS = True
N = 100
OLD, OTHER, NEW, MINE = (bytes([65 + i]) * N for i in range(4))


def put(path, data):
    """A file written in one go, with times and a mode that nobody else has."""
    write_all(path, data)
    os.chmod(path, 0o640)
    os.utime(path, (1000, 1000))


# ---- what a program has open, and has done with it --------------------------------

OPENINGS = {
    "reader": (os.O_RDONLY, ()),
    "writer": (os.O_WRONLY, ()),
    "untouched": (os.O_RDWR, ()),
    "part": (os.O_RDWR, ((0, 60),)),
    "all in parts": (os.O_RDWR, ((0, 60), (60, 100))),
    "all at once": (os.O_RDWR, ((0, 100),)),
    "emptied": (os.O_WRONLY | os.O_TRUNC, ((0, 60),)),
    "mapped": (os.O_RDONLY, ()),
    "mapped by a writer": (os.O_RDWR, ()),
}


# ---- what somebody else does to the name ------------------------------------------

def remove(names):
    os.unlink(f"{names}42")


def replace(names):
    os.rename(f"{names}7", f"{names}42")


def replace_by_scratch(names):
    put(f"{os.path.dirname(names)}/.new", NEW)
    os.rename(f"{os.path.dirname(names)}/.new", f"{names}42")


def move(names):
    os.rename(f"{names}42", f"{names}43")


def move_twice(names):
    move(names)
    os.rename(f"{names}43", f"{names}44")


def move_and_back(names):
    move(names)
    os.rename(f"{names}43", f"{names}42")


def move_over(names):
    os.rename(f"{names}42", f"{names}7")


def swap(names):
    os.rename(f"{names}42", f"{names}99")
    os.rename(f"{names}7", f"{names}42")
    os.rename(f"{names}99", f"{names}7")


def move_and_remove(names):
    move(names)
    os.unlink(f"{names}43")


def remove_and_make(names):
    remove(names)
    put(f"{names}42", NEW)


def move_and_make(names):
    move(names)
    put(f"{names}42", NEW)


def replace_and_move(names):
    replace(names)
    os.rename(f"{names}42", f"{names}50")


CHANGES = {change.__name__: change for change in (
    remove, replace, replace_by_scratch, move, move_twice, move_and_back, move_over, swap,
    move_and_remove, remove_and_make, move_and_make, replace_and_move)}
# The kernel knows a vector by its ID: what names no file but a number is the new one's.
MADE_AGAIN = ("swap", "remove_and_make", "move_and_make", "replace", "replace_by_scratch")


def contents(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        path = f"{folder}/{name}"
        with open(path, "rb") as file:
            data = file.read()
        status = os.stat(path)
        found[name] = (data, oct(status.st_mode & 0o7777),
                       status.st_mtime if status.st_mtime in (1000, 2000) else "now")
    return found


def by_another(change, names):
    """In another process, which has the descriptors but does not use them."""
    child = os.fork()
    if child == 0:
        try:
            change(names)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def act(names, opening, change, ending):
    """One case in one folder, all names in which begin so: all that the program sees, and what is
    left."""
    flags, writes = OPENINGS[opening]
    folder = os.path.dirname(names)
    path = f"{names}42"
    put(path, OLD)
    put(f"{names}7", OTHER)
    seen = []
    writes_any = flags & os.O_ACCMODE != os.O_RDONLY
    with opened(path, flags) as fd:
        mapped = None
        if opening.startswith("mapped"):
            mapped = mmap.mmap(fd, N, mmap.MAP_PRIVATE, mmap.PROT_READ)
        for start, end in writes:
            os.pwrite(fd, MINE[start:end], start)
        by_another(CHANGES[change], names)
        links = os.fstat(fd).st_nlink
        if change not in MADE_AGAIN:
            seen.append(links)
            os.fchmod(fd, 0o604)
            os.utime(fd, (2000, 2000))
            status = os.fstat(fd)
            seen.append((oct(status.st_mode), status.st_mtime))
        if mapped:
            seen.append(mapped[:])
            mapped.close()
        if flags & os.O_ACCMODE != os.O_WRONLY:
            seen.append(os.pread(fd, N, 0))
        if writes_any and ending != "close":
            os.pwrite(fd, MINE[:30], 0)
            os.pwrite(fd, MINE[30:], 30)
        if writes_any and ending == "fsync":
            os.fsync(fd)
        if flags & os.O_ACCMODE == os.O_RDWR:
            seen.append(os.pread(fd, N, 0))
        try:
            os.close(fd)
        except OSError as error:
            seen.append(error)
    seen.append(contents(folder))
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    return seen


def cases():
    for change in CHANGES:
        for opening, (flags, _) in OPENINGS.items():
            if flags & os.O_ACCMODE == os.O_RDONLY:
                yield opening, change, "close"
            elif opening == "emptied":
                # Ended here it would be too short for a vector.
                yield opening, change, "write"
            else:
                for ending in ("close", "write", "fsync"):
                    yield opening, change, ending


def try_all(plain, mounted):
    """In a process of its own, as whoever that is. What differs, as text."""
    wrong, tried = [], 0
    for case in cases():
        tried += 1
        # IDs of its own: of those of the last one the kernel may still have to tell of a close
        want, got = (act(f"{folder}/{tried}", *case) for folder in (plain, mounted))
        if want != got:
            wrong.append(f"{case}:\n  want {want}\n  got  {got}")
    assert tried > 150
    return wrong


@pytest.mark.local("renames of IDs")
def test_an_open_file_goes_on_as_in_a_plain_folder(mnt, plain):
    wrong = try_all(str(plain), str(mnt.vectors))
    assert not wrong, "\n".join(wrong)


# ---- a scratch file that becomes a vector while it is open -------------------------

@pytest.mark.parametrize("name", ["42", "42.npy", "42.txt"])
def test_a_descriptor_goes_on_as_that_of_the_vector(mnt, name, rng):
    """Whatever is done by it after the rename is done to the vector."""
    mnt.put(42, rng.randbytes(N))
    before = mnt.path(name).read_bytes()
    values = before if name != "42.txt" else b"\n".join([b"1.5"] * 25) + b"\n"
    with opened(mnt.path("." + name + ".new"), os.O_RDWR | os.O_CREAT, 0o644) as fd:
        os.write(fd, values)
        os.rename(mnt.path("." + name + ".new"), mnt.path(name))
        assert os.fstat(fd).st_nlink == 1
        assert os.fstat(fd).st_size == len(mnt.path(name).read_bytes())
        at = len(before) - 4 if name != "42.txt" else 0
        os.pwrite(fd, b"2" if name == "42.txt" else b"\1\2\3\4", at)
        os.fsync(fd)
        changed = mnt.path(name).read_bytes()
        assert changed[at:at + 1] == (b"2" if name == "42.txt" else b"\1")
        os.fchmod(fd, 0o600)
        os.utime(fd, (5000, 5000))
        assert os.stat(mnt.path(name)).st_mtime == 5000
        assert os.stat(mnt.path(name)).st_mode & 0o777 == 0o600
        os.pwrite(fd, b"3" if name == "42.txt" else b"\5\2\3\4", at)
        os.close(fd)
    assert mnt.path(name).read_bytes()[at:at + 1] == (b"3" if name == "42.txt" else b"\5")
    assert os.stat(mnt.path(name)).st_mode & 0o777 == 0o600
    assert mnt.ids() == {42}


def test_a_descriptor_of_what_was_a_scratch_file_follows_it(mnt, rng):
    """To another ID, and away."""
    first, second = rng.randbytes(N), rng.randbytes(N)
    with opened(mnt.path(".new"), os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, first)
        os.rename(mnt.path(".new"), mnt.path(42))
        os.pwrite(fd, second[:50], 0)
        assert mnt.get(42) == first
        assert os.pread(fd, N, 0) == second[:50] + first[50:]
        os.rename(mnt.path(42), mnt.path(43))
        os.fsync(fd)
        assert mnt.get(43) == second[:50] + first[50:]
        os.unlink(mnt.path(43))
        assert os.fstat(fd).st_nlink == 0
        os.pwrite(fd, second, 0)
        os.close(fd)
    assert mnt.ids() == set()


def test_nothing_written_while_it_becomes_a_vector_is_lost(mnt):
    """One thread writes all the time, one renames."""
    for round_ in range(300):
        with opened(mnt.path(".new"), os.O_RDWR | os.O_CREAT) as fd:
            os.write(fd, bytes(N))
            done = []

            def count(fd=fd, done=done):
                for number in range(1, 40):
                    os.pwrite(fd, bytes([number]) * N, 0)
                    done.append(number)

            writer = threading.Thread(target=count)
            writer.start()
            while len(done) < round_ % 20:
                pass
            os.rename(mnt.path(".new"), mnt.path(1))
            writer.join()
            os.close(fd)
        assert mnt.get(1) == bytes([39]) * N
    assert mnt.ids() == {1}


# ---- somebody else's stage ------------------------------------------------------------

@pytest.mark.parametrize("name", ["42", "42.npy"])
@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY])
def test_truncating_a_path_leaves_what_others_write(mnt, peer, name, flags):
    mnt.put(42, OLD)
    length = len(mnt.path(name).read_bytes())
    with opened(mnt.path(name), flags) as fd:
        with pytest.raises(OSError, match="Invalid argument"):
            peer.call("truncate", str(mnt.path(name)), 0)
        os.pwrite(fd, b"\1\2\3\4", length - 4)
        with pytest.raises(OSError, match="Invalid argument"):
            peer.call("truncate", str(mnt.path(name)), 0)
        os.fsync(fd)
        os.close(fd)
    assert mnt.get(42) == OLD[:-4] + b"\1\2\3\4"
    assert len(mnt.errors()) == 2
    mnt.forget_errors()


# ---- times ------------------------------------------------------------------------------

@pytest.mark.local("renames of IDs")
def test_the_times_of_what_is_written_after_a_rename_are_fresh(mnt, peer):
    put(mnt.path(42), OLD)
    with opened(mnt.path(42), os.O_RDWR) as fd:
        os.rename(mnt.path(42), mnt.path(43))
        assert peer.call("stat", str(mnt.path(43))).st_mtime == 1000
        os.pwrite(fd, NEW, 0)
        assert peer.call("stat", str(mnt.path(43))).st_mtime > 2000
        os.close(fd)
    assert os.stat(mnt.path(43)).st_mtime > 2000


@pytest.mark.local("renames of IDs")
def test_a_readers_changes_after_a_rename_show(mnt, peer):
    """fchmod and futimens need no descriptor for writing."""
    put(mnt.path(42), OLD)
    with opened(mnt.path(42), os.O_RDONLY) as fd:
        os.rename(mnt.path(42), mnt.path(43))
        assert peer.call("stat", str(mnt.path(43))).st_mtime == 1000
        os.fchmod(fd, 0o600)
        os.utime(fd, (2000, 2000))
    status = peer.call("stat", str(mnt.path(43)))
    assert (status.st_mtime, status.st_mode & 0o777) == (2000, 0o600)


# ---- who asks for the length of a file that is being made --------------------------------

def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


@pytest.mark.parametrize("again", [False, True])
def test_any_thread_of_the_writer_sees_what_it_has_written(mnt, again):
    """As goroutines and thread pools do; also where there was a vector of that ID before."""
    path = mnt.path(42)
    if again:
        mnt.put(42, OLD)
        os.unlink(path)
    fd = in_thread(lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    try:
        os.write(fd, NEW[:10])
        # As long as the removed one is open, which the kernel tells late, it has N bytes.
        until(lambda: os.fstat(fd).st_size == 10, "it has N bytes still")
        assert in_thread(lambda: os.fstat(fd).st_size) == 10
        assert in_thread(lambda: os.lseek(fd, 0, os.SEEK_END)) == 10
        assert in_thread(lambda: os.write(fd, NEW[10:])) == N - 10
    finally:
        os.close(fd)
    assert mnt.get(42) == NEW


def test_a_child_that_has_the_descriptor_sees_it_too(mnt):
    with opened(mnt.path(42), os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, NEW[:10])
        child = os.fork()
        if child == 0:
            os._exit(os.fstat(fd).st_size + os.lseek(fd, 0, os.SEEK_END))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 20
        os.write(fd, NEW[10:])


# ---- threads that the daemon cannot see ---------------------------------------------------

OUT_OF_SIGHT = """
import os, sys, time
folder, kind = sys.argv[1:]
path = folder + "/42"
assert os.getpid() < 10  # in a pid namespace of its own
if kind == "make":
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"m" * 10)
    assert os.fstat(fd).st_size == 10
    assert os.lseek(fd, 0, os.SEEK_END) == 10
    os.write(fd, b"m" * 90)
    os.close(fd)
elif kind == "empty":
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"e" * 60)
    os.write(fd, b"e" * 40)
    os.close(fd)
elif kind == "patch":
    fd = os.open(path, os.O_RDWR)
    print("open", flush=True)
    sys.stdin.readline()
    os.pwrite(fd, b"p" * 10, 0)
    os.utime(fd, (3000, 3000))
    os.close(fd)
elif kind == "cut":
    try:
        os.truncate(path, 0)
    except OSError as error:
        sys.exit(error.errno)
"""


@pytest.fixture
def out_of_sight(tmp):
    """Runs one of the above where all threads are thread 0 to the daemon."""
    if shell("unshare --pid --fork true", status=None).returncode != 0:
        pytest.skip("no pid namespace can be made here")
    (tmp / "script.py").write_text(OUT_OF_SIGHT)

    def start(folder, kind, **options):
        return subprocess.Popen(["unshare", "--pid", "--fork", "/usr/bin/python3",
                                 tmp / "script.py", folder, kind], text=True, **options)

    return start


def test_writers_of_another_pid_namespace(stores, out_of_sight):
    """The daemon is in one of its own, so those outside are thread 0, all of them."""
    mnt = stores.mount(before=["unshare", "--pid", "--fork", "--kill-child"], check=False)
    folder = mnt.vectors
    for again in range(2):
        # As long as the one that was removed is open a new one has N bytes, and the kernel tells
        # of a close when it likes.
        until(lambda: out_of_sight(folder, "make", stderr=subprocess.DEVNULL).wait() == 0, "10 bytes")
        mnt.forget_errors()
        assert mnt.get(42) == b"m" * N
        assert out_of_sight(folder, "empty").wait() == 0
        assert mnt.get(42) == b"e" * N
        put(mnt.path(42), OLD)
        writer = out_of_sight(folder, "patch", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == "open\n"
        time.sleep(1.1)  # an O_TRUNC of its would have come by now
        assert out_of_sight(folder, "cut").wait() == errno.EINVAL
        assert os.stat(mnt.path(42)).st_mtime == 1000
        writer.communicate("go on\n")
        assert writer.returncode == 0
        assert mnt.get(42) == b"p" * 10 + OLD[10:]
        assert os.stat(mnt.path(42)).st_mtime == 3000
        assert len(mnt.errors()) == 1
        mnt.forget_errors()
        if again == 0:
            os.unlink(mnt.path(42))
