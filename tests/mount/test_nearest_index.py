"""control/nearest_index: an index of nearest neighbours is built, used, stopped and removed."""

import errno
import os

import numpy
import pytest

import nearest_oracle as oracle
from asking import asked
from filled import fill, put_rows
from files import refused
from harness import shell, until

pytestmark = pytest.mark.local("an index of nearest neighbours")
COUNT = 20_000
STATES = {"none", "building", "ready", "no_help"}


def state(mnt):
    return dict(line.split(" ", 1) for line in mnt.control("nearest_index").splitlines())


def clusters(rng, count, dim):
    """Vectors around some points, as those of a model are."""
    noise = numpy.random.default_rng(rng.randrange(2**32))
    centres = noise.standard_normal((200, dim)) * 4
    return (centres[noise.integers(0, 200, count)] +
            noise.standard_normal((count, dim))).astype("<f4")


@pytest.fixture
def many(stores, rng):
    filled = fill(stores, rng, dim=16, ids=[])
    filled.ids = numpy.arange(COUNT, dtype="u8")
    filled.rows = clusters(rng, COUNT, 16)
    put_rows(filled.mnt, filled.ids, filled.rows)
    return filled


def build(mnt):
    mnt.control("nearest_index", "start\n")
    until(lambda: state(mnt)["building"] == "0", "no end of building")
    found = state(mnt)
    assert found["result"] == "ok" and found["state"] in ("ready", "no_help")
    return found


def test_one_is_built_and_used_and_removed(stores, many, rng):
    mnt = many.mnt
    assert state(mnt)["state"] == "none" and state(mnt)["result"] == "none"
    found = build(mnt)
    assert int(found["assigned"]) + int(found["pending"]) == COUNT
    assert found["metric"] == "l2" and int(found["file_bytes"]) > 0
    stats = mnt.stats()
    for name in ("state", "lists", "probes", "assigned", "pending", "memory_bytes", "file_bytes"):
        assert stats["nearest_" + name] == found[name], name
    for name in ("recall", "exact_ms", "index_ms"):
        assert float(stats["nearest_" + name]) == pytest.approx(float(found[name]), abs=1e-3)
    if found["state"] == "ready":
        assert 0.9 <= float(found["recall"]) <= 1 and int(found["lists"]) > int(found["probes"]) > 0
    same = 0
    for vector in rng.sample(range(COUNT), 50):
        one = many.rows[vector]
        want = oracle.nearest("l2", "f4", one, many.ids, many.rows, 10)
        data = asked(many.file, oracle.request(one.tobytes(), 1))
        told = oracle.answers(data, 1, 10)[0]
        assert len(told) == 10
        true = oracle.distances("l2", "f4", one, many.rows)
        assert all(abs(distance - true[other]) <= 1e-9 * true.max() for other, distance in told)
        same += len(dict(told).keys() & dict(want).keys())
        exact = asked(many.file, oracle.request(one.tobytes(), 1, flags=oracle.EXACT))
        many.check(oracle.answers(exact, 1, 10)[0], "l2", one, 10)
    assert same >= 50 * 10 * 0.8
    # what has just been written is found
    mnt.put(COUNT, many.rows[7].tobytes())
    assert (mnt.point / "nearest/7.1").read_bytes() == b"%d 0\n" % COUNT
    # a read-only mount changes nothing of it, and it is there again with the next
    mnt = many.mnt = stores.again(mnt, options=["ro"])
    assert state(mnt)["state"] in STATES
    with refused(errno.EACCES, errno.EROFS):
        mnt.control("nearest_index", "off")
    mnt = many.mnt = stores.again(mnt)
    until(lambda: state(mnt)["state"] == found["state"], "it is not there again")
    mnt.control("nearest_index", "off\n")
    assert state(mnt)["state"] == "none" and state(mnt)["file_bytes"] == "0"
    assert mnt.stats()["nearest_state"] == "none"


def test_a_build_is_stopped(many):
    mnt = many.mnt
    mnt.control("nearest_index", "start")
    try:
        mnt.control("nearest_index", "start")
    except OSError as error:
        assert error.errno == errno.EBUSY
        mnt.expect_error("control/nearest_index: start: ")
    mnt.control("nearest_index", "stop")
    until(lambda: state(mnt)["building"] == "0", "it does not stop")
    assert state(mnt)["result"] in ("stopped", "ok")
    mnt.forget_errors()


def test_what_is_read_can_be_written_back(many):
    mnt = many.mnt
    for look in (state, build):
        before = look(mnt)
        mnt.control("nearest_index", mnt.control("nearest_index"))
        shell('x=$(cat nearest_index); printf %s "$x" > nearest_index', cwd=mnt.control_folder)
        shell('while read x; do echo "$x"; done < nearest_index > nearest_index',
              cwd=mnt.control_folder)
        assert state(mnt)["state"] == before["state"]
        mnt.control("nearest_index", "stop")


def test_few_vectors_need_none(stores, rng):
    filled = fill(stores, rng, count=100)
    with refused(errno.ENODATA):
        filled.mnt.control("nearest_index", "start")
    filled.mnt.expect_error("fewer than 10,000 vectors; comparing all of them is fast")
    filled.mnt.control("nearest_index", "off")
    assert state(filled.mnt)["state"] == "none"


def test_metrics_have_it(many):
    build(many.mnt)
    text = many.mnt.control("metrics")
    for name in ("building", "lists", "probes", "assigned", "pending", "recall_ratio"):
        assert f"# HELP quiverfs_nearest_{name} " in text
        assert f"\nquiverfs_nearest_{name}{{" in text


def test_snapshots_have_no_file_for_it(many):
    os.mkdir(many.mnt.point / "snapshots/old")
    folder = many.mnt.point / "snapshots/old/control"
    assert "nearest_index" not in os.listdir(folder)
    assert "nearest_state none" not in (folder / "stats").read_text()
