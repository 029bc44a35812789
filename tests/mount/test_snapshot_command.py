"""quiverfs snapshot: made, listed, compared and removed, of a store that nobody has open and through
its mount; and what the other commands say of STORE@NAME."""

import datetime
import json
import os
import re
import shutil

import numpy as np
import pytest

from harness import quiverfs, run

NAMES = ["a", "2026-11-29_12:30.5", "x" * 64]
NOT_NAMES = [".a", "a@b", "a b", "x" * 65, "..", "ä"]


def put(store, rows):
    """Import {ID: bytes}, as one batch."""
    ids = store.folder / "ids.npy"
    np.save(ids, np.array(sorted(rows), dtype="u8"))
    data = np.frombuffer(b"".join(rows[vector] for vector in sorted(rows)), dtype="f4")
    np.save(store.folder / "rows.npy", data.reshape(len(rows), store.dim))
    quiverfs("import", store.path, store.folder / "rows.npy", "--ids", ids)


def remove(store, vectors):
    """Out of a store that is not mounted, as nothing but a mount removes."""
    os.makedirs(store.folder / "once", exist_ok=True)
    quiverfs("mount", store.path, store.folder / "once")
    for vector in vectors:
        os.unlink(store.folder / "once/vectors" / str(vector))
    run("umount", store.folder / "once")


def contents(store, target):
    """{ID: bytes} of what export writes."""
    rows, ids = store.folder / "out.npy", store.folder / "out_ids.npy"
    quiverfs("export", target, rows, "--ids", ids)
    found = {int(vector): row.tobytes() for vector, row in zip(np.load(ids), np.load(rows))}
    rows.unlink()
    ids.unlink()
    return found


def listed(target):
    return json.loads(quiverfs("snapshot", "list", target, "--json").stdout)


def differ(target, old, new, *more):
    return quiverfs("snapshot", "diff", target, old, new, *more).stdout.splitlines()


@pytest.fixture(params=["alone", "mounted", "by its folder"])
def place(request, stores, rng):
    """A store with vectors 0 to 9, and how it is given to commands: nobody has it open, by its
    mount, or by its folder while it is mounted."""
    store = stores.create()
    rows = {vector: rng.randbytes(store.size) for vector in range(10)}
    put(store, rows)
    mnt = None if request.param == "alone" else stores.mount(store)
    target = mnt.point if request.param == "mounted" else store.path
    return store, mnt, target, rows


def test_one_is_made_listed_and_removed(place):
    store, mnt, target, rows = place
    assert listed(target) == []
    assert quiverfs("snapshot", "list", target).stdout == f"{target}: no snapshots\n"
    before = datetime.datetime.now(datetime.timezone.utc)
    for name in NAMES:
        done = quiverfs("snapshot", "create", target, name)
        assert re.fullmatch(re.escape(f"{target}: snapshot {name} made: 10 vectors, LSN ") +
                            r"\d+\n", done.stdout)
        assert done.stderr == ""
    after = datetime.datetime.now(datetime.timezone.utc)
    found = listed(target)
    assert [one["name"] for one in found] == NAMES
    for one in found:
        assert set(one) == {"name", "uuid", "created", "lsn", "count", "slots", "own_vectors",
                            "own_bytes", "damaged"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", one["created"])
        made = datetime.datetime.fromisoformat(one["created"][:26] + "+00:00")
        assert before - datetime.timedelta(seconds=1) <= made <= after
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one["uuid"])
        assert one["count"] == 10 and one["slots"] >= 10 and one["lsn"] > 0
        assert (one["own_vectors"], one["damaged"]) == (0, False)
    assert len({one["uuid"] for one in found}) == len(NAMES)
    assert quiverfs("snapshot", "remove", target, NAMES[0]).stdout == (
        f"{target}: snapshot {NAMES[0]} removed\n")
    quiverfs("snapshot", "remove", target, *NAMES[1:])
    assert listed(target) == []
    if mnt:
        assert os.listdir(mnt.point / "snapshots") == []


