"""quiverfs import and export of a folder of files, one a vector, beside what rsync -a makes of it."""

import os
import pwd
import signal
import subprocess
import threading
import time

import numpy
import pytest

from harness import LONG, QUIVERFS, quiverfs, run, until

LARGEST = 2**64 - 2**32 - 1
# Seconds and nanoseconds: before 1970, without a part, to the last digit, in the future.
TIMES = [(-1, 1), (0, 0), (1, 999999999), (1700000000, 123456789), (4000000000, 1)]


def listing(folder):
    """What rsync -a keeps of a folder and what is in it."""
    return sorted(run("find", folder, "-type", "d", "-printf", "%P %y %m %U %G %T@\n", "-o",
                      "-printf", "%P %y %s %m %U %G %T@\n").stdout.decode().splitlines())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def set_time(path, s, ns):
    os.utime(path, ns=(s * 10**9 + ns, s * 10**9 + ns))


def make_folder(folder, ids, size, rng):
    """Vectors with attributes of all kinds."""
    folder.mkdir()
    for number, vector in enumerate(ids):
        path = folder / str(vector)
        path.write_bytes(rng.randbytes(size))
        os.chmod(path, (0o644, 0o600, 0o664, 0o400, 0o777)[number % 5])
        if os.geteuid() == 0:
            os.chown(path, 1000 + number % 3, 2000 + number % 2)
        set_time(path, *TIMES[number % len(TIMES)])
    os.chmod(folder, 0o750)
    set_time(folder, 1300000000, 987654321)
    return folder


@pytest.fixture
def source(tmp, rng):
    """97 vectors of 25 x f4 and the largest ID."""
    return make_folder(tmp / "source", [*range(3, 100), LARGEST], 100, rng)


@pytest.fixture(params=["store", "mount"])
def where(request, stores):
    """A store, or a mount of one: what import is given, and a look at what is in it then."""
    class Where:
        def __init__(self, name="store"):
            self.store = stores.create(name=name)
            self.mnt = stores.mount(self.store) if request.param == "mount" else None
            self.given = self.mnt.point if self.mnt else self.store.path

        def look(self):
            """A mount of it; a store is mounted for the look alone."""
            return self.mnt or stores.mount(self.store)

        def look_away(self, mnt):
            if not self.mnt:
                mnt.unmount()

        def vectors(self):
            mnt = self.look()
            found = listing(mnt.vectors), contents(mnt.vectors)
            self.look_away(mnt)
            return found
    return Where()


def test_it_is_what_rsync_makes_of_it(where, stores, source):
    done = quiverfs("import", where.given, source)
    assert "98 vectors imported into" in done.stdout
    assert f"IDs: 3 to {LARGEST}, the names of the files; 98 distinct" in done.stdout
    assert done.stderr == ""
    other = stores.mount(stores.create(name="other"), name="mnt2")
    run("rsync", "-a", f"{source}/", f"{other.vectors}/")
    assert where.vectors() == (listing(other.vectors), contents(other.vectors))
    assert where.vectors() == (listing(source), contents(source))
    mnt = where.look()
    assert run("rsync", "-ain", f"{source}/", f"{mnt.vectors}/").stdout == b""
    assert mnt.errors() == []
    where.look_away(mnt)


@pytest.mark.needs_root("gives files to others")
def test_an_ordinary_user_keeps_what_rsync_would(stores, tmp, plain, rng):
    """Not the owner, and a group that is his alone."""
    source = make_folder(tmp / "source", range(10), 100, rng)
    for path in (*source.iterdir(), source):
        os.chmod(path, os.stat(path).st_mode | 0o444)
    for vector in range(0, 10, 2):
        os.chown(source / str(vector), 1000, os.stat("/").st_gid)
    os.chmod(source, 0o755)
    store = stores.create()
    run("chown", "-R", "nobody", store.path)
    as_user = ["setpriv", "--reuid=nobody", "--regid=4711", "--groups=2001,4712"]
    os.chown(plain, pwd.getpwnam("nobody").pw_uid, 4711)
    run(*as_user, QUIVERFS, "import", store.path, source)
    run(*as_user, "rsync", "-a", f"{source}/", f"{plain}/")
    mnt = stores.mount(store)
    assert listing(mnt.vectors)[1:] == listing(plain)[1:]
    assert contents(mnt.vectors) == contents(plain)
    assert {os.stat(mnt.path(vector)).st_gid for vector in range(10)} == {2001, 4711}


