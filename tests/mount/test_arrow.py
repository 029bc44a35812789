"""Arrow's files and streams, in and out. What others wrote is in arrow/: polars 0.25 for
JavaScript, and Apache Arrow's own JavaScript, 21."""

from pathlib import Path

import numpy
import pytest

from arrow_files import read_arrow
from format_files import DIM, ID_MAX, count, exported, make_rows, refused, same
from harness import QUIVERFS, quiverfs, run

FILES = Path(__file__).parent / "arrow"
ROWS, DIM_THERE = 40, 8
NUMBERS = numpy.arange(ROWS * DIM_THERE).reshape(ROWS, DIM_THERE)
POLARS = (NUMBERS * 7919 % 100003 / 1024).astype("f4")
EVEN = list(range(0, 2 * ROWS, 2))


@pytest.fixture
def store(stores):
    return stores.create(dim=DIM_THERE)


# ---- out --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u1"])
@pytest.mark.parametrize("suffix", [".arrow", ".feather"])
def test_out_and_in_bit_for_bit(stores, tmp, rng, dtype, suffix):
    store, again = (stores.create(dtype=dtype, name=name) for name in ("a", "b"))
    rows, ids = make_rows(rng, 3000, dtype), numpy.arange(3000, dtype="u8") * 7 + 3
    ids[-1] = ID_MAX
    numpy.save(tmp / "rows.npy", rows)
    numpy.save(tmp / "ids.npy", ids)
    quiverfs("import", store.path, tmp / "rows.npy", "--ids", tmp / "ids.npy")
    out = tmp / ("out" + suffix)
    quiverfs("export", store.path, out)
    seen_ids, seen, notes = read_arrow(out)
    assert (seen_ids, notes) == (ids.tolist(), {"dtype": dtype, "metric": "l2"})
    same(seen, rows)
    done = quiverfs("import", again.path, out)
    assert 'taken from "id"' in done.stdout + done.stderr
    got, got_ids = exported(again, tmp)
    assert got_ids == ids.tolist()
    same(got, rows)


@pytest.mark.parametrize("dtype, dim, rows", [("f4", 1, 5), ("u1", 1, 300001), ("f2", 65536, 300),
                                              ("i1", 9, 0)])
def test_batches_follow_one_another(stores, tmp, rng, dtype, dim, rows):
    store, again = (stores.create(dim=dim, dtype=dtype, name=name) for name in ("a", "b"))
    data = make_rows(rng, rows, dtype, dim)
    numpy.save(tmp / "rows.npy", data)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.arrow")
    seen_ids, seen, _ = read_arrow(tmp / "out.arrow")
    assert seen_ids == list(range(rows))
    same(seen, data)
    quiverfs("import", again.path, tmp / "out.arrow")
    same(exported(again, tmp)[0], data)


def test_bits_are_bytes_of_eight_and_bfloat16_has_no_type(stores, tmp, rng):
    store, again = (stores.create(dim=24, dtype="b1", name=name) for name in ("a", "b"))
    rows = make_rows(rng, 100, "u1", 3)
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.arrow")
    same(read_arrow(tmp / "out.arrow")[1], rows)
    quiverfs("import", again.path, tmp / "out.arrow")
    same(exported(again, tmp)[0], rows)
    short = stores.create(dtype="bf2", name="short")
    refused("export", short.path, tmp / "none.arrow", says=["no type for bf2", "--dtype f4"])
    assert not (tmp / "none.arrow").exists()


def test_out_through_a_pipe_and_a_mount(stores, tmp):
    mnt = stores.mount(stores.create(dim=DIM_THERE))
    quiverfs("import", mnt.point, FILES / "polars_zstd.arrow")
    assert mnt.get(78) == POLARS[39].tobytes()
    (tmp / "out.arrow").write_bytes(run(QUIVERFS, "export", mnt.point, "-", "--format", "arrow").stdout)
    ids, rows, _ = read_arrow(tmp / "out.arrow")
    assert ids == EVEN
    same(rows, POLARS)


def test_keys_in_and_out(stores, tmp, store):
    """As polars writes text: each is told of by 16 bytes."""
    source = FILES / "polars_keys.arrow"
    refused("import", store.path, source, says=["row 0", "some longer text of row 0", "--keys"])
    quiverfs("import", store.path, source, "--keys", tmp / "keys.txt")
    keys = [f"some longer text of row {i}" for i in range(ROWS)]
    assert (tmp / "keys.txt").read_text().splitlines() == keys
    same(exported(store, tmp)[0], POLARS)
    quiverfs("export", store.path, tmp / "out.arrow", "--keys", tmp / "keys.txt")
    ids, rows, _ = read_arrow(tmp / "out.arrow")
    assert ids == keys
    same(rows, POLARS)
    again = stores.create(dim=DIM_THERE, name="again")
    quiverfs("import", again.path, tmp / "out.arrow", "--keys", tmp / "again.txt")
    assert (tmp / "again.txt").read_bytes() == (tmp / "keys.txt").read_bytes()


# ---- in: what others write --------------------------------------------------


@pytest.mark.parametrize("name", ["polars_uncompressed", "polars_lz4", "polars_zstd"])
def test_polars(store, tmp, name):
    """Text beside the vectors, which are large lists; each compression."""
    quiverfs("import", store.path, FILES / (name + ".arrow"))
    got, ids = exported(store, tmp)
    assert ids == EVEN
    same(got, POLARS)


