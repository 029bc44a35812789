"""quiverfs create --like: a store as a file of vectors needs it, or as another store is."""

import os
import re

import numpy as np
import pytest

from harness import quiverfs

ROWS = np.arange(24, dtype="f4").reshape(3, 8)


@pytest.fixture
def work(tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    return tmp


def makes(like, *words, name="new", says):
    done = quiverfs("create", name, "--like", like, *words)
    assert re.fullmatch(rf"{name}: an empty store, {says}, \d+ bytes a vector\n", done.stdout)
    assert re.search("vectors +0, " + says.replace(r" \(no type is given\)", ""),
                     quiverfs("status", name).stdout)
    return done


def refuses(like, *words, says, name="none"):
    done = quiverfs("create", name, "--like", like, *words, status=1)
    assert re.search(says, done.stderr), done.stderr
    assert not os.path.exists("none")


def test_a_file_tells_dim_and_dtype(work):
    np.save("rows.npy", ROWS.astype("f2"))
    makes("rows.npy", says="dim 8, dtype f2, metric l2")
    assert quiverfs("import", "new", "rows.npy").stdout.startswith("3 vectors imported")
    np.save("none.npy", ROWS[:0])
    makes("none.npy", says="dim 8, dtype f4, metric l2", name="empty")
    with open("rows.csv", "w", encoding="utf-8") as file:
        file.write("id,a0,a1,a2\n1,0.5,1.5,2\n")
    makes("rows.csv", says=r"dim 3, dtype f4 \(no type is given\), metric l2", name="text")
    makes("rows.csv", "--dtype", "f2", "--metric", "cosine", says="dim 3, dtype f2, metric cosine",
          name="half")


def test_a_store_and_a_mount_tell_their_metric_too(stores, work):
    quiverfs("create", "other", "--dim", 16, "--dtype", "b1", "--metric", "hamming", "--label", "x")
    makes("other", says="dim 16, dtype b1, metric hamming")
    makes("other", "--dtype", "u1", says="dim 16, dtype u1, metric hamming", name="bytes")
    quiverfs("snapshot", "create", "other", "old")
    makes("other@old", "--metric", "l2", says="dim 16, dtype b1, metric l2", name="third")
    makes("other/vectors.npy", says="dim 2, dtype u1, metric l2", name="column")
    mnt = stores.mount()
    mnt.control("metric", "ip\n")
    makes(mnt.point, says="dim 25, dtype f4, metric ip", name="fourth")
    makes(mnt.store.path, says="dim 25, dtype f4, metric ip", name="fifth")


def test_what_tells_nothing_makes_nothing(work):
    np.save("rows.npy", ROWS)
    os.mkdir("folder")
    ROWS.tofile("rows.dat")
    open("empty.csv", "w", encoding="utf-8").close()
    refuses("absent.npy", says="absent.npy: No such file")
    refuses("folder", says="not a store of quiverfs")
    refuses("empty.csv", says="it holds no rows, so the right store is not known")
    refuses("rows.dat", says="does not tell the format; use .quiverfs import STORE FILE --format")
    refuses("-", says="'quiverfs import none - --format NAME' makes the store and imports")
    refuses("rows.npy", "--metric", "hamming", says="or hamming if the dtype is b1 or u1")
    quiverfs("create", "there", "--like", "rows.npy")
    refuses("rows.npy", says="there is a store here already", name="there")
    assert "--dim is missing" in quiverfs("create", "none", status=2).stderr
    assert "--like FILE takes that" in quiverfs("create", "none", status=2).stderr
