"""What a crash leaves is put right, what is damaged is refused with a reason, and a repair
destroys nothing."""

import errno
import os
import shutil
import struct

import pytest

from disks import Disk, need_blockfile
from files import refused
from harness import Store, is_mounted, quiverfs, run

HEADER_BYTES = 4096  # of a log segment, and of each of the columns


def records(segment):
    """(offset, length, LSN) of each record from the first on."""
    data, found, at = segment.read_bytes(), [], HEADER_BYTES
    while at + 24 <= len(data):
        length, = struct.unpack_from("<I", data, at)
        if length == 0:
            break
        found.append((at, length, struct.unpack_from("<Q", data, at + 16)[0]))
        at += length
    return found


def flip(file, offset, bit=1):
    with open(file, "r+b") as target:
        target.seek(offset)
        byte = target.read(1)[0]
        target.seek(offset)
        target.write(bytes([byte ^ bit]))


def contents(store):
    """Every file but the lock, which is written whenever the store is opened."""
    return {path.relative_to(store.path): path.read_bytes()
            for path in store.path.rglob("*") if path.is_file() and path.name != "LOCK"}


def segments(store):
    return sorted((store.path / "wal").glob("*.wal"))


def refused_mount(store, point, *options):
    done = quiverfs("mount", store.path, point, *options, status=1)
    assert not is_mounted(point)
    return done.stderr


def killed(stores, rng, count, mode, more=0):
    """A store whose daemon was killed: the segment and the vectors, of which all but
    the last `more` are durable."""
    mnt = stores.mount(options=[f"durability={mode}", "commit=3600"])
    data = [rng.randbytes(mnt.size) for _ in range(count + more)]
    for number in range(count):
        mnt.put(number, data[number])
    mnt.control("flush", "1")
    for number in range(count, count + more):
        mnt.put(number, data[number])
    mnt.kill()
    run("umount", mnt.point)
    segment, = segments(mnt.store)
    assert len(records(segment)) == count + more
    return mnt, segment, data


# ---- torn or corrupt ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["payload", "header", "cut"])
def test_a_torn_tail_is_cut_and_kept_aside(stores, rng, how):
    """What was not durable may be torn. It is told of, and no damage."""
    mnt, segment, data = killed(stores, rng, 20, "fsync", more=3)
    offset, length, lsn = records(segment)[-1]
    if how == "cut":
        with open(segment, "r+b") as file:
            file.seek(offset + length - 60)
            file.write(bytes(60))
    else:
        flip(segment, offset + (4 if how == "header" else length - 8))
    torn = segment.read_bytes()
    again = stores.mount(mnt.store)
    assert {number: again.get(number) for number in again.ids()} == dict(enumerate(data[:-1]))
    line, = again.errors()
    for part in (segment.name, f"byte {offset}", f"LSN {lsn - 1}", segment.name + ".broken"):
        assert part in line, line
    assert (segment.parent / (segment.name + ".broken")).read_bytes() == torn
    again.put(22, data[22])
    again.forget_errors()


def test_failure_1_commits_behind_a_torn_record_are_there_after_the_next_kill(stores, rng):
    """A log that holds nothing but a torn record, then commits that are acknowledged."""
    mnt, segment, _ = killed(stores, rng, 0, "fsync", more=1)
    offset, length, _ = records(segment)[0]
    flip(segment, offset + length - 8)
    data = {number: rng.randbytes(mnt.size) for number in range(50)}
    again = stores.mount(mnt.store, options=["durability=always"])
    again.forget_errors()
    assert again.ids() == set()
    for number, bytes_ in data.items():
        again.put(number, bytes_)
    again.kill()
    run("umount", again.point)
    last = stores.mount(mnt.store)
    assert {number: last.get(number) for number in last.ids()} == data
    assert last.errors() == []


