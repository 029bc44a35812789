"""Two mounts of one store that others change at any time (tests/kind/shared_kind.c), as those of
two machines: what one has written the other shows at once, and whole."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from harness import LONG, PATIENCE_SECONDS, QUIVERFS, is_mounted, let_go, until, wait_for
from patience import SLOWER

pytestmark = pytest.mark.skipif(os.environ.get("QUIVERFS_KIND") != "shared",
                                reason="a store of one machine")

CROSS = os.environ.get("QUIVERFS_CROSS")
SECONDS = 60 if LONG else 15 if SLOWER > 1 else 4


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


def written(counts):
    return ", ".join(f"{name} {number}" for name, number in counts.items() if number)


# One page, and several.
@pytest.mark.parametrize("dim", [768, 4096])
def test_nothing_is_torn_or_older_than_the_last_close_before_its_open(stores, dim,
                                                                      record_property):
    one, two = mount_twice(stores, dim)
    code, counts = cross(one, two)
    record_property("through another mount", written(counts))
    assert counts["reads"] > 100 and counts["maps"] > 10 and counts["listings"] > 10
    assert code == 0, counts
    code, counts = cross(two, two)
    record_property("through the same", written(counts))
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
    time.sleep(0.3 * SLOWER)
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
        for client in clients:
            client.send_signal(end)
        for client in clients:  # the store does not answer before all have ended
            wait_for(client, PATIENCE_SECONDS)
    finally:
        cluster.heal()
    one.forget_errors()


# As scp's meter, and every program in Go; by libc, since Python calls again by itself.
TIMED = """
import ctypes, signal
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.signal(signal.SIGURG, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
path = sys.argv[1].encode()
def call(name, *words):
    got = getattr(libc, name)(*words)
    if got < 0:
        os._exit(ctypes.get_errno())
    return got
file = call("open", path, os.O_WRONLY | os.O_CREAT, 0o666)
call("write", file, bytes(100), 100)
call("write", file, bytes(3072 - 100), 3072 - 100)
call("close", file)
call("chmod", path, 0o600)
call("access", path, os.R_OK)
signal.setitimer(signal.ITIMER_REAL, 0)  # Python, when it ends, handles it no more
"""


def test_a_call_goes_on_at_a_signal_that_ends_nothing(cluster, two_as_usual):
    one, two = two_as_usual
    cluster.hang()
    try:
        client, = waiting(python(TIMED, one.path(42)))
        client.send_signal(signal.SIGURG)
        for _ in range(10):
            cluster.heal()
            time.sleep(0.02)
            cluster.hang()
            time.sleep(0.1)
    finally:
        cluster.heal()
    assert wait_for(client, PATIENCE_SECONDS) == 0
    assert two.get(42) == bytes(one.size)


LOOK = """
root, control = sys.argv[1], sys.argv[1] + "/control"
open(control + "/errors").read()
assert "\\nmount " in open(control + "/stats").read()
assert os.listdir(root) and os.listdir(control)
open(control + "/metrics").read()
"""


def test_many_that_wait_keep_nobody_from_looking_what_is_wrong(cluster, two_as_usual):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    cluster.hang()
    clients = []
    try:
        clients = [python(text, one.path(42)) for text in (CALLS["read"], CALLS["write"])
                   for _ in range(10)]
        waiting(*clients)
        clients.append(python(LOOK, one.point))
        assert wait_for(clients[-1], PATIENCE_SECONDS) == 0
    finally:
        for client in clients:
            client.kill()
        for client in clients:
            wait_for(client, PATIENCE_SECONDS)
        cluster.heal()
    assert one.get(42) == bytes(one.size)
    one.forget_errors()


def test_a_daemon_ends_soon_though_its_store_does_not_answer(cluster, two_as_usual):
    one, _ = two_as_usual
    one.put(42, bytes(one.size))
    cluster.hang()
    try:
        clients = waiting(*(python(CALLS[name], one.path(42)) for name in ("read", "write")))
        os.kill(one.pid, signal.SIGTERM)
        assert wait_for(one.daemon, 8 * SLOWER) == 0, one.log_text()
        for client in clients:
            assert wait_for(client, PATIENCE_SECONDS) == 1
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
            wait_for(client, PATIENCE_SECONDS)
        assert wait_for(one.daemon, 15 * SLOWER) == 0, one.log_text()
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


# ---- matrix.npy and ids.npy ------------------------------------------------

def number(mnt, value):
    return np.full(mnt.size // 4, value, "<f4").tobytes()


def test_matrix_and_ids_fit_each_other_for_the_life_of_the_mount(two):
    one, other = two
    for i in (5, 3, 900):
        one.put(i, number(one, i))
    ids = np.load(other.point / "ids.npy")  # closes it
    assert list(ids) == [3, 5, 900]
    os.unlink(one.path(5))
    one.put(4, number(one, 4))
    matrix = np.load(other.point / "matrix.npy", mmap_mode="r")
    assert matrix.shape == (4, one.size // 4) and matrix.dtype == "<f4"
    for row, i in enumerate(ids):
        assert (matrix[row] == (0 if i == 5 else i)).all()
    more = np.load(other.point / "ids.npy", mmap_mode="r")
    assert list(more) == [3, 2**64 - 1, 900, 4]
    assert (matrix[3] == 4).all()
    one.put(6, number(one, 6))
    assert len(np.load(other.point / "ids.npy")) == 4  # matrix.npy is open
    del matrix, more
    until(lambda: len(np.load(other.point / "ids.npy")) == 5, "the new row does not come")
    assert list(np.load(other.point / "ids.npy")) == [3, 2**64 - 1, 900, 4, 6]
    assert os.stat(other.point / "matrix.npy").st_size == 128 + 5 * one.size


def test_matrix_is_read_in_any_pieces(two):
    one, other = two
    data = {i: os.urandom(one.size) for i in range(7, 40)}
    for i, piece in data.items():
        one.put(i, piece)
    whole = b"".join(data[i] for i in sorted(data))
    with open(other.point / "matrix.npy", "rb", buffering=0) as file:
        assert file.seek(0, os.SEEK_END) == 128 + len(whole)
        for at, length in ((128, 10), (100, 5000), (one.size * 3 + 17, 2 * one.size), (0, 10**7)):
            assert os.pread(file.fileno(), length, at) == \
                (os.pread(file.fileno(), 128, 0) + whole)[at:at + length]
    assert (other.point / "ids.npy").read_bytes()[128:] == \
        np.array(sorted(data), "<u8").tobytes()


def test_a_matrix_that_is_opened_anew_has_what_is_there_then(two):
    one, other = two
    for version in range(1, 6):
        one.put(1, number(one, version))
        assert (np.load(other.point / "matrix.npy")[0] == version).all()
        assert (np.load(other.point / "matrix.npy", mmap_mode="r")[0] == version).all()


# ---- two writers -----------------------------------------------------------

def open_to_write(mnt, name, flags=0):
    return os.open(mnt.path(name), os.O_WRONLY | flags, 0o644)


def test_of_two_exclusive_creations_one_is_told_at_its_close(two):
    one, other = two
    mine = open_to_write(one, 7, os.O_CREAT | os.O_EXCL)
    theirs = open_to_write(other, 7, os.O_CREAT | os.O_EXCL)
    half = one.size // 2
    for fd, letter in ((mine, b"m"), (theirs, b"t")):
        os.write(fd, letter * half)
        os.write(fd, letter * half)
    os.close(theirs)
    expect(errno.EEXIST, os.close, mine)
    assert one.get(7) == b"t" * one.size
    one.expect_error("vector 7: another process made it first")
    expect(errno.EEXIST, open_to_write, one, 7, os.O_CREAT | os.O_EXCL)


def test_a_writer_makes_anew_what_another_machine_removes(two):
    one, other = two
    one.put(7, b"a" * one.size)
    whole, piece = open_to_write(one, 7), open_to_write(one, 7)
    os.unlink(other.path(7))
    os.write(whole, b"b" * one.size)
    os.close(whole)
    assert other.get(7) == b"b" * one.size
    os.unlink(other.path(7))
    os.pwrite(piece, b"c" * 100, 50)  # over the bytes that it was opened with
    os.close(piece)
    assert other.get(7) == b"a" * 50 + b"c" * 100 + b"a" * (one.size - 150)
    assert not one.errors() and not other.errors()


def test_a_vector_removed_here_is_not_brought_back_by_who_had_it_open_here(two):
    one, other = two
    one.put(7, b"a" * one.size)
    fd = open_to_write(one, 7)
    os.unlink(one.path(7))
    os.write(fd, b"b" * one.size)
    os.close(fd)
    assert not other.has(7) and not one.has(7)


def test_a_reader_goes_on_with_what_it_opened(two):
    one, other = two
    one.put(7, b"a" * one.size)
    fd = os.open(other.path(7), os.O_RDONLY)
    os.unlink(one.path(7))
    assert os.pread(fd, 10, 0) == b"a" * 10
    one.put(7, b"b" * one.size)
    assert os.pread(fd, one.size, 0) == b"a" * one.size
    assert other.get(7) == b"b" * one.size
    os.close(fd)


def test_a_patch_over_what_has_been_replaced_is_told(two):
    one, other = two
    one.put(7, b"a" * one.size)
    fd = open_to_write(one, 7)
    os.pwrite(fd, b"mine", 0)
    other.put(7, b"t" * one.size)
    os.close(fd)  # the last close wins
    assert other.get(7) == b"mine" + b"a" * (one.size - 4)
    one.expect_error("vector 7: two processes changed it at the same time")
    fd = open_to_write(one, 7)
    os.pwrite(fd, b"more", 4)
    os.close(fd)
    assert other.get(7) == b"minemore" + b"a" * (one.size - 8)
    assert not one.errors()


def test_names(two):
    one, other = two
    one.put(7, b"a" * one.size)
    expect(errno.EXDEV, os.rename, one.path(7), one.path(8))
    one.expect_error("vector 7: not renamed to 8, this kind of store cannot rename; copy and remove it")
    (one.vectors / ".new").write_bytes(b"b" * one.size)
    os.rename(one.vectors / ".new", one.path(7))
    assert other.get(7) == b"b" * one.size
    assert os.listdir(other.vectors) == ["7"]
    os.unlink(other.path(7))
    assert os.listdir(one.vectors) == []
    expect(errno.ENOENT, one.get, 7)
    expect(errno.ENOENT, os.unlink, one.path(7))


def test_attributes_come_across(two):
    one, other = two
    one.put(7, b"a" * one.size)
    os.chmod(other.path(7), 0o600)
    assert one.path(7).stat().st_mode & 0o777 == 0o600
    os.utime(one.path(7), ns=(5, 5))
    assert other.path(7).stat().st_mtime_ns == 5
    os.chmod(one.vectors, 0o700)
    until(lambda: other.vectors.stat().st_mode & 0o777 == 0o700, "the folder's mode stays")


# ---- control files, and a mount that only reads ---------------------------

def test_control_files_say_what_there_is_not(two):
    one, other = two
    for name, value in (("checkpoint", "now"), ("compact", "start"), ("reserve", "10"),
                        ("autocompact_percent", "10"), ("durability", "fsync"),
                        ("verify", "start")):
        expect(errno.EOPNOTSUPP, one.control, name, value)
        one.expect_error(f"control/{name}: .*{os.strerror(errno.EOPNOTSUPP)}")
    assert one.control("durability") == "always\n"
    one.control("durability", "always")
    one.control("autocompact_percent", "0")
    one.control("flush", "now")
    expect(errno.EINVAL, one.control, "put", b"x" * 100)
    one.forget_errors()
    assert one.control("count") == "0\n"
    other.put(7, bytes(one.size))
    assert one.control("count") == "1\n"
    record = (8).to_bytes(8, "little") + b"r" * one.size
    one.control("put", record)
    assert other.get(8) == b"r" * one.size
    assert other.control("count") == "2\n"


def test_a_mount_that_only_reads_sees_what_others_write(stores):
    store = stores.create(dim=768)
    one = stores.mount(store, name="one", check=False)
    reader = stores.mount(store, name="two", check=False, options=("ro",))
    for version in range(20):
        one.put(7, bytes([version]) * one.size)
        assert reader.get(7) == bytes([version]) * one.size
        assert reader.path(7).stat().st_mtime_ns == one.path(7).stat().st_mtime_ns
        one.put(100 + version, bytes(one.size))
        assert len(os.listdir(reader.vectors)) == version + 2
    expect(errno.EROFS, reader.put, 7, bytes(one.size))
    os.unlink(one.path(7))
    expect(errno.ENOENT, reader.get, 7)
    assert reader.control("count") == "20\n"


@pytest.mark.needs_root("as which the daemon mounts by itself")
def test_a_mount_that_goes_at_once_takes_no_other_with_it(stores, tmp):
    one = stores.mount(stores.create(dim=768), check=False)
    one.put(42, bytes(one.size))
    away, point = tmp / "away", tmp / "early"
    away.write_text("away 1\n", encoding="ascii")
    point.mkdir()
    done = subprocess.run(
        ["env", f"LD_PRELOAD={os.environ['QUIVERFS_DISK_SHIM']}", f"QUIVERFS_SHIM_FAULT={away}",
         QUIVERFS, "mount", one.store.path, point], check=False)
    assert done.returncode != 0 and not is_mounted(point)
    assert one.get(42) == bytes(one.size)


def rss_bytes(mount):
    with open(f"/proc/{mount.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_memory_of_files_that_are_closed_goes_back_to_the_system(stores):
    mount = stores.mount(stores.create(dim=131072 // 4), check=False)
    files = 400
    for vector in range(4):
        mount.put(vector, bytes(mount.size))
    least = rss_bytes(mount)
    # The first round tells malloc how large such pieces are.
    for _ in range(3):
        handles = [os.open(mount.path(n % 4), os.O_RDWR) for n in range(files)]
        assert rss_bytes(mount) - least > files * mount.size // 2
        left = handles[::20]
        for handle in set(handles) - set(left):
            os.close(handle)
        # What stays open is in the way of nothing; a RELEASE comes behind the close.
        until(lambda: rss_bytes(mount) - least < files * mount.size // 4, "memory is kept")
        for handle in left:
            os.close(handle)


def test_open_vectors_are_charged_to_who_opened_them(two):
    one, _ = two
    one.put(7, bytes(one.size))
    fds = [os.open(one.path(7), os.O_RDONLY) for _ in range(5)]
    fds.append(open_to_write(one, 7))
    assert one.stats()["open_bytes"] == str(6 * one.size)
    for fd in fds:
        os.close(fd)
    until(lambda: one.stats()["open_bytes"] == "0", "what was open is charged still")
    expect(errno.ENOENT, one.get, 8)
    assert one.stats()["open_bytes"] == "0"
