"""control/nearest: which vectors are nearest to a given one, in binary."""

import errno
import math
import os
import signal
import struct
import threading
import time

import numpy
import pytest

import nearest_oracle as oracle
from asking import ask, asked
from files import opened, refused
from filled import fill, put_rows
from harness import until
from peer import Peer

BOTH_TRANSPORTS = True
NOBODY = 65534
GEOMETRIES = [("f4", 25), ("f2", 24), ("bf2", 33), ("f8", 7), ("i1", 64), ("u1", 40), ("b1", 128),
              ("f4", 1), ("i1", 65536)]


@pytest.fixture(autouse=True)
def nothing_is_far(monkeypatch):
    """Each vector is asked for by itself of a store that tests/kind has as elsewhere."""
    monkeypatch.setenv("QUIVERFS_KIND_DELAY_US", "0")


def metrics_of(dtype):
    return ["l2", "cosine", "ip"] + (["hamming"] if dtype in ("b1", "u1") else [])


@pytest.mark.parametrize("dtype, dim", GEOMETRIES)
def test_answers_are_those_of_numpy(stores, rng, dtype, dim):
    filled = fill(stores, rng, dtype, dim, count=40 if dim == 65536 else 500)
    some = oracle.random_rows(rng, dtype, dim, 5)
    some[3] = filled.rows[7]
    with opened(filled.file, os.O_RDWR) as fd:
        for metric in metrics_of(dtype):
            for k in (1, 10, 700):
                data = ask(fd, oracle.request(some.tobytes(), len(some), k, metric),
                           piece=rng.choice([None, 1000, 65536]), chunk=rng.choice([999, 1 << 20]))
                told = oracle.answers(data, len(some), k)
                for one, answer in zip(some, told):
                    filled.check(answer, metric, one, k)


def test_the_metric_is_the_stores_unless_it_is_named(stores, rng):
    filled = fill(stores, rng)
    one = filled.rows[5]
    for metric in ("cosine", "ip", "l2"):
        filled.mnt.control("metric", metric)
        for flags in (0, oracle.EXACT):
            answer = ask_one(filled, one, flags=flags)
            filled.check(answer, metric, one, 10)
    assert answer[0] == (int(filled.ids[5]), 0)


def ask_one(filled, one, k=10, **options):
    data = asked(filled.file, oracle.request(one.tobytes(), 1, k, **options))
    return oracle.answers(data, 1, k)[0]


def test_among_some_and_without_some(stores, rng):
    """IDs that are not there, and that come twice, do no harm."""
    filled = fill(stores, rng)
    among = [*map(int, filled.ids[10:60]), *map(int, filled.ids[10:20]), 10**9, 10**10]
    rng.shuffle(among)
    some = filled.rows[[12, 100, 15]]
    excepts = [int(filled.ids[12]), oracle.NONE, int(filled.ids[15])]
    for ids in (among, ()):
        data = asked(filled.file, oracle.request(some.tobytes(), 3, 60, "l2", ids=ids,
                                                 excepts=excepts))
        for one, without, answer in zip(some, excepts, oracle.answers(data, 3, 60)):
            filled.check(answer, "l2", one, 60, among=ids or None, without=without)
            assert without not in {vector for vector, _ in answer}
    assert ask_one(filled, some[0], ids=[10**9]) == []


def test_within_a_distance(stores, rng):
    filled = fill(stores, rng)
    one = filled.rows[3]
    for metric in ("l2", "cosine", "ip"):
        want = oracle.nearest(metric, "f4", one, filled.ids, filled.rows, 500)
        limit = (want[20][1] + want[21][1]) / 2
        answer = ask_one(filled, one, 500, metric=metric, flags=oracle.WITHIN, within=limit)
        assert [vector for vector, _ in answer] == [vector for vector, _ in want[:21]]
    # a distance that is meant only with the flag
    assert len(ask_one(filled, one, 500, metric="l2", within=0.0)) == 500


def test_ties_go_by_id(stores, rng):
    filled = fill(stores, rng, "i1", 8, count=300)
    for metric in ("l2", "ip", "cosine"):
        rows = filled.rows.copy()
        rows[:] = rows[0]
        put_rows(filled.mnt, filled.ids, rows)
        answer = ask_one(filled, rows[0], 50, metric=metric)
        assert [vector for vector, _ in answer] == sorted(map(int, filled.ids))[:50]
        assert len({distance for _, distance in answer}) == 1


