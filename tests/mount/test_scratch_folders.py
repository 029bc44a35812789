"""Folders of scratch files, as rsync --delay-updates makes one: what is done in them, and with
them, ends as in a plain folder; what is renamed out of them to an ID is a vector."""

import errno
import os
import random
import shutil
import signal
import stat
import subprocess

import pytest

from files import (RENAME_EXCHANGE, RENAME_NOREPLACE, attributes, opened, refused, rename2,
                   write_all)
from harness import run, until
from kernel_caches import forget_names, kernel_caches
from ordinary_user import NOBODY
from patience import group_has_ended
from peer import Peer

BOTH_TRANSPORTS = True
N = 100
ONE, SEVEN, SCRATCH = (bytes([65 + i]) * N for i in range(3))


# ---- each operation, in a plain folder and on a mount -------------------------------

def set_up(folder):
    """.f with two files, .g without, a scratch file, a vector."""
    for name in (".f", ".g"):
        os.mkdir(f"{folder}/{name}")
    for name, data in ((".f/1", ONE), (".f/name", b"x"), (".s", SCRATCH), ("7", SEVEN)):
        write_all(f"{folder}/{name}", data)
        os.chmod(f"{folder}/{name}", 0o640)


def tree(folder, top=True):
    """By name the mode, the links, the bytes or what is in it."""
    found = {"": os.stat(folder).st_nlink}
    for name in sorted(os.listdir(folder)):
        path = f"{folder}/{name}"
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            assert top
            inside = tree(path, top=False)
        else:
            with open(path, "rb") as file:
                inside = file.read()
        found[name] = (oct(status.st_mode), status.st_nlink, inside)
    return found


def clear(folder):
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if not os.path.isdir(path):
            os.unlink(path)
        elif os.stat(path).st_uid == os.getuid():
            shutil.rmtree(path)


def in_folder(folder, what):
    """Done with the folder itself as the current one."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        return what()
    finally:
        os.fchdir(before)
        os.close(before)


def open_and_remove(folder):
    """A folder that is gone, to who has it open or is in it."""
    seen = []

    def try_it(what, *words, **options):
        try:
            seen.append(what(*words, **options))
        except OSError as error:
            seen.append(errno.errorcode[error.errno])

    def inside():
        with opened(".", os.O_RDONLY) as fd:
            os.rmdir("../.g")
            seen.append((os.fstat(fd).st_nlink, os.stat(".").st_nlink))
            try_it(os.listdir, fd)
            try_it(os.listdir, ".")
            try_it(os.open, "x", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
            try_it(os.mkdir, ".x", dir_fd=fd)
            try_it(os.stat, "x", dir_fd=fd)
            try_it(os.rename, "../.s", "x")
            try_it(os.getcwd)
            os.fchmod(fd, 0o711)
            os.utime(fd, (5, 5))
            os.mkdir("../.g")
            status = os.fstat(fd)
            seen.append((status.st_nlink, oct(status.st_mode), status.st_mtime))
            seen.append(os.listdir("../.g"))

    in_folder(f"{folder}/.g", inside)
    return seen


def files_outlive_it(folder):
    with opened(f"{folder}/.f/1", os.O_RDWR) as fd:
        shutil.rmtree(f"{folder}/.f")
        os.pwrite(fd, b"more", N)
        return os.pread(fd, 2 * N, 0), os.fstat(fd).st_nlink


def remove_while_listed(folder):
    """A name that is there throughout is listed once, whatever goes and comes meanwhile."""
    for number in range(300):
        write_all(f"{folder}/.g/{number}", b"")
    seen = []
    with os.scandir(f"{folder}/.g") as entries:
        for entry in entries:
            seen.append(int(entry.name))
            if len(seen) < 150 and entry.is_file():
                write_all(f"{folder}/.g/{1000 + len(seen)}", b"")
            if int(entry.name) % 2 and int(entry.name) < 300:
                os.unlink(entry.path)
    for number in range(0, 300, 2):
        assert seen.count(number) == 1, number
    assert len(set(seen)) == len(seen)
    shutil.rmtree(f"{folder}/.g")


def attributes_of(folder):
    path = f"{folder}/.f"
    os.chmod(path, 0o1711)
    os.utime(path, ns=(1, 1234567890123456789))
    before = attributes(path)
    os.chown(path, os.getuid(), os.getgid())
    write_all(f"{path}/new", b"")
    after = os.stat(path)
    return (before[0], oct(before[1]), oct(after.st_mode), after.st_mtime_ns != before[0],
            os.stat(f"{path}/..").st_ino == os.stat(folder).st_ino)


def times_move(folder):
    """Both folders' times move with each change of a name."""
    moved = []
    for change in (lambda: os.mkdir(f"{folder}/.n"), lambda: os.rmdir(f"{folder}/.n"),
                   lambda: os.rename(f"{folder}/.f/1", f"{folder}/7"),
                   lambda: os.rename(f"{folder}/.s", f"{folder}/.f/1"),
                   lambda: os.unlink(f"{folder}/.f/1")):
        for name in (".", ".f"):
            os.utime(f"{folder}/{name}", (1, 1))
        change()
        moved.append([os.stat(f"{folder}/{name}").st_mtime != 1 for name in (".", ".f")])
    return moved


