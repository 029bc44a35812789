"""Reading the directory."""

import ctypes
import os
import random
import subprocess

import pytest

from files import libc, opened, write_all
from harness import run, shell
from kernel_caches import forget_names, kernel_caches
from peer import Peer

BOTH_TRANSPORTS = True
COUNT = 12000


def put_all(mnt, ids):
    records = [vector.to_bytes(8, "little") + bytes(mnt.size) for vector in ids]
    for at in range(0, len(records), 2000):
        mnt.control("put", b"".join(records[at:at + 2000]))


def test_every_tool_lists_all_of_many(mnt, rng):
    ids = rng.sample(range(2**62), COUNT)
    put_all(mnt, ids)
    names = {str(vector) for vector in ids}
    assert set(os.listdir(mnt.vectors)) == names
    assert len(os.listdir(mnt.vectors)) == COUNT
    with os.scandir(mnt.vectors) as entries:
        found = [(entry.name, entry.is_file(follow_symlinks=False)) for entry in entries]
    assert len(found) == COUNT
    assert {name for name, good in found if good} == names
    assert int(shell(f"ls {mnt.vectors} | wc -l").stdout) == COUNT
    assert int(shell(f"ls -l {mnt.vectors} | grep -c ' {mnt.size} '").stdout) == COUNT
    assert int(shell(f"find {mnt.vectors} -type f | wc -l").stdout) == COUNT
    assert shell(f"ls -f {mnt.vectors} | head -n 2").stdout == b".\n..\n"


@pytest.mark.local("columns")
def test_slot_order_then_scratch_files(mnt, rng):
    ids = rng.sample(range(2**62), 500)
    put_all(mnt, ids)
    write_all(mnt.path(".b"), b"b")
    write_all(mnt.path(".a"), b"a")
    listed = os.listdir(mnt.vectors)
    assert listed[:-2] == [str(vector) for vector in ids]
    assert listed[-2:] == [".b", ".a"]
    rows = mnt.point / "ids.npy"
    slots = [value for value in read_ids(rows) if value != 2**64 - 1]
    assert slots == ids


def read_ids(path):
    data = path.read_bytes()[4096:]
    return [int.from_bytes(data[at:at + 8], "little") for at in range(0, len(data), 8)]


def test_uncommitted_creations_are_not_listed(mnt):
    mnt.put(1, bytes(mnt.size))
    with opened(mnt.path(2), os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, bytes(99))
        assert os.listdir(mnt.vectors) == ["1"]
        os.write(fd, bytes(1))
        assert os.listdir(mnt.vectors) == ["1"]
        os.close(fd)
    assert os.listdir(mnt.vectors) == ["1", "2"]


def disturb(folder, size, seed, rounds):
    """Create, remove, overwrite and rename others than multiples of 3, and overwrite these."""
    rng = random.Random(seed)
    for _ in range(rounds):
        vector = rng.randrange(COUNT)
        path = f"{folder}/{vector}"
        if vector % 3 == 0 or rng.random() < 0.4:
            write_all(path, bytes(size))
        elif rng.random() < 0.5 and os.path.exists(path):
            os.unlink(path)
        elif os.path.exists(path):
            os.rename(path, f"{folder}/{COUNT + rng.randrange(COUNT)}")


@pytest.mark.local("jobs")
def test_what_exists_throughout_is_listed_once(mnt, rng):
    put_all(mnt, range(COUNT))
    steady = {str(vector) for vector in range(0, COUNT, 3)}
    other = Peer()
    try:
        other.start(disturb, str(mnt.vectors), mnt.size, rng.random(), 6000)
        rounds = 0
        while rounds < 6 or not other.pipe.poll():
            if rounds % 2 == 0 and mnt.control("compact").startswith("idle"):
                mnt.control("compact", "start")
            if rounds % 3 == 2:
                with subprocess.Popen(["ls", "-U", mnt.vectors], stdout=subprocess.PIPE) as tool:
                    listed = tool.stdout.read().decode().split()
            else:
                with os.scandir(mnt.vectors) as entries:
                    listed = [entry.name for entry in entries]
            found = set(listed)
            assert len(found) == len(listed), "an entry appears twice"
            assert steady <= found
            rounds += 1
        other.result()
    finally:
        other.close()
    mnt.finish_job("compact")


def test_entries_gone_since_the_start_are_skipped(mnt):
    put_all(mnt, range(COUNT))
    with os.scandir(mnt.vectors) as entries:
        first = [next(entries).name for _ in range(10)]
        run("find", mnt.vectors, "-type", "f", "-delete")
        put_all(mnt, range(COUNT, COUNT + 10))
        rest = [entry.name for entry in entries]
    # the kernel and the C library have some in their buffers
    assert len(rest) < COUNT / 2
    assert not set(first) & set(rest)
    assert len(os.listdir(mnt.vectors)) == 10


