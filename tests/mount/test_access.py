"""Nobody gets in who should not, and the daemon has no more rights than it needs."""

import errno
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from files import refused
from harness import QUIVERFS, is_mounted, quiverfs, run, until
from ordinary_user import device_mode
from peer import Peer

NOBODY = 65534
# Bits of capability(7): CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN.
KEPT = 1 << 0 | 1 << 1 | 1 << 21


@pytest.fixture
def stranger():
    """A process of an ordinary user who has nothing to do with the store."""
    other = Peer(uid=NOBODY, gid=NOBODY, umask=0)
    yield other
    other.close()


def status_lines(path):
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


# ---- the store ------------------------------------------------------------------


@pytest.mark.local("checkpoint")
def test_files_of_the_store_are_for_their_owner_alone(stores, rng):
    os.umask(0)
    mnt = stores.mount(options=["durability=always"])
    for number in range(300):
        mnt.put(number, rng.randbytes(mnt.size))
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    seen = modes_of(mnt.store.path)
    mnt.unmount()
    seen |= modes_of(mnt.store.path)
    os.umask(0o022)
    assert {"superblock", "vectors.npy", "ids.npy", "meta.npy", "LOCK", "wal"} <= \
        {path.name for path, _ in seen}
    for path, mode in seen:
        assert mode in (stat.S_IFREG | 0o600, stat.S_IFDIR | 0o700), (path, oct(mode))