@pytest.mark.parametrize("where", ["length", "lsn", "payload"])
def test_corruption_is_refused_and_says_where_and_what_a_repair_keeps(stores, rng, where):
    """A bad record before one that was durable: by the segment, the offset, the LSNs.
    Neither the attempt nor `check` changes anything."""
    mnt, segment, data = killed(stores, rng, 20, "always")
    offset, length, lsn = records(segment)[12]
    last_lsn = records(segment)[-1][2]
    flip(segment, offset + {"length": 0, "lsn": 16, "payload": length - 20}[where], bit=4)
    before = contents(mnt.store)
    for options in ((), ("-o", "ro")):
        said = refused_mount(mnt.store, mnt.point, *options)
        for part in (segment.name, f"byte {offset}", f"LSN {last_lsn} were durable",
                     f"LSN {lsn - 1};", "check --repair", "keeps", "loses", "lost+found"):
            assert part in said, said
    assert quiverfs("check", mnt.store.path, status=1).stdout.count(f"byte {offset}") == 1
    assert contents(mnt.store) == before
    done = quiverfs("check", mnt.store.path, "--repair", status=1)
    for part in (f"wal/{segment.name} moved to lost+found/{segment.name}", f"LSN {lsn - 1} are kept",
                 "1 put right"):
        assert part in done.stdout, done.stdout
    lost = contents(mnt.store)
    assert lost[(mnt.store.path / "lost+found" / segment.name).relative_to(mnt.store.path)] == \
        before[segment.relative_to(mnt.store.path)]
    mnt.store.check()
    again = stores.mount(mnt.store)
    assert {number: again.get(number) for number in again.ids()} == dict(enumerate(data[:12]))
    for number in range(12, 20):
        again.put(number, data[number])
    again = stores.again(again)
    assert {number: again.get(number) for number in again.ids()} == dict(enumerate(data))


# ---- damaged vectors, rows and files ----------------------------------------------------


def closed(stores, rng, count):
    """A store that was closed in order; vector I is in slot I."""
    mnt = stores.mount()
    data = [rng.randbytes(mnt.size) for _ in range(count)]
    for number in range(count):
        mnt.put(number, data[number])
    mnt.unmount()
    return mnt, data


@pytest.mark.parametrize("file, size", [("vectors.npy", 100), ("ids.npy", 8), ("meta.npy", 56)])
def test_a_damaged_vector_is_eio_and_a_repair_moves_it_aside(stores, rng, file, size):
    """All others are served, before and after."""
    mnt, data = closed(stores, rng, 20)
    flip(mnt.store.path / file, HEADER_BYTES + 7 * size + 3)
    found = {name: contents(mnt.store)[(mnt.store.path / name).relative_to(mnt.store.path)]
             for name in ("vectors.npy", "meta.npy")}
    live = stores.mount(mnt.store, check=False)
    with refused(errno.EIO):
        live.get(7)
    for number in (*range(7), *range(8, 20)):
        assert live.get(number) == data[number]
    assert any("vector 7" in line for line in live.errors())
    live.forget_errors()
    live.unmount()
    said = quiverfs("check", mnt.store.path, status=1).stdout
    assert file in said and ("slot 7" in said or "row 7" in said), said
    done = quiverfs("check", mnt.store.path, "--repair", status=1)
    bin_, row = (next((mnt.store.path / "lost+found").glob("slot-7-id-*." + end))
                 for end in ("bin", "row"))
    assert f"lost+found/{bin_.name}" in done.stdout and f"lost+found/{row.name}" in done.stdout
    assert bin_.read_bytes() == found["vectors.npy"][HEADER_BYTES + 700:][:100]
    assert row.read_bytes() == found["meta.npy"][HEADER_BYTES + 7 * 56:][:56]
    again = stores.mount(mnt.store)
    assert {number: again.get(number) for number in again.ids()} == \
        {number: data[number] for number in range(20) if number != 7}


def test_without_an_index_damaged_rows_are_refused_with_advice(stores, rng):
    mnt, _ = closed(stores, rng, 20)
    flip(mnt.store.path / "meta.npy", HEADER_BYTES + 7 * 56 + 3)
    (mnt.store.path / "index").unlink()
    said = refused_mount(mnt.store, mnt.point)
    for part in ("meta.npy", "row 7 (ID 7)", "check", "--repair", "keeps", "lost+found"):
        assert part in said, said
    quiverfs("check", mnt.store.path, "--repair", status=1)
    assert stores.mount(mnt.store).ids() == set(range(20)) - {7}