def test_attributes_of_vectors_that_are_there_change_with_them(where, source):
    quiverfs("import", where.given, source)
    for path in source.iterdir():
        os.chmod(path, 0o640)
        path.write_bytes(bytes(100))
    quiverfs("import", f"--format={'dir' if where.mnt else 'folder'}", where.given, source)
    assert where.vectors() == (listing(source), contents(source))


def test_update_takes_what_differs(where, source, rng):
    quiverfs("import", where.given, source)
    done = quiverfs("import", "-u", where.given, source)
    assert "0 vectors imported" in done.stdout
    assert "98 files were not read" in done.stderr
    before = (source / "7").stat()
    old = (source / "7").read_bytes()
    os.chmod(source / "7", 0o666)
    (source / "7").write_bytes(rng.randbytes(100))
    os.chmod(source / "7", before.st_mode & 0o7777)
    os.utime(source / "7", ns=(before.st_mtime_ns, before.st_mtime_ns))
    (source / "8").unlink()
    (source / "8").write_bytes(rng.randbytes(100))
    os.chmod(source / "9", 0o611)
    (source / "1234").write_bytes(rng.randbytes(100))
    done = quiverfs("import", "--update", where.given, source)
    assert "3 vectors imported" in done.stdout
    assert "96 files were not read" in done.stderr
    found = where.vectors()
    assert found[0] == listing(source)
    # As rsync: a file whose size and time are those of the vector is not read ...
    assert found[1] == {**contents(source), "7": old}
    # ... and without --update it is.
    quiverfs("import", where.given, source)
    assert where.vectors() == (listing(source), contents(source))


def test_what_is_no_vector_is_named_and_the_others_are_in(where, tmp, source):
    (source / "README.md").write_text("not a vector")
    (source / "042").write_bytes(bytes(100))
    (source / str(LARGEST + 1)).write_bytes(bytes(100))
    (source / ".DS_Store").write_bytes(b"x")
    (source / "101").write_bytes(bytes(99))
    (source / "102").write_bytes(b"")
    (source / "103").mkdir()
    (source / "104").symlink_to("3")
    os.mkfifo(source / "105")
    (source / "more").mkdir()
    (source / "bad\x1b[2J").write_bytes(b"")
    (source / "0").write_bytes(bytes(99))
    done = quiverfs("import", where.given, source, status=1)
    assert "98 vectors imported" in done.stdout
    assert f"IDs: 3 to {LARGEST}, the names of the files; 98 distinct" in done.stdout
    (source / "0").unlink()
    for name, says in {"README.md": "its name is not an ID", "042": "its name is not an ID",
                       str(LARGEST + 1): "its name is not an ID",
                       "101": "has 99 bytes; expected 100 (dim 25, dtype f4)",
                       "102": "has 0 bytes", "103": "is a folder", "more": "is a folder",
                       "104": "is a symbolic link", "105": "is a pipe"}.items():
        assert f"quiverfs: {source}/{name}: {says}" in done.stderr, done.stderr
    assert "\x1b" not in done.stderr
    assert "1 names that begin with a dot were skipped" in done.stderr
    assert "11 names in it were not imported" in done.stderr
    assert len(where.vectors()[1]) == 98
    done = quiverfs("import", "-u", where.given, source, "--exclude=*.md", "--exclude", "10[1-5]",
                    "--exclude=more", "--exclude=0*", "--exclude=bad*",
                    "--exclude", LARGEST + 1)
    assert "10 names were excluded" in done.stderr
    assert "98 files were not read" in done.stderr