class Stream:
    """A directory stream of the C library: Python has no telldir."""

    class Entry(ctypes.Structure):
        _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
                    ("length", ctypes.c_ushort), ("kind", ctypes.c_ubyte),
                    ("name", ctypes.c_char * 256)]

    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.POINTER(Entry)
    libc.telldir.restype = ctypes.c_long

    def __init__(self, path):
        self.stream = ctypes.c_void_p(libc.opendir(os.fsencode(path)))
        assert self.stream

    def next(self):
        entry = libc.readdir(self.stream)
        return entry.contents.name.decode() if entry else None

    def rest(self):
        names = []
        while (name := self.next()) is not None:
            names.append(name)
        return names

    def tell(self):
        return libc.telldir(self.stream)

    def seek(self, place):
        libc.seekdir(self.stream, ctypes.c_long(place))

    def rewind(self):
        libc.rewinddir(self.stream)

    def close(self):
        libc.closedir(self.stream)


def test_seek_and_rewind(mnt, rng):
    put_all(mnt, rng.sample(range(2**62), 3000))
    stream = Stream(mnt.vectors)
    places = []
    names = []
    while True:
        places.append(stream.tell())
        name = stream.next()
        if name is None:
            break
        names.append(name)
    assert names[:2] == [".", ".."]
    assert len(names) == 3002
    for at in rng.sample(range(3002), 30):
        stream.seek(places[at])
        assert stream.next() == names[at]
    stream.seek(places[1000])
    assert stream.rest() == names[1000:]
    mnt.put(7, bytes(mnt.size))
    stream.rewind()
    assert stream.rest() == names + ["7"]
    stream.close()


def test_two_streams_do_not_disturb_each_other(mnt):
    put_all(mnt, range(3000))
    one, two = Stream(mnt.vectors), Stream(mnt.vectors)
    first = [one.next() for _ in range(1500)]
    assert len(two.rest()) == 3002
    assert len(set(first + one.rest())) == 3002
    one.close()
    two.close()


def test_a_read_only_mount_lists_the_same(stores, rng):
    mnt = stores.mount()
    ids = rng.sample(range(2**62), 5000)
    put_all(mnt, ids)
    before = os.listdir(mnt.vectors)
    mnt = stores.again(mnt, options=["ro"])
    for _ in range(3):
        assert os.listdir(mnt.vectors) == before
    one, two = Stream(mnt.vectors), Stream(mnt.vectors)
    first = [one.next() for _ in range(2500)]
    assert len(two.rest()) == 5002
    assert len(set(first + one.rest())) == 5002
    two.rewind()
    assert len(two.rest()) == 5002
    one.close()
    two.close()
    assert int(shell(f"ls -l {mnt.vectors} | grep -c ' {mnt.size} '").stdout) == 5000


def looked_up(mnt):
    return int(mnt.stats()["lookups"])


def cost_in_lookups(mnt, names):
    before = looked_up(mnt)
    for name in names:
        os.stat(mnt.vectors / name)
    return looked_up(mnt) - before


FIRST = 131072  # so many come with attributes, but for one in 64
PROBES = FIRST // 40


def many(stores, more):
    mnt = stores.mount(stores.create(1, "u1"))
    put_all(mnt, range(FIRST + more))
    return stores.again(mnt)


@pytest.mark.needs_root("has the kernel drop its caches")
@pytest.mark.local("time for so many names")
def test_names_alone_cost_the_kernel_little(stores, rng):
    """The first come with attributes. Once nobody has wanted them, none do, until they are."""
    more = 20000
    mnt = many(stores, more)
    with kernel_caches():
        names = os.listdir(mnt.vectors)
        assert len(names) == FIRST + more
        assert cost_in_lookups(mnt, names[:1000]) < 100
        assert cost_in_lookups(mnt, names[FIRST:]) > more * 3 // 4
        forget_names()
        assert os.listdir(mnt.vectors) == names
        forget_names()
        assert os.listdir(mnt.vectors) == names
        assert cost_in_lookups(mnt, names[:more]) == more
        assert cost_in_lookups(mnt, names[more:]) == FIRST
        forget_names()
        assert os.listdir(mnt.vectors) == names
        assert cost_in_lookups(mnt, names[:FIRST]) < PROBES


@pytest.mark.local("time for so many names")
def test_attributes_go_on_where_the_first_were_looked_up(stores, rng):
    """As find does it: 100,000 names, then their attributes, then on."""
    mnt = many(stores, 20000)
    names = []
    with kernel_caches(exclusive=False):
        with os.scandir(mnt.vectors) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) == 100000:
                    assert cost_in_lookups(mnt, names) < PROBES
        assert len(set(names)) == FIRST + 20000
        assert cost_in_lookups(mnt, names[100000:]) <= 1000  # what was read ahead by then


@pytest.mark.local("time for so many names")
def test_ls_looks_up_next_to_nothing(stores, rng):
    mnt = stores.mount()
    put_all(mnt, rng.sample(range(2**62), COUNT))
    mnt = stores.again(mnt)
    with kernel_caches(exclusive=False):
        assert int(shell(f"ls -l {mnt.vectors} | grep -c ' {mnt.size} '").stdout) == COUNT
        assert looked_up(mnt) < 100