def test_the_table_is_for_people(place):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "first")
    quiverfs("snapshot", "create", target, "the-second")
    done = quiverfs("snapshot", "list", target, env={**os.environ, "TZ": "UTC-3"})
    head, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"name +made +vectors +LSN +own vectors +own bytes", head)
    for one, line in zip(listed(target), lines):
        made = datetime.datetime.fromisoformat(one["created"][:19]) + datetime.timedelta(hours=3)
        assert line.split() == [one["name"], *str(made).split(), "10", f"{one['lsn']:,}", "0",
                                *line.split()[-2:]]
    assert len({len(line) for line in [head, *lines]}) == 1


def test_what_one_alone_has_is_told(place, rng):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "both1")
    quiverfs("snapshot", "create", target, "both2")
    put_through(store, mnt, {0: rng.randbytes(store.size)})
    quiverfs("snapshot", "create", target, "one")
    put_through(store, mnt, {1: rng.randbytes(store.size), 0: rng.randbytes(store.size)})
    found = {one["name"]: one for one in listed(target)}
    # both1 and both2 share the first of 0; all three have the first of 1; one has the second of 0
    assert [found[name]["own_vectors"] for name in ("both1", "both2", "one")] == [0, 0, 1]
    assert found["one"]["own_bytes"] >= store.size > found["both1"]["own_bytes"]
    status = json.loads(quiverfs("status", target, "--json").stdout)
    assert (status["snapshots"], status["slots_held"]) == (3, 3)
    assert status["snapshot_max"] == "one"
    assert status["snapshot_max_bytes"] == found["one"]["own_bytes"]
    text = " ".join(quiverfs("status", target).stdout.split())
    assert "3; they hold 3 slots, 300 B; one alone holds the most" in text
    assert "@ 3 of snapshots" in text
    quiverfs("snapshot", "remove", target, "one")
    if mnt:
        mnt.control("checkpoint", "1")  # until then what it had is held
    status = json.loads(quiverfs("status", target, "--json").stdout)
    assert (status["snapshots"], status["slots_held"]) == (2, 2)
    text = " ".join(quiverfs("status", target).stdout.split())
    assert "2; they hold 2 slots, 200 B; more than one snapshot holds each slot" in text
    quiverfs("snapshot", "remove", target, "both1", "both2")
    if mnt:
        mnt.control("checkpoint", "1")
    status = json.loads(quiverfs("status", target, "--json").stdout)
    assert (status["snapshots"], status["slots_held"], status["versions_bytes"]) == (0, 0, 0)
    assert (status["snapshot_max"], status["snapshot_max_bytes"]) == ("", 0)
    assert "snapshots" not in quiverfs("status", target).stdout


def put_through(store, mnt, rows):
    if mnt:
        for vector, data in rows.items():
            mnt.put(vector, data)
    else:
        put(store, rows)


def test_diff_tells_what_differs(place, rng):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "old")
    put_through(store, mnt, {3: rng.randbytes(store.size), 12: rng.randbytes(store.size)})
    put_through(store, mnt, {7: rows[7]})
    if mnt:
        mnt.path(5).unlink()
        os.chmod(mnt.path(8), 0o600)
    else:
        remove(store, [5])
    quiverfs("snapshot", "create", target, "new")
    assert differ(target, "old", "new") == ["~ 3", "- 5", "~ 7", "+ 12"]
    attributes = ["= 8"] if mnt else []
    assert differ(target, "old", "new", "--attributes") == ["~ 3", "- 5", "~ 7", *attributes,
                                                            "+ 12"]
    assert differ(target, "old", "old") == []
    done = quiverfs("snapshot", "diff", target, "new", "old", status=1)
    assert done.stdout == "" and "old" in done.stderr and done.stderr.count("\n") == 1


