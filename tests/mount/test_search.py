"""quiverfs search: nearest neighbours by every metric of every type, compared with NumPy in double."""

import contextlib
import gzip
import json
import os
import signal
import subprocess

import numpy
import pytest

import libduckdb
from conftest import DATA
from format_files import (ID_MAX, h5py, make_rows, read_vecs, refused, write_csv, write_glove,
                          write_hdf5, write_jsonl, write_vecs)
from harness import LONG, QUIVERFS, quiverfs, run, shell
from ordinary_user import ordinary_user_words

DIM = 24
DTYPES = ["f4", "f2", "f8", "i1", "u1", "bf2", "b1"]
METRICS = ["l2", "cosine", "ip", "hamming"]
GOES = [(dtype, metric) for dtype in DTYPES for metric in METRICS
        if metric != "hamming" or dtype in ("u1", "b1")]
ID_NONE = 2**64 - 1


def random_rows(rng, rows, dtype="f4", dim=DIM):
    """As they lie in a store: of bf2 the bits, of b1 eight in a byte."""
    wide = numpy.random.default_rng(rng.randrange(2**32)).normal(size=(rows, dim))
    if dtype == "b1":
        return numpy.packbits(wide > 0, axis=1)
    if dtype == "bf2":
        return (wide.astype("<f4").view("<u4") >> 16).astype("<u2")
    if dtype in ("i1", "u1"):
        info = numpy.iinfo(dtype)
        return numpy.clip(wide * 40 + (128 if dtype == "u1" else 0), info.min, info.max).astype(dtype)
    return wide.astype("<" + dtype)


def numbers(rows, dtype):
    """The elements in double; exact."""
    if dtype == "b1":
        return numpy.unpackbits(rows, axis=1).astype("f8")
    if dtype == "bf2":
        return (rows.astype("<u4") << 16).view("<f4").astype("f8")
    return rows.astype("f8")


def distances(question, rows, metric, dtype):
    """Of one question to all rows."""
    q, x = numbers(question[None], dtype)[0], numbers(rows, dtype)
    if metric == "l2":
        return ((x - q) ** 2).sum(axis=1)
    if metric == "ip":
        return x @ q
    if metric == "hamming" and dtype == "u1":
        return numpy.unpackbits(question ^ rows, axis=1).sum(axis=1).astype("f8")
    if metric == "hamming":
        return (q != x).sum(axis=1).astype("f8")
    return 1 - x @ q / numpy.sqrt((q @ q) * (x * x).sum(axis=1))


class Truth:
    """What a store holds, and what an answer must be."""

    def __init__(self, ids, rows, dtype="f4"):
        self.ids, self.rows, self.dtype = numpy.asarray(ids, "u8"), rows, dtype

    def check(self, answer, question, metric, k=10, leave_out=None, within=None, digits=9):
        """`answer` is a list of (ID, distance). IDs at distances that rounding cannot tell apart may
        stand in either order."""
        some = numpy.full(len(self.ids), True) if leave_out is None else self.ids != leave_out
        ids, sign = self.ids[some], -1 if metric == "ip" else 1
        found = distances(question, self.rows[some], metric, self.dtype)
        if within is not None:
            near = sign * found <= sign * within
            ids, found = ids[near], found[near]
        place = {int(vector): i for i, vector in enumerate(ids)}
        near = numpy.sort(sign * found)[:k]
        slack = 1e-12 + (10.0 ** -digits) * numpy.abs(near)
        assert len(answer) == len(near)
        assert len({vector for vector, _ in answer}) == len(answer)
        told = numpy.array([distance for _, distance in answer])
        assert (numpy.abs(sign * told - near) <= slack).all(), (told, near)
        own = numpy.array([found[place[vector]] for vector, _ in answer])
        assert (numpy.abs(own - told) <= slack).all()
        for (one, at), (other, behind) in zip(answer, answer[1:]):
            assert sign * at < sign * behind or (at == behind and one < other) or digits < 17


def fill(stores, tmp, rng, rows=400, dtype="f4", name="store", dim=DIM, ids=None):
    """A store of random vectors with far IDs, and what is in it."""
    store = stores.create(dim=dim, dtype=dtype, name=name)
    data = random_rows(rng, rows, dtype, dim) if isinstance(rows, int) else rows
    if ids is None:
        ids = numpy.array(rng.sample(range(1 << 20), len(data)), "u8")
    numpy.save(tmp / "rows.npy", data)
    numpy.save(tmp / "ids.npy", numpy.asarray(ids, "u8"))
    quiverfs("import", store.path, tmp / "rows.npy", "--ids", tmp / "ids.npy")
    return store, Truth(ids, data, dtype)


