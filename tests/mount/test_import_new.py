"""An import into a store that does not exist: it is made as the file needs it, or not at all."""

import base64
import json
import os
import re
import signal
import subprocess

import numpy as np
import pytest

from harness import QUIVERFS, quiverfs, run, shell, until
from patience import HANG_SECONDS

DIM = 8
ROWS = np.arange(5 * DIM, dtype="f4").reshape(5, DIM) / 4 + np.float32(0.25)


@pytest.fixture
def work(tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    return tmp


def makes(*words, dim=DIM, dtype="f4", rows=5, name="new", **options):
    """It makes this store, and says so in its first line."""
    done = quiverfs("import", name, *words, **options)
    first = done.stdout.splitlines()[0]
    assert re.match(rf"made {os.path.realpath(name)}: {dim} elements of {dtype}, \d+ bytes a "
                    "vector, metric l2", first)
    assert f"{rows} vectors imported" in done.stdout
    quiverfs("check", name)
    quiverfs("export", name, "out.npy")
    assert np.load("out.npy").shape[0] == rows
    return done


def refuses(*words, says, name="new", **options):
    """It makes nothing, and says why."""
    there = os.path.lexists(name)
    done = quiverfs("import", name, *words, status=1, **options)
    assert all(line.startswith("quiverfs: ") for line in done.stderr.splitlines())
    assert re.search(says, done.stderr), done.stderr
    assert os.path.lexists(name) == there
    return done


def lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(row + "\n" for row in rows)
    return path


def csv(path="rows.csv", first=lambda i: [], names=None):
    rows = [",".join([*first(i), *map(str, row)]) for i, row in enumerate(ROWS)]
    return lines(path, ([names] if names else []) + rows)


# ---- dim and dtype --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
def test_an_array_tells_both(work, dtype):
    np.save("rows.npy", ROWS.astype(dtype))
    done = makes("rows.npy", dtype=dtype)
    assert "f4 since" not in done.stdout
    assert (np.load("out.npy") == ROWS.astype(dtype)).all()


def test_bools_are_bits(work):
    np.save("bools.npy", ROWS > 3)
    makes("bools.npy", dtype="b1")


def test_packed_bits_are_bytes_unless_they_are_said_to_be_bits(work):
    np.save("packed.npy", np.packbits(ROWS > 3, axis=1))
    makes("packed.npy", dim=1, dtype="u1")
    makes("packed.npy", "--dtype", "b1", dtype="b1", name="bits")


def test_a_type_that_no_store_has_is_told(work):
    np.save("rows.npy", ROWS.astype("i4"))
    refuses("rows.npy", says="its elements are i4, but no store has this type; --convert makes them f4")
    assert "(f4, because no type is given" in makes("rows.npy", "--convert").stdout
    makes("rows.npy", "--convert", "--dtype", "i1", dtype="i1", name="small")


def test_another_type_than_the_files_is_a_conversion(work):
    np.save("rows.npy", ROWS)
    refuses("rows.npy", "--dtype", "f2", says="dtype f4, but new has .* f2; --convert")
    makes("rows.npy", "--dtype", "f2", "--convert", dtype="f2")


TEXTS = {
    "csv": lambda: csv(),
    "names": lambda: csv(names=",".join(f"e{i}" for i in range(DIM))),
    "counted names": lambda: csv(names=",".join(map(str, range(DIM)))),
    "index of pandas": lambda: csv(first=lambda i: [str(i)],
                                   names="," + ",".join(map(str, range(DIM)))),
    "id and others": lambda: csv(first=lambda i: [str(i), f"word{i}"],
                                 names="id,word," + ",".join(f"e{i}" for i in range(DIM))),
    "whole numbers first": lambda: csv(first=lambda i: [str(i)]),
    "lists": lambda: lines("rows.csv", ["id,vector"] + [
        f'{i},"{row.tolist()}"' for i, row in enumerate(ROWS)]),
    "jsonl": lambda: lines("rows.jsonl", [
        json.dumps({"id": i, "embedding": row.tolist()}) for i, row in enumerate(ROWS)]),
    "json": lambda: lines("rows.json", [json.dumps(ROWS.tolist())]),
    "base64": lambda: lines("rows.jsonl", [
        json.dumps({"embedding": base64.b64encode(row.tobytes()).decode()}) for row in ROWS]),
    "tsv": lambda: lines("rows.tsv", ["\t".join(map(str, row)) for row in ROWS]),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_tells_dim_and_makes_f4(work, kind):
    done = makes(TEXTS[kind]())
    assert "(f4, because no type is given; --dtype gives another)" in done.stdout.splitlines()[0]
    quiverfs("export", "new", "again.npy")
    assert (np.load("again.npy") == ROWS).all()
    assert ("is taken for the ID" in done.stderr) == (kind == "whole numbers first")


def test_words_make_their_dim(work):
    lines("glove.txt", [f"word{i} " + " ".join(map(str, row)) for i, row in enumerate(ROWS)])
    makes("glove.txt", "--format", "glove", "--keys", "words.txt")
    assert len(open("words.txt").read().split()) == 5
    lines("w2v.txt", [f"5 {DIM}"] + [f"w{i} " + " ".join(map(str, row))
                                     for i, row in enumerate(ROWS)])
    makes("w2v.txt", "--format", "word2vec", name="other")


def test_a_dim_that_is_given_decides(work):
    path = csv(first=lambda i: [str(i)])
    makes(path, "--dim", DIM + 1, dim=DIM + 1)
    np.save("rows.npy", ROWS)
    refuses("rows.npy", "--dim", 9, says="have dim 8 and dtype f4, but other has dim 9",
            name="other")


def test_raw_needs_a_dim(work):
    ROWS.tofile("rows.raw")
    refuses("rows.raw", "--format", "raw", says="give --dim D")
    makes("rows.raw", "--format", "raw", "--dim", DIM)
    makes("rows.raw", "--format", "raw", "--dim", 2 * DIM, "--dtype", "float16", dim=2 * DIM,
          dtype="f2", name="half")


def test_vecs_and_pipes(work):
    with open("rows.fvecs", "wb") as file:
        for row in ROWS:
            file.write(np.int32(DIM).tobytes() + row.tobytes())
    makes("rows.fvecs")
    makes("-", "--format", "fvecs", name="piped", stdin=open("rows.fvecs", "rb").read())
    csv()
    makes("-", "--format", "csv", name="text", stdin=open("rows.csv", "rb").read())
    shell("gzip -k rows.csv")
    makes("rows.csv.gz", name="packed")


def test_several_files_are_one_store(work):
    np.save("one.npy", ROWS)
    csv("two.csv")
    makes("one.npy", "two.csv", rows=10)
    np.save("other.npy", ROWS[:, :4])
    refuses("one.npy", "other.npy", name="odd",
            says="other.npy: its vectors have dim 4 and dtype f4, but one.npy has dim 8")
    np.save("half.npy", ROWS.astype("f2"))
    refuses("one.npy", "half.npy", name="odd", says="but one.npy has dim 8 .*--convert")


def test_ids_and_a_limit_go_with_it(work):
    np.save("rows.npy", ROWS)
    np.save("ids.npy", np.array([7, 5, 9, 1, 3], "u8"))
    done = makes("rows.npy", "--ids", "ids.npy")
    assert "IDs: 1 to 9" in done.stdout
    makes("rows.npy", "--limit", 2, rows=2, name="few")


# ---- what makes no store --------------------------------------------------------------------


def test_nothing_to_import_makes_nothing(work):
    for name in ("empty.csv", "empty.jsonl"):
        lines(name, [])
        refuses(name, says="it holds no rows, so the right store is not known")
    refuses("-", "--format", "jsonl", stdin=b"", says="no store was made")
    np.save("none.npy", ROWS[:0])
    refuses("none.npy", says="no store was made; 'quiverfs create new --dim 8 --dtype f4' makes")
    refuses("absent.npy", says="absent.npy: No such file")


@pytest.mark.parametrize("folder", [False, True])
def test_a_bad_first_row_takes_the_store_away_again(work, folder):
    lines("bad.jsonl", ['{"id": 1, "vector": [1, 2, "x"]}'])
    if folder:
        os.mkdir("new")
    refuses("bad.jsonl", says="nothing was imported; the store that was made for it is removed")
    assert not folder or os.listdir("new") == []
    lines("keys.txt", [])
    os.remove("keys.txt")
    refuses("bad.jsonl", "--keys", "keys.txt", says="removed again")
    assert not os.path.exists("keys.txt")


def test_a_bad_row_further_on_leaves_those_before_it(work):
    lines("bad.jsonl", ['{"vector": [1, 2]}', '{"vector": [1]}'])
    done = quiverfs("import", "new", "bad.jsonl", status=1)
    assert "the first 1 rows are imported" in done.stderr
    quiverfs("check", "new")


@pytest.mark.parametrize("before", [b"", b'{"vector": [1, 2]}\n'])
def test_a_signal_before_the_first_row_leaves_nothing(work, before):
    with subprocess.Popen([QUIVERFS, "import", "new", "-", "--format", "jsonl"],
                          stdin=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        command.stdin.write(before)
        command.stdin.flush()
        # it waits for more: SIGINT is caught from then on
        until(lambda: "S" in open(f"/proc/{command.pid}/stat").read().split()[2]
              and caught(command.pid), "no wait")
        command.send_signal(signal.SIGINT)
        assert command.wait(HANG_SECONDS) == 1
        assert "stopped" in command.stderr.read().decode()
    assert not os.path.exists("new")


def caught(pid):
    """Whether the process handles SIGINT."""
    text = open(f"/proc/{pid}/status").read()
    return int(re.search(r"^SigCgt:\s*(\w+)", text, re.M)[1], 16) >> (signal.SIGINT - 1) & 1


def test_where_none_can_be(stores, work):
    mnt = stores.mount()
    np.save("rows.npy", ROWS)
    refuses("rows.npy", name="no/such", says="the folder above it does not exist")
    refuses("rows.npy", name="rows.npy", says="not a folder")
    refuses("rows.npy", name=f"{mnt.point}/new", says="lies within the mount at")
    refuses("rows.npy", name=f"{mnt.store.path}@old", says="a snapshot cannot be changed")
    os.mkdir("full")
    lines("full/file", [])
    refuses("rows.npy", name="full", says="not a store of quiverfs")
    os.symlink("gone", "link")
    refuses("rows.npy", name="link", says="there is no such store")
    os.mkdir("rows")
    refuses("rows", says="there is no such store or mount; 'quiverfs create new")


def test_a_store_that_is_there_must_be_as_said(work):
    np.save("rows.npy", ROWS)
    makes("rows.npy")
    quiverfs("import", "new", "rows.npy", "--dim", DIM, "--dtype", "f4")
    for words in (["--dim", 9], ["--dtype", "f2"]):
        refuses("rows.npy", *words, says="it is there already, with dim 8 and dtype f4")


def test_words_that_are_wrong(work):
    np.save("rows.npy", ROWS)
    os.mkdir("rows")
    for words in (["rows.npy", "--dim", "0"], ["rows.npy", "--dtype", "f3"],
                  ["rows", "--dim", "8"]):
        quiverfs("import", "new", *words, status=2)
    assert not os.path.exists("new")


@pytest.mark.needs_root("makes namespaces")
def test_a_mount_point_that_is_not_mounted_gets_no_store(work):
    np.save("rows.npy", ROWS)
    os.mkdir("mnt")
    lines("fstab", [f"/srv/store {work}/mnt quiverfs defaults 0 0"])
    done = run("unshare", "--mount", "--propagation", "private", "sh", "-c",
               f"[ -e /etc/fstab ] || exit 77; mount --bind fstab /etc/fstab && "
               f"exec {QUIVERFS} import mnt rows.npy", status=None)
    if done.returncode == 77 or b"unshare" in done.stderr:
        pytest.skip("there is no /etc/fstab, or no mount namespace")
    assert done.returncode == 1
    assert b"/etc/fstab mounts /srv/store here, and it is not mounted" in done.stderr
    assert os.listdir("mnt") == []
