"""Mounts with vectors in them that are in memory, too."""

import numpy

import nearest_oracle as oracle

ID_MAX = 2**64 - 2**32 - 1


class Filled:
    """A mount with vectors in it, and the same in memory."""

    def __init__(self, mnt, ids, rows, dtype):
        self.mnt = mnt
        self.ids = numpy.array(ids, dtype="u8")
        self.rows = rows
        self.dtype = dtype
        self.file = mnt.control_folder / "nearest"
        put_rows(mnt, self.ids, rows)

    def check(self, answer, metric, one, k, among=None, without=None, rounding=1e-9):
        keep = numpy.ones(len(self.ids), dtype=bool)
        if among is not None:
            keep &= numpy.isin(self.ids, numpy.array(among, dtype="u8"))
        if without is not None:
            keep &= self.ids != without
        oracle.check(answer, metric, self.dtype, one, self.ids[keep], self.rows[keep], k,
                     rounding)


def put_rows(mnt, ids, rows):
    records = [int(vector).to_bytes(8, "little") + row.tobytes() for vector, row in zip(ids, rows)]
    batch = max(1, (512 << 10) // len(records[0])) if records else 1
    for at in range(0, len(records), batch):
        mnt.control("put", b"".join(records[at:at + batch]))


def fill(stores, rng, dtype="f4", dim=25, count=500, ids=None, **options):
    mnt = stores.mount(stores.create(dim=dim, dtype=dtype), **options)
    ids = ids if ids is not None else [0, ID_MAX, *rng.sample(range(1, 10 * count), count - 2)]
    return Filled(mnt, ids, oracle.random_rows(rng, dtype, dim, len(ids)), dtype)
