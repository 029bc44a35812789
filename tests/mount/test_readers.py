"""Many who only read one store, at the same time, and change nothing; and who wants to write to it
meanwhile."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from disks import need_loop_devices
from harness import QUIVERFS, Store, is_mounted, let_go, quiverfs, run, shell, until
from ordinary_user import NOBODY, ordinary_user_words
from patience import HANG_SECONDS, Patience


def everything(folder):
    """Each file and folder with all that a change of it would change; not the times of reading."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path)] = (content, status.st_mode, status.st_uid, status.st_gid, status.st_size,
                            status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_nlink,
                            status.st_blocks)
    return found


@pytest.fixture
def rows(rng):
    return {vector: rng.randbytes(100) for vector in rng.sample(range(10**6), 40)}


@pytest.fixture
def closed(stores, rows):
    """A store with these rows that nobody has open."""
    mnt = stores.mount()
    for vector, data in rows.items():
        mnt.put(vector, data)
    mnt.unmount()
    return mnt.store


def reads(mnt, rows):
    assert mnt.ids() == set(rows)
    for vector, data in rows.items():
        assert mnt.get(vector) == data


def commands_that_read(store, folder):
    """All that only read, on the store itself."""
    assert "40 vectors" in quiverfs("check", store.path).stdout
    assert "40" in quiverfs("status", store.path).stdout
    assert '"store"' in quiverfs("status", "--json", store.path).stdout
    quiverfs("verify", store.path)
    out = folder / "out.npy"
    quiverfs("export", store.path, out)
    assert out.stat().st_size > 4000
    out.unlink()


@pytest.mark.local("read-only mounts beside each other")
@pytest.mark.parametrize("lock", ["LOCK", "no LOCK"])
def test_many_read_at_once_and_change_nothing(stores, closed, rows, tmp, lock):
    if lock == "no LOCK":
        (closed.path / "LOCK").unlink()
    before = everything(closed.path)
    commands_that_read(closed, tmp)
    assert everything(closed.path) == before
    mounts = [stores.mount(closed, name=f"mnt{number}", options=["ro"]) for number in range(3)]
    for mnt in mounts:
        reads(mnt, rows)
    commands_that_read(closed, tmp)
    assert everything(closed.path) == before
    mounts[0].unmount()
    mounts[1].kill()
    let_go(mounts[1].point)
    commands_that_read(closed, tmp)
    reads(mounts[2], rows)
    mounts[2].unmount()
    assert everything(closed.path) == before
    mnt = stores.mount(closed)  # nobody has left anything that is in the way
    mnt.put(1, bytes(100))


@pytest.mark.local("read-only mounts beside each other")
def test_a_store_that_has_just_been_made_is_read_as_it_is(stores, tmp):
    store = stores.create()
    before = everything(store.path)
    mounts = [stores.mount(store, name=name, options=["ro"]) for name in "ab"]
    for mnt in mounts:
        assert mnt.ids() == set() and mnt.errors() == []
    quiverfs("status", store.path)
    quiverfs("export", store.path, tmp / "out.npy")
    for mnt in mounts:
        mnt.unmount()
    assert everything(store.path) == before
    mnt = stores.mount(store)
    mnt.put(1, bytes(100))


def changing(store, point, out):
    return {
        "mount": ["mount", store, point],
        "import": ["import", store, out, "--start-id", "5"],
        "compact": ["compact", store],
        "flush": ["flush", store],
        "repair": ["check", "--repair", store],
    }


@pytest.mark.local("read-only mounts beside each other")
@pytest.mark.parametrize("lock", ["LOCK", "no LOCK"])
def test_who_would_write_is_told_who_reads(stores, closed, tmp, lock):
    """At once, and by a name, though readers leave none; and nothing comes of it."""
    if lock == "no LOCK":
        (closed.path / "LOCK").unlink()
    out = tmp / "out.npy"
    quiverfs("export", closed.path, out)
    (tmp / "other").mkdir()
    mounts = [stores.mount(closed, name=name, options=["ro"]) for name in "ab"]
    before = everything(closed.path / "wal")
    for name, words in changing(closed.path, tmp / "other", out).items():
        done = quiverfs(*words, status=1)
        assert "waiting" not in done.stderr, (name, done.stderr)
        assert str(closed.path) in done.stderr and "unmount" in done.stderr, done.stderr
        assert any(str(mnt.pid) in done.stderr for mnt in mounts), done.stderr
        assert any(str(mnt.point) in done.stderr for mnt in mounts), done.stderr
    assert not is_mounted(tmp / "other")
    assert everything(closed.path / "wal") == before
    for mnt in mounts:
        mnt.unmount()
    quiverfs("import", closed.path, out, "--start-id", "5")


