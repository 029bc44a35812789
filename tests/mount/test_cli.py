"""The command line, from outside: the program, its messages and exit codes."""

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest

from harness import most_memory_bytes, until
from patience import HANG_SECONDS, has_ended

QUIVERFS = os.environ.get("QUIVERFS", "quiverfs")
GLOVE = Path(__file__).resolve().parents[3] / "shared/data/glove-twitter-25d.npy"
ITEM_BYTES = {"f4": 4, "f2": 2, "f8": 8, "i1": 1, "u1": 1, "u8": 8, "i8": 8, "u4": 4, "i4": 4}
ID_MAX = 2**64 - 2**32 - 1
COMMANDS = "create mount import export status flush compact verify check".split()


# ---- .npy files, made and read without the program ------------------------


def npy(data, dtype, shape, version=1, fortran=False, descr=None):
    """The bytes of a .npy file as NumPy lays it out."""
    order = "|" if ITEM_BYTES.get(dtype) == 1 else "<"
    text = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (
        repr(order + dtype) if descr is None else descr, fortran, repr(tuple(shape)))
    prefix = 10 if version == 1 else 12
    text += " " * (-(prefix + len(text) + 1) % 64) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + data


def write_vectors(path, rows, dim, dtype="f4", **options):
    """A file of `rows` random vectors; their bytes."""
    data = os.urandom(rows * dim * ITEM_BYTES[dtype])
    path.write_bytes(npy(data, dtype, (rows, dim), **options))
    return data


def write_ids(path, ids, dtype="u8"):
    code = {"u8": "Q", "i8": "q", "u4": "I", "i4": "i"}[dtype]
    path.write_bytes(npy(struct.pack("<%d%s" % (len(ids), code), *ids), dtype, (len(ids),)))


