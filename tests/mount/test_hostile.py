"""A store of somebody else's is used by root: whatever its owner has put there, nothing outside of it
is touched, nothing is waited for, and the message says which file it is."""

import fcntl
import json
import multiprocessing
import os
import shutil
import socket
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from files import opened
from harness import LONG, QUIVERFS, is_mounted, quiverfs, run, until, wait_for_release
from ordinary_user import NOBODY, ordinary_user_words
from patience import HANG_SECONDS

pytestmark = pytest.mark.local("folder")

DIM = 4
PRECIOUS = b"a file of root's that nobody else may see\n" * 200

# What is put in the place of a file, and a word that the message must have.
KINDS = {
    "link": "symbolic link",
    "dangling": "symbolic link",
    "hard_link": "hard links",
    "others_file": "of user",
    "fifo": "FIFO",
    "socket": "socket",
    "device": "device",
    "folder": "folder",
}
COMMANDS = ("status", "status_json", "check", "repair", "mount", "mount_ro", "import", "export",
            "flush", "compact", "verify")
# For the kinds that are alike. All are tried with all in the long tests.
SOME_COMMANDS = ("status", "repair", "mount", "import")
FILES = ("superblock", "LOCK", "vectors.npy", "ids.npy", "meta.npy", "durable", "index", "index.new",
         "meta.npy.new")


@pytest.fixture
def theirs(tmp):
    """A folder of an ordinary user's, and a store in it that he has used and closed."""
    folder = tmp / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    rows = folder / "rows.f4"
    rows.write_bytes(struct.pack("<i4f", 4, 1, 2, 3, 4) * 3)
    store = folder / "store"
    as_owner(QUIVERFS, "create", store, "--dim", DIM)
    as_owner(QUIVERFS, "import", store, "--format", "fvecs", rows)
    return store


def as_owner(*words, **options):
    return run(*ordinary_user_words, *words, **options)


def contents(folder):
    """What nobody but root may change of his files."""
    return {path: (*seen[:3], *seen[4:6], seen[-1]) for path, seen in snapshot(folder).items()}


def snapshot(folder):
    """All that is there: kinds, owners, modes, times, and what is in files."""
    seen = {}
    for path in sorted([folder, *folder.rglob("*")]):
        st = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(st.st_mode) else b""
        seen[path] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_mtime_ns,
                      st.st_ctime_ns, data)
    return seen


def words_of(command, store, scratch):
    """The command line for root; what it makes is in `scratch`, a folder of root's."""
    scratch.mkdir(exist_ok=True)
    (scratch / "mnt").mkdir(exist_ok=True)
    rows = scratch / "rows.f4"
    rows.write_bytes(struct.pack("<i4f", 4, 5, 6, 7, 8))
    return {
        "status": ["status", store],
        "status_json": ["status", "--json", store],
        "check": ["check", store],
        "repair": ["check", "--repair", store],
        "mount": ["mount", store, scratch / "mnt"],
        "mount_ro": ["mount", store, scratch / "mnt", "-o", "ro"],
        "import": ["import", store, "--format", "fvecs", rows],
        "export": ["export", store, scratch / "out.npy"],
        "create": ["create", store, "--dim", DIM],
        "flush": ["flush", store],
        "compact": ["compact", store],
        "verify": ["verify", store],
    }[command]


def root_does(command, store, scratch):
    """Its exit status and all that it said; a mount is taken down again."""
    try:
        done = subprocess.run([QUIVERFS, *map(str, words_of(command, store, scratch))],
                              capture_output=True, timeout=HANG_SECONDS, check=False)
        if command == "mount" and done.returncode == 0:
            (scratch / "mnt/vectors/9").write_bytes(b"\1" * 4 * DIM)
    finally:
        if is_mounted(scratch / "mnt"):
            subprocess.run(["umount", scratch / "mnt"], check=False)
            wait_for_release(store)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def put(kind, path, victim, other):
    """That, in the place of the file; a copy of the file is kept by links."""
    before = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim.parent / "not-there-yet")
    elif kind == "hard_link":
        os.link(victim, path)
    elif kind == "others_file":
        path.write_bytes(before or PRECIOUS)
        os.chown(path, other, other)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.close()
    elif kind == "device":
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no device can be made here")
    else:
        path.mkdir()
    if kind not in ("hard_link", "others_file"):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.fixture