def test_of_many_bad_files_some_are_named(where, tmp):
    folder = tmp / "bad"
    folder.mkdir()
    for vector in range(50):
        (folder / str(vector)).write_bytes(bytes(101))
    done = quiverfs("import", where.given, folder, status=1)
    assert done.stderr.count("has 101 bytes; expected 100") == 20
    assert "30 more files like these" in done.stderr
    assert where.vectors()[1] == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_cannot_be_read_keeps_vectors_from_being_removed(where, source):
    quiverfs("import", where.given, source)
    os.chmod(source / "50", 0)
    os.utime(source / "50")
    (source / "60").unlink()
    done = quiverfs("import", "-u", "--delete", where.given, source, status=1)
    assert f"{source}/50: cannot be read: Permission denied" in done.stderr
    assert "no vector is removed" in done.stderr
    assert len(where.vectors()[1]) == 98
    os.chmod(source, 0)
    done = quiverfs("import", "-u", "--delete", where.given, source, status=1)
    assert "Permission denied" in done.stderr
    os.chmod(source, 0o700)
    assert len(where.vectors()[1]) == 98


def test_delete_removes_vectors_without_a_file(where, source, tmp, rng):
    quiverfs("import", where.given, source)
    for vector in range(10, 30):
        (source / str(vector)).unlink()
    (source / "200").write_bytes(rng.randbytes(100))
    (source / "notes").write_text("x")
    done = quiverfs("import", "-u", "--delete", where.given, source, status=1)
    assert "no vector is removed" in done.stderr
    (source / "notes").unlink()
    done = quiverfs("import", "-u", "--delete", "--exclude=1?", where.given, source)
    assert "10 vectors without a file removed" in done.stdout
    assert set(where.vectors()[1]) == {*os.listdir(source), *map(str, range(10, 20))}
    done = quiverfs("import", "-u", "--delete", where.given, source)
    assert "10 vectors without a file removed" in done.stdout
    assert where.vectors() == (listing(source), contents(source))
    # A folder with nothing in it is more often a mistake than a wish.
    (tmp / "empty").mkdir()
    done = quiverfs("import", "--delete", where.given, tmp / "empty", status=1)
    assert "would remove all 79 vectors; nothing was removed" in done.stderr
    assert "0 vectors imported" in quiverfs("import", where.given, tmp / "empty").stdout
    assert where.vectors()[1] == contents(source)


def test_dry_run_changes_nothing(where, source):
    quiverfs("import", where.given, source)
    before = where.vectors()
    for vector in range(10, 30):
        (source / str(vector)).unlink()
    os.utime(source / "40")
    (source / "201").write_bytes(bytes(100))
    done = quiverfs("import", "-un", "--delete", where.given, source)
    assert "2 vectors would be imported" in done.stdout
    assert "20 vectors without a file would be removed" in done.stdout
    done = quiverfs("import", "--dry-run", where.given, source)
    assert "79 vectors would be imported" in done.stdout
    assert where.vectors() == before


def test_on_duplicate(where, source):
    quiverfs("import", where.given, source)
    before = where.vectors()
    for path in source.iterdir():
        os.utime(path)
    (source / "300").write_bytes(bytes(100))
    done = quiverfs("import", "--on-duplicate=skip", where.given, source)
    assert "1 vectors imported" in done.stdout and "98 files skipped" in done.stderr
    after = where.vectors()
    assert {**before[1], "300": bytes(100)} == after[1]
    assert set(before[0][1:]) < set(after[0])
    done = quiverfs("import", "--on-duplicate=fail", where.given, source, status=1)
    assert "its vector exists already" in done.stderr
    assert where.vectors()[1] == after[1]


