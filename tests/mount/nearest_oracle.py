"""Nearest neighbours as NumPy has them, in float64, of vectors of each dtype; and how files are
asked for them."""

import struct

import numpy

NONE = 2**64 - 1
METRICS = {"store": -1, "l2": 0, "cosine": 1, "ip": 2, "hamming": 3}
EXACT, WITHIN = 1, 2


def random_rows(rng, dtype, dim, count):
    """Bytes of so many vectors, none of which has a NaN or is zero."""
    noise = numpy.random.default_rng(rng.randrange(2**32))
    shape = (count, dim)
    if dtype == "b1":
        bits = noise.integers(0, 2, shape, dtype="u1")
        bits[:, 0] = 1
        return numpy.packbits(bits, axis=1)
    if dtype in ("i1", "u1"):
        rows = noise.integers(1, 100, shape).astype(dtype)
        return rows * noise.choice([-1, 1], shape).astype("i1") if dtype == "i1" else rows
    rows = noise.standard_normal(shape)
    if dtype == "bf2":
        return (rows.astype("<f4").view("<u4") >> 16).astype("<u2")
    return rows.astype("<" + dtype)


def to_rows(data, dtype, dim):
    """Vectors as they lie in files, as rows of their own type."""
    kind = {"b1": "u1", "bf2": "<u2"}.get(dtype, "<" + dtype)
    width = dim // 8 if dtype == "b1" else dim
    return numpy.frombuffer(data, dtype=kind).reshape(-1, width)


def numbers(rows, dtype):
    """The elements, as float64."""
    if dtype == "b1":
        return numpy.unpackbits(rows, axis=1).astype("f8")
    if dtype == "bf2":
        return (rows.astype("<u4") << 16).view("<f4").astype("f8")
    return rows.astype("f8")


def distances(metric, dtype, one, rows):
    """From one vector to each of the others."""
    if metric == "hamming":
        return numpy.unpackbits(one ^ rows, axis=1).sum(axis=1).astype("f8")
    a, b = numbers(one[None], dtype), numbers(rows, dtype)
    if metric == "l2":
        return ((a - b)**2).sum(axis=1)
    products = (a * b).sum(axis=1)
    if metric == "ip":
        return products
    with numpy.errstate(invalid="ignore", divide="ignore"):
        return 1 - products / numpy.sqrt((a**2).sum() * (b**2).sum(axis=1))


def nearest(metric, dtype, one, ids, rows, k):
    """The k nearest as (ID, distance): ties by ID, what has no distance left out."""
    found = distances(metric, dtype, one, rows)
    order = numpy.lexsort((ids, -found if metric == "ip" else found))
    return [(int(ids[at]), float(found[at])) for at in order if not numpy.isnan(found[at])][:k]


def scale_of(metric, dtype, one, rows, want):
    """What rounding is a part of: where terms take each other away, these and not what is left."""
    if metric == "cosine":
        return 1
    if metric == "ip":
        lengths = numpy.sqrt((numbers(rows, dtype)**2).sum(axis=1))
        return numpy.sqrt((numbers(one[None], dtype)**2).sum()) * numpy.nanmax(lengths, initial=0)
    return max([0, *(abs(distance) for _, distance in want)])


def check(answer, metric, dtype, one, ids, rows, k, rounding=1e-9):
    """Whether an answer is right up to rounding: as far as the oracle's, place by place, each at the
    distance that it has, in order."""
    want = nearest(metric, dtype, one, ids, rows, k)
    assert len(answer) == len(want), (len(answer), len(want))
    assert len({vector for vector, _ in answer}) == len(answer)
    row_of = {int(vector): at for at, vector in enumerate(ids)}
    true = distances(metric, dtype, one, rows)
    scale = scale_of(metric, dtype, one, rows, want)
    for (vector, distance), (_, wanted) in zip(answer, want):
        assert abs(distance - true[row_of[vector]]) <= rounding * scale
        assert abs(distance - wanted) <= rounding * scale
    told = [distance for _, distance in answer]
    assert told == sorted(told, reverse=metric == "ip")


def request(vectors, count, k=10, metric="store", flags=0, within=0.0, ids=(), excepts=()):
    """A question to control/nearest; `vectors` are their bytes."""
    return struct.pack("<8sIIiIdQQQQ", b"QUIVERNQ", 1, k, METRICS[metric], flags, within, count,
                       len(ids), len(excepts), 0) + \
        numpy.array(ids, "<u8").tobytes() + numpy.array(excepts, "<u8").tobytes() + vectors


def answers(data, count, k):
    """What control/nearest has answered: for each question its (ID, distance)."""
    before = (4 * count + 7) // 8 * 8
    assert len(data) == before + count * k * 16
    assert not any(data[4 * count:before])
    found = struct.unpack(f"<{count}I", data[:4 * count])
    all_of = numpy.frombuffer(data, [("id", "<u8"), ("distance", "<f8")], offset=before)
    told = []
    for at, many in enumerate(found):
        some = all_of[at * k:(at + 1) * k]
        assert (some["id"][many:] == NONE).all() and numpy.isnan(some["distance"][many:]).all()
        told.append([(int(vector), float(distance)) for vector, distance in some[:many]])
    return told


def lines(text):
    """What is read as text: for each question its (ID, distance)."""
    assert text == b"" or text.endswith(b"\n")
    return [[(int(line.split(" ")[0]), float(line.split(" ")[1])) for line in part.splitlines()]
            for part in text.decode("ascii").split("\n\n")]