def victim(tmp):
    """A file that only root may change, in a folder of root's."""
    folder = tmp / "roots"
    folder.mkdir(mode=0o700)
    path = folder / "victim"
    path.write_bytes(PRECIOUS)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_nothing_in_the_place_of_a_file_is_followed_or_waited_for(theirs, victim, tmp, name, kind):
    kept = tmp / "kept"
    run("cp", "-a", theirs, kept)
    for command in COMMANDS if LONG or kind in ("link", "hard_link", "fifo") else SOME_COMMANDS:
        run("rm", "-rf", theirs)
        run("cp", "-a", kept, theirs)
        put(kind, theirs / name, victim, other=NOBODY - 1)
        before = contents(victim.parent)
        status, said = root_does(command, theirs, tmp / "scratch")
        assert contents(victim.parent) == before, (command, said)
        if status == 0:
            assert does_without(command, name, kind), (command, said)
        else:
            word = "Is a directory" if name == "index.new" else KINDS[kind]
            assert name in said and word in said, (command, said)


def does_without(command, name, kind):
    """Only who changes the store uses the first, and the second is made where the table has grown."""
    return (name == "durable" and command not in ("mount", "import")) or name == "index.new"


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "others_file"])
def test_nothing_in_the_place_of_the_folder_of_the_log_is_followed(theirs, victim, tmp, kind):
    kept = tmp / "kept"
    run("cp", "-a", theirs, kept)
    for command in ("mount", "import", "repair", "compact"):
        run("rm", "-rf", theirs)
        run("cp", "-a", kept, theirs)
        put(kind, theirs / "wal", victim.parent, other=NOBODY - 1)
        before = contents(victim.parent)
        status, said = root_does(command, theirs, tmp / "scratch")
        assert contents(victim.parent) == before, (command, said)
        if command != "repair":
            assert status != 0 and "wal" in said, (command, said)


def unclean(store):
    """Make it one whose daemon was killed: a log, and a lock with a name in it."""
    worker = store.parent / "rows.bin"
    worker.write_bytes(struct.pack("<i4f", 4, 1, 2, 3, 4) * 20000)
    os.chown(worker, NOBODY, NOBODY)
    for _ in range(50):
        process = subprocess.Popen([*ordinary_user_words, QUIVERFS, "import", str(store), "--format",
                                    "fvecs", str(worker)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        segments = list((store / "wal").iterdir())
        while process.poll() is None and not segments:
            segments = list((store / "wal").iterdir())
        process.kill()
        process.wait()
        segments = sorted((store / "wal").iterdir())
        if segments:
            return segments[0]
    raise AssertionError("the import was never caught with a log")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_the_place_of_a_log_segment_is_followed(theirs, victim, tmp, kind):
    segment = unclean(theirs)
    kept = tmp / "kept"
    run("cp", "-a", theirs, kept)
    for command in ("status", "check", "repair", "mount", "mount_ro", "import", "export"):
        run("rm", "-rf", theirs)
        run("cp", "-a", kept, theirs)
        put(kind, segment, victim, other=NOBODY - 1)
        before = contents(victim.parent)
        status, said = root_does(command, theirs, tmp / "scratch")
        assert contents(victim.parent) == before, (command, said)
        assert status != 0 and segment.name in said and KINDS[kind] in said, (command, said)


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "others_file"])
def test_a_repair_puts_nothing_where_lost_and_found_leads(theirs, victim, tmp, kind):
    with open(theirs / "vectors.npy", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 128)
    put(kind, theirs / "lost+found", victim.parent, other=NOBODY - 1)
    before = contents(victim.parent)
    status, said = root_does("repair", theirs, tmp / "scratch")
    assert contents(victim.parent) == before
    assert status != 0 and "lost+found" in said, said


