"""ctime: what moves it on other filesystems moves it here, and nothing moves it back."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from files import GIVEN, opened, write_all
from harness import run

SIZE = 100
LONG_AGO = 1_500_000_000_123_456_789
# Longer than a step of the clock by which the kernel dates what it changes.
STEP_SECONDS = 0.02


def ctime(path):
    return os.stat(path).st_ctime_ns


# ---- side by side with another filesystem ---------------------------------------


class Folder:
    """A folder with one file, `1`, and what is done to it."""

    def __init__(self, path, tmp):
        self.path, self.tmp = Path(path), tmp
        (self.path / "1").write_bytes(b"a" * SIZE)

    def file(self, name="1"):
        return self.path / name

    def outside(self, data):
        """A file with an old mtime, elsewhere."""
        folder = Path(tempfile.mkdtemp(dir=self.tmp))
        (folder / "1").write_bytes(data * SIZE)
        os.utime(folder / "1", ns=(LONG_AGO, LONG_AGO))
        return folder

    def in_pieces(self):
        write_all(self.file(), b"p" * SIZE, flags=os.O_WRONLY, chunk=30)

    def cut_and_written(self):
        with opened(self.file(), os.O_WRONLY) as fd:
            os.ftruncate(fd, 0)
            os.write(fd, b"c" * SIZE)

    def written_and_dated(self):
        with opened(self.file(), os.O_WRONLY) as fd:
            os.write(fd, b"d" * SIZE)
            os.utime(fd, ns=(LONG_AGO, LONG_AGO))

    def modes_of_an_open_file(self):
        with opened(self.file(), os.O_RDONLY) as fd:
            os.fchmod(fd, 0o640)

    def renamed_onto(self):
        self.file("6").write_bytes(b"r" * SIZE)
        os.utime(self.file("6"), ns=(LONG_AGO, LONG_AGO))
        os.rename(self.file("6"), self.file())

    def temporary_renamed_onto(self):
        self.file(".tmp").write_bytes(b"t" * SIZE)
        os.utime(self.file(".tmp"), ns=(LONG_AGO, LONG_AGO))
        os.rename(self.file(".tmp"), self.file())

    def renamed_and_back(self):
        os.rename(self.file(), self.file("7"))
        os.rename(self.file("7"), self.file())

    def moved_from_elsewhere(self):
        run("mv", self.outside(b"m") / "1", self.file())

    def archive(self):
        folder = self.outside(b"x")
        run("tar", "-C", folder, "-cf", folder / "tar", "1")
        run("tar", "-C", self.path, "-xf", folder / "tar")

    def looked_at(self):
        self.file().read_bytes()
        os.listdir(self.path)
        with opened(self.file(), os.O_WRONLY):
            pass

    def temporary_made_and_removed(self):
        self.file(".other").write_bytes(b"")
        os.unlink(self.file(".other"))


STEPS = {
    "chmod": lambda folder: os.chmod(folder.file(), 0o600),
    "chmod to the mode it has": lambda folder: os.chmod(folder.file(), 0o600),
    "fchmod": Folder.modes_of_an_open_file,
    "chown": lambda folder: os.chown(folder.file(), *GIVEN),
    "chown to nobody else": lambda folder: os.chown(folder.file(), -1, -1),
    "utimens": lambda folder: os.utime(folder.file(), ns=(LONG_AGO, LONG_AGO)),
    "utimens to the time it has": lambda folder: os.utime(folder.file(), ns=(LONG_AGO, LONG_AGO)),
    "touch": lambda folder: run("touch", folder.file()),
    "touch -a": lambda folder: run("touch", "-a", folder.file()),
    "touch -d": lambda folder: run("touch", "-d", "2020-01-01", folder.file()),
    "written": lambda folder: folder.file().write_bytes(b"w" * SIZE),
    "written with what it holds": lambda folder: folder.file().write_bytes(b"w" * SIZE),
    "in pieces": Folder.in_pieces,
    "cut and written": Folder.cut_and_written,
    "written and dated": Folder.written_and_dated,
    "renamed onto": Folder.renamed_onto,
    "a temporary file renamed onto": Folder.temporary_renamed_onto,
    "renamed and back": Folder.renamed_and_back,
    "moved from elsewhere": Folder.moved_from_elsewhere,
    "cp -p": lambda folder: run("cp", "-p", folder.outside(b"c") / "1", folder.file()),
    "tar -x": Folder.archive,
    "looked at": Folder.looked_at,
    "a temporary file made and removed": Folder.temporary_made_and_removed,
    "chmod of the folder": lambda folder: os.chmod(folder.path, 0o700),
    "utimens of the folder": lambda folder: os.utime(folder.path, ns=(LONG_AGO, LONG_AGO)),
}


def moved(path, before):
    """Which of its times have changed; none may go back but an mtime that was set."""
    after = os.stat(path)
    assert after.st_ctime_ns >= before.st_ctime_ns
    return after.st_ctime_ns > before.st_ctime_ns, after.st_mtime_ns != before.st_mtime_ns


def trace(folder):
    """What each step has moved, of the file and of the folder."""
    found = {}
    for name, step in STEPS.items():
        time.sleep(STEP_SECONDS)
        file, parent = os.stat(folder.file()), os.stat(folder.path)
        step(folder)
        found[name] = moved(folder.file(), file) + moved(folder.path, parent)
    return found


@pytest.mark.local("renames of IDs")
def test_what_moves_it_elsewhere_moves_it_here(mnt, tmp):
    theirs = tmp / "theirs"
    theirs.mkdir()
    expected = trace(Folder(theirs, tmp))
    assert expected["chmod"] == (True, False, False, False)  # it is a filesystem with a ctime
    assert trace(Folder(mnt.vectors, tmp)) == expected


def test_a_view_has_that_of_its_vector(mnt):
    mnt.put(1, bytes(mnt.size))
    view = mnt.vectors / "1.npy"
    data = view.read_bytes()
    for change in (lambda: os.chmod(mnt.path(1), 0o600), lambda: os.chmod(view, 0o640),
                   lambda: os.utime(view, ns=(LONG_AGO, LONG_AGO)),
                   lambda: mnt.put(1, b"x" * mnt.size), lambda: view.write_bytes(data)):
        before = ctime(mnt.path(1))
        change()
        assert ctime(view) == ctime(mnt.path(1)) == ctime(mnt.vectors / "1.txt") > before


# ---- it is kept -----------------------------------------------------------------


@pytest.mark.local("jobs")
def test_it_is_kept(stores, rng, tmp):
    """By a remount, by compaction, by a recovery; and goes on from there."""
    mnt = stores.mount()
    for vector in range(40):
        mnt.put(vector, rng.randbytes(mnt.size))
        os.utime(mnt.path(vector), ns=(LONG_AGO, LONG_AGO))
    for vector in range(0, 40, 3):
        os.unlink(mnt.path(vector))  # so that compaction moves some
    for vector in range(1, 40, 3):
        os.chmod(mnt.path(vector), 0o600)
    known = {vector: ctime(mnt.path(vector)) for vector in mnt.ids()}
    folder = ctime(mnt.vectors)

    def check():
        assert {vector: ctime(mnt.path(vector)) for vector in mnt.ids()} == known
        assert ctime(mnt.vectors) == folder

    check()
    mnt = stores.again(mnt)
    check()
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    check()
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    check()
    for vector in mnt.ids():
        os.utime(mnt.path(vector), ns=(LONG_AGO, LONG_AGO))
        assert ctime(mnt.path(vector)) > known[vector]
        known[vector] = ctime(mnt.path(vector))
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    check()
    mnt = stores.again(mnt, options=["ro"])
    check()


def test_nothing_moves_it_back(mnt, rng):
    """Whatever is done with the mtime; of the folder, too."""
    mnt.put(1, bytes(mnt.size))
    last, folder = ctime(mnt.path(1)), ctime(mnt.vectors)
    for number in range(200):
        choice = rng.randrange(6)
        if choice == 0:
            os.utime(mnt.path(1), ns=(rng.randrange(2**62), rng.randrange(2**62)))
        elif choice == 1:
            mnt.put(1, rng.randbytes(mnt.size))
        elif choice == 2:
            os.chmod(mnt.path(1), rng.choice((0o600, 0o644)))
        elif choice == 3:
            (mnt.vectors / f".temporary{number}").write_bytes(b"")
        elif choice == 4:
            os.utime(mnt.vectors, ns=(number, rng.randrange(2**62)))
        else:
            mnt.put(2, bytes(mnt.size))
            os.unlink(mnt.path(2))
        assert ctime(mnt.path(1)) >= last + (choice < 3)
        assert ctime(mnt.vectors) >= folder + (choice >= 3)
        last, folder = ctime(mnt.path(1)), ctime(mnt.vectors)


# ---- it is seen at once ---------------------------------------------------------------


def ctime_of(fd):
    return os.fstat(fd).st_ctime_ns


def listed(folder, name):
    """As a listing with attributes tells it."""
    with os.scandir(folder) as entries:
        return next(entry.stat().st_ctime_ns for entry in entries if entry.name == name)


def put_record(mnt, vector):
    mnt.control("put", vector.to_bytes(8, "little") + b"q" * mnt.size)


def rename_onto(mnt, vector):
    (mnt.vectors / ".new").write_bytes(b"r" * mnt.size)
    os.rename(mnt.vectors / ".new", mnt.path(vector))


CHANGES = {
    "chmod": lambda mnt, vector: os.chmod(mnt.path(vector), 0o600),
    "utimens": lambda mnt, vector: os.utime(mnt.path(vector), ns=(LONG_AGO, LONG_AGO)),
    "write": lambda mnt, vector: mnt.put(vector, b"w" * mnt.size),
    "view": lambda mnt, vector: os.chmod(mnt.vectors / f"{vector}.npy", 0o640),
    "put": put_record,
    "rename": rename_onto,
}


@pytest.mark.parametrize("change", CHANGES)
def test_others_see_it_at_once(mnt, peer, change):
    """By their path, by what they have open, in a listing: the kernel had kept the one before."""
    mnt.put(1, bytes(mnt.size))
    fds = [peer.call("open", str(mnt.path(1)), flags) for flags in (os.O_RDONLY, os.O_PATH)]
    for _ in range(3):
        before = ctime(mnt.path(1))
        assert [peer.call(ctime_of, fd) for fd in fds] == [before] * 2
        assert peer.call(ctime, mnt.path(1)) == listed(mnt.vectors, "1") == before
        CHANGES[change](mnt, 1)
        found = [peer.call(ctime_of, fd) for fd in fds]
        after = ctime(mnt.path(1))
        assert after > before
        assert found == [after] * 2
        assert peer.call(ctime, mnt.path(1)) == listed(mnt.vectors, "1") == after
        with opened(mnt.path(1), os.O_WRONLY) as fd:
            assert ctime_of(fd) == after
    for fd in fds:
        peer.call("close", fd)


@pytest.mark.local("renames of IDs")
def test_a_rename_is_seen_at_once(mnt, peer):
    mnt.put(1, bytes(mnt.size))
    mnt.put(2, b"x" * mnt.size)
    fd = peer.call("open", str(mnt.path(1)), os.O_RDONLY)
    before = max(ctime(mnt.path(1)), ctime(mnt.path(2)), peer.call(ctime_of, fd),
                 peer.call(ctime, mnt.path(2)))
    os.rename(mnt.path(1), mnt.path(2))
    assert peer.call(ctime, mnt.path(2)) == ctime(mnt.path(2)) > before
    # The one that is open has moved with it, and stays with it.
    for change in (lambda: None, lambda: os.chmod(mnt.path(2), 0o600),
                   lambda: os.utime(mnt.path(2), ns=(LONG_AGO, LONG_AGO))):
        change()
        found, named = peer.call("fstat", fd), os.stat(mnt.path(2))
        assert (found.st_ctime_ns, found.st_mtime_ns, found.st_mode, found.st_nlink) == (
            named.st_ctime_ns, named.st_mtime_ns, named.st_mode, 1)
    peer.call("close", fd)


def test_the_folders_is_seen_at_once(mnt, peer):
    (mnt.vectors / ".a").write_bytes(b"")
    for change in (lambda: mnt.put(1, bytes(mnt.size)), lambda: os.unlink(mnt.path(1)),
                   lambda: (mnt.vectors / ".b").write_bytes(b""),
                   lambda: os.rename(mnt.vectors / ".a", mnt.vectors / ".c"),
                   lambda: os.unlink(mnt.vectors / ".b"), lambda: os.chmod(mnt.vectors, 0o755),
                   lambda: os.utime(mnt.vectors, ns=(LONG_AGO, LONG_AGO)),
                   lambda: put_record(mnt, 5)):
        before = ctime(mnt.vectors)
        assert peer.call(ctime, mnt.vectors) == before
        change()
        assert peer.call(ctime, mnt.vectors) == ctime(mnt.vectors) > before


# ---- what is not committed --------------------------------------------------------------


def test_a_file_that_is_being_written_has_one(mnt):
    with opened(mnt.path(1), os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
        last = ctime_of(fd)
        for change in (lambda: os.write(fd, b"x" * 10), lambda: os.ftruncate(fd, 20),
                       lambda: os.fchmod(fd, 0o600),
                       lambda: os.utime(fd, ns=(LONG_AGO, LONG_AGO)),
                       lambda: os.pwrite(fd, b"y" * mnt.size, 0)):
            time.sleep(0.001)
            change()
            assert ctime_of(fd) > last
            last = ctime_of(fd)
    assert ctime(mnt.path(1)) >= last


def test_a_scratch_file_has_one(mnt):
    path = mnt.vectors / ".file"
    path.write_bytes(b"a")
    fd = os.open(path, os.O_RDWR)
    last = ctime(path)
    for change in (lambda: os.chmod(path, 0o600), lambda: os.write(fd, b"b"),
                   lambda: os.ftruncate(fd, 9), lambda: os.utime(path, ns=(LONG_AGO, LONG_AGO)),
                   lambda: run("touch", "-a", path),
                   lambda: os.rename(path, mnt.vectors / ".other"),
                   lambda: os.unlink(mnt.vectors / ".other")):
        time.sleep(0.001)
        change()
        assert ctime_of(fd) > last
        last = ctime_of(fd)
    os.close(fd)


def test_a_removed_file_that_is_open_has_one(mnt):
    mnt.put(1, bytes(mnt.size))
    with opened(mnt.path(1), os.O_RDONLY) as fd:
        before = ctime_of(fd)
        os.unlink(mnt.path(1))
        assert os.fstat(fd).st_nlink == 0
        assert ctime_of(fd) > before


# ---- programs that look at it ---------------------------------------------------------


def change_behind_the_mtime(mnt, rng, tmp):
    data = rng.randbytes(mnt.size)
    folder = tmp / "changed"
    folder.mkdir()
    (folder / "42").write_bytes(data)
    os.utime(folder / "42", ns=(LONG_AGO, LONG_AGO))
    run("tar", "-C", folder, "-cf", tmp / "42.tar", "42")
    run("tar", "-C", mnt.vectors, "-xf", tmp / "42.tar")
    os.chmod(mnt.path(43), 0o600)
    assert os.stat(mnt.path(42)).st_mtime == LONG_AGO // 10**9
    return data


@pytest.fixture
def aged(mnt, rng):
    for vector in (42, 43, 99):
        mnt.put(vector, rng.randbytes(mnt.size))
        os.utime(mnt.path(vector), ns=(LONG_AGO, LONG_AGO))
    time.sleep(1.1)  # longer than a second, which is what some of them compare
    return mnt


def test_find_and_tar_see_what_changed(aged, rng, tmp):
    run("tar", "-c", "-g", tmp / "snar", "-f", tmp / "0.tar", "-C", aged.point, "vectors")
    (tmp / "reference").write_bytes(b"")
    time.sleep(STEP_SECONDS)
    change_behind_the_mtime(aged, rng, tmp)
    done = run("tar", "-c", "-v", "-g", tmp / "snar", "-f", tmp / "1.tar", "-C", aged.point,
               "vectors")
    assert done.stdout.decode().split() == ["vectors/", "vectors/42", "vectors/43"]
    found = run("find", aged.vectors, "-type", "f", "-cnewer", tmp / "reference").stdout.decode()
    assert sorted(found.split()) == [str(aged.path(42)), str(aged.path(43))]
    assert run("find", aged.vectors, "-type", "f", "-newer", tmp / "reference").stdout == b""
    (tmp / "later").write_bytes(b"")
    assert run("find", aged.vectors, "-cnewer", tmp / "later").stdout == b""


@pytest.mark.skipif(shutil.which("borg") is None, reason="there is no borg")
def test_borg_sees_what_changed(aged, rng, tmp):
    env = dict(os.environ, BORG_REPO=str(tmp / "borg"), BORG_BASE_DIR=str(tmp),
               BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")
    run("borg", "init", "-e", "none", env=env)
    run("borg", "create", "::1", aged.vectors, env=env)
    data = change_behind_the_mtime(aged, rng, tmp)
    run("borg", "create", "::2", aged.vectors, env=env)
    assert run("borg", "extract", "--stdout", "::2", str(aged.path(42))[1:],
               env=env).stdout == data


@pytest.mark.skipif(shutil.which("restic") is None, reason="there is no restic")
def test_restic_sees_what_changed(aged, rng, tmp):
    env = dict(os.environ, RESTIC_REPOSITORY=str(tmp / "restic"), RESTIC_PASSWORD="x")
    words = ["restic", "--cache-dir", tmp / "cache"]
    run(*words, "init", "-q", env=env)
    run(*words, "backup", "-q", aged.vectors, env=env)
    data = change_behind_the_mtime(aged, rng, tmp)
    run(*words, "backup", "-q", aged.vectors, env=env)
    assert run(*words, "dump", "latest", aged.path(42), env=env).stdout == data
