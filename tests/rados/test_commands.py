"""The commands on collections in a cluster: without a mount, and beside one."""

import contextlib
import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from clusters import POOL
from harness import QUIVERFS, quiverfs, run, until
from ordinary_user import NOBODY, ordinary_user_words
from test_status import documented
from test_system import System

DTYPES = {"f4": "<f4", "f2": "<f2", "f8": "<f8", "i1": "|i1", "u1": "|u1"}
OBJECT_SLOTS = 1024  # of vectors of 100 bytes


def rows_of(dtype, count, dim=25, seed=1):
    """Random bytes that are numbers in any of the types."""
    random = np.random.default_rng(seed)
    if dtype.startswith("<f"):
        return random.standard_normal((count, dim)).astype(dtype)
    return random.integers(-100 if dtype == "|i1" else 0, 100, (count, dim)).astype(dtype)


def one_line(done):
    """What a command says of its one fault."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("quiverfs: "), done.stderr
    return lines[0]


def refused(*words, status=1, **options):
    return one_line(quiverfs(*words, status=status, **options))


def status_of(target, *options):
    return json.loads(quiverfs("status", target, "--json", *options).stdout)


@pytest.fixture
def docs(stores):
    """A collection with 3,000 vectors, which are in three objects."""
    made = stores.create()
    made.rows = rows_of("<f4", 3000)
    np.save(made.folder / "rows.npy", made.rows)
    done = quiverfs("import", made.path, made.folder / "rows.npy")
    assert "3000 vectors" in done.stdout.replace(",", "") and done.stderr == ""
    return made


def exported(collection, *options):
    to = collection.folder / "exported.npy"
    quiverfs("export", collection.path, to, *options)
    return np.load(to)


# ---- vectors in and out --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_of_each_type_come_back(stores, dtype):
    made = stores.create(dim=25, dtype=dtype)
    rows = rows_of(DTYPES[dtype], 2500)
    np.save(made.folder / "rows.npy", rows)
    quiverfs("import", made.path, made.folder / "rows.npy", "--start-id", 10)
    back = exported(made, "--ids", made.folder / "ids.npy")
    assert back.dtype == rows.dtype and (back == rows).all()
    assert (np.load(made.folder / "ids.npy") == np.arange(10, 2510)).all()
    made.check()


@pytest.mark.parametrize("dtype, dim", [("b1", 40), ("bf2", 7)])
def test_vectors_that_numpy_has_not_come_back(stores, dtype, dim):
    made = stores.create(dim=dim, dtype=dtype)
    raw = os.urandom(made.size * 700)
    (made.folder / "rows.bin").write_bytes(raw)
    quiverfs("import", made.path, made.folder / "rows.bin", "--format", "raw")
    quiverfs("export", made.path, made.folder / "back.bin", "--format", "raw")
    assert (made.folder / "back.bin").read_bytes() == raw


def test_ids_that_are_far_apart(stores):
    made = stores.create(options=["--sparse"])
    ids = np.sort(np.random.default_rng(2).integers(0, 2**63, 50).astype("<u8"))
    rows = rows_of("<f4", 50)
    np.save(made.folder / "rows.npy", rows)
    np.save(made.folder / "ids.npy", ids)
    quiverfs("import", made.path, made.folder / "rows.npy", "--ids", made.folder / "ids.npy")
    assert (exported(made, "--ids", made.folder / "back.npy") == rows).all()
    assert (np.load(made.folder / "back.npy") == ids).all()
    assert status_of(made.path)["slots_per_object"] == 1


def operations(cluster):
    """How many writes and reads the OSD has served."""
    text = run("ceph", "--admin-daemon", cluster.folder / "run/osd.0.asok", "perf",
               "dump").stdout
    osd = json.loads(text)["osd"]
    return osd["op_w"] + osd["op_rw"], osd["op_r"]


def test_many_vectors_are_few_requests(docs, cluster):
    """Over a network one by one is a wait for each."""
    folder = docs.folder / "files"
    writes, reads = operations(cluster)
    assert (exported(docs) == docs.rows).all()
    quiverfs("export", docs.path, f"{folder}/")
    assert len(os.listdir(folder)) == len(docs.rows)
    after_writes, after_reads = operations(cluster)
    assert after_reads - reads < 300 and after_writes - writes < 30
    quiverfs("import", docs.path, docs.folder / "rows.npy")
    quiverfs("import", docs.path, docs.folder / "rows.npy", "--on-duplicate", "skip")
    writes, reads = operations(cluster)
    assert writes - after_writes < 100 and reads - after_reads < 300


def test_an_import_through_a_mount_writes_each_object_once(stores, cluster):
    mnt = stores.mount(stores.create(dim=768))
    np.save(mnt.store.folder / "rows.npy", rows_of("<f4", 12800, dim=768))
    before = operations(cluster)[0]
    quiverfs("import", mnt.point, mnt.store.folder / "rows.npy")
    assert 200 <= operations(cluster)[0] - before < 240  # and its header, now and then


def test_a_folder_comes_back_with_times_and_modes(docs):
    folder, again = docs.folder / "files", docs.folder / "again"
    folder.mkdir()
    for vector in range(40):
        (folder / str(vector)).write_bytes(os.urandom(docs.size))
        os.utime(folder / str(vector), ns=(0, 10**18 + vector))
        os.chmod(folder / str(vector), 0o640)
    done = quiverfs("import", docs.path, folder, "--update")
    assert "40 vectors imported" in done.stdout
    done = quiverfs("import", docs.path, folder, "--update")
    assert "0 vectors imported" in done.stdout
    quiverfs("export", docs.path, f"{again}/")
    for vector in range(40):
        file, status = again / str(vector), os.stat(again / str(vector))
        assert file.read_bytes() == (folder / str(vector)).read_bytes()
        assert (status.st_mtime_ns, status.st_mode & 0o7777) == (10**18 + vector, 0o640)
    assert "0 vectors exported" in quiverfs("export", docs.path, f"{again}/", "--update").stdout


def test_what_is_there_can_be_passed_over(docs):
    other = rows_of("<f4", 3010, seed=9)
    np.save(docs.folder / "other.npy", other)
    line = refused("import", docs.path, docs.folder / "other.npy", "--on-duplicate", "fail")
    assert "vector 0 exists already" in line
    quiverfs("import", docs.path, docs.folder / "other.npy", "--on-duplicate", "skip")
    back = exported(docs)
    assert (back[:3000] == docs.rows).all() and (back[3000:] == other[3000:]).all()
    twice = docs.folder / "twice.jsonl"
    twice.write_text("".join(json.dumps({"id": 5000, "vector": [n] * 25}) + "\n"
                             for n in range(3)))
    quiverfs("import", docs.path, twice, "--on-duplicate", "skip")
    assert (exported(docs)[-1] == 0).all()
    quiverfs("import", docs.path, twice)
    assert (exported(docs)[-1] == 2).all()


def test_a_signal_ends_an_import_in_order(docs):
    """What was read before is in, whole."""
    fifo = docs.folder / "rows.csv"
    os.mkfifo(fifo)
    with subprocess.Popen([QUIVERFS, "import", docs.path, fifo, "--start-id", "10000"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as importing:
        with open(fifo, "w", encoding="ascii") as file:
            file.write(",".join("1" * 25) + "\n")
            file.flush()
            time.sleep(0.2)
            importing.send_signal(signal.SIGINT)
            with contextlib.suppress(BrokenPipeError):
                for _ in range(100000):
                    file.write(",".join("1" * 25) + "\n")
        text = importing.communicate()[1].decode()
    assert importing.returncode == 1 and "stopped" in text, text
    docs.check()


def test_a_search_in_a_collection(docs, stores):
    rows = docs.rows.astype("f8")
    far = ((rows - rows[5]) ** 2).sum(axis=1)
    near = np.argsort(far, kind="stable")[1:11]
    text = quiverfs("search", docs.path, 5).stdout
    found = [line.split() for line in text.splitlines()]
    assert [int(vector) for vector, _ in found] == near.tolist()
    assert [float(distance) for _, distance in found] == pytest.approx(far[near], rel=1e-8)
    # -o is both, how the cluster is reached and where it goes
    quiverfs("search", docs.path, docs.folder / "rows.npy", "-k", 1, "-o", "op_timeout=50",
             "-o", docs.folder / "all.ivecs")
    assert (np.fromfile(docs.folder / "all.ivecs", "<i4").reshape(-1, 2)[:, 1] == np.arange(3000)).all()
    assert quiverfs("search", docs.path, "--self", "--within", 0).stdout == ""
    assert "there is no vector 4000" in refused("search", docs.path, 4000)
    # and through mounts of it
    assert quiverfs("search", stores.mount(docs).point, 5).stdout == text
    mnt = stores.mount(docs, name="other", options=["ro"])
    assert quiverfs("search", mnt.point, 5).stdout == text


# ---- beside a mount ------------------------------------------------------------------------


def test_a_collection_that_is_mounted_is_worked_on_itself(docs, stores):
    mnt = stores.mount(docs)
    new = rows_of("<f4", 1, seed=5)
    np.save(docs.folder / "new.npy", new)
    quiverfs("import", docs.path, docs.folder / "new.npy", "--start-id", 7000)
    assert mnt.get(7000) == new.tobytes()
    mnt.put(7001, bytes(docs.size))
    assert (exported(docs)[-1] == 0).all()
    seen = status_of(docs.path)
    assert seen["count"] == 3002 and seen["mounted"] is False
    quiverfs("verify", docs.path)
    docs.check()


def test_the_mount_of_a_collection_is_a_target_too(docs, stores):
    mnt = stores.mount(docs)
    seen = status_of(mnt.point)
    assert seen["mounted"] is True and seen["store"] == docs.path and seen["count"] == 3000
    assert (seen["pool"], seen["collection"]) == (POOL, docs.name)
    quiverfs("export", mnt.point, docs.folder / "mount.npy")
    assert (np.load(docs.folder / "mount.npy") == docs.rows).all()
    quiverfs("import", mnt.point, docs.folder / "rows.npy", "--start-id", 10000)
    quiverfs("flush", mnt.point)
    assert status_of(docs.path)["count"] == 6000
    assert " 0 mismatches" in quiverfs("verify", mnt.point).stdout
    assert docs.path in refused("check", mnt.point)
    assert "needs no compaction" in refused("compact", mnt.point)
    mnt.expect_error("compact")


def test_what_mount_and_fstab_hand_over(docs, tmp):
    point = tmp / "by-helper"
    point.mkdir()
    helper = os.path.join(os.path.dirname(QUIVERFS), "mount.quiverfs")
    options = "rw,_netdev,nofail,noauto,x-systemd.automount,x-systemd.mount-timeout=900," \
              "comment=x,id=admin,op_timeout=30"
    run(helper, docs.path, point, "-o", options)
    try:
        assert f"{docs.path} {point} fuse.quiverfs" in open("/proc/mounts").read()
        assert (point / "vectors/0").read_bytes() == docs.rows[0].tobytes()
        line = refused("mount", docs.path, point)
        assert "already mounted here" in line
    finally:
        run("umount" if os.geteuid() == 0 else "fusermount3", *([] if os.geteuid() == 0 else ["-u"]),
            point)


def test_options_that_a_collection_cannot_keep_are_refused(docs, tmp):
    point = tmp / "never"
    point.mkdir()
    for option, expected in {"durability=none": "give 'always'", "durability=fsync": "always",
                             "durability=flush": "always", "autocompact=30": "give 0"}.items():
        line = refused("mount", docs.path, point, "-o", option)
        assert docs.path in line and option.split("=")[0] in line and expected in line
    assert str(point) not in open("/proc/mounts", encoding="ascii").read()


def test_options_that_a_collection_keeps_anyway(docs, stores):
    mnt = stores.mount(docs, options=["durability=always,autocompact=0,commit=1"])
    assert mnt.control("durability") == "always\n"
    mnt.unmount()
    assert stores.mount(docs, options=["sync"]).control("durability") == "always\n"


def test_a_comma_in_the_name_of_a_file(docs, cluster, tmp):
    """librados looks for two files."""
    conf = tmp / "of,team.conf"
    shutil.copy(cluster.conf, conf)
    given = "conf=" + str(conf).replace(",", "\\,")
    (tmp / "point").mkdir()
    for command in ["status", docs.path], ["mount", docs.path, tmp / "point"]:
        line = refused(*command, "-o", given)
        assert str(conf) in line and "as the end of a name" in line


def test_a_backslash_in_the_name_of_a_file(docs, cluster, tmp, stores, monkeypatch):
    conf = tmp / "team\\ a.conf"
    shutil.copy(cluster.conf, conf)
    given = "conf=" + str(conf).replace("\\", "\\\\")
    monkeypatch.setenv("CEPH_CONF", str(tmp / "none.conf"))
    assert status_of(docs.path, "-o", given)["count"] == 3000
    mnt = stores.mount(docs, options=[given + ",op_timeout=30"], check=False)
    assert mnt.stats()["op_timeout_s"] == "30" and mnt.get(0) == docs.rows[0].tobytes()


def test_nofail_does_not_hide_a_cluster(tmp, cluster):
    """A store that is no folder is no folder that is missing."""
    point = tmp / "by-helper"
    point.mkdir()
    helper = os.path.join(os.path.dirname(QUIVERFS), "mount.quiverfs")
    done = run(helper, f"rados:{POOL}/none", point, "-o", "nofail", status=32)
    assert b"no such collection" in done.stderr


# ---- looking, checking, removing -----------------------------------------------------------


def test_status_tells_where_it_lies(docs):
    seen = status_of(docs.path)
    always, more = documented()[0], documented(of_collections=True)[0]
    assert set(seen) | {"namespace"} == always | more
    assert seen["store"] == docs.path and seen["mounted"] is False
    assert seen["count"] == 3000 and seen["dim"] == 25 and seen["dtype"] == "f4"
    assert (seen["pool"], seen["collection"], seen["user"]) == (POOL, docs.name, "client.admin")
    assert (seen["slots_per_object"], seen["stride_bytes"]) == (OBJECT_SLOTS, 100)
    assert seen["health"].startswith("HEALTH_") and "namespace" not in seen
    text = quiverfs("status", docs.path).stdout
    assert f"{docs.path}: in Ceph" in text and "3,000, dim 25" in text
    assert "1,024 vectors in each" in text
    for words in ("log, index", "slots", "commits"):
        assert f"\n  {words} " not in text


def look_at_lost(mnt, state, head, what_to_do):
    """`status` of a mount that has lost its collection."""
    before = int(mnt.stats()["io_errors"])
    seen = status_of(mnt.point)
    assert int(mnt.stats()["io_errors"]) - before <= 4
    assert seen["mounted"] is True and seen["failed"] is True and seen["state"] == state
    assert seen["count"] is None and seen["store_bytes"] is None
    text = " ".join(quiverfs("status", mnt.point).stdout.split())
    assert head in text and what_to_do in text and "vectors unknown: the c" in text
    assert "failed in the cluster since it was mounted" in text
    assert " disk " not in text.lower() and "vectors 0" not in text
    with subprocess.Popen([QUIVERFS, "status", mnt.point, "--json", "--watch=0.1"],
                          stdout=subprocess.PIPE) as following:
        assert json.loads(following.stdout.readline())["state"] == state
        following.send_signal(signal.SIGINT)
        following.stdout.read()
    mnt.forget_errors()


def reads(mnt):
    try:
        return bool(mnt.get(0))
    except OSError as error:
        assert error.errno == errno.EIO
        return False


def test_status_of_a_collection_that_somebody_has_removed(docs, stores):
    mnt = stores.mount(docs, check=False)
    assert status_of(mnt.point)["state"] == "open" and reads(mnt)
    quiverfs("remove", docs.path, "--yes")
    until(lambda: not reads(mnt), "it still reads")
    look_at_lost(mnt, "gone", "GONE the collection or its pool was removed",
                 f"Unmount it: umount {mnt.point}")


def test_status_of_a_client_that_is_fenced(docs, stores, cluster):
    mnt = stores.mount(docs)
    [address] = cluster.addresses(docs)
    cluster.fence(address)
    until(lambda: not reads(mnt), "it is not fenced")
    look_at_lost(mnt, "fenced", "FENCED the cluster refuses this client", "mount again")


def test_status_follows_a_collection(docs):
    with subprocess.Popen([QUIVERFS, "status", docs.path, "--json", "--watch=0.1"],
                          stdout=subprocess.PIPE) as following:
        assert json.loads(following.stdout.readline())["count"] == 3000
        quiverfs("import", docs.path, docs.folder / "rows.npy", "--start-id", 3000)
        until(lambda: json.loads(following.stdout.readline())["count"] == 6000, "not seen")
        following.send_signal(signal.SIGINT)
        following.stdout.read()
    assert following.returncode == 0


def test_list_has_what_is_in_one_place(cluster):
    for name in ("b", "a", "z-9_Z"):
        quiverfs("create", f"rados:{POOL}/listed/{name}", "--dim", 4)
    quiverfs("create", f"rados:{POOL}/listed-too/c", "--dim", 4)
    place = f"rados:{POOL}/listed"
    assert quiverfs("list", place).stdout.splitlines() == [f"{place}/{name}"
                                                           for name in ("a", "b", "z-9_Z")]
    assert quiverfs("list", place + "-too").stdout == f"{place}-too/c\n"
    assert quiverfs("list", f"rados:{POOL}/nothing").stdout == ""
    assert place not in quiverfs("list", f"rados:{POOL}").stdout
    assert "use ls" in refused("list", ".", status=2)


def test_remove_asks_or_is_told(docs):
    line = refused("remove", docs.path, status=2, stdin=b"")
    assert "3000 vectors" in line and "--yes" in line
    assert status_of(docs.path)["count"] == 3000
    done = quiverfs("remove", docs.path, "--yes")
    assert done.stdout == f"{docs.path}: removed\n" and done.stderr == ""
    assert docs.path not in quiverfs("list", f"rados:{POOL}").stdout.splitlines()
    assert "no such collection" in refused("status", docs.path)
    refused("remove", docs.path, "--yes")
    quiverfs("create", docs.path, "--dim", 3)
    assert status_of(docs.path)["count"] == 0


def objects(cluster, collection):
    return [name for name in cluster.rados("ls").decode().splitlines()
            if name.startswith(f"{collection.name}.")]


def test_nothing_of_a_collection_that_is_removed_is_left(docs, cluster):
    quiverfs("remove", docs.path, "--yes")
    assert objects(cluster, docs) == []


@pytest.mark.parametrize("answer, is_removed", [("no", False), ("y", False), ("yes", True)])
def test_remove_is_answered_on_a_terminal(docs, answer, is_removed):
    ours, theirs = pty.openpty()
    with subprocess.Popen([QUIVERFS, "remove", docs.path], stdin=theirs, stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE) as removing:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        out, text = removing.communicate()
    os.close(ours)
    assert f"{docs.path}: 3000 vectors" in text.decode()
    assert (removing.returncode == 0) == is_removed == (b": removed\n" in out)
    listed = quiverfs("list", f"rados:{POOL}").stdout.splitlines()
    assert (docs.path in listed) != is_removed


def test_what_nobody_is_asked_about_is_not_counted_first(docs, cluster):
    reads = operations(cluster)[1]
    quiverfs("remove", docs.path, "--yes")
    assert operations(cluster)[1] - reads <= 6  # its header, and the names of its objects


def test_an_object_of_another_program_is_no_collection(docs, cluster, tmp):
    """Nor are `create` and `remove` of its name told to try each other."""
    header = f"{docs.name}-too.header"
    (tmp / "theirs").write_text("hi")
    cluster.rados("put", header, tmp / "theirs")
    line = refused("create", docs.path + "-too", "--dim", 4)
    assert f"{header} exists, but another program made it" in line
    assert f"`rados -p {POOL} get {header} -`" in line and "quiverfs remove" not in line
    assert "another program made it" in refused("remove", docs.path + "-too", "--yes")
    listed = quiverfs("list", f"rados:{POOL}").stdout.splitlines()
    assert docs.path in listed and docs.path + "-too" not in listed
    assert cluster.rados("get", header, "-") == b"hi"
    cluster.rados("rm", header)


def test_a_damaged_header_is_listed(docs, cluster, tmp):
    cluster.rados("get", f"{docs.name}.header", tmp / "header")
    content = bytearray((tmp / "header").read_bytes())
    content[600] ^= 1
    (tmp / "header").write_bytes(content)
    cluster.rados("put", f"{docs.name}.header", tmp / "header")
    assert docs.path in quiverfs("list", f"rados:{POOL}").stdout.splitlines()
    assert "a collection of this name exists" in refused("create", docs.path, "--dim", 4)
    quiverfs("remove", docs.path, "--yes")


def test_check_tells_of_many_keys_of_strangers(stores, cluster):
    made = stores.create(dim=16384)  # four in an object
    (made.folder / "one").write_bytes(bytes(made.size))
    quiverfs("import", made.path, made.folder / "one", "--format", "raw")
    for key in range(30):
        cluster.rados("setomapval", f"{made.name}.{0:016x}", f"k{key}", "x")
    assert re.search(r"keys that are not known here \(1\d or more\)",
                     quiverfs("check", made.path).stdout)


def test_a_removal_that_was_stopped_is_finished_by_another(docs, cluster):
    cluster.rados("rm", f"{docs.name}.header")
    assert objects(cluster, docs)
    assert "no such collection" in refused("remove", docs.path, stdin=b"")
    quiverfs("remove", docs.path, "--yes")
    assert objects(cluster, docs) == []


def flip(docs, cluster, vector):
    """A byte of it, as no disk's own checksum finds it."""
    name = f"{docs.name}.{vector // OBJECT_SLOTS:016x}"
    file = docs.folder / "object"
    cluster.rados("get", name, file)
    data = bytearray(file.read_bytes())
    data[vector % OBJECT_SLOTS * 100 + 7] ^= 1
    file.write_bytes(data)
    cluster.rados("put", name, file)