@pytest.mark.needs_root("uses a store of somebody else as root")
@pytest.mark.parametrize("kind", KINDS)
def test_create_puts_nothing_where_a_link_leads(tmp, victim, kind):
    folder = tmp / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    put(kind, folder / "LOCK", victim, other=NOBODY - 1)
    before = snapshot(tmp)
    status, said = root_does("create", folder, tmp / "scratch")
    assert status != 0 and "not empty" in said and "LOCK" in said
    assert {path: what for path, what in snapshot(tmp).items() if "scratch" not in str(path)
            and path != tmp} == {path: what for path, what in before.items() if path != tmp}


@pytest.mark.parametrize("kind", ["link", "hard_link", "others_file", "fifo"])
@pytest.mark.parametrize("name", ["superblock", "LOCK", "vectors.npy", "durable", "index"])
def test_a_store_leads_no_other_user_to_his_own_files(theirs, tmp, name, kind):
    """Who may write to it, and has files that its owner may not write to."""
    user = NOBODY - 1
    folder = tmp / "users"
    folder.mkdir()
    victim = folder / "victim"
    victim.write_bytes(PRECIOUS)
    rows = folder / "rows.f4"
    rows.write_bytes(struct.pack("<i4f", 4, 5, 6, 7, 8))
    run("chown", "-R", f"{user}:{user}", folder)
    run("chmod", "-R", "go+rwX", theirs)
    other = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    run(*other, QUIVERFS, "import", theirs, "--format", "fvecs", rows)
    run(*other, QUIVERFS, "status", theirs)
    put(kind, theirs / name, victim, other=NOBODY - 2)
    if kind == "others_file":
        (theirs / name).chmod(0o666)
    before = contents(folder)
    done = run(*other, QUIVERFS, "import", theirs, "--format", "fvecs", rows, status=1)
    assert contents(folder) == before
    assert name in done.stderr.decode() and KINDS[kind] in done.stderr.decode(), done.stderr


# ---- the owner -------------------------------------------------------------------


def owners(store):
    return {(path.name, path.stat().st_uid, path.stat().st_gid)
            for path in [store, *store.rglob("*")] if path.stat().st_uid != NOBODY}


def test_a_store_that_root_has_used_stays_its_owners(theirs, tmp):
    """Every file that root's commands make there."""
    for command in ("mount", "import", "compact", "verify"):
        status, said = root_does(command, theirs, tmp / "scratch")
        assert status == 0, said
        assert owners(theirs) == set()
    run("chmod", "-R", "g+rwX", theirs)
    status, said = root_does("mount", theirs, tmp / "scratch")
    assert status == 0 and owners(theirs) == set(), said
    assert stat.S_IMODE((theirs / "index").stat().st_mode) == 0o660
    (theirs / "index").unlink()
    (theirs / "durable").unlink()
    (theirs / "LOCK").unlink()
    status, said = root_does("import", theirs, tmp / "scratch")
    assert status == 0, said
    assert owners(theirs) == set()
    with open(theirs / "vectors.npy", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 128)
    status, said = root_does("repair", theirs, tmp / "scratch")
    assert "lost+found" in said
    assert list((theirs / "lost+found").iterdir()) and owners(theirs) == set()
    as_owner(QUIVERFS, "check", theirs)
    as_owner(QUIVERFS, "import", theirs, "--format", "fvecs", theirs.parent / "rows.f4")


def test_the_log_of_a_mount_of_roots_that_was_killed_is_its_owners(theirs, tmp, stores):
    store = type("Theirs", (), {"folder": tmp, "path": theirs, "size": DIM * 4})
    mnt = stores.mount(store, check=False)
    mnt.put(77, b"\1" * mnt.size)
    mnt.kill()
    run("umount", "-l", mnt.point)
    assert list((theirs / "wal").iterdir())
    assert owners(theirs) == set()
    as_owner(QUIVERFS, "import", theirs, "--format", "fvecs", theirs.parent / "rows.f4")


