"""The Python package: the same on a mount and on a store that is not mounted."""

import os
import pickle
import threading

import pytest

from harness import quiverfs as command
from python_package import DTYPES, LIBRARY, distances, draw, nearest, numpy, quiverfs

DIM = 24


class OnMount:
    def __init__(self, request):
        self.stores = request.getfixturevalue("stores")

    def open(self, dim=DIM, dtype="f4"):
        self.mount = self.stores.mount(self.stores.create(dim, dtype))
        return quiverfs.open(self.mount.point)

    path = property(lambda self: self.mount.point)

    def forget_refusals(self):
        """Of what was refused the mount has a line."""
        assert self.mount.errors()
        self.mount.forget_errors()


class ByLibrary:
    def __init__(self, request):
        if not LIBRARY:
            pytest.skip("QUIVERFS_LIBRARY names no libquiver")
        self.path = request.getfixturevalue("tmp") / "store"

    def open(self, dim=DIM, dtype="f4"):
        command("create", self.path, "--dim", dim, "--dtype", dtype)
        return quiverfs.open(self.path, mode="r+")

    def forget_refusals(self):
        pass


@pytest.fixture(params=[OnMount, ByLibrary], ids=["mount", "library"])
def place(request):
    made = request.param(request)
    opened = []
    original = made.open

    def open_and_close(*words, **named):
        opened.append(original(*words, **named))
        return opened[-1]

    made.open = open_and_close
    yield made
    for store in opened:
        store.close()


@pytest.fixture
def q(place):
    return place.open()


def fill(q, rng, count=50, ids=None):
    ids = numpy.array(rng.sample(range(1000), count) if ids is None else ids, "u8")
    vectors = draw(rng, len(ids), q.dim, q.type)
    q.put(ids, vectors)
    return ids, vectors


# ---- reading and writing ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_put_is_read(place, rng, dtype):
    q = place.open(dtype=dtype)
    ids, vectors = fill(q, rng)
    assert (q.dim, q.type, len(q)) == (DIM, dtype, 50)
    read = q[ids]
    assert read.dtype == q.dtype == vectors.dtype and read.shape == vectors.shape
    assert read.tobytes() == vectors.tobytes()
    assert read.flags.writeable and read.flags.c_contiguous
    assert q[int(ids[3])].tobytes() == vectors[3].tobytes()
    assert (q.ids() == numpy.sort(ids)).all() and list(q) == sorted(ids.tolist())


def test_the_shape_of_the_ids_is_that_of_the_vectors(q, rng):
    _, vectors = fill(q, rng, ids=range(12))
    assert q[7].shape == q[numpy.uint8(7)].shape == (DIM,)
    assert q[[7, 8, 9]].shape == q[(7, 8, 9)].shape == q[range(7, 10)].shape == (3, DIM)
    assert q[[]].shape == (0, DIM) and q[numpy.empty((2, 0), int)].shape == (2, 0, DIM)
    grid = numpy.arange(12).reshape(2, 3, 2)
    assert q[grid].shape == (2, 3, 2, DIM)
    assert (q[grid].reshape(12, DIM) == vectors).all()
    assert (q[[3, 3, 1]] == vectors[[3, 3, 1]]).all()
    assert q[{5}].shape == (1, DIM) and q[iter([1, 2])].shape == (2, DIM)
    q[grid] = q[grid] * 2
    assert (q[range(12)] == 2 * vectors).all()


@pytest.mark.parametrize("ids, error", [
    (1.5, TypeError), ("7", TypeError), (None, TypeError), (True, TypeError), ([True], TypeError),
    (slice(1, 5), TypeError), (numpy.array([1.0]), TypeError), ([1, "a"], TypeError),
    (-1, ValueError), ([3, -1], ValueError), (2**64, ValueError), ([2**64], ValueError),
    (2**64 - 1, ValueError), ([2**64 - 2**32], ValueError), ([-1, 2**63], ValueError)])
def test_what_is_no_id(q, rng, ids, error):
    fill(q, rng, ids=[1, 3, 5, 7])
    for use in (q.get, q.remove, lambda ids: q.put(ids, [0.5] * DIM)):
        with pytest.raises(error, match="ID|int"):
            use(ids)
    assert ids is None or isinstance(ids, slice) or not any(
        number in q for number in (ids if isinstance(ids, (list, numpy.ndarray)) else [ids])
        if number not in (1, 3))
    assert len(q) == 4