def test_a_flipped_byte_is_found_and_set_aside(docs, cluster):
    flip(docs, cluster, 1500)
    done = quiverfs("verify", docs.path, status=1)
    assert re.search(r"\b1 of 3000 vectors do not match", done.stderr), done.stderr
    done = quiverfs("export", docs.path, docs.folder / "no.npy", status=1)
    assert f"vector 1500 cannot be read" in done.stderr and len(done.stderr.splitlines()) == 2
    assert not (docs.folder / "no.npy").exists()
    done = quiverfs("check", docs.path, status=1)
    assert "1500" in done.stdout and "--repair" in done.stderr
    quiverfs("check", docs.path, "--repair", status=1)
    docs.check()
    assert status_of(docs.path)["count"] == 2999
    assert (exported(docs) == np.delete(docs.rows, 1500, 0)).all()


def test_fsck_passes_over_what_is_not_this_machine_s(docs, cluster):
    fsck = os.path.join(os.path.dirname(QUIVERFS), "fsck.quiverfs")
    flip(docs, cluster, 3)
    for letter in ("-a", "-p"):
        done = run(fsck, letter, docs.path)
        assert b"not checked at boot" in done.stdout
    run(fsck, docs.path, status=4)
    run(fsck, "-y", docs.path, status=1)
    run(fsck, docs.path)