def search(target, *words, **options):
    return quiverfs("search", getattr(target, "path", target), *words, **options).stdout


def blocks(text):
    """The answers in text, a list for each question."""
    return [[(int(line.split()[0]), float(line.split()[1])) for line in block.splitlines()]
            for block in (text + "\n").split("\n\n")[:-1]] if text else []


def answers(text):
    """The answers in JSON lines, by question."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [(line["query"], [(int(found["id"]), found["distance"]) for found in line["neighbours"]])
            for line in lines]


# ---- all types and metrics ------------------------------------------------------------


@pytest.mark.parametrize("dtype, metric", GOES)
def test_every_type_by_every_metric(stores, tmp, rng, dtype, metric):
    store, truth = fill(stores, tmp, rng, dtype=dtype)
    questions = random_rows(rng, 7, dtype)
    questions[3] = truth.rows[11]
    numpy.save(tmp / "q.npy", questions)
    found = answers(search(store, tmp / "q.npy", "--metric", metric, "--format", "jsonl"))
    assert [query for query, _ in found] == list(range(7))
    for (_, answer), question in zip(found, questions):
        truth.check(answer, question, metric)
    text = blocks(search(store, tmp / "q.npy", "--metric", metric, "-k", 3))
    for answer, question, (_, exact) in zip(text, questions, found):
        assert [vector for vector, _ in answer] == [vector for vector, _ in exact[:3]]
        assert [float(f"{distance:.9g}") for _, distance in exact[:3]] == [x for _, x in answer]
        truth.check(answer, question, metric, k=3, digits=8)
    for vector, row in zip(truth.ids[:3], truth.rows):
        answer = blocks(search(store, int(vector), "--metric", metric))[0]
        truth.check(answer, row, metric, leave_out=vector, digits=8)


@pytest.mark.parametrize("dim", [1, 8, 65536])
def test_other_dimensions(stores, tmp, rng, dim):
    store, truth = fill(stores, tmp, rng, rows=20, dim=dim, dtype="i1")
    numpy.save(tmp / "q.npy", truth.rows[:2])
    for metric in ("l2", "ip", "cosine"):
        if metric == "cosine" and dim == 1:
            continue  # a zero may be among them
        for answer, question in zip(blocks(search(store, tmp / "q.npy", "--metric", metric)), truth.rows):
            truth.check(answer, question, metric, digits=8)


def test_the_metric_is_the_store_s(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    other = tmp / "cosine"
    quiverfs("create", other, "--dim", DIM, "--metric", "cosine")
    quiverfs("import", other, tmp / "rows.npy", "--ids", tmp / "ids.npy")
    first = int(truth.ids[0])
    truth.check(blocks(search(store, first))[0], truth.rows[0], "l2", leave_out=first, digits=8)
    answer = blocks(search(other, first))[0]
    truth.check(answer, truth.rows[0], "cosine", leave_out=first, digits=8)
    assert answer != blocks(search(other, first, "--metric", "ip"))[0]


def test_a_metric_that_does_not_go_with_the_type(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, rows=3)
    refused("search", store.path, truth.ids[0], "--metric", "hamming", says=["b1 or u1", "f4"])


# ---- questions ------------------------------------------------------------------------


def write_packed(path, rows):
    write_vecs(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_questions(path, rows):
    """A file of the format that its name ends in."""
    write = {".npy": numpy.save, ".fvecs": write_vecs, ".csv": write_csv, ".jsonl": write_jsonl,
             ".hdf5": write_hdf5, ".vec": lambda to, x: write_glove(to, x, header=True),
             ".npz": lambda to, x: numpy.savez(to, q=x),
             ".gz": write_packed}[path.suffix]
    write(path, rows)


@pytest.mark.parametrize("name", ["q.npy", "q.fvecs", "q.csv", "q.jsonl", "q.npz", "q.vec",
                                  "q.fvecs.gz", "q.hdf5"])
def test_questions_of_every_format(stores, tmp, rng, name):
    if name.endswith("hdf5") and h5py is None:
        pytest.skip("python3-h5py is not installed")
    store, truth = fill(stores, tmp, rng)
    questions = random_rows(rng, 30)
    write_questions(tmp / name, questions)
    found = blocks(search(store, tmp / name))
    assert len(found) == 30
    for answer, question in zip(found, questions):
        truth.check(answer, question, "l2", digits=8)
    # through a pipe, from which no name tells the format
    if name.endswith(("npz", "hdf5", "gz")):
        return
    word = {"vec": "word2vec"}.get(name.split(".")[1], name.split(".")[1])
    piped = search(store, "-", "--query-format", word, stdin=(tmp / name).read_bytes())
    assert blocks(piped) == found


@libduckdb.NEEDED
def test_questions_of_parquet(stores, tmp, rng, monkeypatch):
    monkeypatch.setenv("QUIVERFS_LIBDUCKDB", str(libduckdb.LIBRARY))
    store, truth = fill(stores, tmp, rng)
    quiverfs("export", store.path, tmp / "q.parquet")
    found = answers(search(store, tmp / "q.parquet", "--format", "jsonl", "-k", 2))
    assert [query for query, _ in found] == [str(vector) for vector in sorted(truth.ids)]
    assert [answer[0] for _, answer in found] == [(int(vector), 0) for vector in sorted(truth.ids)]


def test_one_vector_as_an_array_of_one_dimension(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    question = random_rows(rng, 1)
    numpy.save(tmp / "q.npy", question[0])
    truth.check(blocks(search(store, tmp / "q.npy"))[0], question[0], "l2", digits=8)
    numpy.save(tmp / "q.npy", question[0, 1:])
    refused("search", store.path, tmp / "q.npy", says=["q.npy", f"dim {DIM - 1}"])
    refused("import", store.path, tmp / "q.npy", says=["1 dimension"])


def test_several_files_and_a_limit(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    rows = random_rows(rng, 9)
    numpy.save(tmp / "a.npy", rows[:4])
    write_vecs(tmp / "b.fvecs", rows[4:])
    found = answers(search(store, tmp / "a.npy", tmp / "b.fvecs", "--format", "jsonl", "--limit", 8))
    assert [query for query, _ in found] == list(range(8))
    for (_, answer), question in zip(found, rows):
        truth.check(answer, question, "l2")


def test_names_of_questions(stores, tmp, rng):
    """What a file has for the ID of a row names it, whatever that is."""
    store, _ = fill(stores, tmp, rng)
    rows = random_rows(rng, 3)
    write_jsonl(tmp / "q.jsonl", rows, ids=["a \"b\"", "größer", "\\"])
    write_glove(tmp / "q.vec", rows, header=True)
    write_csv(tmp / "q.csv", rows, ids=True, names="id," + ",".join(f"v{i}" for i in range(DIM)))
    (tmp / "plain.jsonl").write_text("".join(json.dumps(row.tolist()) + "\n" for row in rows))
    for name, names in (("q.jsonl", ["a \"b\"", "größer", "\\"]), ("q.vec", ["w0", "w1", "w2"]),
                        ("q.csv", ["0", "1", "2"]), ("plain.jsonl", [0, 1, 2])):
        found = answers(search(store, tmp / name, "--format", "jsonl"))
        assert [query for query, _ in found] == names, name
        # in text they do not matter
        assert len(blocks(search(store, tmp / name))) == 3


def test_conversion_is_said(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, dtype="f2")
    wide = random_rows(rng, 5, "f8")
    numpy.save(tmp / "q.npy", wide)
    refused("search", store.path, tmp / "q.npy", says=["q.npy", "dtype f8", "--convert"])
    done = quiverfs("search", store.path, tmp / "q.npy", "--convert")
    assert " rounded (by" in done.stderr
    for answer, question in zip(blocks(done.stdout), wide.astype("f2")):
        truth.check(answer, question, "l2", digits=8)


@pytest.mark.parametrize("bad, words", [(numpy.nan, "NaN"), (-numpy.inf, "infinite")])
def test_a_question_without_distances_is_told(stores, tmp, rng, bad, words):
    store, truth = fill(stores, tmp, rng)
    rows = random_rows(rng, 6)
    rows[2, 5] = bad
    rows[4, 0] = bad
    numpy.save(tmp / "q.npy", rows)
    done = quiverfs("search", store.path, tmp / "q.npy", "--format", "jsonl", status=1)
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert f"{tmp}/q.npy: row 2 (at byte " in lines[0] and f"element 5 is {words}" in lines[0]
    assert "row 4 " in lines[1] and f"element 0 is {words}" in lines[1]
    for i, (query, answer) in enumerate(answers(done.stdout)):
        assert query == i
        if i in (2, 4):
            assert answer == []
        else:
            truth.check(answer, rows[i], "l2")


def test_zeros_have_no_direction(stores, tmp, rng):
    rows = random_rows(rng, 50)
    rows[7] = 0
    rows[8] = -0.0
    rows[9, 3] = numpy.nan
    store, truth = fill(stores, tmp, rng, rows=rows, ids=range(50))
    good = numpy.array([i for i in range(50) if i not in (7, 8, 9)])
    truth = Truth(good, rows[good])
    numpy.save(tmp / "q.npy", rows[[0, 7, 8]])
    done = quiverfs("search", store.path, tmp / "q.npy", "--metric", "cosine", "-k", 99, status=1)
    assert done.stderr.count("all its elements are 0") == 2
    truth.check(blocks(done.stdout)[0], rows[0], "cosine", k=99, digits=8)
    done = quiverfs("search", store.path, 8, 9, 1, "--metric", "cosine", status=1)
    assert "vector 8: all its elements are 0" in done.stderr
    assert "vector 9: element 3 is NaN" in done.stderr
    # under l2 zeros are a place as any other
    assert len(blocks(search(store, 7, "-k", 99))[0]) == 48


def test_ids_that_are_not_there(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, ids=range(1, 401))
    done = quiverfs("search", store.path, 0, 1, 401, 2, "--format", "jsonl", status=1)
    assert done.stderr.count("there is no vector ") == 2
    assert "there is no vector 401" in done.stderr
    found = answers(done.stdout)
    assert [query for query, _ in found] == [0, 1, 401, 2]
    assert found[0][1] == found[2][1] == []
    truth.check(found[1][1], truth.rows[0], "l2", leave_out=1)
    truth.check(found[3][1], truth.rows[1], "l2", leave_out=2)


def test_the_largest_id(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, rows=3, ids=[0, 2**63, ID_MAX])
    assert {vector for vector, _ in blocks(search(store, ID_MAX))[0]} == {0, 2**63}
    found = json.loads(search(store, ID_MAX, "--format", "jsonl", "-k", 9))
    assert found["query"] == str(ID_MAX)
    assert {x["id"] for x in found["neighbours"]} == {0, str(2**63)}
    refused("search", store.path, 0, "-o", tmp / "a.ivecs", says=["a.ivecs", str(2**31 - 1)])
    assert not (tmp / "a.ivecs").exists()


def test_fewer_than_k_and_none(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, rows=4)
    first = int(truth.ids[0])
    assert len(blocks(search(store, first, "-k", 1000))[0]) == 3
    numpy.save(tmp / "q.npy", truth.rows)
    assert [len(answer) for answer in blocks(search(store, tmp / "q.npy", "-k", 1 << 20))] == [4] * 4
    empty = stores.create(dim=DIM, name="empty")
    done = quiverfs("search", empty.path, tmp / "q.npy", "--limit", 1)
    assert (done.stdout, done.stderr) == ("", "")
    assert search(empty, "--self", "--within", 5) == ""
    assert answers(search(empty, tmp / "q.npy", "--format", "jsonl")) == [(i, []) for i in range(4)]
    quiverfs("search", empty.path, tmp / "q.npy", "-k", 2, "-o", tmp / "none.npy")
    assert (numpy.load(tmp / "none.npy") == ID_NONE).all()


def test_of_equal_distances_the_lower_id_is_first(stores, tmp, rng):
    rows = numpy.repeat(random_rows(rng, 3), 40, axis=0)
    ids = rng.sample(range(10000), 120)
    store, _ = fill(stores, tmp, rng, rows=rows, ids=ids)
    found = blocks(search(store, ids[0], "-k", 20))[0]
    assert [vector for vector, _ in found] == sorted(ids[1:40])[:20]
    assert {distance for _, distance in found} == {0}


# ---- which vectors --------------------------------------------------------------------


def test_only_among_some_ids(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    some = rng.sample(sorted(int(x) for x in truth.ids), 50)
    (tmp / "some.txt").write_text("".join(f"{x}\n" for x in some + some[:9] + [5_000_000]))
    numpy.save(tmp / "some.npy", numpy.array(some, "<i8"))
    chosen = numpy.isin(truth.ids, some)
    less = Truth(truth.ids[chosen], truth.rows[chosen])
    question = random_rows(rng, 1)
    numpy.save(tmp / "q.npy", question)
    for name in ("some.txt", "some.npy"):
        for k in (5, 60):
            found = blocks(search(store, tmp / "q.npy", "--ids", tmp / name, "-k", k))[0]
            less.check(found, question[0], "l2", k=k, digits=8)
    less.check(blocks(search(store, some[0], "--ids", tmp / "some.txt"))[0],
               less.rows[less.ids == some[0]][0], "l2", leave_out=some[0], digits=8)
    for text in ("", "5000001\n5000002\n"):
        (tmp / "none.txt").write_text(text)
        done = quiverfs("search", store.path, tmp / "q.npy", "--ids", tmp / "none.txt")
        assert done.stdout == ""
        assert f"none.txt: note: none of its {text.count('5000')} IDs belongs to a vector" in done.stderr
    (tmp / "bad.txt").write_text("12\nx\n")
    refused("search", store.path, some[0], "--ids", tmp / "bad.txt", says=["bad.txt", "line 2"])


@pytest.mark.parametrize("metric, within", [("l2", 30.0), ("cosine", 0.7), ("ip", 4.0)])
def test_within_a_distance(stores, tmp, rng, metric, within):
    store, truth = fill(stores, tmp, rng)
    questions = random_rows(rng, 20)
    numpy.save(tmp / "q.npy", questions)
    words = [tmp / "q.npy", "--within", within, "--metric", metric, "--format", "jsonl"]
    found = answers(search(store, *words))
    assert max(len(answer) for _, answer in found) > 10
    for (_, answer), question in zip(found, questions):
        truth.check(answer, question, metric, k=None, within=within)
    for (_, answer), question in zip(answers(search(store, *words, "-k", 3)), questions):
        truth.check(answer, question, metric, k=3, within=within)


def test_within_a_distance_are_many(stores, tmp, rng):
    """More than are asked for at first, of some questions and not of others."""
    rows = numpy.round(random_rows(rng, 3000) * 0.1)  # most are zeros
    rows[::7] += 50
    store, truth = fill(stores, tmp, rng, rows=rows)
    order = rng.sample(range(3000), 60)
    numpy.save(tmp / "q.npy", rows[order])
    found = answers(search(store, tmp / "q.npy", "--within", 0.5, "--format", "jsonl"))
    assert max(len(answer) for _, answer in found) > 1000
    for (_, answer), row in zip(found, rows[order]):
        truth.check(answer, row, "l2", k=None, within=0.5)


# ---- pairs ----------------------------------------------------------------------------


def pairs_of(truth, metric, within):
    order = numpy.argsort(truth.ids)
    ids, rows = truth.ids[order], truth.rows[order]
    found = {}
    for i, row in enumerate(rows):
        to = distances(row, rows[i + 1:], metric, truth.dtype)
        near = to >= within if metric == "ip" else to <= within
        found.update({(int(ids[i]), int(other)): distance for other, distance in
                      zip(ids[i + 1:][near], to[near])})
    return found


@pytest.mark.parametrize("metric, within", [("l2", 15.0), ("cosine", 0.4), ("ip", 12.0)])
def test_pairs(stores, tmp, rng, metric, within):
    store, truth = fill(stores, tmp, rng)
    expected = pairs_of(truth, metric, within)
    text = search(store, "--self", "--within", within, "--metric", metric)
    lines = [line.split() for line in text.splitlines()]
    assert len(expected) > 5
    assert [(int(a), int(b)) for a, b, _ in lines] == sorted(expected)
    for a, b, distance in lines:
        assert float(distance) == pytest.approx(expected[int(a), int(b)], rel=1e-8)
    quiverfs("search", store.path, "--self", "--within", within, "--metric", metric, "-o",
             tmp / "pairs.jsonl")
    assert [tuple(json.loads(line)["ids"]) for line in open(tmp / "pairs.jsonl")] == sorted(expected)
    some = sorted({x for pair in expected for x in pair})[::2]
    (tmp / "some.txt").write_text("".join(f"{x}\n" for x in some))
    text = search(store, "--self", "--within", within, "--metric", metric, "--ids", tmp / "some.txt")
    assert [tuple(map(int, line.split()[:2])) for line in text.splitlines()] == sorted(
        pair for pair in expected if set(pair) <= set(some))


def test_pairs_of_one_vector_with_very_many(stores, tmp, rng):
    rows = random_rows(rng, 900)
    rows[100:] = rows[100]
    rows[3, 3] = numpy.nan
    rows[4, 3] = numpy.inf
    store, truth = fill(stores, tmp, rng, rows=rows)
    done = quiverfs("search", store.path, "--self", "--within", 0)
    assert "2 vectors have no distances, and are in no pair: they hold a NaN or an infinity" in done.stderr
    same = sorted(int(x) for x in truth.ids[100:])
    assert done.stdout.splitlines() == [f"{a} {b} 0" for i, a in enumerate(same)
                                        for b in same[i + 1:]]


# ---- output ---------------------------------------------------------------------------


def test_tables_are_read_back(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, rows=30)
    questions = random_rows(rng, 11)
    numpy.save(tmp / "q.npy", questions)
    told = answers(search(store, tmp / "q.npy", "-k", 40, "--format", "jsonl"))
    ids = numpy.full((11, 40), ID_NONE, "u8")
    far = numpy.full((11, 40), numpy.nan)
    for i, (_, answer) in enumerate(told):
        ids[i, :30], far[i, :30] = zip(*answer)
    for words in (["-o", tmp / "a.npy", "--distances", tmp / "a_d.npy"],
                  ["-o", tmp / "a.ivecs", "--distances", tmp / "a_d.fvecs"],
                  ["-o", tmp / "a.fvecs"]):
        done = quiverfs("search", store.path, tmp / "q.npy", "-k", 40, *words)
        assert "11 vectors written to" in done.stdout
    found = numpy.load(tmp / "a.npy")
    assert found.dtype == numpy.dtype("<u8") and (found == ids).all()
    found = numpy.load(tmp / "a_d.npy")
    assert found.dtype == numpy.dtype("<f8")
    numpy.testing.assert_array_equal(found, far)
    assert (read_vecs(tmp / "a.ivecs", "i4") == ids.astype("i8").astype("i4")).all()
    for name in ("a.fvecs", "a_d.fvecs"):
        numpy.testing.assert_array_equal(read_vecs(tmp / name, "f4"), far.astype("f4"))
    # what is written is read
    quiverfs("search", store.path, tmp / "q.npy", "-o", tmp / "text.txt")
    assert (tmp / "text.txt").read_text() == search(store, tmp / "q.npy")
    quiverfs("search", store.path, tmp / "q.npy", "-o", tmp / "packed.npy.gz", "-k", 40)
    assert gzip.decompress((tmp / "packed.npy.gz").read_bytes()) == (tmp / "a.npy").read_bytes()
    piped = run(QUIVERFS, "search", store.path, tmp / "q.npy", "-k", 40, "--format", "ivecs").stdout
    assert piped == (tmp / "a.ivecs").read_bytes()


def test_a_table_of_questions_from_a_pipe(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    write_jsonl(tmp / "q.jsonl", random_rows(rng, 5))
    text = (tmp / "q.jsonl").read_bytes()
    words = ["search", store.path, "-", "--query-format", "jsonl"]
    quiverfs(*words, "-o", tmp / "a.npy", stdin=text)
    assert numpy.load(tmp / "a.npy").shape == (5, 10)
    refused(*words, "--format", "npy", says=["number of rows"], stdin=text)


def test_a_row_of_a_table_for_each_question(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng, ids=range(400))
    quiverfs("search", store.path, 3, 999, 4, "-k", 2, "-o", tmp / "a.npy", status=1)
    found = numpy.load(tmp / "a.npy")
    assert (found[1] == ID_NONE).all() and (found[[0, 2]] != ID_NONE).all()


def test_what_does_not_fit_together(stores, tmp, rng):
    store, _ = fill(stores, tmp, rng, rows=5, ids=range(5))
    for words, said in ((["1", "-o", tmp / "a.what"], "does not tell the format"),
                        (["1", "--format", "csv"], "--query-format is the format of QUERY"),
                        (["1", tmp / "rows.npy"], "either files or IDs"),
                        (["--self", "--within", "1", "1"], "--self"),
                        (["--self"], "--within D"),
                        (["--self", "--within", "1", "--format", "npy"], "text or jsonl"),
                        (["1", "--within", "1", "--format", "ivecs"], "-k"),
                        (["1", "--within", "x"], "not a distance"),
                        (["1", "-k", "0"], "1 to 1048576"),
                        (["1", "-k", "1048577"], "1 to 1048576"),
                        (["1", "--metric", "euclid"], "l2, cosine, ip or hamming"),
                        (["1", "--distances", tmp / "d.txt"], ".fvecs or .npy"),
                        ([], "QUERY is missing")):
        done = quiverfs("search", store.path, *words, status=2)
        assert said in done.stderr, (words, done.stderr)
    refused("search", store.path, tmp / "absent.npy", says=["absent.npy", "No such file"])
    refused("search", store.path, tmp / "rows.what", says=["rows.what"])
    numpy.save(tmp / "wide.npy", make_rows(rng, 2, dim=DIM + 1))
    refused("search", store.path, tmp / "wide.npy", says=["wide.npy", f"dim {DIM + 1}"])


def test_what_is_read_is_not_written(stores, tmp, rng):
    store, _ = fill(stores, tmp, rng)
    before = (tmp / "rows.npy").read_bytes()
    os.link(tmp / "rows.npy", tmp / "other.npy")
    refused("search", store.path, tmp / "rows.npy", "-o", tmp / "other.npy", says=["same file as"])
    refused("search", store.path, tmp / "rows.npy", "-o", tmp / "a.npy", "--distances", tmp / "a.npy",
            says=["also an output"])
    refused("search", store.path, tmp / "rows.npy", "-o", store.path / "a.npy", says=["the store"])
    refused("search", store.path, tmp / "rows.npy", "--ids", tmp / "ids.npy", "-o", tmp / "ids.npy",
            says=["ids.npy"])
    assert (tmp / "rows.npy").read_bytes() == before
    assert not (tmp / "a.npy").exists()


def test_a_failed_search_leaves_a_file_as_it_was(stores, tmp, rng):
    store, _ = fill(stores, tmp, rng)
    (tmp / "q.jsonl").write_text('{"vector": ' + str([1.0] * DIM) + '}\n{"vector": [1, 2]}\n')
    (tmp / "a.jsonl").write_text("before")
    refused("search", store.path, tmp / "q.jsonl", "-o", tmp / "a.jsonl", says=["q.jsonl", "row 1"])
    assert (tmp / "a.jsonl").read_text() == "before"
    assert sorted(name for name in os.listdir(tmp) if name.startswith(".")) == []


def test_a_signal_ends_it(stores, tmp, rng):
    store, _ = fill(stores, tmp, rng)
    words = list(map(str, [QUIVERFS, "search", store.path, "-", "--query-format", "raw", "-o",
                           tmp / "a.txt"]))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        os.write(running.stdin.fileno(), bytes(DIM * 4))
        while f"{tmp}/.a.txt" not in " ".join(open_files(running.pid)):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said = running.stderr.read().decode()
        assert running.wait() == 1
    assert "stopped; nothing was written" in said
    assert not (tmp / "a.txt").exists()


def open_files(pid):
    """Their paths; some are closed while we look."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")


