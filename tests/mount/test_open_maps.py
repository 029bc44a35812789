"""Maps of matrix.npy and ids.npy that stay open show what has been put when it returns, whether
the kernel passes them through to the store's files or has pages of its own."""

import contextlib
import mmap
import os
import signal
import struct
import threading
import time

import pytest

from harness import let_go, run, shell, until
from ordinary_user import CONTROL
from patience import HANG_SECONDS
from peer import Peer, context
from stacked import on_overlay

BOTH_TRANSPORTS = True
DIM = 16
SIZE = DIM * 4
HEADER = 4096
FREE = 2**64 - 1
NAMES = (("matrix.npy", "vectors.npy"), ("ids.npy", "ids.npy"))
SECONDS = 60 if os.environ.get("QUIVERFS_TEST_LONG", "0") not in ("", "0") else 2

# ---- in the process of whoever mounted ------------------------------------------------

maps = {}


def map_both(point):
    """Map both files for as long as this process lives, or until `unmap_both`."""
    for name, _ in NAMES:
        fd = os.open(point / name, os.O_RDONLY)
        maps[name] = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)


def unmap_both():
    for mapped in maps.values():
        mapped.close()
    maps.clear()


def differences(store):
    """(file, offset, map's bytes, file's) of what is not in the maps as in the store's files."""
    found = []
    for name, below in NAMES:
        mapped = maps[name][:]
        with open(store / below, "rb") as file:
            data = file.read(len(mapped))
        assert len(data) == len(mapped)
        if data == mapped:
            continue
        found += [(name, at, mapped[at:at + 8], data[at:at + 8])
                  for at in range(0, len(data), 8) if mapped[at:at + 8] != data[at:at + 8]]
    return found[:4]


def rows(vector):
    """The rows of an ID, as the maps show them."""
    ids, matrix, key, found, at = maps["ids.npy"], maps["matrix.npy"], vector.to_bytes(8, "little"), [], HEADER
    while True:
        at = ids.find(key, at)
        if at < 0:
            return found
        if at % 8 == 0:
            row = (at - HEADER) // 8
            found.append(matrix[HEADER + row * SIZE:HEADER + (row + 1) * SIZE])
        at += 1


def row_of(value):
    return struct.pack("<f", value) * DIM


def put(point, vector, value):
    with open(point / "vectors" / str(vector), "wb", buffering=0) as file:
        file.write(row_of(value))


def control(point, name, value):
    with open(point / "control" / name, "wb", buffering=0) as file:
        file.write(value)


def unlink_all(point, vectors):
    for vector in vectors:
        os.unlink(point / "vectors" / str(vector))


# ---- the mounts -----------------------------------------------------------------------


NEEDS_ROOT = pytest.mark.needs_root("has files passed through to the kernel")
KINDS = [pytest.param(name, marks=NEEDS_ROOT) for name in ("passed", "served")]
if os.geteuid() != 0:
    KINDS.append("user")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def overlay(tmp):
    with on_overlay(tmp) as made:
        yield made


@pytest.fixture
def mounted(request, kind, tmp, transport):
    """A mount of 300 vectors, and a process of whoever mounted it."""
    if kind == "served":
        folder = request.getfixturevalue("overlay")
    stores = request.getfixturevalue("stores")
    store = stores.create(dim=DIM)
    if kind == "served":
        shell(f"mv {store.path} {folder}/store")
        store.path = folder / "store"
    mnt = stores.mount(store)
    client = Peer()
    client.call(control, mnt.point, "put",
                b"".join(struct.pack("<Q", v) + row_of(v) for v in range(300)))
    client.call(control, mnt.point, "reserve", b"3000")
    yield mnt, client
    client.close()
    mnt.unmount()


def same(mnt, client):
    assert client.call(differences, mnt.store.path) == []


# ---- one after another ------------------------------------------------------------------


def test_each_change_is_there_when_it_returns(mounted, rng):
    mnt, client = mounted
    point = mnt.point
    client.call(map_both, point)

    def now(function, *words):
        same(mnt, client)  # every page is there
        client.call(function, *words)
        same(mnt, client)

    for vector in range(1000, 1010):
        now(put, point, vector, vector)
        assert client.call(rows, vector) == [row_of(vector)]
    for vector in rng.sample(range(300), 10):
        now(put, point, vector, vector + 0.5)
        assert row_of(vector + 0.5) in client.call(rows, vector)
    now(control, point, "checkpoint", b"1")
    many = rng.sample(range(300), 150)
    now(control, point, "put", b"".join(struct.pack("<Q", v) + row_of(v + 0.25) for v in many))
    assert all(row_of(v + 0.25) in client.call(rows, v) for v in many[::10])
    now(control, point, "checkpoint", b"1")
    for vector in range(100, 120):
        now("unlink", point / "vectors" / str(vector))
    assert len(client.call(rows, 100)) >= 1  # until the checkpoint
    now(control, point, "checkpoint", b"1")
    assert client.call(rows, 100) == []
    for vector in range(3000, 3030):  # into those rows
        now(put, point, vector, vector)
        assert client.call(rows, vector) == [row_of(vector)]


