"""Stores of bf2 (bfloat16) and of b1 (bits), which NumPy has no types for: by files and pipes of
other programs, and through the mount."""

import bisect
import errno
import io
import json
import struct
import subprocess
from fractions import Fraction

import numpy
import pytest

from files import write_all
from files import refused as expected
from format_files import exported, h5py, refused, safetensors, same
from harness import QUIVERFS, quiverfs, shell, until

DIM = 64
ALL = numpy.arange(65536, dtype="<u2").reshape(-1, DIM)
FINITE = numpy.where((ALL & 0x7f80) == 0x7f80, ALL & 0x8000, ALL).astype("<u2")
BINARY = [".npy", ".safetensors"] + ([".hdf5"] if h5py else [])
TEXT = [".jsonl", ".csv", ".txt", ".vec"]
WITH_H5PY = pytest.mark.skipif(h5py is None, reason="python3-h5py is not installed")

# The finite bfloat16 from 0 on, and what would follow them: a double holds each exactly.
BRAINS = [float(x) for x in (numpy.arange(0x7f80, dtype="<u4") << 16).view("<f4")] + [2.0**128]


def floats(bits):
    """bfloat16 as float32, exactly."""
    return (bits.astype("<u4") << 16).view("<f4")


def brain_of(number):
    """The nearest bfloat16 of an exact number, ties to even: independent of the code under test."""
    size = abs(Fraction(number))
    above = bisect.bisect_right(BRAINS, size)
    if above == len(BRAINS):
        bits = above - 1
    else:
        below = above - 1
        left, right = size - Fraction(BRAINS[below]), Fraction(BRAINS[above]) - size
        bits = below if left < right or (left == right and below % 2 == 0) else above
    return bits | (0x8000 if number < 0 else 0)


def brains_of(bits):
    """Bits of float32 to those of bfloat16, in whole numbers."""
    bits = bits.astype("<u8")
    upper, size = bits >> 16, bits & 0x7fffffff
    rounded = upper + ((bits & 0xffff) + (upper & 1) > 0x8000)
    nan = numpy.where(size >> 16 == 0x7f80, upper | 0x40, upper)
    return numpy.where(size > 0x7f800000, nan, rounded).astype("<u2")


def bits_of(rng, rows=300, dim=DIM):
    return numpy.frombuffer(rng.randbytes(rows * dim // 8), "u1").reshape(rows, -1)


def bools_of(packed):
    return numpy.unpackbits(packed, axis=1).astype(bool)


def npy(descr, shape, data):
    """A .npy whose type NumPy of this system may not know."""
    file = io.BytesIO()
    numpy.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


@pytest.fixture
def brain(stores):
    return stores.create(dim=DIM, dtype="bf2", name="brain")


@pytest.fixture
def bits(stores):
    return stores.create(dim=DIM, dtype="b1", name="bits")


@pytest.fixture(params=["store", "mount"])
def both(request, stores):
    """Makes a store; where the commands go: to it, or to its mount."""
    def make(dtype, name, dim=DIM):
        store = stores.create(dim=dim, dtype=dtype, name=name)
        if request.param == "store":
            return store.path
        return stores.mount(store, name="mnt-" + name).point
    return make


# ---- stores --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, dim, size", [("bf2", 3, 6), ("bf2", 65536, 131072), ("b1", 8, 1),
                                              ("b1", 1024, 128), ("b1", 65536, 8192)])
def test_dim_counts_elements_and_files_have_their_bytes(stores, rng, dtype, dim, size):
    mnt = stores.mount(stores.create(dim=dim, dtype=dtype))
    assert (mnt.control("dim"), mnt.control("dtype")) == (f"{dim}\n", dtype + "\n")
    data = rng.randbytes(size)
    mnt.put(7, data)
    assert mnt.path(7).stat().st_size == size
    assert mnt.get(7) == data
    for other in data[1:], data + b"\0":
        with expected(errno.EINVAL, errno.EFBIG):
            write_all(mnt.path(8), other)
    assert not mnt.has(8)
    # one of each close, which the kernel tells of after it has returned, and one of the write
    until(lambda: len(mnt.errors()) == 3, "a line for each")
    mnt.forget_errors()
    found = json.loads(quiverfs("status", mnt.point, "--json").stdout)
    assert (found["dim"], found["dtype"]) == (dim, dtype)


@pytest.mark.parametrize("words, says", [
    (["--dim", "12", "--dtype", "b1"], "counts bits, eight to a byte; expected a multiple of 8, got 12"),
    (["--dim", "65537", "--dtype", "b1"], "from 1 to 65536"),
    (["--dim", "8", "--dtype", "b2"], "expected f4 (float32), f2 (float16), f8"),
    (["--dim", "8", "--dtype", "bf16"], "bf2 (bfloat16) or b1 (bits, eight in a byte), got 'bf16'"),
])
def test_what_is_no_store_is_not_made(tmp, words, says):
    assert says in quiverfs("create", tmp / "x", *words, status=2).stderr
    assert not (tmp / "x").exists()