def test_jobs_on_a_collection(docs):
    assert quiverfs("flush", docs.path).stderr == ""
    assert "3000 vectors checked, no mismatches" in quiverfs("verify", docs.path).stdout
    assert "needs no compaction" in refused("compact", docs.path)


# ---- what is wrong is told once, and whole -------------------------------------------------


COMMANDS = {
    "create": ("--dim", 4), "status": (), "import": ("rows.npy",), "export": ("out.npy",),
    "flush": (), "verify": (), "check": (), "remove": ("--yes",), "mount": ("point",),
}


@pytest.fixture
def here(tmp, cluster, monkeypatch):
    np.save(tmp / "rows.npy", rows_of("<f4", 3))
    (tmp / "point").mkdir()
    monkeypatch.chdir(tmp)
    return tmp


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pool_that_is_not_there(here, command):
    line = refused(command, "rados:no-such-pool/c", *COMMANDS[command])
    assert "no pool no-such-pool" in line
    assert os.listdir(here / "point") == [] and not (here / "out.npy").exists()


@pytest.mark.parametrize("command", set(COMMANDS) - {"create"})
def test_a_collection_that_is_not_there(here, command):
    assert "no such collection" in refused(command, f"rados:{POOL}/none", *COMMANDS[command])


def test_a_collection_that_is_there(docs):
    assert "quiverfs remove" in refused("create", docs.path, "--dim", 4)