@pytest.mark.local("read-only mounts beside each other")
def test_readers_that_are_no_mounts_are_waited_for(closed, tmp):
    """And named, by the name of their program, where they do not end."""
    held = subprocess.Popen(["flock", "--shared", "--no-fork", closed.path / "LOCK", "sleep", "60"])
    try:
        until(lambda: quiverfs("flush", closed.path, status=None).returncode == 1, "not locked")
        done = quiverfs("flush", closed.path, status=1)
        assert f"{held.pid} (sleep), which only reads it" in done.stderr, done.stderr
        commands_that_read(closed, tmp)
        waiting = subprocess.Popen([QUIVERFS, "flush", closed.path])
        held.kill()
        until(lambda: waiting.poll() is not None, "the flush does not end")
        assert waiting.returncode == 0
    finally:
        held.kill()
        held.wait()


def test_readers_are_told_who_writes(stores, closed, rows, tmp):
    mnt = stores.mount(closed)
    mnt.put(1, bytes(100))
    (tmp / "other").mkdir()
    for words in (["mount", closed.path, tmp / "other", "-o", "ro"], ["check", closed.path]):
        done = quiverfs(*words, status=1)
        assert str(mnt.point) in done.stderr, done.stderr
    # What works through the mount does.
    assert str(mnt.point) in quiverfs("status", closed.path).stdout
    quiverfs("export", closed.path, tmp / "out.npy")
    assert mnt.ids() == {*rows, 1}


@pytest.mark.local("a file LOCK")
def test_removing_the_lock_lets_nobody_in(stores, closed, tmp):
    """People do it, taking it for a stale one."""
    mnt = stores.mount(closed)
    (closed.path / "LOCK").unlink()
    (tmp / "other").mkdir()
    for options in ([], ["-o", "ro"]):
        done = quiverfs("mount", closed.path, tmp / "other", *options, status=1)
        assert f"in use by process {mnt.pid} (quiverfs)" in done.stderr, done.stderr
    done = quiverfs("check", closed.path, status=1)
    assert str(mnt.point) in done.stderr
    mnt.put(1, bytes(100))
    assert str(mnt.point) in quiverfs("status", closed.path).stdout


@pytest.mark.local("recovery")
def test_after_a_crash_the_first_recovers_and_all_read(stores, closed, rows):
    mnt = stores.mount(closed)
    data = b"x" * 100
    mnt.put(1, data)
    mnt.kill()
    let_go(mnt.point)
    names = [f"mnt{number}" for number in range(4)]
    for name in names:
        (stores.folder / name).mkdir(exist_ok=True)
    started = [subprocess.Popen([QUIVERFS, "mount", closed.path, stores.folder / name, "-o", "ro"],
                                stderr=subprocess.PIPE) for name in names]
    try:
        for one in started:
            said = one.communicate(timeout=HANG_SECONDS)[1]
            assert one.returncode == 0, said
        before = everything(closed.path)
        for name in names:
            assert (stores.folder / name / "vectors/1").read_bytes() == data
            assert len(os.listdir(stores.folder / name / "vectors")) == len(rows) + 1
        assert "no faults\n" in quiverfs("check", closed.path).stdout  # closed, as it says
    finally:
        for name in names:
            let_go(stores.folder / name, status=None)
    assert everything(closed.path) == before


def reading(store, folder):
    """The commands that only read."""
    (folder / "mnt-ro").mkdir(exist_ok=True)
    return {
        "export": ["export", store, folder / "out.npy"],
        "status": ["status", store],
        "verify": ["verify", store],
        "check": ["check", store],
        "mount": ["mount", "-f", "-o", "ro", store, folder / "mnt-ro"],
    }