def test_a_second_repair_keeps_what_the_first_one_moved(stores, rng):
    """The same vector in the same slot, damaged twice; the same segment number cannot
    come back."""
    mnt, data = closed(stores, rng, 20)
    kept = []
    for turn in range(3):
        flip(mnt.store.path / "vectors.npy", HEADER_BYTES + 7 * 100 + turn)
        damaged = (mnt.store.path / "vectors.npy").read_bytes()[HEADER_BYTES + 700:][:100]
        done = quiverfs("check", mnt.store.path, "--repair", status=1)
        name = "slot-7-id-7.bin" + ("" if turn == 0 else f".{turn + 1}")
        assert f"lost+found/{name}," in done.stdout, done.stdout
        kept.append((name, damaged))
        for name, damaged in kept:
            assert (mnt.store.path / "lost+found" / name).read_bytes() == damaged
        again = stores.mount(mnt.store)
        assert not again.has(7)
        again.put(7, data[7])
        again.unmount()
        quiverfs("compact", mnt.store.path)  # into the hole, wherever it was put
    assert len(list((mnt.store.path / "lost+found").iterdir())) == 6


@pytest.mark.parametrize("file, size", [("vectors.npy", 100), ("ids.npy", 8), ("meta.npy", 56)])
def test_a_file_that_was_cut_short_says_how_to_keep_the_rest(stores, rng, file, size):
    mnt, data = closed(stores, rng, 20)
    os.truncate(mnt.store.path / file, HEADER_BYTES + 12 * size)
    said = refused_mount(mnt.store, mnt.point)
    for part in (file, "12 rows", "20 are in use", "cut short", "check --repair"):
        assert part in said, said
    words = said.split("('truncate -s ")[1].split("'")[0]
    run("truncate", "-s", words, mnt.store.path / file)
    quiverfs("check", mnt.store.path, "--repair", status=1)
    again = stores.mount(mnt.store)
    assert {number: again.get(number) for number in again.ids()} == dict(enumerate(data[:12]))


# ---- the kernel's cache -----------------------------------------------------------------


def test_recovery_does_not_trust_pages_that_never_reached_the_disk(disks, stores, rng):
    """The kernel drops nothing when writing a page fails: it calls the page clean, and shows
    what the disk does not have to whoever opens the file again. So recovery writes anew
    all that the log has, and what it serves outlives the cache."""
    need_blockfile()
    disk = ext4_without_journal(disks)
    store = Store(stores.folder, name=disk.point / "store", dim=1000)
    mnt = stores.mount(store, check=False, options=["durability=always"])
    data = {number: rng.randbytes(mnt.size) for number in range(300)}
    for number, bytes_ in data.items():
        mnt.put(number, bytes_)
    disks.block.fail("write")
    with refused(errno.EIO, errno.EROFS):
        mnt.control("checkpoint", "1")
    assert any("read-only now" in line for line in mnt.errors())
    mnt.kill()
    run("umount", mnt.point)
    disks.block.fail("none")
    again = stores.mount(store, options=["durability=always"])
    assert {number: again.get(number) for number in again.ids()} == data
    again.kill()  # nothing more is synced
    run("umount", again.point)
    # What a power cut leaves: what was written to the disk until now.
    shutil.copyfile(disks.folder / "image", disks.folder / "cut")
    run("e2fsck", "-fy", disks.folder / "cut", status=None)
    after = disks.add(Disk(disks.folder / "cut", disks.folder, name="after"))
    lost = Store.__new__(Store)
    vars(lost).update(vars(store), path=after.point / "store")
    last = stores.mount(lost, name="last")
    assert {number: last.get(number) for number in last.ids()} == data


def ext4_without_journal(disks):
    """With one, a failed write of metadata would end all writing."""
    image = disks.folder / "image"
    with open(image, "wb") as file:
        file.truncate(192 << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=0", image)
    return disks.of_image(image, with_block_file=True, options="errors=continue")
