"""The Python package on mounts: ways of asking, users, snapshots, processes, daemons that end."""

import errno
import multiprocessing
import os
import pickle
import signal
import sys
import threading

import pytest

from harness import let_go, run
from ordinary_user import NOBODY
from peer import Peer
from python_package import FOLDER, NO_LIBRARY, draw, needs_library, nearest, numpy, quiverfs

DIM = 25
IDS = list(range(40))


@pytest.fixture
def q(mnt):
    with quiverfs.open(mnt.point) as opened:
        yield opened


def fill(q, rng, ids=None):
    vectors = draw(rng, len(ids or IDS), q.dim, q.type)
    q.put(ids or IDS, vectors)
    return vectors


@pytest.fixture
def no_library(monkeypatch):
    """As where libquiver is not installed."""
    monkeypatch.setenv("QUIVERFS_LIBRARY", NO_LIBRARY)
    monkeypatch.setattr(quiverfs.libquiver, "_library", None)


def way(q, kind):
    """By what it reads, or asks."""
    return type(getattr(q._open().backend, kind)()).__name__


# ---- ways -------------------------------------------------------------------------------


def test_a_live_mount_is_asked_by_its_control_files(q, rng):
    fill(q, rng)
    assert (way(q, "_getter"), way(q, "_putter")) == ("Getter", "Putter")
    assert way(q, "_asker") == "Asker"


def test_it_is_one_commit(q, mnt):
    before = int(mnt.stats()["batches"])
    q.put(range(100), numpy.ones((100, DIM)))
    assert int(mnt.stats()["batches"]) == before + 1
    assert mnt.get(99) == numpy.ones(DIM, "f4").tobytes()


def test_what_files_have_written_is_read(q, mnt, rng):
    vectors = draw(rng, 3, DIM, "f4")
    for number, vector in enumerate(vectors):
        mnt.put(number, vector.tobytes())
    (mnt.vectors / ".scratch").write_bytes(b"x")
    assert (q[[0, 1, 2]] == vectors).all() and list(q) == [0, 1, 2]
    mnt.path(1).unlink()
    assert 1 not in q and len(q) == 2
    q.flush()
    stats = mnt.stats()
    assert stats["lsn_durable"] == stats["lsn"]


@needs_library
def test_a_read_only_mount_by_the_library(stores, mnt, rng):
    with quiverfs.open(mnt.point) as q:
        vectors = fill(q, rng)
    mnt = stores.again(mnt, options=["ro"])
    with quiverfs.open(mnt.point) as q:
        assert (q[IDS] == vectors).all() and q.get([1, 99], missing="mask")[1].tolist() == [True, False]
        found, far = q.nearest(vectors[3] + 1, k=5, metric="ip")
        wanted, wanted_far = nearest(numpy.array(IDS), vectors, vectors[3] + 1, "ip", "f4", 5)
        assert found.tolist() == wanted.tolist() and far == pytest.approx(wanted_far)
        assert (way(q, "_getter"), way(q, "_asker")) == ("Library", "Library")
        for change in (lambda: q.put(1, vectors[0]), lambda: q.remove(1)):
            with pytest.raises(OSError) as caught:
                change()
            assert caught.value.errno == errno.EROFS
        assert len(q) == 40


def test_a_read_only_mount_by_its_files(stores, mnt, rng, no_library):
    with quiverfs.open(mnt.point) as q:
        vectors = fill(q, rng)
    mnt = stores.again(mnt, options=["ro"])
    with quiverfs.open(mnt.point) as q:
        assert (q[IDS] == vectors).all() and (q.get([99], missing="zero") == 0).all()
        assert way(q, "_getter") == "ByFile"
        wanted, far = nearest(numpy.array(IDS), vectors, vectors[3], "l2", "f4", 5, without=3)
        found = q.nearest(3, k=5)
        assert found[0].tolist() == wanted.tolist() and found[1] == pytest.approx(far, rel=1e-8)
        assert q.nearest(of=[3, 4], k=5)[0][0].tolist() == wanted.tolist()
        with pytest.raises(PermissionError, match="only nearest"):
            q.nearest(vectors[3])


@needs_library
def test_the_store_of_a_live_mount_is_used_through_it(mnt, rng):
    with quiverfs.open(mnt.store.path) as q:
        vectors = fill(q, rng)
        assert (q[IDS] == vectors).all() and mnt.get(7) == vectors[7].tobytes()


def test_what_lies_elsewhere_needs_the_library(mnt, no_library):
    with pytest.raises(ImportError, match="libquiver2"):
        quiverfs.open(mnt.store.path)
    with pytest.raises(quiverfs.LibraryError):
        quiverfs.open("rados:pool/collection")