@pytest.mark.local("recovery")
def test_after_a_crash_commands_that_read_wait_for_who_recovers(stores, closed, tmp):
    """Many at once: whoever recovers it has it alone for a while, and has not mounted it."""
    for attempt in range(3):
        mnt = stores.mount(closed, name=f"mnt{attempt}")
        mnt.put(1, b"x" * 100)
        mnt.kill()
        let_go(mnt.point)
        commands = {(name, number): words for number in range(3)
                    for name, words in reading(closed.path, tmp).items() if name != "mount"}
        for (name, number), words in commands.items():
            if name == "export":
                words[-1] = tmp / f"out{number}.npy"
        started = {key: subprocess.Popen([QUIVERFS, *words], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE)
                   for key, words in commands.items()}
        said = {key: one.communicate(timeout=HANG_SECONDS)[1] for key, one in started.items()}
        assert all(one.returncode == 0 for one in started.values()), said
        assert len({(tmp / f"out{number}.npy").read_bytes() for number in range(3)}) == 1


class Holder:
    """Somebody who has the store to himself and has not mounted it, like who recovers it."""

    def __init__(self, store, folder):
        self.lock = open(store.path / "LOCK", "r+", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.lock.write(f"pid {os.getpid()}\n")
        self.lock.truncate()
        self.lock.flush()
        self.folder = folder
        self.started = {}

    def start(self, commands):
        """Returns when each has told whom it waits for; what they have said."""
        for name, words in commands.items():
            with open(self.folder / name, "wb") as said:
                self.started[name] = subprocess.Popen([QUIVERFS, *words], stderr=said,
                                                      stdout=said, start_new_session=True)
        until(lambda: all("waiting until it ends, " in self.said(name) or one.poll() is not None
                          for name, one in self.started.items()), "they do not wait")

    def said(self, name):
        return (self.folder / name).read_text(encoding="utf-8")

    def signal(self, number):
        for one in self.started.values():
            os.killpg(one.pid, number)

    def are_stopped(self):
        """Each thread of them: a process is not before all of them are."""
        return all(line.split(")")[1].split()[0] == "T"
                   for one in self.started.values()
                   for line in (task.read_text(encoding="utf-8", errors="replace")
                                for task in Path(f"/proc/{one.pid}/task").glob("*/stat")))

    def have_ended(self):
        return all(one.poll() is not None for one in self.started.values())

    def let_go(self):
        self.lock.truncate(0)
        self.lock.close()

    def close(self):
        self.lock.close()
        for one in self.started.values():
            if one.poll() is None:
                one.kill()
            one.wait()


@pytest.fixture
def holder(stores, closed, tmp):
    one = Holder(closed, tmp)
    yield one
    one.close()
    let_go(tmp / "mnt-ro", status=None)


@pytest.mark.local("a file LOCK")
def test_who_reads_waits_for_who_has_not_mounted_it(holder, closed, tmp):
    """And tells for whom; who would write is told at once."""
    done = quiverfs("compact", closed.path, status=1)
    assert f"in use by process {os.getpid()}, which is not a mount" in done.stderr, done.stderr
    assert "waiting" not in done.stderr
    holder.start(reading(closed.path, tmp))
    for name, one in holder.started.items():
        assert one.poll() is None, holder.said(name)
        assert f"in use by process {os.getpid()}" in holder.said(name), holder.said(name)
    holder.let_go()
    mount = holder.started.pop("mount")
    until(lambda: is_mounted(tmp / "mnt-ro"), "no mount")
    for name, one in holder.started.items():
        assert one.wait(HANG_SECONDS) == 0, holder.said(name)
    let_go(tmp / "mnt-ro")
    assert mount.wait(HANG_SECONDS) == 0, holder.said("mount")


@pytest.mark.local("a file LOCK")
def test_who_has_not_mounted_it_is_named_where_he_does_not_end(holder, closed):
    """A signal ends the wait."""
    holder.start({"verify": ["verify", closed.path]})
    os.kill(holder.started["verify"].pid, signal.SIGINT)
    done = quiverfs("status", closed.path, status=1)
    assert done.stderr.count(f"in use by process {os.getpid()}, which is not a mount") == 2
    assert "wait until it ends" in done.stderr, done.stderr
    assert holder.started["verify"].wait(HANG_SECONDS) == 1
    assert "wait until it ends" in holder.said("verify")


@pytest.mark.local("a file LOCK")
def test_who_waits_finds_a_mount_that_comes_meanwhile(stores, holder, closed, tmp):
    """Stopped, the readers are not the first to find that nobody has it."""
    began = time.monotonic()
    holder.start(reading(closed.path, tmp))
    holder.signal(signal.SIGSTOP)
    until(holder.are_stopped, "they do not stop")
    holder.let_go()
    mnt = stores.mount(closed, name="writer")
    mnt.put(1, bytes(100))
    in_time = time.monotonic() - began < 5
    soon = Patience(5)
    holder.signal(signal.SIGCONT)
    until(lambda: soon.is_over() or holder.have_ended(), "they do not end")
    assert not in_time or not soon.is_over()  # they do not wait for it
    ended = {name: one.wait(HANG_SECONDS) for name, one in holder.started.items()}
    for name, status in ended.items():
        assert status == (1 if name in ("check", "mount") else 0), (name, holder.said(name))
        assert status == 0 or str(mnt.point) in holder.said(name), (name, holder.said(name))


@pytest.mark.local("recovery")
def test_what_a_recovery_found_is_told_by_who_reads(stores, closed):
    """One that was closed by the recovery has it in control/errors as ever."""
    mnt = stores.mount(closed)
    mnt.put(1, b"x" * 100)
    mnt.kill()
    let_go(mnt.point)
    segment = max((closed.path / "wal").iterdir())
    content = bytearray(segment.read_bytes())
    at = content.rindex(b"x" * 100)
    content[at] ^= 1
    segment.write_bytes(content)
    (closed.path / "durable").unlink()
    mnt = stores.mount(closed, options=["ro"], check=False)
    try:
        assert any("broken" in line for line in mnt.errors()), mnt.errors()
    finally:
        mnt.take_away()


# ---- a reader that comes while a writer goes, and the other way round -----------------


def test_a_mount_that_ends_makes_way(stores, closed, rows):
    """umount(8) returns before the daemon has closed the store."""
    for number in range(3):
        mnt = stores.mount(closed)
        mnt.put(number, bytes(100))
        for options in (["ro"], []):
            let_go(mnt.point)
            following = stores.mount(closed, name=f"n{number}{len(options)}", options=options)
            assert mnt.ended() == []
            mnt = following
        assert mnt.get(number) == bytes(100)
        mnt.unmount()


@pytest.mark.local("read-only mounts beside each other")
def test_a_mount_that_ends_leaves_that_of_another_alone(stores, closed, rows):
    """The kernel gives the number of a filesystem to the next one, and both are of one store."""
    first = stores.mount(closed, name="first", options=["ro"])
    number = first.point.stat().st_dev
    os.kill(first.pid, signal.SIGSTOP)
    try:
        let_go(first.point)
        second = stores.mount(closed, name="second", options=["ro"])
    finally:
        os.kill(first.pid, signal.SIGCONT)
    if second.point.stat().st_dev != number:
        pytest.skip("another filesystem has got the number")
    assert first.ended() == []
    assert is_mounted(second.point)
    reads(second, rows)


# ---- users ------------------------------------------------------------------------


def open_to_all(store):
    run("chmod", "-R", "a+rX", store.path)


@pytest.mark.local("a folder")
def test_users_read_together(stores, closed, rows, ordinary_user):
    """Root whose store it is, and one who may only read the files; LOCK not even that."""
    open_to_all(closed)
    (closed.path / "LOCK").chmod(0o600)
    before = everything(closed.path)
    mine = stores.mount(closed, name="mine", options=["ro"])
    os.chown(mine.point.parent, NOBODY, NOBODY)
    (stores.folder / "theirs").mkdir()
    os.chown(stores.folder / "theirs", NOBODY, NOBODY)
    theirs = stores.mount(closed, name="theirs", options=["ro"], check=False, **ordinary_user)
    reads(mine, rows)
    as_user = [*ordinary_user_words, QUIVERFS]
    for command in ("check", "status", "verify"):
        run(*as_user, command, closed.path)
    vector = next(iter(rows))
    assert run(*ordinary_user_words, "cat", theirs.path(vector)).stdout == rows[vector]
    done = quiverfs("compact", closed.path, status=1)
    assert str(mine.pid) in done.stderr or str(theirs.pid) in done.stderr
    mine.unmount()
    done = quiverfs("compact", closed.path, status=1)
    assert str(theirs.pid) in done.stderr and str(theirs.point) in done.stderr, done.stderr
    # What he has mounted need not be the store: root asks that itself.
    assert str(theirs.point) not in quiverfs("status", closed.path).stdout
    assert everything(closed.path) == before
    theirs.unmount()
    quiverfs("compact", closed.path)


@pytest.mark.needs_root("makes namespaces")
@pytest.mark.local("a folder")
def test_who_holds_it_in_another_pid_namespace_is_not_made_up(stores, closed, tmp):
    if run("unshare", "--pid", "--fork", "--mount-proc", "true", status=None).returncode != 0:
        pytest.skip("there are no pid namespaces")
    mnt = stores.mount(closed, options=["ro"])
    (tmp / "other").mkdir()
    done = run("unshare", "--pid", "--fork", "--mount-proc", QUIVERFS, "compact", closed.path, status=1)
    assert b"that read it, which cannot be seen from here" in done.stderr, done.stderr
    run("unshare", "--pid", "--fork", "--mount-proc", QUIVERFS, "check", closed.path)
    mnt.unmount()
    mnt = stores.mount(closed)
    (closed.path / "LOCK").unlink()
    done = run("unshare", "--pid", "--fork", "--mount-proc", QUIVERFS, "compact", closed.path, status=1)
    assert b"which cannot be seen from here" in done.stderr, done.stderr
    mnt.put(1, bytes(100))


# ---- places where nothing can be written ------------------------------------------


class Place:
    """A copy of a store where it can only be read."""

    def __init__(self, kind, closed, tmp):
        self.kind = kind
        self.made = []
        self.folder = tmp / "place"
        self.folder.mkdir()
        self.inside = tmp / "inside"
        shutil.copytree(closed.path, self.inside / "store", copy_function=shutil.copy2)
        self.path = self.folder / "store"
        try:
            getattr(self, kind)(tmp)
        except BaseException:
            self.close()
            raise

    def mount(self, *words):
        run("mount", *words, self.folder)
        self.made.append(["umount", "-l", self.folder])

    def bind(self, _tmp):
        self.mount("--bind", "-o", "ro", self.inside)
        run("mount", "-o", "remount,bind,ro", self.folder)

    def overlay(self, tmp):
        (tmp / "empty").mkdir()
        self.mount("-t", "overlay", "-o", f"ro,lowerdir={self.inside}:{tmp / 'empty'}", "none")

    def tmpfs(self, _tmp):
        self.mount("-t", "tmpfs", "none")
        run("cp", "-a", self.inside / "store", self.folder)
        run("mount", "-o", "remount,ro", self.folder)

    def squashfs(self, tmp):
        image = tmp / "image"
        self.image(image, "mksquashfs", self.inside, image, "-quiet")

    def erofs(self, tmp):
        image = tmp / "image"
        self.image(image, "mkfs.erofs", "--quiet", image, self.inside)

    def iso9660(self, tmp):
        image = tmp / "image"
        self.image(image, "genisoimage", "-quiet", "-R", "-o", image, self.inside)

    def image(self, image, tool, *words):
        need_loop_devices()
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
        if self.kind not in Path("/proc/filesystems").read_text(encoding="ascii").split():
            pytest.skip(f"this kernel has no {self.kind}")
        run(tool, *words)
        self.mount("-o", "ro,loop", image)

    def immutable(self, _tmp):
        self.path = self.inside / "store"
        if not shutil.which("chattr") or \
                run("chattr", "-R", "+i", self.path, status=None).returncode != 0:
            pytest.skip("there are no immutable files")
        self.made.append(["chattr", "-R", "-i", self.path])

    def close(self):
        for words in reversed(self.made):
            subprocess.run(list(map(str, words)), check=False)
        self.made = []


KINDS = ["bind", "overlay", "tmpfs", "squashfs", "erofs", "iso9660", "immutable"]


@pytest.fixture(params=KINDS)
def place(request, closed, tmp):
    made = Place(request.param, closed, tmp)
    yield made
    made.close()


@pytest.mark.needs_root("mounts and remounts")
@pytest.mark.local("a folder")
def test_places_where_nothing_can_be_written(stores, place, rows, tmp):
    """Two mounts and all commands at once; who wants to write is told why not."""
    store = Store.__new__(Store)
    store.folder, store.path, store.size = tmp, place.path, 100
    before = everything(store.path)
    mounts = [stores.mount(store, name=name, options=["ro"], check=False) for name in "ab"]
    for mnt in mounts:
        reads(mnt, rows)
    commands_that_read(store, tmp)
    for mnt in mounts:
        mnt.unmount()
    assert everything(store.path) == before
    (tmp / "other").mkdir()
    done = quiverfs("mount", store.path, tmp / "other", status=1)
    assert str(store.path) in done.stderr
    assert "Read-only file system" in done.stderr or "not permitted" in done.stderr, done.stderr


@pytest.mark.local("a folder")
def test_a_folder_that_its_owner_may_not_write(stores, closed, rows, ordinary_user):
    """0555, and files 0444: root would not notice."""
    run("chown", "-R", "nobody", closed.path)
    run("chmod", "-R", "a-w,a+rX", closed.path)
    before = everything(closed.path)
    words = [*ordinary_user_words, QUIVERFS]
    for name in "ab":
        (stores.folder / name).mkdir()
        os.chown(stores.folder / name, NOBODY, NOBODY)
    mounts = [stores.mount(closed, name=name, options=["ro"], check=False, **ordinary_user)
              for name in "ab"]
    vector = next(iter(rows))
    for mnt in mounts:
        assert run(*ordinary_user_words, "cat", mnt.path(vector)).stdout == rows[vector]
    for command in ("check", "status", "verify"):
        run(*words, command, closed.path)
    for mnt in mounts:
        mnt.unmount()
    assert everything(closed.path) == before
    done = run(*words, "compact", closed.path, status=1)
    assert b"Permission denied" in done.stderr, done.stderr


@pytest.mark.local("a folder")
@pytest.mark.parametrize("copy", ["tar -C {of} -c store | tar -C {to} -x", "cp -al {of}/store {to}",
                                  "cp -a {of}/store {to} && rm {to}/store/LOCK"])
def test_copies_of_every_make_are_read(stores, closed, rows, tmp, copy):
    """One of hard links shares its lock, as its files, with the store that it is of."""
    linked = "-al" in copy
    (tmp / "to").mkdir()
    shell(copy.format(of=closed.path.parent, to=tmp / "to"))
    store = Store.__new__(Store)
    store.folder, store.path, store.size = tmp, tmp / "to/store", 100
    before = everything(store.path)
    mounts = [stores.mount(store, name=name, options=["ro"], check=False) for name in "ab"]
    for mnt in mounts:
        reads(mnt, rows)
    (tmp / "other").mkdir()
    done = quiverfs("compact", closed.path, status=1 if linked else 0)
    assert not linked or "hard links" in done.stderr
    for mnt in mounts:
        mnt.unmount()
    assert everything(store.path) == before


@pytest.mark.local("a folder")
def test_a_copy_of_hard_links_is_not_read_while_it_is_written_to(stores, closed, tmp):
    """Its files are those of the store that somebody has open, who opened it before it was copied."""
    writer = stores.mount(closed)
    run("cp", "-al", closed.path, tmp / "linked")
    (tmp / "other").mkdir()
    done = quiverfs("mount", tmp / "linked", tmp / "other", "-o", "ro", status=1)
    assert str(writer.pid) in done.stderr
    run("rm", "-r", tmp / "linked")
    writer.put(1, bytes(100))