def test_what_has_no_distance(stores, rng):
    """A vector with a NaN, and under cosine one of zeros, is no answer; nor can it be asked about."""
    filled = fill(stores, rng)
    bad = filled.rows[:2].copy()
    bad[0][3] = numpy.nan
    bad[1][:] = 0
    put_rows(filled.mnt, filled.ids[:2], bad)
    filled.rows[:2] = bad
    one = filled.rows[9]
    for metric, left_out in (("l2", 1), ("ip", 1), ("cosine", 2)):
        answer = ask_one(filled, one, 500, metric=metric)
        assert len(answer) == 500 - left_out
        filled.check(answer, metric, one, 500)
        for number, vector in enumerate(bad):
            if number >= left_out:
                continue
            with refused(errno.EINVAL):
                asked(filled.file, oracle.request(one.tobytes() + vector.tobytes(), 2, 10, metric))
            filled.mnt.expect_error("control/nearest: a vector in the question has no distances")


def test_an_empty_store_has_no_neighbours(stores, rng):
    filled = fill(stores, rng, ids=[])
    assert ask_one(filled, oracle.random_rows(rng, "f4", 25, 1)) == []


def test_what_makes_no_sense_is_refused(stores, rng):
    filled = fill(stores, rng)
    mnt = filled.mnt
    one = filled.rows[0].tobytes()
    good = oracle.request(one, 1)
    bad = [b"x", b"x" * 64, good[:63], good[:-1], good + b"\0", b"QUIVERNX" + good[8:]]
    for at, value in ((8, 2), (12, 0), (20, 4), (32, 0), (32, 2), (36, 1), (40, 1), (44, 2**31),
                      (48, 1), (48, 3), (52, 2**31), (56, 1), (60, 1)):
        bad.append(good[:at] + struct.pack("<I", value) + good[at + 4:])
    with opened(filled.file, os.O_RDWR) as fd:
        for question in bad:
            os.write(fd, question)
            with refused(errno.EINVAL):
                os.read(fd, 100)
            mnt.expect_error("control/nearest: ")
            assert os.read(fd, 100) == b""
        for metric in (-2, 4, 2**31 - 1):
            os.write(fd, good[:16] + struct.pack("<i", metric) + good[20:])
            with refused(errno.EINVAL):
                os.read(fd, 100)
            mnt.expect_error(f"control/nearest: got metric {metric}, expected -1")
        os.write(fd, good[:20] + struct.pack("<Id", 2, math.nan) + good[32:])
        with refused(errno.EINVAL):
            os.read(fd, 100)
        mnt.expect_error("control/nearest: got a NaN as the bound of distances")
        os.write(fd, oracle.request(one, 1, metric="hamming"))
        with refused(errno.EINVAL):
            os.read(fd, 100)
        mnt.expect_error("control/nearest: hamming is for vectors of b1 or u1, but these are f4")
        for k, count in ((2**20 + 1, 1), (2**32 - 1, 1), (2**20, 5)):
            os.write(fd, oracle.request(one * count, count, k))
            with refused(errno.E2BIG):
                os.read(fd, 100)
            mnt.expect_error(f"control/nearest: got {count} questions with {k} neighbours each")
        assert len(oracle.answers(ask(fd, good), 1, 10)[0]) == 10


def test_a_question_has_a_bound(stores, rng):
    """Of which a user's share is not passed by asking, either."""
    filled = fill(stores, rng, "i1", 8, count=100)
    mebibyte = bytes(1 << 20)
    with opened(filled.file, os.O_RDWR) as fd:
        with refused(errno.EFBIG):
            for _ in range(129):
                os.write(fd, mebibyte)
        filled.mnt.expect_error("control/nearest: a question may have at most 134217792 bytes")
    assert filled.mnt.stats()["question_bytes"] == "0"


# ---- long questions ----------------------------------------------------------------------