@pytest.mark.parametrize("name", ["a.b", "", "x" * 65, "ä", "a b"])
def test_a_name_that_cannot_be_one(here, name):
    refused("create", f"rados:{POOL}/{name}", "--dim", 4)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_key(here, command, cluster):
    line = refused(command, f"rados:{POOL}/c", *COMMANDS[command], "-o",
                   f"id=jo,keyring={here}/none.keyring")
    assert "none.keyring" in line and "keyring=" in line


def test_a_key_that_everybody_can_read(docs, cluster):
    options = cluster.user("open")
    keyring = options[1].split("=")[1]
    os.chmod(keyring, 0o644)
    line = refused("status", docs.path, "-o", ",".join(options))
    assert keyring in line and "0644" in line
    os.chmod(keyring, 0o600)
    assert status_of(docs.path, "-o", ",".join(options))["user"] == "client.open"


def test_a_key_of_somebody_else(docs, cluster):
    line = refused("status", docs.path, "-o", "id=stranger")
    assert "client.stranger" in line


def test_a_key_that_is_none(docs, here, cluster):
    name, keyring = cluster.user("broken")
    broken = here / "broken.keyring"
    broken.write_text("[client.broken]\n\tkey = xx\n", encoding="ascii")
    broken.chmod(0o600)
    line = refused("status", docs.path, "-o", f"{name},keyring={broken}")
    assert str(broken) in line and "complete key of client.broken" in line
    # One that the environment has, and not the file that would be looked for else.
    line = refused("status", docs.path, "-o", f"{name},{keyring}", env={
        **os.environ, "CEPH_ARGS": "--key=AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA=="})
    assert "CEPH_ARGS" in line and keyring.split("=")[1] not in line


