"""Which IDs rows get on import, where they come from, and what is said of it."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import numpy
import pytest

from disks import Shim, need_shim
from format_files import exported, make_rows, refused, same
from harness import QUIVERFS, quiverfs, until
from patience import HANG_SECONDS

DIM = 4


@pytest.fixture
def store(stores):
    return stores.create(dim=DIM)


def save(path, *rows):
    numpy.save(path, numpy.array(rows, "<f4").reshape(-1, DIM))
    return path


def numbered(count):
    return [[i, i, i, i] for i in range(count)]


def told(*words, **options):
    """The lines of standard output."""
    return quiverfs("import", *words, **options).stdout.splitlines()


# ---- what is said of them -------------------------------------------------------


def test_where_the_ids_came_from_is_always_told(store, tmp):
    save(tmp / "v.npy", *numbered(3))
    assert told(store.path, tmp / "v.npy") == [
        f"3 vectors imported into {store.path}", "IDs: 0 to 2, counted from 0; 3 distinct"]
    assert told(store.path, tmp / "v.npy", tmp / "v.npy", "--start-id", 10)[1:] == [
        "IDs: 10 to 15, counted from 10; 6 distinct"]
    numpy.save(tmp / "ids.npy", numpy.array([7, 2**40, 9], "<i8"))
    assert told(store.path, tmp / "v.npy", "--ids", "ids.npy", cwd=tmp)[1:] == [
        f"IDs: 7 to {2**40}, taken from ids.npy; 3 distinct"]


@pytest.mark.parametrize("name, text, words, taken", [
    ("x.csv", "7,1,2,3,4\n9,1,2,3,4\n", [], "the first of 5 columns"),
    ("x.csv", "a,b,id,c,d\n1,2,7,3,4\n1,2,9,3,4\n", [], "the column \"id\""),
    ("x.jsonl", '{"id": 7, "vector": [1, 2, 3, 4]}\n{"id": "9", "vector": [1, 2, 3, 4]}\n', [],
     '"id"'),
    ("x.json", '[{"at": {"no": 7}, "vector": [1, 2, 3, 4]}, {"at": {"no": 9}, '
               '"vector": [1, 2, 3, 4]}]', ["--id-column", "at.no"], '"at.no"')])
def test_which_of_the_columns_the_ids_are(store, tmp, name, text, words, taken):
    (tmp / name).write_text(text)
    assert told(store.path, tmp / name, *words)[1:] == [
        f"IDs: 7 to 9, taken from {taken}; 2 distinct"]
    assert told(store.path, tmp / name, *words, "--start-id", 3)[1:] == [
        "IDs: 3 to 4, counted from 3; 2 distinct"]


def test_null_is_no_id(store, tmp):
    """A database writes it where a row has no ID."""
    path = tmp / "x.jsonl"
    path.write_text('{"id": null, "_id": 7, "vector": [1, 2, 3, 4]}\n'
                    '{"id": null, "_id": 9, "vector": [1, 2, 3, 4]}\n')
    assert told(store.path, path)[1:] == ['IDs: 7 to 9, taken from "_id"; 2 distinct']
    path.write_text('{"id": null, "vector": [1, 2, 3, 4]}\n{"id": null, "vector": [1, 2, 3, 4]}\n')
    assert told(store.path, path)[1:] == ["IDs: 0 to 1, counted from 0; 2 distinct"]
    refused("import", store.path, path, "--id-column", "id",
            says=['row 0 (line 1, at byte 0): its "id" is null'])
    path.write_text('{"id": null, "vector": [1, 2, 3, 4]}\n{"id": 7, "vector": [1, 2, 3, 4]}\n')
    refused("import", store.path, path, says=['line 2: it has an "id", 7, but the rows before it have none'])


def test_rows_are_not_taken_for_vectors_where_ids_come_twice(stores, tmp):
    """Bytes of dim + 1 columns: the first is taken for the ID, and that shows."""
    store = stores.create(dim=DIM, dtype="u1")
    (tmp / "five.csv").write_text("200,1,2,3,4\n200,5,6,7,8\n3,1,1,1,1\n")
    said = told(store.path, tmp / "five.csv")
    assert said[0].startswith(f"2 vectors imported into {store.path}, from 3 rows")
    assert said[1:] == ["IDs: 3 to 200, taken from the first of 5 columns; 2 distinct"]
    rows, ids = exported(store, tmp)
    assert ids == [3, 200] and rows.tolist() == [[1, 1, 1, 1], [5, 6, 7, 8]]


def test_distinct_ones_are_counted_however_they_come(store, tmp, rng):
    ids = [rng.choice([rng.randrange(5000), rng.randrange(2**63), 64 * rng.randrange(90)])
           for _ in range(20000)]
    numpy.save(tmp / "v.npy", numpy.zeros((len(ids), DIM), "<f4"))
    numpy.save(tmp / "ids.npy", numpy.array(ids, "<u8"))
    said = told(store.path, tmp / "v.npy", "--ids", tmp / "ids.npy")
    assert said[0].startswith(f"{len(set(ids))} vectors imported")
    assert said[1].startswith(f"IDs: {min(ids)} to {max(ids)}, ")
    assert said[1].endswith(f"; {len(set(ids))} distinct")
    assert exported(store, tmp)[1] == sorted(set(ids))
    done = quiverfs("import", store.path, tmp / "v.npy", "--ids", tmp / "ids.npy",
                    "--on-duplicate", "skip")
    assert done.stdout.startswith(f"0 vectors imported into {store.path}\n")


def test_what_others_write_meanwhile_does_not_count(mnt, tmp):
    size, stop = mnt.store.size, threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            (mnt.vectors / str(10**6 + number % 50)).write_bytes(bytes(size))
            number += 1

    rows = numpy.zeros((20000, mnt.store.dim), "<f4")
    numpy.save(tmp / "v.npy", rows)
    numpy.save(tmp / "ids.npy", numpy.arange(len(rows), dtype="<u8") // 2)
    other = threading.Thread(target=write)
    other.start()
    try:
        said = told(mnt.point, tmp / "v.npy", "--ids", tmp / "ids.npy")
    finally:
        stop.set()
        other.join()
    assert said[0].startswith("10000 vectors imported") and "from 20000 rows" in said[0]
    assert "IDs: 0 to 9999, taken from" in said[1] and said[1].endswith("; 10000 distinct")


# ---- --ids -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["5\n7\n18446744069414584319\n", "\ufeff5\r\n7\r\n 9 \r\n", "5\n7\n9"])
def test_ids_may_be_lines_of_text(store, tmp, text):
    save(tmp / "v.npy", *numbered(3))
    (tmp / "ids.txt").write_text(text, newline="")
    quiverfs("import", store.path, tmp / "v.npy", "--ids", tmp / "ids.txt")
    rows, ids = exported(store, tmp)
    assert ids == [int(line) for line in text.lstrip("\ufeff").split()]
    assert rows[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("text, says", [
    ("1\n2\nx\n", "line 3 is 'x'"), ("1\n-2\n3\n", "line 2 is '-2'"), ("1\n\n3\n", "line 2 is ''"),
    ("1\n2\n3.0\n", "fmt='%d'"), ("1\n2\n18446744069414584320\n", "line 3"), ("1 2 3\n", "line 1"),
    ("1\n2\n", "2 IDs for 3 rows"), ("1\n2\n3\n4\n", "4 IDs for 3 rows"), ("007\n1\n2\n", "'007'"),
    ("1\n2\n\x1b[31m\n", "line 3 is '?[31m'")])
def test_a_text_of_ids_that_is_wrong_is_refused_before_anything(store, tmp, text, says):
    save(tmp / "v.npy", *numbered(3))
    (tmp / "ids.txt").write_text(text)
    said = refused("import", store.path, tmp / "v.npy", "--ids", tmp / "ids.txt", says=[says])
    assert len(said.splitlines()) == 1 and "\x1b" not in said
    assert exported(store, tmp)[1] == []


def test_ids_through_a_pipe(store, tmp):
    save(tmp / "v.npy", *numbered(300))
    os.symlink("/dev/stdin", tmp / "ids.txt")
    words = [store.path, tmp / "v.npy", "--ids", tmp / "ids.txt"]
    lines = "".join(f"{i * 3}\n" for i in range(300))
    assert told(*words, stdin=lines.encode())[1].endswith("300 distinct")
    assert exported(store, tmp)[1] == [i * 3 for i in range(300)]
    refused("import", *words, stdin=(lines + "1\n").encode(), says=["has more bytes", "300 rows"])
    refused("import", *words, stdin=lines[:4].encode(), says=["row 2", "the file of IDs ends here"])


@pytest.mark.parametrize("name", ["ids", "ids.csv", "ids.npz", "txt", "ids.txt.gz"])
def test_the_name_tells_what_a_file_of_ids_is(store, tmp, name):
    save(tmp / "v.npy", [1, 2, 3, 4])
    (tmp / name).write_text("1\n")
    refused("import", store.path, tmp / "v.npy", "--ids", tmp / name, says=[".npy", ".txt"])


# ---- the columns of a store ------------------------------------------------------


def test_a_store_s_own_columns_are_read(stores, tmp, rng):
    """Free rows are passed over, wherever they are."""
    old, new = stores.create(name="old"), stores.create(name="new")
    rows = make_rows(rng, 400, plain=True)
    numpy.save(tmp / "v.npy", rows)
    quiverfs("import", old.path, tmp / "v.npy")
    gone = [i for i in range(400) if i % 3 == 0 or 100 <= i < 250] + [399]
    mnt = stores.mount(old)
    for i in set(gone):
        mnt.path(i).unlink()
    mnt.put(7, rows[8].tobytes())
    mnt.control("checkpoint", "1")
    live = stores.create(name="live")
    quiverfs("import", live.path, mnt.point / "matrix.npy", "--ids", mnt.point / "ids.npy")
    mnt.unmount()
    kept = [i for i in range(400) if i not in set(gone)]
    wanted = rows[kept]
    wanted[kept.index(7)] = rows[8]
    said = told(new.path, old.path / "vectors.npy", "--ids", old.path / "ids.npy")
    assert said[0] == f"{len(kept)} vectors imported into {new.path}"
    for store in new, live:
        found, ids = exported(store, tmp)
        assert ids == kept
        same(found, wanted)
    said = told(new.path, old.path / "vectors.npy", "--ids", old.path / "ids.npy", "--limit", 5)
    assert said[0].startswith("5 vectors")
    # not beside other rows, nor for any number that happens to be the same
    every = numpy.load(old.path / "ids.npy")
    numpy.save(tmp / "w.npy", numpy.zeros((len(every), old.dim), "<f4"))
    refused("import", new.path, tmp / "w.npy", "--ids", old.path / "ids.npy", says=["are free"])
    numpy.save(tmp / "every.npy", every)
    refused("import", new.path, old.path / "vectors.npy", "--ids", tmp / "every.npy",
            says=["too large"])
    another = stores.create(name="another")
    # without its IDs free rows would be vectors, too, and removed ones come back
    for more in ([], [tmp / "w.npy"]):
        refused("import", another.path, *more, old.path / "vectors.npy",
                says=["--ids gives its ids.npy"])
    assert exported(another, tmp)[1] == []
    quiverfs("import", another.path, old.path / "vectors.npy", "--start-id", 10**6)
    assert exported(another, tmp)[1][0] == 10**6


def test_an_older_row_of_a_vector_is_not_taken_for_it(stores, mnt, tmp):
    new = stores.create(name="new")
    for content in range(3):
        mnt.put(5, bytes([content] * mnt.store.size))
    words = ["import", new.path, mnt.point / "matrix.npy", "--ids", mnt.point / "ids.npy"]
    refused(*words, says=["vector 5 has two rows", "control/checkpoint"])
    mnt.control("checkpoint", "1")
    quiverfs(*words)
    rows, ids = exported(new, tmp)
    assert ids == [5] and rows.tobytes() == bytes([2] * mnt.store.size)


# ---- files -----------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "a,b,c,d\n", '"1;2;3;4"\n', "\n\n \n", "id,a,b,c,d\r\n\r\n", "x", "# 1,2,3,4\n", "\ufeff"])
def test_a_file_that_holds_something_is_not_nothing(store, tmp, text):
    """Names, or what was taken for them, and no row."""
    (tmp / "x.csv").write_text(text)
    refused("import", store.path, tmp / "x.csv", says=["x.csv: "])
    refused("import", store.path, "-", "--format", "csv", stdin=text.encode(), says=["input: "])
    (tmp / "good.csv").write_text("1,2,3,4\n")
    refused("import", store.path, tmp / "good.csv", tmp / "x.csv", says=["x.csv: "])
    assert exported(store, tmp)[1] == []


def test_a_file_of_no_rows_is_told(store, tmp):
    save(tmp / "none.npy")
    (tmp / "none.csv").write_text("")
    (tmp / "none.vec").write_text(f"0 {DIM}\n")
    save(tmp / "one.npy", [1, 2, 3, 4])
    for name in "none.npy", "none.csv", "none.vec":
        done = quiverfs("import", store.path, tmp / "one.npy", tmp / name)
        assert done.stderr == f"quiverfs: {tmp / name}: note: it holds no rows\n"
        assert done.stdout.startswith("1 vectors imported")
        done = quiverfs("import", store.path, tmp / name)
        assert done.stdout == f"0 vectors imported into {store.path}\n" and done.stderr
    (tmp / "none.json").write_text("[]\n")
    assert "holds no rows" in quiverfs("import", store.path, tmp / "none.json").stderr


def test_the_order_of_files_is_told_where_their_numbers_tell_another(store, tmp):
    for number in 1, 2, 10, 11:
        save(tmp / f"sh_{number}.npy", [number] * 4)
        (tmp / f"sh_{number}.csv").write_text(f"{number},1,2,3,4\n")

    def notes(*names, **options):
        return quiverfs("import", store.path, *names, cwd=tmp, **options).stderr

    shell = sorted(path.name for path in tmp.glob("sh_*.npy"))
    assert shell[:2] == ["sh_1.npy", "sh_10.npy"]
    said = notes(*shell)
    assert "note: the files are read in the order given, sh_11.npy before sh_2.npy" in said
    assert exported(store, tmp)[0][:, 0].tolist() == [1, 10, 11, 2]
    assert "order given" in notes(*shell, "--start-id", 5)
    # their own order, one of numbers, names of one length, files with IDs
    assert notes("sh_10.npy", "sh_2.npy", "sh_1.npy") == ""
    assert notes("sh_1.npy", "sh_2.npy", "sh_10.npy") == "" and notes("sh_2.npy") == ""
    assert exported(store, tmp)[0][:3, 0].tolist() == [2, 2, 10]
    assert notes("sh_10.npy", "sh_11.npy") == ""
    assert notes(*sorted(path.name for path in tmp.glob("sh_*.csv"))) == ""


# ---- --limit ---------------------------------------------------------------------


def test_a_limit_counts_the_rows_of_all_files(store, tmp):
    save(tmp / "a.npy", *numbered(3))
    (tmp / "b.csv").write_text("7,7,7,7\n8,8,8,8\nx,y,z,w\n")
    for limit, first in ((1, 0), (3, 0), (4, 7), (5, 8)):
        said = told(store.path, tmp / "a.npy", tmp / "b.csv", "--limit", limit)
        assert said[0].startswith(f"{limit} vectors imported") and said[1].startswith("IDs: 0 to")
        assert exported(store, tmp)[1] == list(range(limit))
    refused("import", store.path, tmp / "a.npy", tmp / "b.csv", "--limit", 6, says=["b.csv", "row 2"])
    (tmp / "ids.txt").write_text("".join(f"{i}\n" for i in range(50, 60)))
    refused("import", store.path, tmp / "a.npy", "--ids", tmp / "ids.txt", says=["10 IDs for 3 rows"])
    for wrong in "0", "-1", "x", "1e3":
        quiverfs("import", store.path, tmp / "a.npy", "--limit", wrong, status=2)


@pytest.mark.parametrize("piped", [False, True])
def test_the_ids_of_rows_that_are_cut_off_may_go_on(store, tmp, piped):
    save(tmp / "v.npy", *numbered(9))
    (tmp / "cut.npy").write_bytes((tmp / "v.npy").read_bytes()[:-20])
    (tmp / "ids.txt").write_text("".join(f"{i}\n" for i in range(50, 59)))
    words = ["-" if piped else tmp / "cut.npy", "--format", "npy", "--ids", tmp / "ids.txt"]
    stdin = (tmp / "cut.npy").read_bytes() if piped else None
    refused("import", store.path, *words, says=["cut off" if not piped else "the data ends"],
            stdin=stdin)
    told(store.path, *words, "--partial", stdin=stdin)
    assert exported(store, tmp)[1] == list(range(50, 57))
    (tmp / "ids.txt").write_text("50\n51\n")
    refused("import", store.path, *words, "--partial", stdin=stdin, says=["IDs"])


# ---- --keys ----------------------------------------------------------------------


def write_words(path, **rows):
    path.write_text("".join(f"{word} {' '.join([str(number)] * DIM)}\n"
                            for word, number in rows.items()))
    return path


def first_elements(store, tmp):
    rows, ids = exported(store, tmp)
    return {number: int(row[0]) for number, row in zip(ids, rows)}


def test_known_keys_keep_their_numbers(store, tmp):
    keys = tmp / "keys.txt"
    words = ["--keys", keys, "--start-id", 100]
    assert told(store.path, write_words(tmp / "a.txt", a=1, b=2), *words)[2] == \
        f"keys: 2 in {keys}, 2 of them new"
    keys.write_text("a\nb")  # as an editor leaves it
    write_words(tmp / "b.txt", c=3, b=4, d=5)
    refused("import", store.path, tmp / "b.txt", *words, says=["exists already", "--add-keys"])
    said = told(store.path, tmp / "b.txt", *words, "--add-keys")
    assert said[1:] == ["IDs: 101 to 103, numbered by their keys from 100; 3 distinct",
                        f"keys: 4 in {keys}, 2 of them new"]
    assert keys.read_text() == "a\nb\nc\nd\n"
    wanted = {100: 1, 101: 4, 102: 3, 103: 5}
    assert first_elements(store, tmp) == wanted
    # again it is the same, in whatever order
    write_words(tmp / "c.txt", d=5, c=3, b=4, a=1)
    told(store.path, tmp / "c.txt", *words, "--add-keys")
    assert keys.read_text() == "a\nb\nc\nd\n" and first_elements(store, tmp) == wanted
    quiverfs("export", store.path, tmp / "out.vec", "--keys", keys, "--start-id", 100)
    assert [line.split()[0] for line in (tmp / "out.vec").read_text().splitlines()] == \
        ["4", "a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_ids_that_are_no_numbers_are_numbered(store, tmp, name):
    """UUIDs, URLs and whatever else; one that comes again is the same vector."""
    keys = ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "https://a.example/?q=1,2", "77", "é \" '",
            "https://a.example/?q=1,2"]
    with open(tmp / name, "w") as file:
        for number, key in enumerate(keys):
            vector = [number] * DIM
            if name == "x.csv":
                text = '"' + key.replace('"', '""') + '"'
                print(text, *vector, sep=",", file=file)
            else:
                print(json.dumps({"id": key, "vector": vector}), file=file)
    for words in ([], ["--on-duplicate", "skip"]):
        refused("import", store.path, tmp / name, *words, says=["row 0", "--keys FILE", keys[0]])
    said = told(store.path, tmp / name, "--keys", "k", "--start-id", 10, cwd=tmp)
    assert said == [
        f"4 vectors imported into {store.path}, from 5 rows: if rows have the same ID, the last one counts",
        "IDs: 10 to 13, numbered by their keys from 10; 4 distinct", "keys: 4 in k, 4 of them new"]
    assert (tmp / "k").read_text().splitlines() == keys[:4]
    assert first_elements(store, tmp) == {10: 0, 11: 4, 12: 2, 13: 3}
    # the way back
    for out in "y.csv", "y.jsonl":
        quiverfs("export", store.path, tmp / out, "--keys", tmp / "k", "--start-id", 10)
        told(store.path, tmp / out, "--keys", tmp / "k", "--add-keys", "--start-id", 10)
        assert (tmp / "k").read_text().splitlines() == keys[:4]
        assert first_elements(store, tmp) == {10: 0, 11: 4, 12: 2, 13: 3}
    # without keys
    quiverfs("import", store.path, tmp / name, "--start-id", 100)
    assert exported(store, tmp)[1] == [*range(10, 14), *range(100, 105)]


def test_an_import_that_fails_leaves_the_keys_as_they_were(store, tmp):
    keys = tmp / "keys.txt"
    told(store.path, write_words(tmp / "a.txt", a=1, b=2), "--keys", keys)
    write_words(tmp / "b.txt", c=3)
    with open(tmp / "b.txt", "a") as file:
        file.write("d 1 2 3 no\n")
    refused("import", store.path, tmp / "b.txt", "--keys", keys, "--add-keys", says=["row 1"])
    assert keys.read_text() == "a\nb\n"
    write_words(tmp / "b.txt", c=3, d=4)
    told(store.path, tmp / "b.txt", "--keys", keys, "--add-keys")
    assert keys.read_text() == "a\nb\nc\nd\n"
    assert first_elements(store, tmp) == {0: 1, 1: 2, 2: 3, 3: 4}


def test_two_imports_do_not_add_to_one_file(mnt, tmp):
    """Both would give the next number away."""
    keys = tmp / "keys.txt"
    keys.write_text("a\n")
    (tmp / "rows.txt").write_text("b " + " ".join(["1"] * mnt.store.dim) + "\n")
    words = ["import", mnt.point, "--keys", keys, "--add-keys", "--format", "glove"]
    with subprocess.Popen([QUIVERFS, *words, "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as first:
        first.stdin.write((tmp / "rows.txt").read_bytes())
        first.stdin.flush()
        for _ in range(600):
            if any(tmp.glob(".keys.txt.*")):
                break
            threading.Event().wait(0.1)
        refused(*words, tmp / "rows.txt", says=["keys.txt: --keys: another import"])
        first.stdin.close()
        assert first.wait() == 0
    assert keys.read_text() == "a\nb\n"
    quiverfs(*words, tmp / "rows.txt")
    assert keys.read_text() == "a\nb\n"


def test_keys_that_cannot_be_kept_are_told_once(store, tmp):
    write_words(tmp / "a.txt", **{f"w{i}": 1 for i in range(300000)})
    said = refused("import", store.path, tmp / "a.txt", "--keys", "/dev/full", says=["/dev/full: "])
    assert said.count("No space left") == 1 and "row " not in said.split("\n")[0]
    assert [line.split(": ")[1] for line in said.splitlines()] == ["/dev/full", str(store.path)]


def test_a_mount_that_is_read_only_says_so(stores, tmp):
    mnt = stores.again(stores.mount(), options=["ro"])
    numpy.save(tmp / "v.npy", numpy.zeros((3, mnt.store.dim), "<f4"))
    refused("import", mnt.point, tmp / "v.npy", says=["it is mounted read-only"])


def test_a_line_that_is_too_long_is_told_as_that(store, tmp):
    write_words(tmp / "a.txt", a=1)
    (tmp / "long.txt").write_text("x" * (5 << 20))
    (tmp / "keys.txt").write_text("a\n" + "x" * (5 << 20))
    save(tmp / "v.npy", *numbered(1))
    refused("import", store.path, tmp / "v.npy", "--ids", tmp / "long.txt",
            says=["long.txt: line 1: the line is longer than 4 MiB"])
    refused("import", store.path, tmp / "a.txt", "--keys", tmp / "keys.txt", "--add-keys",
            says=["keys.txt: line 2: the line is longer than 4 MiB"])
    quiverfs("import", store.path, tmp / "a.txt")
    refused("export", store.path, tmp / "out.vec", "--keys", tmp / "long.txt",
            says=["long.txt: the line is longer than 4 MiB"])


def test_a_file_of_keys_that_is_not_there_is_told(store, tmp):
    """Its name may be mistyped: every key would get a number that another one has."""
    write_words(tmp / "a.txt", a=1)
    words = ["import", store.path, tmp / "a.txt", "--keys", tmp / "keys.txt", "--add-keys"]
    assert "keys.txt: note: this file is new" in quiverfs(*words).stderr
    assert quiverfs(*words).stderr == ""


def test_an_import_that_is_stopped_before_its_first_row_says_so(store):
    child = subprocess.Popen([QUIVERFS, "import", store.path, "-", "--format", "npy"],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def waits():
        status = Path(f"/proc/{child.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return caught & 1 << (signal.SIGINT - 1) and "State:\tS" in status

    until(waits, "it does not read")
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=HANG_SECONDS)
    assert child.returncode == 1 and b"stopped; nothing was imported" in said


def test_a_byte_order_mark_is_no_part_of_a_key(stores, tmp):
    """Editors put one before a file of keys; and a first key may begin with one."""
    store = stores.create(dim=1, name="a")
    said = tmp / "in.jsonl"
    said.write_text('{"id": "a", "vector": [1]}\n{"id": "b", "vector": [2]}\n')
    (tmp / "keys").write_text("\ufeffa\r\nb\r\n", encoding="utf-8")
    quiverfs("import", store.path, said, "--keys", tmp / "keys", "--add-keys")
    assert exported(store, tmp)[1] == [0, 1]
    (tmp / "marked").write_text("\ufeffa\nb\n", encoding="utf-8")
    quiverfs("export", store.path, tmp / "out.csv", "--keys", tmp / "marked")
    assert (tmp / "out.csv").read_text() == "a,1\nb,2\n"
    said.write_text('{"id": "\ufeffa", "vector": [1]}\n', encoding="utf-8")
    again = stores.create(dim=1, name="b")
    quiverfs("import", again.path, said, "--keys", tmp / "own")
    quiverfs("export", again.path, tmp / "out.jsonl", "--keys", tmp / "own")
    assert json.loads((tmp / "out.jsonl").read_text(encoding="utf-8"))["id"] == "\ufeffa"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_row_that_is_skipped_leaves_its_key_to_no_other_vector(store, tmp, name):
    """Line r of the file of keys is of vector r, whoever wrote that: export gave it the word."""
    (tmp / "there.csv").write_text("2,7,7,7,7\n")
    told(store.path, tmp / "there.csv")
    rows = dict(a=1, b=2, c=3, d=4)
    if name == "a.txt":
        write_words(tmp / name, **rows)
    else:
        (tmp / name).write_text("".join(f'{{"id": "{key}", "vector": {[number] * DIM}}}\n'
                                        for key, number in rows.items()))
    words = [store.path, tmp / name, "--keys", tmp / "k"]
    skip = ["--on-duplicate", "skip"]
    says = ["vector {0} exists already", "would get its key", "--start-id N", "row {0} "]
    for number, more in (2, []), (0, ["--add-keys"]):
        refused("import", *words, *skip, *more, says=[part.format(number) for part in says])
        assert not (tmp / "k").exists()
    assert first_elements(store, tmp) == {0: 1, 1: 2, 2: 7}
    # what was proposed
    told(*words, *skip, "--start-id", 10)
    (tmp / "k").unlink()
    told(*words, "--on-duplicate", "replace")
    assert first_elements(store, tmp) == {0: 1, 1: 2, 2: 3, 3: 4, 10: 1, 11: 2, 12: 3, 13: 4}
    # a key that has its number already keeps its vector, however often it comes
    (tmp / "b.jsonl").write_text("".join(f'{{"id": "{key}", "vector": [9, 9, 9, {number}]}}\n'
                                         for number, key in enumerate("cecdae")))
    said = told(store.path, tmp / "b.jsonl", "--keys", tmp / "k", *skip, "--add-keys")
    assert said[0].startswith("1 vectors imported")
    assert (tmp / "k").read_text().split() == ["a", "b", "c", "d", "e"]
    assert first_elements(store, tmp) == {0: 1, 1: 2, 2: 3, 3: 4, 4: 9,
                                          10: 1, 11: 2, 12: 3, 13: 4}
    (tmp / "there.csv").write_text("5,7,7,7,7\n")
    told(store.path, tmp / "there.csv")
    (tmp / "b.jsonl").write_text('{"id": "f", "vector": [8, 8, 8, 8]}\n')
    refused("import", store.path, tmp / "b.jsonl", "--keys", tmp / "k", *skip, "--add-keys",
            says=["row 0 ", "vector 5 exists already"])
    assert (tmp / "k").read_text().split() == ["a", "b", "c", "d", "e"]


def test_what_does_not_go_with_keys(store, tmp):
    write_words(tmp / "a.txt", a=1)
    (tmp / "ids.txt").write_text("1\n")
    quiverfs("import", store.path, tmp / "a.txt", "--add-keys", status=2)
    # export takes line r for vector r, and would give it the word of another
    for more in ([], ["--add-keys"]):
        quiverfs("import", store.path, tmp / "a.txt", "--keys", tmp / "k", "--ids",
                 tmp / "ids.txt", *more, status=2)
    assert not (tmp / "k").exists()
    os.mkfifo(tmp / "fifo")
    refused("import", store.path, tmp / "a.txt", "--keys", tmp / "fifo", "--add-keys",
            says=["not a regular file"])


# ---- a disk that fails meanwhile ---------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_a_disk_that_fails_is_told_once(stores, tmp, live):
    """The same note came again and again, and 'the vectors are written' after 'writing failed'."""
    need_shim()
    shim, store = Shim(tmp), stores.create(dim=256)
    numpy.save(tmp / "v.npy", numpy.ones((60000, store.dim), "<f4"))
    mnt = stores.mount(store, before=shim.words) if live else None
    target = mnt.point if live else store.path
    before = [] if live else shim.words
    with subprocess.Popen([*before, QUIVERFS, "import", target, "-", "--format", "npy"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as child:
        rows = (tmp / "v.npy").read_bytes()
        child.stdin.write(rows[:20 << 20])
        child.stdin.flush()
        shim.fail(sync=errno.EIO, write=errno.EIO, allocate=errno.EIO)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(rows[20 << 20:])
            child.stdin.close()
        said = child.stderr.read().decode()
    shim.fail()
    if live:
        mnt.kill()
    assert child.returncode == 1
    lines = [re.sub(r"note: \S+Z ", "", line) for line in said.splitlines()]
    assert len(lines) == len(set(lines)), said
    assert "the vectors are written" not in said
    assert re.search(r"the first [1-9]\d* of 60000 rows are imported, though a power cut may "
                     "lose some", lines[-1]), said
