"""Files of vectors that are wrong, from the start or on the way."""

import json
import struct

import numpy
import pytest

from format_files import DIM, ID_MAX, count, h5py, make_rows, refused, safetensors, same, \
    write_hdf5, exported
from harness import quiverfs


@pytest.fixture
def store(stores):
    return stores.create()


# ---- bad from the start: nothing is written ---------------------------------


def rows_of(rows, dim=DIM, dtype="<f4"):
    return numpy.zeros((rows, dim), dtype)


def vecs(rows, lead=None, dtype="<f4"):
    dim = rows.shape[1] if lead is None else lead
    return b"".join(struct.pack("<i", dim) + row.tobytes() for row in rows)


GOOD_SAFE = safetensors({"x": rows_of(2)})
BAD = [
    ("fvecs", vecs(rows_of(2))[:-1], "whole number of records"),
    ("fvecs", vecs(rows_of(2)) + b"\0", "whole number of records"),
    ("fvecs", vecs(rows_of(2, 24)), "dim 24"),
    ("fvecs", vecs(rows_of(1), -1), "dimension -1"),
    ("fvecs", vecs(rows_of(1), 2**31 - 1), "dimension 2147483647"),
    ("fvecs", b"\x19\0", "ends within its first record"),
    ("bvecs", vecs(rows_of(2, dtype="u1")), "dtype u1"),
    ("fbin", b"", "the file is empty"),
    ("fbin", struct.pack("<II", 2, DIM) + b"\0" * 199, "cut off"),
    ("fbin", struct.pack("<II", 2, DIM) + b"\0" * 201, "too long"),
    ("fbin", struct.pack("<II", 2, 0), "dimension 0"),
    ("fbin", struct.pack("<II", 2**32 - 1, 2**32 - 1), "more than any file"),
    # 2^32 * 2^30 * 4 is 0 in 64 bits
    ("fbin", struct.pack("<II", 2**31, 2**31), "any file"),
    ("fbin", struct.pack("<II", 2, 26) + b"\0" * 208, "dim 26"),
    ("u8bin", struct.pack("<II", 2, DIM) + b"\0" * 50, "dtype u1"),
    ("safetensors", b"", "the file is empty"),
    ("safetensors", struct.pack("<Q", 2**64 - 1) + b"{}", "claims 18446744073709551615"),
    ("safetensors", struct.pack("<Q", 1000) + b"{}", "ends within its header"),
    ("safetensors", struct.pack("<Q", 3) + b"{]}", "not JSON"),
    ("safetensors", struct.pack("<Q", 2) + b"[]", "not a JSON object"),
    ("safetensors", struct.pack("<Q", 2) + b"{}", "no tensor of 2 dimensions"),
    ("safetensors", struct.pack("<Q", 200000) + b"[" * 200000, "not JSON"),
    ("safetensors", GOOD_SAFE[:-1], "cut off"),
    ("safetensors", GOOD_SAFE + b"\0", "too long"),
    ("safetensors", safetensors({"x": rows_of(2), "y": rows_of(1)}), "choose one with --dataset NAME: x, y"),
    ("safetensors", safetensors({"x": rows_of(2, 24)}), "dim 24"),
    ("safetensors", safetensors({"x": rows_of(2)}, shape=[3, DIM]), "does not fit"),
    ("safetensors", safetensors({"x": rows_of(2)}, shape=[2**62, 2**62]), "does not fit"),
    ("safetensors", safetensors({"x": rows_of(2)}, shape=[-2, -DIM]), "does not fit"),
    ("safetensors", safetensors({"x": rows_of(2)}, shape=["2", DIM]), "does not fit"),
    ("safetensors", safetensors({"x": rows_of(2)}, data_offsets=[200, 0]), "ends before"),
    ("safetensors", safetensors({"x": rows_of(2)}, data_offsets=[2**63 - 201, 2**63 - 1]), "any file"),
    ("safetensors", safetensors({"x": rows_of(2)}, data_offsets=[0]), "needs dtype"),
    ("safetensors", safetensors({"x": rows_of(2)}, dtype="F8_E4M3"), "F8_E4M3"),
    ("jsonl", b"[1, 2]\n", "dim 2"),
    ("jsonl", b'{"id": 1}\n', "no array \"vector\""),
    ("jsonl", b"{}\n", "with --vector-column NAME\n"),
    ("jsonl", b'{"id": 1, "vector": [1, 2]}\n', "dim 2"),
    ("jsonl", b'{"id": 1, "vector": [' + b"[" * 100000 + b"\n", "not JSON"),
    ("jsonl", b"x\n", "not an object and not an array"),
    ("csv", b"1,2,3\n", "dim 3"),
    ("csv", b"id,a,b,c\n7,1,2,3\n", "dim 3"),
    ("txt", b"word 1 2 3\n", "dim 3"),
    ("txt", b"400000 300\n", "dim 300"),
    ("vec", b"word 1 2 3\n", "begin with the number of rows"),
    ("vec", b"10 300\n", "dim 300"),
    ("vec", b"10 0\n", "dimension 0"),
    ("what", b"", "--format"),
    ("hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 500, "HDF5"),
    ("hdf5", b"", "the file is empty"),
]


@pytest.mark.parametrize("suffix, content, reason", BAD,
                         ids=[f"{bad[0]}-{i}" for i, bad in enumerate(BAD)])
def test_bad_from_the_start(store, tmp, suffix, content, reason):
    numpy.save(tmp / "good.npy", rows_of(3))
    bad = tmp / ("bad." + suffix)
    bad.write_bytes(content)
    refused("import", store.path, tmp / "good.npy", bad, says=[bad, reason])
    assert count(store) == 0


@pytest.mark.parametrize("promised", [1000, 2**32 - 1])
@pytest.mark.parametrize("name", ["fbin", "npy", "safetensors"])
def test_counts_that_a_pipe_does_not_keep(store, name, promised):
    """What a pipe claims cannot be compared with its length: it ends early, and so does the import.
    For what no disk here can hold nothing is begun."""
    if name == "fbin":
        head = struct.pack("<II", promised, DIM)
    elif name == "npy":
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({promised}, {DIM}), }}"
        head = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()
    else:
        head = safetensors({"x": rows_of(0)}, shape=[promised, DIM],
                           data_offsets=[0, 4 * promised * DIM])
    kept = 3 if promised == 1000 else 0
    says = ["standard input: row 3 (at byte", "promises", "first 3 of"] if kept else \
        ["more than the store has", "nothing was written"]
    refused("import", store.path, "-", "--format", name, stdin=head + b"\0" * 350, says=says)
    assert count(store) == kept