def test_what_was_kept_is_exported(place, rng):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "kept")
    newer = {vector: rng.randbytes(store.size) for vector in range(5, 15)}
    put_through(store, mnt, newer)
    assert contents(store, f"{target}@kept") == rows
    assert contents(store, f"{store.path}@kept") == rows
    assert contents(store, target) == {**rows, **newer}
    for at in {f"{target}@kept", f"{store.path}@kept"}:
        status = json.loads(quiverfs("status", at, "--json").stdout)
        assert (status["count"], status["dim"]) == (10, store.dim)
        if at.startswith(str(store.path)):
            quiverfs("verify", at)
        else:
            done = quiverfs("verify", at, status=1)
            assert "in a live mount a snapshot is verified together with its store" in done.stderr
    check = quiverfs("check", f"{target}@kept", status=1)
    assert f"a snapshot is checked together with its store: 'quiverfs check {target}'" in check.stderr
    if mnt:
        mnt.unmount()
    assert ": 15 vectors and 5 more that 1 snapshot has kept checked, no faults" in quiverfs(
        "check", store.path).stdout


def test_nothing_is_changed_in_one(place):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "kept")
    for words in (["flush"], ["compact"], ["import"]):
        more = [store.folder / "rows.npy"] if words == ["import"] else []
        done = quiverfs(*words, f"{target}@kept", *more, status=1)
        assert done.stderr == (f"quiverfs: {target}@kept: a snapshot cannot be changed; "
                               f"give the store itself, {target}\n")


def test_a_name_that_cannot_be_one_is_refused(place):
    store, mnt, target, rows = place
    for name in NOT_NAMES:
        for words in (["create", target, name], ["remove", target, name],
                      ["diff", target, name, "a"]):
            done = quiverfs("snapshot", *words, status=2)
            assert "cannot be the name of a snapshot; expected 1 to 64 characters of" in done.stderr
    assert store.path.exists() and contents(store, target) == rows


def test_what_is_there_or_not_is_told(place):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "a")
    shown = mnt.point if mnt else store.path
    done = quiverfs("snapshot", "create", target, "a", status=1)
    assert done.stderr == (f"quiverfs: {shown}: there is a snapshot a already; remove it, or take "
                           "another name\n")
    done = quiverfs("snapshot", "remove", target, "none", "a", status=1)
    assert done.stdout == f"{target}: snapshot a removed\n"
    assert done.stderr == (f"quiverfs: {shown}: there is no snapshot none; 'quiverfs snapshot list "
                           f"{shown}' lists them\n")
    for words in (["snapshot", "diff", target, "a", "b"], ["status", f"{target}@none"],
                  ["export", f"{target}@none", store.folder / "none.npy"]):
        done = quiverfs(*words, status=1)
        assert "snapshot" in done.stderr and done.stderr.count("\n") == 1
    assert not (store.folder / "none.npy").exists()


def test_wrong_usage_says_what_is_right(stores):
    store = stores.create()
    for words, said in ((["make", store.path], "expected create, remove, list or diff, got"),
                        (["create", store.path], "the name of a snapshot is missing"),
                        (["create", f"{store.path}@v1"],
                         f"give the name as a separate word: 'quiverfs snapshot create {store.path} "
                         "v1'"),
                        (["create", store.path, "a", "b"], "unexpected 'b'"),
                        (["diff", store.path, "a"], "the name of a snapshot is missing"),
                        (["list", store.path, "a"], "unexpected 'a'"),
                        (["diff", store.path, "a", "b", "--json"], "--json is only for list"),
                        (["list", store.path, "--attributes"], "--attributes is only for diff"),
                        (["list"], "expected create, remove, list or diff, then STORE or MNT")):
        assert said in quiverfs("snapshot", *words, status=2).stderr
    done = quiverfs("snapshot", "list", "rados:pool/collection", status=2)
    assert "a collection in Ceph has no snapshots; only a store in a folder" in done.stderr


def test_a_snapshot_has_none_itself(place):
    store, mnt, target, rows = place
    quiverfs("snapshot", "create", target, "a")
    done = quiverfs("snapshot", "list", f"{target}@a", status=1)
    assert "a snapshot has no snapshots; give the store" in done.stderr


def test_others_may_read_meanwhile(stores, rng):
    store = stores.create()
    put(store, {vector: rng.randbytes(store.size) for vector in range(3)})
    quiverfs("snapshot", "create", store.path, "a")
    quiverfs("snapshot", "create", store.path, "b")
    mnt = stores.mount(store, options=["ro"])
    for target in (store.path, mnt.point):
        assert [one["name"] for one in listed(target)] == ["a", "b"]
        assert differ(target, "a", "b") == []
        for words in (["create", target, "c"], ["remove", target, "a"]):
            done = quiverfs("snapshot", *words, status=1)
            assert "read-only" in done.stderr and done.stderr.count("\n") == 1
    assert len(contents(store, f"{store.path}@a")) == 3


