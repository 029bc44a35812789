"""What a newcomer is told who gives a command something else than it expects: which file, what
was expected, what came, what to do."""

import fcntl
import os
import re
import shutil
import subprocess

import numpy
import pytest

from harness import QUIVERFS, quiverfs, run, until
from patience import wait_for

STORE_OR_MOUNT = ["status", "flush", "compact", "verify", "check"]


def told(*words, status=1, **options):
    """What it says on standard error, with this exit status."""
    done = quiverfs(*words, status=None, **options)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stderr


def unmount(point):
    run(*(["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]), point, status=None)


@pytest.fixture
def work(tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    numpy.save("rows.npy", numpy.arange(50, dtype="f4").reshape(10, 5))
    quiverfs("create", "store", "--dim", 5)
    os.mkdir("empty")
    (tmp / "file").write_text("mine")
    return tmp


@pytest.fixture
def mounted(work):
    os.mkdir("mnt")
    quiverfs("mount", "store", "mnt")
    yield work
    unmount(work / "mnt")


def test_help_names_more_formats_than_one(work):
    text = quiverfs("--help").stdout
    for word in (".npy", ".fvecs", ".hdf5", ".jsonl"):
        assert word in text


# ---- a store or a mount that is not there ---------------------------------------------------


@pytest.mark.parametrize("command", STORE_OR_MOUNT + ["import", "export"])
def test_what_is_not_there_tells_of_create_and_mount(work, command):
    """For a file of rows import makes a store: test_import_new.py."""
    more = {"import": ["empty"], "export": ["out.npy"]}.get(command, [])
    for name in ("gone", "empty"):
        text = told(command, name, *more)
        assert f"{name}: " in text and "'quiverfs create " in text
        assert "'quiverfs mount STORE " in text
    assert not os.path.exists("out.npy") and not os.path.exists("gone")


@pytest.mark.parametrize("words", [
    ["create", "", "--dim", 5], ["mount", "", ""], ["mount", "store", ""], ["mount", "", "empty"],
    ["import", "", "rows.npy"], ["import", "store", ""], ["import", "store", "rows.npy", ""],
    ["export", "", "out.npy"], ["export", "store", ""], *([name, ""] for name in STORE_OR_MOUNT)])
def test_an_empty_name_is_told_to_be_empty(work, words):
    """Of a variable of the shell that is not set."""
    assert "a name is empty ('')" in told(*words, status=2)


def test_an_empty_value_is_told_to_be_empty(work):
    for words in (["import", "store", "rows.npy"], ["export", "store", "out.npy"]):
        for option in ("ids", "keys"):
            assert f"--{option}: the value is empty" in told(*words, f"--{option}", "", status=2)
    assert not os.path.exists("out.npy")


@pytest.mark.needs_root("acts as several users")
def test_a_store_of_another_user_says_whose_it_is(work):
    os.chmod(work, 0o755)
    shutil.copy(QUIVERFS, "quiverfs")
    for command in ("status", "check"):
        done = subprocess.run([work / "quiverfs", command, work / "store"], capture_output=True,
                              text=True, check=False, user=65534, group=65534, extra_groups=[])
        assert done.returncode == 1
        assert "Permission denied" in done.stderr and "user number 0, and you are 65534" in done.stderr
        assert "allow_other" in done.stderr


# ---- create ---------------------------------------------------------------------------------


def test_create_where_there_is_a_store_or_a_mount(mounted):
    assert "there is a store here already" in told("create", "store", "--dim", 5)
    assert f"the store {mounted}/store is mounted here" in told("create", "mnt", "--dim", 5)
    for name in ("mnt/vectors", "mnt/vectors/new", "mnt/new"):
        text = told("create", name, "--dim", 5)
        assert f"{name}: lies within the mount at {mounted}/mnt" in text
    assert os.listdir("mnt/vectors") == []


def test_create_says_which_folder_is_missing(work):
    assert "mkdir -p" in told("create", "a/b/store", "--dim", 5)
    assert "not a folder" in told("create", "file", "--dim", 5)
    assert "not a folder" in told("create", "file/store", "--dim", 5)
    os.mkdir("full")
    os.mkdir("full/folder")
    assert "it holds folder" in told("create", "full", "--dim", 5)


@pytest.mark.parametrize("name, dtype", [
    ("float32", "f4"), ("float16", "f2"), ("float64", "f8"), ("int8", "i1"), ("uint8", "u1"),
    ("bfloat16", "bf2"), ("bits", "b1")])
def test_a_type_has_numpys_name_too(work, name, dtype):
    made = quiverfs("create", "other", "--dim", 8, "--dtype", name)
    assert f"dtype {dtype}," in made.stdout
    if dtype not in ("bf2", "b1"):
        quiverfs("export", "other", "other.npy", "--dtype", name, status=None)
        assert numpy.load("other.npy").dtype == numpy.dtype(name)


def test_a_type_or_metric_that_there_is_not_names_those_that_there_are(work):
    for words in (["create", "other", "--dim", 5], ["export", "store", "other.npy"]):
        text = told(*words, "--dtype", "int32", status=2)
        assert "f4 (float32)" in text and "b1 (bits" in text and "'int32'" in text
    text = told("create", "other", "--dim", 5, "--metric", "euclidean", status=2)
    assert "l2 (Euclidean)" in text


# ---- mount ----------------------------------------------------------------------------------


def test_mounting_twice_says_so(mounted):
    os.mkdir("other")
    assert f"already mounted here: {mounted}/mnt" in told("mount", "store", "mnt")
    text = told("mount", "store", "other")
    assert f"mounted at {mounted}/mnt" in text
    quiverfs("create", "second", "--dim", 5)
    text = told("mount", "second", "mnt")
    assert f"the store {mounted}/store is mounted here already; unmount it first" in text
    done = run("mount.quiverfs", "store", "mnt", executable=shutil.which(QUIVERFS), status=32)
    assert b"already mounted here" in done.stderr


def test_a_store_is_named_once(mounted):
    """Also one with a character in its name that is not shown."""
    os.mkdir("other")
    assert told("mount", "store", "other").count(f"{mounted}/store:") == 1
    os.mkdir("\x1b[31m")
    assert told("mount", "\x1b[31m", "other").count(f"{mounted}/?[31m:") == 1


def test_a_mount_is_no_store_to_mount(mounted):
    os.mkdir("other")
    text = told("mount", "mnt", "other")
    assert f"mnt: a mount of the store {mounted}/store" in text and "give the folder of a store first" in text
    assert f"lies within the mount at {mounted}/mnt" in told("mount", "mnt/vectors", "other")
    assert "a mount of the store" in told("mount", "mnt", "store")
    text = told("mount", "mnt@v1", "other")
    assert f"mnt is a mount, of the store {mounted}/store; to mount its snapshot give {mounted}/store@v1" in text
    assert not os.path.ismount("other")


# ---- files of vectors -----------------------------------------------------------------------


def test_import_says_of_what_is_no_file_that_it_is_none(work):
    for name in ("gone", "gone.npy", "gone.parquet"):
        text = told("import", "store", name)
        assert text == f"quiverfs: {name}: No such file or directory\n"
    text = told("import", "store", "empty", "--format", "npy", status=2)
    assert "'empty' is a folder: each file in it is one vector" in text
    assert "--format" in told("import", "store", "file")
    assert "standard input" in told("import", "store", "-")
    open("none.npy", "w").close()
    assert "the file is empty" in told("import", "store", "none.npy")


def test_export_to_a_folder_tells_the_order(work):
    text = told("export", "out.npy", "store", status=2)
    assert "'store' is a folder and 'out.npy' is not; give STORE or MNT first" in text
    assert "lies in the folder of a store" in told("export", "store", "store")


def test_a_name_of_an_array_is_for_formats_that_have_some(work):
    assert "--dataset" in told("import", "store", "rows.npy", "--dataset", "train")
    assert "--dataset" in told("export", "store", "o.npy", "--dataset", "train", status=2)


def test_a_file_of_words_is_not_replaced(work):
    (work / "v.txt").write_text("one 1 2 3 4 5\ntwo 1 2 3 4 6\n")
    (work / "words").write_text("mine\n")
    text = told("import", "store", "v.txt", "--words", "words")
    assert "words: --keys: the file exists already" in text
    os.symlink("words", "link")
    assert "exists already" in told("import", "store", "v.txt", "--words", "link")
    assert (work / "words").read_text() == "mine\n"
    quiverfs("import", "store", "v.txt", "--words", "new")
    assert (work / "new").read_text() == "one\ntwo\n"


# ---- a disk that is too small ---------------------------------------------------------------


@pytest.mark.needs_root("mounts and remounts")
@pytest.mark.parametrize("live", [False, True])
def test_a_disk_that_is_too_small_is_told_before(work, live):
    os.mkdir("small")
    os.mkdir("mnt")
    numpy.save("many.npy", numpy.zeros((40_000, 25), "f4"))
    numpy.save("some.npy", numpy.zeros((5_000, 25), "f4"))
    run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", "small")
    try:
        quiverfs("create", "small/store", "--dim", 25)
        if live:
            quiverfs("mount", "small/store", "mnt")
        text = told("import", "small/store", "many.npy")
        assert "40,000 vectors take 6.3 MiB more" in text and "nothing was written" in text
        assert '"count": 0,' in quiverfs("status", "small/store", "--json").stdout
        quiverfs("import", "small/store", "some.npy")
        # The same once more takes no more.
        quiverfs("import", "small/store", "some.npy")
        run("dd", "if=/dev/zero", "of=small/fill", "bs=4k", status=1)
        text = told("export", "small/store", "small/out.npy")
        assert "it will have 488.3 KiB, and its disk has 0 B free" in text
    finally:
        if live:
            unmount("mnt")
        until(lambda: run("umount", "small", status=None).returncode == 0, "the daemon stays")


# ---- waiting --------------------------------------------------------------------------------


def told_while_waiting(work, *words):
    """The store is in use like by a daemon that is ending, until something is said about that."""
    with open("store/LOCK", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"pid 4711\nmount {work}/gone\n")
        lock.flush()
        child = subprocess.Popen([QUIVERFS, *words], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        text = child.stderr.readline()
    assert wait_for(child, 60) == 0
    assert f"process {os.getpid()}" in text and f"mounted at {work}/gone" in text
    return text


def test_who_is_waited_for_is_told(work):
    told_to_wait = told_while_waiting(work, "status", "store")
    assert re.search(r"waiting for it, [1-9] seconds at most", told_to_wait), told_to_wait


def test_a_mount_tells_whom_it_waits_for(work):
    os.mkdir("mnt")
    try:
        assert "waiting until it ends, 9 seconds at most" in told_while_waiting(
            work, "mount", "store", "mnt")
    finally:
        unmount("mnt")


def test_damage_that_verify_finds_is_told_once(work):
    numpy.save("rows.npy", numpy.ones((4, 5), "<f4"))
    quiverfs("import", "store", "rows.npy")
    with open("store/vectors.npy", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40)
    errors = [line for line in told("verify", "store").splitlines() if ": note: " not in line]
    assert len(errors) == 1 and "2 of 4 vectors do not match their checksum" in errors[0]
