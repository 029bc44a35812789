"""Scratch files, and renaming them and vectors."""

import errno
import os

import pytest

import harness
from files import (GIVEN, RENAME_EXCHANGE, RENAME_NOREPLACE, attributes, opened, read_chunks, refused,
                   rename2, write_all)
from harness import run

BOTH_TRANSPORTS = True


def test_a_scratch_file_is_a_file(mnt, rng):
    path = mnt.path(".notes.txt")
    data = rng.randbytes(60)
    write_all(path, data, chunk=7)
    assert path.read_bytes() == data
    assert os.stat(path).st_size == 60
    assert os.listdir(mnt.vectors) == [".notes.txt"]
    with open(path, "ab") as file:
        file.write(b"more")
    with open(path, "r+b") as file:
        file.seek(2)
        file.write(b"patch")
    data = data[:2] + b"patch" + data[7:] + b"more"
    assert path.read_bytes() == data
    os.truncate(path, 10)
    assert path.read_bytes() == data[:10]
    os.truncate(path, 20)
    assert path.read_bytes() == data[:10] + bytes(10)
    write_all(path, b"")
    assert path.read_bytes() == b""
    os.unlink(path)
    assert os.listdir(mnt.vectors) == []
    with refused(errno.ENOENT):
        os.stat(path)
    assert mnt.control("count") == "0\n"


def test_a_scratch_file_keeps_its_attributes_until_unmount(stores):
    mnt = stores.mount()
    path = mnt.path(".scratch")
    write_all(path, b"bytes")
    os.chmod(path, 0o604)
    os.utime(path, ns=(1, 1234567890123456789))
    os.chown(path, *GIVEN)
    assert attributes(path) == (1234567890123456789, 0o604, *GIVEN)
    again = stores.again(mnt)
    assert os.listdir(again.vectors) == []
    with refused(errno.ENOENT):
        os.stat(again.path(".scratch"))


