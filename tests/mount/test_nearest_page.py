"""The examples of quiverfs-nearest(7), taken off the page and run on a mount."""

import os
import shutil

import pytest

from harness import run, shell, until
from man_pages import SOURCE, literal_lines, program_folder, python3, sections, unescape
from python_package import FOLDER, draw, nearest, numpy, quiverfs

PAGE = SOURCE / "tools/man/quiverfs-nearest.7"
IDS = numpy.arange(60)
# A stand-in for a model: how often each letter is in the text, and no text is zeros.
EMBED = """#!/bin/sh
awk '{
    for (i = 0; i < 32; i++) v[i] = 0.01
    n = split(tolower($0), letter, "")
    for (i = 1; i <= n; i++) v[index("abcdefghijklmnopqrstuvwxyz", letter[i])]++
    for (i = 0; i < 32; i++) printf "%g%s", v[i], i < 31 ? "\\t" : "\\n"
}'
"""


def example(name, which=0):
    return sections(PAGE)[name][which]


@pytest.fixture
def folder(tmp):
    made = tmp / "folder"
    made.mkdir()
    return made


@pytest.fixture
def vectors(mnt, rng):
    drawn = draw(rng, len(IDS), 25, "f4")
    with quiverfs.open(mnt.point) as q:
        q.put(IDS, drawn)
    return drawn


def run_example(text, mnt, folder, words):
    if not shutil.which(words[0]):
        pytest.skip(f"there is no {words[0]}")
    (folder / words[-1]).write_text(text.replace("/mnt/q", str(mnt.point)))
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(FOLDER)}
    if not (folder / "bin").exists():
        program_folder(folder)
    environment["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    done = run(*words, cwd=folder, env=environment)
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout.decode()


def answers(text):
    """The IDs of each question."""
    return [[int(line.split()[0]) for line in part.splitlines()] for part in text.strip().split("\n\n")]


def wanted(vectors, query, k, without=None):
    return nearest(IDS, vectors, query, "l2", "f4", k, without=without)[0].tolist()


def test_the_first_lines(mnt, vectors):
    text = (mnt.point / "nearest/42").read_text()
    assert answers(text) == [wanted(vectors, vectors[42], 10, 42)]
    assert len((mnt.point / "nearest/42.100").read_text().splitlines()) == 59


def test_shell(mnt, vectors, folder):
    printed = run_example(example("Shell"), mnt, folder, ["sh", "-e", "example.sh"])
    first, rest = printed.split("\n", 1)
    assert int(first.split()[0]) == wanted(vectors, vectors[42], 1, 42)[0]
    told = rest.split(" vectors exported")[0].rsplit("\n", 1)[0] if "exported" in rest else rest
    assert answers(told)[:2] == [wanted(vectors, vectors[42], 3), wanted(vectors, vectors[7], 3)]
    assert len((folder / "nearest.jsonl").read_text().splitlines()) == 60


def test_awk(mnt, vectors, folder):
    far = vectors.copy()
    far[7] += 1000
    with quiverfs.open(mnt.point) as q:
        q.put(IDS, far)
    assert run_example(example("awk"), mnt, folder, ["sh", "-e", "example.sh"]) == "7\n"


def test_python(mnt, vectors, folder):
    printed = run_example(example("Python"), mnt, folder, [python3()["python3"], "example.py"])
    between = (vectors[42] + vectors[7]) / 2
    assert [list(map(int, line.split())) for line in printed.splitlines()] == [
        wanted(vectors, vectors[42], 3, 42),
        nearest(IDS[:20], vectors[:20], between, "l2", "f4", 3)[0].tolist()]


def test_c(mnt, vectors, folder):
    text = example("C")
    if not shutil.which("cc"):
        pytest.skip("there is no cc")
    (folder / "example.c").write_text(text.replace("/mnt/q", str(mnt.point)))
    run("cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c", cwd=folder)
    printed = run("./example", cwd=folder).stdout.decode()
    assert answers(printed) == [wanted(vectors, vectors[42], 3)]


def test_only_some_of_them(mnt, vectors, folder):
    text = example("Only some of them")
    python = python3()["python3"]
    run(python, "-c", "import sqlite3\n"
                      "db = sqlite3.connect('books.db')\n"
                      "db.execute('create table books (id integer, year integer)')\n"
                      "db.executemany('insert into books values (?, ?)', "
                      "[(i, 1990 + i) for i in range(60)])\ndb.commit()\n", cwd=folder)
    program_folder(folder)
    if not shutil.which("sqlite3"):  # its program in two lines, where only the library is
        (folder / "bin/sqlite3").write_text(
            f"#!{shutil.which(python)}\nimport sqlite3, sys\n"
            "for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])\n")
        (folder / "bin/sqlite3").chmod(0o755)
    printed = run_example(text, mnt, folder, ["sh", "-e", "example.sh"])
    some = [number for number in range(11, 60) if number != 42]
    assert answers(printed) == [nearest(numpy.array(some), vectors[some], vectors[42], "l2", "f4",
                                        10)[0].tolist()]


def test_near_duplicates(mnt, vectors, folder):
    with quiverfs.open(mnt.point) as q:
        q.put([3, 50], [vectors[9] * 2, vectors[20]])
    printed = run_example(example("Near-duplicates"), mnt, folder, ["sh", "-e", "example.sh"])
    assert [line.split()[:2] for line in printed.splitlines()] == [["3", "9"], ["20", "50"]]


def test_searching_texts(stores, folder):
    """With a stand-in for the model; a second time only what is new is read."""
    mnt = stores.mount(stores.create(dim=32))
    mnt.control("metric", "cosine")
    program_folder(folder)
    (folder / "bin/embed").write_text(EMBED)
    (folder / "bin/embed").chmod(0o755)
    notes = folder / "notes"
    (notes / "deeper").mkdir(parents=True)
    texts = {"cat.txt": "A cat\nsat on the mat.\n", "dog.txt": "Two dogs", "with, comma.txt": "zzz",
             "deeper/fish.txt": "fish\tand\n\nchips"}
    for name, text in texts.items():
        (notes / name).write_text(text)
    (folder / "notes.sh").write_text(example("Searching texts by meaning").replace(
        "/mnt/q", str(mnt.point)))
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}

    def do(*words):
        return run("sh", "-e", "notes.sh", *words, cwd=folder, env=environment).stdout.decode()

    def found(*words):
        return [line.split(" ", 1)[1] for line in do("search", *words).splitlines()]

    do("index", "notes")
    assert len(mnt.ids()) == 4
    assert (folder / "keys").read_text().splitlines() == sorted(f"notes/{name}" for name in texts)
    for name, text in texts.items():
        assert found(*text.split())[0] == f"notes/{name}"
    assert len(found("chips")) == 4
    before = {number: os.stat(mnt.path(number)).st_mtime_ns for number in mnt.ids()}
    (notes / "dog.txt").write_text("xylophone")
    (notes / "new.txt").write_text("jjjj")
    do("index", "notes")
    assert found("xylophone")[0] == "notes/dog.txt" and found("jj")[0] == "notes/new.txt"
    changed = [number for number in before if os.stat(mnt.path(number)).st_mtime_ns != before[number]]
    assert len(mnt.ids()) == 5 and len(changed) == 1
    do("index", "notes")
    assert len(mnt.ids()) == 5


