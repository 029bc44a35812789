"""What is in a collection's objects: batches of two clients, damage, what others have put there."""

import os
import re
from pathlib import Path

import pytest

from harness import QUIVERFS, run, quiverfs, until

BATCHES = os.environ.get("QUIVERFS_RADOS_BATCHES")
N = 4096  # of 1024 f4: 64 vectors in an object


@pytest.fixture
def collection(stores):
    return stores.create(dim=1024)


def race(collection, what):
    # The module is beside the program, and this test's is not.
    env = {**os.environ, "QUIVER_MODULES": str(Path(QUIVERFS).resolve().parent)}
    done = run(BATCHES, collection.path, what, env=env, status=None)
    assert done.returncode == 0, done.stderr.decode()
    collection.check()


@pytest.mark.parametrize("what", ["halves", "create", "overwrite", "singles", "records", "many", "job"])
def test_two_clients_and_the_same_objects(collection, what):
    race(collection, what)


def put_some(stores, collection, ids):
    """Through a mount; what each holds."""
    mount = stores.mount(collection)
    held = {}
    for i in ids:
        held[i] = os.urandom(N)
        (mount.vectors / str(i)).write_bytes(held[i])
    return mount, held


def said(done):
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]


def damage(cluster, collection):
    """Of 3 a byte, of 5 the row, of 70 the end."""
    first, second = f"{collection.name}.{0:016x}", f"{collection.name}.{1:016x}"
    spoilt = collection.folder / "spoilt"
    spoilt.write_bytes(b"x")
    cluster.rados("put", first, spoilt, "--offset", 3 * N + 100)
    cluster.rados("setomapval", first, "0005", "not a row")
    cluster.rados("truncate", second, 6 * N + 1)


def test_damage_is_found_and_moved_aside_while_it_is_mounted(stores, cluster, collection):
    mount, held = put_some(stores, collection, [0, 3, 5, 6, 69, 70])
    damage(cluster, collection)
    for i in 3, 5, 70:
        with pytest.raises(OSError, match="Input/output"):
            (mount.vectors / str(i)).read_bytes()
    assert [line.split()[2] for line in mount.errors()] == ["3:", "5:", "70:"]
    mount.forget_errors()
    done = quiverfs("verify", collection.path, status=1)
    assert "3 of 6 vectors" in done.stderr
    first, second = f"{collection.name}.{0:016x}", f"{collection.name}.{1:016x}"
    faults = [f"vector 3 in the object {first}: its bytes do not match its checksum",
              f"vector 5 in the object {first}: its row is damaged",
              f"vector 70 in the object {second}: the object ends before its bytes do"]
    lines = said(quiverfs("check", collection.path, status=1))
    assert sorted(lines[:-1]) == faults
    assert lines[-1] == "6 vectors checked, 3 faults, 0 put right"
    lines = said(quiverfs("check", "--repair", collection.path, status=None))
    assert lines[-1] == "6 vectors checked, 3 faults, 3 put right"
    assert f"vector 3: moved aside to the object {collection.name}.lost+found.{3:016x}" in lines
    assert sorted(os.listdir(mount.vectors)) == ["0", "6", "69"]
    for i in 0, 6, 69:
        assert (mount.vectors / str(i)).read_bytes() == held[i]
    collection.check()
    # What was moved aside is there as it was.
    kept = bytearray(held[3])
    kept[100] = ord("x")
    lost = f"{collection.name}.lost+found.{3:016x}"
    copy = collection.folder / "lost"
    cluster.rados("get", lost, copy)
    assert copy.read_bytes() == kept
    assert b"not a row" in cluster.rados("getomapval", lost.replace(f"{3:016x}", f"{5:016x}"),
                                         "row")
    # And the IDs are free, and can break once more.
    (mount.vectors / "3").write_bytes(held[3])
    cluster.rados("setomapval", first, "0003", "not a row either")
    quiverfs("check", "--repair", collection.path, status=None)
    assert b"not a row either" in cluster.rados("getomapval", f"{lost}.2", "row")