def test_ids_of_both_halves_of_64_bits(q):
    largest = 2**64 - 2**32 - 1
    assert quiverfs.ID_MAX == largest
    ids = [0, 2**63 - 1, 2**63, largest]
    q.put(ids, numpy.arange(4 * DIM).reshape(4, DIM))
    assert list(q) == ids and largest in q and largest - 1 not in q
    assert (q[ids] == numpy.arange(4 * DIM).reshape(4, DIM)).all()
    assert q.remove([2**63, 0]) == 2 and list(q) == [2**63 - 1, largest]


def test_missing_ids(q, rng):
    _, vectors = fill(q, rng, ids=[1, 2])
    with pytest.raises(KeyError) as caught:
        q[[1, 900, 2, 2**63]]
    assert caught.value.ids == [900, 2**63]
    assert isinstance(caught.value, quiverfs.MissingError) and isinstance(caught.value, quiverfs.Error)
    assert str(caught.value).endswith(": no vector 900, 9223372036854775808")
    assert pickle.loads(pickle.dumps(caught.value)).ids == [900, 2**63]
    with pytest.raises(KeyError, match=r"no vector 10, 11, 12, 13, 14 and 90 more"):
        q[range(10, 105)]
    wanted = numpy.array([vectors[1], [0] * DIM, vectors[0]], "f4")
    assert (q.get([2, 3, 1], missing="zero") == wanted).all()
    read, found = q.get([[2, 3, 1]], missing="mask")
    assert (read == wanted[None]).all() and found.tolist() == [[True, False, True]]
    read, found = q.get(3, missing="mask")
    assert read.shape == (DIM,) and found.shape == () and not found
    read = q.get([2, 3], missing=float("nan"))
    assert (read[0] == vectors[1]).all() and numpy.isnan(read[1]).all()
    with pytest.raises(ValueError, match="'raise', 'zero', 'mask' or a number"):
        q.get([1, 3], missing="skip")


def test_a_number_for_missing_ones_is_one_of_the_type(place):
    q = place.open(dtype="i1")
    assert (q.get([1, 2], missing=-7) == numpy.full((2, DIM), -7, "i1")).all()
    for number in (200, 0.5, float("nan")):
        with pytest.raises(ValueError, match="is not a value of int8"):
            q.get([1], missing=number)


def test_reading_into_an_array(q, rng):
    _, vectors = fill(q, rng, ids=range(6))
    room = numpy.full((2, 3, DIM), 9, "f4")
    assert q.get([[0, 1, 2], [3, 4, 5]], out=room) is room
    assert (room.reshape(6, DIM) == vectors).all()
    one = numpy.empty(DIM, "f4")
    assert q.get(4, out=one) is one and (one == vectors[4]).all()
    for wrong in (numpy.empty((6, DIM), "f8"), numpy.empty((5, DIM), "f4"),
                  numpy.empty((DIM, 6), "f4").T):
        with pytest.raises(ValueError, match="must be float32 of shape"):
            q.get(range(6), out=wrong)


def test_more_than_one_request_takes(place, rng):
    """Of both directions: a request to read has at most 1 MiB, one to write 512 KiB."""
    q = place.open(dim=1024)
    ids, vectors = fill(q, rng, ids=range(2500))
    order = numpy.array(rng.sample(range(2500), 2500))
    assert (q[order] == vectors[order]).all()
    read, found = q.get(numpy.arange(2400, 2600), missing="mask")
    assert (read[:100] == vectors[2400:]).all() and not read[100:].any()
    assert found.tolist() == [True] * 100 + [False] * 100
    assert len(q) == len(ids)


def test_of_one_id_the_last_vector_counts(q):
    q.put([5, 6, 5], [[1] * DIM, [2] * DIM, [3] * DIM])
    assert q[[5, 6]].tolist() == [[3] * DIM, [2] * DIM]


def test_removing(q, rng):
    fill(q, rng, ids=range(10))
    assert q.remove([1, 2, 2]) == 2 and q.remove(3) == 1
    del q[[4, 5]]
    with pytest.raises(KeyError, match="no vector 1, 50"):
        q.remove([1, 50, 6])
    assert q.remove([1, 7], missing="ignore") == 1
    assert q.remove([]) == 0
    assert list(q) == [0, 8, 9] and 6 not in q and 0 in q