def test_lists_and_text_by_their_offsets(store, tmp):
    """The smaller ones, in a stream; then lists whose first one begins behind another."""
    source = FILES / "js_list.arrows"
    quiverfs("import", store.path, source)
    got, ids = exported(store, tmp)
    assert ids == list(range(0, 3 * ROWS, 3))
    same(got, POLARS)
    offsets, data = numpy.arange(ROWS + 1, dtype="<i4") * DIM_THERE, source.read_bytes()
    assert data.count(offsets.tobytes()) == 1
    (tmp / "part.arrows").write_bytes(data.replace(offsets.tobytes(), (offsets + DIM_THERE).tobytes()))
    refused("import", store.path, tmp / "part.arrows", says=["row 39: ", "past the 320 elements"])
    same(exported(store, tmp)[0][:-1], POLARS[1:])
    back = offsets.copy()
    back[4] = DIM_THERE
    (tmp / "back.arrows").write_bytes(data.replace(offsets.tobytes(), back.tobytes()))
    refused("import", store.path, tmp / "back.arrows", says=["row 3: ", "offsets go back"])


@pytest.mark.parametrize("name, dtype, wanted", [
    ("js_u1.arrow", "u1", (NUMBERS * 7 & 255).astype("u1")),
    ("js_f2.arrows", "f2", NUMBERS.astype("u2").view("f2")),
    ("js_bool.arrows", "u1", numpy.unpackbits((numpy.arange(ROWS) * 7 & 255).astype("u1")[:, None],
                                              axis=1, bitorder="little")),
])
def test_javascript(stores, tmp, name, dtype, wanted):
    """Lists of a fixed size, behind a dictionary, in two batches; a file whose schema is in its table
    of contents only, and streams."""
    store = stores.create(dim=DIM_THERE, dtype=dtype)
    if name == "js_bool.arrows":
        refused("import", store.path, FILES / name, says=["--convert"])
    done = quiverfs("import", store.path, FILES / name, *(["--convert"] if "bool" in name else []))
    assert "'vec'" in done.stderr and 'taken from "_id"' in done.stdout + done.stderr
    got, ids = exported(store, tmp)
    assert ids == list(range(ROWS))
    same(got, wanted)
    refused("import", store.path, FILES / name, "--id-column", "doc", says=["dictionary", "expected integers or text"])
    refused("import", store.path, FILES / name, "--vector-column", "doc", says=["'doc' is", "list of numbers"])


@pytest.mark.parametrize("name, row, says", [
    ("polars_null", 7, "no vector: null"),
    ("polars_null_element", 9, "element 3 of its vector is null"),
    ("polars_short", 5, "2 elements, 8 are needed"),
])
def test_bad_rows_are_told_and_those_before_are_in(store, name, row, says):
    message = refused("import", store.path, FILES / (name + ".arrow"), says=[f"row {row}: ", says])
    assert "at byte" not in message
    assert count(store) == row


# ---- in: what is wrong ------------------------------------------------------


@pytest.mark.parametrize("data, says", [
    (b"", "empty"),
    (b"ARROW1", "not an Arrow file"),
    (b"FEA1" + bytes(40), "Feather version 1"),
    (b"not one at all, but long enough", "not an Arrow file or stream"),
    (b"\xff\xff\xff\xff\x10\0\0\0" + bytes(16), "not an Arrow file or stream"),
    (b"ARROW1\0\0" + bytes(40), "cut off"),
    (b"ARROW1\0\0" + bytes(40) + b"\xff\xff\xff\x7fARROW1", "longer than the file"),
    (b"ARROW1\0\0" + bytes(40) + b"\x10\0\0\0ARROW1", "damaged"),
])
def test_files_that_are_no_arrow(store, tmp, data, says):
    (tmp / "in.arrow").write_bytes(data)
    refused("import", store.path, tmp / "in.arrow", says=["in.arrow", says])


def test_from_a_pipe_it_is_not_read(store):
    refused("import", store.path, "-", "--format", "arrow", stdin=b"ARROW1", says=["standard input", "only from a file"])


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.iterdir()))
def test_a_file_that_is_cut_anywhere_is_refused(stores, tmp, rng, name):
    data = (FILES / name).read_bytes()
    store = stores.create(dim=DIM_THERE, dtype={"js_u1": "u1", "js_f2": "f2"}.get(name.split(".")[0], "f4"))
    for length in rng.sample(range(1, len(data)), 12):
        (tmp / "cut.arrow").write_bytes(data[:length])
        done = quiverfs("import", store.path, tmp / "cut.arrow", "--convert", "--start-id", "0", status=None)
        # a stream may end behind any batch
        assert done.returncode == 1 or name.endswith(".arrows"), (length, done.stdout)
        assert "Sanitizer" not in done.stderr


def test_a_file_that_is_flipped_anywhere(stores, tmp, rng):
    """It is refused, or read without harm: most bytes of the data may be anything."""
    store = stores.create(dim=DIM_THERE)
    bad = tmp / "bad.arrow"
    for name in ("polars_lz4", "polars_zstd", "polars_uncompressed", "polars_keys"):
        data = (FILES / (name + ".arrow")).read_bytes()
        for _ in range(40):
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            bad.write_bytes(changed)
            done = quiverfs("import", store.path, bad, status=None)
            assert done.returncode in (0, 1), (done.returncode, done.stderr)
            assert done.returncode == 0 or "bad.arrow" in done.stderr, done.stderr
            assert "Sanitizer" not in done.stderr
    store.check()