def test_a_monitor_that_has_no_address(docs, here, cluster):
    conf = here / "ceph.conf"
    text = cluster.conf.read_text(encoding="ascii")
    conf.write_text(re.sub("mon_host.*", "mon_host = monitor.invalid", text), encoding="ascii")
    done = quiverfs("status", docs.path, "-o", f"conf={conf}", status=1)
    # librados says something, too.
    assert "monitor.invalid" in done.stderr.splitlines()[-1]


def test_a_user_who_may_nothing(docs, cluster, tmp):
    options = ",".join(cluster.user("nobody", osd="allow r pool=another"))
    point = tmp / "mnt"
    point.mkdir()
    assert "'allow rw pool=" in refused("mount", docs.path, point, "-o", options)
    assert "'allow r pool=" in refused("mount", docs.path, point, "-o", "ro," + options)


def test_a_user_who_may_read(docs, cluster):
    options = ["-o", ",".join(cluster.user("reader", osd=f"allow r pool={POOL}"))]
    assert status_of(docs.path, *options)["count"] == 3000
    assert (exported(docs, *options) == docs.rows).all()
    quiverfs("verify", docs.path, *options)
    quiverfs("check", docs.path, *options)
    for words in (["import", docs.path, docs.folder / "rows.npy"], ["remove", docs.path, "--yes"],
                  ["create", f"rados:{POOL}/mine", "--dim", 4]):
        line = refused(*words, *options)
        assert "allow rw pool=" in line, line
    assert status_of(docs.path)["count"] == 3000


