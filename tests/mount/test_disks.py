"""Disks that fail, fill up or cannot do everything."""

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from disks import Shim, need_blockfile, need_loop_devices, need_shim
from files import opened, refused, write_all
from harness import Store, is_mounted, quiverfs, run, until
from patience import wait_for


def store_on(disk, stores, **options):
    return Store(stores.folder, name=disk.point / "store", **options)


def end_failed(mounted):
    """Unmount a daemon that cannot close its store; its exit status says so."""
    assert os.system(f"umount {mounted.point}") == 0
    code = wait_for(mounted.daemon, 60)
    mounted.take_away()
    assert code == 1, mounted.daemon
    assert not is_mounted(mounted.point)


def refuses_changes(mnt, present, data):
    """Everything that would change the store is EROFS, and what is there is read."""
    path = mnt.path(present)
    fd = os.open(mnt.vectors / ".scratch", os.O_WRONLY | os.O_CREAT)
    os.write(fd, data)
    os.close(fd)
    for change in (lambda: write_all(mnt.path(7), data), lambda: write_all(mnt.path(8), data, chunk=40),
                   lambda: os.unlink(path), lambda: os.rename(path, mnt.path(9)),
                   lambda: os.chmod(path, 0o600), lambda: os.utime(path, (1, 1)),
                   lambda: os.rename(mnt.vectors / ".scratch", mnt.path(10)),
                   lambda: mnt.control("put", (11).to_bytes(8, "little") + data),
                   lambda: mnt.control("checkpoint", "1"), lambda: mnt.control("flush", "1"),
                   lambda: mnt.control("compact", "start"),
                   lambda: mnt.control("durability", "none"),
                   lambda: mnt.control("reserve", "100000")):
        with refused(errno.EROFS):
            change()
    assert mnt.get(present) == data
    assert present in mnt.ids()
    assert not {7, 8, 9, 10, 11} & mnt.ids()


def says_why(mnt, what):
    """In control/errors, in `status` and in the log."""
    until(lambda: "read-only now" in mnt.log_text(), "no line")  # the last place
    line = next(line for line in mnt.errors() if "read-only now" in line)
    assert what in line and "unmount and mount again" in line
    assert line in mnt.log_text()
    assert mnt.stats()["failed"] == "1"
    status = quiverfs("status", mnt.point).stdout
    assert "no longer writable" in status and "FAILED" in status and "read-only now" in status
    assert int(json.loads(quiverfs("status", mnt.point, "--json").stdout)["failed"]) == 1


# ---- syncs that fail -----------------------------------------------------------


@pytest.mark.parametrize("mode", ["always", "fsync", "fsync later", "none"])
def test_a_failed_sync_makes_the_store_read_only(disks, stores, rng, mode):
    """On a disk whose flushes fail. It stays so when the disk works again."""
    need_blockfile()
    disk = disks.ext4(192, with_block_file=True)
    mnt = stores.mount(store_on(disk, stores), check=False,
                       options=["durability=" + mode.split()[0],
                                "commit=1" if mode == "fsync later" else "commit=300"])
    data, other = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.control("flush", "1")
    disks.block.fail("sync")
    if mode == "always":
        with refused(errno.EIO):
            write_all(mnt.path(2), other)
        assert not mnt.has(2)  # it was not acknowledged, so nobody sees it
    else:
        mnt.put(2, other)
        if mode == "fsync later":  # nobody asks; the interval of commit= finds out
            until(lambda: mnt.stats()["failed"] == "1", "the sync goes unnoticed")
        else:
            with refused(errno.EIO):
                mnt.control("flush", "1")
        assert mnt.get(2) == other
    says_why(mnt, "failed")
    disks.block.fail("none")
    refuses_changes(mnt, 1, data)
    end_failed(mnt)
    disks.again(disk)
    again = stores.mount(mnt.store)
    assert again.get(1) == data
    assert not again.has(2) or again.get(2) == other
    again.put(3, other)
    again.control("flush", "1")
    again.forget_errors()


def test_fsync_of_a_vector_tells_of_a_failed_sync(stores, rng, tmp):
    need_shim()
    shim = Shim(tmp)
    mnt = stores.mount(before=shim.words, check=False)
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    with opened(mnt.path(2), os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, data)
        shim.fail(sync=errno.EIO)
        with refused(errno.EIO):
            os.fsync(fd)
        shim.fail()
        # A second one would be told of success for data that the kernel has dropped.
        with refused(errno.EROFS):
            os.fsync(fd)
    says_why(mnt, "Input/output error")
    refuses_changes(mnt, 1, data)
    end_failed(mnt)
    again = stores.mount(mnt.store)
    assert again.get(1) == data
    again.put(3, data)
    again.forget_errors()