def read_npy(path):
    """(header dictionary, data) of a file."""
    raw = path.read_bytes()
    assert raw[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", raw[8:10])
    assert (10 + length) % 64 == 0
    assert raw[9 + length:10 + length] == b"\n"
    return eval(raw[10:10 + length]), raw[10 + length:]


def read_ids(path):
    header, data = read_npy(path)
    assert header == {"descr": "<u8", "fortran_order": False, "shape": (len(data) // 8,)}
    return list(struct.unpack("<%dQ" % (len(data) // 8), data))


# ---- running it -----------------------------------------------------------


def run(*words, status=0, **options):
    """Run quiverfs; the exit status must be `status`."""
    done = subprocess.run([QUIVERFS, *map(str, words)], capture_output=True, text=True,
                          timeout=HANG_SECONDS, **options)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    if status == 0:
        assert done.stderr == "", done.stderr
    else:
        assert done.stderr != ""
    return done


def run_as(name, *words, status=0):
    """Run it under another name, as mount(8) and its kin do."""
    done = subprocess.run([name, *map(str, words)], executable=QUIVERFS, capture_output=True,
                          text=True, timeout=HANG_SECONDS)
    assert done.returncode == status, (name, words, done.returncode, done.stdout, done.stderr)
    return done


def fails(*words, says=(), status=1):
    """It must fail with this status and a message with all of `says`."""
    done = run(*words, status=status)
    assert done.stderr.startswith("quiverfs")
    for part in says:
        assert str(part) in done.stderr, done.stderr
    return done


def stats(target):
    return json.loads(run("status", target, "--json").stdout)


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    run("create", path, "--dim", 5)
    return path


@pytest.fixture
def mounted(tmp_path, store):
    """(store, mount point) of a live mount."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse")
    point = tmp_path / "mnt"
    point.mkdir()
    run("mount", store, point)
    yield store, point
    subprocess.run(["umount", point], capture_output=True, check=False)


def unmount(point):
    subprocess.run(["umount", point], check=True)


# ---- help, versions, wrong usage -----------------------------------------


def test_help_for_the_program_and_each_command():
    text = run("--help").stdout
    for command in COMMANDS:
        assert command in text
        own = run(command, "--help").stdout
        assert own.startswith("Usage: quiverfs " + command)


def test_version_of_the_program_of_libfuse_and_of_the_format():
    lines = run("--version").stdout.splitlines()
    assert [line.rsplit(" ", 1)[0] for line in lines] == ["quiverfs", "libfuse", "store format"]


@pytest.mark.parametrize("words", [
    [], ["frobnicate"], ["--frobnicate"], ["create"], ["create", "x"], ["create", "--dim", "5"],
    ["create", "x", "--dim", "0"], ["create", "x", "--dim", "65537"],
    ["create", "x", "--dim", "-1"], ["create", "x", "--dim", "5x"],
    ["create", "x", "--dim", "5", "--dtype", "f3"], ["create", "x", "y", "--dim", "5"],
    ["import"], ["import", "x"], ["import", "x", "y", "--start-id", "-1"],
    ["import", "x", "y", "--start-id", "07"], ["import", "x", "y", "--start-id", str(ID_MAX + 1)],
    ["import", "x", "y", "--ids", "z", "--start-id", "1"], ["export", "x"],
    ["export", "x", "y", "z"], ["export", "x", "y", "--ids", "y"], ["status"],
    ["status", "x", "y"], ["flush"], ["compact"], ["verify"], ["check"], ["check", "x", "y"],
    ["mount"], ["mount", "x"], ["mount", "x", "y", "z"],
])
def test_wrong_usage_is_status_2(words, tmp_path):
    done = run(*words, status=2, cwd=tmp_path)
    assert "quiverfs" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_names_for_mkfs_and_fsck(tmp_path):
    store = tmp_path / "store"
    run_as("mkfs.quiverfs", store, "--dim", 3)
    assert run_as("fsck.quiverfs", "-a", "-C0", store).stderr == ""
    run_as("fsck.quiverfs", status=16)
    run_as("fsck.quiverfs", "--nonsense", store, status=16)
    run_as("fsck.quiverfs", tmp_path / "missing", status=8)
    run_as("mount.quiverfs", store, status=1)
    run_as("mount.quiverfs", tmp_path / "missing", tmp_path, status=32)


def test_output_that_cannot_be_written_is_an_error(store):
    with open("/dev/full", "w") as full:
        done = subprocess.run([QUIVERFS, "status", store], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 1
    assert "No space left" in done.stderr


# ---- create ---------------------------------------------------------------


def test_create_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "file").write_text("mine")
    fails("create", tmp_path, "--dim", 5, says=[tmp_path])
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_create_without_a_parent_folder_says_so(tmp_path):
    fails("create", tmp_path / "no/store", "--dim", 5, says=[tmp_path / "no/store"])


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
def test_create_keeps_dim_and_dtype(tmp_path, dtype):
    run("create", tmp_path / "s", "--dim", 384, "--dtype", dtype)
    found = stats(tmp_path / "s")
    assert (found["dim"], found["dtype"], found["count"]) == (384, dtype, 0)


# ---- what a target can be -------------------------------------------------


@pytest.mark.parametrize("command", ["status", "flush", "compact", "verify", "check"])
def test_a_target_that_is_no_store(tmp_path, command):
    fails(command, tmp_path / "missing", says=[tmp_path / "missing", "no such store or mount"])
    fails(command, tmp_path, says=[tmp_path, "superblock"])
    (tmp_path / "file").write_text("")
    fails(command, tmp_path / "file", says=[tmp_path / "file", "not a folder"])


def test_a_store_in_use_says_by_whom(store):
    with open(store / "LOCK", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("pid 4711\n")  # of one who was killed: the kernel knows who holds it
        lock.flush()
        holder = f"process {os.getpid()},"
        fails("status", store, says=[store, holder])
        fails("check", store, says=[store, holder])
        fails("import", store, "x.npy", says=[store, holder])


def test_a_daemon_that_is_stopping_is_waited_for(store, tmp_path):
    lock = open(store / "LOCK", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write("pid 4711\nmount %s\n" % (tmp_path / "gone"))
    lock.flush()
    threading.Timer(0.5, lock.close).start()
    started = time.monotonic()
    assert stats(store)["count"] == 0
    assert 0.4 < time.monotonic() - started


# ---- import and export ----------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_is_imported_is_exported(tmp_path, dtype, version):
    store, file, out = tmp_path / "s", tmp_path / "in.npy", tmp_path / "out.npy"
    run("create", store, "--dim", 7, "--dtype", dtype)
    data = write_vectors(file, 100, 7, dtype, version=version)
    assert "100" in run("import", store, file).stdout
    run("export", store, out, "--ids", tmp_path / "ids.npy")
    header, back = read_npy(out)
    assert header["shape"] == (100, 7)
    assert header["descr"][1:] == dtype
    assert back == data
    assert read_ids(tmp_path / "ids.npy") == list(range(100))


@pytest.mark.parametrize("dtype", ["u8", "i8", "u4", "i4"])
def test_ids_from_a_file(store, tmp_path, dtype):
    ids = [900, 3, 2**31 - 1, 0]
    data = write_vectors(tmp_path / "v.npy", 4, 5)
    write_ids(tmp_path / "i.npy", ids, dtype)
    run("import", store, tmp_path / "v.npy", "--ids", tmp_path / "i.npy")
    run("export", store, tmp_path / "out.npy", "--ids", tmp_path / "oi.npy")
    assert read_ids(tmp_path / "oi.npy") == sorted(ids)
    order = sorted(range(4), key=lambda row: ids[row])
    assert read_npy(tmp_path / "out.npy")[1] == b"".join(data[r * 20:r * 20 + 20] for r in order)


def test_the_largest_ids_are_imported(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 2, 5)
    write_ids(tmp_path / "i.npy", [ID_MAX, 2**63])
    run("import", store, tmp_path / "v.npy", "--ids", tmp_path / "i.npy")
    run("export", store, tmp_path / "out.npy", "--ids", tmp_path / "oi.npy")
    assert read_ids(tmp_path / "oi.npy") == [2**63, ID_MAX]


def test_ids_count_up_from_the_start_through_all_files(store, tmp_path):
    data = [write_vectors(tmp_path / name, rows, 5)
            for name, rows in (("a.npy", 3), ("b.npy", 0), ("c.npy", 4))]
    done = subprocess.run([QUIVERFS, "import", store, "a.npy", "b.npy", "c.npy", "--start-id", "40"],
                          capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == "quiverfs: b.npy: note: it holds no rows\n"
    done = subprocess.run([QUIVERFS, "export", store, tmp_path / "out.npy"], capture_output=True,
                          text=True, check=True)
    assert "--start-id 40" in done.stderr
    assert read_npy(tmp_path / "out.npy")[1] == b"".join(data)


def test_of_rows_with_one_id_the_last_counts(store, tmp_path):
    data = write_vectors(tmp_path / "v.npy", 3, 5)
    write_ids(tmp_path / "i.npy", [8, 8, 8])
    run("import", store, tmp_path / "v.npy", "--ids", tmp_path / "i.npy")
    run("export", store, tmp_path / "out.npy", "--ids", tmp_path / "oi.npy")
    assert read_npy(tmp_path / "out.npy")[1] == data[40:]
    assert stats(store)["count"] == 1


def test_import_again_replaces(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 50, 5)
    run("import", store, tmp_path / "v.npy")
    data = write_vectors(tmp_path / "v.npy", 50, 5)
    run("import", store, tmp_path / "v.npy")
    run("export", store, tmp_path / "out.npy")
    assert read_npy(tmp_path / "out.npy")[1] == data
    assert stats(store)["count"] == 50


ROWS = b"\0" * 40  # two vectors of dim 5


@pytest.mark.parametrize("content, reason", [
    (npy(ROWS, "f4", (2, 5), fortran=True), "Fortran"),
    (npy(ROWS, "f4", (2, 5), descr="'>f4'"), "big-endian"),
    (npy(ROWS, "f4", (2, 5), descr="'|O'"), "Python objects"),
    (npy(ROWS, "f4", (2, 5), descr="[('a', '<f4')]"), "named fields"),
    (npy(ROWS, "f4", (5, 2)), "dim 2 and dtype f4, but"),
    (npy(ROWS, "f2", (4, 5)), "dtype f2, but"),
    (npy(ROWS, "i4", (2, 5)), "dtype i4, but"),
    (npy(ROWS, "f4", (10,)), "1 dimension"),
    (npy(ROWS, "f4", (2, 5, 1)), "3 dimensions"),
    (npy(ROWS[:-1], "f4", (2, 5)), "cut off"),
    (npy(ROWS + b"x", "f4", (2, 5)), "too long"),
    (npy(b"", "f4", (2**62, 5)), "larger than any file"),
    (b"", "empty"),
    (b"1.0,2.0,3.0\n" * 10, "not a .npy"),
    (npy(ROWS, "f4", (2, 5))[:60], "ends within"),
])
def test_a_file_that_does_not_fit_is_refused_before_anything_is_written(store, tmp_path, content,
                                                                        reason):
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    write_vectors(good, 3, 5)
    bad.write_bytes(content)
    fails("import", store, good, bad, says=[bad, reason])
    assert stats(store)["count"] == 0


def test_a_wrong_dim_names_both(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 2, 6, "f8")
    fails("import", store, tmp_path / "v.npy",
          says=["dim 6 and dtype f8", "dim 5 and dtype f4", store])


@pytest.mark.parametrize("content, reason", [
    (npy(struct.pack("<2Q", 1, 2), "u8", (2,)), "2 IDs for 3 rows"),
    (npy(struct.pack("<3q", 1, -2, 3), "i8", (3,)), "row 1 holds a negative"),
    (npy(struct.pack("<3i", 1, 2, -3), "i4", (3,)), "row 2 holds a negative"),
    (npy(struct.pack("<3Q", ID_MAX + 1, 2, 3), "u8", (3,)), "row 0 holds a number"),
    (npy(struct.pack("<3Q", 1, 2, 2**64 - 1), "u8", (3,)), "row 2 holds a number"),
    (npy(struct.pack("<3f", 1, 2, 3), "f4", (3,)), "type f4"),
    (npy(struct.pack("<3Q", 1, 2, 3), "u8", (3, 1)), "2 dimensions and type u8"),
    (npy(struct.pack(">3Q", 1, 2, 3), "u8", (3,), descr="'>u8'"), "big-endian"),
    (b"1\n2\n3\n", "not a .npy"),
])
def test_ids_that_do_not_fit_are_refused_before_anything_is_written(store, tmp_path, content,
                                                                    reason):
    write_vectors(tmp_path / "v.npy", 3, 5)
    (tmp_path / "i.npy").write_bytes(content)
    fails("import", store, tmp_path / "v.npy", "--ids", tmp_path / "i.npy",
          says=[tmp_path / "i.npy", reason])
    assert stats(store)["count"] == 0


def test_ids_that_would_count_too_far_are_refused(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 3, 5)
    fails("import", store, tmp_path / "v.npy", "--start-id", ID_MAX - 1, says=[ID_MAX])
    assert stats(store)["count"] == 0
    run("import", store, tmp_path / "v.npy", "--start-id", ID_MAX - 2)
    assert stats(store)["count"] == 3


def test_import_of_what_is_no_file(store, tmp_path):
    fails("import", store, tmp_path / "missing.npy", says=[tmp_path / "missing.npy"])
    fails("import", store, tmp_path, says=[tmp_path])
    os.mkfifo(tmp_path / "fifo")
    fails("import", store, tmp_path / "fifo", says=[tmp_path / "fifo"])


def test_export_replaces_in_one_step_and_leaves_nothing_behind(store, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "v.npy").write_text("old")
    run("export", store, folder / "v.npy", "--ids", folder / "i.npy")
    assert sorted(entry.name for entry in folder.iterdir()) == ["i.npy", "v.npy"]
    header, data = read_npy(folder / "v.npy")
    assert (header["shape"], data) == ((0, 5), b"")
    assert read_ids(folder / "i.npy") == []


def test_export_does_not_replace_a_folder(store, tmp_path):
    (tmp_path / "folder").mkdir()
    fails("export", store, tmp_path / "folder", "--format", "npy", says=["folder", "a file"])
    fails("export", store, tmp_path / "no/file.npy", says=[tmp_path / "no/file.npy"])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "store"]


def big_import(tmp_path, rows):
    """A store of dim 25 and a file of zeros for it that takes no room."""
    store, file = tmp_path / "big", tmp_path / "big.npy"
    run("create", store, "--dim", 25)
    header = npy(b"", "f4", (rows, 25))
    with open(file, "wb") as out:
        out.write(header)
        out.truncate(len(header) + rows * 100)
    return store, file


def test_ctrl_c_ends_an_import_after_the_vectors_in_hand(tmp_path):
    store, file = big_import(tmp_path, 5_000_000)
    child = subprocess.Popen([QUIVERFS, "import", store, file], stderr=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    # The first are on their way, which are in then.
    until(lambda: (store / "vectors.npy").stat().st_size > 4096, "nothing is imported")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=HANG_SECONDS)
    assert child.returncode == 1
    assert "of 5000000 rows are imported" in errors
    count = int(errors.split("the first ")[1].split()[0])
    assert 0 < count < 5_000_000
    assert stats(store)["count"] == count
    run("check", store)


def test_memory_does_not_grow_with_the_file(tmp_path):
    if b"__tsan_init" in Path(QUIVERFS).read_bytes():
        pytest.skip("ThreadSanitizer's own memory grows with what is touched")
    store, file = big_import(tmp_path, 2_000_000)  # 200 MB
    # 16 MB of it are the index
    assert most_memory_bytes(QUIVERFS, "import", store, file) < 150 << 20
    shutil.rmtree(store)


def run_on_terminal(*words, columns=0, **variables):
    """What stderr shows when it is a terminal, of so many columns (0: it does not know)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    child = subprocess.Popen([QUIVERFS, *map(str, words)], stderr=theirs,
                             stdout=subprocess.DEVNULL, env={**env, "TERM": "xterm", **variables})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert child.wait(timeout=HANG_SECONDS) == 0
    return shown.decode()


def test_a_bar_on_the_terminal_and_nothing_in_a_pipe(tmp_path):
    store, file = big_import(tmp_path, 500_000)
    shown = run_on_terminal("import", store, file)
    assert "import [" in shown
    assert "vectors/s" in shown
    assert shown.endswith("\r\x1b[K")
    assert run("import", store, file).stderr == ""


@pytest.mark.parametrize("columns, variables, width", [
    (0, {}, 80), (200, {}, 200), (80, {}, 80), (60, {}, 60), (40, {}, 40), (20, {}, 20), (8, {}, 8),
    (1, {}, 1), (0, {"COLUMNS": "33"}, 33), (100, {"COLUMNS": "50"}, 50), (30, {"COLUMNS": "90"}, 30),
    (50, {"COLUMNS": "none"}, 50)])
def test_a_bar_is_not_wider_than_the_terminal(tmp_path, columns, variables, width):
    """What a terminal breaks into two lines is not drawn over: each time one stays."""
    store, file = big_import(tmp_path, 50_000)
    shown = run_on_terminal("import", store, file, columns=columns, **variables)
    drawn = shown.split("\r\x1b[K")
    assert drawn[0] == drawn[-1] == "" and len(drawn) > 2
    assert max(map(len, drawn)) < width
    assert "%" in shown or width < 12
    assert ("[" in "".join(drawn)) == (width >= 60) or 30 < width < 60


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_no_bar_where_a_line_cannot_be_drawn_over(tmp_path, kind):
    store, file = big_import(tmp_path, 50_000)
    assert run_on_terminal("import", store, file, TERM=kind) == ""


# ---- the other commands on a store nobody has open ------------------------


def test_status_for_people_and_for_programs(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 1234, 5)
    run("import", store, tmp_path / "v.npy")
    text = run("status", store).stdout
    assert "1,234" in text
    assert "dim 5" in text
    found = stats(store)
    assert found["count"] == 1234
    assert found["dim"] == 5
    assert all(not isinstance(value, (dict, list)) for value in found.values())


def test_flush_compact_and_verify(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 1000, 5)
    run("import", store, tmp_path / "v.npy")
    run("flush", store)
    assert "1000" in run("verify", store).stdout
    run("compact", store)
    assert run("check", store).stdout.endswith("no faults\n")
    assert stats(store)["count"] == 1000


def damage(store, row):
    with open(store / "vectors.npy", "r+b") as file:
        file.seek(4096 + row * 20 + 3)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_damage_is_never_silent(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 10, 5)
    run("import", store, tmp_path / "v.npy")
    damage(store, 4)
    done = run("check", store, status=1)
    assert "4" in done.stdout
    run_as("fsck.quiverfs", "-n", store, status=4)
    fails("verify", store, says=["1 of"])
    (tmp_path / "out.npy").write_text("old")
    fails("export", store, tmp_path / "out.npy", says=["vector 4"])
    assert (tmp_path / "out.npy").read_text() == "old"
    assert not list(tmp_path.glob(".out*"))


def test_fsck_repairs_and_says_so(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 10, 5)
    run("import", store, tmp_path / "v.npy")
    damage(store, 4)
    run_as("fsck.quiverfs", "-y", store, status=1)
    run_as("fsck.quiverfs", store, status=0)
    run("check", store)
    assert stats(store)["count"] == 9


# ---- through a live mount -------------------------------------------------


def test_import_and_export_through_a_mount(mounted, tmp_path):
    store, point = mounted
    data = write_vectors(tmp_path / "v.npy", 30_000, 5)
    run("import", point, tmp_path / "v.npy")
    assert (point / "vectors/29999").read_bytes() == data[-20:]
    assert (point / "control/count").read_text() == "30000\n"
    run("export", point, tmp_path / "out.npy", "--ids", tmp_path / "ids.npy")
    assert read_npy(tmp_path / "out.npy")[1] == data
    assert read_ids(tmp_path / "ids.npy") == list(range(30_000))
    unmount(point)
    run("export", store, tmp_path / "again.npy")
    assert read_npy(tmp_path / "again.npy")[1] == data
    run("check", store)


def test_the_store_of_a_live_mount_stands_for_the_mount(mounted, tmp_path):
    store, point = mounted
    data = write_vectors(tmp_path / "v.npy", 10, 5)
    assert str(point) in run("import", store, tmp_path / "v.npy").stdout
    assert (point / "vectors/3").read_bytes() == data[60:80]
    run("export", store, tmp_path / "out.npy")
    assert read_npy(tmp_path / "out.npy")[1] == data
    assert stats(store)["count"] == stats(point)["count"] == 10
    for command in ("flush", "compact", "verify"):
        run(command, store)
        run(command, point)


def test_ctrl_c_ends_an_import_through_a_mount(tmp_path):
    store, file = big_import(tmp_path, 2_000_000)
    point = tmp_path / "mnt"
    point.mkdir()
    run("mount", store, point)
    try:
        child = subprocess.Popen([QUIVERFS, "import", point, file], stderr=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        until(lambda: int((point / "control/count").read_text()) >= 200_000, "no vectors")
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=HANG_SECONDS)
        assert child.returncode == 1
        count = int(errors.split("the first ")[1].split()[0])
        assert 0 < count < 2_000_000
        assert stats(point)["count"] == count
        for name in range(0, count // 2):
            os.unlink(point / "vectors" / str(name))
            if name == 5000:
                break
        assert "compact [" in run_on_terminal("compact", point)
        assert "verify [" in run_on_terminal("verify", point)
    finally:
        unmount(point)
    run("check", store)


@pytest.mark.parametrize("name", ["a store", "a,b", "back\\slash", "\u00e4\n#1", "-dash"])
def test_odd_names_of_folders(tmp_path, name):
    folder = tmp_path / name
    (folder / "mnt").mkdir(parents=True)
    write_vectors(tmp_path / "v.npy", 3, 5)
    run("create", folder / "s", "--dim", 5)
    run("mount", folder / "s", folder / "mnt")
    try:
        run("import", folder / "s", tmp_path / "v.npy")
        found = stats(folder / "mnt")
        assert found["count"] == 3
        assert found["store"] == str(folder / "s")
        assert found["mount"] == str(folder / "mnt")
    finally:
        unmount(folder / "mnt")
    assert stats(folder / "s")["count"] == 3


def test_a_mount_refuses_what_a_store_refuses(mounted, tmp_path):
    _, point = mounted
    write_vectors(tmp_path / "v.npy", 2, 6)
    fails("import", point, tmp_path / "v.npy", says=["dim 6", "dim 5", point])
    write_vectors(tmp_path / "v.npy", 3, 5)
    write_ids(tmp_path / "i.npy", [1, 2, 2**64 - 1])
    fails("import", point, tmp_path / "v.npy", "--ids", tmp_path / "i.npy", says=["row 2"])
    assert stats(point)["count"] == 0


def test_status_of_a_mount(mounted):
    _, point = mounted
    found = stats(point)
    assert (found["dim"], found["dtype"], found["count"]) == (5, "f4", 0)
    text = run("status", point).stdout
    assert "transport" in text
    assert "durability" in text


def test_check_of_a_mounted_store_is_refused(mounted):
    store, point = mounted
    fails("check", store, says=["mounted at %s" % point])
    fails("check", point, says=["unmount"])
    run_as("fsck.quiverfs", store, status=8)


def test_a_folder_within_a_mount_is_no_target(mounted):
    _, point = mounted
    fails("status", point / "vectors", says=["within the mount at %s" % point])


def test_a_second_mount_says_who_has_it(mounted, tmp_path):
    store, point = mounted
    other = tmp_path / "other"
    other.mkdir()
    fails("mount", store, other, says=[store, point])


def test_commands_follow_an_unmount_at_once(mounted, tmp_path):
    store, point = mounted
    write_vectors(tmp_path / "v.npy", 20_000, 5)
    run("import", point, tmp_path / "v.npy")
    unmount(point)
    assert stats(store)["count"] == 20_000
    run("mount", store, point)
    unmount(point)
    run("check", store)


def test_damage_found_through_a_mount(store, tmp_path):
    write_vectors(tmp_path / "v.npy", 10, 5)
    run("import", store, tmp_path / "v.npy")
    damage(store, 4)
    point = tmp_path / "mnt"
    point.mkdir()
    run("mount", store, point)
    try:
        fails("verify", point, says=["1"])
        (tmp_path / "out.npy").write_text("old")
        fails("export", point, tmp_path / "out.npy", says=["vector 4"])
        assert (tmp_path / "out.npy").read_text() == "old"
    finally:
        unmount(point)


def test_a_mount_whose_daemon_died_says_what_to_run(mounted):
    store, point = mounted
    pid = int((store / "LOCK").read_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    until(lambda: has_ended(pid), "the daemon does not end")
    fails("status", point, says=["umount %s" % point])
    unmount(point)
    assert stats(store)["count"] == 0


def test_a_store_whose_daemon_died_is_recovered(mounted, tmp_path):
    store, point = mounted
    data = write_vectors(tmp_path / "v.npy", 1000, 5)
    run("import", point, tmp_path / "v.npy")
    os.kill(int((store / "LOCK").read_text().split()[1]), signal.SIGKILL)
    run("export", store, tmp_path / "out.npy")
    assert read_npy(tmp_path / "out.npy")[1] == data
    unmount(point)
    run("check", store)


@pytest.mark.needs_root("acts as several users")
def test_an_ordinary_user_exports_what_he_may_read(store, tmp_path):
    data = write_vectors(tmp_path / "v.npy", 10, 5)
    run("import", store, tmp_path / "v.npy")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        folder = Path(folder)
        folder.chmod(0o777)
        point = folder / "mnt"
        point.mkdir()
        program = shutil.copy(QUIVERFS, folder / "quiverfs")
        run("mount", store, point, "-o", "allow_other")
        try:
            done = subprocess.run([program, "export", point, folder / "out.npy"],
                                  capture_output=True, text=True, **nobody)
            assert (done.returncode, done.stderr) == (0, "")
            assert read_npy(folder / "out.npy")[1] == data
            assert subprocess.run([program, "status", point], capture_output=True,
                                  **nobody).returncode == 0
            done = subprocess.run([program, "import", point, folder / "out.npy"],
                                  capture_output=True, text=True, **nobody)
            assert done.returncode == 1
            assert "this user may not write to its control/put" in done.stderr
        finally:
            unmount(point)


def test_a_read_only_mount(store, tmp_path):
    data = write_vectors(tmp_path / "v.npy", 10, 5)
    run("import", store, tmp_path / "v.npy")
    point = tmp_path / "mnt"
    point.mkdir()
    run("mount", store, point, "-o", "ro")
    try:
        run("export", point, tmp_path / "out.npy")
        assert read_npy(tmp_path / "out.npy")[1] == data
        assert stats(point)["count"] == 10
        assert "read-only" in run("status", point).stdout
        fails("import", point, tmp_path / "v.npy", says=[point])
        fails("compact", point, says=[point])
    finally:
        unmount(point)


def test_mount_options_are_looked_at(store, tmp_path):
    point = tmp_path / "mnt"
    point.mkdir()
    fails("mount", store, point, "-o", "nonsense", says=["nonsense"], status=2)
    run_as("mount.quiverfs", store, point, "-o", "nonsense", status=32)
    run_as("mount.quiverfs", store, point, "-n", "-s", "-o", "rw,noauto,nonsense,nosuid")
    try:
        assert stats(point)["count"] == 0
    finally:
        unmount(point)
    run_as("mount.quiverfs", store, point, "-f", "-o", "rw")  # mount(8) --fake
    assert not os.path.ismount(point)


# ---- real vectors ---------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_real_vectors(tmp_path, live):
    if not GLOVE.exists():
        pytest.skip("no %s" % GLOVE)
    store, point = tmp_path / "store", tmp_path / "mnt"
    run("create", store, "--dim", 25)
    point.mkdir()
    if live:
        run("mount", store, point)
    try:
        run("import", store, GLOVE, "--start-id", 1)
        subprocess.run([QUIVERFS, "export", store, tmp_path / "out.npy", "--ids",
                        tmp_path / "ids.npy"], check=True)
        run("verify", store)
    finally:
        if live:
            unmount(point)
    header, data = read_npy(tmp_path / "out.npy")
    assert header["shape"] == (11925, 25)
    assert data == read_npy(GLOVE)[1]
    assert read_ids(tmp_path / "ids.npy") == list(range(1, 11926))
    run("check", store)