def test_a_user_of_a_namespace(cluster):
    options = ["-o", ",".join(cluster.user(
        "confined", osd=f"allow rw pool={POOL} namespace=his"))]
    path = f"rados:{POOL}/his/docs"
    quiverfs("create", path, "--dim", 4, *options)
    assert status_of(path, *options)["namespace"] == "his"
    assert quiverfs("list", f"rados:{POOL}/his", *options).stdout == path + "\n"
    refused("create", f"rados:{POOL}/docs", "--dim", 4, *options)
    quiverfs("remove", path, "--yes", *options)


@pytest.mark.needs_root("becomes an ordinary user")
def test_an_ordinary_user(docs, cluster):
    options = cluster.user("ordinary", owner=NOBODY)
    os.chmod(docs.folder, 0o777)
    out = docs.folder / "his.npy"
    run(*ordinary_user_words, QUIVERFS, "export", docs.path, out, "-o", ",".join(options))
    assert (np.load(out) == docs.rows).all()
    run(*ordinary_user_words, QUIVERFS, "import", docs.path, out, "--start-id", 4000, "-o",
        ",".join(options))
    assert status_of(docs.path)["count"] == 6000
    theirs = cluster.user("theirs")
    done = run(*ordinary_user_words, QUIVERFS, "status", docs.path, "-o", ",".join(theirs), status=1)
    assert theirs[1].split("=")[1].encode() in done.stderr