# ---- bfloat16: every number ------------------------------------------------------------------


def test_every_brain_to_float32_and_back_to_the_bit(stores, brain, tmp):
    numpy.save(tmp / "all.npy", ALL)
    quiverfs("import", brain.path, tmp / "all.npy")
    same(exported(brain, tmp)[0], ALL)
    quiverfs("export", brain.path, tmp / "floats.npy", "--dtype", "f4")
    same(numpy.load(tmp / "floats.npy").view("<u4"), floats(ALL).view("<u4"))
    quiverfs("export", brain.path, tmp / "doubles.npy", "--dtype", "f8")
    again = stores.create(dim=DIM, dtype="bf2", name="again")
    for name in "floats.npy", "doubles.npy":
        done = quiverfs("import", again.path, tmp / name, "--convert")
        assert "65536 elements, all exact" in done.stderr
        same(exported(again, tmp)[0], ALL)


def test_floats_become_the_nearest_brain(brain, tmp, rng):
    """Beside each upper half all that is around the middle of two, and some of the others."""
    lower = numpy.array([0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, rng.randrange(65536),
                         rng.randrange(65536)], "<u4")
    bits = (numpy.arange(65536, dtype="<u4")[:, None] << 16 | lower).reshape(-1, DIM)
    numpy.save(tmp / "in.npy", bits.view("<f4"))
    assert "--convert" in refused("import", brain.path, tmp / "in.npy", says=["dtype f4, but"])
    done = quiverfs("import", brain.path, tmp / "in.npy", "--convert")
    found = exported(brain, tmp)[0]
    same(found, brains_of(bits))
    with numpy.errstate(invalid="ignore"):  # signalling NaNs
        was = bits.view("<f4").astype("f8").ravel()
        became = floats(found).astype("f8").ravel()
    beyond = numpy.isfinite(was) & numpy.isinf(became)
    rounded = numpy.isfinite(was) & ~beyond & (was != became)
    assert f"{was.size} elements, {rounded.sum()} rounded" in done.stderr
    assert f"{beyond.sum()} out of range" in done.stderr