def test_more_in_a_pipe_than_it_promised(store):
    refused("import", store.path, "-", "--format", "fbin", says=["more data follows", "row 1"],
            stdin=struct.pack("<II", 1, DIM) + b"\0" * 101)


def test_hostile_hdf5(stores, tmp):
    if h5py is None:
        pytest.skip("python3-h5py is not installed")
    store = stores.create()
    path = tmp / "in.hdf5"

    def bad(make, *says, words=()):
        with h5py.File(path, "w") as file:
            make(file)
        refused("import", store.path, path, *words, says=[path, *says])

    bad(lambda file: file.create_dataset("train", (2**50, DIM), "f4"), "holds 0 bytes")
    bad(lambda file: file.create_dataset("train", (2**50, DIM), "f4", chunks=(1, DIM)), "chunks")
    bad(lambda file: file.create_dataset("x", (1, DIM), "f4"), "no dataset 'train'")
    bad(lambda file: file.create_dataset("train", (5,), "f4"), "1 dimension")
    bad(lambda file: file.create_dataset("train", data=rows_of(2, 24)), "dim 24")
    bad(lambda file: file.create_dataset("train", data=rows_of(2), dtype=">f8"), "dtype f8")
    bad(lambda file: file.create_dataset("train", data=numpy.array([[b"x"]])), "plain numbers")
    bad(lambda file: file.create_group("train"), "no dataset")
    other = tmp / "other.hdf5"
    write_hdf5(other, rows_of(3))

    def link(file):
        file["train"] = h5py.ExternalLink(str(other), "train")

    bad(link, "no dataset 'train'")
    bad(lambda file: file.create_dataset("train", data=rows_of(2), external=[
        (str(tmp / "raw"), 0, 200)]), "other files")
    write_hdf5(path, rows_of(300))
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    refused("import", store.path, path, says=[path])
    assert count(store) == 0