def test_o_excl_and_removal_while_open(mnt, rng):
    path, data = mnt.path(".scratch"), rng.randbytes(50)
    write_all(path, data)
    with refused(errno.EEXIST):
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with opened(path, os.O_RDONLY) as fd:
        os.unlink(path)
        assert read_chunks(fd, 9) == data
        write_all(path, b"another")
        assert os.pread(fd, 50, 0) == data
    assert path.read_bytes() == b"another"
    os.unlink(path)
    mnt.put(1, rng.randbytes(mnt.size))
    with refused(errno.EEXIST):
        os.open(mnt.path(1), os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def test_scratch_files_are_bounded(stores, rng):
    mnt = stores.mount(stores.create(dim=65536, dtype="f8"))
    big, made = bytes(mnt.size), 0
    with refused(errno.ENOSPC):
        for number in range(100000):
            write_all(mnt.path(f".{number}"), big)
            made += 1
    assert made > 10
    assert "scratch" in mnt.errors()[-1]
    mnt.forget_errors()
    mnt.put(1, big)
    for name in os.listdir(mnt.vectors):
        if name.startswith("."):
            os.unlink(mnt.path(name))
    write_all(mnt.path(".again"), big)
    os.rename(mnt.path(".again"), mnt.path(2))
    assert mnt.ids() == {1, 2}


def test_the_number_of_scratch_files_is_bounded(stores):
    mnt = stores.mount(stores.create(dim=1))
    made = 0
    with refused(errno.ENOSPC):
        for made in range(200000):
            os.close(os.open(mnt.path(f".{made}"), os.O_WRONLY | os.O_CREAT))
    assert made >= 1000
    assert len(os.listdir(mnt.vectors)) == made
    mnt.forget_errors()


@pytest.mark.parametrize("there", [False, True])
def test_a_scratch_file_renamed_to_an_id_is_a_vector(stores, rng, there):
    mnt = stores.mount()
    if there:
        mnt.put(42, rng.randbytes(mnt.size))
    data = rng.randbytes(mnt.size)
    write_all(mnt.path(".42.Xa3"), data, chunk=9)
    os.utime(mnt.path(".42.Xa3"), ns=(1, 987654321))
    os.chmod(mnt.path(".42.Xa3"), 0o640)
    run("mv", "-f", mnt.path(".42.Xa3"), mnt.path(42))
    assert os.listdir(mnt.vectors) == ["42"]
    for mounted in (mnt, None):
        mounted = mounted or stores.again(mnt)
        assert mounted.get(42) == data
        assert attributes(mounted.path(42))[:2] == (987654321, 0o640)


@pytest.mark.parametrize("name", [
    "sedAbCdEf",  # GNU sed -i
    "tmpab12_d3x",  # Python's tempfile
    "42.1a2B3c4D",  # aws s3, boto3
    "42.k3wq0zab.partial",  # rclone
    "42_.gstmp",  # gsutil, gcloud storage
    "42.1234567890", "42.654321",  # node's write-file-atomic
    "42.filepart",  # WinSCP
    "42.part",  # wget2, Nextcloud, yt-dlp
    "42.ocTransferId1234.part",  # Nextcloud's server
    "42.crdownload",  # Chromium
    "42.npy.1a2B3c4D", "42.txt.part",  # of views
])
def test_temporary_names_of_tools_are_scratch_files(mnt, rng, name):
    data = rng.randbytes(mnt.size)
    write_all(mnt.path(name), data)
    assert os.listdir(mnt.vectors) == [name]
    os.rename(mnt.path(name), mnt.path(42))
    assert os.listdir(mnt.vectors) == ["42"] and mnt.get(42) == data


@pytest.mark.parametrize("name", [
    "42.5", "42.12345", "42.12345678901", "042.part", "42.parts", "42.partial", "x.part", "part",
    "42.1a2b3c4g", "42.1a2b3c4", "42.1a2b3c4d5", "42.ABCDEFGH.partial", "42_gstmp", "42_.gstmp2",
    "tmpab12cd3", "tmpab12cd345", "tmpAB12cd34", "sedAbCdE", "sedAbC-Ef", "18446744073709551615.part",
    "42.npz.part", "42..part", "42~", "42.tmp", "XXaB3dE9", "42.part ", "42.ocTransferId.part",
])
def test_mistyped_ids_are_no_scratch_files(mnt, name):
    with refused(errno.EINVAL):
        write_all(mnt.path(name), bytes(mnt.size))
    assert os.listdir(mnt.vectors) == []
    mnt.forget_errors()


def test_a_scratch_file_may_be_longer_than_a_vector(mnt, rng):
    data = rng.randbytes(65536)
    write_all(mnt.path(".42.swp"), data)  # as an editor's, with its notes
    assert mnt.path(".42.swp").read_bytes() == data
    with refused(errno.EFBIG):
        write_all(mnt.path(".43.swp"), data + b"x")
    mnt.forget_errors()
    with refused(errno.ENODATA):
        os.rename(mnt.path(".42.swp"), mnt.path(42))
    mnt.forget_errors()


def test_scratch_files_renamed_among_themselves(mnt):
    write_all(mnt.path(".a"), b"a")
    write_all(mnt.path(".b"), b"b")
    os.rename(mnt.path(".a"), mnt.path(".c"))
    assert sorted(os.listdir(mnt.vectors)) == [".b", ".c"]
    os.rename(mnt.path(".c"), mnt.path(".b"))
    assert os.listdir(mnt.vectors) == [".b"]
    assert mnt.path(".b").read_bytes() == b"a"
    with refused(errno.ENOENT):
        os.rename(mnt.path(".a"), mnt.path(".d"))


@pytest.mark.parametrize("there", [False, True])
def test_a_vector_moves_to_another_id(stores, rng, there):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    os.utime(mnt.path(42), ns=(1, 1111111111))
    os.chmod(mnt.path(42), 0o604)
    if there:
        mnt.put(43, rng.randbytes(mnt.size))
    run("mv", "-f", mnt.path(42), mnt.path(43))
    assert mnt.ids() == {43}
    if "QUIVERFS_KIND" in os.environ:  # mv has copied, and a line says why
        mnt.expect_error("vector 42: not renamed to 43, this kind of store cannot rename")
    elif not harness.KERNEL_CAN_RENAME:
        mnt.expect_error("vector 42: not renamed to 43, renaming needs Linux 6.16")
    for mounted in (mnt, None):
        mounted = mounted or stores.again(mnt)
        assert mounted.ids() == {43}
        assert mounted.get(43) == data
        assert attributes(mounted.path(43))[:2] == (1111111111, 0o604)


def test_a_rename_onto_itself_and_from_nowhere(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    os.rename(mnt.path(42), mnt.path(42))
    assert mnt.get(42) == data
    with refused(errno.ENOENT):
        os.rename(mnt.path(7), mnt.path(42))
    with refused(errno.ENOENT):
        os.rename(mnt.path(".7"), mnt.path(42))
    assert mnt.get(42) == data


@pytest.mark.local("renames of IDs")
@pytest.mark.parametrize("source", ["41", ".scratch"])
def test_noreplace_and_exchange(mnt, rng, source):
    one, two = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    write_all(mnt.path(source), one)
    mnt.put(42, two)
    with refused(errno.EEXIST):
        rename2(mnt.path(source), mnt.path(42), RENAME_NOREPLACE)
    with refused(errno.EINVAL):
        rename2(mnt.path(source), mnt.path(42), RENAME_EXCHANGE)
    assert mnt.path(source).read_bytes() == one
    assert mnt.get(42) == two
    rename2(mnt.path(source), mnt.path(43), RENAME_NOREPLACE)
    assert mnt.get(43) == one
    assert mnt.ids() == {42, 43}
    mnt.forget_errors()


def test_noreplace_among_scratch_files(mnt):
    write_all(mnt.path(".a"), b"a")
    write_all(mnt.path(".b"), b"b")
    with refused(errno.EEXIST):
        rename2(mnt.path(".a"), mnt.path(".b"), RENAME_NOREPLACE)
    with refused(errno.EINVAL):
        rename2(mnt.path(".a"), mnt.path(".b"), RENAME_EXCHANGE)
    rename2(mnt.path(".a"), mnt.path(".c"), RENAME_NOREPLACE)
    assert sorted(os.listdir(mnt.vectors)) == [".b", ".c"]
    mnt.forget_errors()


@pytest.mark.local("renames of IDs")
@pytest.mark.parametrize("source", ["41", ".scratch"])
def test_a_rename_over_open_readers(mnt, rng, peer, source):
    old, new = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(42, old)
    write_all(mnt.path(source), new)
    with opened(mnt.path(42), os.O_RDONLY) as fd:
        assert os.read(fd, 10) == old[:10]
        peer.call("rename", str(mnt.path(source)), str(mnt.path(42)))
        assert mnt.get(42) == new
        assert peer.read(mnt.path(42)) == new
        assert read_chunks(fd, 11) == old[10:]
        assert os.pread(fd, mnt.size, 0) == old


@pytest.mark.local("renames of IDs")
def test_a_reader_of_what_is_moved_away(mnt, rng, peer):
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    with opened(mnt.path(42), os.O_RDONLY) as fd:
        peer.call("rename", str(mnt.path(42)), str(mnt.path(43)))
        assert read_chunks(fd, 11) == data
    assert mnt.get(43) == data


@pytest.mark.local("renames of IDs")
def test_a_move_is_one_commit(mnt, rng):
    mnt.put(42, rng.randbytes(mnt.size))
    before = int(mnt.stats()["lsn"])
    os.rename(mnt.path(42), mnt.path(43))
    assert int(mnt.stats()["lsn"]) == before + 1


def test_eperm(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    write_all(mnt.path(".there"), b"x")
    for target in (".scratch", ".there"):
        with refused(errno.EPERM):
            os.rename(mnt.path(42), mnt.path(target))
    assert mnt.get(42) == data
    assert mnt.path(".there").read_bytes() == b"x"
    mnt.forget_errors()