# ---- snapshots --------------------------------------------------------------------------


def test_a_snapshot_is_read_through_maps(q, mnt, rng):
    vectors = fill(q, rng)
    with q.snapshot("v1", create=True) as snapshot:
        q.put(IDS, vectors + 1)
        q.remove(IDS[:20])
        mnt.control("compact", "start")
        mnt.finish_job("compact")
        order = rng.sample(IDS, 40)
        assert (snapshot[order] == vectors[order]).all() and snapshot.get([40], missing=0.5)[0, 0] == 0.5
        assert way(snapshot, "_getter") == "Maps"
        ids, rows = snapshot.matrix()
        assert isinstance(rows, numpy.memmap) and not rows.flags.writeable
        assert ids.dtype == numpy.uint64 and rows.shape == (len(ids), DIM)
        used = numpy.flatnonzero(ids != quiverfs.NO_ID)
        assert sorted(ids[used].tolist()) == IDS
        assert (rows[used] == vectors[ids[used].astype(int)]).all()
        del ids, rows
    for path in (f"{mnt.point}@v1", mnt.point / "snapshots/v1"):
        with quiverfs.open(path) as again:
            assert (again[IDS] == vectors).all() and again.is_frozen
    with pytest.raises(FileNotFoundError):
        quiverfs.open(f"{mnt.point}@v2")
    with pytest.raises(OSError):
        q.snapshot("../x", create=True)


def test_an_empty_snapshot(q):
    with q.snapshot("none", create=True) as snapshot:
        assert len(snapshot) == 0 and list(snapshot) == []
        assert not snapshot.get([1, 2], missing="mask")[1].any()


@needs_library
def test_neighbours_in_a_snapshot(q, mnt, rng):
    vectors = fill(q, rng)
    with q.snapshot("v1", create=True) as snapshot:
        q.put(IDS, -vectors)
        wanted, _ = nearest(numpy.array(IDS), vectors, vectors[3], "l2", "f4", 5)
        assert snapshot.nearest(vectors[3], k=5)[0].tolist() == wanted.tolist()
        assert snapshot.nearest(3, k=4)[0].tolist() == wanted[1:].tolist()
    with quiverfs.open(f"{mnt.store.path}@v1") as snapshot:
        assert snapshot.nearest(vectors[3], k=5)[0].tolist() == wanted.tolist()
        with pytest.raises(OSError, match="mount it"):
            snapshot.matrix()


# ---- of whom ----------------------------------------------------------------------------


@pytest.fixture
def stranger():
    other = Peer(uid=NOBODY, gid=NOBODY, umask=0)
    yield other
    other.close()


def look(path, ids, queries):
    with quiverfs.open(path) as q:
        return q[ids], q.ids(), [q.nearest(query, k=5)[0].tolist() for query in queries]


def outcome(path, name, *words):
    """What somebody gets, as text, since it came from another process."""
    try:
        with quiverfs.open(path) as q:
            return str(getattr(q, name)(*words))
    except Exception as error:  # pylint: disable=broad-except
        return f"{type(error).__name__}: {error}"


@pytest.mark.needs_root("acts as several users")
def test_the_mount_of_somebody_else(stores, rng, stranger):
    mnt = stores.mount(options=["allow_other"])
    with quiverfs.open(mnt.point) as q:
        vectors = fill(q, rng)
        read, ids, found = stranger.call(look, str(mnt.point), IDS, [3, vectors[3]])
        assert (read == vectors).all() and ids.tolist() == IDS
        wanted, _ = nearest(numpy.array(IDS), vectors, vectors[3], "l2", "f4", 6)
        assert found == [wanted[1:].tolist(), wanted[:5].tolist()]
        for words in (("put", 5, vectors[0]), ("put", 100, vectors[0]), ("remove", 5),
                      ("set_metric", "ip")):
            told = stranger.call(outcome, str(mnt.point), *words)
            assert told.startswith("PermissionError") or words[0] == "set_metric"
        assert (q[IDS] == vectors).all() and len(q) == 40
        # what he may write he writes file by file, and what he may not read he does not get
        os.chmod(mnt.path(5), 0o666)
        assert stranger.call(outcome, str(mnt.point), "put", 5, vectors[0]) == "None"
        assert (q[5] == vectors[0]).all()
        os.chmod(mnt.path(7), 0o600)
        told = stranger.call(outcome, str(mnt.point), "get", [6, 7, 8])
        assert told.startswith("DeniedError") and "vector 7" in told
        snapshot = q.snapshot("v1", create=True)
        told = stranger.call(outcome, str(mnt.point / "snapshots/v1"), "get", [6])
        assert told == str(snapshot[[6]])
        snapshot.close()
        assert "vector 7" in stranger.call(outcome, str(mnt.point / "snapshots/v1"), "get", [7])