@pytest.mark.needs_root("uses a store of somebody else as root")
def test_a_store_that_root_makes_in_the_folder_of_a_user_is_his(tmp, stores):
    folder = tmp / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    quiverfs("create", folder, "--dim", DIM)
    assert owners(folder) == set()
    as_owner(QUIVERFS, "check", folder)
    store = type("Theirs", (), {"folder": tmp, "path": folder, "size": DIM * 4})
    mnt = stores.mount(store)
    assert mnt.vectors.stat().st_uid == NOBODY


def test_a_file_of_roots_is_named(theirs):
    """As releases left them that did not give new files to the owner of the store."""
    for name in ("index", "durable", "LOCK"):
        os.chown(theirs / name, 0, 0)
        (theirs / name).chmod(0o600)
        done = as_owner(QUIVERFS, "import", theirs, "--format", "fvecs", theirs.parent / "rows.f4",
                        status=1)
        assert f"{name}: Permission denied" in done.stderr.decode(), (name, done.stderr)
        # Root may use it still, and an administrator gives it back.
        quiverfs("status", theirs)
        os.chown(theirs / name, NOBODY, NOBODY)
    as_owner(QUIVERFS, "check", theirs)


# ---- copies of hard links ----------------------------------------------------------


def test_a_copy_of_hard_links_is_read_by_its_owner_and_written_by_nobody(theirs, tmp):
    copy = theirs.parent / "snapshot"
    as_owner("cp", "-al", theirs, copy)
    before = snapshot(copy)
    for words in (["status", copy], ["export", copy, theirs.parent / "out.npy"]):
        done = as_owner(QUIVERFS, *words)
        assert " superblock: it has 2 hard links" in done.stderr.decode(), done.stderr
    as_owner(QUIVERFS, "check", copy)
    done = as_owner(QUIVERFS, "import", copy, "--format", "fvecs", theirs.parent / "rows.f4", status=1)
    said = done.stderr.decode()
    assert "superblock" in said and "2 hard links" in said and "cp -a" in said, said
    for command in ("status", "import", "mount"):
        status, said = root_does(command, copy, tmp / "scratch")
        assert status != 0 and "2 hard links" in said, said
    assert snapshot(copy) == before
    run("rm", "-rf", theirs)
    as_owner(QUIVERFS, "import", copy, "--format", "fvecs", theirs.parent / "rows.f4")


def test_a_copy_of_hard_links_is_mounted_to_be_read(stores, tmp, rng):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.unmount()
    copy = tmp / "snapshot"
    run("cp", "-al", mnt.store.path, copy)
    before = snapshot(copy)
    store = type("Copy", (), {"folder": tmp, "path": copy, "size": mnt.size})
    seen = stores.mount(store, options=["ro"], check=False)
    assert seen.get(1) == data and "2 hard links" in seen.log_text()
    assert str(seen.point) in quiverfs("status", copy).stdout
    seen.unmount()
    assert snapshot(copy) == before
    done = quiverfs("mount", copy, seen.point, status=1)
    assert "superblock: cannot open: expected a file with one name, found 2 hard" in done.stderr


# ---- looking changes nothing -------------------------------------------------------


def test_looking_at_a_closed_store_changes_nothing(theirs, tmp):
    before = snapshot(theirs)
    for words in (["status", theirs], ["status", "--json", theirs], ["check", theirs],
                  ["export", theirs, theirs.parent / "out.npy"], ["verify", theirs]):
        as_owner(QUIVERFS, *words)
        (theirs.parent / "out.npy").unlink(missing_ok=True)
        assert snapshot(theirs) == before, words
    for command in ("status", "status_json", "check", "export", "verify"):
        status, said = root_does(command, theirs, tmp / "scratch")
        assert status == 0, said
        assert snapshot(theirs) == before, command


def test_a_store_on_a_disk_that_is_only_read_is_used(theirs, tmp, stores):
    seen = tmp / "seen"
    seen.mkdir()
    run("mount", "--bind", theirs, seen)
    try:
        run("mount", "-o", "remount,bind,ro", seen)
        for command in ("status", "status_json", "check", "export", "verify"):
            status, said = root_does(command, seen, tmp / "scratch")
            assert status == 0, said
        store = type("Seen", (), {"folder": tmp, "path": seen, "size": DIM * 4})
        mnt = stores.mount(store, options=["ro"], check=False)
        assert len(mnt.ids()) == 3
        status, said = root_does("status", seen, tmp / "scratch")
        assert status == 0 and str(mnt.point) in said, said
        mnt.unmount()
        status, said = root_does("import", seen, tmp / "scratch")
        assert status != 0 and "Read-only file system" in said and "superblock" in said, said
    finally:
        run("umount", "-l", seen)