def test_a_damaged_one_is_told_of_and_removed(stores, rng):
    store = stores.create()
    rows = {vector: rng.randbytes(store.size) for vector in range(3)}
    put(store, rows)
    for name in ("bad", "good", "worse"):
        quiverfs("snapshot", "create", store.path, name)
    with open(store.path / "snapshots/bad", "r+b") as file:
        for copy in (0, 4096):
            file.seek(copy + 100)
            file.write(b"\xff" * 8)
    os.truncate(store.path / "snapshots/worse", 0)
    mnt = None
    for target in (store.path, "mount"):
        if target == "mount":
            mnt = stores.mount(store, check=False)
            target = mnt.point
        found = {one["name"]: one for one in listed(target)}
        assert found["bad"] == {"name": "bad", "damaged": True}
        assert found["good"]["count"] == 3 and not found["good"]["damaged"]
        lines = quiverfs("snapshot", "list", target).stdout.splitlines()
        assert "bad    damaged: its file cannot be read" in lines
        for words in (["export", f"{target}@bad", store.folder / "bad.npy"],
                      ["snapshot", "diff", target, "bad", "good"]):
            done = quiverfs(*words, status=1)
            assert "bad" in done.stderr and "damaged" in done.stderr
            assert done.stderr.count("\n") == 1
        assert contents(store, f"{target}@good") == rows
    with os.scandir(mnt.point / "snapshots") as entries:
        numbers = {entry.name: entry.inode() for entry in entries}
    assert set(numbers) == {"bad", "good", "worse"} and len(set(numbers.values())) == 3
    mnt.forget_errors()
    quiverfs("snapshot", "remove", mnt.point, "bad", "worse")
    assert [one["name"] for one in listed(mnt.point)] == ["good"]
    mnt.unmount()
    store.check()


def features_to_change(store):
    """u64@136 of the newer copy of the superblock: who does not know them all may not write."""
    text = (store.path / "superblock").read_bytes()
    copies = [text[at:at + 4096] for at in (0, 4096)]
    newest = max(copies, key=lambda copy: int.from_bytes(copy[32:40], "little"))
    return int.from_bytes(newest[136:144], "little")


def test_an_older_program_may_not_write_while_there_is_one(stores, rng):
    """It would give away what they have. Later it may again."""
    store = stores.create()
    put(store, {vector: rng.randbytes(store.size) for vector in range(3)})
    assert features_to_change(store) == 0
    quiverfs("snapshot", "create", store.path, "a")
    assert features_to_change(store) == 1
    put(store, {1: rng.randbytes(store.size)})
    assert features_to_change(store) == 1 and (store.path / "versions").exists()
    quiverfs("snapshot", "remove", store.path, "a")
    assert features_to_change(store) == 0 and not (store.path / "versions").exists()
    assert json.loads(quiverfs("status", store.path, "--json").stdout)["slots_held"] == 0
    store.check()


def test_a_folder_with_such_a_name_stays_a_folder(stores, rng):
    """As it was before there were snapshots."""
    store = stores.create(name="me@home")
    put(store, {7: rng.randbytes(store.size)})
    assert json.loads(quiverfs("status", store.path, "--json").stdout)["count"] == 1
    quiverfs("snapshot", "create", store.path, "a")
    assert list(contents(store, f"{store.path}@a")) == [7]
    done = quiverfs("create", f"{store.path}@a", "--dim", 4, status=1)
    assert f"the form of a name of a snapshot, of the store {store.path}" in done.stderr
    shutil.copytree(store.path, f"{store.path}@a")
    put(store, {8: rng.randbytes(store.size)})
    quiverfs("import", f"{store.path}@a", store.folder / "rows.npy", "--ids",
             store.folder / "ids.npy")
    assert sorted(contents(store, f"{store.path}@a")) == [7, 8]
