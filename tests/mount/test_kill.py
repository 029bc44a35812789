"""The daemon is killed in the middle of writing: what had been closed is there."""

import os
import subprocess
import time

import pytest

from files import GONE, opened, refused
from harness import LONG, quiverfs, run

BOTH_TRANSPORTS = True
ROUNDS = 10 if LONG else 2
FILES = 3000


@pytest.fixture
def sources(tmp, rng):
    """A folder of vectors for cp, and what is in each."""
    folder, data = tmp / "sources", {}
    folder.mkdir()
    for vector in range(FILES):
        data[vector] = rng.randbytes(3072)
        (folder / str(vector)).write_bytes(data[vector])
    return folder, data


def copy_until_killed(mnt, folder, rng):
    """cp one vector after another; kill the daemon after some of them. The numbers of
    those whose cp had returned, in order: each line is written after its cp."""
    script = ("cd \"$1\"; i=0; while [ $i -lt $2 ]; do cp $i \"$3/$i\" 2>/dev/null || exit;"
              " echo $i; i=$((i + 1)); done")
    with subprocess.Popen(["bash", "-c", script, "-", folder, str(FILES), mnt.vectors],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as copy:
        wanted, done = rng.randrange(5, 150), []
        for line in copy.stdout:
            done.append(int(line))
            if len(done) == wanted:
                time.sleep(rng.random() * 0.01)
                mnt.kill()
    assert len(done) >= wanted
    assert done == list(range(len(done)))
    return done


def remount(stores, mnt, **options):
    run("fusermount3", "-u", mnt.point)
    return stores.mount(mnt.store, **options)


@pytest.mark.parametrize("mode", ["always", "fsync", "flush"])
def test_what_cp_had_returned_for_is_there(stores, sources, rng, mode):
    folder, data = sources
    mnt = stores.mount(stores.create(dim=768), options=["durability=" + mode])
    for _ in range(ROUNDS):
        done = copy_until_killed(mnt, folder, rng)
        mnt = remount(stores, mnt, options=["durability=" + mode])
        assert mnt.errors() == []
        # the one under way may be there too, and is whole then
        assert set(done) <= mnt.ids()
        for vector in mnt.ids():
            assert mnt.get(vector) == data[vector], vector
        for vector in mnt.ids():
            os.unlink(mnt.path(vector))


def test_mode_none_goes_back_to_a_checkpoint(stores, sources, rng):
    folder, data = sources
    mnt = stores.mount(stores.create(dim=768), options=["durability=none"])
    old = {}
    for vector in range(0, 200, 2):
        old[vector] = rng.randbytes(3072)
        mnt.put(vector, old[vector])
    mnt.control("checkpoint", "1")
    done = copy_until_killed(mnt, folder, rng)
    mnt = remount(stores, mnt, options=["durability=none"])
    found = mnt.ids()
    assert set(old) <= found
    for vector in found:
        assert mnt.get(vector) in (old.get(vector), data[vector]), vector
    # a checkpoint is a prefix of what was done, and each cp was one commit
    new = [vector for vector in sorted(found) if mnt.get(vector) == data[vector]]
    assert new == list(range(len(new)))
    assert len(new) <= len(done) + 1


def test_stages_are_gone_and_their_vectors_as_before(stores, rng):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    with opened(mnt.path(1), os.O_WRONLY | os.O_TRUNC) as one, \
            opened(mnt.path(2), os.O_WRONLY | os.O_CREAT) as two, \
            opened(mnt.path(".three"), os.O_WRONLY | os.O_CREAT) as three:
        for fd in (one, two, three):
            os.write(fd, bytes(99))
        mnt.kill()
        for fd in (one, two):
            with refused(*GONE):
                os.close(fd)
    mnt = remount(stores, mnt)
    assert os.listdir(mnt.vectors) == ["1"]
    assert mnt.get(1) == data


@pytest.mark.parametrize("what", ["unlink", "rename", "chmod", "utime", "put"])
def test_a_change_that_returned_is_there(stores, rng, what):
    mnt = stores.mount()
    one, two = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    for vector in range(5):
        mnt.put(vector, one)
    if what == "unlink":
        os.unlink(mnt.path(3))
    elif what == "rename":
        os.rename(mnt.path(3), mnt.path(9))
    elif what == "chmod":
        os.chmod(mnt.path(3), 0o605)
    elif what == "utime":
        os.utime(mnt.path(3), ns=(1, 77777777777))
    else:
        mnt.control("put", (3).to_bytes(8, "little") + two + (9).to_bytes(8, "little") + two)
    names = mnt.ids()
    before = {vector: (mnt.get(vector), os.stat(mnt.path(vector))) for vector in names}
    mnt.kill()
    mnt = remount(stores, mnt)
    assert mnt.ids() == names
    for vector, (data, attributes) in before.items():
        now = os.stat(mnt.path(vector))
        assert mnt.get(vector) == data
        assert now.st_mtime_ns == attributes.st_mtime_ns
        assert (now.st_mode, now.st_ino) == (attributes.st_mode, attributes.st_ino)


def test_killed_during_a_compaction(stores, rng):
    mnt = stores.mount(stores.create(dim=768))
    data = {vector: rng.randbytes(mnt.size) for vector in range(3000)}
    records = b"".join(v.to_bytes(8, "little") + d for v, d in data.items())
    step = 80 * (mnt.size + 8)
    for at in range(0, len(records), step):
        mnt.control("put", records[at:at + step])
    for vector in range(0, 3000, 2):
        os.unlink(mnt.path(vector))
        del data[vector]
    for _ in range(3):
        mnt.control("compact", "start")
        time.sleep(rng.random() * 0.05)
        mnt.kill()
        mnt = remount(stores, mnt)
        assert mnt.errors() == []
        assert mnt.ids() == set(data)
        for vector, value in data.items():
            assert mnt.get(vector) == value


def test_a_stale_mount_point_says_what_to_run(stores, rng):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.kill()
    with refused(*GONE):
        os.listdir(mnt.vectors)
    # what is mounted there may be another program's for all that a mount knows
    command = "umount" if os.geteuid() == 0 else "fusermount3 -u"
    for words, says in [(["mount", mnt.store.path, mnt.point], command),
                        (["status", mnt.point], "quiverfs umount")]:
        assert f"{says} {mnt.point}" in quiverfs(*words, status=1).stderr
    # the store is nobody's now
    assert "1" in quiverfs("status", mnt.store.path).stdout
    quiverfs("umount", mnt.point)
    assert stores.mount(mnt.store).get(1) == data