def test_who_may_only_read_the_files_reads_the_store(theirs, tmp):
    """Another user than its owner."""
    run("chmod", "-R", "go+rX", theirs)
    before = snapshot(theirs)
    other = ["setpriv", f"--reuid={NOBODY - 1}", f"--regid={NOBODY - 1}", "--clear-groups"]
    out = tmp / "out"
    out.mkdir()
    out.chmod(0o777)
    for words in (["status", theirs], ["check", theirs], ["export", theirs, out / "out.npy"]):
        run(*other, QUIVERFS, *words)
    assert snapshot(theirs) == before
    done = run(*other, QUIVERFS, "import", theirs, "--format", "fvecs", theirs.parent / "rows.f4",
               status=1)
    assert "superblock" in done.stderr.decode() and "Permission denied" in done.stderr.decode()


def test_one_that_was_not_closed_says_what_is_needed(theirs, tmp):
    unclean(theirs)
    run("chmod", "-R", "go+rX", theirs)
    other = ["setpriv", f"--reuid={NOBODY - 1}", f"--regid={NOBODY - 1}", "--clear-groups"]
    done = run(*other, QUIVERFS, "status", theirs, status=1)
    said = done.stderr.decode()
    assert "was not closed" in said and "superblock" in said and "quiverfs check" in said, said
    before = snapshot(theirs)
    done = run(*other, QUIVERFS, "check", theirs)
    assert "not closed cleanly" in done.stdout.decode()
    assert snapshot(theirs) == before


# ---- control files of a mount of somebody else's --------------------------------------


@pytest.fixture
def false_mount(tmp):
    """The folder that a mount shows which says that it is of quiverfs, and its mount point."""
    program = os.environ.get("QUIVERFS_FALSE_MOUNT")
    if not program or not os.path.exists("/dev/fuse"):
        pytest.skip("there is no false mount")
    folder, point = tmp / "shown", tmp / "false"
    (folder / "control").mkdir(parents=True)
    (folder / "vectors").mkdir()
    point.mkdir()
    for name, text in {"version": "0.1", "dim": "4", "dtype": "f4", "errors": "",
                       "uuid": "5c0f7ed4-0000-4000-8000-000000000000",
                       "stats": "put_bytes_max 524288\nread_only 0", "compact": "idle",
                       "verify": "idle", "flush": "0", "put": ""}.items():
        (folder / "control" / name).write_text(text + "\n")
    process = subprocess.Popen([program, folder, point, "-f", "-o",
                                f"subtype=quiverfs,fsname={tmp / 'theirs/store'},allow_other"])
    until(lambda: process.poll() is not None or is_mounted(point), "no mount")
    assert process.poll() is None
    yield folder, point
    run("umount", "-l", point)
    process.wait()


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder"])
@pytest.mark.parametrize("name", ["flush", "compact", "verify", "put", "version", "dim", "stats"])
def test_no_control_file_of_a_false_mount_is_followed(false_mount, victim, tmp, name, kind):
    folder, point = false_mount
    put(kind, folder / "control" / name, victim, other=NOBODY - 1)
    command = {"put": "import", "version": "flush", "dim": "import", "stats": "status"}.get(name, name)
    before = contents(victim.parent)
    status, said = root_does(command, point, tmp / "scratch")
    assert contents(victim.parent) == before
    assert status != 0 and (kind == "folder" or "this is not a mount of quiverfs" in said), said