def test_what_is_no_member(q, rng):
    fill(q, rng, ids=[1])
    assert 1 in q and numpy.int8(1) in q
    for other in (2, -1, 2**70, True, 1.0, "1", None, [1]):
        assert other not in q


# ---- types ------------------------------------------------------------------------------


def put_one(place, dtype, vector):
    q = place.open(dim=8, dtype=dtype)
    q.put(1, vector)
    return q[1].tolist()


@pytest.mark.parametrize("dtype, vector, stored", [
    ("f4", [1] * 8, [1.0] * 8),
    ("f4", numpy.full(8, 0.1), [numpy.float32(0.1)] * 8),
    ("f4", numpy.full(8, 0.5, "f2"), [0.5] * 8),
    ("f4", numpy.full(8, numpy.inf), [numpy.inf] * 8),
    ("f4", numpy.full(8, 3, ">f4"), [3.0] * 8),
    ("f4", numpy.full(8, True), [1.0] * 8),
    ("f2", numpy.full(8, 0.1, "f4"), [numpy.float16(0.1)] * 8),
    ("f8", numpy.full(8, 0.1, "f4"), [float(numpy.float32(0.1))] * 8),
    ("i1", [-128, 127, 0, 1, 2, 3, 4, 5], [-128, 127, 0, 1, 2, 3, 4, 5]),
    ("u1", numpy.array([0, 255, 1, 2, 3, 4, 5, 6], "u8"), [0, 255, 1, 2, 3, 4, 5, 6]),
    ("b1", [numpy.bool_(bit) for bit in (1, 0, 0, 0, 0, 0, 0, 1)], [129]),
    ("b1", numpy.array([129], "u1"), [129]),
])
def test_what_becomes_of_other_types(place, dtype, vector, stored):
    assert put_one(place, dtype, vector) == stored


@pytest.mark.parametrize("dtype, vector, error, told", [
    ("f4", numpy.full(8, 1e300), ValueError, "1e[+]300 does not fit float32"),
    ("f2", numpy.full(8, 70000.0), ValueError, "does not fit float16"),
    ("bf2", numpy.full(8, 3.4028e38), ValueError, "does not fit bf2"),
    ("f4", [2**24 + 1] * 8, ValueError, "round them"),
    ("f4", numpy.full(8, 1j), TypeError, "complex"),
    ("f4", ["1"] * 8, TypeError, "cannot be converted to"),
    ("f4", [None] * 8, TypeError, "cannot be converted to"),
    ("i1", [0.0] * 8, TypeError, r"x.round\(\).clip\(-128, 127\).astype\('int8'\)"),
    ("i1", [128] * 8, ValueError, "do not fit int8"),
    ("u1", [-1] * 8, ValueError, "do not fit uint8"),
    ("b1", [1.0], TypeError, "np.packbits"),
    ("b1", [129], TypeError, "uint8"),
    ("f4", [1.0] * 7, ValueError, "8 elements; got an array of shape"),
    ("f4", 1.0, ValueError, "8 elements"),
    ("b1", numpy.zeros(8, "u1"), ValueError, "1 uint8 or 8 bool"),
    ("b1", numpy.zeros(9, bool), ValueError, "multiple of 8"),
    ("f4", numpy.ones((1, 8)), ValueError, r"of shape \(8,\), not \(1, 8\)"),
])
def test_what_is_refused(place, dtype, vector, error, told):
    q = place.open(dim=8, dtype=dtype)
    with pytest.raises(error, match=told):
        q.put(1, vector)
    assert len(q) == 0


