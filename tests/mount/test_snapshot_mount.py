"""quiverfs mount STORE@NAME: beside a live mount of the store and others of its snapshots, and what
is refused."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from files import refused
from harness import is_mounted, quiverfs, run, until


class Kept:
    """A snapshot, as something to be mounted."""

    def __init__(self, store, name):
        self.folder = store.folder
        self.size = store.size
        self.path = Path(f"{store.path}@{name}")


def mount_kept(stores, mnt, name, **options):
    return stores.mount(Kept(mnt.store, name), name="at-" + name, check=False, **options)


def contents(mounted):
    return {vector: mounted.get(vector) for vector in mounted.ids()}


def background(store, point, *more, **options):
    """As a person mounts; what was said."""
    point.mkdir(exist_ok=True)
    return quiverfs("mount", store, point, *more, **options).stderr


def take_down(point):
    run("umount", point)
    until(lambda: not is_mounted(point), "it stays")


@pytest.fixture
def versions(stores, rng):
    """A live mount of three versions, and what is in each."""
    mnt = stores.mount()
    found = {}
    for name in ("v1", "v2", "v3"):
        for vector in rng.sample(range(40), 25):
            mnt.put(vector, rng.randbytes(mnt.size))
        for vector in rng.sample(sorted(mnt.ids()), 5):
            mnt.path(vector).unlink()
        found[name] = contents(mnt)
        quiverfs("snapshot", "create", mnt.point, name)
    return mnt, found


def test_several_beside_the_live_mount(stores, versions, rng):
    mnt, found = versions
    kept = {name: mount_kept(stores, mnt, name) for name in found}
    for vector in range(60):
        mnt.put(vector, rng.randbytes(mnt.size))
    mnt.control("checkpoint", "1")
    quiverfs("compact", mnt.point)
    live = contents(mnt)
    for name, mounted in kept.items():
        assert contents(mounted) == found[name]
        assert not (mounted.point / "snapshots").exists()
        source = run("findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", mounted.point).stdout.decode()
        assert source.split()[:2] == [f"{mnt.store.path}@{name}", "fuse.quiverfs"]
        assert source.split()[2].startswith("ro,")
        status = json.loads(quiverfs("status", mounted.point, "--json").stdout)
        assert status["read_only"] and status["count"] == len(found[name])
        assert status["store"] == f"{mnt.store.path}@{name}"
        text = quiverfs("status", mounted.point).stdout
        assert "mounted read-only" in text and "it is a snapshot" in text
        assert "fragmented" not in text  # nobody could compact it
    # the store itself is still that of the live mount
    assert json.loads(quiverfs("status", mnt.store.path, "--json").stdout)["mount"] == str(mnt.point)
    kept["v2"].unmount()
    assert contents(mnt) == live and contents(kept["v1"]) == found["v1"]
    # they outlive it, and another has the store alone
    mnt.unmount()
    again = stores.mount(mnt.store)
    again.put(7, live[8])
    assert contents(kept["v3"]) == found["v3"] and contents(again) == {**live, 7: live[8]}


def test_nothing_is_changed_in_it(stores, versions):
    mnt, found = versions
    kept = mount_kept(stores, mnt, "v1")
    vector = min(found["v1"])
    for act in (lambda: kept.path(vector).write_bytes(bytes(kept.size)),
                lambda: kept.path(10**6).write_bytes(bytes(kept.size)),
                lambda: kept.path(vector).unlink(),
                lambda: os.rename(kept.path(vector), kept.path(10**6)),
                lambda: os.chmod(kept.path(vector), 0o600),
                lambda: os.utime(kept.path(vector), (1, 1)),
                lambda: os.mkdir(kept.point / "snapshots"),
                lambda: os.truncate(kept.path(vector), 0)):
        with refused(errno.EROFS):
            act()
    for words in (["import", kept.point, mnt.store.folder / "none.npy"], ["compact", kept.point],
                  ["snapshot", "create", kept.point, "v4"]):
        done = quiverfs(*words, status=1)
        assert done.stderr.startswith("quiverfs: ")
    done = quiverfs("snapshot", "list", kept.point, status=1)
    assert f"a mount of a snapshot; a snapshot has no snapshots; give the store, {mnt.store.path}" in (
        done.stderr)
    assert contents(kept) == found["v1"]


def test_one_that_is_mounted_is_not_removed(stores, versions):
    mnt, found = versions
    kept = mount_kept(stores, mnt, "v1")
    for target in (mnt.point, mnt.store.path):
        done = quiverfs("snapshot", "remove", target, "v1", status=1)
        assert done.stderr == (f"quiverfs: {mnt.point}: snapshot v1 is mounted at {kept.point}; "
                               "unmount it first\n")
    with refused(errno.EBUSY):
        os.rmdir(mnt.point / "snapshots/v1")
    mnt.forget_errors()
    assert contents(kept) == found["v1"]
    kept.unmount()
    quiverfs("snapshot", "remove", mnt.point, "v1")
    assert quiverfs("status", f"{mnt.store.path}@v1", status=1).stdout == ""


def test_of_a_store_that_nobody_has_open(stores, versions):
    mnt, found = versions
    mnt.unmount()
    names = sorted(path.name for path in mnt.store.path.rglob("*"))
    at = mnt.store.folder / "once"
    said = background(f"{mnt.store.path}@v2", at)
    assert said == f"quiverfs: {mnt.store.path}@v2: a snapshot, so it is mounted read-only\n"
    assert {int(name) for name in os.listdir(at / "vectors")} == set(found["v2"])
    assert sorted(path.name for path in mnt.store.path.rglob("*")) == names
    quiverfs("check", mnt.store.path)  # which has the store to itself
    take_down(at)
    for more in (["-o", "ro"], ["-r"]):
        words = more if more[0] == "-o" else ["-o", "ro,noatime"]
        assert background(f"{mnt.store.path}@v2", at, *words) == ""
        take_down(at)


@pytest.mark.parametrize("option", ["durability=always", "commit=3", "autocompact=50", "uid=0",
                                    "gid=0", "umask=022"])
def test_options_that_make_no_sense_are_refused(stores, versions, option):
    mnt, _ = versions
    at = mnt.store.folder / "once"
    for before in ("", "ro,"):
        said = background(f"{mnt.store.path}@v1", at, "-o", before + option, status=2)
        assert said == (f"quiverfs: option {option.partition('=')[0]}: {mnt.store.path}@v1 is a "
                        "snapshot and cannot be changed; leave the option out\n")
    assert not is_mounted(at)


def test_what_cannot_be_mounted_is_told(stores, versions):
    mnt, _ = versions
    at = mnt.store.folder / "once"
    for store, told in ((f"{mnt.store.path}@none", "none"),
                        (f"{mnt.store.folder}/nowhere@v1", "No such file or directory"),
                        (f"{mnt.point}@v1", f"is a mount, of the store {mnt.store.path}; to mount its snapshot")):
        said = background(store, at, status=1)
        assert told in said and said.count("\n") == 1 and not is_mounted(at)
    mnt.store.path.joinpath("inside").mkdir()
    said = background(f"{mnt.store.path}@v1", mnt.store.path / "inside", status=1)
    assert "neither inside the other" in said
    mnt.store.path.joinpath("inside").rmdir()
    said = background(f"{mnt.store.path}@v1", mnt.point, status=1)
    assert f"the store {mnt.store.path} is mounted here already" in said


def test_the_helper_of_mount(stores, versions):
    """As mount(8) calls it, which says rw to all."""
    mnt, found = versions
    helper = Path(os.environ.get("QUIVERFS", "quiverfs")).with_name("mount.quiverfs")
    if not helper.exists():
        pytest.skip("there is no mount.quiverfs beside the program")
    at = mnt.store.folder / "once"
    at.mkdir()
    run(helper, f"{mnt.store.path}@v1", at, "-o", "rw,noatime")
    assert {int(name) for name in os.listdir(at / "vectors")} == set(found["v1"])
    take_down(at)
    run(helper, f"{mnt.store.path}@none", at, "-o", "rw,nofail")
    run(helper, f"{mnt.store.folder}/nowhere@v1", at, "-o", "rw,nofail")
    assert not is_mounted(at)
    assert run(helper, f"{mnt.store.path}@none", at, "-o", "rw", status=32).stderr
    done = subprocess.run([helper, f"{mnt.store.path}@v1", at, "-o", "rw,uid=0,nofail"],
                          capture_output=True, check=False)
    assert done.returncode == 32 and b"option uid" in done.stderr


def test_a_daemon_that_is_killed_holds_nothing(stores, versions):
    mnt, found = versions
    kept = mount_kept(stores, mnt, "v1")
    kept.kill()
    run("umount", kept.point)
    quiverfs("snapshot", "remove", mnt.point, "v1")


def test_the_memory_it_takes_is_that_of_the_slots(stores, rng, no_sanitizer):
    """About 80 bytes a slot, as the page says."""
    mnt = stores.mount(stores.create(dim=1))
    count = 200000
    rows = mnt.store.folder / "rows.fvecs"
    rows.write_bytes(b"".join((1).to_bytes(4, "little") + rng.randbytes(4) for _ in range(count)))
    quiverfs("import", mnt.point, rows)
    quiverfs("snapshot", "create", mnt.point, "empty-store")
    kept = mount_kept(stores, mnt, "empty-store")

    def anonymous(pid):
        text = Path(f"/proc/{pid}/status").read_text()
        return sum(int(text.split(name)[1].split()[0]) << 10 for name in ("RssAnon:", "RssShmem:"))

    taken = anonymous(kept.pid)
    assert len(kept.ids()) == count
    print("bytes a slot:", (taken - 8e6) / count)
    assert taken < 120 * count + (16 << 20)