def test_what_others_have_put_there_is_passed_over(stores, cluster, collection):
    mount, _ = put_some(stores, collection, [1])
    name = collection.name
    for other in f"{name}1.{0:016x}", f"x{name}.{0:016x}", f"{name}.{'f' * 16}", f"{name}.other", name:
        cluster.rados("create", other)
        cluster.rados("setomapval", other, "0001", "x" * 80)
    cluster.rados("setomapval", f"{name}.{0:016x}", "00001", "x")
    cluster.rados("setomapval", f"{name}.{0:016x}", "zzzz", "x")
    assert os.listdir(mount.vectors) == ["1"]
    lines = said(quiverfs("check", collection.path))
    assert lines[-1] == "1 vectors checked, no faults"
    assert any("keys that are not known here (2)" in line for line in lines)
    assert any(f"{name}.{'f' * 16} does not belong to any possible ID" in line for line in lines)


@pytest.mark.parametrize("spoil", ["version", "damage", "short", "other"])
def test_headers_that_are_refused(cluster, collection, spoil):
    header = f"{collection.name}.header"
    copy = collection.folder / "header"
    cluster.rados("get", header, copy)
    content = bytearray(copy.read_bytes())
    said = {"version": "not the header|damaged", "damage": "damaged", "short": "damaged",
            "other": "not the header"}[spoil]
    if spoil == "short":
        content = content[:100]
    elif spoil == "other":
        content = b"something else"
    else:
        content[8 if spoil == "version" else 600] ^= 2
    copy.write_bytes(content)
    cluster.rados("rm", header)
    cluster.rados("put", header, copy)
    for command in "check", "verify", "status":
        assert re.search(said, quiverfs(command, collection.path, status=1).stderr)
    # A damaged one can be removed all the same, since nothing else could; not what is none.
    quiverfs("remove", collection.path, "--yes", status=1 if spoil == "other" else 0)
    left = cluster.rados("ls").decode().split()
    assert (header in left) == (spoil == "other")


def test_a_removal_that_was_interrupted_is_finished_by_the_next(stores, cluster, collection):
    mount, held = put_some(stores, collection, [0, 100, 200])
    mount.unmount()
    cluster.rados("rm", f"{collection.name}.header")
    # A collection of the same name does not see what is left,
    quiverfs("create", collection.path, "--dim", 1024)
    assert quiverfs("check", collection.path).stdout.count("no faults") == 1
    mount = stores.mount(collection)
    assert not os.listdir(mount.vectors)
    with pytest.raises(FileNotFoundError):
        (mount.vectors / "100").read_bytes()
    # and writes over it.
    with open(mount.vectors / "100", "xb") as made:
        made.write(held[0])
    assert (mount.vectors / "100").read_bytes() == held[0]
    mount.unmount()
    quiverfs("remove", collection.path, "--yes")
    cluster.rados("create", f"{collection.name}.{7:016x}")
    quiverfs("remove", collection.path, "--yes")
    assert "no remains of one" in quiverfs("remove", collection.path, "--yes", status=1).stderr
    left = cluster.rados("ls").decode().split()
    assert not [name for name in left if name.startswith(f"{collection.name}.")]


def test_who_has_it_open_is_told_of_its_removal(stores, cluster, collection):
    mount, _ = put_some(stores, collection, [0, 1])
    listed = quiverfs("list", "rados:quiver").stdout.split()
    assert collection.path in listed
    quiverfs("remove", collection.path, "--yes")
    assert collection.path not in quiverfs("list", "rados:quiver").stdout.split()

    def answers_eio():
        try:
            (mount.vectors / "0").read_bytes()
        except OSError as error:
            return error.errno == 5
        return False
    until(answers_eio, "it still reads vectors")
    with pytest.raises(OSError, match="Input/output"):
        os.listdir(mount.vectors)
    with pytest.raises(OSError, match="Input/output"):
        (mount.vectors / "7").write_bytes(bytes(N))
    quiverfs("create", collection.path, "--dim", 1024)
    with pytest.raises(OSError, match="Input/output"):
        (mount.vectors / "0").read_bytes()
    assert "the collection is gone" in mount.errors()[0]
    mount.forget_errors()