def test_close_after_a_refused_write_says_the_same(stores, rng, tmp):
    """Not that too few bytes came: many programs tell only of what close(2) said."""
    need_shim()
    shim = Shim(tmp)
    mnt = stores.mount(stores.create(dim=16384), before=shim.words)
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    shim.fail(write=errno.ENOSPC)
    for vector in (1, 2):
        fd = os.open(mnt.path(vector), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with refused(errno.ENOSPC):
            os.write(fd, data)
        with refused(errno.ENOSPC):
            os.close(fd)
        with refused(errno.ENOSPC):
            mnt.put(vector, data)
    shim.fail()
    assert mnt.get(1) == data and mnt.ids() == {1}
    assert all("No space left" in line for line in mnt.errors())
    mnt.forget_errors()


def test_a_failed_write_of_the_log_leaves_nothing_behind(stores, rng, tmp):
    """What was refused is not there after mounting again either."""
    need_shim()
    shim = Shim(tmp)
    mnt = stores.mount(before=shim.words, check=False)
    data, other = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(1, data)
    shim.fail(write=errno.EIO)
    for change in (lambda: write_all(mnt.path(1), other),
                   lambda: write_all(mnt.path(2), other)):
        with refused(errno.EIO, errno.EROFS):
            change()
    assert mnt.get(1) == data and mnt.ids() == {1}
    assert mnt.errors()
    shim.fail()
    mnt.kill()
    os.system(f"umount {mnt.point}")
    again = stores.mount(mnt.store)
    assert again.get(1) == data and again.ids() == {1}
    again.put(2, other)
    again.forget_errors()


# ---- disks that are slow ---------------------------------------------------------


def test_batches_that_wait_for_the_disk_hold_up_nobody_else(stores, rng, tmp):
    """More of them than the mount has threads that read requests."""
    need_shim()
    shim = Shim(tmp)
    mnt = stores.mount(stores.create(dim=16), before=shim.words)
    clients = 2 * max(2 * os.cpu_count(), 4)
    batches = {vector: rng.randbytes(mnt.size) for vector in range(clients)}
    mnt.put(clients, rng.randbytes(mnt.size))
    there = mnt.get(clients)
    with ThreadPoolExecutor(clients) as pool, opened(mnt.control_folder / "put", os.O_WRONLY) as fd:
        def put(vector):
            record = vector.to_bytes(8, "little") + batches[vector]
            return os.pwrite(fd, record, 0) == len(record)

        assert put(0)  # those that follow need not wait for each other
        shim.fail(hold=1)
        running = [pool.submit(put, vector) for vector in batches]
        try:
            until(lambda: shim.held() == clients, "they do not come to their writes")
            assert mnt.get(clients) == there
            assert mnt.ids() == {0, clients}
            assert mnt.stats()["failed"] == "0"
            os.stat(mnt.path(clients))
        finally:
            shim.fail()
        assert all(one.result() for one in running)
    assert all(mnt.get(vector) == data for vector, data in batches.items())


# ---- disks that are full ---------------------------------------------------------


def fill(mnt, data, first=0, most=20000):
    """Put vectors until one does not fit; how many did."""
    for number in range(first, first + most):
        try:
            write_all(mnt.path(number), data(number))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return number - first
    raise AssertionError("the disk does not become full")


@pytest.mark.parametrize("mode", ["fsync", "always", "none"])
def test_on_a_full_disk_reads_deletes_and_compaction_go_on(disks, stores, rng, mode):
    need_loop_devices()
    disk = disks.ext4(64)
    mnt = stores.mount(store_on(disk, stores, dim=4096), options=["durability=" + mode])
    blob = rng.randbytes(2 * mnt.size)

    def data(number):
        return blob[number % mnt.size:][:mnt.size]

    count = fill(mnt, data)
    assert count > 200 and not mnt.has(count)
    assert any(f"vector {count}: not stored: No space left" in line for line in mnt.errors())
    for number in range(count):
        assert mnt.get(number) == data(number), number
    for number in range(0, count, 2):
        os.unlink(mnt.path(number))
    mnt.control("compact", "start")
    assert mnt.finish_job("compact").startswith("idle"), mnt.control("compact")
    assert mnt.ids() == set(range(1, count, 2))
    # What became free is used, by ourselves and after a file of somebody else's goes.
    more = fill(mnt, data, first=100000)
    assert more >= count // 2 - 256, (count, more)  # some of it may be log now
    left = sorted(mnt.ids())
    for number in left:
        assert mnt.get(number) == data(number), number
    mnt.forget_errors()
    assert mnt.stats()["failed"] == "0"
    if mode != "none":
        mnt.kill()
        os.system(f"umount {mnt.point}")
        again = stores.mount(mnt.store)
    else:
        again = stores.again(mnt)
    assert sorted(again.ids()) == left
    for number in left:
        assert again.get(number) == data(number), number
    again.forget_errors()


@pytest.mark.parametrize("mode", ["fsync", "always", "none"])
def test_on_a_full_disk_a_snapshot_is_refused_and_nothing_else_suffers(disks, stores, rng, mode):
    """And one that is removed gives back what it held."""
    need_loop_devices()
    disk = disks.ext4(64)
    mnt = stores.mount(store_on(disk, stores, dim=4096), options=["durability=" + mode])
    blob = rng.randbytes(2 * mnt.size)

    def data(number):
        return blob[number % mnt.size:][:mnt.size]

    held, snapshots = 200, mnt.point / "snapshots"
    for number in range(held):
        mnt.put(number, data(number))
    os.mkdir(snapshots / "full-1")
    before = {number: os.stat(mnt.path(number)).st_ctime_ns for number in range(held)}
    for number in range(0, held, 2):
        mnt.put(number, data(number + 1000))
    for number in range(1, held, 4):
        os.unlink(mnt.path(number))
    count = fill(mnt, data, first=1000)
    made = ["full-1"]
    with pytest.raises(OSError) as full:
        while len(made) < 1000:
            fill_up(disk)  # a checkpoint may have given back some of the log
            os.mkdir(snapshots / f"full-{len(made) + 1}")
            made.append(f"full-{len(made) + 1}")
    assert full.value.errno == errno.ENOSPC
    assert sorted(os.listdir(snapshots)) == sorted(made)
    for number in range(3, held, 4):  # there is room for it, or there is not
        try:
            mnt.put(number, data(number + 1000))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    inside = snapshots / "full-1" / "vectors"
    assert len(os.listdir(inside)) == held
    for number in range(held):
        assert (inside / str(number)).read_bytes() == data(number), number
        assert os.stat(inside / str(number)).st_ctime_ns == before[number]
    for number in range(1000, 1000 + count):
        assert mnt.get(number) == data(number), number
    for name in made:
        os.rmdir(snapshots / name)

    def nothing_is_held():  # the kernel tells of closed files behind the caller's back
        mnt.control("checkpoint", "1")
        return mnt.stats()["slots_held"] == "0"

    until(nothing_is_held, "slots stay held")
    assert mnt.stats()["failed"] == "0"
    assert fill(mnt, data, first=100000) >= held // 2
    mnt.forget_errors()


def test_what_does_not_fit_stays_in_its_folder_of_scratch_files(disks, stores, rng):
    need_loop_devices()
    disk = disks.ext4(64)
    mnt = stores.mount(store_on(disk, stores, dim=4096))
    data = rng.randbytes(mnt.size)
    count = fill(mnt, lambda number: data)
    os.mkdir(mnt.path(".f"))
    path = mnt.path(".f") / str(count)
    write_all(path, data[::-1])
    with pytest.raises(OSError) as full:
        os.rename(path, mnt.path(count))
    assert full.value.errno == errno.ENOSPC
    assert path.read_bytes() == data[::-1] and not mnt.has(count)
    for number in range(count // 2):
        os.unlink(mnt.path(number))
    os.rename(path, mnt.path(count))
    os.rmdir(mnt.path(".f"))
    assert mnt.get(count) == data[::-1]
    mnt.forget_errors()


def test_a_full_btrfs_stops_no_store(disks, stores, rng):
    """What has its blocks is written there. A copy of each, which btrfs would make, has no room."""
    disk = disks.btrfs(160)
    mnt = stores.mount(store_on(disk, stores, dim=256))
    count = 200
    blob = rng.randbytes(2 * mnt.size)

    def data(number):
        return blob[number % mnt.size:][:mnt.size]

    for number in range(count):
        mnt.put(number, data(number))
    mnt.control("reserve", str(2 * count))
    mnt.control("checkpoint", "1")
    with pytest.raises(OSError) as full, open(disk.point / "other", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    assert full.value.errno == errno.ENOSPC
    for number in range(count):
        mnt.put(number, data(number + 1))
    for number in range(0, count, 2):
        os.unlink(mnt.path(number))
    mnt.control("checkpoint", "1")
    assert mnt.stats()["failed"] == "0"
    # Its pages go where the version before is not, and there no block is yet.
    mnt.expect_error("index: not written at a checkpoint.*No space left on device")
    mnt.unmount()
    again = stores.mount(mnt.store, options=["ro"])
    assert again.ids() == set(range(1, count, 2))
    for number in range(1, count, 2):
        assert again.get(number) == data(number + 1), number
    again.take_away()  # it tells that there was no room for the index


@pytest.mark.parametrize("mode", ["fsync", "always", "none"])
def test_a_full_disk_is_unmounted_in_order(disks, stores, rng, mode):
    """Mode none has no log, so that all of it would be lost."""
    need_loop_devices()
    disk = disks.ext4(64)
    mnt = stores.mount(store_on(disk, stores, dim=4096), options=["durability=" + mode])
    data = rng.randbytes(mnt.size)
    count = fill(mnt, lambda number: data)
    ballast = fill_up(disk)
    mnt.forget_errors()
    mnt.unmount()
    ballast.unlink()  # opening for writing needs room for a log
    again = stores.mount(mnt.store)
    assert again.ids() == set(range(count))
    assert all(again.get(number) == data for number in range(count))
    again.forget_errors()


def test_an_import_that_fills_the_disk_says_what_is_in(disks, stores, tmp):
    """The rows before the first that is missing, though two threads write them. With IDs of their
    own, which may be there already, nobody knows ahead how much room they take."""
    store = store_on(disks.memory("tmpfs", "size=40m"), stores, dim=1000)
    rows = numpy.arange(20_000, dtype="<f4")[:, None] + numpy.zeros(1000, dtype="<f4")
    numpy.save(tmp / "rows.npy", rows)
    numpy.save(tmp / "wanted.npy", numpy.arange(20_000, dtype="<u8"))
    done = quiverfs("import", store.path, tmp / "rows.npy", "--ids", tmp / "wanted.npy", status=1)
    assert "no space left" in done.stderr
    count = int(done.stderr.split("the first ")[1].split()[0])
    assert 0 < count < 10_000
    out, ids = tmp / "out.npy", tmp / "ids.npy"
    quiverfs("export", store.path, out, "--ids", ids)
    ids, out = numpy.load(ids), numpy.load(out)
    assert set(range(count)) <= set(ids.tolist())
    assert (out == rows[ids]).all()


def fill_up(disk):
    """Leave no block free; the file that takes them."""
    ballast = disk.point / "ballast"
    with refused(errno.ENOSPC), open(ballast, "ab", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return ballast


@pytest.mark.parametrize("end", ["unmounted", "killed"])
def test_a_store_on_a_full_disk_is_mounted_read_only(disks, stores, rng, end):
    """Recovery needs no space that the store does not have. For writing there must be
    room for a log, and the message says so."""
    need_loop_devices()
    disk = disks.ext4(64)
    mnt = stores.mount(store_on(disk, stores, dim=4096), options=["durability=always"])
    data = {number: rng.randbytes(mnt.size) for number in range(40)}
    for number, bytes_ in data.items():
        mnt.put(number, bytes_)
    for number in range(0, 40, 4):
        os.unlink(mnt.path(number))
        del data[number]
    if end == "killed":
        mnt.kill()
        os.system(f"umount {mnt.point}")
    else:
        mnt.unmount()
    ballast = fill_up(disk)
    if end == "unmounted":  # after a crash the old log may make room
        said = quiverfs("mount", mnt.store.path, mnt.point, status=1).stderr
        assert "No space left" in said and str(mnt.store.path) in said
        assert "no faults\n" in quiverfs("check", mnt.store.path).stdout  # it is still closed
    for _ in range(2):
        again = stores.mount(mnt.store, options=["ro"])
        assert {number: again.get(number) for number in again.ids()} == data
        with refused(errno.EROFS):
            again.put(1, data[1])
        assert again.errors() == []
        again.unmount()
    assert quiverfs("status", mnt.store.path).returncode == 0
    ballast.unlink()
    again = stores.mount(mnt.store)
    again.put(0, data[1])
    assert again.get(0) == data[1] and again.ids() == {0, *data}


def test_space_that_somebody_else_frees_is_used_at_once(disks, stores, rng):
    need_loop_devices()
    disk = disks.ext4(128)
    mnt = stores.mount(store_on(disk, stores, dim=4096))
    data = rng.randbytes(mnt.size)
    mnt.put(0, data)
    ballast = disk.point / "ballast"
    with refused(errno.ENOSPC), open(ballast, "wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    count = fill(mnt, lambda number: data, first=1)
    assert mnt.get(count) == data
    ballast.unlink()
    for number in range(50000, 50000 + 1000):
        mnt.put(number, data)
    mnt.control("flush", "1")
    assert mnt.stats()["failed"] == "0"
    mnt.forget_errors()


@pytest.mark.parametrize("call", ["allocate", "write"])
def test_a_quota_is_a_full_disk(stores, rng, tmp, call):
    """EDQUOT from the calls that take space: refused, and the rest goes on."""
    need_shim()
    shim = Shim(tmp)
    mnt = stores.mount(stores.create(dim=16384), before=shim.words)
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    shim.fail(**{call: errno.EDQUOT})
    count = fill(mnt, lambda number: data, first=2)
    assert mnt.get(1) == data
    shim.fail()
    assert mnt.stats()["failed"] == "0"
    os.unlink(mnt.path(1))
    mnt.put(2, data)
    for number in range(100000, 100000 + 10):
        mnt.put(number, data)
    assert count >= 0 and mnt.ids() >= {2, *range(100000, 100010)}
    mnt.forget_errors()


# ---- disks that cannot do everything ---------------------------------------------


def tour(stores, store, rng):
    """Write, overwrite, delete, compact, kill, mount again."""
    mnt = stores.mount(store)
    data = {number: rng.randbytes(mnt.size) for number in range(3000)}
    for number, bytes_ in data.items():
        mnt.put(number, bytes_)
    for number in range(0, 3000, 3):
        data[number] = rng.randbytes(mnt.size)
        mnt.put(number, data[number])
    for number in range(500, 2500):
        os.unlink(mnt.path(number))
        del data[number]
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    assert mnt.errors() == []
    mnt.kill()
    os.system(f"umount {mnt.point}")
    again = stores.mount(store)
    assert again.ids() == set(data)
    assert all(again.get(number) == bytes_ for number, bytes_ in data.items())
    assert os.statvfs(again.vectors).f_bsize > 0
    return again


@pytest.mark.parametrize("kind", ["ramfs", "tmpfs"])
def test_a_filesystem_in_memory(disks, stores, rng, kind):
    """ramfs can neither allocate ahead nor punch holes, and tells no sizes."""
    disk = disks.memory(kind)
    tour(stores, store_on(disk, stores, dim=1000), rng)


def test_a_filesystem_without_extents(disks, stores, rng):
    """ext2: files are not allocated ahead."""
    need_loop_devices()
    image = disks.folder / "image"
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    assert shutil.which("mkfs.ext4")
    assert os.system(f"mkfs.ext4 -q -F -t ext2 {image}") == 0
    from disks import Disk
    disk = disks.add(Disk(image, disks.folder))
    tour(stores, store_on(disk, stores, dim=1000), rng)


def test_holes_that_cannot_be_punched_are_kept(stores, rng, tmp):
    need_shim()
    shim = Shim(tmp)
    shim.fail(punch=errno.EOPNOTSUPP)
    store = stores.create(dim=1000)
    mnt = stores.mount(store, before=shim.words)
    data = rng.randbytes(mnt.size)
    for number in range(300):
        mnt.put(number, data)
    for number in range(299):
        os.unlink(mnt.path(number))
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    for number in range(300):
        mnt.put(number, data)
    assert mnt.errors() == []


def test_a_disk_that_is_only_read_is_read(disks, stores, rng):
    """And says so to who wants more; so does a store there that was not closed."""
    need_loop_devices()
    disk = disks.ext4(192)
    store = store_on(disk, stores)
    mnt = stores.mount(store)
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.unmount()
    disk = disks.again(disk, options="ro")
    done = quiverfs("mount", store.path, mnt.point, status=1)
    assert "Read-only file system" in done.stderr and str(store.path) in done.stderr
    assert not is_mounted(mnt.point)
    seen = stores.mount(store, options=["ro"])
    assert seen.get(1) == data
    seen.unmount()
    disk = disks.again(disk)
    mnt = stores.mount(store, check=False)
    assert mnt.get(1) == data
    mnt.put(2, data)
    mnt.kill()
    run("umount", "-l", mnt.point)
    disks.again(disk, options="ro")
    done = quiverfs("mount", store.path, mnt.point, "-o", "ro", status=1)
    assert "was not closed" in done.stderr and str(store.path) in done.stderr
    assert "1 log records" in quiverfs("check", store.path).stdout


# ---- errors of the disk under the memory map ---------------------------------------


def test_a_file_cut_under_the_map_is_eio_for_what_is_gone(stores, rng):
    """vectors.npy truncated behind the daemon's back."""
    mnt = stores.mount(stores.create(dim=4096), check=False)
    data = [rng.randbytes(mnt.size) for _ in range(20)]
    for number, bytes_ in enumerate(data):
        mnt.put(number, bytes_)
    file = mnt.store.path / "vectors.npy"
    size = file.stat().st_size
    os.truncate(file, 4096 + 10 * mnt.size)
    for number in range(10):
        assert mnt.get(number) == data[number]
    for number in range(10, 20):
        with refused(errno.EIO):
            mnt.get(number)
        with opened(mnt.path(number), os.O_RDONLY) as fd, refused(errno.EIO):
            os.pread(fd, 1, 100)
    assert any("vector 10" in line for line in mnt.errors())
    assert int(mnt.stats()["io_errors"]) >= 10
    assert mnt.daemon.poll() is None
    mnt.control("verify", "start")
    assert mnt.finish_job("verify").startswith("idle")
    # Its length comes back, its bytes do not: zeros are not taken for a vector.
    os.truncate(file, size)
    for number in range(10, 20):
        with refused(errno.EIO):
            mnt.get(number)
    assert mnt.get(0) == data[0]
    mnt.take_away()


@pytest.mark.parametrize("name, row_bytes", [("ids.npy", 8), ("meta.npy", 56)])
def test_rows_cut_under_the_map_are_eio_and_nothing_is_doubled(stores, rng, name, row_bytes):
    """ids.npy or meta.npy truncated behind the daemon's back, so that searches run into it."""
    mnt = stores.mount(stores.create(dim=25), check=False)
    count, kept = 2000, 1024  # rows on whole pages stay
    data = {number: rng.randbytes(mnt.size) for number in range(count)}
    mnt.control("put", b"".join(number.to_bytes(8, "little") + bytes_
                                for number, bytes_ in data.items()))
    file = mnt.store.path / name
    size = file.stat().st_size
    os.truncate(file, 4096 + kept * row_bytes)
    for number in (0, 1, kept - 1):
        assert mnt.get(number) == data[number]
    for number in (kept, count - 1):
        with refused(errno.EIO):
            mnt.get(number)
    assert mnt.daemon.poll() is None
    assert any("npy" in line for line in mnt.errors())
    # What cannot be found is not made a second time.
    with refused(errno.EIO):
        write_all(mnt.path(count - 1), data[0])
    with refused(errno.EIO, errno.ENOENT):
        os.unlink(mnt.path(count - 1))
    len(os.listdir(mnt.vectors))
    mnt.control("verify", "start")
    mnt.finish_job("verify")
    assert mnt.get(0) == data[0]
    assert mnt.daemon.poll() is None
    os.truncate(file, size)
    mnt.kill()
    mnt.take_away()


def test_a_disk_that_cannot_be_read_is_eio_and_the_daemon_goes_on(disks, stores, rng):
    need_blockfile()
    disk = disks.ext4(192, with_block_file=True)
    store = store_on(disk, stores, dim=4096)
    mnt = stores.mount(store)
    data = {number: rng.randbytes(mnt.size) for number in range(200)}
    for number, bytes_ in data.items():
        mnt.put(number, bytes_)
    mnt.unmount()
    disks.again(disk)
    mnt = stores.mount(store, options=["ro"])
    assert mnt.get(0) == data[0]
    disks.block.fail("read")
    wrong = 0
    for number in range(1, 200):
        try:
            assert mnt.get(number) == data[number]
        except OSError as error:
            assert error.errno == errno.EIO
            wrong += 1
    assert wrong > 0 and mnt.get(0) == data[0]
    assert mnt.daemon.poll() is None and mnt.errors()
    disks.block.fail("none")
    assert all(mnt.get(number) == data[number] for number in data)
    mnt.take_away()  # its errors cannot be cleared, it being read-only
