"""quiverfs index: an index of nearest neighbours is built, used, told of and removed."""

import errno
import json
import signal
import subprocess

import numpy
import pytest

from files import refused as expected
from format_files import refused
from harness import QUIVERFS, quiverfs, run, until
from ordinary_user import ordinary_user_words

ROWS, DIM = 30_000, 16


@pytest.fixture
def clusters(tmp, rng):
    """Vectors that lie in heaps, on which an index helps."""
    random = numpy.random.default_rng(rng.randrange(2**32))
    middles = random.normal(size=(150, DIM)) * 5
    rows = (middles[random.integers(150, size=ROWS)] + random.normal(size=(ROWS, DIM))).astype("f4")
    numpy.save(tmp / "rows.npy", rows)
    numpy.save(tmp / "q.npy", rows[:300])
    return rows


@pytest.fixture
def store(stores, tmp, clusters):
    made = stores.create(dim=DIM)
    quiverfs("import", made.path, tmp / "rows.npy")
    return made


def status(target):
    return json.loads(quiverfs("status", target, "--json").stdout)


def recall(target, tmp):
    """Of the 10 nearest as they are the share that is found without --exact."""
    found = []
    for words in ([], ["--exact"]):
        quiverfs("search", target, tmp / "q.npy", "-o", tmp / "found.npy", *words)
        found.append(numpy.load(tmp / "found.npy"))
    return numpy.mean([len(set(one) & set(other)) / 10 for one, other in zip(*found)])


def lines(mnt):
    return dict(line.split(" ", 1) for line in mnt.control("nearest_index").splitlines())


def test_a_store_has_one_that_a_mount_uses(stores, store, tmp):
    assert status(store.path)["nearest_state"] == "none"
    done = quiverfs("index", store.path)
    assert " lists; a question looks at " in done.stdout
    assert " of the 10 nearest, in " in done.stdout
    mnt = stores.mount(store)
    found = status(mnt.point)
    assert found["nearest_state"] == "ready" and found["nearest_building"] is False
    assert found["nearest_recall"] >= 0.95 and found["nearest_lists"] > found["nearest_probes"] > 0
    assert found["nearest_assigned"] + found["nearest_pending"] == ROWS
    assert found["nearest_file_bytes"] > 0
    until(lambda: status(mnt.point)["nearest_memory_bytes"] > 0, "it is not loaded")
    told = lines(mnt)
    assert told["state"] == "ready" and told["result"] == "ok" and told["metric"] == "l2"
    assert int(told["lists"]) == found["nearest_lists"]
    text = quiverfs("status", mnt.point).stdout
    assert "lists; a question looks at" in " ".join(text.split())
    assert recall(mnt.point, tmp) >= 0.9
    # what is written is found at once
    mnt.put(900_000, (tmp / "q.npy").read_bytes()[-DIM * 4:])
    assert quiverfs("search", mnt.point, 900_000, "-k", 1).stdout == "299 0\n"


def test_a_mount_builds_and_removes_it(stores, store, tmp):
    mnt = stores.mount(store)
    done = quiverfs("index", mnt.point, "start")
    assert " of the 10 nearest, in " in done.stdout
    assert lines(mnt)["state"] == "ready"
    assert recall(mnt.point, tmp) >= 0.9
    quiverfs("index", mnt.point, "stop")  # of none that is being built
    quiverfs("index", store.path, "off")
    assert lines(mnt)["state"] == "none" and list((store.path / "nearest").glob("*")) == []
    assert status(mnt.point)["nearest_lists"] == 0
    mnt.control("nearest_index", "start\n")
    until(lambda: lines(mnt)["building"] == "0", "the build does not end")
    assert lines(mnt)["state"] == "ready"
    mnt.control("nearest_index", "off")
    assert quiverfs("search", mnt.point, 5).stdout == quiverfs("search", mnt.point, 5, "--exact").stdout


def test_a_signal_stops_it(stores, tmp, rng):
    store = stores.create(dim=DIM)
    numpy.save(tmp / "many.npy", numpy.random.default_rng(1).normal(size=(400_000, DIM)).astype("f4"))
    quiverfs("import", store.path, tmp / "many.npy")
    mnt = stores.mount(store)
    with subprocess.Popen([QUIVERFS, "index", mnt.point], stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE) as running:
        until(lambda: lines(mnt)["building"] == "1" or running.poll() is not None, "no build")
        running.send_signal(signal.SIGINT)
        said = running.stderr.read().decode()
        assert running.wait() == 1
    assert "index stopped" in said
    assert lines(mnt)["building"] == "0" and lines(mnt)["result"] == "stopped"


def test_where_there_can_be_none(stores, tmp, clusters):
    small = stores.create(dim=DIM, name="small")
    numpy.save(tmp / "few.npy", clusters[:100])
    quiverfs("import", small.path, tmp / "few.npy")
    refused("index", small.path, says=["fewer than 10,000 vectors"])
    mnt = stores.mount(small)
    refused("index", mnt.point, says=["fewer than 10,000 vectors"])
    mnt.forget_errors()
    quiverfs("index", mnt.point, "off")
    mnt = stores.again(mnt, options=["ro"])
    refused("index", mnt.point, says=["read-only"])
    with expected(errno.EROFS):
        mnt.control("nearest_index", "start")
    assert "expected start, stop or off" in quiverfs("index", small.path, "begin", status=2).stderr


@pytest.mark.needs_root("acts as several users")
def test_it_is_for_who_mounted(stores, store):
    mnt = stores.mount(store, options=["allow_other"])
    done = run(*ordinary_user_words, QUIVERFS, "index", mnt.point, status=1)
    assert "only the user who mounted the store may" in done.stderr.decode()
    assert lines(mnt)["state"] == "none"