def modes_of(folder):
    return {(path, path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}


def test_an_ordinary_user_gets_nothing_from_the_store(mnt, stranger, rng):
    mnt.put(1, rng.randbytes(mnt.size))
    for name in ("vectors.npy", "wal", "superblock", "LOCK"):
        with refused(errno.EACCES):
            stranger.call("open", mnt.store.path / name, os.O_RDONLY)
    with refused(errno.EACCES):
        stranger.call("listdir", mnt.store.path)


# ---- the mount ------------------------------------------------------------------


def test_without_allow_other_nobody_else_sees_anything(mnt, stranger, rng):
    """Not even where every permission bit is set."""
    mnt.put(1, rng.randbytes(mnt.size))
    os.chmod(mnt.path(1), 0o777)
    os.chmod(mnt.vectors, 0o777)
    for path in (mnt.point, mnt.vectors, mnt.control_folder):
        with refused(errno.EACCES):
            stranger.call("listdir", path)
    for path in (mnt.path(1), mnt.point / "matrix.npy", mnt.control_folder / "stats"):
        with refused(errno.EACCES):
            stranger.read(path)
        with refused(errno.EACCES):
            stranger.call("stat", path)
    with refused(errno.EACCES):
        stranger.write(mnt.path(2), bytes(mnt.size))


def test_with_allow_other_permission_bits_decide(stores, stranger, rng):
    mnt = stores.mount(options=["allow_other"])
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.put(2, data)
    os.chmod(mnt.path(1), 0o600)
    os.chmod(mnt.path(2), 0o644)
    os.chmod(mnt.vectors, 0o755)
    assert stranger.read(mnt.path(2)) == data
    denied = [lambda: stranger.read(mnt.path(1)), lambda: stranger.write(mnt.path(1), data),
              lambda: stranger.write(mnt.path(2), data), lambda: stranger.write(mnt.path(3), data),
              lambda: stranger.write(mnt.vectors / ".scratch", data),
              lambda: stranger.call("unlink", mnt.path(2)),
              lambda: stranger.call("rename", mnt.path(2), mnt.path(3)),
              lambda: stranger.call("truncate", mnt.path(2), 0)]
    for attempt in denied:
        with refused(errno.EACCES):
            attempt()
    for attempt in (lambda: stranger.call("chmod", mnt.path(2), 0o777),
                    lambda: stranger.call("chown", mnt.path(2), NOBODY, NOBODY),
                    lambda: stranger.call("utime", mnt.path(2), (1, 1))):
        with refused(errno.EPERM):
            attempt()
    assert mnt.get(1) == data and mnt.get(2) == data and mnt.ids() == {1, 2}


@pytest.mark.local("columns")
def test_with_allow_other_control_and_matrix_stay_the_mounting_users(stores, stranger, rng):
    mnt = stores.mount(options=["allow_other"])
    mnt.put(1, rng.randbytes(mnt.size))
    for name in ("matrix.npy", "ids.npy"):
        with refused(errno.EACCES):
            stranger.read(mnt.point / name)
    # Others may ask: test_get_many.py, test_nearest.py.
    for name in set(os.listdir(mnt.control_folder)) - {"get", "nearest"}:
        with refused(errno.EACCES):
            stranger.write(mnt.control_folder / name, b"1")
    assert mnt.control("durability") == "fsync\n"


def test_a_users_own_vectors_are_his(stores, stranger, rng):
    mnt = stores.mount(options=["allow_other"])
    os.chmod(mnt.vectors, 0o1777)  # as /tmp: everybody may add, and remove what is his
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    os.chmod(mnt.path(1), 0o644)
    stranger.write(mnt.path(2), data)
    stranger.call("chmod", mnt.path(2), 0o600)
    found = os.stat(mnt.path(2))
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (NOBODY, NOBODY, 0o600)
    with refused(errno.EPERM, errno.EACCES):
        stranger.call("unlink", mnt.path(1))
    stranger.call("unlink", mnt.path(2))
    assert mnt.ids() == {1}


def test_refusals_of_one_user_hide_nobody_elses_and_no_fault(stores, stranger, rng):
    mnt = stores.mount(check=False)
    row = rng.randbytes(mnt.size)
    for vector in range(20):
        mnt.put(vector, rng.randbytes(mnt.size))
    mnt.put(20, row)
    mnt.unmount()
    with open(mnt.store.path / "vectors.npy", "r+b") as file:
        file.seek(file.read().index(row))
        file.write(bytes([row[0] ^ 4]))
    mnt = stores.mount(mnt.store, options=["allow_other"], check=False)
    os.chmod(mnt.vectors, 0o777)
    flood(stranger, mnt, "a", 40)  # more than the log takes in a second
    with refused(errno.EIO):
        mnt.get(20)
    with refused(errno.EPERM):
        os.mkdir(mnt.vectors / "of-root")
    flood(stranger, mnt, "b", 300)
    lines = mnt.errors()
    assert len(lines) == 257
    fault, = [line for line in lines if "vector 20: slot" in line]
    assert any("of-root: folders" in line for line in lines)
    assert "b300: folders" in lines[-1]
    until(lambda: fault in mnt.log_text() and "of-root: folders" in mnt.log_text(),
          "the log lacks what matters")
    mnt.forget_errors()


def flood(stranger, mnt, name, count):
    for number in range(1, count + 1):
        with refused(errno.EPERM):
            stranger.call("mkdir", mnt.vectors / f"{name}{number}")


def test_what_others_asked_for_is_for_the_owner_alone(stores, stranger, tmp):
    mnt = stores.mount(options=["allow_other"])
    with refused(errno.EPERM):
        os.mkdir(mnt.vectors / "secret")
    assert os.stat(mnt.control_folder / "errors").st_mode & 0o7777 == 0o600
    with refused(errno.EACCES):
        stranger.read(mnt.control_folder / "errors")
    # all else that tells how the mount does is for everybody
    tmp.chmod(0o755)
    done = run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", QUIVERFS,
               "status", mnt.point)
    assert b"mounted" in done.stdout and b"secret" not in done.stdout
    assert b"secret" in run(QUIVERFS, "status", mnt.point).stdout
    mnt.forget_errors()


# ---- the daemon -----------------------------------------------------------------


@pytest.mark.needs_root("looks at the daemon of root")
@pytest.mark.parametrize("options", [pytest.param([], marks=pytest.mark.local("checkpoint")), ["ro"]])
def test_the_daemon_gives_up_capabilities(stores, rng, options):
    """Each thread: those that serve, those that wait, the engine's own."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt = stores.again(mnt, options=options)
    assert mnt.get(1)
    if not options:
        mnt.control("checkpoint", "1")
    tasks = list(Path(f"/proc/{mnt.pid}/task").iterdir())
    assert len(tasks) > 2
    for task in tasks:
        found = status_lines(task / "status")
        assert found["NoNewPrivs"] == "1"
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            assert int(found[kind], 16) & ~KEPT == 0, (task, kind, found[kind])
        assert int(found["CapInh"], 16) == 0 and int(found["CapAmb"], 16) == 0


@pytest.mark.needs_root("looks at the daemon of root")
@pytest.mark.local("checkpoint")
def test_root_serves_a_store_that_is_somebody_elses(stores, rng):
    """What is left is enough for new segments, growth, the index and the lock."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt.unmount()
    run("chown", "-R", f"{NOBODY}:{NOBODY}", mnt.store.path)
    mnt = stores.mount(mnt.store, options=["durability=always"])
    data = rng.randbytes(mnt.size)
    record = b"".join(number.to_bytes(8, "little") + data for number in range(2, 1000))
    mnt.control("put", record)
    for number in range(2, 900):
        os.unlink(mnt.path(number))
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    with open(mnt.point / "matrix.npy", "rb") as matrix:
        assert matrix.read(6) == b"\x93NUMPY"
    again = stores.again(mnt)
    assert again.get(950) == data