# ---- where it is searched -------------------------------------------------------------


def test_a_snapshot(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    quiverfs("snapshot", "create", store.path, "then")
    numpy.save(tmp / "more.npy", random_rows(rng, 400))
    quiverfs("import", store.path, tmp / "more.npy", "--ids", tmp / "ids.npy")
    question = random_rows(rng, 1)
    numpy.save(tmp / "q.npy", question)
    found = blocks(search(f"{store.path}@then", tmp / "q.npy"))[0]
    truth.check(found, question[0], "l2", digits=8)
    assert found != blocks(search(store, tmp / "q.npy"))[0]


def test_nobody_is_changed_by_it(stores, tmp, rng):
    store, truth = fill(stores, tmp, rng)
    before = {path.name: path.stat().st_mtime_ns for path in store.path.iterdir()}
    search(store, int(truth.ids[0]))
    assert {path.name: path.stat().st_mtime_ns for path in store.path.iterdir()} == before


@pytest.fixture
def ways(stores, tmp, rng):
    """Of a store what it is asked in all ways, and what it answers while nobody has mounted it."""
    rows = random_rows(rng, 1500)
    rows[100:300] = rows[100]  # more than are asked for at first
    rows[7, 3] = numpy.nan
    store, truth = fill(stores, tmp, rng, rows=rows)
    ids = [int(x) for x in truth.ids]
    numpy.save(tmp / "q.npy", numpy.concatenate([rows[100:104], random_rows(rng, 1200)]))
    numpy.save(tmp / "some.npy", truth.ids[50:250])
    asked = [[tmp / "q.npy"], [*ids[:5], *ids[100:103]], [tmp / "q.npy", "-k", 1, "--metric", "cosine"],
             [tmp / "q.npy", "--metric", "ip", "--exact", "--limit", 3], [ids[100], "-k", 1499],
             [tmp / "q.npy", "--ids", tmp / "some.npy", "-k", 300, "--limit", 5],
             [tmp / "q.npy", "--within", 20], [tmp / "q.npy", "--within", 20, "-k", 2],
             [ids[100], "--within", 0], ["--self", "--within", 12],
             ["--self", "--within", 12, "--ids", tmp / "some.npy"]]
    store.asked = [(words, search(store, *words)) for words in asked]
    store.bad, store.missing = ids[7], max(ids) + 1
    assert all(answer for _, answer in store.asked)
    return store


def same_answers(target, store):
    for words, answer in store.asked:
        assert search(target, *words) == answer, words
    done = quiverfs("search", target, store.bad, store.missing, status=1)
    assert f"vector {store.bad}: element 3 is NaN" in done.stderr
    assert f"there is no vector {store.missing}" in done.stderr


def test_through_a_mount(stores, ways):
    mnt = stores.mount(ways)
    same_answers(mnt.point, ways)
    same_answers(ways.path, ways)
    assert mnt.errors() == []


def test_a_read_only_mount(stores, ways):
    mnt = stores.mount(ways, options=["ro"])
    same_answers(mnt.point, ways)
    same_answers(ways.path, ways)


@pytest.mark.local("snapshots")
def test_a_snapshot_in_a_mount(stores, ways, tmp):
    mnt = stores.mount(ways)
    (mnt.point / "snapshots/then").mkdir()
    for vector in mnt.ids():
        mnt.path(vector).unlink()
    same_answers(f"{mnt.point}@then", ways)
    same_answers(f"{ways.path}@then", ways)
    assert search(mnt.point, tmp / "q.npy", "--limit", 1) == ""


def test_what_was_just_written_is_found(mnt):
    mnt.put(5, numpy.arange(25, dtype="<f4").tobytes())
    mnt.put(6, numpy.arange(25, dtype="<f4").tobytes())
    mnt.put(7, numpy.ones(25, dtype="<f4").tobytes())
    assert blocks(search(mnt.point, 5)) == [[(6, 0), (7, 4325)]]
    mnt.path(6).unlink()
    assert blocks(search(mnt.point, 5)) == [[(7, 4325)]]
    mnt.control("metric", "ip")
    assert blocks(search(mnt.point, 5)) == [[(7, 300)]]


def test_every_type_through_a_mount(stores, tmp, rng):
    for dtype, metric in GOES:
        store, _ = fill(stores, tmp, rng, rows=60, dtype=dtype, name=f"{dtype}-{metric}")
        words = [tmp / "rows.npy", "--metric", metric, "--format", "jsonl"]
        alone = search(store, *words)
        mnt = stores.mount(store)
        assert search(mnt.point, *words) == alone
        mnt.unmount()


def test_a_mount_whose_daemon_is_gone(stores, rng, tmp):
    store, truth = fill(stores, tmp, rng)
    mnt = stores.mount(store)
    mnt.kill()
    refused("search", mnt.point, truth.ids[0], says=["the daemon of this mount is gone"])


@pytest.mark.needs_root("acts as several users")
def test_another_user_s_mount(stores, rng, tmp):
    store, truth = fill(stores, tmp, rng)
    first, second = (int(x) for x in truth.ids[:2])
    alone = search(store, first)
    mnt = stores.mount(store, options=["allow_other"])
    done = run(*ordinary_user_words, QUIVERFS, "search", mnt.point, first)
    assert done.stdout.decode() == alone
    # what he may not read is no question
    mnt.path(second).chmod(0o600)
    done = run(*ordinary_user_words, QUIVERFS, "search", mnt.point, second, status=1)
    assert f"vector {second} cannot be read: Permission denied" in done.stderr.decode()
    # of all that there are he is told how many
    for vector in truth.ids[2:]:
        mnt.path(int(vector)).chmod(0o600)
    done = run(*ordinary_user_words, QUIVERFS, "search", mnt.point, "--self", "--within", 0, status=1)
    assert done.stderr.decode().count("\n") == 1
    assert f"{len(truth.ids) - 1} vectors cannot be read" in done.stderr.decode()
    mnt = stores.again(mnt, options=["allow_other", "ro"])
    done = run(*ordinary_user_words, QUIVERFS, "search", mnt.point, first, status=1)
    assert "Permission denied" in done.stderr.decode()
    assert f"{mnt.point}/nearest/ID shows what is nearest" in done.stderr.decode()


@pytest.mark.skipif(not LONG, reason="it takes a while")
def test_more_neighbours_than_can_be_asked_for(stores, tmp, rng):
    rows = numpy.zeros((1_200_000, 1), "u1")
    rows[5] = 9
    store, _ = fill(stores, tmp, rng, rows=rows, dtype="u1", dim=1, ids=range(1_200_000))
    found = [vector for vector, _ in blocks(search(store, 7, "--within", 3))[0]]
    assert found == [vector for vector in range(1_200_000) if vector not in (5, 7)]


# ---- words ----------------------------------------------------------------------------


@pytest.fixture
def words(stores, tmp, glove):
    store = stores.create(dim=25)
    quiverfs("import", store.path, glove)
    return store, DATA / "glove-twitter-25d.words.txt"


@pytest.mark.parametrize("word, near", [("king", {"queen", "prince"}), ("cat", {"dog", "kitty"}),
                                        ("tuesday", {"monday", "thursday", "wednesday"})])
def test_words_that_a_person_can_judge(words, word, near):
    store, file = words
    line = (f"quiverfs search {store.path} --metric cosine $(($(grep -nxm1 {word} {file} | "
            f"cut -d: -f1) - 1)) | awk 'NR == FNR {{ word[NR - 1] = $0; next }} "
            f"{{ print word[$1], $2 }}' {file} -")
    found = shell(line.replace("quiverfs", QUIVERFS, 1)).stdout.decode().split("\n")
    print(*found, sep="\n")
    assert near <= {line.split()[0] for line in found[:-1]}
    assert len(found) == 11
