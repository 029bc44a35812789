"""What a cluster refuses or has lost, by a real one of three OSDs, and daemons that are killed:
what each call returns then, and that nothing acknowledged is lost."""

import errno
import itertools
import os
import struct
import subprocess
import threading
import time

import pytest

import harness
from clusters import Collection
from files import CUT_OFF
from harness import let_go, quiverfs, run, until
from load import content, error_of, finish, load_of, version_of, write

WHOLE_CLUSTER = True
LONG_TIMEOUT = "op_timeout=3600"
ROUNDS = 8 if harness.LONG else 3
pools = (f"pool{number}" for number in itertools.count())


@pytest.fixture
def pool(cluster):
    """A pool of the test's own."""
    name = next(pools)
    cluster.ceph("osd", "pool", "create", name, "8")
    cluster.ceph("osd", "pool", "application", "enable", name, "quiverfs")
    cluster.clean()
    yield name
    cluster.ceph("osd", "pool", "delete", name, name, "--yes-i-really-really-mean-it")


# ---- no room -----------------------------------------------------------------


def fill_up(mount, vectors, refusal):
    """Put new vectors until there is no room; those that were acknowledged."""
    there = []

    def is_full():
        vector = next(vectors)
        number = error_of(write, mount.path(vector), content(vector, mount.size))
        if number == 0:
            there.append(vector)
        assert number in (0, refusal), errno.errorcode[number]
        return number != 0

    until(is_full, "there is always room")
    return there


def look_at_full(mount, other, vectors, refusal, words):
    """Without room what is there is read, overwritten and removed."""
    there = [1, 2, *fill_up(mount, vectors, refusal)]
    assert any(words in line for line in mount.errors()), mount.errors()
    mount.put(1, content(9, mount.size))
    assert version_of(other.get(1), mount.size) == 9
    os.unlink(mount.path(2))
    assert not other.has(2)
    there.remove(2)
    assert other.ids() == set(there)
    for vector in there[1:]:
        assert version_of(other.get(vector), mount.size) == vector
    mount.forget_errors()


def room_again(mount, vectors):
    until(lambda: error_of(write, mount.path(next(vectors)), content(5, mount.size)) == 0,
          "there is no room again")
    mount.forget_errors()


def test_without_room_what_is_there_is_overwritten_and_removed(healed, pair):
    here, there = pair(LONG_TIMEOUT)
    vectors = itertools.count(1000, 1000)
    here.put(1, content(1, here.size))
    here.put(2, content(2, here.size))
    healed.full(True)
    look_at_full(here, there, vectors, errno.ENOSPC, "full")
    healed.full(False)
    room_again(here, vectors)
    assert there.ids() == here.ids()


def test_a_quota_is_as_no_room(healed, pool, stores, pair):
    store = Collection(stores.folder, dim=768, pool=pool)
    here, there = pair(LONG_TIMEOUT, store=store)
    vectors = itertools.count(1000, 1000)
    here.put(1, content(1, here.size))
    here.put(2, content(2, here.size))
    healed.ceph("osd", "pool", "set-quota", pool, "max_bytes", "200000")
    look_at_full(here, there, vectors, errno.EDQUOT, "quota")
    healed.ceph("osd", "pool", "set-quota", pool, "max_bytes", "0")
    room_again(here, vectors)


# ---- who is not wanted any more -----------------------------------------------


def look_at_dead(mount, vector, words):
    """Nothing works, and each call says EIO."""
    path = mount.path(vector)
    calls = {
        "read": lambda: mount.get(vector),
        "a vector that is not there": lambda: os.stat(mount.path(987654)),
        "write": lambda: write(path, content(2, mount.size)),
        "make": lambda: write(mount.path(123456), content(2, mount.size)),
        "remove": lambda: os.unlink(path),
        "attributes": lambda: os.chmod(path, 0o600),
        "list": lambda: os.listdir(mount.vectors),
        "room": lambda: os.statvfs(mount.vectors),
        "batch": lambda: mount.control("put", struct.pack("<Q", vector) + content(2, mount.size)),
    }
    told = {name: errno.errorcode.get(error_of(call), "done") for name, call in calls.items()}
    assert set(told.values()) == {"EIO"}, told
    lines = mount.errors()
    assert any(words in line for line in lines), lines
    mount.forget_errors()


