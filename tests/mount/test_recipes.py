"""The lines of quiverfs-recipes(7), typed as they stand there, by an ordinary user in a folder with a
STORE and its MNT: what is in the store then is what the recipe says, and what is printed what it shows.
What takes several users is in test_recipes_users.py, what takes a cluster in tests/rados."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import is_mounted, quiverfs, run, until, wait_for_release
from man_pages import SOURCE, program_folder, python3
from python_package import draw, numpy
from recipes import DIM, PAGE, RECIPES, Place, as_bytes, typed

COUNT = 100
LARGE_DIM = 4096
# Another machine: its commands run here, in a folder of their own.
SSH = """#!/bin/sh
shift
cd "$OTHER_MACHINE" && exec sh -c "$*"
"""
# What would change the system only tells that it was called.
TELLS = """#!/bin/sh
echo "${0##*/} $*" >>"$TOLD"
"""


@pytest.fixture
def rows(rng):
    return draw(rng, COUNT, DIM, "f4")


@pytest.fixture
def empty(tmp, io_uring):
    """A mount without vectors."""
    del io_uring  # where the kernel has it, daemons use it
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    made = Place(tmp)
    made.do(f"quiverfs create STORE --dim {DIM}; mkdir MNT; quiverfs mount STORE MNT")
    yield made
    made.close()


@pytest.fixture
def place(empty, rows):
    """One with the vectors 0 to 99."""
    numpy.save(empty.folder / "rows.npy", rows)
    empty.do("quiverfs import MNT rows.npy")
    return empty


# ---- new vectors ----------------------------------------------------------------------


def test_update_some_vectors_every_night(place, rows, rng):
    name = "Update some vectors every night"
    ids = numpy.array([3, 50, 7, 98, 99], "u8")
    numpy.save(place.folder / "ids.npy", ids)
    for way in range(2):
        rows[ids] = draw(rng, len(ids), DIM, "f4")
        numpy.save(place.folder / "new.npy", rows[ids])
        place.type(name, way)
        assert place.vectors() == as_bytes(rows)
    (place.folder / "gone.txt").write_text("4\n98\n1000\n")
    place.type(name, 2)
    expected = as_bytes(rows)
    del expected[4], expected[98]
    assert place.vectors() == expected
    place.do("quiverfs export MNT folder/")
    del expected[50]
    (place.folder / "folder/50").unlink()
    expected[7] = expected[500] = rows[0].tobytes()
    for number in (7, 500):
        (place.folder / f"folder/{number}").write_bytes(expected[number])
    kept = os.stat(place.folder / "MNT/vectors/3").st_ctime_ns
    place.type(name, 3)
    assert place.vectors() == expected
    assert os.stat(place.folder / "MNT/vectors/3").st_ctime_ns == kept


def test_a_row_that_is_refused_ends_an_update(place, rows):
    """What came before it is in; the same import can be run again."""
    new = rows[::-1].copy()
    new[60, 5] = numpy.nan
    numpy.save(place.folder / "new.npy", new)
    numpy.save(place.folder / "ids.npy", numpy.arange(COUNT, dtype="u8"))
    line = typed("Update some vectors every night").rstrip() + " --reject-nonfinite"
    assert "row 60" in place.do(line, status=1).stderr
    assert place.vectors() == as_bytes(numpy.concatenate([new[:60], rows[60:]]))
    new[60, 5] = 0
    numpy.save(place.folder / "new.npy", new)
    place.do(line)
    assert place.vectors() == as_bytes(new)


def test_the_ways_of_an_update_are_those_that_are_measured(tmp, io_uring):
    """With a few vectors; that each way writes what it has to is compared by what measures."""
    del io_uring
    if not os.path.exists("/dev/fuse") or not shutil.which("rsync"):
        pytest.skip("there is no /dev/fuse, or no rsync")
    done = run(python3()["python3"], SOURCE / "tests/bench/update.py", "--count", 200, "--rounds", 1,
               "--quiverfs", program_folder(tmp) / "quiverfs", "--dir", tmp)
    measured = set(re.findall(r"^\| `(.*?)` \|", done.stdout.decode(), re.M))
    table = PAGE.read_text().split(".Bl -column")[1].split("\n.El")[0]
    shown = {re.sub(r"\\-", "-", way) for way in re.findall(r"^\.It Li (.*?) Ta ", table, re.M)}
    assert len(shown) >= 8 and {way.replace('\\(dq', '"') for way in shown} == measured


UUIDS = ["6f1c2f5e-6c0f-4c35-9a55-3c1f6a5a0b11", "0b7bdc8e-24b5-4d9c-8f65-0f5ac6f1f9a1",
         "c0ffee00-1111-4222-8333-444455556666", "deadbeef-0000-4000-8000-000000000000"]


def write_documents(path, keys, vectors):
    path.write_text("".join(json.dumps({"id": key, "vector": vector.tolist()}) + "\n"
                            for key, vector in zip(keys, vectors)))


def test_keep_uuids_in_place_of_numbers(empty):
    name = "Keep UUIDs in place of numbers"
    rows = numpy.zeros((6, DIM), "f4")
    rows[:, 0], rows[:, 1] = range(1, 7), 0.5
    write_documents(empty.folder / "docs.jsonl", UUIDS[:3], rows[:3])
    empty.type(name, 0)
    assert empty.vectors() == as_bytes(rows[:3])
    write_documents(empty.folder / "more.jsonl", [UUIDS[3], UUIDS[0]], [rows[3], rows[4]])
    empty.type(name, 1)
    now = numpy.array([rows[4], rows[1], rows[2], rows[3]])
    assert empty.vectors() == as_bytes(now)
    assert (empty.folder / "keys.txt").read_text().splitlines() == UUIDS
    for which in (2, 3):
        assert empty.type(name, which) == RECIPES[name][which][1]
    empty.type(name, 4)
    documents = [json.loads(line) for line in (empty.folder / "all.jsonl").read_text().splitlines()]
    assert {one["id"]: numpy.array(one["vector"], "f4").tobytes() for one in documents} == {
        key: now[number].tobytes() for number, key in enumerate(UUIDS)}
    lost = typed(name, 2).replace(UUIDS[1], "no-such-key")
    assert "-1" in empty.do(lost, status=1).stderr
    locked = re.search(r"^\.Ql (flock .*) \.$", PAGE.read_text(), re.M)[1].replace("\\-", "-")
    write_documents(empty.folder / "more.jsonl", [UUIDS[3]], [rows[5]])
    empty.do(locked)
    assert empty.vectors()[3] == rows[5].tobytes() and len(empty.vectors()) == 4


def test_keep_texts_and_other_data_beside_the_vectors(empty):
    name = "Keep texts and other data beside the vectors"
    empty.type(name, 0)
    assert empty.type(name, 1) == RECIPES[name][1][1]  # with its distances
    unit = numpy.eye(3, DIM, dtype="f4")
    assert empty.vectors() == {1: unit[0].tobytes(), 2: (2 * unit[1]).tobytes()}
    empty.do("python3 -c 'import docs; docs.remove(\"nothing\"); docs.remove(\"a\")'")
    assert set(empty.vectors()) == {2}


def test_find_the_vector_for_a_text(empty):
    name = "Find the vector for a text"
    words = {"king": (3, 1), "queen": (3, -1), "man": (1, 1), "woman": (1, -1), "stone": (0, 0, 9)}
    rows = numpy.zeros((len(words), DIM), "f4")
    for row, vector in zip(rows, words.values()):
        row[:len(vector)] = vector
    (empty.folder / "glove.txt").write_text("".join(
        f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows)))
    empty.type(name, 0)
    assert empty.vectors() == as_bytes(rows)
    assert (empty.folder / "words.txt").read_text().splitlines() == list(words)
    for which in (1, 2):
        assert empty.type(name, which) == RECIPES[name][which][1]


def test_train_in_batches(place, rows):
    name = "Train in batches"
    printed = place.type(name, 0).splitlines()
    assert [line.split()[:2] for line in printed] == [["0", "100"], ["1", "100"]]
    for line in printed:
        assert float(line.split()[2]) == pytest.approx(float(rows.astype("f8")[:, 0].sum()), abs=0.01)
    assert os.listdir(place.folder / "MNT/snapshots") == []
    assert place.type(name, 1) == RECIPES[name][1][1]


# ---- age and space --------------------------------------------------------------------


def make_old(place, numbers):
    before = time.time() - 40 * 86400
    for number in numbers:
        os.utime(place.folder / f"MNT/vectors/{number}", (before, before))


def test_remove_what_is_older_than_a_month(place, rows):
    name = "Remove what is older than a month"
    old = {3, 50, 99}
    make_old(place, old)
    assert place.type(name, 0).split() == ["3"]
    expected = {number: row for number, row in as_bytes(rows).items() if number not in old}
    assert place.vectors() == expected
    place.do("mkdir MNT/snapshots/a MNT/snapshots/b")
    assert place.type(name, 1) == ""  # of today
    assert sorted(os.listdir(place.folder / "MNT/snapshots")) == ["a", "b"]
    assert "-mtime +30" in typed(name, 1)
    printed = place.do(typed(name, 1).replace("-mtime +30", "-mmin +-1")).stdout
    assert len(printed.splitlines()) == 2 and os.listdir(place.folder / "MNT/snapshots") == []
    before = time.time() - 2 * 86400
    os.utime(place.folder / "MNT/vectors/5", (before, before))
    place.type(name, 2)
    assert set((place.folder / "fresh.txt").read_text().split()) == {
        str(number) for number in set(expected) - {5}}


def store_bytes(place):
    return sum(file.stat().st_blocks * 512 for file in (place.folder / "STORE").rglob("*"))


def test_a_disk_that_is_nearly_full(place, rows, rng):
    """Where the room is given back: of a store of 10 MiB whose snapshot has all of it."""
    name = "A disk that is nearly full"
    many = draw(rng, 10000, DIM, "f4")
    numpy.save(place.folder / "many.npy", many)
    place.do("quiverfs import MNT many.npy; mkdir MNT/snapshots/v1; quiverfs import MNT many.npy;"
             "quiverfs import MNT rows.npy")
    make_old(place, range(1000, 10000))
    place.do("echo 1 >MNT/control/checkpoint")
    full = store_bytes(place)
    printed = place.type(name, 0)
    assert re.search(r"^ +disk +\[[#=.]+\]$", printed, re.M) and "own bytes" in printed
    assert re.search(r"^v1 .* \d+\.\d MiB$", printed, re.M)
    place.type(name, 1)
    assert os.listdir(place.folder / "MNT/snapshots") == []
    place.type(name, 2)
    expected = as_bytes(many[:1000])
    expected.update(as_bytes(rows))
    assert place.vectors() == expected
    assert full - store_bytes(place) > 8 << 20  # of all; what stays is the log's
    place.type(name, 3)
    assert (place.folder / "MNT/control/autocompact_percent").read_text() == "20\n"


@pytest.fixture
def small(disks, tmp, io_uring):
    """Vectors of 16 KiB, of which few fill a disk of 44 MiB."""
    del io_uring
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    made = Place(disks.ext4(44).point)
    made.do(f"quiverfs create STORE --dim {LARGE_DIM}; mkdir MNT; quiverfs mount STORE MNT")
    yield made
    made.close()
    wait_for_release(made.folder / "STORE")


def put_until_full(place, rows):
    """Ten by ten until there is no room; how many vectors are in."""
    script = ("import errno, numpy, quiverfs, sys\n"
              "q, rows = quiverfs.open('MNT'), numpy.load(sys.argv[1])\n"
              "try:\n"
              "    for first in range(0, len(rows), 10):\n"
              "        q.put(range(first, first + 10), rows[first:first + 10])\n"
              "except OSError as error:\n"
              "    assert error.errno == errno.ENOSPC\n"
              "else:\n"
              "    sys.exit('there was room for all')\n"
              "print(len(q))\n")
    return int(place.do(f"python3 -c \"{script}\" {rows}").stdout)


def test_a_disk_that_is_full(small, tmp, rng):
    name = "A disk that is nearly full"
    many = draw(rng, 3000, LARGE_DIM, "f4")
    numpy.save(tmp / "many.npy", many)
    numpy.save(tmp / "some.npy", many[300:600])
    small.do(f"quiverfs import MNT {tmp}/some.npy; mkdir MNT/snapshots/v1")
    count = put_until_full(small, tmp / "many.npy")
    assert 300 <= count < 3000
    assert small.vectors() == as_bytes(many[:count])
    told = " ".join(small.type(name, 0).split())
    assert "No space left on device" in told and "v1 alone holds the most" in told
    small.type(name, 1)
    make_old(small, range(100, count))
    small.type(name, 2)
    small.do(f"quiverfs import MNT {tmp}/some.npy")
    assert small.vectors() == as_bytes(many[300:600])


# ---- copies ---------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("rsync"), reason="there is no rsync")
def test_back_up_and_restore(place, rows):
    name = "Back up and restore"
    mtime = os.stat(place.folder / "MNT/vectors/42").st_mtime_ns
    place.type(name, 0)
    assert place.vectors("BACKUP") == as_bytes(rows)
    lost = place.folder / "MNT/vectors/42"
    lost.write_bytes(rows[0].tobytes())
    place.type(name, 1)
    assert lost.read_bytes() == rows[42].tobytes() and lost.stat().st_mtime_ns == mtime
    (place.folder / "MNT/vectors/7").unlink()
    place.type(name, 0)
    expected = as_bytes(rows)
    del expected[7]
    assert place.vectors("BACKUP") == expected
    assert "no faults" in place.type(name, 2)
    place.do("quiverfs export NEW out/")
    assert place.vectors("out") == expected
    place.type(name, 3)
    lost.write_bytes(rows[0].tobytes())
    place.type(name, 4)
    place.do("quiverfs export COPY out/ --update")
    assert place.vectors("out") == {**expected, 42: rows[0].tobytes()}
    place.type(name, 5)
    assert place.vectors() == expected and lost.stat().st_mtime_ns == mtime
    place.do("mkdir MNT/snapshots/backup")  # one that has failed has left it
    assert "File exists" in place.type(name, 0, status=1)
    place.do("rmdir MNT/snapshots/backup")
    place.type(name, 0)
    # with nothing mounted a backup stays as it is
    place.do("quiverfs umount MNT")
    assert "cannot create directory" in place.type(name, 0, status=1)
    assert place.vectors("BACKUP") == expected
    place.do("rm -r STORE")
    place.type(name, 6)
    assert place.vectors() == {**expected, 42: rows[0].tobytes()}


@pytest.mark.skipif(not shutil.which("rsync"), reason="there is no rsync")
def test_move_to_another_machine(place, rows, rng):
    name = "Move to another machine"
    (place.folder / "other").mkdir()
    place.program("ssh", SSH, OTHER_MACHINE=str(place.folder / "other"))
    place.type(name, 0)
    rows[5] = draw(rng, 1, DIM, "f4")[0]
    (place.folder / "MNT/vectors/5").write_bytes(rows[5].tobytes())
    place.type(name, 1)
    assert "no faults" in place.type(name, 2)
    assert place.vectors("other/MNT/vectors") == as_bytes(rows)
    assert place.type(name, 3).count("no faults") == 2
    place.do("quiverfs export other/STORE2 out/")
    assert place.vectors("out") == as_bytes(rows)
    place.do("quiverfs mount STORE MNT; cp MNT/vectors/1 MNT/vectors/8; umount MNT")
    assert place.do("quiverfs snapshot create STORE late; quiverfs snapshot diff STORE move2 late"
                    ).stdout.splitlines()[-1] == "~ 8"


# ---- when something is wrong ----------------------------------------------------------


def asked(folder):
    """The errno of who looks into it. While the daemon dies that is another one over io_uring."""
    try:
        os.listdir(folder)
    except OSError as error:
        return error.errno
    return 0


def test_transport_endpoint_is_not_connected(place, rows):
    name = "Transport endpoint is not connected"
    rows[5] = rows[6]
    (place.folder / "MNT/vectors/5").write_bytes(rows[5].tobytes())
    os.kill(place.daemon(), signal.SIGKILL)
    until(lambda: asked(place.folder / "MNT") == errno.ENOTCONN, "it does not die")
    place.type(name, 0, status=2)
    assert "still mounted here" in place.do("quiverfs mount STORE MNT", status=1).stderr
    place.type(name, 1)
    assert place.vectors() == as_bytes(rows)
    place.type(name, 2)


def test_device_or_resource_busy(place, rows):
    name = "Device or resource busy"
    with subprocess.Popen(["sleep", "1000"], cwd=place.folder / "MNT") as user:
        try:
            printed = place.type(name, 0, status=1)
            assert f"process {user.pid} " in printed
            if os.path.exists("/etc/mtab"):  # which fusermount3 looks into
                place.type(name, 1)
                assert not is_mounted(place.folder / "MNT")
        finally:
            user.kill()
    if not is_mounted(place.folder / "MNT"):
        place.do("quiverfs mount STORE MNT")
    assert place.vectors() == as_bytes(rows)


# ---- the program ----------------------------------------------------------------------


def packages():
    return re.findall(r"^Package: (.*)$", (SOURCE / "tools/debian/control").read_text(), re.M)


def test_upgrade(place, rows):
    """What is installed is what was there; the commands that install are told."""
    name = "Upgrade"
    for program in ("apt", "ninja", "meson"):
        place.program(program, TELLS, TOLD=str(place.folder / "told"))
    names = ["quiverfs", "libquiver2", "python3-quiverfs"]
    assert set(names) < set(packages())
    for package in names:
        (place.folder / f"{package}_0_amd64.deb").touch()
    version = quiverfs("--version").stdout.split()[1].rstrip(",;")
    assert place.type(name, 0).count(version) >= 2
    before = place.daemon()
    place.type(name, 1)
    assert place.daemon() != before and place.vectors() == as_bytes(rows)
    place.type(name, 2)
    assert (place.folder / "told").read_text().splitlines() == [
        "apt install " + " ".join(f"./{package}_0_amd64.deb" for package in names),
        "ninja -C build-release", "meson install -C build-release --skip-subprojects"]


def test_uninstall(place, rows):
    name = "Uninstall"
    for program in ("apt", "ninja"):
        place.program(program, TELLS, TOLD=str(place.folder / "told"))
    place.type(name, 0)
    assert not is_mounted(place.folder / "MNT")
    place.type(name, 1)
    place.type(name, 2)
    assert (place.folder / "told").read_text().splitlines() == [
        "apt remove quiverfs libquiver2 python3-quiverfs", "ninja -C build-release uninstall"]
    assert set((place.folder / "told").read_text().splitlines()[0].split()[2:]) < set(packages())
    assert place.type(name, 3) == f"({len(rows)}, {DIM})\n"


# Each section, and how many blocks of it are typed.
TRIED = {
    "Update some vectors every night": 4, "Keep UUIDs in place of numbers": 5,
    "Keep texts and other data beside the vectors": 2, "Find the vector for a text": 3,
    "Train in batches": 2, "Remove what is older than a month": 3,
    "A disk that is nearly full": 4, "Back up and restore": 7, "Move to another machine": 4,
    "Move to a cluster of Ceph": 2, "Share with a colleague": 5, "Share with a group": 5,
    "Transport endpoint is not connected": 3, "Device or resource busy": 2, "Upgrade": 3,
    "Uninstall": 4,
}


def test_each_section_is_tried():
    assert {name: len(blocks) for name, blocks in RECIPES.items()} == TRIED