def test_patches_renames_views_and_modes(mounted):
    mnt, client = mounted
    point = mnt.point
    client.call(map_both, point)
    same(mnt, client)
    fd = client.call("open", str(point / "vectors/7"), os.O_RDWR)
    client.call("pwrite", fd, b"\x11" * 4, 8)
    client.call("fsync", fd)
    same(mnt, client)
    assert row_of(7)[:8] + b"\x11" * 4 + row_of(7)[12:] in client.call(rows, 7)
    client.call("pwrite", fd, b"\x22" * 4, 8)
    client.call("close", fd)
    same(mnt, client)
    client.write(point / "vectors/.new", row_of(8.5))
    client.call("rename", str(point / "vectors/.new"), str(point / "vectors/8"))
    same(mnt, client)
    assert row_of(8.5) in client.call(rows, 8)
    with contextlib.suppress(OSError):  # not before Linux 6.16
        client.call("rename", str(point / "vectors/9"), str(point / "vectors/9999"))
        assert client.call(rows, 9999) == [row_of(9)]
    same(mnt, client)
    client.write(point / "vectors/10.txt", b" ".join([b"1.5"] * DIM) + b"\n")
    same(mnt, client)
    assert row_of(1.5) in client.call(rows, 10)
    for mode in (b"none", b"always", b"flush", b"fsync"):
        client.call(put, point, 11, len(mode))
        same(mnt, client)
        client.call(control, point, "durability", mode)
        same(mnt, client)
        client.call(put, point, 12, len(mode) + 0.5)
        assert row_of(len(mode) + 0.5) in client.call(rows, 12)


def test_moves_holes_and_growth(mounted):
    mnt, client = mounted
    point = mnt.point
    for first in range(4000, 12000, 4000):
        client.call(control, point, "put", b"".join(
            struct.pack("<Q", v) + row_of(v) for v in range(first, first + 4000)))
    client.call(map_both, point)
    same(mnt, client)
    client.call(unlink_all, point, [v for v in range(4000, 10000) if v % 10])
    client.call(control, point, "checkpoint", b"1")
    same(mnt, client)
    slots = int(client.call(stats, point)["slots"])
    client.call(control, point, "reserve", b"%d" % (3 * slots))
    same(mnt, client)  # the header has changed
    assert int(client.call(stats, point)["slots"]) > slots
    client.call(control, point, "compact", b"start")
    until(lambda: client.read(point / "control/compact").startswith(b"idle"), "compaction")
    assert int(client.call(stats, point)["moved"]) > 500
    assert int(client.call(stats, point)["punches"]) > 0
    until(lambda: client.call(differences, mnt.store.path) == [], "the end of a compaction")
    client.call(unmap_both)
    client.call(control, point, "compact", b"start")  # now it is cut
    until(lambda: client.read(point / "control/compact").startswith(b"idle"), "compaction")
    until(lambda: int(client.call(stats, point)["slots"]) < slots, "a cut")
    # The number of slots is told before the files are cut, these after vectors.npy.
    until(lambda: os.stat(mnt.store.path / "ids.npy").st_size ==
          HEADER + int(client.call(stats, point)["slots"]) * 8, "the end of a cut")
    client.call(control, point, "reserve", b"100")
    client.call(map_both, point)
    until(lambda: client.call(differences, mnt.store.path) == [], "the headers of a cut")
    client.call(put, point, 5, 5.5)
    assert row_of(5.5) in client.call(rows, 5)
    # a put that leaves little room has the files grow behind it, with another header
    until(lambda: client.call(differences, mnt.store.path) == [], "the header of a growth")


def test_a_file_opened_anew_has_no_older_page(mounted):
    """Changed while it was closed, or open elsewhere."""
    mnt, client = mounted
    other = Peer()
    try:
        for turn in range(20):
            client.call(map_both, mnt.point)
            same(mnt, client)
            if turn % 2:
                other.call(map_both, mnt.point)
            client.call(unmap_both)
            client.call(put, mnt.point, turn, turn + 0.5)
            if turn % 4 < 2:
                client.call(control, mnt.point, "checkpoint", b"1")
            if turn % 2:
                assert other.call(differences, mnt.store.path) == []
                other.call(unmap_both)
    finally:
        other.close()


