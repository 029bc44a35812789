"""The package quiverfs for Python, from its sources, and vectors to fill stores with."""

import os
import sys
from pathlib import Path

import pytest

numpy = pytest.importorskip("numpy")

SOURCE = Path(os.environ.get("QUIVERFS_SOURCE") or Path(__file__).resolve().parents[2])
FOLDER = SOURCE / "tools/python"
sys.path.insert(0, str(FOLDER))
import quiverfs  # noqa: E402 pylint: disable=wrong-import-position,unused-import

# libquiver of the build, which a program without a sanitizer cannot load if it has one.
LIBRARY = os.environ.get("QUIVERFS_LIBRARY")
NO_LIBRARY = "/nowhere/libquiver.so"
if not LIBRARY:
    # Nor is one found by its name: Meson lets programs find what it has built, and the runtime of
    # AddressSanitizer ends a process that loads it late.
    os.environ["QUIVERFS_LIBRARY"] = NO_LIBRARY
needs_library = pytest.mark.skipif(not LIBRARY, reason="QUIVERFS_LIBRARY names no libquiver")

DTYPES = ["f4", "f2", "f8", "i1", "u1", "bf2", "b1"]


def draw(rng, count, dim, dtype):
    """Vectors as a Store hands them out, (count, columns), without a pair that is the same."""
    source = numpy.random.default_rng(rng.randrange(2**32))
    if dtype == "b1":
        return source.integers(0, 256, (count, dim // 8), numpy.uint8)
    if dtype in ("i1", "u1"):
        bounds = numpy.iinfo(dtype)
        return source.integers(bounds.min, bounds.max + 1, (count, dim)).astype(dtype)
    drawn = source.normal(size=(count, dim)).astype("f4" if dtype == "bf2" else dtype)
    if dtype == "bf2":  # those that have no more bits than that
        drawn = (drawn.view("u4") & 0xffff0000).view("f4")
    return drawn


def elements(vectors, dtype):
    """What distances are computed of, in float64."""
    if dtype == "b1":
        vectors = numpy.unpackbits(vectors, axis=-1)
    return vectors.astype("f8")


def distances(vectors, query, metric, dtype):
    """Of each vector to the query, by the definition."""
    x, y = elements(vectors, dtype), elements(query, dtype)
    if metric == "l2":
        return ((x - y) ** 2).sum(axis=1)
    if metric == "cosine":
        return 1 - x @ y / (numpy.linalg.norm(x, axis=1) * numpy.linalg.norm(y))
    if metric == "ip":
        return x @ y
    bits = [numpy.unpackbits(array.view("u1"), axis=-1) for array in (vectors, query)]
    return (bits[0] != bits[1]).sum(axis=1).astype("f8")


def nearest(ids, vectors, query, metric, dtype, k, without=None):
    """The k nearest IDs and their distances, of equal distances the lowest ID first."""
    found = distances(vectors, query, metric, dtype)
    key = -found if metric == "ip" else found
    order = numpy.lexsort((ids, key))
    order = order[ids[order] != without][:k] if without is not None else order[:k]
    return ids[order], found[order]