def test_bfloat16(place, rng):
    """Rounded once and to even, also from float64; NaN stays one."""
    q = place.open(dim=8, dtype="bf2")
    half = 2.0 ** -8
    q.put(1, [1 + half, 1 + 3 * half, 1 + half + 2.0 ** -40, 1 + half - 2.0 ** -40, -1 - half,
              numpy.nan, numpy.inf, 1e-45])
    read = q[1]
    assert read.dtype == numpy.float32
    assert read[:5].tolist() == [1, 1 + 4 * half, 1 + 2 * half, 1, -1]
    assert numpy.isnan(read[5]) and read[6] == numpy.inf and read[7] == 0
    bits = q.get(1, raw=True)
    assert bits.dtype == numpy.uint16 and bits[0] == 0x3f80
    q.put(2, bits, raw=True)
    assert q.get(2, raw=True).tobytes() == bits.tobytes()
    room = numpy.empty((1, 8), "f4")
    assert q.get([1], out=room) is room and room[0, 0] == 1
    raw = numpy.empty((1, 8), "u2")
    assert q.get([1], raw=True, out=raw) is raw and raw[0].tobytes() == bits.tobytes()
    with pytest.raises(TypeError, match="bits of bfloat16 are uint16"):
        q.put(3, read, raw=True)
    numbers = numpy.array([rng.choice([-1, 1]) * rng.uniform(1, 2) * 2.0 ** rng.randrange(-100, 120) for _ in range(800)])
    q.put(range(100), numbers.reshape(100, 8))
    near = q[range(100)].reshape(-1).astype("f8")
    bits = near.astype("f4").view("u4")
    for step in (-0x10000, 0x10000):  # no neighbour of it is nearer
        other = (bits.astype("i8") + step).astype("u4").view("f4").astype("f8")
        assert (abs(near - numbers) <= abs(other - numbers)).all()