def test_npy_files(where, tmp, rng):
    folder = tmp / "npy"
    folder.mkdir()
    rows = {vector: numpy.frombuffer(rng.randbytes(100), "<f4") for vector in range(20)}
    for vector, row in rows.items():
        numpy.save(folder / f"{vector}.npy", row if vector % 2 else row.reshape(1, 25))
        set_time(folder / f"{vector}.npy", *TIMES[vector % len(TIMES)])
    rows[50] = rows[1]
    (folder / "50").write_bytes(rows[1].tobytes())
    assert "21 vectors imported" in quiverfs("import", where.given, folder).stdout
    found = where.vectors()
    assert found[1] == {str(vector): row.tobytes() for vector, row in rows.items()}
    times = {line.split()[0].removesuffix(".npy"): line.split()[-1] for line in listing(folder)}
    assert {line.split()[0]: line.split()[-1] for line in found[0]} == times
    assert "0 vectors imported" in quiverfs("import", "-u", where.given, folder).stdout
    numpy.save(folder / "60.npy", numpy.zeros(24, "<f4"))
    numpy.save(folder / "61.npy", numpy.zeros((2, 25), "<f4"))
    numpy.save(folder / "62.npy", numpy.zeros(25, "<f8"))
    (folder / "63.npy").write_bytes(bytes(200))
    (folder / "64.npy").write_bytes(bytes(99))
    done = quiverfs("import", "-u", where.given, folder, status=1)
    for vector in range(60, 65):
        assert f"quiverfs: {folder}/{vector}.npy: " in done.stderr
    assert where.vectors()[1] == found[1]
    numpy.save(folder / "50.npy", rows[2])
    done = quiverfs("import", where.given, folder, status=1)
    assert "both 50 and 50.npy are in it" in done.stderr
    assert where.vectors()[1] == found[1]
    done = quiverfs("import", where.given, folder, "--exclude", "*.npy")
    assert "1 vectors imported" in done.stdout


@pytest.mark.parametrize("dtype, array", [
    ("bf2", numpy.arange(16, dtype="<u2")), ("bf2", numpy.arange(16, dtype="<u2").view("V2")),
    ("b1", numpy.array([[0x98, 0x01]], "|u1")), ("i1", numpy.arange(-8, 8, dtype="|i1")),
    ("f8", numpy.linspace(0, 1, 16).reshape(1, 16)),
], ids=["u2", "V2", "bits", "i1", "f8"])
def test_npy_files_of_every_type(stores, tmp, dtype, array):
    store = stores.create(dim=16, dtype=dtype)
    folder = tmp / "npy"
    folder.mkdir()
    numpy.save(folder / "7.npy", array)
    numpy.save(folder / "8.npy", numpy.zeros(16, "<f4"))
    done = quiverfs("import", store.path, folder, status=1)
    assert f"{folder}/8.npy: is of type " in done.stderr or "8.npy: has " in done.stderr
    quiverfs("export", store.path, f"{tmp}/out/")
    assert contents(tmp / "out") == {"7": array.tobytes()}


def test_a_mount_that_is_read_only(stores, source):
    store = stores.create()
    quiverfs("import", "--exclude=3", store.path, source)
    mnt = stores.mount(store, options=["ro"])
    assert "1 vectors would be imported" in quiverfs("import", "-un", mnt.point, source).stdout
    done = quiverfs("import", "-u", mnt.point, source, status=1)
    assert "it is mounted read-only" in done.stderr
    assert "written" not in done.stderr # and no word of a flush of nothing
    assert len(mnt.ids()) == 97


def test_finite_numbers_alone(where, source):
    (source / "400").write_bytes(numpy.array([1] * 24 + [numpy.nan], "<f4").tobytes())
    done = quiverfs("import", "--reject-nonfinite", "--exclude=[!4]*", where.given, source,
                    status=None)
    assert f"{source}/400: element 24 is NaN or infinite" in done.stderr
    (source / "4").write_bytes(bytes(100))
    done = quiverfs("import", "--reject-nonfinite", "--exclude=[!4]*", where.given, source,
                    status=1)
    assert " to 400," not in done.stdout
    assert "400" not in where.vectors()[1]


def test_of_a_mount_its_vectors(where, stores, source):
    quiverfs("import", where.given, source)
    other = stores.create(name="other")
    mnt = where.look()
    quiverfs("import", other.path, mnt.point)
    where.look_away(mnt)
    other = stores.mount(other, name="mnt2")
    assert (listing(other.vectors), contents(other.vectors)) == where.vectors()