@pytest.mark.parametrize("name", ["control", "vectors"])
def test_no_folder_of_a_false_mount_is_followed(false_mount, victim, tmp, name):
    folder, point = false_mount
    (folder / name).rename(folder / "elsewhere")
    shutil.copytree(folder / "elsewhere", victim.parent / name)
    (folder / name).symlink_to(victim.parent / name)
    before = contents(victim.parent)
    for command in ("flush", "import") if name == "control" else ("export",):
        status, said = root_does(command, point, tmp / "scratch")
        assert contents(victim.parent) == before
        assert status != 0, said


def test_a_lock_that_names_a_false_mount_leads_root_nowhere(false_mount, theirs, victim, tmp):
    """Held by its owner, who says that his store is mounted there."""
    folder, point = false_mount
    put("link", folder / "control/flush", victim, other=NOBODY)
    (theirs / "LOCK").write_text(f"pid {os.getpid()}\nmount {point}\n")
    before = contents(victim.parent)
    with open(theirs / "LOCK", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, said = root_does("flush", theirs, tmp / "scratch")
    assert contents(victim.parent) == before
    assert status != 0 and "this is not a mount of quiverfs" in said, said


def test_a_lock_that_names_a_mount_of_roots_leads_root_nowhere(theirs, tmp, stores, rng):
    """Whose store has been moved since, so that its path tells nothing."""
    mnt = stores.mount(check=False)
    mnt.put(1, rng.randbytes(mnt.size))
    moved = mnt.store.path.rename(tmp / "moved")
    (theirs / "LOCK").write_text(f"pid {mnt.pid}\nmount {mnt.point}\n")
    with open(theirs / "LOCK", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, said = root_does("flush", theirs, tmp / "scratch")
    assert status != 0 and f"in use by process {os.getpid()}" in said, said
    # The store itself is found.
    assert str(mnt.point) in quiverfs("status", moved).stdout


# ---- what reaches a terminal ------------------------------------------------------

# ESC, CSI as a character of its own, an override of the direction, a byte that is none of UTF-8.
NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e".encode() + b"\x9b1m"


def is_tame(output):
    text = output.decode()  # or it is not even UTF-8
    return not any(ord(c) < 0x20 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c in "\u202e" for c in text)


def says_tamely(*words, status=None, has=""):
    done = run(QUIVERFS, *words, status=status)
    assert is_tame(done.stdout) and is_tame(done.stderr), (words, done.stdout, done.stderr)
    assert has in (done.stdout + done.stderr).decode(), (words, done.stdout, done.stderr)


def test_a_lock_has_no_say_on_a_terminal(theirs, tmp):
    (theirs / "LOCK").write_bytes(b"pid 1\nmount /" + NASTY + b"hello\n")
    with open(theirs / "LOCK", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ("status", "mount"):
            says_tamely(*words_of(command, theirs, tmp / "scratch"), status=1, has="hello")


def test_names_of_files_have_no_say_on_a_terminal(tmp):
    nasty = Path(os.fsdecode(bytes(tmp) + b"/" + NASTY))
    says_tamely("create", nasty, "--dim", DIM, status=0, has="]0;owned")
    for words in (["status", nasty], ["check", nasty], ["verify", nasty], ["flush", nasty]):
        says_tamely(*words, status=0)
    rows = Path(os.fsdecode(bytes(tmp) + b"/rows" + NASTY + b".fvecs"))
    says_tamely("import", nasty, rows, status=1, has="]0;owned")
    rows.write_bytes(struct.pack("<i4f", 4, 1, 2, 3, 4))
    says_tamely("import", nasty, rows, status=0, has="1 vectors imported")
    says_tamely("export", nasty, os.fsdecode(bytes(rows) + b".npy"), status=0, has="exported")
    says_tamely("mount", nasty, rows, status=1, has="]0;owned")
    (nasty / "superblock").write_bytes(b"")
    says_tamely("status", nasty, status=1, has="superblock")
    says_tamely("check", nasty, status=1, has="superblock")


def test_what_is_in_files_has_no_say_on_a_terminal(tmp):
    store = tmp / "store"
    quiverfs("create", store, "--dim", 2)
    for name, data in (("header.csv", b"id," + NASTY + b"," + NASTY + b"x\n1,2,3\n1,x,3\n"),
                       ("cell.csv", b"1," + NASTY + b",3\n"),
                       ("cell.txt", b"word 1 " + NASTY + b"\n" + NASTY + b" 1 2\n"),
                       ("rows.jsonl", b'{"id": 1, "' + NASTY + b'": [1, 2]}\n'),
                       ("key.jsonl", b'{"id": 1, "\\u001b[2J": [1, 2], "vector": "\\u001b[2J"}\n'),
                       ("rows.safetensors", struct.pack("<Q", 60) + b'{"\\u001b[2J": {"dtype": '
                        b'"\\u001b[2J", "shape": [1, 2]}}'.ljust(60))):
        (tmp / name).write_bytes(data)
        says_tamely("import", store, tmp / name)
    says_tamely("import", store, tmp / "header.csv", "--ids", tmp / "cell.txt")


def test_words_have_no_say_on_a_terminal():
    """A shell puts the names of files there."""
    word = os.fsdecode(NASTY)
    for words in (["status", "a", word], ["status", "-" + word], ["--" + word], [word],
                  ["import", "--" + word + "=1"], ["import", "s", "--format", word],
                  ["create", "s", "--dim", word], ["create", "s", "--dim", "2", "--dtype", word]):
        says_tamely(*words, status=2)


def test_a_label_has_no_say_on_a_terminal(tmp):
    store = tmp / "store"
    done = run(QUIVERFS, "create", store, "--dim", 2, "--label", "turned \u202e round")
    assert is_tame(done.stdout)
    says_tamely("status", store, status=0, has="turned ? round")
    done = run(QUIVERFS, "status", "--json", store)
    assert is_tame(done.stdout) and json.loads(done.stdout)["label"] == "turned \u202e round"


def test_the_name_of_a_mount_has_no_say_on_a_terminal(false_mount, tmp):
    folder, point = false_mount
    (folder / "control/stats").write_bytes(b"put_bytes_max 524288\nread_only 0\nstore " + NASTY +
                                           b"\npid " + NASTY + b"\n")
    (folder / "control/errors").write_bytes(NASTY + b"\n")
    (folder / "control/version").write_bytes(NASTY + b"\n")
    for words in (["status", point], ["compact", point], ["flush", point]):
        says_tamely(*words)
    (folder / "control/dim").write_bytes(NASTY + b"\n")
    says_tamely("status", point, status=1, has="]0;owned")


# ---- what root writes into a folder of somebody else's -----------------------------------


def swaps(folder, victim, end):
    """Put links to the victim in the place of every file of another's that appears."""
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    while not end.is_set():
        for name in os.listdir(folder):
            path = folder / name
            try:
                if not path.is_symlink():
                    path.unlink()
                    path.symlink_to(victim)
            except OSError:
                pass


@pytest.mark.parametrize("suffix", ["npy", "hdf5", "csv"])
def test_an_export_is_not_led_elsewhere(theirs, victim, tmp, suffix):
    """Its owner has renamed the file, or the folder, while it is being written."""
    folder = tmp / "taken"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    victim.parent.chmod(0o711)
    victim.chmod(0o644)
    before = contents(victim.parent)
    end = multiprocessing.Event()
    process = multiprocessing.Process(target=swaps, args=(folder, victim, end))
    process.start()
    try:
        for number in range(60):
            done = run(QUIVERFS, "export", theirs, folder / f"out{number}.{suffix}", status=None)
            if done.returncode != 0:
                assert f"out{number}.{suffix}: ".encode() in done.stderr, done.stderr
            assert contents(victim.parent) == before
    finally:
        end.set()
        process.join()


def test_an_export_does_not_follow_a_link_of_theirs(theirs, victim, tmp):
    out = theirs.parent / "out.npy"
    out.symlink_to(victim)
    os.lchown(out, NOBODY, NOBODY)
    before = contents(victim.parent)
    status, said = root_does("export", theirs, tmp / "scratch")
    assert status == 0, said
    assert "another user's link" in quiverfs("export", theirs, out, status=1).stderr
    assert contents(victim.parent) == before and out.is_symlink()
    assert sorted(path.name for path in theirs.parent.iterdir()) == ["out.npy", "rows.f4", "store"]
