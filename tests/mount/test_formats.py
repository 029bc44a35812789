"""Files of vectors of all formats, in and out, through stores and mounts."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy
import pytest

from format_files import (DIM, DTYPES, FLOATS, ID_MAX, count, exported, h5py, make_rows, read_bin, read_csv,
                          read_glove, read_hdf5, read_jsonl, read_safetensors, read_vecs,
                          read_word2vec, refused, safetensors, same, write_bin, write_csv,
                          write_glove, write_hdf5, write_jsonl, write_npy, write_safetensors,
                          write_vecs, write_word2vec)
from harness import QUIVERFS, quiverfs
from patience import wait_for

WITH_H5PY = pytest.mark.skipif(h5py is None, reason="python3-h5py is not installed")

# format: suffix, writer, reader, dtypes, whether it is text
FORMATS = [
    pytest.param(".npy", write_npy, lambda path, _: numpy.load(path), DTYPES, False, id="npy"),
    pytest.param(".fvecs", write_vecs, read_vecs, ["f4"], False, id="fvecs"),
    pytest.param(".bvecs", write_vecs, read_vecs, ["u1"], False, id="bvecs"),
    pytest.param(".fbin", write_bin, read_bin, ["f4"], False, id="fbin"),
    pytest.param(".u8bin", write_bin, read_bin, ["u1"], False, id="u8bin"),
    pytest.param(".i8bin", write_bin, read_bin, ["i1"], False, id="i8bin"),
    pytest.param(".safetensors", write_safetensors, read_safetensors, DTYPES, False,
                 id="safetensors"),
    pytest.param(".hdf5", write_hdf5, read_hdf5, DTYPES, False, id="hdf5", marks=WITH_H5PY),
    pytest.param(".jsonl", write_jsonl, read_jsonl, DTYPES, True, id="jsonl"),
    pytest.param(".csv", write_csv, read_csv, DTYPES, True, id="csv"),
    pytest.param(".txt", write_glove, read_glove, DTYPES, True, id="glove"),
    pytest.param(".vec", write_word2vec, read_word2vec, DTYPES, True, id="word2vec"),
]


@pytest.fixture
def store(stores):
    return stores.create()


# ---- round trips ------------------------------------------------------------


@pytest.mark.parametrize("suffix, write, read, dtypes, text", FORMATS)
def test_in_and_out_bit_for_bit(stores, tmp, rng, suffix, write, read, dtypes, text):
    for dtype in dtypes:
        store = stores.create(dtype=dtype, name="store-" + dtype)
        rows = make_rows(rng, 300, dtype, plain=text)
        source, out = tmp / ("in" + suffix), tmp / ("out" + suffix)
        write(source, rows)
        quiverfs("import", store.path, source)
        same(exported(store, tmp)[0], rows)
        quiverfs("export", store.path, out)
        same(read(out, dtype), rows)
        # and what export wrote is what import reads
        again = stores.create(dtype=dtype, name="again-" + dtype)
        quiverfs("import", again.path, out)
        same(exported(again, tmp)[0], rows)
        again.check()


@pytest.mark.parametrize("suffix, write, read, dtypes, text", FORMATS)
def test_through_pipes(stores, tmp, rng, suffix, write, read, dtypes, text):
    dtype = dtypes[0]
    store = stores.create(dtype=dtype)
    rows = make_rows(rng, 200, dtype, plain=text)
    source = tmp / ("in" + suffix)
    write(source, rows)
    name = {".txt": "glove", ".vec": "word2vec"}.get(suffix, suffix[1:])
    if name == "hdf5":
        refused("import", store.path, "-", "--format", name, stdin=source.read_bytes(),
                says=["standard input", "only from a file"])
        refused("export", store.path, "-", "--format", name, says=["standard output", "file"])
        return
    quiverfs("import", store.path, "-", "--format", name, stdin=source.read_bytes())
    done = subprocess.run([QUIVERFS, "export", store.path, "-", "--format", name],
                          capture_output=True, check=True)
    out = tmp / ("out" + suffix)
    out.write_bytes(done.stdout)
    same(read(out, dtype), rows)
    # a file as standard input, from its middle on
    with open(source, "rb") as file:
        done = subprocess.run([QUIVERFS, "import", store.path, "-", "--format", name],
                              stdin=file, capture_output=True, check=True)
    assert b"200 vectors" in done.stdout


@pytest.mark.parametrize("suffix, write, read, dtypes, text", FORMATS)
def test_through_a_mount(mnt, tmp, rng, suffix, write, read, dtypes, text):
    if "f4" not in dtypes:
        pytest.skip("another dtype than this mount's")
    rows = make_rows(rng, 3000, plain=text)
    write(tmp / ("in" + suffix), rows)
    quiverfs("import", mnt.point, tmp / ("in" + suffix))
    assert mnt.get(2999) == rows[2999].tobytes()
    quiverfs("export", mnt.store.path, tmp / ("out" + suffix))
    same(read(tmp / ("out" + suffix), "f4"), rows)


def test_every_float_survives_text(stores, tmp):
    halves = numpy.arange(65536, dtype="<u2").view("<f2").reshape(-1, 16)
    halves = numpy.where(numpy.isfinite(halves), halves, numpy.float16(0))
    for suffix in ".csv", ".jsonl", ".txt":
        store = stores.create(dim=16, dtype="f2", name="half" + suffix[1:])
        numpy.save(tmp / "half.npy", halves)
        quiverfs("import", store.path, tmp / "half.npy")
        quiverfs("export", store.path, tmp / ("half" + suffix))
        back = stores.create(dim=16, dtype="f2", name="back" + suffix[1:])
        quiverfs("import", back.path, tmp / ("half" + suffix))
        same(exported(back, tmp)[0], halves)


def test_an_empty_store_comes_back_empty(stores, tmp):
    store = stores.create()
    for suffix in (".npy .fvecs .fbin .safetensors .jsonl .csv .txt .vec".split()
                   + ([".hdf5"] if h5py else [])):
        quiverfs("export", store.path, tmp / ("out" + suffix))
        assert "0 vectors" in quiverfs("import", store.path, tmp / ("out" + suffix)).stdout


# ---- IDs and words ----------------------------------------------------------


def test_the_ids_of_lines(store, tmp, rng):
    rows = make_rows(rng, 4, plain=True)
    ids = [7, 0, str(ID_MAX), 2**62]
    write_jsonl(tmp / "in.jsonl", rows, ids)
    quiverfs("import", store.path, tmp / "in.jsonl")
    same(exported(store, tmp)[0], rows[[1, 0, 3, 2]])
    assert exported(store, tmp)[1] == [0, 7, 2**62, ID_MAX]
    for suffix in ".jsonl", ".csv":
        quiverfs("export", store.path, tmp / ("out" + suffix))
        before = exported(store, tmp)
        quiverfs("import", store.path, tmp / ("out" + suffix))
        after = exported(store, tmp)
        assert before[1] == after[1]
        same(before[0], after[0])


def test_start_id_goes_before_the_ids_of_lines(store, tmp, rng):
    write_jsonl(tmp / "in.jsonl", make_rows(rng, 3, plain=True))
    quiverfs("import", store.path, tmp / "in.jsonl", "--start-id", 100)
    assert exported(store, tmp)[1] == [100, 101, 102]


def test_ids_from_a_file_for_a_pipe(store, tmp, rng):
    rows = make_rows(rng, 5)
    write_vecs(tmp / "in.fvecs", rows)
    numpy.save(tmp / "ids.npy", numpy.array([9, 8, 7, 6, 5], "<u8"))
    data = (tmp / "in.fvecs").read_bytes()
    words = ("import", store.path, "-", "--format", "fvecs", "--ids", tmp / "ids.npy")
    quiverfs(*words, stdin=data)
    assert exported(store, tmp)[1] == [5, 6, 7, 8, 9]
    refused(*words, stdin=data[:-104], says=["ids.npy", "only 4 rows"])
    refused(*words, stdin=data + data[:104], says=["standard input", "row 5", "IDs ends here"])


@pytest.mark.parametrize("names, ids", [(None, False), (None, True), ("id", True),
                                        ("a", False), ("", True)])
def test_csv_with_and_without_ids_and_names(store, tmp, rng, names, ids):
    rows = make_rows(rng, 10, plain=True)
    if names is not None:  # pandas leaves the name of its index empty
        names = ",".join(([names] if ids else []) + [f"x{i}" for i in range(DIM)])
    write_csv(tmp / "in.csv", rows, ids, names, "\r\n")
    quiverfs("import", store.path, tmp / "in.csv")
    same(exported(store, tmp)[0], rows)


def test_words_are_kept_and_come_back(store, tmp, rng):
    rows = make_rows(rng, 50, plain=True)
    words = [f"w{i}" for i in range(50)]
    words[3], words[4], words[5] = ". . .", "Übung", "7"
    write_glove(tmp / "in.txt", rows, words.__getitem__)
    quiverfs("import", store.path, tmp / "in.txt", "--keys", tmp / "words.txt", "--start-id", 5)
    assert (tmp / "words.txt").read_text().splitlines() == words
    same(exported(store, tmp)[0], rows)
    for suffix in ".txt", ".vec":
        quiverfs("export", store.path, tmp / ("out" + suffix), "--words", tmp / "words.txt",
                 "--start-id", 5)
        quiverfs("import", store.path, tmp / ("out" + suffix), "--words", tmp / ("again" + suffix),
                 "--start-id", 5)
        assert (tmp / ("again" + suffix)).read_text() == (tmp / "words.txt").read_text()
    refused("export", store.path, tmp / "out.txt", "--words", tmp / "words.txt",
            "--start-id", 1000, says=["words.txt", "no key for vector 5"])
    refused("import", store.path, tmp / "all.npy", "--keys", tmp / "x",
            says=["--keys: the format npy has no keys"])
    assert not (tmp / "x").exists()


def test_glove_as_it_is_published(stores, tmp, glove):
    """The same vectors as text and as NumPy array."""
    rows = numpy.load(glove)
    text = glove.parent / "glove-twitter-25d.words.txt"
    if not text.exists():
        pytest.skip(f"{text} is not here")
    words = text.read_text().splitlines()
    store = stores.create()
    with open(tmp / "glove.twitter.27B.25d.txt", "w", encoding="utf-8") as file:
        for word, row in zip(words, rows):
            file.write(word + " " + " ".join(f"{x:.9g}" for x in row) + "\n")
    quiverfs("import", store.path, tmp / "glove.twitter.27B.25d.txt", "--words", tmp / "words")
    same(exported(store, tmp)[0], rows)
    assert (tmp / "words").read_text().splitlines() == words


# ---- conversion -------------------------------------------------------------


@pytest.mark.parametrize("source", ["f2", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_conversion_is_what_numpy_does(stores, tmp, rng, source):
    for to in FLOATS:
        store = stores.create(dtype=to, name=source + to)
        rows = make_rows(rng, 100, source, plain=True)
        numpy.save(tmp / "in.npy", rows)
        if source == to:
            continue
        refused("import", store.path, tmp / "in.npy", says=[f"dtype {source}, but", "--convert"])
        done = quiverfs("import", store.path, tmp / "in.npy", "--convert")
        with numpy.errstate(over="ignore"):
            expected = rows.astype("<" + to)
        same(exported(store, tmp)[0], expected)
        exact = (expected.astype("g") == rows.astype("g")).all()
        assert ("exact" in done.stderr) == exact, done.stderr
        assert ("rounded" in done.stderr) == (not exact)


def test_conversion_to_integers_is_to_the_nearest(stores, tmp):
    store = stores.create(dim=8, dtype="u1")
    numpy.save(tmp / "in.npy", numpy.array([[0, 1, 1.5, 2.5, 255.4, 256, -7, numpy.inf]], "<f4"))
    done = quiverfs("import", store.path, tmp / "in.npy", "--convert")
    assert exported(store, tmp)[0].tolist() == [[0, 1, 2, 2, 255, 255, 0, 255]]
    assert "8 elements, 3 rounded (by 0.5 at most), 3 out of range" in done.stderr
    numpy.save(tmp / "nan.npy", numpy.array([[0] * 8, [0] * 7 + [numpy.nan]], "<f4"))
    refused("import", store.path, tmp / "nan.npy", "--convert",
            says=["nan.npy: row 1 (at byte 160)", "NaN", "first 1 of 2 rows"])


def test_text_becomes_what_the_store_holds(stores, tmp):
    store = stores.create(dim=2, dtype="i1")
    (tmp / "in.csv").write_text("1,-128\n2.0,1e2\n3,128\n")
    refused("import", store.path, tmp / "in.csv", says=["line 3", "128 is not a value of i1", "first 2 rows"])
    done = quiverfs("import", store.path, tmp / "in.csv", "--convert")
    assert exported(store, tmp)[0].tolist() == [[1, -128], [2, 100], [3, 127]]
    assert "1 out of range" in done.stderr
    floats = stores.create(dim=1, name="floats")
    (tmp / "in.csv").write_text("1e39\n")
    refused("import", floats.path, tmp / "in.csv", says=["out of the range of f4"])
    (tmp / "in.csv").write_text("0.1\n1e-60\nnan\n-inf\n")
    quiverfs("import", floats.path, tmp / "in.csv")
    same(exported(floats, tmp)[0], numpy.array([[.1], [0], [numpy.nan], [-numpy.inf]], "<f4"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_fortran_order_and_big_endian(stores, tmp, rng, dtype):
    rows = make_rows(rng, 5000, dtype)
    store = stores.create(dtype=dtype)
    for other in (numpy.asfortranarray(rows), rows.astype(">" + dtype),
                  numpy.asfortranarray(rows.astype(">" + dtype))):
        numpy.save(tmp / "in.npy", other)
        assert "--convert" in refused("import", store.path, tmp / "in.npy", says=["save it with"])
        quiverfs("import", store.path, tmp / "in.npy", "--convert", "--start-id", 9)
        same(exported(store, tmp)[0], rows)
    refused("import", store.path, "-", "--format", "npy", "--convert",
            stdin=(tmp / "in.npy").read_bytes(), says=["standard input", "Fortran", "pipe"])


def test_objects_are_never_loaded(store, tmp):
    numpy.save(tmp / "in.npy", numpy.array([[object()]]), allow_pickle=True)
    refused("import", store.path, tmp / "in.npy", "--convert", says=["Python objects"])


def test_ivecs_and_bfloat16_are_converted(stores, tmp, rng):
    store = stores.create()
    rows = numpy.frombuffer(rng.randbytes(DIM * 40), "<i2").astype("<i4").reshape(-1, DIM)
    write_vecs(tmp / "in.ivecs", rows)
    refused("import", store.path, tmp / "in.ivecs", says=["dtype i4, but"])
    quiverfs("import", store.path, tmp / "in.ivecs", "--convert")
    same(exported(store, tmp)[0], rows.astype("<f4"))
    refused("export", store.path, tmp / "out.ivecs", says=["--convert"])
    quiverfs("export", store.path, tmp / "out.ivecs", "--convert")
    same(read_vecs(tmp / "out.ivecs", "i4"), rows)
    floats = make_rows(rng, 20, plain=True)
    halves = numpy.ascontiguousarray(floats.view("<u2")[:, 1::2])  # the upper half of each
    data = safetensors({"x": halves.view("<f2")}, dtype="BF16")
    (tmp / "in.safetensors").write_bytes(data)
    quiverfs("import", store.path, tmp / "in.safetensors", "--convert")
    same(exported(store, tmp)[0][:20], (halves.astype("<u4") << 16).view("<f4"))


def test_nan_and_infinity_pass_unless_rejected(store, tmp, rng):
    rows = make_rows(rng, 10, plain=True)
    rows[7, 3] = numpy.inf
    write_vecs(tmp / "in.fvecs", rows)
    refused("import", store.path, tmp / "in.fvecs", "--reject-nonfinite",
            says=["in.fvecs: row 7 (at byte 728)", "element 3", "first 7 of 10"])
    assert count(store) == 7
    quiverfs("import", store.path, tmp / "in.fvecs")
    same(exported(store, tmp)[0], rows)
    refused("export", store.path, tmp / "out.jsonl", says=["element 3 of vector 7", "JSON"])
    assert not (tmp / "out.jsonl").exists()


# ---- duplicates -------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_on_duplicate(stores, tmp, rng, live):
    store = stores.create()
    target = stores.mount(store).point if live else store.path
    old, new = make_rows(rng, 3), make_rows(rng, 6)
    write_vecs(tmp / "old.fvecs", old)
    write_vecs(tmp / "new.fvecs", new)
    quiverfs("import", target, tmp / "old.fvecs", "--start-id", 2)
    words = ("import", target, tmp / "new.fvecs", "--on-duplicate")
    refused(*words, "fail", says=["new.fvecs: row 2 (at byte 208)", "vector 2 exists",
                                  "first 2 of 6 rows"])
    same(exported(store, tmp)[0], numpy.vstack([new[:2], old]))
    assert "5 rows skipped" in quiverfs(*words, "skip").stderr
    same(exported(store, tmp)[0], numpy.vstack([new[:2], old, new[5:]]))
    quiverfs(*words, "replace")
    same(exported(store, tmp)[0], new)


def test_duplicates_within_a_file(stores, tmp, rng):
    rows = make_rows(rng, 4)
    numpy.save(tmp / "in.npy", rows)
    numpy.save(tmp / "ids.npy", numpy.array([5, 3, 5, 3], "<i8"))
    words = ["import", "STORE", tmp / "in.npy", "--ids", tmp / "ids.npy", "--on-duplicate"]
    for mode, expected in ("replace", rows[[3, 2]]), ("skip", rows[[1, 0]]):
        words[1] = stores.create(name=mode).path
        quiverfs(*words, mode)
        quiverfs("export", words[1], tmp / "out.npy")
        same(numpy.load(tmp / "out.npy"), expected)
    words[1] = stores.create(name="fail").path
    refused(*words, "fail", says=["row 2", "vector 5 exists", "first 2 of 4"])


# ---- long input -------------------------------------------------------------


def rss_kib(child):
    text = open(f"/proc/{child.pid}/status", encoding="ascii").read()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1])  # without the map of the store


def test_an_endless_pipe_takes_no_memory_and_ends_at_a_signal(store):
    """What was acknowledged is in."""
    # freed memory that a sanitizer holds back is none of ours
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
    child = subprocess.Popen([QUIVERFS, "import", store.path, "-", "--format", "glove"],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, "ASAN_OPTIONS": sanitizer})
    lines = (" ".join(["word"] + ["1"] * DIM) + "\n").encode() * 20000
    os.set_blocking(child.stdin.fileno(), True)
    peaks = []
    for _ in range(12):
        child.stdin.write(lines)
        peaks.append(rss_kib(child))
    if b"__tsan_init" not in Path(QUIVERFS).read_bytes():
        assert peaks[-1] - peaks[3] < 32 << 10, peaks
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    wait_for(child, 60)  # while the pipe is open
    _, errors = child.communicate()
    assert child.returncode == 1
    rows = int(re.search(r"stopped: the first (\d+) rows are imported", errors.decode())[1])
    assert 0 < rows <= 240000
    assert count(store) == rows
    store.check()


def test_progress_of_text_has_a_time_left_and_of_a_pipe_a_rate(stores, tmp):
    store = stores.create()
    (tmp / "in.txt").write_text((" ".join(["w"] + ["1"] * DIM) + "\n") * 120000)
    for words, part in ((["import", store.path, tmp / "in.txt"], "% "),
                        (["import", store.path, "-", "--format", "glove"], "vectors/s")):
        ours, theirs = pty.openpty()
        with open(tmp / "in.txt", "rb") as source:
            cat = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
            child = subprocess.Popen([QUIVERFS, *map(str, words)], stdin=cat.stdout, stderr=theirs,
                                     stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
            cat.stdout.close()
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass
        os.close(ours)
        assert wait_for(child, 60) == 0
        cat.kill()
        cat.wait()
        assert part in shown.decode(), shown
        assert shown.endswith(b"\r\x1b[K")


def test_usage(store, tmp):
    for words in (["import", store.path, tmp / "x", "--format", "xls"],
                  ["import", store.path, tmp / "x", "--on-duplicate", "maybe"],
                  ["export", store.path, tmp / "x"], ["export", store.path, "-"],
                  ["export", store.path, tmp / "x.npy", "--words", "y"],
                  ["export", store.path, tmp / "x.txt", "--start-id", "3"]):
        quiverfs(*words, status=2)
    refused("import", store.path, "-", "-", "--format", "npy", says=["once"])