@pytest.fixture
def slow(stores, rng):
    """A mount, and a question to it that takes some seconds, however fast the machine is."""
    filled = fill(stores, rng, "u1", 512, ids=range(8000))

    def question(count):
        return oracle.request(oracle.random_rows(rng, "u1", 512, count).tobytes(), count, 10,
                              "cosine", flags=oracle.EXACT)

    def rate_of(some):
        began = time.monotonic()
        asked(filled.file, some)
        return 32 / (time.monotonic() - began)

    # The best of some: whatever else the machine does can only make it slower.
    rate = max(rate_of(question(32)) for _ in range(5))

    def lasting(seconds):
        count = max(32, min(65536, round(rate * seconds)))
        filled.size = (4 * count + 7) // 8 * 8 + count * 10 * 16
        return question(count)

    filled.lasting = lasting
    filled.question = lasting(3)
    return filled


def start_asking(path, question):
    """A process that asks, and says so."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            fd = os.open(path, os.O_RDWR)
            for at in range(0, len(question), 1 << 20):
                os.write(fd, question[at:at + (1 << 20)])
            os.write(ours, b"x")
            os.read(fd, 1 << 20)
        finally:
            os._exit(0)
    os.close(ours)
    assert os.read(theirs, 1) == b"x"
    os.close(theirs)
    return child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_who_is_killed_asks_no_more(slow, number):
    """Though it would take longer than this test waits."""
    child = start_asking(slow.file, slow.lasting(200))
    until(lambda: int(slow.mnt.stats()["nearest_running"]) == 1 or ended(child),
          "no question runs")
    os.kill(child, number)
    os.waitpid(child, 0)
    until(lambda: slow.mnt.stats()["nearest_running"] == "0", "it runs on")
    until(lambda: slow.mnt.stats()["question_bytes"] == "0", "it is open still")


def ended(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_others_are_answered_meanwhile(slow):
    """As many ask as there are threads for it, and more."""
    children = [start_asking(slow.file, slow.question) for _ in range(18)]
    try:
        data = slow.rows[3].tobytes()
        for turn in range(10):
            assert slow.mnt.get(3) == data
            slow.mnt.put(50000 + turn, data)
            assert len(os.listdir(slow.mnt.control_folder)) > 5
            assert asked(slow.mnt.control_folder / "get",
                         (3).to_bytes(8, "little")) == data + b"\1"
        assert slow.mnt.stats()["count"] == "8010"
        # or none of it was beside a question
        assert not all(ended(child) for child in children)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def test_a_signal_that_is_handled_ends_nothing(slow):
    """A timer's, as profilers have: the answer comes whole, however often it strikes."""
    struck = []
    before = signal.signal(signal.SIGALRM, lambda *_: struck.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        while not struck:
            assert len(asked(slow.file, slow.question)) == slow.size
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.needs_root("acts as several users")
def test_one_users_questions_do_not_take_all_threads(stores, rng):
    """So many that they would for a long time; somebody else's is answered beside them."""
    filled = fill(stores, rng, "u1", 512, ids=range(8000), options=["allow_other"])
    question = oracle.request(oracle.random_rows(rng, "u1", 512, 2000).tobytes(), 2000, 10,
                              "cosine", flags=oracle.EXACT)
    others = [Peer(uid=NOBODY, gid=NOBODY) for _ in range(12)]
    try:
        for other in others:
            other.start(ask_as, str(filled.file), question)
        until(lambda: filled.mnt.stats()["nearest_running"] != "0", "nobody asks")
        for _ in range(3):
            filled.check(ask_one(filled, filled.rows[0], metric="l2"), "l2", filled.rows[0], 10)
            assert int(filled.mnt.stats()["nearest_running"]) <= 3
    finally:
        for other in others:
            os.kill(other.process.pid, signal.SIGKILL)
            other.close()


def test_readers_of_one_open_file_wait_for_the_answer_and_writers_are_told(slow):
    """The parts go to them as they come, each once."""
    parts, seen = [], []
    with opened(slow.file, os.O_RDWR) as fd:
        os.write(fd, slow.question)

        def reader():
            part = b"x"
            while part:
                part = os.pread(fd, 100_000, 0)
                parts.append(len(part))

        threads = [threading.Thread(target=reader) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: slow.mnt.stats()["nearest_running"] == "1" or parts, "nobody asks")
        try:
            os.pwrite(fd, b"x", 0)
        except OSError as error:
            seen.append(error.errno)
        for thread in threads:
            thread.join()
        if not seen:
            pytest.skip("the question was over too soon")
        assert seen == [errno.EBUSY]
        assert sum(parts) == slow.size and parts.count(0) == 4


def test_an_unmount_ends_what_runs(slow):
    """A lazy one; the daemon does not stay until the answer is there."""
    child = start_asking(slow.file, slow.question)
    until(lambda: slow.mnt.stats()["nearest_running"] == "1" or ended(child), "it does not run")
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    slow.mnt.unmount()


# ---- beside writers ----------------------------------------------------------------------


def test_an_answer_has_what_was_there_when_it_was_asked(stores, rng):
    """Vectors change between two versions and come and go; each distance is that of one of them."""
    filled = fill(stores, rng, "i1", 16, ids=range(300))
    mnt, one = filled.mnt, filled.rows[0]
    other = oracle.random_rows(rng, "i1", 16, 300)
    possible = [{float(d) for d in pair} for pair in zip(
        oracle.distances("l2", "i1", one, filled.rows), oracle.distances("l2", "i1", one, other))]
    stop = threading.Event()

    def writer():
        turn = 0
        while not stop.is_set():
            turn += 1
            put_rows(mnt, range(200), (other if turn % 2 else filled.rows)[:200])
            for vector in range(200, 210):
                if mnt.has(vector):
                    os.unlink(mnt.path(vector))
                else:
                    mnt.put(vector, filled.rows[vector].tobytes())

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        for _ in range(60):
            answer = ask_one(filled, one, 300, metric="l2")
            told = dict(answer)
            assert len(told) == len(answer)
            assert set(range(200)) | set(range(210, 300)) <= set(told)
            assert all(told[vector] in possible[vector] for vector in told)
    finally:
        stop.set()
        thread.join()


# ---- who may learn what ------------------------------------------------------------------


def ask_as(path, question):
    with opened(path, os.O_RDWR) as fd:
        return ask(fd, question)


@pytest.fixture
def shared(stores, rng):
    """A mount that others may use, and somebody else."""
    filled = fill(stores, rng, count=400, options=["allow_other"])
    filled.other = Peer(uid=NOBODY, gid=NOBODY)
    yield filled
    filled.other.close()


@pytest.mark.parametrize("hidden", [3, 30, 395, 400])
def test_others_learn_of_what_they_may_read_alone(shared, rng, hidden):
    """Few that are not for them, and nearly all."""
    one = shared.rows[0]
    order = oracle.nearest("l2", "f4", one, shared.ids, shared.rows, 400)
    secret = [vector for vector, _ in (order[:hidden] if hidden != 30 else rng.sample(order, 30))]
    for vector in secret:
        os.chmod(shared.mnt.path(vector), 0o640)
    seen = [int(vector) for vector in shared.ids if int(vector) not in set(secret)]
    for ids in ((), [int(vector) for vector in shared.ids[:100]]):
        data = shared.other.call(ask_as, str(shared.file),
                                 oracle.request(one.tobytes() * 2, 2, 10, "l2", ids=ids,
                                                excepts=[oracle.NONE, seen[0] if seen else 1]))
        first, second = oracle.answers(data, 2, 10)
        among = [vector for vector in seen if not ids or vector in ids]
        shared.check(first, "l2", one, 10, among=among)
        shared.check(second, "l2", one, 10, among=among, without=seen[0] if seen else 1)
    # who has mounted learns of all
    shared.check(ask_one(shared, one), "l2", one, 10)


def test_who_may_not_pass_through_the_folder_learns_nothing(shared):
    os.chmod(shared.mnt.vectors, 0o750)
    with refused(errno.EACCES):
        shared.other.call(ask_as, str(shared.file), oracle.request(shared.rows[0].tobytes(), 1))


def test_it_is_not_where_nothing_can_be_opened_for_writing(stores, rng):
    filled = fill(stores, rng)
    mnt = stores.again(filled.mnt, options=["ro"])
    assert "nearest" not in os.listdir(mnt.control_folder)
    with refused(errno.ENOENT):
        os.stat(mnt.control_folder / "nearest")