@pytest.mark.local("an index of its vectors")
def test_an_index(mnt, rng):
    """Its lines, as they stand in its section."""
    start, look, off = [unescape(line) for line, _ in literal_lines(
        PAGE.read_text().split(".Sh AN INDEX")[1].split(".Sh")[0])][:3]
    source = numpy.random.default_rng(rng.randrange(2**32))
    middles = source.normal(size=(100, 25)) * 4
    rows = middles[source.integers(0, 100, 12000)] + source.normal(size=(12000, 25))
    folder = mnt.point.parent

    def do(line):
        return shell(line.replace("MNT", str(mnt.point)), cwd=folder).stdout.decode()

    def told():
        return dict(line.split(" ", 1) for line in do(look).splitlines())

    with quiverfs.open(mnt.point) as q:
        q.put(range(12000), rows)
        do(start)
        until(lambda: told()["state"] != "building", "the index is not built")
        state = told()
        assert state["result"] == "ok" and state["state"] in ("ready", "no_help")
        assert state["state"] == "no_help" or float(state["recall"]) >= 0.95
        asked = q[source.integers(0, 12000, 50)] + numpy.float32(0.01)
        found, far = q.nearest(asked)
        right, right_far = q.nearest(asked, exact=True)
        hits = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, right))
        assert hits >= 400  # 95 of 100 is what was measured on others
        for a, b, c, d in zip(found, far, right, right_far):
            exact = dict(zip(c.tolist(), d.tolist()))
            assert all(exact.get(i, x) == x for i, x in zip(a.tolist(), b.tolist()))
        q[20000] = asked[0]
        assert q.nearest(asked[0], k=1)[0].tolist() == [20000]
        do(off)
        assert told()["state"] == "none"
        assert (q.nearest(asked[1:])[0] == q.nearest(asked[1:], exact=True)[0]).all()


def test_the_embedding_programs_are_programs(folder):
    """They need models that are not here."""
    _, by_python, by_shell = sections(PAGE)["Searching texts by meaning"]
    (folder / "embed.py").write_text(by_python)
    run(python3()["python3"], "-m", "py_compile", folder / "embed.py")
    (folder / "embed.sh").write_text(by_shell)
    run("sh", "-n", folder / "embed.sh")


def test_each_example_is_run():
    assert list(sections(PAGE)) == ["Shell", "awk", "Python", "C", "Only some of them",
                                    "Near-duplicates", "Searching texts by meaning"]
