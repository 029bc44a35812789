"""Two mounts of one store that others change at any time (tests/kind/shared_kind.c), as those of
two machines: what one has written the other shows at once, and whole."""

import os
import subprocess

import pytest

from harness import LONG, Store

pytestmark = pytest.mark.skipif(os.environ.get("QUIVERFS_KIND") != "shared",
                                reason="a store of one machine")

CROSS = os.environ.get("QUIVERFS_CROSS")
SECONDS = 60 if LONG else 4


@pytest.fixture
def calls(tmp, monkeypatch):
    """What the store was asked since the last look, of those that matter."""
    path = tmp / "calls"
    monkeypatch.setenv("QUIVERFS_KIND_CALLS", str(path))

    def look():
        text = path.read_text(encoding="ascii").split()
        os.truncate(path, 0)
        return [call for call in text if call != "dir_attr"]
    return look


@pytest.fixture
def two(stores):
    """Two mounts of one store, which is no local folder that `quiverfs check` knows."""
    return mount_twice(stores, 768)


def mount_twice(stores, dim, **options):
    store = stores.create(dim=dim)
    return (stores.mount(store, name="one", check=False, **options),
            stores.mount(store, name="two", check=False, **options))


def cross(one, two):
    words = [CROSS, str(one.vectors), str(two.vectors), str(one.size), str(SECONDS)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    counts = {name: int(number) for name, number in map(str.split, done.stdout.splitlines())}
    print(counts)
    return done.returncode, counts


# One page, and several.
@pytest.mark.parametrize("dim", [768, 4096])
def test_nothing_is_torn_or_older_than_the_last_close_before_its_open(stores, dim):
    one, two = mount_twice(stores, dim)
    code, counts = cross(one, two)
    assert counts["reads"] > 100 and counts["maps"] > 10 and counts["listings"] > 10
    assert code == 0, counts
    code, counts = cross(two, two)
    assert code == 0, counts


# ---- what one call asks the store ----------------------------------------

def test_open_read_and_close_are_one_read_of_the_store(calls, two):
    one, two = two
    one.put(42, bytes(range(256)) * 12)
    calls()
    fd = os.open(two.path(42), os.O_RDONLY)
    assert calls() == ["get"]
    assert os.read(fd, 2 * two.size) == bytes(range(256)) * 12
    assert os.read(fd, 10) == b""
    os.close(fd)
    assert calls() == []
    os.stat(two.path(42))
    assert calls() == ["get"]


def test_what_a_lookup_read_answers_nothing_but_its_own_call(calls, two):
    one, two = two
    one.put(42, bytes(one.size))
    fd = os.open(two.path(42), os.O_RDONLY)
    calls()
    os.fstat(fd)  # of a call that has looked up nothing
    assert calls() == ["stat"]
    path_fd = os.open(two.path(42), os.O_PATH)  # looks up, and asks for nothing
    os.read(fd, 10)
    os.fstat(fd)
    assert calls() == ["get", "stat"]
    os.close(path_fd)
    os.close(fd)


def write(path, data):
    """As open(2), write(2) and close(2) alone: Python's own open looks at the file as well."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.close(fd)


def test_an_overwrite_and_a_create_ask_no_more_than_they_must(calls, two):
    one, two = two
    calls()
    write(one.path(42), bytes(one.size))
    assert calls() == ["get", "put"]
    write(two.path(42), bytes(one.size))
    assert calls() == ["get", "put"]