@pytest.mark.parametrize("source", ["f8", "f2", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_numbers_of_all_types_become_the_nearest_brain(brain, tmp, rng, source):
    data = numpy.frombuffer(rng.randbytes(40 * DIM * numpy.dtype(source).itemsize), "<" + source)
    if source[0] == "f":
        data = numpy.where(numpy.isfinite(data), data, data.dtype.type(1))
    if source == "f8":  # to where brains are, the subnormal ones too; every fourth almost in the middle
        size = rng.choice([1, 1e-38, 1e-40])
        data = numpy.array([rng.gauss(0, size) for _ in data])
        middles = (floats(brains_of(data.astype("<f4").view("<u4"))).view("<u4") + 0x8000).view("<f4")
        data[::4] = numpy.nextafter(middles[::4].astype("f8"), rng.choice([-1, 1]))
    rows = data.reshape(-1, DIM)
    names = {"f8": "F64", "f2": "F16", "f4": "F32"}
    kind = names.get(source) or source[0].upper() + str(int(source[1]) * 8)
    text = json.dumps({"x": {"dtype": kind, "shape": rows.shape,
                             "data_offsets": [0, rows.nbytes]}}).encode()
    (tmp / "in.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + rows.tobytes())
    refused("import", brain.path, tmp / "in.safetensors", says=[f"dtype {source}, but", "--convert"])
    quiverfs("import", brain.path, tmp / "in.safetensors", "--convert")
    # what is beyond 2^53 goes by way of a double
    numbers = [float(x) if source in ("i8", "u8") else x for x in data.tolist()]
    expected_bits = [brain_of(x) for x in numbers]
    assert exported(brain, tmp)[0].ravel().tolist() == [
        b if x or not str(x).startswith("-") else 0x8000 for b, x in zip(expected_bits, numbers)]


@pytest.mark.parametrize("text, bits", [
    ("1.00390625", 0x3f80), ("1.00390625" + "0" * 40 + "1", 0x3f81),
    ("1.0117187499999999999999999999999999", 0x3f81), ("-3.3961775292304601e38", 0xff80),
    ("1e-60", 0), ("nan", 0x7fc0), ("-inf", 0xff80)])
def test_decimal_numbers_are_rounded_once(stores, tmp, text, bits):
    store = stores.create(dim=1, dtype="bf2")
    (tmp / "in.csv").write_text(text + "\n")
    quiverfs("import", store.path, tmp / "in.csv", *(["--convert"] if "e38" in text else []))
    assert exported(store, tmp)[0].tolist() == [[bits]]


def test_text_has_the_fewest_digits_that_are_read_back(stores, brain, tmp):
    """Of each of them: no shorter decimal number is nearest to it."""
    numpy.save(tmp / "in.npy", FINITE)
    quiverfs("import", brain.path, tmp / "in.npy")
    quiverfs("export", brain.path, tmp / "out.csv")
    again = stores.create(dim=DIM, dtype="bf2", name="again")
    quiverfs("import", again.path, tmp / "out.csv")
    same(exported(again, tmp)[0], FINITE)
    words = [word for line in (tmp / "out.csv").read_text().splitlines()
             for word in line.split(",")[1:]]
    for word, number in zip(words[::17], FINITE.ravel()[::17]):
        digits = len(word.split("e")[0].replace(".", "").strip("-").strip("0"))
        assert digits <= 4, word
        shorter = f"{float(word):.{max(digits - 2, 0)}e}"
        assert digits < 2 or brain_of(Fraction(shorter)) != number, (word, shorter)


# ---- bfloat16: files of others ---------------------------------------------------------------


@pytest.mark.parametrize("descr", ["<u2", "<V2", "|V2"])
def test_arrays_of_numpy_that_hold_brains(both, tmp, descr):
    """Our own export; np.save of an ml_dtypes.bfloat16, which jax and MLX write as well; and that
    once loaded without ml_dtypes and saved again."""
    target = both("bf2", "brain")
    (tmp / "in.npy").write_bytes(npy(descr, ALL.shape, ALL.tobytes()))
    assert numpy.load(tmp / "in.npy").shape == ALL.shape
    quiverfs("import", target, tmp / "in.npy")
    quiverfs("export", target, tmp / "out.npy")
    same(numpy.load(tmp / "out.npy"), ALL)


def test_brains_for_a_store_of_floats_and_integers_for_one_of_brains(stores, brain, tmp):
    store = stores.create(dim=DIM, name="floats")
    (tmp / "in.npy").write_bytes(npy("<V2", ALL.shape, ALL.tobytes()))
    refused("import", store.path, tmp / "in.npy", says=["dtype bf2 (bfloat16), but", "--convert"])
    quiverfs("import", store.path, tmp / "in.npy", "--convert")
    same(exported(store, tmp)[0].view("<u4"), floats(ALL).view("<u4"))
    # to another store <u2 is integers
    numpy.save(tmp / "in.npy", ALL)
    quiverfs("import", store.path, tmp / "in.npy", "--convert")
    same(exported(store, tmp)[0], ALL.astype("<f4"))
    # big-endian and column after column, as other arrays
    for other in ALL.astype(">u2"), numpy.asfortranarray(ALL):
        numpy.save(tmp / "in.npy", other)
        refused("import", brain.path, tmp / "in.npy", says=["--convert"])
        quiverfs("import", brain.path, tmp / "in.npy", "--convert")
        same(exported(brain, tmp)[0], ALL)
    (tmp / "in.npy").write_bytes(npy("|V4", (1, DIM), bytes(4 * DIM)))
    refused("import", brain.path, tmp / "in.npy", "--convert", says=["'|V4'", "raw bytes"])


def read_safe(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + length])["vectors"]
    return entry["dtype"], entry["shape"], data[8 + length:]


def test_safetensors_says_bf16(brain, tmp):
    (tmp / "in.safetensors").write_bytes(safetensors({"x": ALL.view("<f2")}, dtype="BF16"))
    quiverfs("import", brain.path, tmp / "in.safetensors")
    quiverfs("export", brain.path, tmp / "out.safetensors")
    assert read_safe(tmp / "out.safetensors") == ("BF16", list(ALL.shape), ALL.tobytes())


@WITH_H5PY
def test_hdf5_has_bfloat16_as_others_write_it(brain, tmp):
    """As HDF5 2.0 defines it, and as the two bytes of no type that h5py made of it before."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    for ours in kind, h5py.h5t.py_create(numpy.dtype("V2")):
        write_h5(tmp / "in.hdf5", ours, ALL)
        quiverfs("import", brain.path, tmp / "in.hdf5")
        same(exported(brain, tmp)[0], ALL)
    quiverfs("export", brain.path, tmp / "out.hdf5")
    with h5py.File(tmp / "out.hdf5") as file:
        data = file["train"]
        assert data.shape == ALL.shape and data.id.get_type() == kind
        found = numpy.empty(ALL.shape, "<f4")
        data.id.read(h5py.h5s.ALL, h5py.h5s.ALL, found, mtype=h5py.h5t.IEEE_F32LE)
    numbers = numpy.where(numpy.isnan(floats(ALL)), 0, floats(ALL))
    assert numpy.array_equal(numpy.where(numpy.isnan(found), 0, found), numbers)


@pytest.mark.parametrize("suffix", BINARY + TEXT)
def test_brains_in_and_out_of_each_format(both, tmp, suffix):
    one, two = both("bf2", "one"), both("bf2", "two")
    rows = ALL if suffix in BINARY else FINITE
    numpy.save(tmp / "in.npy", rows)
    quiverfs("import", one, tmp / "in.npy")
    quiverfs("export", one, tmp / ("out" + suffix))
    quiverfs("import", two, tmp / ("out" + suffix))
    quiverfs("export", two, tmp / "out.npy")
    same(numpy.load(tmp / "out.npy"), rows)


@pytest.mark.parametrize("suffix, to", [(".fvecs", "f4"), (".fbin", "f4"), (".bvecs", "u1")])
def test_formats_of_one_type_convert_brains(stores, brain, tmp, suffix, to):
    rows = brains_of(numpy.arange(256, dtype="<f4").view("<u4")).reshape(-1, DIM)
    numpy.save(tmp / "in.npy", rows)
    quiverfs("import", brain.path, tmp / "in.npy")
    refused("export", brain.path, tmp / ("out" + suffix), says=[f"type {to}, but the store has bf2"])
    quiverfs("export", brain.path, tmp / ("out" + suffix), "--convert")
    quiverfs("import", brain.path, tmp / ("out" + suffix), "--convert", "--start-id", 0)
    same(exported(brain, tmp)[0], rows)


def test_what_json_cannot_say_is_refused(brain, tmp):
    numpy.save(tmp / "in.npy", ALL)
    quiverfs("import", brain.path, tmp / "in.npy")
    refused("export", brain.path, tmp / "out.jsonl", says=["is NaN or infinite"])
    refused("import", brain.path, tmp / "in.npy", "--reject-nonfinite",
            says=["row 510", "element 0 is NaN or infinite"])


# ---- bits: what becomes some -----------------------------------------------------------------


def write_bools(path, bools):
    if path.suffix == ".npy":
        numpy.save(path, bools)
    elif path.suffix == ".safetensors":
        text = json.dumps({"x": {"dtype": "BOOL", "shape": bools.shape,
                                 "data_offsets": [0, bools.nbytes]}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bools.tobytes())
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file["train"] = bools
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"vector": row}) + "\n" for row in bools.tolist()))
    elif path.suffix == ".csv":  # as pandas writes them
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in bools.tolist()))
    else:
        path.write_text("".join(" ".join(["w", *map(str, row)]) + "\n"
                                for row in bools.astype(int).tolist()))


@pytest.mark.parametrize("suffix", BINARY + [".jsonl", ".csv", ".txt"])
def test_bools_become_bits(both, tmp, rng, suffix):
    target, packed = both("b1", "bits"), bits_of(rng)
    write_bools(tmp / ("in" + suffix), bools_of(packed))
    done = quiverfs("import", target, tmp / ("in" + suffix))
    assert "conversion" not in done.stderr
    quiverfs("export", target, tmp / "out.npy")
    same(numpy.load(tmp / "out.npy"), packed)


def write_h5(path, kind, rows):
    with h5py.File(path, "w") as file:
        data = h5py.h5d.create(file.id, b"train", kind, h5py.h5s.create_simple(rows.shape))
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, rows, mtype=kind)


@WITH_H5PY
def test_bools_of_hdf5_that_are_not_h5py_s(bits, tmp, rng):
    """PyTables has a byte of bits for each; an enumeration of other names is none."""
    packed = bits_of(rng)
    bytes_ = bools_of(packed).astype("u1")
    write_h5(tmp / "in.hdf5", h5py.h5t.STD_B8LE, bytes_)
    quiverfs("import", bits.path, tmp / "in.hdf5")
    same(exported(bits, tmp)[0], packed)
    for names in {"NO": 0, "YES": 1}, {"FALSE": 0, "TRUE": 1, "MAYBE": 2}, {"TRUE": 0, "FALSE": 1}:
        kind = h5py.h5t.enum_create(h5py.h5t.STD_I8LE)
        for name, number in names.items():
            kind.enum_insert(name.encode(), number)
        write_h5(tmp / "in.hdf5", kind, bytes_)
        refused("import", bits.path, tmp / "in.hdf5", "--convert", says=["does not hold plain numbers"])


@pytest.mark.parametrize("suffix", BINARY + [".bvecs", ".u8bin"])
def test_packed_bytes_are_bits_as_they_are(both, tmp, rng, suffix):
    """What numpy.packbits, FAISS and Sentence Transformers' ubinary make."""
    target, packed = both("b1", "bits"), bits_of(rng)
    path = tmp / ("in" + suffix)
    if suffix == ".npy":
        numpy.save(path, packed)
    elif suffix == ".safetensors":
        path.write_bytes(safetensors({"x": packed}))
    elif suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file["train"] = packed
    elif suffix == ".bvecs":
        path.write_bytes(b"".join(struct.pack("<i", DIM // 8) + row.tobytes() for row in packed))
    else:
        path.write_bytes(struct.pack("<II", *packed.shape) + packed.tobytes())
    quiverfs("import", target, path)
    quiverfs("export", target, tmp / ("out" + suffix))
    quiverfs("export", target, tmp / "out.npy")
    same(numpy.load(tmp / "out.npy"), packed)
    if suffix in (".bvecs", ".u8bin"):
        assert (tmp / ("out" + suffix)).read_bytes() == path.read_bytes()


def test_bits_column_after_column(bits, tmp, rng):
    packed = bits_of(rng, 5000)
    for array in packed, bools_of(packed), bools_of(packed).astype(">f4"):
        numpy.save(tmp / "in.npy", numpy.asfortranarray(array))
        refused("import", bits.path, tmp / "in.npy", says=["Fortran"] if array.itemsize == 1 else [])
        quiverfs("import", bits.path, tmp / "in.npy", "--convert")
        same(exported(bits, tmp)[0], packed)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u1", "i8"])
def test_numbers_that_are_0_or_1_are_converted(bits, tmp, rng, dtype):
    packed = bits_of(rng)
    numpy.save(tmp / "in.npy", bools_of(packed).astype(dtype))
    refused("import", bits.path, tmp / "in.npy",
            says=[f"dim 64 and dtype {dtype}", "64 bools", "8 u1 with eight bits each", "--convert"])
    done = quiverfs("import", bits.path, tmp / "in.npy", "--convert")
    assert f"{300 * DIM} elements, all exact" in done.stderr
    same(exported(bits, tmp)[0], packed)


@pytest.mark.parametrize("bad", [2, 0.5, -1, numpy.nan, numpy.inf])
def test_other_numbers_are_refused_where_they_are(bits, tmp, bad):
    rows = numpy.zeros((3, DIM), "<f4")
    rows[1, 5] = bad
    numpy.save(tmp / "in.npy", rows)
    refused("import", bits.path, tmp / "in.npy", "--convert",
            says=["row 1 (at byte 384): element 5", "not 0 or 1", "first 1 of 3 rows"])
    assert len(exported(bits, tmp)[1]) == 1


def test_a_bool_that_is_none_is_refused(stores, bits, tmp):
    bytes_ = bytearray(3 * DIM)
    bytes_[2 * DIM + 7] = 2
    (tmp / "in.npy").write_bytes(npy("|b1", (3, DIM), bytes(bytes_)))
    refused("import", bits.path, tmp / "in.npy",
            says=["row 2 (at byte 256): element 7", "not 0 or 1"])
    other = stores.create(dim=DIM, dtype="u1", name="bytes")
    refused("import", other.path, tmp / "in.npy", "--convert", says=["element 7"])


@pytest.mark.parametrize("array", [
    numpy.zeros((2, DIM // 8), "i1"), numpy.zeros((2, DIM // 8), "?"),
    numpy.zeros((2, DIM // 8 + 1), "u1"), numpy.zeros((2, DIM + 1), "?"),
    numpy.zeros((2, DIM // 16), "<u2"), numpy.zeros((2, DIM // 64), "<u8")],
    ids=lambda array: f"{array.dtype}-{array.shape[1]}")
def test_other_shapes_are_refused(bits, tmp, array):
    numpy.save(tmp / "in.npy", array)
    for words in [], ["--convert"]:
        refused("import", bits.path, tmp / "in.npy", *words,
                says=[f"dim {array.shape[1]} ", "64 bools, or 8 u1 with eight bits each (numpy.packbits)"])


@pytest.mark.parametrize("name, text, says", [
    ("in.csv", "0," * 63 + "2\n", ["line 1", "2 is not a value of b1 (0 or 1)"]),
    ("in.csv", "0," * 63 + "yes\n", ["'yes", "is not a number"]),
    ("in.csv", "0," * 62 + "1\n", ["dim 63 and dtype b1", "has dim 64"]),
    ("in.jsonl", json.dumps({"vector": [0] * 63 + [0.5]}), ["0.5 is not a value of b1 (0 or 1)"]),
    ("in.jsonl", json.dumps({"vector": [0] * 63 + ["1"]}), ["element 63", "is not a number"]),
    ("in.jsonl", json.dumps({"vector": [255] * 8}), ["dim 8 and dtype b1", "has dim 64"]),
    ("in.txt", "w " + "0 " * 63 + "-1\n", ["-1 is not a value of b1"]),
])
def test_text_that_is_no_bits_is_refused(bits, tmp, name, text, says):
    (tmp / name).write_text(text)
    refused("import", bits.path, tmp / name, says=says)
    if "b1," in says[0]:
        refused("import", bits.path, tmp / name, "--convert", says=says)


def test_true_is_a_number_for_bits_only(store_of, tmp):
    store = store_of("f4")
    (tmp / "in.jsonl").write_text(json.dumps({"vector": [True] * DIM}))
    refused("import", store.path, tmp / "in.jsonl", says=["element 0", "is not a number"])


def test_bools_become_numbers_elsewhere(store_of, tmp, rng):
    bools = bools_of(bits_of(rng, 10))
    numpy.save(tmp / "in.npy", bools)
    for dtype in "f4", "f2", "i1", "u1", "bf2":
        store = store_of(dtype)
        refused("import", store.path, tmp / "in.npy", says=["dtype bool, but", "--convert"])
        quiverfs("import", store.path, tmp / "in.npy", "--convert")
        quiverfs("export", store.path, tmp / "out.npy", *(["--dtype", "u1"] if dtype != "u1" else []))
        assert numpy.array_equal(numpy.load(tmp / "out.npy"), bools)


@pytest.fixture
def store_of(stores):
    return lambda dtype: stores.create(dim=DIM, dtype=dtype, name="store-" + dtype)


# ---- bits: what comes out --------------------------------------------------------------------


@pytest.fixture
def filled(bits, tmp, rng):
    packed = bits_of(rng)
    numpy.save(tmp / "filled.npy", packed)
    quiverfs("import", bits.path, tmp / "filled.npy")
    return bits, packed


@pytest.mark.parametrize("suffix", BINARY + TEXT + [".bvecs", ".u8bin"])
def test_bits_in_and_out_of_each_format(stores, filled, tmp, suffix):
    store, packed = filled
    again = stores.create(dim=DIM, dtype="b1", name="again")
    quiverfs("export", store.path, tmp / ("out" + suffix))
    quiverfs("import", again.path, tmp / ("out" + suffix))
    same(exported(again, tmp)[0], packed)
    if suffix != ".hdf5":
        name = {".txt": "glove", ".vec": "word2vec"}.get(suffix, suffix[1:])
        done = subprocess.run([QUIVERFS, "export", store.path, "-", "--format", name],
                              capture_output=True, check=True)
        assert done.stdout == (tmp / ("out" + suffix)).read_bytes()
        piped = stores.create(dim=DIM, dtype="b1", name="piped")
        quiverfs("import", piped.path, "-", "--format", name, stdin=done.stdout)
        same(exported(piped, tmp)[0], packed)


def test_bits_as_others_read_them(filled, tmp):
    store, packed = filled
    bools = bools_of(packed)
    quiverfs("export", store.path, tmp / "out.csv")
    found = numpy.loadtxt(tmp / "out.csv", delimiter=",", dtype="u1", usecols=range(1, DIM + 1))
    assert numpy.array_equal(found, bools)
    quiverfs("export", store.path, tmp / "out.jsonl")
    first = json.loads((tmp / "out.jsonl").read_text().splitlines()[0])
    assert first == {"id": 0, "vector": bools[0].astype(int).tolist()}
    quiverfs("export", store.path, tmp / "out.safetensors")
    assert read_safe(tmp / "out.safetensors") == ("U8", list(packed.shape), packed.tobytes())


@pytest.mark.parametrize("to", ["f4", "f2", "f8", "i1", "u1"])
def test_bits_become_numbers(stores, filled, tmp, to):
    store, packed = filled
    done = quiverfs("export", store.path, tmp / "out.npy", "--dtype", to)
    assert f"conversion to {to}: {packed.size * 8} elements, all exact" in done.stderr
    same(numpy.load(tmp / "out.npy"), bools_of(packed).astype("<" + to))
    # and back, by a store of those
    other = stores.create(dim=DIM, dtype=to, name="other")
    quiverfs("import", other.path, tmp / "out.npy")
    for suffix in ".npy", ".csv":
        quiverfs("export", other.path, tmp / ("back" + suffix), "--dtype", "b1")
        quiverfs("import", store.path, tmp / ("back" + suffix))
        same(exported(store, tmp)[0], packed)


def test_bits_in_formats_of_one_type(filled, tmp):
    store, packed = filled
    refused("export", store.path, tmp / "out.fvecs", says=["type f4, but the store has b1", "--convert"])
    for words in ["--convert"], ["--dtype", "f4"]:
        quiverfs("export", store.path, tmp / "out.fvecs", *words)
        found = numpy.fromfile(tmp / "out.fvecs", "<f4").reshape(-1, DIM + 1)[:, 1:]
        assert numpy.array_equal(found, bools_of(packed))
    quiverfs("export", store.path, tmp / "out.bvecs", "--dtype", "u1")
    found = numpy.fromfile(tmp / "out.bvecs", "u1").reshape(-1, DIM + 4)[:, 4:]
    assert numpy.array_equal(found, bools_of(packed))
    refused("export", store.path, tmp / "out.fvecs", "--dtype", "f2",
            says=["fvecs holds elements of type f4, but --dtype asks for f2"])
    refused("export", store.path, tmp / "out.i8bin", says=["type i1, but the store has b1"])


def test_what_cannot_become_bits_is_said(stores, tmp):
    store = stores.create(dim=3, dtype="f4")
    numpy.save(tmp / "in.npy", numpy.ones((1, 3), "<f4"))
    quiverfs("import", store.path, tmp / "in.npy")
    refused("export", store.path, tmp / "out.npy", "--dtype", "b1",
            says=["eight elements into a byte", "dim 3 is not a multiple of 8"])
    store = stores.create(dim=8, dtype="f4", name="eight")
    numpy.save(tmp / "in.npy", numpy.array([[0, 1, 0, 1, 0.25, 0, 0, 0]], "<f4"))
    quiverfs("import", store.path, tmp / "in.npy")
    refused("export", store.path, tmp / "out.npy", "--dtype", "b1",
            says=["element 4 of vector 0", "not 0 or 1"])
    assert not (tmp / "out.npy").exists()
    assert "expected f4 (float32), f2" in quiverfs("export", store.path, tmp / "out.npy", "--dtype", "i8",
                                         status=2).stderr


# ---- through the mount -----------------------------------------------------------------------


def test_numpy_sees_brains(stores, rng):
    mnt = stores.mount(stores.create(dim=33, dtype="bf2"))
    bits = brains_of(numpy.array([rng.gauss(0, 1) for _ in range(33)], "<f4").view("<u4"))
    mnt.put(5, bits.tobytes())
    matrix = numpy.load(mnt.point / "matrix.npy", mmap_mode="r")
    assert matrix.dtype == "<u2" and matrix.shape[1] == 33
    ids = numpy.load(mnt.point / "ids.npy")
    numbers = (matrix.astype("u4") << 16).view("f4")[ids == 5][0]  # as the documents say
    same(numbers, floats(bits))
    same(numpy.load(mnt.path("5.npy")), bits)
    text = numpy.loadtxt(mnt.path("5.txt"), dtype="<f4")  # the nearest of them, not to the bit
    same(brains_of(text.view("<u4")), bits)
    del matrix


def test_numpy_sees_bits(stores, rng):
    mnt = stores.mount(stores.create(dim=DIM, dtype="b1"))
    packed = bits_of(rng, 1)
    mnt.put(5, packed.tobytes())
    matrix = numpy.load(mnt.point / "matrix.npy", mmap_mode="r")
    assert matrix.dtype == "u1" and matrix.shape[1] == DIM // 8
    ids = numpy.load(mnt.point / "ids.npy")
    assert numpy.array_equal(numpy.unpackbits(matrix, axis=1)[ids == 5], bools_of(packed))
    same(numpy.load(mnt.path("5.npy")), packed[0])
    assert numpy.array_equal(numpy.loadtxt(mnt.path("5.txt"), dtype="u1"), bools_of(packed)[0])
    assert mnt.path("5.txt").read_text().splitlines() == [str(int(x)) for x in bools_of(packed)[0]]
    del matrix


def test_views_of_brains_are_written(stores, rng):
    mnt = stores.mount(stores.create(dim=4, dtype="bf2"))
    bits = numpy.array([0x3f80, 0xc000, 0x7fc1, 0x0001], "<u2")
    numpy.save(mnt.path("1.npy"), bits)
    assert mnt.get(1) == bits.tobytes()
    for vector, descr in enumerate(("<V2", "|V2"), 2):
        mnt.path(f"{vector}.npy").write_bytes(npy(descr, (4,), bits.tobytes()))
        assert mnt.get(vector) == bits.tobytes()
    shell(f"echo 1 -2.5 3.4e-39 inf > {mnt.path('4.txt')}")
    numbers = [1, -2.5, 3.4e-39]
    assert mnt.get(4) == struct.pack("<4H", *map(brain_of, numbers), 0x7f80)
    assert mnt.path("4.txt").read_text() == "1\n-2.5\n3.4e-39\ninf\n"
    for text, says in ("1 2 3 3.4e38", "is not a value of bf2"), ("1 2 3", "got 3 of 4"), ("1 2 3 x", "not a number"):
        with expected(errno.EINVAL):
            write_all(mnt.path("4.txt"), text.encode())
        mnt.expect_error(says)
    with expected(errno.EINVAL):
        write_all(mnt.path("4.npy"), npy("<f4", (4,), bytes(16)))
    mnt.expect_error("type is f4; expected bf2; save array.astype.ml_dtypes.bfloat16., or the bits as u2")
    assert mnt.get(4) == struct.pack("<4H", *map(brain_of, numbers), 0x7f80)


def test_views_of_bits_are_written(stores, rng):
    mnt = stores.mount(stores.create(dim=DIM, dtype="b1"))
    packed = bits_of(rng, 2)
    numpy.save(mnt.path("1.npy"), packed[0])
    numpy.save(mnt.path("2.npy"), bools_of(packed)[1])
    assert (mnt.get(1), mnt.get(2)) == (packed[0].tobytes(), packed[1].tobytes())
    mnt.put(3, bytes(mnt.size))
    numpy.savetxt(mnt.path("3.txt"), bools_of(packed)[0])  # 1.000000000000000000e+00
    assert mnt.get(3) == packed[0].tobytes()
    mnt.path("4.txt").write_text(" ".join(map(str, bools_of(packed)[1])))  # True, False
    assert mnt.get(4) == packed[1].tobytes()
    shell(f"cp {mnt.path('2.npy')} {mnt.path('5.npy')}; cp {mnt.path('2.txt')} {mnt.path('6.txt')}")
    assert mnt.get(5) == mnt.get(6) == packed[1].tobytes()
    for array, says in [(numpy.zeros(DIM, "u1"), "shape is wrong; expected .8,. or .1, 8."),
                        (numpy.zeros(DIM, "<f4"), "expected bool, or u1 with 8 bits in each"),
                        (numpy.zeros(8, "?"), "shape is wrong; expected .64,. or .1, 64."),
                        (numpy.zeros(8, "i1"), "numpy.packbits")]:
        with expected(errno.EINVAL):
            write_all(mnt.path("1.npy"), npy(array.dtype.str, array.shape, array.tobytes()))
        mnt.expect_error(says)
    with expected(errno.EINVAL):
        write_all(mnt.path("1.npy"), npy("|b1", (DIM,), b"\2" * DIM))
    mnt.expect_error("element 0: a bool")
    with expected(errno.EINVAL):
        write_all(mnt.path("1.txt"), b"0 " * 63 + b"2")
    mnt.expect_error("line 1: 2 is not a value of b1 .0 or 1.")
    assert mnt.get(1) == packed[0].tobytes()


def test_a_large_view_of_bools_is_written(stores, rng):
    """Eight times as long as the vector, in many writes."""
    mnt = stores.mount(stores.create(dim=65536, dtype="b1"))
    packed = bits_of(rng, 1, 65536)
    write_all(mnt.path("1.npy"), npy("|b1", (65536,), bools_of(packed).tobytes()), chunk=4096)
    assert mnt.get(1) == packed.tobytes()
    text = "\n".join(map(str, bools_of(packed)[0].astype(int)))
    write_all(mnt.path("2.txt"), text.encode(), chunk=10000)
    assert mnt.get(2) == packed.tobytes()
    assert mnt.path("2.txt").read_text() == text + "\n"
    # as rsync does it: a scratch file, which is as long, and a rename
    scratch = mnt.vectors / ".3.npy.Xy12Zw"
    scratch.write_bytes(npy("|b1", (65536,), bools_of(packed).tobytes()))
    scratch.rename(mnt.path("3.npy"))
    assert mnt.get(3) == packed.tobytes()
    same(numpy.load(mnt.path("3.npy")), packed[0])


@pytest.mark.parametrize("dtype, dim", [("bf2", 64), ("b1", 64)])
def test_they_are_kept(stores, tmp, rng, dtype, dim):
    """Put, killed, mounted again, unmounted, read by NumPy from the store itself."""
    mnt = stores.mount(stores.create(dim=dim, dtype=dtype))
    rows = {vector: rng.randbytes(mnt.size) for vector in range(100)}
    mnt.control("put", b"".join(v.to_bytes(8, "little") + data for v, data in rows.items()))
    store = mnt.store
    mnt.kill()
    quiverfs("check", store.path, status=None)
    shell(f"umount -l {mnt.point}", status=None)
    mnt = stores.mount(store, name="again")
    assert {vector: mnt.get(vector) for vector in rows} == rows
    mnt.unmount()
    store.check()
    vectors = numpy.load(store.path / "vectors.npy", mmap_mode="r")
    ids = numpy.load(store.path / "ids.npy")
    assert vectors.dtype == ("<u2" if dtype == "bf2" else "u1")
    assert {int(ids[slot]): vectors[slot].tobytes() for slot in numpy.flatnonzero(ids < 100)} == rows
