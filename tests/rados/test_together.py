"""Two mounts of one collection, on two hosts: what is done through one the other shows at once."""

import errno
import os
import threading
import time

import pytest

import harness
from clients import GROUP_VECTORS, THREADS, Client, Process
from clusters import POOL
from files import RENAME_NOREPLACE, rename2
from harness import quiverfs, run, until
from linearizable import check
from load import error_of
from ordinary_user import NOBODY, ordinary_user_words
from test_history import gather

CROSS = os.environ.get("QUIVERFS_CROSS", "cross")
SECONDS = 60 if harness.LONG else 8
# Each wrong thing that cross looks for, by the names that it prints.
WRONG = ("torn", "stale", "maps_torn", "maps_stale", "stats_wrong", "stats_stale",
         "listings_wrong", "errors")
TRANSPORTS = ("io_uring", "dev_fuse")


def mounts(stores, transport, store, hosts=(None, None), **options):
    """Of one collection; each is a client of the cluster by itself."""
    return [stores.mount(store, transport=transport, name=name, host=host, **options)
            for name, host in zip(("here", "there"), hosts)]


def cross(writing, reading, size, as_whom=()):
    done = run(*as_whom, CROSS, writing.vectors, reading.vectors, size, SECONDS, status=None)
    counts = {name: int(number) for name, number in
              (line.split() for line in done.stdout.decode().splitlines())}
    print(counts)
    assert not any(counts[name] for name in WRONG), (counts, done.stderr.decode())
    assert all(counts[name] for name in counts if name not in WRONG), counts
    assert done.returncode == 0


@pytest.mark.parametrize("transport", TRANSPORTS if harness.LONG else ["io_uring"], indirect=True)
def test_nothing_is_torn_or_stale_through_another_mount(stores, transport):
    store = stores.create(dim=768)
    here, there = mounts(stores, transport, store)
    cross(here, there, store.size)


@pytest.mark.parametrize("transport", TRANSPORTS if harness.LONG else ["dev_fuse"], indirect=True)
def test_nothing_is_torn_or_stale_on_another_host(hosts, stores, transport, ordinary_user):
    """Whose mounts an ordinary user has made."""
    store = stores.create(dim=768)
    access = stores.cluster.user("jo", owner=NOBODY)
    give = stores.mount(store)
    os.chown(give.vectors, NOBODY, NOBODY)
    give.unmount()
    for name in ("here", "there"):
        (store.folder / name).mkdir()
        os.chown(store.folder / name, NOBODY, NOBODY)
    here, there = mounts(stores, transport, store, hosts, options=access, **ordinary_user)
    cross(here, there, store.size, ordinary_user_words)


class CrossClient(Client):
    """As any, but that a vector has no other ID here."""

    def rename(self, group, vector):
        self.read(group, vector)


def test_the_history_of_two_mounts_is_linearizable(stores, transport, rng):
    """All that eight clients did and saw through either mount can have happened one after the
    other: so no update is lost unseen, and of two that race one wins."""
    both = mounts(stores, transport, stores.create(dim=300))
    seed, end = rng.random(), time.monotonic() + SECONDS
    groups = gather([Process([CrossClient(both[number % 2], number * THREADS + thread, seed, end)
                              for thread in range(THREADS)]) for number in range(4)])
    kinds = {}
    for op in (op for group in groups for op in group):
        kinds[op.kind] = kinds.get(op.kind, 0) + 1
    print(sum(check(group, GROUP_VECTORS) for group in groups), "operations", kinds)
    for mount in both:
        mount.forget_errors()  # O_EXCL lost against somebody else is reported, rightly


