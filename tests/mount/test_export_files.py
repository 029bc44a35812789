"""What becomes of the files that a command is told to write: links, modes and owners, what is no file,
and what must not be written at all. Nothing here is done to a name in /dev as root: a program that
replaces it would take it away from the machine."""

import errno
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess

import numpy
import pytest

from harness import QUIVERFS, quiverfs, run, shell, until
from ordinary_user import NOBODY, ordinary_user_words

LINES = "7,1,2,3,4\n9,5,6,7,8\n"
OLD = "old\n" * 100  # longer than what replaces it


def make_store(path):
    """A store of two vectors, whose IDs have a gap."""
    quiverfs("create", path, "--dim", 4)
    quiverfs("import", path, "-", "--format", "csv", stdin=LINES.encode())
    return path


@pytest.fixture
def store(tmp):
    return make_store(tmp / "store")


@pytest.fixture
def user(tmp, store):
    """Words to run a program as an ordinary user, who can read the store `tmp/theirs`."""
    if os.geteuid() != 0:
        store.rename(tmp / "theirs")
        return []
    run("cp", "-a", store, tmp / "theirs")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", tmp / "theirs")
    return ordinary_user_words


def refused(*words, says, status=1, **options):
    """The command refuses, which it says once."""
    done = run(QUIVERFS, *words, status=status, **options)
    text = done.stderr.decode()
    assert says in text, text
    assert status == 2 or text.count("quiverfs: ") == 1, text
    return done