def test_sizes_and_times_are_fresh(mounted):
    mnt, client = mounted
    client.call(map_both, mnt.point)
    for name, below in NAMES:
        path = mnt.point / name
        before = client.call("stat", path)
        client.call(put, mnt.point, 3, before.st_size)
        after = client.call("stat", path)
        assert after.st_mtime_ns > before.st_mtime_ns
        client.call(control, mnt.point, "reserve", b"%d" % (before.st_size * 2 // 8))
        assert client.call("stat", path).st_size > before.st_size
        assert client.call("stat", path).st_size == os.stat(mnt.store.path / below).st_size


def stats(point):
    text = (point / "control/stats").read_text(encoding="ascii")
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_whether_it_is_passed_through_is_told(mounted, kind):
    mnt, client = mounted
    client.call(map_both, mnt.point)
    told = client.call(stats, mnt.point)
    assert told["passthrough"] == ("yes" if kind == "passed" else "no")
    if kind == "user":
        assert "CAP_SYS_ADMIN" in told["passthrough_reason"]
    assert f'passthrough="{told["passthrough"]}"' in client.read(
        mnt.point / "control/metrics").decode()


# ---- at the same time -------------------------------------------------------------------


def in_child(function, *words):
    def body():
        function(*words)
        os._exit(0)

    child = context.Process(target=body, daemon=True)
    child.start()
    return child


def write_for(point, mine, seconds):
    """Put own vectors, each found at once in the maps of this process."""
    map_both(point)
    end, turn, turns = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        turn += 1
        for vector in mine:
            put(point, vector, turn + vector / 1024)
            if row_of(turn + vector / 1024) not in rows(vector):
                print(f"vector {vector} turn {turn}: not in the maps", flush=True)
                os._exit(1)
            turns += 1
    if turns < seconds:  # each waited out
        os._exit(2)


def page_for(point, seconds):
    """Read all pages over and over, as they are dropped."""
    map_both(point)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for mapped in maps.values():
            sum(mapped[::512])


def checkpoint_for(point, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        control(point, "checkpoint", b"1")
        time.sleep(0.01)


def test_writers_beside_who_reads_the_pages(mounted):
    mnt, client = mounted
    children = [in_child(write_for, mnt.point, range(i * 4, i * 4 + 4), SECONDS)
                for i in range(6)]
    children += [in_child(page_for, mnt.point, SECONDS) for _ in range(3)]
    children += [in_child(checkpoint_for, mnt.point, SECONDS)]
    for child in children:
        child.join(HANG_SECONDS)
        assert child.exitcode == 0
    client.call(map_both, mnt.point)
    same(mnt, client)


def crowd(point, seconds):
    """More writes at once than a ring has entries, all on one processor."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    end = time.monotonic() + seconds
    longest = [0.0] * 80

    def write(i):
        fd = os.open(point / "vectors" / str(i), os.O_WRONLY)
        while time.monotonic() < end:
            began = time.monotonic()
            os.pwrite(fd, row_of(began), 0)
            longest[i] = max(longest[i], time.monotonic() - began)
        os.close(fd)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"the longest write took {max(longest):.3f} s", flush=True)
    if max(longest) > 30:
        os._exit(1)


def page_on_it(point, seconds):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    page_for(point, seconds)


def test_a_crowd_of_writers_does_not_wait_for_itself(mounted):
    """The READ of a page that writers wait for needs an entry of the ring that they fill."""
    mnt, client = mounted
    children = [in_child(crowd, mnt.point, SECONDS)]
    children += [in_child(page_on_it, mnt.point, SECONDS) for _ in range(2)]
    for child in children:
        child.join(HANG_SECONDS)
        assert child.exitcode == 0
    client.call(map_both, mnt.point)
    same(mnt, client)


def until_killed(function, *words):
    with contextlib.suppress(OSError):  # the mount is gone
        function(*words)


def test_a_signal_ends_the_mount_while_maps_are_open(mounted):
    mnt, client = mounted
    children = [in_child(until_killed, write_for, mnt.point, range(i * 4, i * 4 + 4), 60)
                for i in range(4)]
    children += [in_child(until_killed, page_for, mnt.point, 60) for _ in range(3)]
    time.sleep(1)
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == []
    for child in children:  # those who read have their pages still
        child.kill()
        child.join(HANG_SECONDS)
        assert child.exitcode is not None
    mnt.store.check()


@pytest.fixture
def abortable(kind):
    """root's daemon needs no help to abort a connection, an ordinary user's the kernel's control
    filesystem of FUSE."""
    if kind == "user" and not os.path.ismount(CONTROL):
        pytest.skip(f"{CONTROL} is not mounted")


def test_a_kill_ends_all_while_maps_are_open(abortable, mounted):
    """A thread that has the kernel drop a page waits for the READ of it, and cannot be killed."""
    mnt, client = mounted
    children = [in_child(until_killed, write_for, mnt.point, range(i * 4, i * 4 + 4), 60)
                for i in range(4)]
    children += [in_child(until_killed, page_for, mnt.point, 60) for _ in range(3)]
    time.sleep(1)
    mnt.kill()
    for child in children:  # those who read have their pages still
        child.kill()
        child.join(HANG_SECONDS)
        assert child.exitcode is not None
    client.call("getpid")
    let_go(mnt.point)
