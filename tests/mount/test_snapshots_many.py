"""A thousand snapshots of one store."""

import errno
import os

import pytest

from files import refused
from harness import run, until
from snapshot_state import folder_of, rows, take

pytestmark = pytest.mark.local("snapshots")
OPEN_MAX, IDLE_MAX = 1024, 64  # snapshots.h


def test_a_thousand_of_one_store(mnt, rng, many_descriptors):
    data = {str(vector): rng.randbytes(mnt.size) for vector in rng.sample(range(10**6), 12)}
    for name, row in data.items():
        mnt.put(name, row)
    states = []
    for turn in range(OPEN_MAX + 10):
        take(mnt, f"s{turn}")
        states.append(dict(data))
        name = rng.choice(list(data))
        data[name] = rng.randbytes(mnt.size)
        mnt.put(name, data[name])
    assert os.listdir(mnt.point / "snapshots") == [f"s{turn}" for turn in range(OPEN_MAX + 10)]
    assert mnt.stats()["snapshots"] == str(OPEN_MAX + 10)
    lines = run("ls", "-lR", mnt.point / "snapshots").stdout.splitlines()
    assert sum(line.startswith(b"-") for line in lines) == (OPEN_MAX + 10) * (12 + 2 + 12)
    for turn in rng.sample(range(OPEN_MAX), 200):
        folder = folder_of(mnt, f"s{turn}") / "vectors"
        assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == states[turn]
    open_in_each_of_too_many(mnt, list(data)[0], states)
    for turn in range(0, OPEN_MAX + 10, 2):
        os.rmdir(folder_of(mnt, f"s{turn}"))
    for turn in rng.sample(range(1, OPEN_MAX, 2), 100):
        assert rows(folder_of(mnt, f"s{turn}")) == states[turn]
    assert len(os.listdir(mnt.point / "snapshots")) == OPEN_MAX // 2 + 5


def open_in_each_of_too_many(mnt, name, states):
    """Each in use takes memory, so there is a bound; what is not used makes room."""
    paths = [folder_of(mnt, f"s{turn}") / "vectors" / name for turn in range(OPEN_MAX + 1)]
    fds = [os.open(path, os.O_RDONLY) for path in paths[:OPEN_MAX]]
    with refused(errno.ENFILE):
        os.open(paths[OPEN_MAX], os.O_RDONLY)
    mnt.expect_error(f"snapshots/s{OPEN_MAX}: cannot be opened: files are open in 1,024")
    for fd, state in zip(fds, states):
        assert os.pread(fd, 1000, 0) == state[name]
        os.close(fd)
    until(lambda: can_be_read(paths[OPEN_MAX]), "it stays refused")
    mnt.forget_errors()
    assert paths[OPEN_MAX].read_bytes() == states[OPEN_MAX][name]


def test_a_view_that_is_open_on_a_read_only_mount_stays(stores, mnt, rng):
    """There the kernel opens by itself, so that nobody knows."""
    mnt.put(7, rng.randbytes(mnt.size))
    text = mnt.get("7.txt")
    for turn in range(IDLE_MAX + 10):
        take(mnt, f"s{turn}")
    mnt = stores.again(mnt, options=["ro"])
    with open(folder_of(mnt, "s0") / "vectors/7.txt", "rb", buffering=0) as file:
        for turn in range(1, IDLE_MAX + 10):
            assert len(os.listdir(folder_of(mnt, f"s{turn}") / "vectors")) == 1
        assert file.read() == text
        assert os.fstat(file.fileno()).st_size == len(text)


def can_be_read(path):
    try:
        return len(path.read_bytes()) > 0
    except OSError as error:
        assert error.errno == errno.ENFILE
        return False
