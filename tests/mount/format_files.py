"""Files of vectors of all formats, written and read without the code under test."""

import json
import re
import struct

import numpy

from harness import quiverfs

try:
    import h5py
except ImportError:
    h5py = None

DIM = 25
ID_MAX = 2**64 - 2**32 - 1
DTYPES = ["f4", "f2", "f8", "i1", "u1"]
FLOATS = ["f4", "f2", "f8"]


def make_rows(rng, rows, dtype="f4", dim=DIM, plain=False):
    """Rows of every bit pattern; `plain`: of numbers that text keeps, but no NaN."""
    data = numpy.frombuffer(rng.randbytes(rows * dim * numpy.dtype(dtype).itemsize),
                            "<" + dtype).reshape(rows, dim)
    if plain and dtype in FLOATS:
        data = numpy.where(numpy.isfinite(data), data, -data.dtype.type(0))
    return numpy.ascontiguousarray(data)


# ---- writers and readers of our own ----------------------------------------


def write_vecs(path, rows):
    lead = numpy.full((len(rows), 1), rows.shape[1], "<i4").view("u1")
    path.write_bytes(numpy.hstack([lead, rows.view("u1").reshape(len(rows), -1)]).tobytes())


def write_bin(path, rows):
    path.write_bytes(struct.pack("<II", *rows.shape) + rows.tobytes())


def write_npy(path, rows):
    numpy.save(path, rows)


SAFE = {"f4": "F32", "f2": "F16", "f8": "F64", "i1": "I8", "u1": "U8", "i4": "I32", "i8": "I64"}


def safetensors(tensors, metadata=None, **changes):
    """Bytes of such a file; `changes` replace what the header says of a tensor."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, rows in tensors.items():
        header[name] = {"dtype": SAFE[rows.dtype.str[1:]], "shape": list(rows.shape),
                        "data_offsets": [len(data), len(data) + rows.nbytes]}
        header[name].update(changes)
        data += rows.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_safetensors(path, rows):
    path.write_bytes(safetensors({"bias": rows[0], "emb": rows, "more": rows[:1, 0]},
                                 {"format": "pt"}))


def write_jsonl(path, rows, ids=None):
    lines = [json.dumps({"id": int(i) if ids is None else ids[i], "vector": row.tolist()})
             for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")


def write_csv(path, rows, ids=False, names=None, end="\n"):
    lines = [names] if names else []
    for i, row in enumerate(rows):
        lines.append(",".join(([str(i)] if ids else []) + [repr(x) for x in row.tolist()]))
    path.write_bytes("".join(line + end for line in lines).encode())


def write_hdf5(path, rows):
    with h5py.File(path, "w") as file:
        file["train"] = rows
        file["test"] = rows[:1]


def write_glove(path, rows, word="w{}".format, header=False):
    lines = [f"{len(rows)} {rows.shape[1]}"] if header else []
    lines += [" ".join([word(i), *map(repr, row.tolist())]) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")


def write_word2vec(path, rows):
    write_glove(path, rows, header=True)


def read_vecs(path, dtype):
    data = numpy.frombuffer(path.read_bytes(), "u1")
    dim = struct.unpack("<i", data[:4].tobytes())[0]
    data = data.reshape(-1, 4 + dim * numpy.dtype(dtype).itemsize)
    assert (data[:, :4].copy().view("<i4") == dim).all()
    return data[:, 4:].copy().view("<" + dtype)


def read_bin(path, dtype):
    data = path.read_bytes()
    rows, dim = struct.unpack("<II", data[:8])
    return numpy.frombuffer(data[8:], "<" + dtype).reshape(rows, dim)


def read_safetensors(path, _):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    assert length % 8 == 0
    header = json.loads(data[8:8 + length])
    assert set(header) == {"__metadata__", "vectors"}
    entry = header["vectors"]
    begin, end = entry["data_offsets"]
    assert (begin, end) == (0, len(data) - 8 - length)
    dtype = {value: key for key, value in SAFE.items()}[entry["dtype"]]
    return numpy.frombuffer(data[8 + length:], "<" + dtype).reshape(entry["shape"])


def read_jsonl(path, dtype):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return numpy.array([line["vector"] for line in lines], "f8").astype(dtype)


def read_csv(path, dtype):
    lines = [line.split(",")[1:] for line in path.read_text().splitlines()]
    return numpy.array(lines, "f8").astype(dtype)


def read_glove(path, dtype):
    lines = [line.split()[1:] for line in path.read_text().splitlines()]
    return numpy.array(lines, "f8").astype(dtype)


def read_word2vec(path, dtype):
    first, *lines = path.read_text().splitlines()
    rows = numpy.array([line.split()[1:] for line in lines], "f8").astype(dtype)
    assert first.split() == [str(rows.shape[0]), str(rows.shape[1])]
    return rows


def read_hdf5(path, _):
    with h5py.File(path) as file:
        return file["train"][:]


# ---- what commands say and do ---------------------------------------------


def exported(store, tmp, *words, **options):
    """All vectors, and the IDs, as NumPy has them."""
    quiverfs("export", store.path, tmp / "all.npy", "--ids", tmp / "all_ids.npy", *words,
             **options)
    return numpy.load(tmp / "all.npy"), numpy.load(tmp / "all_ids.npy").tolist()


def count(store):
    return int(re.search(r'"count": (\d+)', quiverfs("status", store.path, "--json").stdout)[1])


def refused(*words, says, **options):
    done = quiverfs(*words, status=1, **options)
    for part in says:
        assert str(part) in done.stderr, done.stderr
    assert "Sanitizer" not in done.stderr
    return done.stderr


def same(left, right):
    assert (left.shape, left.dtype) == (right.shape, right.dtype)
    assert left.tobytes() == right.tobytes()