def test_a_client_that_is_fenced_says_so(healed, stores):
    store = stores.create(dim=768)
    here = stores.mount(store, name="here")
    here.put(1, content(1, here.size))
    [address] = healed.addresses(store)
    there = stores.mount(store, name="there")
    fd = os.open(here.path(1), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, content(7, here.size)[:-8])
    healed.fence(address)
    until(lambda: error_of(here.get, 1) == errno.EIO, "it is not fenced")
    assert finish(fd, content(7, here.size)) == errno.EIO
    look_at_dead(here, 1, "fenced")
    assert version_of(there.get(1), here.size) == 1
    there.put(1, content(2, here.size))
    again = stores.mount(store, name="again")
    assert version_of(again.get(1), here.size) == 2
    again.put(1, content(3, here.size))
    assert version_of(there.get(1), here.size) == 3


def test_a_collection_that_is_removed_is_not_one_without_vectors(healed, stores):
    store = stores.create(dim=768)
    here = stores.mount(store, check=False)
    here.put(1, content(1, here.size))
    assert not here.has(2)
    quiverfs("remove", store.path, "--yes")
    until(lambda: error_of(os.listdir, here.vectors) == errno.EIO, "it is still listed")
    look_at_dead(here, 1, "removed")
    # Nor is another of that name the one that is mounted.
    quiverfs("create", store.path, "--dim", "768")
    look_at_dead(here, 1, "removed")
    assert quiverfs("check", store.path).stdout.count(" 0 vectors") == 1


def test_a_pool_that_is_removed_is_not_an_empty_one(healed, stores):
    name = next(pools)
    healed.ceph("osd", "pool", "create", name, "8")
    healed.clean()
    store = Collection(stores.folder, dim=768, pool=name)
    here = stores.mount(store, check=False)
    here.put(1, content(1, here.size))
    healed.ceph("osd", "pool", "delete", name, name, "--yes-i-really-really-mean-it")
    until(lambda: error_of(os.listdir, here.vectors) == errno.EIO, "it is still listed")
    look_at_dead(here, 1, "pool")


# ---- a daemon that is killed ---------------------------------------------------

# Of calls while nothing is mounted, beside those that were under way.
NOT_MOUNTED = (errno.ENOENT, errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED, *CUT_OFF)


def again(stores, mount):
    """Mount anew what was killed."""
    let_go(mount.point, status=None)
    return stores.mount(mount.store, name=mount.point.name, options=mount.options)


def test_a_daemon_that_is_killed_loses_nothing_acknowledged(healed, stores, pair, rng):
    here, there = pair(LONG_TIMEOUT)
    load = load_of(here, there)
    for _ in range(3 * ROUNDS):
        time.sleep(rng.random())
        here.kill()
        here = again(stores, here)
        load.progress()
    load.stop(expect=NOT_MOUNTED)
    for mount in (here, there):
        mount.forget_errors()


def test_a_move_that_a_kill_cuts_in_two_loses_nothing(healed, stores, rng):
    """To an ID in another object it is a copy and a removal."""
    store = stores.create(dim=768)
    here = stores.mount(store, name="here")
    there = stores.mount(store, name="there")
    vectors = range(20)
    for vector in vectors:
        here.put(vector, content(vector, here.size))
    both = 0
    for number in range(2 * ROUNDS):
        source, target = (0, 10000) if number % 2 == 0 else (10000, 0)
        for vector in vectors:  # where the last round has left it
            if not there.has(source + vector):
                there.put(source + vector, content(vector, there.size))
                os.unlink(there.path(target + vector))
        moves = "; ".join(f"mv {here.path(source + vector)} {here.path(target + vector)}"
                          for vector in vectors)
        with subprocess.Popen(["bash", "-c", moves], stderr=subprocess.DEVNULL):
            time.sleep(rng.random() * 0.3)
            here.kill()
        here = again(stores, here)
        for vector in vectors:
            places = [place for place in (source, target) if there.has(place + vector)]
            assert places, f"vector {vector} is lost"
            both += len(places) == 2
            for place in places:
                for mount in (here, there):
                    assert version_of(mount.get(place + vector), here.size) == vector
            if len(places) == 2:
                os.unlink(there.path(target + vector))
    print(f"at both places after a kill: {both}")
    for mount in (here, there):
        mount.forget_errors()