def whole(store):
    assert "2 vectors checked, no faults" in quiverfs("check", store).stdout
    assert quiverfs("export", store, "-", "--format", "csv").stdout == LINES


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def caught(process):
    """Whether SIGTERM is a request to it by now."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        mask = int(re.search(r"SigCgt:\t(\w+)", file.read()).group(1), 16)
    return mask >> (signal.SIGTERM - 1) & 1


def open_read(fifo, process):
    """A FIFO to write to, once the process reads it."""
    opened = []

    def is_read():
        assert process.poll() is None, process.stderr.read()
        try:
            opened.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            assert error.errno == errno.ENXIO
        return opened

    until(is_read, f"nobody reads {fifo}")
    return os.fdopen(opened[0], "wb")


# ---- what is no file ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-", "link", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1",
                                  "/proc/thread-self/fd/1"])
def test_standard_output_by_any_name(tmp, store, name):
    """It is written through, so that > fills a file and >> adds to one, and nothing else is
    written there."""
    if name == "/dev/stdout" and os.geteuid() == 0:
        pytest.skip("nothing is done to /dev as root; the link is the same")
    (tmp / "link").symlink_to("/proc/self/fd/1")
    export = f"{QUIVERFS} export {store} {name} --format csv"
    shell(f"{export} > out; {export} >> out", cwd=tmp)
    assert (tmp / "out").read_text() == LINES * 2
    shell(f"{{ echo first; {export}; echo last; }} > out", cwd=tmp)
    assert (tmp / "out").read_text() == "first\n" + LINES + "last\n"
    assert shell(f"{export} | cat", cwd=tmp).stdout.decode() == LINES
    assert (tmp / "link").is_symlink()
    assert not set(os.listdir(tmp)) - {"link", "out", "store"}


def test_descriptors(tmp, store):
    """Those that the program was started with are written, and no others."""
    export = f"{QUIVERFS} export {store} /dev/fd/3 --format csv"
    shell(f"{export} 3> out", cwd=tmp)
    assert (tmp / "out").read_text() == LINES
    assert b"not open for writing" in shell(f"{export} 3< out", cwd=tmp, status=1).stderr
    # what it has open itself, the files of the store among it, is none of them
    for number in range(3, 16):
        shell(f"{QUIVERFS} export {store} /dev/fd/{number} --format csv", cwd=tmp, status=1)
    assert (tmp / "out").read_text() == LINES
    whole(store)


def test_standard_output_that_is_closed(tmp, store):
    """What is opened first does not get its number, and so what is printed."""
    (tmp / "more.csv").write_text("3,1,1,1,1\n")
    for words in (f"export {store} out.csv", f"import {store} more.csv",
                  f"export {store} - --format csv"):
        done = shell(f"{QUIVERFS} {words} >&- <&-", cwd=tmp, status=1)
        assert b"standard output: " in done.stderr
        assert b"Bad file descriptor" in done.stderr or b"not open for writing" in done.stderr
        shell(f"{QUIVERFS} {words} >&- <&- 2>&-", cwd=tmp, status=1)
    assert (tmp / "out.csv").read_text() == LINES
    assert "3 vectors checked, no faults" in quiverfs("check", store).stdout


def test_through_a_fifo_and_a_device(tmp, store):
    os.mkfifo(tmp / "fifo")
    (tmp / "null").symlink_to("/dev/null")
    with subprocess.Popen(["timeout", "20", "cat", tmp / "fifo"], stdout=subprocess.PIPE) as reader:
        quiverfs("export", store, tmp / "fifo", "--format", "csv")
        assert reader.communicate()[0].decode() == LINES
    assert stat.S_ISFIFO(os.stat(tmp / "fifo").st_mode)
    quiverfs("export", store, tmp / "null", "--format", "npy", "--ids", tmp / "ids.txt")
    assert (tmp / "null").is_symlink() and (tmp / "ids.txt").read_text() == "7\n9\n"
    refused("export", store, tmp / "null", "--format", "hdf5", says="only to a file")
    # nobody reads it
    with subprocess.Popen([QUIVERFS, "export", store, tmp / "fifo", "--format", "csv"],
                          stderr=subprocess.PIPE) as alone:
        until(lambda: caught(alone), "the export does not begin")
        alone.send_signal(signal.SIGTERM)
        assert b"nobody has opened it" in alone.communicate()[1]
    assert alone.returncode == 1


def test_a_reader_that_goes_away(tmp, store):
    """What was begun beside the pipe does not stay behind."""
    vectors = numpy.zeros((50000, 4), "<f4")
    numpy.save(tmp / "more.npy", vectors)
    quiverfs("import", store, tmp / "more.npy", "--start-id", 100)
    os.remove(tmp / "more.npy")
    done = shell(f"{QUIVERFS} export {store} - --format csv --ids ids.npy | true; "
                 "exit ${PIPESTATUS[0]}", cwd=tmp, status=1)
    assert b"Broken pipe" in done.stderr
    assert os.listdir(tmp) == ["store"]


def test_what_cannot_be_written(tmp, store):
    (tmp / "folder").mkdir()
    (tmp / "a").symlink_to("b")
    (tmp / "b").symlink_to("a")
    (tmp / "to_folder").symlink_to("folder")
    (tmp / "program").symlink_to("/proc/self/exe")
    before = sorted(os.listdir(tmp))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp / "socket"))
        for name, says in (("folder", "folder"), ("to_folder", "folder"), ("folder/", "folder"),
                           ("new/", "folder"), (".", "folder"), ("socket", "socket"),
                           ("a", "levels of symbolic links"), ("program", "own name"),
                           ("none/x", "folder cannot be opened"), ("x" * 256, "too long")):
            refused("export", store, name, "--format", "csv", says=says, cwd=tmp)
    (tmp / "socket").unlink()
    assert sorted(os.listdir(tmp)) == before


# ---- links, modes and owners -------------------------------------------------------------


def test_links_are_followed_and_stay(tmp, store):
    (tmp / "d").mkdir()
    (tmp / "d/real.csv").write_text(OLD)
    (tmp / "d/middle").symlink_to("real.csv")
    (tmp / "latest.csv").symlink_to("d/middle")
    (tmp / "whole.csv").symlink_to(tmp / "d/middle")
    (tmp / "folder").symlink_to("d")
    (tmp / "dangling.csv").symlink_to("d/new.csv")
    for name, real in (("latest.csv", "real.csv"), ("whole.csv", "real.csv"),
                       ("folder/middle", "real.csv"), ("dangling.csv", "new.csv")):
        quiverfs("export", store, name, "--format", "csv", cwd=tmp)
        assert (tmp / "d" / real).read_text() == LINES and not (tmp / "d" / real).is_symlink()
        (tmp / "d" / real).write_text(OLD)
        assert (tmp / name).is_symlink()
    assert sorted(os.listdir(tmp / "d")) == ["middle", "new.csv", "real.csv"]


@pytest.mark.needs_root("gives files to others")
@pytest.mark.parametrize("mode, owner", [(0o1777, 0), (0o777, 0), (0o755, NOBODY)])
def test_a_link_of_somebody_else(tmp, store, mode, owner):
    """Which may lead anywhere, in a folder of everybody's and in his own."""
    (tmp / "all").mkdir()
    (tmp / "all").chmod(mode)
    os.chown(tmp / "all", owner, owner)
    (tmp / "mine.csv").write_text(OLD)
    (tmp / "all/out.csv").symlink_to(tmp / "mine.csv")
    os.lchown(tmp / "all/out.csv", NOBODY, NOBODY)
    refused("export", store, tmp / "all/out.csv", says="another user's link")
    (tmp / "mine.csv").unlink()
    refused("export", store, tmp / "all/out.csv", says="another user's link")
    assert not (tmp / "mine.csv").exists()
    os.lchown(tmp / "all/out.csv", 0, 0)
    quiverfs("export", store, tmp / "all/out.csv")
    assert (tmp / "mine.csv").read_text() == LINES