# ---- processes --------------------------------------------------------------------------


def read_in_child(q, seed, turns, queue):
    source = numpy.random.default_rng(seed)
    wrong = 0
    for _ in range(turns):
        some = source.integers(0, len(IDS), 16)
        wrong += not (q[some][:, 0] == some).all()
        wrong += not q.nearest(int(some[0]), k=1)[0][0] in (some[0] - 1, some[0] + 1)
    queue.put(wrong)


def test_processes(q):
    """The parent and its children have questions under way at the same time."""
    context = multiprocessing.get_context("fork")
    q.put(IDS, numpy.repeat(numpy.array(IDS, "f4")[:, None], DIM, axis=1))
    assert (q[3] == 3).all() and q.nearest(3, k=1)[0][0] == 2
    queue = context.SimpleQueue()
    children = [context.Process(target=read_in_child, args=(q, seed, 100, queue))
                for seed in range(3)]
    for child in children:
        child.start()
    mine = context.SimpleQueue()
    read_in_child(q, 9, 100, mine)
    assert mine.get() == 0
    assert [queue.get() for _ in children] == [0, 0, 0]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert (q[3] == 3).all()


def test_a_child_closes_what_is_its_own(q):
    q.put(IDS, numpy.ones((len(IDS), DIM)))
    assert q[1][0] == 1
    child = os.fork()
    if child == 0:
        q.close()  # that of the parent stays
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert q[1][0] == 1


def test_another_program_unpickles_it(q):
    """As one of multiprocessing's that is spawned."""
    q.put(IDS, numpy.ones((len(IDS), DIM)))
    told = run(sys.executable, "-c", f"import pickle, sys; sys.path.insert(0, {str(FOLDER)!r})\n"
               "q = pickle.load(sys.stdin.buffer)\nprint(q[3].tolist(), q.dim)",
               stdin=pickle.dumps(q))
    assert told.stdout.decode() == f"{[1.0] * DIM} {DIM}\n"


def test_it_is_pickled_by_its_path(q, mnt, rng, monkeypatch):
    vectors = fill(q, rng)
    monkeypatch.chdir(mnt.point.parent)
    with quiverfs.open(mnt.point.name) as near:
        text = pickle.dumps(near)
        monkeypatch.chdir("/")
        with pickle.loads(text) as copy:
            assert (copy[IDS] == vectors).all()


def test_signals_disturb_no_question(q, rng):
    """One whose handler returns: the call goes on."""
    vectors = fill(q, rng)
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(300):
            assert (q[IDS] == vectors).all()
            assert q.nearest(vectors[3], k=1)[0][0] == 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- the end of a daemon ----------------------------------------------------------------


def test_a_daemon_that_is_killed(stores, mnt, rng):
    q = quiverfs.open(mnt.point)
    vectors = fill(q, rng)
    mnt.kill()
    for use in (lambda: q[1], lambda: q.put(1, vectors[0])):
        with pytest.raises(OSError):
            use()
    let_go(mnt.point)
    again = stores.mount(mnt.store)
    assert again.has(1)
    assert (q[IDS] == vectors).all()  # as if nothing had happened
    q.close()


def test_another_store_in_its_place(stores, mnt, rng):
    """One of another shape: no number of the one is taken for the other's."""
    q = quiverfs.open(mnt.point)
    fill(q, rng)
    mnt.kill()
    with pytest.raises(OSError):
        q.get(1)
    let_go(mnt.point)
    other = stores.mount(stores.create(dim=3, dtype="i1", name="other"))
    q.put(1, [1, 2, 3])
    assert q[1].tolist() == [1, 2, 3] and q.dim == 3
    q.close()
    other.unmount()


def test_nothing_is_left_open(mnt, rng):
    """Not even by threads that end, and errors."""
    q = quiverfs.open(mnt.point)
    vectors = fill(q, rng)

    def work():
        for _ in range(20):
            q.get(IDS)
            with pytest.raises(ValueError):
                q.nearest(vectors[0] * numpy.nan)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [link for link in os.listdir("/proc/self/fd") if leads_into(link, mnt.point)]
    assert len(held) <= 12  # of each of the two files that are asked a few, for the next
    q.close()
    assert [link for link in os.listdir("/proc/self/fd") if leads_into(link, mnt.point)] == []
    mnt.forget_errors()


def leads_into(number, folder):
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith(f"{folder}/")
    except OSError:
        return False