def test_a_batch_that_a_kill_cuts_is_whole_in_each_object(healed, stores, rng):
    store = stores.create(dim=768)
    here = stores.mount(store, name="here")
    there = stores.mount(store, name="there")
    slots = int(here.stats()["slots_per_object"])
    vectors = range(0, 2 * slots, 2)
    objects = [[first + slots * 10 * number for first in vectors if first < slots]
               for number in range(4)]
    ids = [vector for one in objects for vector in one]
    old = 1
    cut = 0
    for version in range(2, 2 + 2 * ROUNDS):
        for vector in ids if version == 2 else ():
            there.put(vector, content(old, here.size))
        batch = b"".join(struct.pack("<Q", vector) + content(version, here.size) for vector in ids)
        putting = threading.Thread(target=error_of, args=(here.control, "put", batch))
        putting.start()
        time.sleep(rng.random() * 0.02)
        here.kill()
        putting.join()
        here = again(stores, here)
        seen = [{version_of(there.get(vector), here.size) for vector in one} for one in objects]
        assert all(len(versions) == 1 for versions in seen), seen
        assert all(versions <= set(range(1, version + 1)) for versions in seen), seen
        cut += len(set.union(*seen)) > 1
    print(f"batches that were cut: {cut}")
    for mount in (here, there):
        mount.forget_errors()


def test_an_import_that_is_killed_is_finished_by_another(healed, stores, tmp, rng):
    store = stores.create(dim=768)
    source = tmp / "vectors.fvecs"
    count = 2000
    source.write_bytes(b"".join(struct.pack("<I", 768) + content(number, 3072)
                                for number in range(count)))
    there = stores.mount(store)
    for _ in range(ROUNDS):
        with subprocess.Popen([harness.QUIVERFS, "import", store.path, source],
                                      stdout=subprocess.DEVNULL) as running:
            time.sleep(0.05 + rng.random() / 2)
            running.kill()
        for vector in there.ids():
            assert version_of(there.get(vector), store.size) == vector
    quiverfs("import", store.path, source)
    assert there.ids() == set(range(count))
    assert version_of(there.get(count - 1), store.size) == count - 1


# ---- bytes that have changed -----------------------------------------------------


def object_of(mount, vector):
    slots = int(mount.stats()["slots_per_object"])
    return f"{mount.store.name}.{vector // slots:016x}", vector % slots


def expect_damage(mount, vector, good):
    """Of that vector alone; check finds it, and moves it aside."""
    assert error_of(mount.get, vector) == errno.EIO
    assert any(str(vector) in line for line in mount.errors()), mount.errors()
    for other, version in good.items():
        assert version_of(mount.get(other), mount.size) == version
    mount.forget_errors()
    mount.control("verify", "start\n")
    assert "1 " in mount.finish_job("verify")
    mount.forget_errors()
    found = quiverfs("check", mount.store.path, status=None)
    assert found.returncode != 0 and str(vector) in found.stdout + found.stderr
    quiverfs("check", "--repair", mount.store.path, status=None)
    assert not mount.has(vector)
    assert mount.ids() == set(good)
    mount.store.check()
    mount.put(vector, content(77, mount.size))
    assert version_of(mount.get(vector), mount.size) == 77
    mount.forget_errors()


@pytest.fixture
def some(stores):
    """A mount of three vectors in one object."""
    mount = stores.mount(stores.create(dim=768))
    for vector in (5, 6, 7):
        mount.put(vector, content(vector, mount.size))
    return mount