def test_modes_are_kept(tmp, store):
    out = tmp / "out.csv"
    for wanted in (0o600, 0o640, 0o666, 0o755, 0o200):
        out.touch()
        out.chmod(wanted)
        inode = os.stat(out).st_ino
        shell(f"umask 077; {QUIVERFS} export {store} {out}")
        assert mode(out) == wanted and os.stat(out).st_ino != inode
        out.chmod(0o644)
        assert out.read_text() == LINES
        out.chmod(0o6755)  # who writes to a file takes these from it
        quiverfs("export", store, out)
        assert mode(out) == 0o755
        out.unlink()
    for mask in (0o000, 0o027, 0o077):
        shell(f"umask {mask:o}; {QUIVERFS} export {store} new.csv --ids new.txt", cwd=tmp)
        assert mode(tmp / "new.csv") == mode(tmp / "new.txt") == 0o666 & ~mask
        (tmp / "new.csv").unlink()
        (tmp / "new.txt").unlink()


def acl(uid, permissions):
    """One that lets another user in, as the kernel has it in an attribute."""
    none = 0xFFFFFFFF  # user, another user, group, mask, others
    entries = [(1, 6, none), (2, permissions, uid), (4, 4, none), (16, 7, none), (32, 0, none)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_attributes_are_kept(tmp, store):
    out, access = tmp / "out.csv", "system.posix_acl_access"
    out.write_text(OLD)
    try:
        os.setxattr(out, "user.note", b"kept")
        os.setxattr(out, access, acl(1234, 6))
        os.setxattr(tmp, "system.posix_acl_default", acl(4321, 7))
    except OSError:
        pytest.skip("no attributes, or no ACLs here")
    quiverfs("export", store, out)
    assert out.read_text() == LINES and os.getxattr(out, "user.note") == b"kept"
    assert os.getxattr(out, access) == acl(1234, 6)
    # a new file has those that the folder gives to a new file, and not what umask says
    shell(f"umask 077; touch like; {QUIVERFS} export {store} new.csv", cwd=tmp)
    assert os.getxattr(tmp / "like", access) == os.getxattr(tmp / "new.csv", access)
    # one without an ACL does not get the folder's
    os.removexattr(out, access)
    out.chmod(0o640)
    quiverfs("export", store, out)
    assert access not in os.listxattr(out) and mode(out) == 0o640


def test_other_names_of_a_file(tmp, store):
    """Hard links, of which a backup may be made, keep what was there."""
    (tmp / "out.csv").write_text(OLD)
    os.link(tmp / "out.csv", tmp / "backup.csv")
    quiverfs("export", store, tmp / "out.csv")
    assert (tmp / "out.csv").read_text() == LINES and (tmp / "backup.csv").read_text() == OLD


@pytest.mark.needs_root("gives files to others")
def test_the_owner_is_kept(tmp, store):
    out = tmp / "out.csv"
    out.write_text(OLD)
    os.chown(out, NOBODY, 1234)
    out.chmod(0o640)
    quiverfs("export", store, out)
    status = os.stat(out)
    assert (status.st_uid, status.st_gid, mode(out)) == (NOBODY, 1234, 0o640)
    assert out.read_text() == LINES


@pytest.mark.needs_root("gives files to others")
def test_a_file_of_somebody_else(tmp, user):
    """Who may write to it, but cannot give a new one to its owner, writes to it."""
    folder = tmp / "folder"
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("out.csv", "out.hdf5"):
        out = folder / name
        out.write_text(OLD)
        out.chmod(0o666)
        inode = os.stat(out).st_ino
        done = run(*user, QUIVERFS, "export", tmp / "theirs", out)
        assert b"note: its owner, mode or attributes could not be kept" in done.stderr
        status = os.stat(out)
        assert (status.st_uid, status.st_ino, mode(out)) == (0, inode, 0o666)
    assert (folder / "out.csv").read_text() == LINES
    assert sorted(os.listdir(folder)) == ["out.csv", "out.hdf5"]
    (folder / "out.csv").write_text(OLD)
    (folder / "out.csv").chmod(0o644)
    done = run(*user, QUIVERFS, "export", tmp / "theirs", folder / "out.csv", status=1)
    assert b"this user may not write it" in done.stderr
    assert (folder / "out.csv").read_text() == OLD


def test_a_folder_that_takes_no_file(tmp, user):
    folder = tmp / "folder"
    folder.mkdir()
    out = folder / "out.csv"
    out.write_text(OLD)
    if user:
        os.chown(out, NOBODY, NOBODY)
    folder.chmod(0o555)
    inode = os.stat(out).st_ino
    done = run(*user, QUIVERFS, "export", tmp / "theirs", out)
    assert b"note: its folder takes no new file, so it is written in place" in done.stderr
    assert out.read_text() == LINES and os.stat(out).st_ino == inode
    done = run(*user, QUIVERFS, "export", tmp / "theirs", folder / "new.csv", status=1)
    assert b"no file can be made in its folder" in done.stderr
    # what is refused leaves it as it is, and what fails in the middle is told
    out.write_text(OLD)
    run(*user, QUIVERFS, "export", tmp / "theirs", out, "--ids", folder / "new.npy", status=1)
    run(*user, QUIVERFS, "export", tmp / "theirs", out, "--format", "glove", "--keys",
        tmp / "none", status=1)
    assert out.read_text() == OLD
    (tmp / "keys.txt").write_text("first\n")
    done = run(*user, QUIVERFS, "export", tmp / "theirs", out, "--format", "glove", "--keys",
               tmp / "keys.txt", "--start-id", 7, status=1)
    assert b"written in place and is not complete" in done.stderr
    folder.chmod(0o755)


@pytest.mark.needs_root("mounts and remounts")
def test_a_file_that_is_mounted(tmp, store):
    """As those are that a container is given: nothing can be renamed to its name."""
    (tmp / "host.csv").write_text(OLD)
    (tmp / "out.csv").touch()
    done = run(
        "unshare", "-m", "bash", "-c",
        f"mount --bind host.csv out.csv && {QUIVERFS} export {store} out.csv", cwd=tmp)
    assert b"it is a mount point, so it is written in place" in done.stderr
    assert (tmp / "host.csv").read_text() == LINES


def test_a_file_that_may_only_be_read(tmp, user):
    out = tmp / "out.csv"
    out.write_text(OLD)
    out.chmod(0o444)
    if user:
        os.chown(out, NOBODY, NOBODY)
    done = run(*user, QUIVERFS, "export", tmp / "theirs", out, status=1)
    assert b"this user may not write it" in done.stderr and out.read_text() == OLD


# ---- what must not be written ------------------------------------------------------------


def in_a_store(tmp, store):
    """Names of what is in the store, or would be."""
    (tmp / "to_store").symlink_to("store")
    (tmp / "to_file.npy").symlink_to("store/vectors.npy")
    (tmp / "to_new.npy").symlink_to("store/new.npy")
    os.link(store / "ids.npy", tmp / "hard.npy")
    return ["store/vectors.npy", "store/new.npy", "to_store/meta.npy", "to_file.npy", "to_new.npy",
            "hard.npy", "store/wal/new.npy", "./store/../store/superblock", "store/wal/../new.npy"]


def test_nothing_is_written_into_a_store(tmp, store):
    other = make_store(tmp / "other")
    names = in_a_store(tmp, store)
    (tmp / "keys.txt").write_text("a\nb\n")
    for name in names:
        for words in ([name, "--format", "npy"], ["out.npy", "--ids", name]):
            if words[-1].endswith((".npy", "npy")):
                refused("export", store, *words, says="store", cwd=tmp)
    for name in (name for name in names if name != "hard.npy"):
        refused("export", other, name, "--format", "npy", says="folder of a store", cwd=tmp)
    refused("export", ".", "vectors.npy", says="part of the store", cwd=store)
    refused("export", "..", "../vectors.npy", says="part of the store", cwd=store / "wal")
    (tmp / "g.txt").write_text("a 1 2 3 4\n")
    refused("import", other, "g.txt", "--format", "glove", "--keys", "store/keys.txt",
            says="folder of a store", cwd=tmp)
    # of one that has lost a file, that is to be found again
    os.rename(other / "vectors.npy", tmp / "lost.npy")
    refused("export", store, "other/vectors.npy", says="folder of a store", cwd=tmp)
    os.rename(tmp / "lost.npy", other / "vectors.npy")
    # what the shell has opened there
    done = shell(f"{QUIVERFS} export {other} - --format npy >> store/ids.npy", cwd=tmp, status=1)
    assert b"folder of a store" in done.stderr
    whole(store)
    whole(other)
    assert not (tmp / "out.npy").exists()


def test_nothing_is_written_into_a_mount(tmp, stores):
    mnt = stores.mount()
    mnt.put(7, bytes(mnt.size))
    names = in_a_store(tmp, mnt.store.path)
    before = {folder: sorted(os.listdir(folder)) for folder in (mnt.store.path, mnt.vectors)}
    for source in (mnt.point, mnt.store.path):
        for name in (name for name in names if not name.endswith("superblock")):
            refused("export", source, name, says="store", cwd=tmp)
        for name in (mnt.vectors / "new.npy", mnt.point / "new.npy", mnt.control_folder / "new.npy",
                     mnt.vectors / "8", mnt.point / "vectors.npy"):
            refused("export", source, name, "--format", "npy", says="lies in the mount")
    for folder, names in before.items():
        assert sorted(os.listdir(folder)) == names


@pytest.mark.needs_root("mounts and remounts")
def test_a_store_that_is_mounted_elsewhere(tmp, store):
    """By another path, and without what is around it."""
    for name in ("all", "wal"):
        (tmp / name).mkdir()
    (tmp / "one.npy").touch()
    script = f"""
        mount --bind store all && mount --bind store/wal wal &&
        mount --bind store/meta.npy one.npy
        for name in all/vectors.npy all/new.npy all/wal/new.npy wal/new.npy one.npy; do
            {QUIVERFS} export store $name && echo $name is written
        done; true"""
    done = run("unshare", "-m", "bash", "-c", script, cwd=tmp)
    assert done.stdout == b"" and done.stderr.count(b"store") >= 5, done
    assert not (store / "new.npy").exists()
    whole(store)


def test_a_store_is_not_imported_into_itself(tmp, stores):
    """What is written goes into rows that are free, which may not have been read yet."""
    mnt = stores.mount()
    mnt.put(7, bytes(mnt.size))
    store = mnt.store.path
    names = [mnt.point / "matrix.npy", store / "vectors.npy"]
    for name in names:
        refused("import", mnt.point, name, says="export the store first")
        done = shell(f"{QUIVERFS} import {mnt.point} - --format npy < {name}", status=1)
        assert b"standard input: this file is a part of the store" in done.stderr
    numpy.save(tmp / "one.npy", numpy.zeros((1, 25), "<f4"))
    refused("import", mnt.point, tmp / "one.npy", "--ids", mnt.point / "ids.npy",
            says="export the store first")
    mnt.unmount()
    (tmp / "link.npy").symlink_to(store / "vectors.npy")
    for name in (names[1], tmp / "link.npy"):
        refused("import", store, name, "--ids", store / "ids.npy", says="export the store first")
    other = stores.create(name="other")
    quiverfs("import", other.path, names[1], "--ids", store / "ids.npy")


def same_names(tmp):
    """Two names each that are one file, there already or not."""
    (tmp / "d").mkdir()
    (tmp / "link").symlink_to("d")
    (tmp / "old.npy").write_text(OLD)
    os.link(tmp / "old.npy", tmp / "hard.npy")
    (tmp / "to_old.npy").symlink_to("old.npy")
    (tmp / "to_new.npy").symlink_to("new.npy")
    return [("old.npy", "old.npy"), ("old.npy", "./old.npy"), ("old.npy", "hard.npy"),
            ("old.npy", "to_old.npy"), ("old.npy", str(tmp / "old.npy")),
            ("new.npy", "new.npy"), ("new.npy", "./d/../new.npy"), ("new.npy", "to_new.npy"),
            ("d/new.npy", "link/new.npy")]


def test_two_outputs_are_two_files(tmp, store):
    for one, other in same_names(tmp):
        refused("export", store, one, "--ids", other, says="give two different names", cwd=tmp)
    (tmp / "out.txt").symlink_to("/proc/self/fd/1")
    done = shell(f"{QUIVERFS} export {store} - --format npy --ids out.txt | cat; "
                 "exit ${PIPESTATUS[0]}", cwd=tmp, status=1)
    assert b"give two different names" in done.stderr and done.stdout == b""
    assert (tmp / "old.npy").read_text() == OLD and not (tmp / "new.npy").exists()


def test_what_is_read_is_not_written(tmp, store):
    glove = "the 1 2 3 4\nof 5 6 7 8\n"
    (tmp / "g.txt").write_text(glove)
    (tmp / "dash").symlink_to("g.txt")
    os.link(tmp / "g.txt", tmp / "hard")
    for name in ("g.txt", "./g.txt", "dash", "hard"):
        refused("import", store, "g.txt", "--format", "glove", "--keys", name, "--add-keys",
                says="which is the input", cwd=tmp)
        refused("import", store, "g.txt", "--format", "glove", "--keys", name,
                says="which is the input", cwd=tmp)
        refused("export", store, name, "--format", "glove", "--keys", "g.txt", "--start-id", 7,
                says="which is the input", cwd=tmp)
    done = shell(f"{QUIVERFS} import {store} - --format glove --keys hard --add-keys < g.txt", cwd=tmp,
                 status=1)
    assert b"standard input" in done.stderr
    done = shell(f"{QUIVERFS} export {store} - --format glove --keys g.txt >> g.txt", cwd=tmp,
                 status=1)
    assert b"which is the input" in done.stderr
    assert (tmp / "g.txt").read_text() == glove
    # keys may go into a pipe
    done = shell(f"{QUIVERFS} import {store} g.txt --format glove --keys /dev/fd/1 | cat", cwd=tmp)
    assert done.stdout == b"the\nof\n"


# ---- IDs ----------------------------------------------------------------------------------


def test_ids_by_the_ending_of_the_name(tmp, store):
    (tmp / "out.npy").write_text(OLD)
    for name in ("ids", "ids.csv", "ids.npy.gz", "-", "/dev/fd/1", ".txt", "txt"):
        refused("export", store, "out.npy", "--ids", name, says="expected a name that ends in .npy or .txt",
                status=2, cwd=tmp)
    assert (tmp / "out.npy").read_text() == OLD
    quiverfs("export", store, "out.npy", "--ids", "ids.txt", cwd=tmp)
    assert (tmp / "ids.txt").read_text() == "7\n9\n"
    quiverfs("export", store, "out.npy", "--ids", "ids.NPY", cwd=tmp)
    with open(tmp / "ids.NPY", "rb") as file:
        ids = numpy.load(file)
    assert ids.dtype == "<u8" and ids.tolist() == [7, 9]
    assert numpy.load(tmp / "out.npy").tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


# ---- failures leave what was there ---------------------------------------------------------


def test_a_disk_that_is_full(tmp, store):
    """Or a limit to the size of files, which an ordinary user has."""
    numpy.save(tmp / "more.npy", numpy.ones((5000, 4), "<f4"))
    quiverfs("import", store, tmp / "more.npy", "--start-id", 100)
    (tmp / "out.csv").write_text(OLD)
    before = sorted(os.listdir(tmp))
    done = shell(f"ulimit -f 20; {QUIVERFS} export {store} out.csv --ids ids.npy", cwd=tmp, status=1)
    assert b"writing failed" in done.stderr
    assert (tmp / "out.csv").read_text() == OLD and sorted(os.listdir(tmp)) == before


def test_a_disk_of_its_own_that_is_full(disks, tmp, store):
    numpy.save(tmp / "more.npy", numpy.ones((5000, 4), "<f4"))
    quiverfs("import", store, tmp / "more.npy", "--start-id", 100)
    disk = disks.memory(options="size=64k")
    (disk.point / "out.csv").write_text(OLD)
    (tmp / "out.csv").symlink_to(disk.point / "out.csv")
    done = quiverfs("export", store, tmp / "out.csv", status=1)
    assert "No space left on device" in done.stderr
    assert (disk.point / "out.csv").read_text() == OLD and os.listdir(disk.point) == ["out.csv"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_in_the_middle(tmp, store, number):
    """It waits for a key when it comes."""
    os.mkfifo(tmp / "keys.txt")
    (tmp / "out.txt").write_text(OLD)
    with subprocess.Popen([QUIVERFS, "export", store, tmp / "out.txt", "--format", "glove", "--keys",
                           tmp / "keys.txt", "--start-id", "7", "--ids", tmp / "ids.npy"],
                          stderr=subprocess.PIPE) as process, \
            open_read(tmp / "keys.txt", process) as keys:
        keys.write(b"first\n")
        keys.flush()
        assert any(name.startswith(".out.txt.") for name in os.listdir(tmp))
        process.send_signal(number)
        process.communicate()
    assert (tmp / "out.txt").read_text() == OLD and not (tmp / "ids.npy").exists()
    if number == signal.SIGTERM:
        assert sorted(os.listdir(tmp)) == ["keys.txt", "out.txt", "store"]


# ---- compressed ---------------------------------------------------------------------------

ALL = ["npy", "fvecs", "fbin", "safetensors", "jsonl", "csv", "glove", "word2vec"]


def unpack(path):
    """By the tools that people have, which look at the checksum."""
    tool = "gzip" if path.suffix == ".gz" else "zstd"
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool}")
    return run(tool, "-dc", path).stdout


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".GZ"])
def test_a_compressed_export(tmp, store, suffix):
    numpy.save(tmp / "more.npy", numpy.arange(20000, dtype="<f4").reshape(5000, 4))
    quiverfs("import", store, tmp / "more.npy", "--start-id", 100)
    for name in ALL:
        plain, packed = tmp / f"plain.{name}", tmp / f"packed.{name}{suffix}"
        quiverfs("export", store, plain, "--format", name)
        quiverfs("export", store, packed, "--format", name)
        packed = packed.rename(packed.with_suffix(suffix.lower()))
        assert unpack(packed) == plain.read_bytes()
        assert packed.stat().st_size < plain.stat().st_size
        quiverfs("create", tmp / "back", "--dim", 4)
        quiverfs("import", tmp / "back", packed, "--format", name)
        assert "5002 vectors" in quiverfs("check", tmp / "back").stdout
        run("rm", "-r", tmp / "back")
    # the name tells both
    for name in ("x.npy", "x.h5", "x.csv"):
        status = 1 if name == "x.h5" else 0
        done = quiverfs("export", store, tmp / (name + suffix), status=status)
        assert status == 0 or "cannot be compressed during the export" in done.stderr
    assert sorted(tmp.glob("x.*")) == sorted([tmp / ("x.npy" + suffix), tmp / ("x.csv" + suffix)])
    # the same bytes for the same vectors
    once = (tmp / ("x.csv" + suffix)).read_bytes()
    quiverfs("export", store, tmp / ("x.csv" + suffix))
    assert (tmp / ("x.csv" + suffix)).read_bytes() == once


