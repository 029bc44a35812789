"""What quiverfs-backup(7) says of tools that make backups, over the mount and over mounts."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import is_mounted, quiverfs, run, shell, until
from man_pages import unescape
from patience import HANG_SECONDS

PAGE = os.path.join(os.environ.get("QUIVERFS_SOURCE", "."), "tools/man/quiverfs-backup.7")
COUNT = 300


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"there is no {tool}")


@pytest.fixture
def mnt(stores, rng):
    """All vectors of one import, which have one time."""
    mounted = stores.mount()
    rows = rng.randbytes(COUNT * mounted.size)
    with open(mounted.store.folder / "rows.fvecs", "wb") as file:
        for row in range(COUNT):
            file.write((25).to_bytes(4, "little"))
            file.write(rows[row * mounted.size:(row + 1) * mounted.size])
    quiverfs("import", mounted.point, mounted.store.folder / "rows.fvecs")
    assert len({os.stat(mounted.path(vector)).st_ctime_ns for vector in range(COUNT)}) == 1
    return mounted


def again(stores, mnt):
    """Mount it anew, with another device number: others are mounted meanwhile."""
    device = os.stat(mnt.vectors).st_dev
    for number in range(10):
        mnt.unmount()
        stores.mount(stores.create(name=f"other{number}"), name=f"between{number}")
        mnt = stores.mount(mnt.store)
        if os.stat(mnt.vectors).st_dev != device:
            return mnt
    raise AssertionError("each mount has the same device number")


def change(mnt, rng, vector):
    """Overwrite a vector, and set its mtime back."""
    before = os.stat(mnt.path(vector))
    time.sleep(0.02)  # the clock has ticks
    mnt.put(vector, rng.randbytes(mnt.size))
    os.utime(mnt.path(vector), ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(mnt.path(vector))
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (
        before.st_mtime_ns, before.st_size, before.st_ino)


@needs("borg")
def test_borg(stores, mnt, rng, tmp):
    environment = dict(os.environ, BORG_REPO=str(tmp / "borg"), BORG_BASE_DIR=str(tmp),
                       BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
                       BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")
    run("borg", "init", "-e", "none", env=environment)
    numbers = iter(range(100))

    def read(*more):
        done = run("borg", "create", "--list", "--filter", "AM", f"::{next(numbers)}", mnt.vectors,
                   *more, env=environment)
        return {line.split("/")[-1] for line in done.stderr.decode().splitlines()
                if "/vectors/" in line}

    def read_with_something_newer():
        time.sleep(0.02)
        (tmp / "now").touch()
        return read(tmp / "now")

    wanted = {str(vector) for vector in range(COUNT)}
    assert read() == wanted
    assert read() == wanted  # all have the newest ctime
    assert read_with_something_newer() == wanted
    assert read_with_something_newer() == set()
    change(mnt, rng, 42)
    assert read_with_something_newer() == {"42"}
    mnt = again(stores, mnt)
    assert read_with_something_newer() == set()


@needs("restic")
def test_restic(stores, mnt, rng, tmp):
    environment = dict(os.environ, RESTIC_REPOSITORY=str(tmp / "restic"), RESTIC_PASSWORD="x")
    run("restic", "--no-cache", "init", env=environment)

    def files():
        done = run("restic", "--no-cache", "backup", mnt.vectors,
                   env=environment).stdout.decode()
        return [int(number) for number in re.search(
            r"Files: +(\d+) new, +(\d+) changed, +(\d+) unmodified", done).groups()]

    assert files() == [COUNT, 0, 0]
    assert files() == [0, 0, COUNT]
    change(mnt, rng, 42)
    assert files() == [0, 1, COUNT - 1]
    mnt = again(stores, mnt)
    assert files() == [0, 0, COUNT]


def test_tar(stores, mnt, rng, tmp):
    def files(mounted, *more, state):
        run("tar", "-c", "-f", tmp / "t.tar", "-g", tmp / state, *more, ".", cwd=mounted.vectors)
        listed = run("tar", "tf", tmp / "t.tar").stdout.decode().split()
        return {name[2:] for name in listed if not name.endswith("/")}

    wanted = {str(vector) for vector in range(COUNT)}
    for state, more in (("with", ["--no-check-device"]), ("without", [])):
        assert files(mnt, *more, state=state) == wanted
        assert files(mnt, *more, state=state) == set()
    change(mnt, rng, 42)
    assert files(mnt, "--no-check-device", state="with") == {"42"}
    mnt = again(stores, mnt)
    assert files(mnt, "--no-check-device", state="with") == set()
    assert files(mnt, state="without") == wanted


def test_rsync(stores, mnt, rng, tmp):
    run("rsync", "-a", f"{mnt.vectors}/", tmp / "copy/")
    change(mnt, rng, 42)
    mnt = again(stores, mnt)
    command = ["rsync", "-a", "--out-format=%n", f"{mnt.vectors}/", tmp / "copy/"]
    assert run(*command).stdout == b""
    assert run(*command, "--checksum").stdout == b"42\n"
    assert (tmp / "copy/42").read_bytes() == mnt.get(42)
    # Where nothing is mounted the folder vectors is not there either.
    mnt.unmount()
    assert b"No such file" in run(*command, "--delete", status=23).stderr
    assert len(os.listdir(tmp / "copy")) == COUNT


def test_what_stays_on_one_filesystem_passes_over_a_mount(mnt, tmp):
    above = mnt.point.parent
    assert run("find", above, "-xdev", "-path", f"{mnt.point}/*").stdout == b""
    run("rsync", "-ax", f"{above}/", tmp / "copy/")
    assert os.listdir(tmp / "copy" / mnt.point.name) == []
    run("tar", "-c", "--one-file-system", "-f", tmp / "copy/t.tar", "-C", above,
        "--exclude=./copy", ".")
    listed = run("tar", "tf", tmp / "copy/t.tar").stdout.decode().split()
    assert [name for name in listed if mnt.point.name in name.split("/")] == [
        f"./{mnt.point.name}/"]


def test_a_backup_is_brought_back(mnt, tmp):
    os.utime(mnt.path(7), ns=(10**18, 10**18))
    os.chmod(mnt.path(8), 0o600)
    run("cp", "-a", mnt.vectors, tmp / "copy")
    run("tar", "-c", "--format=posix", "-f", tmp / "t.tar", "-C", mnt.vectors, ".")
    for words in (["tar", "-x", "-f", tmp / "t.tar", "-C", mnt.vectors],
                  ["rsync", "-a", f"{tmp}/copy/", f"{mnt.vectors}/"]):
        for vector in range(COUNT):
            os.unlink(mnt.path(vector))
        run(*words)
        run("diff", "-r", tmp / "copy", mnt.vectors)
        assert os.stat(mnt.path(7)).st_mtime_ns == 10**18
        assert os.stat(mnt.path(8)).st_mode & 0o777 == 0o600
    assert mnt.errors() == []


@pytest.mark.needs_root("aborts a connection")
def test_a_daemon_that_does_not_answer_is_cut_off_as_the_page_says(stores, rng):
    mnt = stores.mount(transport=None, options=["io_uring=off"])
    data = rng.randbytes(mnt.size)
    mnt.put(7, data)
    with open(PAGE, encoding="utf-8") as page:
        lines = re.search(r"^n=.*\n^echo 1 > .*/abort$", unescape(page.read()),
                          flags=re.MULTILINE)[0]
    lines = lines.replace("/mnt/vectors", str(mnt.point))
    fusectl = "/sys/fs/fuse/connections"
    mounted_here = not is_mounted(fusectl)
    if mounted_here and run("mount", "-t", "fusectl", "fusectl", fusectl, status=None).returncode:
        pytest.skip("there is no fusectl")
    try:
        os.kill(mnt.pid, signal.SIGSTOP)
        reader = subprocess.Popen(["cat", mnt.path(7)], stderr=subprocess.PIPE)
        until(lambda: shell(f"cat {fusectl}/$(awk '$5 == \"{mnt.point}\" {{print $3}}' "
                            "/proc/self/mountinfo | cut -d: -f2)/waiting").stdout != b"0\n",
              "nothing waits")
        shell(lines)
        _, error = reader.communicate(timeout=HANG_SECONDS)
        assert b"Software caused connection abort" in error
    finally:
        os.kill(mnt.pid, signal.SIGCONT)
        if mounted_here:
            run("umount", fusectl, status=None)
    mnt.ended()  # with an error: the connection was aborted
    assert stores.mount(mnt.store).get(7) == data