def test_a_folder_may_be_called_so(here):
    quiverfs("create", "./rados:x", "--dim", 4)
    quiverfs("import", "./rados:x", "/dev/null", "--format", "raw")
    assert (here / "rados:x/superblock").exists() or os.listdir(here / "rados:x")
    assert "mounted" in quiverfs("status", "./rados:x", "--json").stdout


def test_options_that_are_none(here):
    quiverfs("create", "store", "--dim", 4)
    assert "rados:POOL/COLLECTION" in refused("status", "store", "-o", "id=jo")
    for option in ("secret=x", "id", "op_timeout=0", "op_timeout=x", "keyring="):
        assert option in refused("status", f"rados:{POOL}/c", "-o", option)
    quiverfs("create", "other", "--dim", 4, "--sparse", status=2)


def test_without_the_module(here):
    line = refused("status", f"rados:{POOL}/c", env={**os.environ, "QUIVER_MODULES": str(here)})
    assert "librados2" in line and "quiverfs_rados.so" in line


# ---- a cluster that does not answer --------------------------------------------------------
# What is read after it has thawed is no part of these: a single OSD that has lost its lease may
# keep a PG from being read ("waiting for readable").


@pytest.mark.parametrize("command", ["export", "verify", "remove"])
def test_who_waits_for_the_cluster_can_be_interrupted(docs, cluster, command):
    words = {"export": [docs.path, docs.folder / "none.npy"],
             "remove": [docs.path, "--yes"], "verify": [docs.path]}[command]
    cluster.freeze("osd.0")
    try:
        with subprocess.Popen([QUIVERFS, command, *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
            time.sleep(0.5)
            assert waiting.poll() is None
            waiting.send_signal(signal.SIGINT)
            text = waiting.communicate()[1].decode()
    finally:
        cluster.thaw("osd.0")
    assert waiting.returncode in (1, -signal.SIGINT), text
    assert not (docs.folder / "none.npy").exists()


def test_what_takes_too_long_says_so(docs, cluster):
    cluster.freeze("osd.0")
    try:
        line = refused("status", docs.path, "-o", "op_timeout=1")
    finally:
        cluster.thaw("osd.0")
    assert "no answer from the cluster within 1 s (op_timeout)" in line


# ---- mount(8) and fsck(8) ------------------------------------------------------------------


@pytest.fixture
def system(tmp, cluster):
    made = System(tmp)
    yield made
    made.take_away()


@pytest.mark.needs_root("has /etc/fstab and /sbin of its own")
@pytest.mark.parametrize("kind", ["quiverfs", "fuse.quiverfs"])
def test_fstab(docs, system, kind):
    system.fstab.write_text(
        f"{docs.path} {system.point} {kind} _netdev,nofail,x-systemd.requires=network.target,"
        "comment=x,id=admin,op_timeout=30,noatime 0 2\n")
    for _ in range(2):  # the second time there is nothing to do
        assert system.run("mount", "-T", system.fstab, "-a").stderr == ""
        line, = system.mounted()
        assert line.split()[0] == docs.path
    stats = system.run("cat", system.point / "control/stats").stdout
    system.daemons.add(int(re.search(r"^pid (\d+)$", stats, re.MULTILINE)[1]))
    assert f"collection {docs.name}\n" in stats
    assert "already mounted" in system.run("mount", "-t", kind, docs.path, system.point,
                                           status=32).stderr
    system.run("umount", "-a", "-O", "_netdev", "-t", "fuse.quiverfs")
    assert system.mounted() == []
    system.run("mount", "-T", system.fstab, "-a", "-O", "no_netdev")
    assert system.mounted() == []


@pytest.mark.needs_root("has /etc/fstab and /sbin of its own")
def test_fsck_at_boot(docs, system):
    """What is not of this machine is passed over, also where it was given a turn."""
    system.fstab.write_text(f"{docs.path} {system.point} quiverfs _netdev 0 2\n")
    done = system.run("env", f"FSTAB_FILE={system.fstab}", "fsck", "-A", "-a", "-t", "quiverfs")
    assert "failed" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_an_import_that_waits_too_long(docs, cluster):
    fifo = docs.folder / "rows.csv"
    os.mkfifo(fifo)
    with subprocess.Popen([QUIVERFS, "import", docs.path, fifo, "-o", "op_timeout=1"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as importing:
        with open(fifo, "w", encoding="ascii") as file:  # when the collection is open
            cluster.freeze("osd.0")
            try:
                file.write((",".join("1" * 25) + "\n") * 100)
                file.close()
                text = importing.communicate()[1].decode()
            finally:
                cluster.thaw("osd.0")
    assert importing.returncode == 1
    assert "the last vectors may or may not be stored" in text, text