def test_an_empty_store_compressed(tmp):
    quiverfs("create", tmp / "empty", "--dim", 4)
    for name in ("x.csv.gz", "x.csv.zst"):
        quiverfs("export", tmp / "empty", tmp / name)
        assert unpack(tmp / name) == b""


def test_a_disk_that_is_full_of_what_is_compressed(tmp, store):
    numpy.save(tmp / "more.npy", numpy.random.default_rng(1).random((20000, 4), "<f4"))
    quiverfs("import", store, tmp / "more.npy", "--start-id", 100)
    for name in ("out.csv.gz", "out.csv.zst"):
        (tmp / name).write_text(OLD)
        done = shell(f"ulimit -f 60; {QUIVERFS} export {store} {name}", cwd=tmp, status=1)
        assert done.stderr.count(b"writing failed") == 1, done.stderr
        assert (tmp / name).read_text() == OLD
    assert not list(tmp.glob(".out*"))


def test_vectors_that_go_meanwhile(tmp, stores):
    """A header that cannot be written again promises too much: the old file stays."""
    mnt = stores.mount()
    for vector in range(3):
        mnt.put(vector, bytes(mnt.size))
    os.mkfifo(tmp / "keys.txt")
    for name, status in (("out.vec", 0), ("out.vec.gz", 1), ("fifo.vec", 1)):
        out = tmp / name
        if name == "fifo.vec":
            os.mkfifo(out)
            reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
        else:
            out.write_text(OLD)
        with subprocess.Popen([QUIVERFS, "export", mnt.point, out, "--format", "word2vec",
                               "--keys", tmp / "keys.txt"], stderr=subprocess.PIPE) as process:
            with open_read(tmp / "keys.txt", process) as keys:  # when it has the list of all
                os.remove(mnt.path(2))
                keys.write(b"first\nsecond\nthird\n")
            text = process.communicate()[1].decode()
        assert process.returncode == status, text
        mnt.put(2, bytes(mnt.size))
        if status:
            assert "1 vectors were removed during the export" in text, text
        else:
            assert out.read_text().startswith("2 25\nfirst ")
    os.close(reader)
    assert (tmp / "out.vec.gz").read_text() == OLD


