"""Two mounts of one store that others change at any time (tests/kind/shared_kind.c), as those of
two machines: what one has written the other shows at once, and whole."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import LONG, is_mounted, let_go, wait_for

pytestmark = pytest.mark.skipif(os.environ.get("QUIVERFS_KIND") != "shared",
                                reason="a store of one machine")

CROSS = os.environ.get("QUIVERFS_CROSS")
SECONDS = 60 if LONG else 4
SOON_SECONDS = 3


class Cluster:
    """What is wrong with the store, for both mounts."""

    def __init__(self, path):
        self.faults = path
        self.files = 0

    def fail(self, call, error, count=1000):
        self.files += 1
        new = self.faults.with_suffix(f".{self.files}")  # another inode each time
        new.write_text(f"{call} {int(error)} {count}\n")
        new.rename(self.faults)

    def hang(self, call="all"):
        self.fail(call, 0)

    def heal(self):
        self.faults.unlink(missing_ok=True)


@pytest.fixture
def cluster(tmp, monkeypatch):
    monkeypatch.setenv("QUIVERFS_KIND_FAULTS", str(tmp / "faults"))
    cluster = Cluster(tmp / "faults")
    yield cluster
    cluster.heal()


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


@pytest.fixture
def two_as_usual(stores):
    """By the transport that such a mount has by itself, the one where calls can be interrupted."""
    two = mount_twice(stores, 768, transport=None)
    assert two[0].stats()["transport"] == "dev_fuse"
    return two


def mount_twice(stores, dim, **options):
    store = stores.create(dim=dim)
    return (stores.mount(store, name="one", check=False, **options),
            stores.mount(store, name="two", check=False, **options))


def expect(error, call, *words):
    with pytest.raises(OSError) as caught:
        call(*words)
    assert caught.value.errno == error, caught.value


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


# ---- while the store does not answer --------------------------------------

def start(*words):
    return subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def python(text, *words):
    return start(sys.executable, "-c", "import os, sys\n" + text, *words)


def waiting(*clients):
    """Each is in its call, as far as can be seen."""
    time.sleep(0.3)
    assert all(client.poll() is None for client in clients)
    return clients


CALLS = {
    "read": "open(sys.argv[1], 'rb').read()",
    "write": "os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), bytes(3072))",
    "stat": "os.stat(sys.argv[1])",
    "chmod": "os.chmod(sys.argv[1], 0o600)",
    "unlink": "os.unlink(sys.argv[1])",
    "create": "os.open(os.path.dirname(sys.argv[1]) + '/99', os.O_WRONLY | os.O_CREAT)",
    "view": "open(sys.argv[1] + '.npy', 'rb').read()",
    "list": "os.listdir(os.path.dirname(sys.argv[1]))",
    "rename": "os.rename(os.path.dirname(sys.argv[1]) + '/.new', sys.argv[1])",
    "batch": "os.write(os.open(os.path.dirname(sys.argv[1]) + '/../control/put', os.O_WRONLY),"
             " bytes(8 + 3072))",
}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_call_that_waits_for_the_store_ends_at_a_signal(cluster, two_as_usual, end):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    (one.vectors / ".new").write_bytes(bytes(one.size))
    time.sleep(1.1)  # so that vectors/ is looked at anew, too
    cluster.hang()
    try:
        clients = waiting(*(python(text, one.path(42)) for text in CALLS.values()))
        began = time.monotonic()
        for client in clients:
            client.send_signal(end)
        for client in clients:
            client.wait(SOON_SECONDS)
        assert time.monotonic() - began < SOON_SECONDS
    finally:
        cluster.heal()
    one.forget_errors()


def test_many_that_wait_keep_nobody_from_looking_what_is_wrong(cluster, two_as_usual):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    cluster.hang()
    clients = []
    try:
        clients = [python(text, one.path(42)) for text in (CALLS["read"], CALLS["write"])
                   for _ in range(10)]
        waiting(*clients)
        began = time.monotonic()
        one.control("errors")
        assert "mount" in one.stats()
        assert os.listdir(one.point) and os.listdir(one.control_folder)
        one.control("metrics")
        assert time.monotonic() - began < SOON_SECONDS
    finally:
        for client in clients:
            client.kill()
        for client in clients:
            client.wait(SOON_SECONDS)
        cluster.heal()
    assert one.get(42) == bytes(one.size)
    one.forget_errors()


def test_a_daemon_ends_soon_though_its_store_does_not_answer(cluster, two_as_usual):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    cluster.hang()
    try:
        clients = waiting(*(python(CALLS[name], one.path(42)) for name in ("read", "write")))
        began = time.monotonic()
        os.kill(one.pid, signal.SIGTERM)
        assert wait_for(one.daemon, 15) == 0, one.log_text()
        for client in clients:
            assert client.wait(SOON_SECONDS) == 1
        assert time.monotonic() - began < 8
    finally:
        cluster.heal()
    one.take_away()


def test_a_lazy_unmount_while_the_store_does_not_answer(cluster, two_as_usual):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    cluster.hang()
    try:
        clients = waiting(*(python(CALLS[name], one.path(42)) for name in ("read", "write")))
        let_go(one.point)
        assert not is_mounted(one.point)
        for client in clients:
            client.kill()
            client.wait(SOON_SECONDS)
        assert wait_for(one.daemon, 15) == 0, one.log_text()
    finally:
        cluster.heal()
    one.take_away()


@pytest.mark.parametrize("error", [errno.ETIMEDOUT, errno.EDQUOT, errno.ENOSPC, errno.EROFS,
                                   errno.EIO])
def test_what_the_store_fails_with_comes_through(cluster, two, error):
    one, _ = two
    one.put(42, bytes(one.size))
    for call, do in {"get": lambda: one.get(42), "put": lambda: one.put(42, bytes(one.size)),
                     "remove": lambda: os.unlink(one.path(42)),
                     "list": one.ids}.items():
        cluster.fail(call, error)
        expect(error, do)
        assert any(os.strerror(error) in line for line in one.errors())
        one.forget_errors()
        cluster.heal()
    cluster.fail("put", error)
    expect(error, one.put, 42, bytes(one.size))
    assert any("vector 42: " in line and os.strerror(error) in line for line in one.errors())
    cluster.heal()
    one.forget_errors()
    assert one.get(42) == bytes(one.size)