def test_a_byte_of_a_vector_that_has_changed_is_found(healed, some, tmp):
    name, slot = object_of(some, 6)
    bad = tmp / "bad"
    bad.write_bytes(b"\xff")
    stride = int(some.stats()["stride_bytes"])
    healed.rados("put", name, bad, "--offset", slot * stride + 1000)
    expect_damage(some, 6, {5: 5, 7: 7})


def test_a_byte_of_a_row_that_has_changed_is_found(healed, some, tmp):
    name, slot = object_of(some, 6)
    row = tmp / "row"
    healed.rados("getomapval", name, f"{slot:04x}", row)
    data = bytearray(row.read_bytes())
    data[40] ^= 1
    row.write_bytes(data)
    healed.rados("setomapval", name, f"{slot:04x}", "--input-file", row)
    expect_damage(some, 6, {5: 5, 7: 7})


def test_a_byte_that_has_changed_on_all_osds_is_found(healed, some, tmp):
    """As their own tool writes it, so that their checksums agree."""
    name, slot = object_of(some, 6)
    stride = int(some.stats()["stride_bytes"])
    healed.kill("osd.*")
    for number in range(3):
        words = ["ceph-objectstore-tool", "--data-path", healed.folder / f"osd.{number}",
                 "--no-mon-config"]
        [line] = run(*words, "--op", "list", name).stdout.decode().splitlines()
        data = tmp / f"data{number}"
        run(*words, line, "get-bytes", data)
        changed = bytearray(data.read_bytes())
        changed[slot * stride + 1000] ^= 1
        data.write_bytes(changed)
        run(*words, line, "set-bytes", data)
    healed.revive("osd.*")
    healed.clean()
    expect_damage(some, 6, {5: 5, 7: 7})


def test_an_object_that_no_osd_can_read_is_named_and_the_others_are_checked(healed, pool, tmp):
    here = Collection(tmp, dim=1024, pool=pool)  # of which an object has 64 vectors
    raw = tmp / "raw"
    raw.write_bytes(os.urandom(130 * here.size))
    quiverfs("import", here.path, raw, "--format", "raw")
    lost = f"{here.name}.{1:016x}"
    for osd in range(3):
        run("ceph", "tell", f"osd.{osd}", "config", "set", "bluestore_debug_inject_read_err",
            "true")
        run("ceph", "tell", f"osd.{osd}", "injectdataerr", pool, lost)
    done = quiverfs("check", here.path, "-o", "op_timeout=5", status=1)
    assert f"the object {lost}: no answer from the cluster within 5 s" in done.stdout
    assert "66 vectors checked, 1 faults, 0 put right" in done.stdout


def test_a_byte_that_has_changed_on_the_disk_of_one_osd_is_nobody_s_loss(healed, stores):
    """The OSD knows by its own checksums, and reads another's."""
    here = stores.mount(stores.create(dim=768))
    mark = b"a mark that is nowhere else." * 100
    data = (mark + bytes(here.size))[:here.size]
    here.put(6, data)
    name, _ = object_of(here, 6)
    first = healed.ceph("osd", "map", "quiver", name)["acting_primary"]
    healed.kill(f"osd.{first}")
    found = 0
    with open(healed.folder / f"osd.{first}" / "block", "r+b") as disk:
        for at, piece in pieces(disk):
            place = piece.find(mark)
            if place >= 0:
                disk.seek(at + place + 50)
                disk.write(b"X")
                found += 1
    assert found
    healed.revive(f"osd.{first}")
    healed.clean()
    assert here.get(6) == data
    here.store.check()


def pieces(disk):
    """The parts of a sparse file that there are."""
    at, size = 0, os.fstat(disk.fileno()).st_size
    while at < size:
        try:
            at = os.lseek(disk.fileno(), at, os.SEEK_DATA)
            end = os.lseek(disk.fileno(), at, os.SEEK_HOLE)
        except OSError:
            return
        disk.seek(at)
        yield at, disk.read(end - at)
        at = end
