"""Files of vectors in binary formats that people have, and what is packed by gzip or zstd."""

import gzip
import json
import os
import shutil
import struct
import subprocess

import numpy
import pytest

from format_files import (DIM, count, exported, h5py, make_rows, refused, same, write_bin,
                          write_csv, write_hdf5, write_npy, write_safetensors, write_vecs)
from harness import QUIVERFS, quiverfs

WITH_ZSTD = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
WITH_H5PY = pytest.mark.skipif(h5py is None, reason="python3-h5py is not installed")


@pytest.fixture
def store(stores):
    return stores.create()


def zstd(data, *options):
    return subprocess.run(["zstd", "-qc", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


PACKED = [
    pytest.param(".gz", gzip.compress, id="gzip"),
    pytest.param(".zst", zstd, id="zstd", marks=WITH_ZSTD),
]


# ---- packed by gzip or zstd -------------------------------------------------


@pytest.mark.parametrize("suffix, pack", PACKED)
@pytest.mark.parametrize("name, write", [("x.npy", write_npy), ("x.fvecs", write_vecs),
                                         ("x.fbin", write_bin), ("x.csv", write_csv),
                                         ("x.safetensors", write_safetensors)])
def test_a_packed_file_is_read_as_what_is_in_it(store, tmp, rng, suffix, pack, name, write):
    rows = make_rows(rng, 300, plain=True)
    write(tmp / name, rows)
    packed = tmp / (name + suffix)
    packed.write_bytes(pack((tmp / name).read_bytes()))
    quiverfs("import", store.path, packed)
    same(exported(store, tmp)[0], rows)


@pytest.mark.parametrize("suffix, pack", PACKED)
def test_how_it_begins_tells_that_it_is_packed(stores, tmp, rng, suffix, pack):
    rows = make_rows(rng, 300)
    write_npy(tmp / "x.npy", rows)
    packed = pack((tmp / "x.npy").read_bytes())
    (tmp / "y.npy").write_bytes(packed)
    for number, (words, options) in enumerate([
            (["-", "--format", "npy"], {"stdin": packed}), # a pipe
            ([tmp / "y.npy"], {}),
            ([tmp / "y.npy", tmp / "y.npy"], {})]):
        store = stores.create(name=f"store{number}")
        quiverfs("import", store.path, *words, **options)
        same(exported(store, tmp)[0][:300], rows)
    assert count(store) == 600


@pytest.mark.parametrize("suffix, pack", PACKED)
def test_several_members_are_one_file(store, tmp, rng, suffix, pack):
    rows = make_rows(rng, 3000)
    write_npy(tmp / "x.npy", rows)
    data = (tmp / "x.npy").read_bytes()
    cuts = [0, 1, 100, 4000, 4000, len(data)]
    packed = b"".join(pack(data[a:b]) for a, b in zip(cuts, cuts[1:]))
    if suffix == ".gz":
        packed += bytes(2000) # the rest of a tape's block
    else:
        packed += struct.pack("<II", 0x184D2A53, 5) + b"notes" # a frame that is passed over
    (tmp / ("x.npy" + suffix)).write_bytes(packed)
    quiverfs("import", store.path, tmp / ("x.npy" + suffix))
    same(exported(store, tmp)[0], rows)


@pytest.mark.parametrize("suffix, pack", PACKED)
def test_a_packed_file_that_is_cut_off(store, tmp, rng, suffix, pack):
    rows = make_rows(rng, 20000) # of random bits: nothing is saved by packing it
    write_npy(tmp / "x.npy", rows)
    packed = pack((tmp / "x.npy").read_bytes())[:-1000]
    path = tmp / ("x.npy" + suffix)
    path.write_bytes(packed)
    error = refused("import", store.path, path,
                    says=["x.npy" + suffix, "row 1", f"ends at byte {len(packed)}", "cut off"])
    # what could be unpacked before that is in
    assert f"the first {count(store)} of 20000 rows" in error and count(store) > 10000
    same(exported(store, tmp)[0], rows[:count(store)])
    refused("import", store.path, "-", "--format", "npy", stdin=packed, says=["cut off"])


@pytest.mark.parametrize("suffix, pack", PACKED)
def test_a_packed_file_that_is_damaged(store, tmp, rng, suffix, pack):
    write_npy(tmp / "x.npy", make_rows(rng, 3000))
    packed = bytearray(pack((tmp / "x.npy").read_bytes()))
    path = tmp / ("x.npy" + suffix)
    packed[len(packed) // 2] ^= 0x55
    path.write_bytes(packed)
    refused("import", store.path, path, says=["damaged at byte"])
    path.write_bytes(pack((tmp / "x.npy").read_bytes()) + b"what is this")
    refused("import", store.path, path, says=["row 3000", "damaged at byte"])


def test_a_header_that_promises_more_than_is_packed(store, tmp, rng):
    write_npy(tmp / "x.npy", make_rows(rng, 300))
    data = (tmp / "x.npy").read_bytes()
    (tmp / "x.npy.gz").write_bytes(gzip.compress(data[:-100]))
    refused("import", store.path, tmp / "x.npy.gz",
            says=["row 299", "the data ends here", "300 rows"])
    (tmp / "x.npy.gz").write_bytes(gzip.compress(data + b"x"))
    refused("import", store.path, tmp / "x.npy.gz", says=["more data follows the 300 rows"])


def test_first_bytes_that_could_be_those_of_a_packed_file(store, tmp):
    """559,903 rows of dimension 25 begin with what all gzip files begin with."""
    rows = numpy.zeros((0x00088b1f, DIM), "<f4")
    write_bin(tmp / "x.fbin", rows)
    assert (tmp / "x.fbin").read_bytes()[:3] == b"\x1f\x8b\x08"
    quiverfs("import", store.path, tmp / "x.fbin")
    assert count(store) == len(rows)


def test_what_cannot_be_unpacked_says_what_to_do(store, tmp, rng):
    write_npy(tmp / "plain.npy.gz", make_rows(rng, 3))
    (tmp / "plain.npy.gz.npy").rename(tmp / "plain.npy.gz")
    refused("import", store.path, tmp / "plain.npy.gz", says=["does not begin", "right name"])
    for name, start, says in [("x.npy", b"\xfd7zXZ\0", "xz -dc"), ("y.npy", b"PK\3\4", "unzip -p"),
                              ("z.npy", b"BZh91AY&SY", "bzip2 -dc")]:
        (tmp / name).write_bytes(start + bytes(100))
        refused("import", store.path, tmp / name, says=[says, "--format"])
    (tmp / "e.npy.gz").write_bytes(b"")
    refused("import", store.path, tmp / "e.npy.gz", says=["the file is empty"])
    fortran = numpy.asfortranarray(make_rows(rng, 3))
    numpy.save(tmp / "f.npy", fortran)
    (tmp / "f.npy.gz").write_bytes(gzip.compress((tmp / "f.npy").read_bytes()))
    refused("import", store.path, tmp / "f.npy.gz", "--convert", says=["Fortran", "compressed one"])
    assert count(store) == 0


@WITH_ZSTD
def test_memory_stays_bounded_when_a_file_unpacks_to_much(store, tmp, rng):
    """A gigabyte of zeros before the tensor that is wanted."""
    rows, zeros = make_rows(rng, 10), 10**9
    header = json.dumps({
        "zeros": {"dtype": "U8", "shape": [zeros], "data_offsets": [0, zeros]},
        "rows": {"dtype": "F32", "shape": [10, DIM], "data_offsets": [zeros, zeros + rows.nbytes]},
    }).encode()
    (tmp / "start").write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp / "end").write_bytes(rows.tobytes())
    packed = tmp / "x.safetensors.zst"
    command = f"(cat {tmp}/start; head -c {zeros} /dev/zero; cat {tmp}/end) | zstd -q > {packed}"
    subprocess.run(["bash", "-c", command], check=True)
    assert packed.stat().st_size < 10**6
    running = subprocess.Popen([QUIVERFS, "import", store.path, packed])
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = status
    assert status == 0 and usage.ru_maxrss < 200000 # KB
    same(exported(store, tmp)[0], rows)


@WITH_ZSTD
def test_a_window_that_is_too_large(store, tmp):
    command = f"head -c 300000000 /dev/zero | zstd -q --ultra --long=31 > {tmp}/x.npy.zst"
    subprocess.run(["bash", "-c", command], check=True)
    refused("import", store.path, tmp / "x.npy.zst", says=["128 MiB", "zstd -dc --long=31"])


# ---- HDF5 from standard input -----------------------------------------------


@WITH_H5PY
def test_hdf5_from_standard_input_is_the_file_it_is(store, tmp, rng):
    """By its descriptor: the name that messages give it may be that of another file."""
    rows = make_rows(rng, 5)
    write_hdf5(tmp / "right.h5", rows)
    write_hdf5(tmp / "standard input", rows + 1)
    packed = gzip.compress((tmp / "right.h5").read_bytes())
    (tmp / "right.h5.gz").write_bytes(packed)
    with open(tmp / "right.h5", "rb") as file:
        subprocess.run([QUIVERFS, "import", store.path, "-", "--format", "hdf5"], stdin=file,
                       cwd=tmp, check=True)
    same(exported(store, tmp)[0], rows)
    refused("import", store.path, "-", "--format", "hdf5", stdin=packed, cwd=tmp,
            says=["standard input", "from a file only"])
    refused("import", store.path, tmp / "right.h5.gz", says=["from a file only", "gzip -dk"])
