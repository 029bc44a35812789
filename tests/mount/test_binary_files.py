"""Files of vectors in binary formats that people have, and what is packed by gzip or zstd."""

import gzip
import json
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import zipfile

import numpy
import pytest

from format_files import (DIM, count, exported, h5py, make_rows, refused, safetensors, same,
                          write_bin, write_csv, write_hdf5, write_npy, write_safetensors,
                          write_vecs)
from harness import QUIVERFS, most_memory_bytes, quiverfs

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
    save_npy(tmp / "plain.npy.gz", make_rows(rng, 3))
    refused("import", store.path, tmp / "plain.npy.gz", says=["its content is not gzip or zstd", "rename the file"])
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


def test_archives_and_other_compression_say_which_pipe_brings_them_in(store, tmp, rng):
    """As SIFT (sift.tar.gz) and GloVe (glove.6B.zip) are shipped."""
    write_vecs(tmp / "sift_base.fvecs", make_rows(rng, 3))
    for name in "sift.tar", "sift.tar.gz", "sift.tgz":
        with tarfile.open(tmp / name, "w" if name.endswith("r") else "w:gz") as file:
            file.add(tmp / "sift_base.fvecs", "sift/sift_base.fvecs")
        refused("import", store.path, tmp / name, says=[name, "tar -xOf FILE MEMBER", "--format"])
    with zipfile.ZipFile(tmp / "glove.6B.zip", "w") as file:
        file.writestr("glove.6B.50d.txt", "the 1 2\n")
    refused("import", store.path, tmp / "glove.6B.zip", says=["unzip -p FILE MEMBER"])
    (tmp / "x.fvecs.xz").write_bytes(lzma.compress((tmp / "sift_base.fvecs").read_bytes()))
    refused("import", store.path, tmp / "x.fvecs.xz", says=["xz -dc FILE |"])
    (tmp / "x.dat").write_bytes(bytes(1000))
    refused("import", store.path, tmp / "x.dat", says=["does not tell the format"])
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
    assert most_memory_bytes(QUIVERFS, "import", store.path, packed) < 200 << 20
    same(exported(store, tmp)[0], rows)