def group_is_handed_on(folder):
    """By the set-group-ID bit, also through a folder."""
    os.chmod(folder, 0o2777)
    os.mkdir(f"{folder}/.n")
    write_all(f"{folder}/.n/x", b"")
    found = [(oct(os.stat(f"{folder}/{name}").st_mode), os.stat(f"{folder}/{name}").st_gid)
             for name in (".n", ".n/x")]
    os.chmod(folder, 0o777)
    return found


def moves(first, second, flags=0):
    return lambda folder: rename2(f"{folder}/{first}", f"{folder}/{second}", flags)


def opens(name, flags):
    def do(folder):
        with opened(f"{folder}/{name}", flags) as fd:
            return os.read(fd, 1)
    return do


OPERATIONS = {
    "mkdir over a folder": lambda folder: os.mkdir(f"{folder}/.f"),
    "mkdir over a file": lambda folder: os.mkdir(f"{folder}/.s"),
    "mkdir over a vector": lambda folder: os.mkdir(f"{folder}/7"),
    "mkdir nowhere": lambda folder: os.mkdir(f"{folder}/.none/.x"),
    "mkdir in a file": lambda folder: os.mkdir(f"{folder}/.s/.x"),
    "mkdir with a mode": lambda folder: os.mkdir(f"{folder}/.n", 0o1701),
    "mkdir, long name": lambda folder: os.mkdir(f"{folder}/.{'n' * 254}"),
    "mkdir, longer name": lambda folder: os.mkdir(f"{folder}/.{'n' * 255}"),
    "rmdir": lambda folder: os.rmdir(f"{folder}/.g"),
    "rmdir a full one": lambda folder: os.rmdir(f"{folder}/.f"),
    "rmdir nothing": lambda folder: os.rmdir(f"{folder}/.none"),
    "rmdir a file": lambda folder: os.rmdir(f"{folder}/.s"),
    "rmdir a file in it": lambda folder: os.rmdir(f"{folder}/.f/1"),
    "rmdir a vector": lambda folder: os.rmdir(f"{folder}/7"),
    "rmdir itself": lambda folder: os.rmdir(f"{folder}/.g/."),
    "rmdir the one above": lambda folder: os.rmdir(f"{folder}/.g/.."),
    "unlink": lambda folder: os.unlink(f"{folder}/.f/1"),
    "unlink nothing": lambda folder: os.unlink(f"{folder}/.f/2"),
    "unlink a folder": lambda folder: os.unlink(f"{folder}/.g"),
    "rm -r": lambda folder: shutil.rmtree(f"{folder}/.f"),
    "open a folder to write": opens(".g", os.O_RDWR),
    "create a folder": opens(".g", os.O_WRONLY | os.O_CREAT),
    "create a folder anew": opens(".g", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "read a folder": opens(".g", os.O_RDONLY),
    "a file as a folder": opens(".f/1", os.O_RDONLY | os.O_DIRECTORY),
    "a file in a file": opens(".f/1/2", os.O_RDONLY),
    "create in it": opens(".f/2", os.O_RDWR | os.O_CREAT),
    "create in it anew": opens(".f/1", os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "empty one in it": opens(".f/1", os.O_RDWR | os.O_TRUNC),
    "truncate a folder": lambda folder: os.truncate(f"{folder}/.g", 0),
    "a file of any name": lambda folder: write_all(f"{folder}/.f/0042 x.tar", b"x"),
    "mknod in it": lambda folder: os.mknod(f"{folder}/.f/x", stat.S_IFREG | 0o600),
    "through dots": lambda folder: sorted(os.listdir(f"{folder}/.f/./../.g/../.f")),
    "a folder": moves(".f", ".h"),
    "a folder over an empty one": moves(".f", ".g"),
    "a folder over a full one": moves(".g", ".f"),
    "a folder over a file": moves(".f", ".s"),
    "a folder over a vector": moves(".f", "7"),
    "a folder over itself": moves(".f", ".f"),
    "a folder into itself": moves(".f", ".f/x"),
    "a file over a folder": moves(".s", ".g"),
    "a vector over a folder": moves("7", ".g"),
    "a file over the folder it is in": moves(".f/1", ".f"),
    "within it": moves(".f/1", ".f/2"),
    "within it, over another": moves(".f/1", ".f/name"),
    "into it": moves(".s", ".f/s"),
    "into it, over another": moves(".s", ".f/1"),
    "out of it": moves(".f/1", ".t"),
    "out of it, over another": moves(".f/1", ".s"),
    "from one to the other": moves(".f/1", ".g/1"),
    "nothing": moves(".f/2", ".g/1"),
    "to an ID": moves(".f/1", "8"),
    "over a vector": moves(".f/1", "7"),
    "to an ID that is free": moves(".f/1", "8", RENAME_NOREPLACE),
    "not over a vector": moves(".f/1", "7", RENAME_NOREPLACE),
    "not over a file": moves(".f/1", ".s", RENAME_NOREPLACE),
    "not over a folder": moves(".f", ".g", RENAME_NOREPLACE),
    "a folder where there is none": moves(".f", ".h", RENAME_NOREPLACE),
    "open and removed": open_and_remove,
    "its files outlive it": files_outlive_it,
    "changed while listed": remove_while_listed,
    "attributes": attributes_of,
    "times": times_move,
    "group": group_is_handed_on,
}


def try_all(plain, mounted):
    """In a process of its own, as whoever that is. What differs, as text."""
    wrong = []
    for name, operation in OPERATIONS.items():
        outcomes = []
        for folder in (plain, mounted):
            set_up(folder)
            try:
                outcome = operation(folder)
            except OSError as error:
                outcome = errno.errorcode[error.errno]
            outcomes.append((outcome, tree(folder)))
            clear(folder)
        if outcomes[0] != outcomes[1]:
            wrong.append("{}:\n  want {}\n  got  {}".format(name, *outcomes))
    assert tree(mounted) == {"": 2}
    return wrong


def skip_unless_counted(folder):
    """Not every filesystem has one link more for each folder in a folder."""
    (folder / "one").mkdir()
    counts = folder.stat().st_nlink == 3
    (folder / "one").rmdir()
    if not counts:
        pytest.skip("folders are not counted in the links of the plain one")


def test_it_ends_as_in_a_plain_folder(mnt, plain):
    skip_unless_counted(plain)
    wrong = try_all(str(plain), str(mnt.vectors))
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def stranger():
    """A process of another user."""
    other = Peer(uid=NOBODY, gid=NOBODY)
    yield other
    other.close()


def as_others_may(folder):
    """What another user can do with a folder of ours, and what is in it."""
    seen = []
    for what in (lambda: sorted(os.listdir(f"{folder}/.f")), lambda: os.stat(f"{folder}/.f/1").st_size,
                 lambda: write_all(f"{folder}/.f/2", b""), lambda: os.unlink(f"{folder}/.f/1"),
                 lambda: os.rename(f"{folder}/.f/name", f"{folder}/.x"),
                 lambda: os.rename(f"{folder}/.f", f"{folder}/.y"),
                 lambda: os.rmdir(f"{folder}/.g"), lambda: os.chmod(f"{folder}/.f", 0o777),
                 lambda: os.utime(f"{folder}/.f", (1, 1)), lambda: os.utime(f"{folder}/.f"),
                 lambda: os.chown(f"{folder}/.f", NOBODY, NOBODY),
                 lambda: os.mkdir(f"{folder}/.theirs")):
        try:
            seen.append(what())
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
    return seen


def test_other_users_may_what_they_may_elsewhere(stores, plain, stranger):
    mnt = stores.mount(options=["allow_other"])
    for above in (0o777, 0o1777, 0o755):
        for mode in (0o700, 0o711, 0o755, 0o777, 0o1777, 0o733):
            outcomes = []
            for folder in (str(plain), str(mnt.vectors)):
                os.chmod(folder, above)
                set_up(folder)
                os.chmod(f"{folder}/.f", mode)
                os.chmod(f"{folder}/.f/1", 0o644)
                outcomes.append((stranger.call(as_others_may, folder), tree(folder)))
                clear(folder)
            assert outcomes[0] == outcomes[1], (oct(above), oct(mode))


# ---- what is the mount's own --------------------------------------------------------

def test_only_what_begins_with_a_dot_in_vectors_is_a_folder(mnt):
    os.mkdir(mnt.path(".f"))
    for path in (mnt.path("folder"), mnt.path(42), mnt.path("42.npy"), mnt.path("42.part"),
                 mnt.path("tmpab12cd34"), mnt.path(".f") / ".g", mnt.path(".f") / "42"):
        with refused(errno.EPERM):
            os.mkdir(path)
        mnt.expect_error("director|folder")
    for path in (mnt.point / ".Trash-1000", mnt.control_folder / ".f"):
        for call in (os.mkdir, lambda path: os.rename(mnt.path(".f"), path)):
            # Who is not root hears from the kernel that they are not to be written to.
            with refused(errno.EPERM if os.geteuid() == 0 else errno.EACCES):
                call(path)
            mnt.forget_errors()
    os.rmdir(mnt.path(".f"))


def test_a_folder_stays_where_it_is(mnt):
    for name in (".f", ".g"):
        os.mkdir(mnt.path(name))
    for to in (mnt.path("folder"), mnt.path(42), mnt.path("42.txt"), mnt.path("42.part"),
               mnt.path(".g") / ".f", mnt.path(".g") / "f"):
        with refused(errno.EPERM):
            os.rename(mnt.path(".f"), to)
        mnt.expect_error("a folder of scratch files must stay in vectors/")
    with refused(errno.EINVAL):
        rename2(mnt.path(".f"), mnt.path(".g"), RENAME_EXCHANGE)
    assert sorted(os.listdir(mnt.vectors)) == [".f", ".g"]


@pytest.mark.parametrize("name", ["42", "bak", ".bak"])
def test_a_vector_does_not_go_into_a_folder(mnt, rng, name):
    """It would be gone at unmount. EXDEV would have mv copy it there and remove it."""
    data = rng.randbytes(N)
    mnt.put(42, data)
    os.mkdir(mnt.path(".bak"))
    with refused(errno.EPERM):
        os.rename(mnt.path(42), mnt.path(".bak") / name)
    mnt.expect_error("42: a vector cannot be renamed to a scratch name")
    with refused(errno.EPERM):
        os.link(mnt.path(42), mnt.path(".bak") / name)
    mnt.expect_error("hard links")
    assert mnt.get(42) == data and os.listdir(mnt.path(".bak")) == []


def test_what_leaves_a_folder_to_an_id_is_committed_whole(stores, mnt, rng):
    data, patch = rng.randbytes(N), rng.randbytes(10)
    os.mkdir(mnt.path(".f"))
    commits = int(mnt.stats()["lsn"])
    with opened(mnt.path(".f") / "42", os.O_RDWR | os.O_CREAT, 0o640) as fd:
        os.write(fd, data[:60])
        with refused(errno.ENODATA):
            os.rename(mnt.path(".f") / "42", mnt.path(42))
        mnt.expect_error("vector 42: 42 holds 60 of 100 bytes")
        os.write(fd, data[60:])
        os.utime(fd, ns=(1, 987654321))
        os.rename(mnt.path(".f") / "42", mnt.path(42))
        assert int(mnt.stats()["lsn"]) == commits + 1
        assert mnt.get(42) == data
        assert attributes(mnt.path(42))[:2] == (987654321, 0o640)
        # The descriptor is the vector's now.
        os.pwrite(fd, patch, 0)
        os.fsync(fd)
    data = patch + data[10:]
    assert os.listdir(mnt.path(".f")) == []
    assert stores.again(mnt).get(42) == data


@pytest.mark.parametrize("form", ["npy", "txt"])
def test_a_view_comes_out_of_a_folder(mnt, rng, form):
    mnt.put(1, rng.randbytes(N))
    os.mkdir(mnt.path(".f"))
    content = mnt.path(f"1.{form}").read_bytes()
    write_all(mnt.path(".f") / f"2.{form}", content)
    os.rename(mnt.path(".f") / f"2.{form}", mnt.path(f"2.{form}"))
    assert mnt.path(f"2.{form}").read_bytes() == content
    assert mnt.ids() == {1, 2}


def test_all_of_it_is_gone_at_unmount(stores, mnt):
    os.mkdir(mnt.path(".f"))
    write_all(mnt.path(".f") / "42", b"x")
    again = stores.again(mnt)
    assert os.listdir(again.vectors) == [] and os.stat(again.vectors).st_nlink == 2


def test_a_read_only_mount_has_none(stores, mnt):
    mounted = stores.again(mnt, options=["ro"])
    for call in (os.mkdir, os.rmdir):
        with refused(errno.EROFS, errno.ENOENT):
            call(mounted.path(".f"))


@pytest.mark.needs_root("has the kernel drop its caches")
def test_the_kernel_may_forget_a_folder(mnt):
    os.mkdir(mnt.path(".f"))
    write_all(mnt.path(".f") / "1", ONE)
    inode = os.stat(mnt.path(".f")).st_ino
    with kernel_caches():
        for _ in range(3):
            forget_names()
            assert (mnt.path(".f") / "1").read_bytes() == ONE
            forget_names()
            assert os.stat(mnt.path(".f")).st_ino == inode
            assert os.listdir(mnt.path(".f")) == ["1"]


def test_folders_are_counted_as_scratch_files(stores, stranger):
    """And no more once the kernel has forgotten one that was removed."""
    mnt = stores.mount(options=["allow_other"])
    os.chmod(mnt.vectors, 0o777)
    assert stranger.call(make, str(mnt.vectors), 2000) == 2000
    assert os.stat(mnt.vectors).st_nlink == 2002 == 2 + len(os.listdir(mnt.vectors))
    assert stranger.call(make, str(mnt.path(".7")), 20000) == 16384 // 4 - 2000
    mnt.expect_error(f"user {NOBODY} may have at most 4096 scratch files")
    os.mkdir(mnt.path(".ours"))
    stranger.call(clear, str(mnt.vectors))
    os.rmdir(mnt.path(".ours"))
    until(lambda: mnt.stats()["scratch_files"] == "0", "removed folders are charged")


def make(folder, most):
    """How many folders, or files in one, somebody can make there."""
    for number in range(most):
        try:
            if "/." in folder:
                os.mknod(f"{folder}/{number}", stat.S_IFREG | 0o600)
            else:
                os.mkdir(f"{folder}/.{number}")
        except OSError as error:
            assert error.errno == errno.EDQUOT
            return number
    return most


def test_many_may_use_them_at_once(mnt, rng):
    """What was there a moment ago may be gone; nothing else goes wrong, and nothing is left."""
    peers = [Peer() for _ in range(4)]
    for other in peers:
        other.start(use_at_random, str(mnt.vectors), rng.random(), 600)
    assert {error for other in peers for error in other.result()} <= \
        {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENODATA}
    for other in peers:
        other.close()
    mnt.forget_errors()  # files renamed before they were written
    run("rm", "-rf", *(mnt.path(f".{number}") for number in range(3)))
    assert os.stat(mnt.vectors).st_nlink == 2
    until(lambda: mnt.stats()["scratch_files"] == "0", "scratch files are charged")


def use_at_random(vectors, seed, steps):
    """The errnos met."""
    rng = random.Random(seed)
    met = set()
    for _ in range(steps):
        one, two = (f"{vectors}/.{rng.randrange(3)}" for _ in range(2))
        name = rng.randrange(4)
        step = rng.choice([
            lambda: os.mkdir(one), lambda: os.rmdir(one), lambda: os.rename(one, two),
            lambda: os.listdir(one), lambda: os.listdir(vectors), lambda: os.utime(one),
            lambda: write_all(f"{one}/{name}", ONE), lambda: os.unlink(f"{one}/{name}"),
            lambda: os.rename(f"{one}/{name}", f"{two}/{name}"),
            lambda: os.rename(f"{one}/{name}", f"{vectors}/{name}")])
        try:
            step()
        except OSError as error:
            met.add(error.errno)
    return met


def test_tools_find_their_way(mnt, tmp, rng):
    mnt.put(42, rng.randbytes(N))
    os.mkdir(mnt.path(".f"))
    for number in range(300):
        write_all(mnt.path(".f") / str(number), rng.randbytes(N))
    shell = run("find", mnt.vectors, "-type", "f").stdout.splitlines()
    assert len(shell) == 301
    run("tar", "-cf", tmp / "all.tar", "-C", mnt.vectors, ".")
    run("cp", "-a", mnt.vectors, tmp / "copy")
    run("rsync", "-a", f"{mnt.vectors}/", f"{tmp}/synced/")
    for folder in ("copy", "synced"):
        run("diff", "-r", mnt.vectors, tmp / folder)
    run("rm", "-r", mnt.path(".f"))
    run("tar", "-xf", tmp / "all.tar", "-C", mnt.vectors)
    run("diff", "-r", mnt.vectors, tmp / "copy")
    run("rsync", "-a", "--delete", "--exclude=.f", "--delete-excluded", f"{tmp}/synced/",
        f"{mnt.vectors}/")
    assert os.listdir(mnt.vectors) == ["42"]


# ---- rsync --------------------------------------------------------------------------

WAYS = ["--delay-updates", "--partial-dir=.rsync-partial", "--delay-updates --partial-dir=.p",
        "--delay-updates --no-whole-file"]


def fill_source(folder, rng, count, suffix=""):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}{suffix}").write_bytes(rng.randbytes(N))
    return folder


def test_rsync(mnt, tmp, rng):
    for way in WAYS:
        for count in (50, 30):
            source = fill_source(tmp / "source", rng, count)
            done = run("rsync", "-aI", *way.split(), f"{source}/", f"{mnt.vectors}/")
            assert done.stderr == b"", way
            run("diff", "-r", source, mnt.vectors)
            done = run("rsync", "-ai", *way.split(), f"{source}/", f"{mnt.vectors}/")
            assert done.stdout == b"", way


def test_rsync_of_views(mnt, tmp, rng):
    for number in range(20):
        mnt.put(number, rng.randbytes(N))
    (tmp / "source").mkdir()
    for number in range(20):
        shutil.copy(mnt.path(f"{number}.npy"), tmp / "source" / f"{100 + number}.npy")
    done = run("rsync", "-rt", "--delay-updates", f"{tmp}/source/", f"{mnt.vectors}/")
    assert done.stderr == b""
    for number in range(20):
        assert mnt.get(100 + number) == mnt.get(number)
    assert len(os.listdir(mnt.vectors)) == 40


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("way", WAYS[:2])
def test_rsync_goes_on_where_it_was_ended(mnt, tmp, rng, way, end):
    """Vectors are the old ones or the new ones, never anything between."""
    source = fill_source(tmp / "source", rng, 400)
    old = fill_source(tmp / "old", rng, 400)
    run("rsync", "-a", f"{old}/", f"{mnt.vectors}/")
    words = ["rsync", "-aI", "--bwlimit=20", *way.split(), f"{source}/", f"{mnt.vectors}/"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        until(lambda: any(name.startswith(".") for name in os.listdir(mnt.vectors)) or
              process.poll() is not None, "rsync makes nothing")
        os.killpg(process.pid, end)
        assert process.wait() != 0
        until(lambda: group_has_ended(process.pid), "its receiver does not end")
    for number in range(400):
        assert mnt.get(number) in [(folder / str(number)).read_bytes() for folder in (old, source)]
    run("rsync", "-aI", *way.split(), f"{source}/", f"{mnt.vectors}/")
    for number in range(400):
        assert mnt.get(number) == (source / str(number)).read_bytes()


def test_rsync_keeps_its_temporary_files_in_one(mnt, tmp, rng):
    source = fill_source(tmp / "source", rng, 20)
    os.mkdir(mnt.path(".tmp"))
    run("rsync", "-aI", "--temp-dir=.tmp", f"{source}/", f"{mnt.vectors}/")
    assert os.listdir(mnt.path(".tmp")) == []
    os.rmdir(mnt.path(".tmp"))
    run("diff", "-r", source, mnt.vectors)


def test_more_than_a_user_may_have_is_no_success(stores, tmp, stranger, rng):
    """What does not fit at once is told, and comes the next time."""
    mnt = stores.mount(options=["allow_other"])
    os.chmod(mnt.vectors, 0o777)
    source = fill_source(tmp / "source", rng, 4200)
    for status in (23, 0):
        stranger.call(run, "rsync", "-rtO", "--delay-updates", f"{source}/", f"{mnt.vectors}/",
                      status=status)
    mnt.forget_errors()
    run("diff", "-r", source, mnt.vectors)