def test_places_that_are_refused(where, stores, tmp, source):
    quiverfs("import", where.given, source)
    inner = where.store.path / "inner"
    inner.mkdir()
    for folder in (where.store.path, inner):
        done = quiverfs("import", where.given, folder, status=1)
        assert "lies in the folder of the store" in done.stderr
    inner.rmdir()
    if where.mnt:
        for folder in (where.mnt.point, where.mnt.vectors, where.mnt.control_folder):
            done = quiverfs("import", where.given, folder, status=1)
            assert "lies in the mount" in done.stderr
    other = stores.create(name="other")
    done = quiverfs("import", where.given, other.path, status=1)
    assert "is a store, not a folder of files" in done.stderr
    for words, says in ((["--ids", source / "3"], "are only for files of rows"),
                        (["--start-id=1"], "are only for files of rows"),
                        (["--format=npy"], "are only for files of rows"),
                        ([source], "import it alone")):
        done = quiverfs("import", where.given, source, *words, status=2)
        assert says in done.stderr, done.stderr
    for word in ("--update", "--delete", "--dry-run", "--exclude=x"):
        done = quiverfs("import", where.given, source / "3", word, status=2)
        assert "is only for a folder" in done.stderr
    done = quiverfs("import", where.given, source / "3", "--format=dir", status=2)
    assert "is not a folder" in done.stderr


def many_links(folder, size, count, rng):
    """Files are made quickly so."""
    folder.mkdir()
    for vector in range(count):
        if vector % 1000 == 0:
            first = folder / str(vector)
            first.write_bytes(rng.randbytes(size))
        else:
            os.link(first, folder / str(vector))
    return folder


def test_after_a_signal_the_same_with_update_goes_on(stores, tmp, rng):
    mnt = stores.mount()
    folder = many_links(tmp / "many", mnt.size, 30000, rng)
    started = subprocess.Popen([QUIVERFS, "import", mnt.point, folder], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True)
    until(lambda: int(mnt.control("count")) > 0, "no vector comes")
    started.send_signal(signal.SIGINT)
    said = started.communicate()[1]
    count = int(mnt.control("count"))
    if count == 30000 and started.returncode == 0:
        pytest.skip("it was done before the signal")
    assert started.returncode == 1
    assert f"stopped: {count} of 30000 files are imported; the same import with --update" in said
    done = quiverfs("import", "-u", mnt.point, folder)
    assert f"{30000 - count} vectors imported" in done.stdout
    assert run("rsync", "-acin", f"{folder}/", f"{mnt.vectors}/").stdout == b""


