"""The Python package by libquiver: what it declares of quiver.h, locks, damage, signals."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from harness import quiverfs as command
from harness import run
from python_package import FOLDER, LIBRARY, SOURCE, draw, needs_library, numpy, quiverfs

pytestmark = needs_library
DIM = 25


@pytest.fixture
def store(tmp):
    path = tmp / "store"
    command("create", path, "--dim", DIM)
    return path


def fill(path, rng, count=40):
    vectors = draw(rng, count, DIM, "f4")
    with quiverfs.open(path, mode="r+") as q:
        q.put(range(count), vectors)
    return vectors


# ---- what is declared -------------------------------------------------------------------

STRUCTS = {"Geometry": "geometry", "Description": "description", "QuiverError": "error",
           "Options": "options", "Attr": "attr", "Holder": "holder", "Snapshot": "snapshot",
           "CQuestion": "question"}


def c_layout(tmp):
    """Size of each struct and offset of each of its members, as the compiler has it."""
    lines = []
    for name, other in STRUCTS.items():
        struct = f"struct quiver_{other}"
        lines.append(f'printf("{name} %zu\\n", sizeof({struct}));')
        for member, _ in getattr(quiverfs.libquiver, name)._fields_:
            lines.append(f'printf("{name}.{member} %zu\\n", offsetof({struct}, {member}));')
    for name in ("id", "data", "attr", "attr_mask"):
        lines.append(f'printf("RECORD.{name} %zu\\n", offsetof(struct quiver_record, {name}));')
    lines.append('printf("RECORD %zu\\n", sizeof(struct quiver_record));')
    for name in ("id", "distance"):
        lines.append(f'printf("ANSWER.{name} %zu\\n", offsetof(struct quiver_neighbour, {name}));')
    lines.append('printf("ANSWER %zu\\n", sizeof(struct quiver_neighbour));')
    source = tmp / "layout.c"
    source.write_text('#include <stddef.h>\n#include <stdio.h>\n#include "engine/quiver.h"\n'
                      f"int main(void)\n{{\n{chr(10).join(lines)}\nreturn 0;\n}}\n")
    run("cc", "-Wall", "-Werror", "-I", SOURCE, "-o", tmp / "layout", source)
    told = run(tmp / "layout").stdout.decode().splitlines()
    return {name: int(number) for name, number in (line.split() for line in told)}


def test_the_structs_are_those_of_the_header(tmp):
    if not shutil.which("cc"):
        pytest.skip("there is no cc")
    mine = {}
    for name in STRUCTS:
        struct = getattr(quiverfs.libquiver, name)
        mine[name] = quiverfs.libquiver.ctypes.sizeof(struct)
        for member, _ in struct._fields_:
            mine[f"{name}.{member}"] = getattr(struct, member).offset
    for name, dtype in (("RECORD", quiverfs.libquiver.RECORD), ("ANSWER", quiverfs.question.ANSWER)):
        dtype = numpy.dtype(dtype)
        mine[name] = dtype.itemsize
        mine.update({f"{name}.{member}": dtype.fields[member][1] for member in dtype.names
                     if not re.fullmatch(r"f\d", member)})
    assert mine == c_layout(tmp)


def test_the_numbers_are_those_of_the_header():
    text = (SOURCE / "engine/quiver.h").read_text()
    known = {name: eval(value.replace("u", "").replace("UINT64_C", "").replace("UINT64_MAX", str(2**64 - 1)))
             for name, value in re.findall(r"QUIVER_(\w+) = (\d+)", text)
             + re.findall(r"#define QUIVER_(\w+) \(?([\d<> u+*]+|UINT64_MAX[^)\n]*\)?)\)?\n", text)
             if re.search(r"\d", value)}
    for name in ("ATTR_MTIME", "ATTR_DROP_SETID", "NEAREST_EXACT", "NEAREST_WITHIN", "IMMUTABLE",
                 "BATCH_BYTES_MAX", "BATCH_VECTORS_MAX"):
        assert getattr(quiverfs.libquiver, name) == known[name], name
    assert quiverfs.question.K_MAX == known["NEAREST_MAX"]
    assert quiverfs.question.ANSWERS_MAX == known["NEAREST_ANSWERS_MAX"]
    assert quiverfs.question.QUESTIONS_MAX == known["QUESTIONS_MAX"]
    metrics = re.search(r"enum quiver_metric \{(.*?)\};", text, re.DOTALL)[1]
    assert [name.lower() for name in re.findall(r"QUIVER_(\w+)", metrics)] == list(
        quiverfs.question.METRICS)
    soversion = re.search(r"soversion: '(\d+)'", (SOURCE / "engine/meson.build").read_text())[1]
    assert quiverfs.libquiver._NAME == f"libquiver.so.{soversion}"


def test_a_library_that_is_older(tmp, monkeypatch):
    if not shutil.which("cc"):
        pytest.skip("there is no cc")
    (tmp / "old.c").write_text("int quiver_open(void) { return 0; }\n")
    run("cc", "-shared", "-fPIC", "-o", tmp / "old.so", tmp / "old.c")
    monkeypatch.setenv("QUIVERFS_LIBRARY", str(tmp / "old.so"))
    monkeypatch.setattr(quiverfs.libquiver, "_library", None)
    with pytest.raises(quiverfs.LibraryError, match="old.so has no quiver_\\w+: it is older"):
        quiverfs.libquiver.load()


# ---- who has it -------------------------------------------------------------------------


def test_many_read_and_one_writes(store, rng):
    vectors = fill(store, rng)
    with quiverfs.open(store) as one, quiverfs.open(store) as two:
        assert (one[range(40)] == two[range(40)]).all()
        with pytest.raises(OSError, match="only read") as caught:
            quiverfs.open(store, mode="r+")
        assert caught.value.errno == errno.EBUSY
    with quiverfs.open(store, mode="r+") as writer:
        with pytest.raises(OSError, match="in use") as caught:
            quiverfs.open(store)
        assert caught.value.errno == errno.EBUSY
        writer.put(0, vectors[1])
    with quiverfs.open(store) as q:
        assert (q[0] == vectors[1]).all()
    command("check", store)


def test_what_is_dropped_is_closed(store, rng):
    """By the garbage collector, and at the end of the program."""
    vectors = fill(store, rng)
    q = quiverfs.open(store, mode="r+")
    q.put(100, vectors[0])
    del q
    with quiverfs.open(store, mode="r+") as q:
        assert 100 in q
    program = (f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import quiverfs\n"
               f"q = quiverfs.open({str(store)!r}, mode='r+')\nq.put(101, q[100])\n")
    run(sys.executable, "-c", program)
    # one that was left open would be recovered
    assert "was not closed" not in command("check", store).stdout
    with quiverfs.open(store) as q:
        assert (q[101] == vectors[0]).all()


def test_a_child_of_one_who_reads(store, rng):
    """It opens the store for itself, also while other threads of the parent are in the library."""
    vectors = fill(store, rng)
    over = threading.Event()

    def work():
        while not over.is_set():
            q.nearest(vectors[:8], k=3)

    with quiverfs.open(store) as q:
        assert (q[3] == vectors[3]).all()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    good = (q[range(40)] == vectors).all() and q.nearest(vectors[5], k=1)[0][0] == 5
                    os._exit(0 if good else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert (q[range(40)] == vectors).all()


def test_a_store_that_is_damaged(store, rng):
    vectors = fill(store, rng)
    ids = numpy.load(store / "ids.npy")
    row = int(numpy.flatnonzero(ids == 7)[0])
    with open(store / "vectors.npy", "r+b") as file:
        file.seek(4096 + row * DIM * 4 + 10)
        file.write(b"\xff\x01")
    with quiverfs.open(store) as q:
        with pytest.raises(OSError, match="vector 7") as caught:
            q.get([6, 7, 8])
        assert caught.value.ids == [7] and caught.value.errno == errno.EIO
        assert isinstance(caught.value, quiverfs.DamagedError)
        assert (q[[6, 8]] == vectors[[6, 8]]).all()
        assert 7 not in q.nearest(vectors[7], k=40)[0]


# ---- signals ----------------------------------------------------------------------------


class Enough(Exception):
    pass


def test_a_question_can_be_given_up(store, rng):
    """What a signal handler raises comes out of the call, and the next one works."""
    vectors = fill(store, rng, count=2000)
    queries = numpy.concatenate([vectors] * 10)

    def raise_enough(*_):
        raise Enough

    before = signal.signal(signal.SIGALRM, raise_enough)
    try:
        with quiverfs.open(store) as q:
            for delay in (0.001, 0.01, 0.05):
                with pytest.raises(Enough):
                    signal.setitimer(signal.ITIMER_REAL, delay)
                    while True:
                        q.nearest(queries, k=20)
                assert q.nearest(vectors[3], k=1)[0][0] == 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_ctrl_c_ends_a_program(store, rng):
    fill(store, rng, count=2000)
    program = (f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import quiverfs\n"
               f"q = quiverfs.open({str(store)!r})\nx = q[range(2000)]\nprint('go', flush=True)\n"
               "while True: q.nearest(x, k=20)\n")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"go\n"
        running.send_signal(signal.SIGINT)
        told = running.communicate()[1].decode()
    assert running.returncode == -signal.SIGINT and "KeyboardInterrupt" in told
    assert "Exception ignored" not in told


def test_a_batch_is_whole(store):
    """More than one call takes, of vectors of which none is that large."""
    assert LIBRARY
    with quiverfs.open(store, mode="r+") as q:
        q.put(numpy.arange(3000), numpy.arange(3000)[:, None] + numpy.zeros((1, DIM)))
        assert (q[numpy.arange(3000)][:, 3] == numpy.arange(3000)).all()
        q.flush()
        q.put([], numpy.empty((0, DIM)))
        assert len(q) == 3000