def race(both, ids, attempt):
    """What attempt(mount, number of the mount, ID) returned for each ID, by both at once."""
    results = {vector: [None, None] for vector in ids}
    barrier = threading.Barrier(2)

    def go(number):
        for vector in ids:
            barrier.wait()
            results[vector][number] = attempt(both[number], number, vector)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def content(size, number, vector):
    return bytes([number + 1, vector % 251]) * (size // 2)


def create_new(mount, number, vector):
    """Only where there is none: by O_EXCL, which close decides where open saw nothing."""
    try:
        fd = os.open(mount.path(vector), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return errno.EEXIST
    data = content(mount.size, number, vector)
    os.write(fd, data[:20])
    wrote = error_of(os.write, fd, data[20:])
    closed = error_of(os.close, fd)
    return wrote or closed


def replace_none(mount, number, vector):
    """A scratch file gets an ID that nobody has."""
    scratch = mount.vectors / f".{vector}"
    scratch.write_bytes(content(mount.size, number, vector))
    try:
        rename2(scratch, mount.path(vector), RENAME_NOREPLACE)
    except FileExistsError:
        scratch.unlink()
        return errno.EEXIST
    return 0


@pytest.mark.parametrize("attempt", [create_new, replace_none])
def test_of_two_that_make_a_vector_one_wins(stores, transport, attempt):
    both = mounts(stores, transport, stores.create(dim=25))
    results = race(both, range(100), attempt)
    for vector, result in results.items():
        assert sorted(result) == [0, errno.EEXIST], (vector, result)
        for mount in both:
            assert mount.get(vector) == content(mount.size, result.index(0), vector)
    for mount in both:
        mount.forget_errors()


def test_of_two_that_remove_a_vector_one_wins(stores, transport):
    both = mounts(stores, transport, stores.create(dim=25))
    for vector in range(100):
        both[0].put(vector, content(both[0].size, 0, vector))
    results = race(both, range(100),
                   lambda mount, _, vector: error_of(os.unlink, mount.path(vector)))
    for vector, result in results.items():
        assert sorted(result) == [0, errno.ENOENT], (vector, result)
        assert not any(mount.has(vector) for mount in both)


def test_of_two_that_overwrite_a_vector_the_last_stays_whole(stores, transport):
    both = mounts(stores, transport, stores.create(dim=25))
    results = race(both, list(range(10)) * 10,
                   lambda mount, number, vector: error_of(mount.put, vector,
                                                          content(mount.size, number, vector)))
    for vector, result in results.items():
        assert result == [0, 0], (vector, result)
        seen = {mount.get(vector) for mount in both}
        assert len(seen) == 1
        assert seen <= {content(both[0].size, number, vector) for number in range(2)}


def test_a_second_copy_through_the_other_mount_has_nothing_to_do(stores, transport, tmp, rng):
    both = mounts(stores, transport, stores.create(dim=25))
    source = tmp / "source"
    source.mkdir()
    for vector in range(200):
        path = source / str(vector * rng.choice((1, 1, 5000)))
        path.write_bytes(rng.randbytes(both[0].size))
        path.chmod(rng.choice((0o644, 0o600, 0o640)))
        os.utime(path, ns=(rng.randrange(2**60), rng.randrange(2**60)))
    count = len(os.listdir(source))
    words = ["rsync", "-a", "--inplace", "--itemize-changes", "--stats", f"{source}/"]
    first = run(*words, f"{both[0].vectors}/").stdout.decode()
    assert f"Number of regular files transferred: {count}\n" in first, first
    second = run(*words, f"{both[1].vectors}/").stdout.decode()
    assert "Number of regular files transferred: 0\n" in second, second
    assert second.startswith("\nNumber of files:"), second  # nothing itemized
    assert both[1].ids() == {int(name) for name in os.listdir(source)}


def test_what_is_removed_and_what_is_made_is_listed_at_once(stores, transport):
    both = mounts(stores, transport, stores.create(dim=25))
    here, there = both
    for vector in (1, 2, 2**53, 2**63):
        here.put(vector, content(here.size, 0, vector))
        assert there.has(vector) and vector in there.ids()
    os.unlink(there.path(2))
    assert here.ids() == {1, 2**53, 2**63}
    with pytest.raises(FileNotFoundError):
        here.get(2)


def test_attributes_are_those_of_the_other_mount(stores, transport):
    here, there = mounts(stores, transport, stores.create(dim=25))
    here.put(7, content(here.size, 0, 7))
    here.path(7).chmod(0o600)
    os.utime(here.path(7), ns=(1, 123456789))
    seen = there.path(7).stat()
    assert (seen.st_mode & 0o7777, seen.st_mtime_ns) == (0o600, 123456789)
    os.utime(there.vectors, ns=(5, 5))
    until(lambda: here.vectors.stat().st_mtime_ns == 5, "the folder's time is another")


def test_it_is_worked_on_while_it_is_mounted(stores, transport, tmp):
    """No lock keeps a command out: import, export, check and list beside a mount."""
    store = stores.create(dim=25)
    mount = stores.mount(store)
    mount.put(1, bytes(mount.size))
    source = tmp / "more.fvecs"
    source.write_bytes(b"".join((25).to_bytes(4, "little") + bytes(100) for _ in range(10)))
    quiverfs("import", store.path, source, "--start-id", "10")
    assert mount.ids() == {1, *range(10, 20)}
    quiverfs("export", store.path, tmp / "out.npy")
    assert (tmp / "out.npy").stat().st_size == 128 + 11 * 100
    assert store.path in quiverfs("list", f"rados:{POOL}").stdout.splitlines()
    store.check()