def test_a_crash_leaves_nothing_that_update_does_not_mend(stores, tmp, rng):
    """Attributes and bytes are one commit: no vector has the time of bytes that it has not."""
    store = stores.create()
    folder = many_links(tmp / "many", store.size, 20000, rng)
    for delay in (0.02, 0.05, 0.1) if not LONG else [i / 100 for i in range(1, 30)]:
        started = subprocess.Popen([QUIVERFS, "import", "-u", store.path, folder],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        started.kill()
        started.wait()
    quiverfs("import", "-u", store.path, folder)
    mnt = stores.mount(store)
    assert run("rsync", "-acin", f"{folder}/", f"{mnt.vectors}/").stdout == b""


def test_files_that_change_meanwhile(where, tmp, rng):
    """Each vector is one version of its file, and the last import has the last ones."""
    folder = tmp / "changing"
    folder.mkdir()
    for vector in range(40):
        (folder / str(vector)).write_bytes(bytes(100))
    over = threading.Event()

    def change():
        number = 0
        while not over.is_set():
            number += 1
            with open(folder / str(rng.randrange(40)), "r+b") as file:
                file.write(bytes([number % 256]) * 100)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(8):
            quiverfs("import", "-u", where.given, folder, status=None)
    finally:
        over.set()
        thread.join()
    quiverfs("import", "-u", where.given, folder)
    assert where.vectors() == (listing(folder), contents(folder))
    assert all(len(set(data)) == 1 for data in where.vectors()[1].values())


def test_where_times_are_whole_seconds(disks, stores, rng):
    """A file that changes again within the second has the time that it had."""
    image = disks.folder / "image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-F", "-I", 128, image)
    folder = disks.of_image(image).point / "folder"
    folder.mkdir()
    store = stores.create()
    for vector in range(3):
        (folder / str(vector)).write_bytes(rng.randbytes(100))
    for attempt in range(3):
        time.sleep(1.05 - time.time() % 1)  # a second begins
        (folder / "1").write_bytes(bytes([attempt]) * 100)
        quiverfs("import", "-u", store.path, folder)
        (folder / "1").write_bytes(bytes([100 + attempt]) * 100)
        quiverfs("import", "-u", store.path, folder)
    quiverfs("export", store.path, f"{disks.folder}/out/")
    assert contents(disks.folder / "out") == \
        {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- export ---------------------------------------------------------------------------


def test_export_is_what_rsync_makes_of_it(where, tmp, source):
    quiverfs("import", where.given, source)
    done = quiverfs("export", where.given, f"{tmp}/out/")
    assert f"98 vectors exported to {tmp}/out/" in done.stdout and done.stderr == ""
    assert (listing(tmp / "out"), contents(tmp / "out")) == (listing(source), contents(source))
    mnt = where.look()
    run("rsync", "-a", f"{mnt.vectors}/", f"{tmp}/other/")
    where.look_away(mnt)
    assert (listing(tmp / "out"), contents(tmp / "out")) == \
        (listing(tmp / "other"), contents(tmp / "other"))
    # And back.
    assert "0 vectors imported" in quiverfs("import", "-u", where.given, tmp / "out").stdout


def test_export_updates_and_deletes(where, tmp, source, rng):
    quiverfs("import", where.given, source)
    out = tmp / "out"
    quiverfs("export", "--format=folder", where.given, out)
    (out / "notes.txt").write_text("mine")
    (out / "4711.npy").write_text("mine")
    (out / ".hidden").write_text("mine")
    (out / "042").write_text("mine")
    (out / "1000").mkdir()
    (out / "1001").write_bytes(bytes(100))
    (out / "5").write_bytes(bytes(100))
    (out / "6").unlink()
    os.chmod(out / "7", 0o601)
    (out / "8").write_bytes(b"")
    kept = os.stat(out / "9").st_ino
    os.chmod(out, 0o711)
    done = quiverfs("export", "-un", "--delete", where.given, out)
    assert "4 vectors would be exported" in done.stdout
    assert "1 files without a vector would be removed" in done.stdout
    done = quiverfs("export", "--update", "--delete", where.given, out)
    assert "4 vectors exported" in done.stdout
    assert "1 files without a vector removed" in done.stdout
    assert "94 files were not written" in done.stderr
    assert os.stat(out / "9").st_ino == kept
    assert os.stat(out).st_mode & 0o7777 == 0o711
    assert os.stat(out).st_mtime_ns == os.stat(source).st_mtime_ns
    for name in ("notes.txt", "4711.npy", ".hidden", "042"):
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    (out / "1000").rmdir()
    assert listing(out)[1:] == listing(source)[1:] and contents(out) == contents(source)


def test_export_replaces_files_alone(where, tmp, source):
    quiverfs("import", where.given, source)
    out = tmp / "out"
    out.mkdir()
    (tmp / "precious").write_text("mine")
    (out / "3").symlink_to(tmp / "precious")
    os.mkfifo(out / "4")
    (out / "5").mkdir()
    (out / "6").write_bytes(b"older")
    (out / "4000").write_bytes(bytes(100))
    done = quiverfs("export", "--delete", where.given, out, status=1)
    for name in ("3", "4", "5"):
        assert f"quiverfs: {out}/{name}: it exists and is not a regular file" in done.stderr
    assert "no file is removed" in done.stderr
    assert (tmp / "precious").read_text() == "mine"
    assert (out / "4000").exists() and (out / "6").read_bytes() == (source / "6").read_bytes()
    assert sum(path.is_file() for path in out.iterdir()) == 96 + 1
    assert not [name for name in os.listdir(out) if name.startswith(".")]


def test_export_of_nothing_deletes_nothing(where, tmp):
    out = tmp / "out"
    out.mkdir()
    (out / "3").write_bytes(bytes(100))
    done = quiverfs("export", "--delete", where.given, out, status=1)
    assert "nothing was removed" in done.stderr
    assert os.listdir(out) == ["3"]
    assert "0 vectors exported" in quiverfs("export", where.given, out).stdout


def test_export_to_places_that_are_refused(where, stores, tmp, source):
    quiverfs("import", where.given, source)
    other = stores.create(name="other")
    mnt = stores.mount(other, name="mnt2")
    inner = where.store.path / "inner"
    for folder in (where.store.path, inner, other.path, mnt.point, mnt.vectors,
                   mnt.point / "new", f"{mnt.point}/new/", mnt.vectors / "new"):
        for more in ([], ["--dry-run"]):
            done = quiverfs("export", "--format=dir", where.given, folder, *more, status=1)
            assert "give a name outside of" in done.stderr, done.stderr
    if where.mnt:
        done = quiverfs("export", where.given, f"{where.mnt.point}/new/", status=1)
        assert "lies in the mount at" in done.stderr, done.stderr
    assert not inner.exists()
    assert mnt.ids() == set()
    if where.mnt:
        quiverfs("export", "--format=dir", where.given, where.mnt.vectors, status=1)
    quiverfs("export", where.given, f"{tmp}/none/out/", status=1)
    for words in (["--ids", tmp / "ids.npy"], ["--dtype=f2"], ["--convert"]):
        done = quiverfs("export", where.given, f"{tmp}/out/", *words, status=2)
        assert "are only for files of rows" in done.stderr
    for word in ("--update", "--delete", "--dry-run"):
        done = quiverfs("export", where.given, tmp / "out.npy", word, status=2)
        assert "is only for a folder" in done.stderr
    assert not (tmp / "out").exists()


@pytest.mark.parametrize("which", range(3))
def test_an_export_that_is_killed_is_completed(stores, tmp, rng, which):
    store = stores.create()
    source = many_links(tmp / "many", store.size, 3000, rng)
    quiverfs("import", store.path, source)
    out = tmp / "out"
    started = subprocess.Popen([QUIVERFS, "export", store.path, f"{out}/"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: started.poll() is not None or out.exists() and len(os.listdir(out)) > 100 * which,
          "no file comes")
    started.send_signal(signal.SIGINT if which == 1 else signal.SIGKILL)
    said = started.communicate()[1]
    for path in out.iterdir():
        if not path.name.startswith("."):
            assert path.read_bytes() == (source / path.name).read_bytes()
    if which == 1 and started.returncode != 0:
        assert f"stopped: {len(os.listdir(out))} of 3000 vectors are written" in said
    quiverfs("export", "--update", store.path, f"{out}/")
    assert run("rsync", "-acin", "--exclude=.*", f"{source}/", f"{out}/").stdout.splitlines() in \
        ([], [b".d..t...... ./"], [b".d...p..... ./"], [b".d..tp..... ./"])


def test_a_damaged_vector_is_named_and_the_others_are_written(stores, tmp, source):
    store = stores.create()
    quiverfs("import", store.path, source)
    row = numpy.load(store.path / "ids.npy", mmap_mode="r").tolist().index(50)
    with open(store.path / "vectors.npy", "r+b") as file:
        file.seek(4096 + 100 * row + 3)
        file.write(b"\xff\xee")
    (tmp / "out").mkdir()
    (tmp / "out" / "7000").write_bytes(b"mine")
    done = quiverfs("export", "--delete", store.path, tmp / "out", status=1)
    assert f"{tmp}/out/50: is not written: the vector does not match its checksum" in done.stderr
    assert set(os.listdir(tmp / "out")) == {*os.listdir(source), "7000"} - {"50"}
    # The file that is there still makes it good.
    quiverfs("import", store.path, source)
    quiverfs("export", store.path, tmp / "out")
    assert (tmp / "out" / "50").read_bytes() == (source / "50").read_bytes()