@pytest.fixture
def users_folder(tmp):
    """A folder of an ordinary user who may use FUSE."""
    if not shutil.which("fusermount3"):
        pytest.skip("there is no fusermount3")
    folder = tmp / "user"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with device_mode(0o666):  # as udev has it
        yield folder
        subprocess.run(["umount", "-l", folder / "mnt"], stderr=subprocess.DEVNULL, check=False)


def as_user(*words, status=0):
    done = run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *words,
               status=None)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done


def test_an_ordinary_user_creates_mounts_and_unmounts(users_folder, rng):
    """And root, whom he has not let in, stays outside."""
    store, point = users_folder / "store", users_folder / "mnt"
    user = Peer(uid=NOBODY, gid=NOBODY)
    try:
        as_user(QUIVERFS, "create", store, "--dim", "25")
        user.call("mkdir", point)
        as_user(QUIVERFS, "mount", store, point)
        data = rng.randbytes(100)
        user.write(point / "vectors" / "7", data)
        assert user.read(point / "vectors" / "7") == data
        with refused(errno.EACCES):
            os.listdir(point)
        pid = int((store / "LOCK").read_text().split()[1])
        found = status_lines(f"/proc/{pid}/status")
        assert int(found["CapEff"], 16) == 0 and int(found["CapPrm"], 16) == 0
        os.kill(pid, signal.SIGTERM)  # it unmounts, with the help of fusermount3
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon does not end")
        assert not is_mounted(point)
        as_user(QUIVERFS, "check", store)
    finally:
        user.close()


def test_an_ordinary_user_cannot_mount_what_is_not_his(users_folder, stores, rng):
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt.unmount()
    (users_folder / "mnt").mkdir()
    os.chown(users_folder / "mnt", NOBODY, NOBODY)
    done = as_user(QUIVERFS, "mount", mnt.store.path, users_folder / "mnt", status=1)
    assert b"Permission denied" in done.stderr and str(mnt.store.path).encode() in done.stderr
    for command in ("status", "check", "verify", "flush"):
        done = as_user(QUIVERFS, command, mnt.store.path, status=1)
        assert b"Permission denied" in done.stderr


def test_an_ordinary_user_needs_leave_for_allow_other(users_folder):
    conf = Path("/etc/fuse.conf")
    if conf.exists() and "\nuser_allow_other" in "\n" + conf.read_text():
        pytest.skip("fuse.conf lets everybody")
    store, point = users_folder / "store", users_folder / "mnt"
    as_user(QUIVERFS, "create", store, "--dim", "25")
    as_user("mkdir", point)
    done = as_user(QUIVERFS, "mount", store, point, "-o", "allow_other", status=1)
    assert b"user_allow_other" in done.stderr


def test_a_store_in_a_folder_of_somebody_who_may_not_write(users_folder):
    """Created by root, readable for the user: he reads, and is told what is missing for more."""
    store = users_folder / "store"
    quiverfs("create", store, "--dim", 25)
    run("chmod", "-R", "a+rX", store)
    as_user("mkdir", users_folder / "mnt")
    done = as_user(QUIVERFS, "mount", store, users_folder / "mnt", status=1)
    assert b"Permission denied" in done.stderr and str(store).encode() in done.stderr
    as_user(QUIVERFS, "mount", store, users_folder / "mnt", "-o", "ro")
    assert as_user("ls", users_folder / "mnt/vectors").stdout == b""
    as_user("fusermount3", "-u", users_folder / "mnt")