def test_bits(place, rng):
    q = place.open(dtype="b1")
    bits = numpy.array([[rng.random() < 0.5 for _ in range(DIM)] for _ in range(3)])
    q.put([1, 2, 3], bits)
    assert q[[1, 2, 3]].shape == (3, DIM // 8) and q.dtype == numpy.uint8
    assert (quiverfs.to_bits(q[[1, 2, 3]]) == bits).all()
    assert quiverfs.to_bits(q[1]).shape == (DIM,)


# ---- nearest neighbours -----------------------------------------------------------------


METRICS = [(dtype, metric) for dtype in DTYPES for metric in ("l2", "cosine", "ip", "hamming")
           if metric != "hamming" or dtype in ("b1", "u1")]


@pytest.mark.parametrize("dtype, metric", METRICS)
def test_the_nearest_are_those_of_the_definition(place, rng, dtype, metric):
    q = place.open(dtype=dtype)
    ids, vectors = fill(q, rng, count=200)
    queries = draw(rng, 5, DIM, dtype)
    found, far = q.nearest(queries, k=7, metric=metric)
    assert found.shape == far.shape == (5, 7)
    assert found.dtype == numpy.uint64 and far.dtype == numpy.float64
    for row, query in enumerate(queries):
        wanted_far = nearest(ids, vectors, query, metric, dtype, 7)[1]
        assert far[row] == pytest.approx(wanted_far, rel=1e-9, abs=1e-12)
        # Of bits the same cosine comes of several quotients, which may be rounded otherwise.
        assert len(set(found[row].tolist())) == 7
        rows = [ids.tolist().index(number) for number in found[row].tolist()]
        assert far[row] == pytest.approx(distances(vectors[rows], query, metric, dtype), rel=1e-9,
                                         abs=1e-12)
    one, one_far = q.nearest(queries[2], k=7, metric=metric, exact=True)
    assert one.shape == (7,) and (one == found[2]).all() and (one_far == far[2]).all()


def test_neighbours_of_an_id(q, rng):
    ids, vectors = fill(q, rng, count=60)
    for number, vector in zip(ids[:4].tolist(), vectors):
        wanted, far = nearest(ids, vectors, vector, "l2", "f4", 10, without=number)
        for found in (q.nearest(number), q.nearest(of=number), q.nearest(numpy.uint64(number))):
            assert found[0].tolist() == wanted.tolist() and number not in found[0]
            # nearest/ID tells nine digits
            assert found[1] == pytest.approx(far, rel=1e-8)
    found, _ = q.nearest(of=ids[:3], k=2)
    assert found.shape == (3, 2)
    for row in range(3):
        assert found[row].tolist() == q.nearest(int(ids[row]), k=2)[0].tolist()
    with pytest.raises(KeyError, match="no vector 5000"):
        q.nearest(5000)
    with pytest.raises(KeyError, match="no vector 5000"):
        q.nearest(of=[int(ids[0]), 5000])


def test_fewer_than_asked_for(q):
    vector = [0.5] * DIM
    assert [part.shape for part in q.nearest(vector)] == [(0,), (0,)]
    q.put([3, 4], [[0.0] * DIM, [1.0] * DIM])
    found, far = q.nearest(vector, k=5)
    assert found.tolist() == [3, 4] and far.tolist() == [DIM / 4, DIM / 4]
    found, far = q.nearest([vector, vector], k=3)
    assert found.tolist() == [[3, 4, quiverfs.NO_ID]] * 2 and numpy.isnan(far[:, 2]).all()
    assert q.nearest(3)[0].tolist() == [4]
    assert q.nearest(numpy.empty((0, DIM)), k=3)[0].shape == (0, 3)


def test_only_some_of_them(q, rng):
    ids, vectors = fill(q, rng, count=100)
    some = ids[:30]
    query = draw(rng, 1, DIM, "f4")[0]
    wanted, far = nearest(some, vectors[:30], query, "l2", "f4", 10)
    found = q.nearest(query, ids=numpy.concatenate([some, some[:3], numpy.array([5000], "u8")]))
    assert found[0].tolist() == wanted.tolist() and found[1] == pytest.approx(far)
    middle = float(numpy.nextafter(far[4], numpy.inf))
    assert q.nearest(query, ids=some, within=middle)[0].tolist() == wanted[:5].tolist()
    assert q.nearest(query, ids=[])[0].tolist() == []
    assert q.nearest(query, ids={int(some[0])})[0].tolist() == [int(some[0])]
    number = int(some[0])
    assert number not in q.nearest(number, ids=some, k=100)[0]
    assert len(q.nearest(number, ids=some, k=100)[0]) == 29
    everything, all_far = q.nearest(query, k=100, metric="ip")
    limit = float(all_far[20])
    assert q.nearest(query, k=100, metric="ip", within=limit)[0].tolist() == everything[:21].tolist()


def test_the_metric_of_the_store_is_what_is_asked_by(q, place, rng):
    ids, vectors = fill(q, rng)
    assert q.metric == "l2"
    q.metric = "cosine"
    assert q.metric == "cosine"
    wanted, far = nearest(ids, vectors, vectors[0], "cosine", "f4", 10)
    found = q.nearest(vectors[0])
    assert found[0].tolist() == wanted.tolist()
    assert found[1] == pytest.approx(far, abs=1e-12)
    for name in ("hamming", "euclid"):
        with pytest.raises(OSError):
            q.metric = name
    assert q.metric == "cosine"
    place.forget_refusals()


def test_questions_that_make_no_sense(q, place, rng):
    fill(q, rng)
    vector = [0.5] * DIM
    for k in (0, -1, 2**20 + 1):
        with pytest.raises(ValueError, match="k="):
            q.nearest(vector, k=k)
    with pytest.raises(ValueError, match="l2, cosine, ip, hamming"):
        q.nearest(vector, metric="l1")
    with pytest.raises(ValueError, match="no distances"):
        q.nearest([numpy.nan] * DIM)
    with pytest.raises(ValueError, match="l2 or cosine, an infinity"):
        q.nearest([numpy.inf] * DIM)
    with pytest.raises(ValueError, match="cosine, only zeros"):
        q.nearest([0.0] * DIM, metric="cosine")
    with pytest.raises(ValueError, match="does not fit this type"):
        q.nearest(vector, metric="hamming")
    place.forget_refusals()
    with pytest.raises(ValueError, match="shape"):
        q.nearest([1, 2, 3])
    with pytest.raises(ValueError, match="questions are of shape"):
        q.nearest(numpy.zeros((2, 2, DIM)))
    for words in ((), (vector,)):
        with pytest.raises(TypeError, match="takes either vectors, or IDs"):
            q.nearest(*words, **({"of": 1} if words else {}))
    with pytest.raises(TypeError):
        q.nearest(vector, ids=[0.5])


def test_many_questions(place, rng):
    """More than one call of the library takes."""
    q = place.open(dim=8, dtype="u1")
    ids, vectors = fill(q, rng, count=30)
    queries = draw(rng, 3000, 8, "u1")
    found, far = q.nearest(queries, k=3000)
    assert found.shape == (3000, 3000) and numpy.isnan(far[:, 30:]).all()
    assert (found[:, 30:] == quiverfs.NO_ID).all()
    for row in rng.sample(range(3000), 20):
        wanted, wanted_far = nearest(ids, vectors, queries[row], "l2", "u1", 30)
        assert found[row, :30].tolist() == wanted.tolist()
        assert far[row, :30].tolist() == wanted_far.tolist()


# ---- what else there is -----------------------------------------------------------------


def test_label_and_text(q, place):
    assert q.label == ""
    q.label = "bge-m3, normalisé"
    assert q.label == "bge-m3, normalisé"
    assert repr(q) == f"<quiverfs {place.path}: 0 vectors, dim {DIM}, f4, l2>"
    q.label = ""
    assert q.label == ""


def test_a_snapshot(q, rng):
    ids, vectors = fill(q, rng)
    before = q.snapshot("v1", create=True)
    q.put(ids[0], vectors[1])
    del q[ids[1]]
    assert q.snapshots() == ["v1"]
    with q.snapshot("v1") as again:
        for view in (before, again):
            assert view.is_frozen and len(view) == 50
            assert (view[ids] == vectors).all()
            assert view.get([int(ids[0]), 5000], missing="mask")[1].tolist() == [True, False]
            assert (view.ids() == numpy.sort(ids)).all()
            assert int(ids[1]) in view and 5000 not in view
            with pytest.raises(PermissionError):
                view.put(1, vectors[0])
            with pytest.raises(PermissionError):
                view.remove(1)
    with pytest.raises(FileExistsError):
        q.snapshot("v1", create=True)
    with pytest.raises(FileNotFoundError):
        q.snapshot("v2")
    before.close()
    q.remove_snapshot("v1")
    assert q.snapshots() == []
    with pytest.raises(ValueError, match="snapshot"):
        q.matrix()


def test_what_is_closed(q, rng):
    fill(q, rng)
    with q as same:
        assert same is q
    q.close()
    assert "closed" in repr(q)
    for use in (len, list, lambda q: q[1], lambda q: q.metric, lambda q: q.nearest([0] * DIM)):
        with pytest.raises(ValueError, match="closed"):
            use(q)


def test_only_to_read(place, rng):
    q = place.open()
    ids, vectors = fill(q, rng)
    q.flush()
    q.close()
    with quiverfs.open(place.path, mode="r") as reader:
        assert (reader[ids] == vectors).all()
        for change in (lambda: reader.put(1, vectors[0]), lambda: reader.remove(1),
                       lambda: setattr(reader, "label", "x"), lambda: setattr(reader, "metric", "ip"),
                       lambda: reader.snapshot("v", create=True), lambda: reader.remove_snapshot("v")):
            with pytest.raises(PermissionError):
                change()
        copy = pickle.loads(pickle.dumps(reader))
        assert (copy[ids[0]] == vectors[0]).all()
        with pytest.raises(PermissionError):
            copy.put(1, vectors[0])
        copy.close()
    with pytest.raises(ValueError, match="'r\\+'"):
        quiverfs.open(place.path, mode="w")


def test_threads(q, rng):
    """Each gets what it asked for."""
    ids, vectors = fill(q, rng, count=300)
    wrong = []

    def work(first):
        for turn in range(40):
            some = (numpy.arange(20) * (first + 1) + turn) % 300
            if not (q[ids[some]] == vectors[some]).all():
                wrong.append((first, turn))
            if turn % 8 == 0 and q.nearest(vectors[some[0]], k=1)[1][0] != 0:
                wrong.append((first, turn, "nearest"))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closing_while_others_read(q, rng):
    """What is under way ends as it should, and the next call says that it is closed."""
    ids, vectors = fill(q, rng)
    outcomes = []

    def work():
        try:
            while True:
                if not (q[ids] == vectors).all():
                    outcomes.append("wrong")
        except (ValueError, OSError) as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    q[ids]
    q.close()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4 and all("closed" in text for text in outcomes)


def test_there_is_nothing(tmp):
    for path in (tmp, tmp / "not there", f"{tmp}@v1"):
        with pytest.raises(FileNotFoundError, match="not a mount of quiverfs, and not a store"):
            quiverfs.open(path)
    assert os.listdir(tmp) == []