def test_hdf5_in_chunks_and_other_names(stores, tmp, rng):
    if h5py is None:
        pytest.skip("python3-h5py is not installed")
    rows = make_rows(rng, 5000)
    store = stores.create()
    with h5py.File(tmp / "in.h5", "w") as file:
        file.create_dataset("a/b", data=rows.astype(">f4"), chunks=(700, 8), compression="gzip")
    quiverfs("import", store.path, tmp / "in.h5", "--dataset", "a/b")
    same(exported(store, tmp)[0], rows)
    quiverfs("export", store.path, tmp / "out.h5", "--dataset", "x")
    with h5py.File(tmp / "out.h5") as file:
        same(file["x"][:], rows)


# ---- bad on the way ---------------------------------------------------------


def line(i, numbers=DIM):
    return json.dumps({"id": i, "vector": [1] * numbers}) + "\n"


def numbers(values=DIM):
    return ",".join(["1"] * values) + "\n"


def worded(values=DIM, word="w"):
    return " ".join([word] + ["1"] * values) + "\n"


LATE = [
    ("fvecs", vecs(rows_of(5)) + vecs(rows_of(1), 24) + vecs(rows_of(2)),
     "row 5 (at byte 520): its dimension is 24, but the rows before have 25", "5 of 8"),
    ("jsonl", line(0) + line(1, 24) + line(2), "row 1 (line 2, at byte 97): its vector has 24",
     "1 rows"),
    ("jsonl", line(0) + "\n" + '{"id": 1,\n', "row 1 (line 3, at byte 98): it is not JSON",
     "1 rows"),
    ("jsonl", line(0) + line(0).replace('"id": 0, ', ''), 'row 1 (line 2, at byte 97): it has no "id"',
     "1 rows"),
    ("jsonl", line(0) + line(None), 'its "id" is null; expected an ID in each row', "1 rows"),
    ("jsonl", line(0) + line(-1), "its ID '-1' is not a whole number", "1 rows"),
    ("jsonl", line(0) + line(1.5), "its ID '1.5' is not a whole number", "1 rows"),
    ("jsonl", line(0) + line(str(ID_MAX + 1)), "row 1 (at byte 97): its ID is larger", "1 rows"),
    ("jsonl", line(0) + line(1).replace("1]", "nan]"), "element 24", "1 rows"),
    ("jsonl", line(0) + line(1).replace("1]", "1e400]"), "'1e400' is out of the range", "1 rows"),
    ("jsonl", line(0) + line(1).replace("1]", '"1"]'), "element 24 of its vector, '\"1\"', is not a number",
     "1 rows"),
    ("csv", numbers() + numbers(24), "row 1 (line 2, at byte 50): the line has fewer columns",
     "1 rows"),
    ("csv", numbers() + numbers(26), "more columns", "1 rows"),
    ("csv", numbers() + numbers().replace("1", "x", 1), "column 1, 'x', is not a number", "1 rows"),
    ("csv", numbers() + "1\0" + numbers(), "NUL", "1 rows"),
    ("csv", numbers(26) + numbers(26).replace("1", "-1", 1), "its ID '-1' is not a whole number", "1 rows"),
    ("txt", worded() + worded(24), "row 1 (line 2, at byte 52): the line has 25 fields",
     "1 rows"),
    ("txt", worded() + worded(26), "27 fields", "1 rows"),
    ("txt", worded() + worded(word="a").replace("1", "one"), "'one one", "1 rows"),
    ("vec", "3 25\n" + worded() * 2, "ends after 2 rows", "2 of 3"),
    ("vec", "1 25\n" + worded() * 2, "goes on after 1 rows", "1 of 1"),
    ("csv", numbers() + "1" * (5 << 20), "longer than", "1 rows"),
]


@pytest.mark.parametrize("suffix, content, reason, rows_in", LATE,
                         ids=[f"{late[0]}-{i}" for i, late in enumerate(LATE)])
def test_bad_on_the_way(store, tmp, suffix, content, reason, rows_in):
    bad = tmp / ("bad." + suffix)
    bad.write_bytes(content if isinstance(content, bytes) else content.encode())
    for _ in range(2):  # running it again is safe
        refused("import", store.path, bad, "--words" if suffix == "vec" else "--on-duplicate",
                tmp / "words" if suffix == "vec" else "replace",
                says=[bad, reason, f"the first {rows_in}"])
        assert count(store) == int(rows_in.split()[0])
    assert not (tmp / "words").exists()
    store.check()


def test_a_truncated_pipe(store):
    refused("import", store.path, "-", "--format", "fvecs", stdin=vecs(rows_of(3))[:-1],
            says=["standard input: row 2 (at byte 208)", "ends within", "first 2 rows"])
    assert count(store) == 2