# ---- columns and keys ---------------------------------------------------------------------


def test_a_line_of_names_and_columns(tmp, store):
    for words, wanted in (
            (["--header", "yes"], "id,v0,v1,v2,v3\n7,1,2,3,4\n"),
            (["--header", "no"], "7,1,2,3,4\n"),
            (["--delimiter", ";"], "7;1;2;3;4\n"),
            (["--delimiter", "tab", "--header", "yes"], "id\tv0\tv1\tv2\tv3\n7\t1\t2\t3\t4\n"),
            (["--id-column", "_id"], "_id,v0,v1,v2,v3\n7,1,2,3,4\n"),
            (["--vector-column", "emb", "--id-column", "key"], 'key,emb\n7,"[1,2,3,4]"\n')):
        quiverfs("export", store, "out.csv", *words, cwd=tmp)
        assert (tmp / "out.csv").read_text().startswith(wanted), words
        quiverfs("create", tmp / "back", "--dim", 4)
        named = [word for word in words if word not in ("--header", "yes", "no")]
        quiverfs("import", "back", "out.csv", *named, cwd=tmp)
        whole(tmp / "back")
        run("rm", "-r", tmp / "back")
    quiverfs("export", store, tmp / "out.jsonl", "--vector-column", "values", "--id-column", "_id")
    assert json.loads((tmp / "out.jsonl").read_text().splitlines()[0]) == {"_id": 7,
                                                                        "values": [1, 2, 3, 4]}
    for words, says in ((["x.npy", "--header", "yes"], "for CSV"),
                        (["x.jsonl", "--delimiter", "tab"], "for CSV"),
                        (["x.npy", "--vector-column", "a"], "no columns"),
                        (["x.csv", "--header", "auto"], "expected yes or no"),
                        (["x.csv", "--delimiter", "x"], "not one of"),
                        (["x.csv", "--header", "no", "--id-column", "a"], "first line"),
                        (["x.npy", "--keys", "k"], "no place")):
        refused("export", store, *words, says=says, status=2, cwd=tmp)


def test_keys_in_place_of_ids(tmp, store):
    """Of each format that has a place for them, and back again."""
    keys = ['https://x.org/?a="1",2', "0b9c54c2-6d1e"]
    (tmp / "keys.txt").write_text("\n".join(keys) + "\n")
    for name in ("out.csv", "out.jsonl", "out.json", "out.csv.gz"):
        quiverfs("export", store, name, "--keys", "keys.txt", "--start-id", 7, status=1, cwd=tmp)
    (tmp / "keys.txt").write_text(keys[0] + "\n\n" + keys[1] + "\n")  # of 7, none, and of 9
    for name in ("out.csv", "out.jsonl", "out.json", "out.csv.gz"):
        quiverfs("export", store, name, "--keys", "keys.txt", "--start-id", 7, cwd=tmp)
        quiverfs("create", tmp / "back", "--dim", 4)
        done = run(QUIVERFS, "import", "back", name, status=1, cwd=tmp)
        assert b"--keys" in done.stderr
        quiverfs("import", "back", name, "--keys", "back.txt", cwd=tmp)
        assert (tmp / "back.txt").read_text().splitlines() == keys
        (tmp / "back.txt").unlink()
        run("rm", "-r", tmp / "back")
