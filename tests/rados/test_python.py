"""The Python package on a collection: by libquiver and through a mount, side by side."""

import numpy
import pytest

from python_package import draw, nearest, needs_library, quiverfs

pytestmark = needs_library
DIM = 24


def test_a_collection_is_used_by_both(stores, rng):
    collection = stores.create(dim=DIM)
    mount = stores.mount(collection)
    with quiverfs.open(mount.point) as here, quiverfs.open(collection.path, mode="r+") as there:
        assert (there.dim, there.type, len(there)) == (DIM, "f4", 0)
        vectors = draw(rng, 300, DIM, "f4")
        ids = numpy.array(rng.sample(range(10**6), 300), "u8")
        there.put(ids[:200], vectors[:200])
        here.put(ids[200:], vectors[200:])
        for q in (here, there):
            assert (q[ids] == vectors).all() and len(q) == 300
            assert (q.ids() == numpy.sort(ids)).all()
            assert q.get([int(ids[0]), 2**40], missing="mask")[1].tolist() == [True, False]
            wanted, far = nearest(ids, vectors, vectors[5] + 0.5, "l2", "f4", 7)
            found = q.nearest(vectors[5] + 0.5, k=7)
            assert found[0].tolist() == wanted.tolist() and found[1] == pytest.approx(far)
        assert there.remove(ids[:10]) == 10 and int(ids[0]) not in here
        here.remove(ids[10:20])
        assert len(there) == 280 and there.nearest(vectors[0], k=300)[0].shape == (280,)
        there.flush()
        with pytest.raises(OSError):
            there.snapshot("v1", create=True)


def test_it_is_opened_to_be_read_unless_it_is_said(stores, rng):
    collection = stores.create(dim=DIM)
    with quiverfs.open(collection.path) as q:
        with pytest.raises(PermissionError, match="mode='r[+]'"):
            q.put(1, draw(rng, 1, DIM, "f4")[0])
    with pytest.raises(FileNotFoundError):
        quiverfs.open(collection.path + "-not-there")