@pytest.mark.usefixtures("no_sanitizer")
@pytest.mark.parametrize("suffix, pack", PACKED)
def test_memory_does_not_grow_with_the_number_of_packed_files(stores, tmp, rng, monkeypatch, suffix,
                                                              pack):
    """What one needs is given back before the next is read: beside one file of all their rows,
    which the store needs as much for."""
    # or malloc has one more for whichever threads happen to need memory at once
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    write_csv(tmp / "x.csv", make_rows(rng, 8000, plain=True), ids=True)
    packed = pack((tmp / "x.csv").read_bytes())
    used = []
    for files in 1, 40:
        store = stores.create(name=f"of{files}")
        names = [tmp / f"{number}.csv{suffix}" for number in range(files)]
        for name in names:
            name.write_bytes(packed * (40 // files))
        used.append(most_memory_bytes(QUIVERFS, "import", store.path, *names))
        assert count(store) == 8000
    assert used[1] < used[0] + (12 << 20), used


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
    write_hdf5(tmp / "standard input", rows[::-1].copy())
    packed = gzip.compress((tmp / "right.h5").read_bytes())
    (tmp / "right.h5.gz").write_bytes(packed)
    with open(tmp / "right.h5", "rb") as file:
        subprocess.run([QUIVERFS, "import", store.path, "-", "--format", "hdf5"], stdin=file,
                       cwd=tmp, check=True)
    same(exported(store, tmp)[0], rows)
    with open(tmp / "standard input", "rb") as file:
        (tmp / "standard input").unlink()
        ended = subprocess.run([QUIVERFS, "import", store.path, "-", "--format", "hdf5"],
                               stdin=file, cwd=tmp, capture_output=True, check=False)
    assert ended.returncode == 1 and b"give a path to it" in ended.stderr
    refused("import", store.path, "-", "--format", "hdf5", stdin=packed, cwd=tmp,
            says=["standard input", "only from a file"])
    refused("import", store.path, tmp / "right.h5.gz", says=["only from a file", "gzip -dk"])


# ---- the other formats of the billion-scale benchmarks ----------------------

BINS = [("f16bin", "f2"), ("hbin", "f2"), ("dbin", "f8"), ("fbin", "f4"), ("u8bin", "u1"),
        ("i8bin", "i1")]


@pytest.mark.parametrize("suffix, dtype", BINS)
def test_bins_with_either_header(stores, tmp, rng, suffix, dtype):
    rows = make_rows(rng, 50, dtype)
    files = {"narrow": struct.pack("<II", *rows.shape), "wide": struct.pack("<QQ", *rows.shape)}
    name = {"hbin": "f16bin"}.get(suffix, suffix)
    for header, start in files.items():
        store = stores.create(dtype=dtype, name=header)
        path = tmp / f"{header}.{suffix}"
        path.write_bytes(start + rows.tobytes())
        quiverfs("import", store.path, path)
        same(exported(store, tmp)[0], rows)
        piped = stores.create(dtype=dtype, name=header + "-piped")
        quiverfs("import", piped.path, "-", "--format", name, stdin=path.read_bytes())
        same(exported(piped, tmp)[0], rows)
    quiverfs("export", store.path, tmp / f"out.{suffix}")
    assert (tmp / f"out.{suffix}").read_bytes() == files["narrow"] + rows.tobytes()


def test_ibin_is_converted(stores, tmp):
    rows = numpy.arange(100, dtype="<i4").reshape(4, DIM)
    write_bin(tmp / "x.ibin", rows)
    store = stores.create()
    refused("import", store.path, tmp / "x.ibin", says=["dtype i4", "--convert"])
    quiverfs("import", store.path, tmp / "x.ibin", "--convert")
    same(exported(store, tmp)[0], rows.astype("<f4"))
    quiverfs("export", store.path, tmp / "out.ibin", "--convert")
    assert (tmp / "out.ibin").read_bytes() == (tmp / "x.ibin").read_bytes()


def test_more_rows_than_a_narrow_header_can_tell(store, tmp):
    """No such file is read here: what it promises is not there."""
    (tmp / "x.fbin").write_bytes(struct.pack("<QQ", 2**32 + 17, DIM))
    os.truncate(tmp / "x.fbin", 16 + (2**32 + 17) * DIM * 4) # a hole
    error = refused("import", store.path, tmp / "x.fbin", "--ids", tmp / "no.npy", says=["no.npy"])
    assert "header" not in error
    for header in [struct.pack("<QQ", 2**62, 2**31), struct.pack("<QQ", 2**63, DIM),
                   struct.pack("<QQ", 2**32, 2**62)]:
        (tmp / "y.fbin").write_bytes(header + bytes(100))
        refused("import", store.path, tmp / "y.fbin", says=["header"])
    assert count(store) == 0


# ---- rows without a header --------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
def test_raw_rows(stores, tmp, rng, dtype):
    rows = make_rows(rng, 50, dtype)
    rows.tofile(tmp / "x.dat")
    store = stores.create(dtype=dtype)
    quiverfs("import", store.path, tmp / "x.dat", "--format", "raw")
    same(exported(store, tmp)[0], rows)
    quiverfs("export", store.path, tmp / "out.dat", "--format", "raw")
    same(numpy.fromfile(tmp / "out.dat", "<" + dtype).reshape(-1, DIM), rows)
    (tmp / "y.dat").write_bytes(b"a header " + rows.tobytes())
    again = stores.create(dtype=dtype, name="again")
    words = ["import", again.path, "--format", "raw", "--skip-bytes", "9"]
    quiverfs(*words, tmp / "y.dat")
    quiverfs(*words, "-", "--start-id", "50", stdin=(tmp / "y.dat").read_bytes())
    (tmp / "y.dat.gz").write_bytes(gzip.compress((tmp / "y.dat").read_bytes()))
    quiverfs(*words, tmp / "y.dat.gz", "--start-id", "100")
    same(exported(again, tmp)[0], numpy.vstack([rows] * 3))


def test_raw_rows_of_bits_and_bfloat16(stores, tmp, rng):
    packed = numpy.frombuffer(rng.randbytes(90), "u1").reshape(30, 3)
    bits = stores.create(dim=24, dtype="b1")
    packed.tofile(tmp / "x.dat")
    quiverfs("import", bits.path, tmp / "x.dat", "--format", "raw")
    quiverfs("export", bits.path, tmp / "out.dat", "--format", "raw")
    assert (tmp / "out.dat").read_bytes() == packed.tobytes()
    half = stores.create(dtype="bf2", name="half")
    (tmp / "y.dat").write_bytes(rng.randbytes(500))
    quiverfs("import", half.path, tmp / "y.dat", "--format", "raw")
    quiverfs("export", half.path, tmp / "out.dat", "--format", "raw")
    assert (tmp / "out.dat").read_bytes() == (tmp / "y.dat").read_bytes()


def test_raw_rows_that_do_not_fit(store, tmp):
    (tmp / "x.dat").write_bytes(bytes(DIM * 4 * 3 + 5))
    refused("import", store.path, tmp / "x.dat", says=["--format"])
    raw = ["--format", "raw"]
    refused("import", store.path, tmp / "x.dat", *raw,
            says=["305 bytes", "rows of 100 bytes", "--skip-bytes"])
    refused("import", store.path, tmp / "x.dat", *raw, "--skip-bytes", "306", says=["fewer than"])
    refused("import", store.path, "-", *raw, stdin=bytes(305),
            says=["row 3", "at byte 300", "ends within"])
    write_npy(tmp / "x.npy", numpy.zeros((2, DIM), "<f4"))
    refused("import", store.path, tmp / "x.npy", "--skip-bytes", "8", says=["its own header"])
    quiverfs("import", store.path, tmp / "x.dat", *raw, "--skip-bytes", "-1", status=2)


# ---- word2vec in binary -----------------------------------------------------

WORDS = ["the", "New_York", "été", "http://example.org/a?b=c", "</s>", "10"]


def word2vec(rows, words, end=b"\n", header=None):
    start = header if header is not None else b"%d %d\n" % rows.shape
    return start + b"".join(word.encode() + b" " + row.tobytes() + end
                            for word, row in zip(words, rows))


@pytest.mark.parametrize("end", [b"\n", b""], ids=["newlines", "none"])
def test_word2vec_in_binary(stores, tmp, rng, end):
    rows = make_rows(rng, len(WORDS)).copy()
    rows.view("u1")[0, :3] = [10, 32, 10] # what separates may be in a vector
    source = tmp / "GoogleNews.bin"
    source.write_bytes(word2vec(rows, WORDS, end))
    store = stores.create()
    quiverfs("import", store.path, source, "--keys", tmp / "keys.txt")
    same(exported(store, tmp)[0], rows)
    assert (tmp / "keys.txt").read_text() == "".join(word + "\n" for word in WORDS)
    quiverfs("export", store.path, tmp / "out.w2vbin", "--keys", tmp / "keys.txt")
    assert (tmp / "out.w2vbin").read_bytes() == word2vec(rows, WORDS)
    piped = stores.create(name="piped")
    quiverfs("import", piped.path, "-", "--format", "w2vbin", stdin=source.read_bytes())
    same(exported(piped, tmp)[0], rows)
    # compressed, as Google ships it
    (tmp / "GoogleNews.bin.gz").write_bytes(gzip.compress(source.read_bytes()))
    quiverfs("import", piped.path, tmp / "GoogleNews.bin.gz", "--start-id", len(WORDS))
    assert count(piped) == 2 * len(WORDS)
    # without keys the ID is the word
    quiverfs("export", store.path, tmp / "ids.w2vbin")
    assert (tmp / "ids.w2vbin").read_bytes() == word2vec(rows, [str(i) for i in range(len(WORDS))])


def test_word2vec_in_binary_that_is_wrong(store, tmp, rng):
    rows = make_rows(rng, 3)
    good = word2vec(rows, WORDS)
    path = tmp / "x.bin"
    for data, says in [
            (b"\xba\x16\x4f\x2f" + bytes(100), ["fastText", "--format word2vec"]),
            (struct.pack("<II", 3, DIM) + rows.tobytes(), ["fbin", "raw"]), # DiskANN's
            (b"3\n" + good, ["not a binary file of word2vec"]),
            (b"3 -25\n" + good, ["not a binary file of word2vec"]),
            (b"3 0\n" + good, ["not a binary file of word2vec"]),
            (b"99999999999999999999 25\n" + good, ["not a binary file of word2vec"]),
            (b"18446744073709551614 25\n" + good, ["more than any file"]),
            (good[:-200], ["cut off", "3 words"]),
            (word2vec(rows, WORDS, header=b"3 24\n"), ["dim 24"]),
            (b"3 25\n" + b"x" * 70000, ["row 0", "at byte 5", "expected a word"])]:
        path.write_bytes(data)
        refused("import", store.path, path, says=says)
        assert count(store) == 0
    for data, says in [
            (good[:-10], ["row 2", f"at byte {5 + 2 * 102 + 11}", "ends here", "3 words"]),
            (good + b"x", ["row 3", "more data follows the 3 words"]),
            (word2vec(rows, ["a", "b\nb", "c"]), ["row 1", "end of a line"])]:
        path.write_bytes(data)
        refused("import", store.path, path, "--keys", tmp / "keys.txt", says=says)
        assert not (tmp / "keys.txt").exists()


def test_keys_that_word2vec_in_binary_cannot_hold(store, tmp, rng):
    write_npy(tmp / "x.npy", make_rows(rng, 2))
    quiverfs("import", store.path, tmp / "x.npy")
    (tmp / "keys.txt").write_text("a\nnew york\n")
    refused("export", store.path, tmp / "out.w2vbin", "--keys", tmp / "keys.txt",
            says=["new york", "vector 1", "a space"])
    done = quiverfs("export", store.path, tmp / "out.bin", status=2)
    assert "--format" in done.stderr # much else has this name


# ---- files that are cut off: --partial --------------------------------------


def save_npy(path, rows):
    with open(path, "wb") as file: # np.save adds a suffix to a name
        numpy.save(file, rows)


def write_w2vbin(path, rows):
    path.write_bytes(word2vec(rows, [f"w{i}" for i in range(len(rows))]))


CUT = [("npy", save_npy, "3 rows"), ("fvecs", write_vecs, "1 rows"), ("fbin", write_bin, "3 rows"),
       ("safetensors", lambda path, rows: path.write_bytes(safetensors({"x": rows})), "3 rows"),
       ("w2vbin", write_w2vbin, "3 rows"), ("raw", lambda path, rows: rows.tofile(path), "1 rows")]


@pytest.mark.parametrize("name, write, missing", CUT, ids=[row[0] for row in CUT])
def test_the_whole_rows_of_a_file_that_is_cut_off(stores, tmp, rng, name, write, missing):
    rows = make_rows(rng, 20)
    write(tmp / "whole", rows)
    data = (tmp / "whole").read_bytes()
    cut = data[:-2 * len(rows[0].tobytes()) - 40]
    (tmp / "x").write_bytes(cut)
    (tmp / "x.gz").write_bytes(gzip.compress(data)[:-300])
    words = ["--format", name, "--partial"]
    for number, (path, options) in enumerate([(tmp / "x", {}), ("-", {"stdin": cut})]):
        store = stores.create(name=f"store{number}")
        refused("import", store.path, path, "--format", name, says=[], **options)
        done = quiverfs("import", store.path, path, *words, **options)
        assert f"cut off: {missing}" in done.stderr, done.stderr
        same(exported(store, tmp)[0], rows[:17])
    # and what is compressed, where the compressed bytes end
    store = stores.create(name="packed")
    refused("import", store.path, tmp / "x.gz", "--format", name, says=["cut off"])
    done = quiverfs("import", store.path, tmp / "x.gz", *words)
    kept = count(store)
    assert "cut off" in done.stderr and 10 < kept < 20
    same(exported(store, tmp)[0], rows[:kept])
    # of a whole file nothing is said
    done = quiverfs("import", store.path, tmp / "whole", *words)
    assert "cut off" not in done.stderr
    same(exported(store, tmp)[0], rows)


@pytest.mark.parametrize("name, write", [row[:2] for row in CUT], ids=[row[0] for row in CUT])
def test_a_limit_of_rows_that_are_before_the_cut(stores, tmp, rng, name, write):
    """From a pipe it was no matter what is missing behind them."""
    rows = make_rows(rng, 20)
    write(tmp / "whole", rows)
    cut = (tmp / "whole").read_bytes()[:-2 * len(rows[0].tobytes()) - 40]
    (tmp / "x").write_bytes(cut)
    if name == "raw": # its size alone tells that it is of this dim and dtype
        refused("import", stores.create().path, tmp / "x", "--format", name, "--limit", 17,
                says=["--partial"])
        return
    for number, (path, options) in enumerate([(tmp / "x", {}), ("-", {"stdin": cut})]):
        store = stores.create(name=f"store{number}")
        words = ["import", store.path, path, "--format", name]
        refused(*words, "--limit", 18, says=[], **options)
        for limit in 1, 17:
            done = quiverfs(*words, "--limit", limit, **options)
            assert done.stderr == "" and done.stdout.startswith(f"{limit} vectors imported")
        same(exported(store, tmp)[0], rows[:17])
    # of what the files before leave of it
    words = ["import", stores.create(name="two").path, tmp / "whole", tmp / "x", "--format", name]
    assert quiverfs(*words, "--limit", 37).stdout.startswith("37 vectors")
    assert quiverfs(*words, "--limit", 20).stdout.startswith("20 vectors")
    refused(*words, "--limit", 38, says=["cut off" if name != "w2vbin" else "the file ends here"])


def test_columns_that_are_cut_off_have_no_rows_of_a_limit(store, tmp, rng):
    numpy.save(tmp / "f.npy", numpy.asfortranarray(make_rows(rng, 9)))
    (tmp / "f.npy").write_bytes((tmp / "f.npy").read_bytes()[:-1])
    refused("import", store.path, tmp / "f.npy", "--convert", "--limit", 1, says=["cut off"])


def test_what_is_cut_off_before_the_first_row(store, tmp, rng):
    write_bin(tmp / "x.fbin", make_rows(rng, 3))
    (tmp / "x.fbin").write_bytes((tmp / "x.fbin").read_bytes()[:8 + 99])
    done = quiverfs("import", store.path, tmp / "x.fbin", "--partial", status=None)
    assert "3 rows are missing" in done.stderr
    (tmp / "x.fbin").write_bytes(b"\3\0\0\0\x19\0")
    refused("import", store.path, tmp / "x.fbin", "--partial", says=["within its header"])
    numpy.save(tmp / "f.npy", numpy.asfortranarray(make_rows(rng, 3)))
    (tmp / "f.npy").write_bytes((tmp / "f.npy").read_bytes()[:-1])
    refused("import", store.path, tmp / "f.npy", "--convert", "--partial", says=["no row is whole"])
    assert count(store) == 0


@WITH_H5PY
def test_a_filter_that_hdf5_lacks_is_named(store, tmp):
    """The library printed a page of its own, and the reason was a folder of plugins."""
    with h5py.File(tmp / "x.h5", "w") as file:
        file.create_dataset("train", data=numpy.zeros((300, DIM), "f4"), compression="lzf")
    said = refused("import", store.path, tmp / "x.h5", says=["filter 'lzf'"])
    assert "HDF5-DIAG" not in said


# ---- .npz -------------------------------------------------------------------


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed], ids=["stored", "deflated"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
def test_arrays_of_an_npz(stores, tmp, rng, save, dtype):
    rows, more = make_rows(rng, 300, dtype), make_rows(rng, 5, dtype)
    save(tmp / "x.npz", emb=rows, ids=numpy.arange(300), scale=numpy.float32(2))
    save(tmp / "two.npz", rows, more)
    store = stores.create(dtype=dtype)
    quiverfs("import", store.path, tmp / "x.npz")
    same(exported(store, tmp)[0], rows)
    quiverfs("export", store.path, tmp / "out.npz")
    assert list(numpy.load(tmp / "out.npz")) == ["arr_0"]
    same(numpy.load(tmp / "out.npz")["arr_0"], rows)
    quiverfs("export", store.path, tmp / "out.npz", "--dataset", "emb")
    same(numpy.load(tmp / "out.npz")["emb"], rows)
    assert zipfile.ZipFile(tmp / "out.npz").testzip() is None
    refused("import", store.path, tmp / "two.npz", says=["several", "--dataset", "arr_0, arr_1"])
    for number, name in enumerate(["arr_1", "arr_1.npy"]):
        again = stores.create(dtype=dtype, name=f"again{number}")
        quiverfs("import", again.path, tmp / "two.npz", "--dataset", name)
        same(exported(again, tmp)[0], more)
    with open(tmp / "out.npz", "rb") as file:
        subprocess.run([QUIVERFS, "import", again.path, "-", "--format", "npz"], stdin=file,
                       check=True)
    same(exported(again, tmp)[0], rows)


def test_an_npz_in_fortran_order(store, tmp, rng):
    rows = make_rows(rng, 50, plain=True)
    numpy.savez(tmp / "x.npz", numpy.asfortranarray(rows))
    refused("import", store.path, tmp / "x.npz", says=["arr_0", "--convert"])
    quiverfs("import", store.path, tmp / "x.npz", "--convert")
    same(exported(store, tmp)[0], rows)
    numpy.savez_compressed(tmp / "x.npz", numpy.asfortranarray(rows))
    refused("import", store.path, tmp / "x.npz", "--convert", says=["Fortran", "numpy.savez"])


def npz_of(path, name, data, **options):
    with zipfile.ZipFile(path, "w") as file:
        with file.open(zipfile.ZipInfo(name), "w", **options) as member:
            member.write(data)


def test_what_other_programs_put_into_an_npz(stores, tmp, rng):
    """Sizes of 64 bits, as numpy writes them, members behind the data they tell of, and bytes
    before the ZIP file."""
    rows = make_rows(rng, 40)
    save_npy(tmp / "x", rows)
    data = (tmp / "x").read_bytes()
    npz_of(tmp / "zip64.npz", "x.npy", data, force_zip64=True)
    with open(tmp / "piped.npz", "wb") as file: # as a pipe is written: sizes follow the bytes
        file.seek = None
        class Pipe:
            write = staticmethod(file.write)
            flush = staticmethod(file.flush)
        with zipfile.ZipFile(Pipe(), "w") as archive:
            archive.writestr("x.npy", data)
    (tmp / "before.npz").write_bytes(b"#!/bin/sh\n" + (tmp / "zip64.npz").read_bytes())
    for name in ["zip64", "piped", "before"]:
        store = stores.create(name=name)
        quiverfs("import", store.path, tmp / f"{name}.npz")
        same(exported(store, tmp)[0], rows)


def test_an_npz_that_is_wrong(store, tmp, rng):
    path = tmp / "x.npz"
    numpy.savez(path, numpy.zeros((3, DIM), "<f4"))
    good = path.read_bytes()
    for data, says in [
            (good[:-30], ["not a ZIP file", "cut off"]),
            (b"x" * 100, ["not a ZIP file"]),
            (b"", ["the file is empty"])]:
        path.write_bytes(data)
        refused("import", store.path, path, says=says)
    for words, arrays, says in [
            ([], {"a": numpy.array([{}, None])}, ["'a'", "object"]),
            ([], {"a": numpy.zeros((3, DIM, 2))}, ["'a'", "3 dimensions"]),
            ([], {"a": numpy.zeros((3, 24), "<f4")}, ["dim 24"]),
            ([], {"a": numpy.zeros(3), "b": numpy.zeros(4)}, ["no array of 2", "a, b"]),
            (["--dataset", "c"], {"a": numpy.zeros((3, DIM))}, ["of this name", ": a"])]:
        numpy.savez(path, **arrays)
        refused("import", store.path, path, *words, says=says)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("glove.6B.50d.txt", bytes(1000))
    refused("import", store.path, path, says=["no array"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.npy", bytes(1000))
    refused("import", store.path, path, says=["method 14"])
    quiverfs("export", store.path, tmp / "empty.npz")
    assert numpy.load(tmp / "empty.npz")["arr_0"].shape == (0, DIM)
    refused("import", store.path, "-", "--format", "npz", stdin=good, says=["only from a file"])
    refused("export", store.path, "-", "--format", "npz", says=["standard output", "npz", "file"])
    refused("export", store.path, tmp / "y.npz.gz", says=["npz", "compress"])
    assert not (tmp / "y.npz.gz").exists()
    (tmp / "x.npz.gz").write_bytes(gzip.compress(good))
    refused("import", store.path, tmp / "x.npz.gz", says=["only from a file", "gzip -dk"])
    # this was a ZIP with the rest of a gzip behind it, which nothing reads
    refused("export", store.path, tmp / "out.npz.gz", says=["cannot be compressed during"])
    refused("export", store.path, "-", "--format", "npz", says=["only to a file"])
    assert not (tmp / "out.npz.gz").exists()
    assert count(store) == 0


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed], ids=["stored", "deflated"])
def test_an_npz_that_is_damaged(store, tmp, save):
    path = tmp / "x.npz"
    rows = numpy.arange(3000 * DIM, dtype="<f4").reshape(-1, DIM)
    save(path, rows)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    refused("import", store.path, path, says=["row ", "damaged", "ZIP file"])


# ---- what is said of bfloat16, and of a file that is locked -----------------


def npy_header(descr, shape):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def test_bfloat16_by_its_name(stores, tmp, rng):
    """As it stands in a header that was written by hand, since np.save loses the type."""
    bits = rng.randbytes(3 * DIM * 2)
    (tmp / "x.npy").write_bytes(npy_header("bfloat16", (3, DIM)) + bits)
    store = stores.create(dtype="bf2", name="half")
    quiverfs("import", store.path, tmp / "x.npy")
    assert exported(store, tmp)[0].tobytes() == bits
    float32 = stores.create()
    refused("import", float32.path, tmp / "x.npy", says=["bf2 (bfloat16)", "--convert"])
    quiverfs("import", float32.path, tmp / "x.npy", "--convert")
    for descr, says in [("float8_e4m3fn", "not known here"), ("<V1", "known here is bfloat16"),
                        ("<f1", "not known here"), ("complex64", "not known here"),
                        ("<c8", "complex"), ("<M8[ns]", "dates"), ("|O", "Python objects")]:
        (tmp / "y.npy").write_bytes(npy_header(descr, (3, DIM)) + bits)
        refused("import", store.path, tmp / "y.npy", says=[descr, says])


@WITH_H5PY
def test_a_locked_hdf5_file_says_what_to_do(store, tmp, rng):
    rows = make_rows(rng, 5)
    writer = h5py.File(tmp / "x.h5", "w")
    writer["train"] = rows
    writer.flush()
    environment = {key: value for key, value in os.environ.items()
                   if key != "HDF5_USE_FILE_LOCKING"}
    refused("import", store.path, tmp / "x.h5", env=environment,
            says=["x.h5", "another program", "HDF5_USE_FILE_LOCKING=FALSE"])
    assert count(store) == 0
    writer.close()
    quiverfs("import", store.path, tmp / "x.h5")
    same(exported(store, tmp)[0], rows)


# ---- .fvecs of others -------------------------------------------------------


def test_fvecs_that_are_none(store, tmp, rng):
    rows = make_rows(rng, 3, plain=True)
    write_vecs(tmp / "x.fvec", rows) # as Elasticsearch's benchmark calls it
    quiverfs("import", store.path, tmp / "x.fvec")
    same(exported(store, tmp)[0], rows)
    for data, says in [
            (b"".join(struct.pack(">i", DIM) + row.tobytes() for row in rows.astype(">f4")),
             ["dimension 25 in big-endian"]),
            (numpy.full((3, DIM), 0.5, "<f4").tobytes(), ["dimension 1056964608", "--format raw"]),
            (struct.pack("<q", DIM) + rows[0].tobytes(), ["whole number of records"])]:
        (tmp / "y.fvecs").write_bytes(data)
        refused("import", store.path, tmp / "y.fvecs", says=says)
    assert count(store) == 3
