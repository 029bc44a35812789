"""The files of control/: what they read, what can be written to them."""

import contextlib
import errno
import os
import struct
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from files import GIVEN, attributes, opened, read_chunks, refused
from harness import LONG, quiverfs, run, shell, until
from prometheus import parse_metrics

TRIGGERS = ["flush", "checkpoint", "compact", "verify"]
SETTINGS = ["durability", "reserve", "autocompact_percent"]
VALUES = ["dim", "dtype", "count", "slots", "uuid", "version", "format_version"]
READABLE = TRIGGERS + SETTINGS + VALUES + ["errors", "label", "metric", "stats", "metrics",
                                         "snapshots"]


def record(vector, data):
    return vector.to_bytes(8, "little") + data


# ---- all of them ----------------------------------------------------------------


@pytest.mark.local("columns")
def test_the_files_there_are(mnt):
    assert sorted(os.listdir(mnt.control_folder)) == sorted(READABLE + ["put", "get", "nearest", "nearest_index"])
    assert sorted(os.listdir(mnt.point)) == ["control", "ids.npy", "matrix.npy", "nearest",
                                             "snapshots", "vectors"]
    for name in READABLE:
        text = mnt.control(name)
        assert text.isascii()
        assert text == "" or text.endswith("\n")
        if name in TRIGGERS + SETTINGS + VALUES:
            assert text.count("\n") == 1
    with refused(errno.EACCES, errno.EBADF, errno.EINVAL, errno.EPERM):
        os.read(os.open(mnt.control_folder / "put", os.O_RDONLY), 1)


def test_the_values(stores):
    mnt = stores.mount(stores.create(dim=384, dtype="f2"))
    assert mnt.control("dim") == "384\n"
    assert mnt.control("dtype") == "f2\n"
    assert mnt.control("count") == "0\n"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", mnt.control("uuid"))
    assert mnt.control("version").strip() in quiverfs("--version").stdout
    assert mnt.control("format_version") == "2\n"
    uuid = mnt.control("uuid")
    mnt.put(5, bytes(768))
    assert mnt.control("count") == "1\n"
    assert int(mnt.control("slots")) >= 1
    assert stores.again(mnt).control("uuid") == uuid


def threads_on_fewer_cores(pid):
    """The threads that may not use all CPUs that the process may."""
    cores = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            status = (task / "status").read_text()
            cores.append((task.name, re.search(r"^Cpus_allowed:\t(.*)$", status, re.M)[1]))
    return {name for name, allowed in cores if allowed != dict(cores)[str(pid)]}


def only_the_rings_stay(pid):
    """A thread has the cores of the one that made it until it gives itself others."""
    found = threads_on_fewer_cores(pid)

    def are_few():
        found.intersection_update(threads_on_fewer_cores(pid))
        return len(found) <= os.cpu_count()

    until(are_few, "threads stay on one core")


@pytest.mark.local("jobs")
@pytest.mark.parametrize("transport", ["io_uring"], indirect=True)
def test_only_the_rings_stay_on_one_core(mnt, rng):
    """Threads that a ring's thread starts, for what may wait and for jobs."""
    data = rng.randbytes(100)
    with opened(mnt.control_folder / "put", os.O_WRONLY) as fd:
        os.write(fd, b"".join(record(vector, data) for vector in range(2000)))
    for _ in range(20):
        assert attempt(mnt, "verify", "start\n") in (None, errno.EBUSY)
        only_the_rings_stay(mnt.pid)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda vector: write_durably(mnt.path(vector), data), range(200)))
    only_the_rings_stay(mnt.pid)
    mnt.control("errors", "seen\n")


def write_durably(path, data):
    with opened(path, os.O_WRONLY | os.O_SYNC) as fd:
        os.write(fd, data)


def attempt(mnt, name, value):
    """The errno of a write to a file of control/, None for success."""
    try:
        mnt.control(name, value)
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("name", VALUES + ["stats", "metrics"])
def test_what_only_reads_cannot_be_written(mnt, name):
    if os.geteuid() == 0:
        # root passes the permission check; the file itself must refuse
        with refused(errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF):
            mnt.control(name, "1\n")
    assert os.stat(mnt.control_folder / name).st_mode & 0o777 == 0o444
    mnt.forget_errors()


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("flush", "errors", "durability", "autocompact_percent")
                 else pytest.mark.local(name)) for name in TRIGGERS + SETTINGS])
def test_what_is_read_can_be_written_back(mnt, name):
    mnt.put(1, bytes(mnt.size))
    text = mnt.control(name)
    mnt.control(name, text)
    mnt.control(name, text.rstrip("\n"))
    shell(f'x=$(cat {name}); echo "$x" > {name}', cwd=mnt.control_folder)
    if name in SETTINGS and name != "reserve":
        assert mnt.control(name) == text
    if name in ("compact", "verify"):
        mnt.control(name, "start")
        mnt.control(name, mnt.finish_job(name))
        mnt.finish_job(name)


@pytest.mark.parametrize("name, bad", [
    ("compact", ["", "begin", "start now", "START", "\0", "starts"]),
    ("verify", ["", "begin", "1"]),
    ("durability", ["", "sometimes", "Always", "fsync x", "always,fsync", "x" * 3000]),
    ("reserve", ["", "-1", "1.5", "many", "0x10", "1 2", str(2**64), "1" * 100]),
    ("autocompact_percent", ["", "-1", "101", "30%", "x", str(2**64)]),
    pytest.param("nearest_index", ["", "begin", "START", "on", "starts", "off 1"],
                 marks=pytest.mark.local("an index")),
])
def test_bad_values_are_einval_and_change_nothing(mnt, name, bad):
    before = mnt.control(name)
    for value in bad:
        fd = os.open(mnt.control_folder / name, os.O_WRONLY)
        try:
            if value:  # a write(2) of nothing does not arrive
                with refused(errno.EINVAL):
                    os.write(fd, value.encode())
                mnt.expect_error(f"control/{name}: ")
        finally:
            os.close(fd)
        with refused(errno.EINVAL):
            mnt.control(name, value + "\n")
        mnt.expect_error(f"control/{name}: ")
    assert mnt.control(name) == before
    done = shell(f"echo nonsense > {mnt.control_folder / name}", status=1)
    assert b"Invalid argument" in done.stderr
    mnt.forget_errors()


def test_a_read_is_a_finite_snapshot(mnt):
    with opened(mnt.control_folder / "count", os.O_RDONLY) as fd:
        mnt.put(1, bytes(mnt.size))
        assert os.read(fd, 100) == b"0\n"
        assert os.read(fd, 100) == b""
        assert os.pread(fd, 100, 0) == b"0\n"
    for vector, name, line in ((2, "stats", "\ncount 1\n"),
                               (3, "metrics", f'\nquiverfs_vectors{{mount="{mnt.point}"}} 2\n')):
        with opened(mnt.control_folder / name, os.O_RDONLY) as fd:
            first = os.read(fd, 10)
            mnt.put(vector, bytes(mnt.size))
            text = (first + read_chunks(fd, 17)).decode()
            assert line in text
            assert text.endswith("\n")
            assert os.pread(fd, 10, 0) == first


@pytest.mark.local("jobs")
def test_tools_read_and_write_them(mnt):
    assert shell(f"cat {mnt.control_folder}/dim").stdout == b"25\n"
    assert shell(f"grep -c . {mnt.control_folder}/stats").stdout.strip().isdigit()
    shell(f"echo always > {mnt.control_folder}/durability")
    assert shell(f"read x < {mnt.control_folder}/durability; echo $x").stdout == b"always\n"
    shell(f"echo start | tee {mnt.control_folder}/verify")
    mnt.finish_job("verify")
    shell(f"echo 1 >> {mnt.control_folder}/flush")


# ---- put ------------------------------------------------------------------------


def test_put_takes_whole_records(stores, rng):
    mnt = stores.mount()
    rows = {vector: rng.randbytes(mnt.size)
            for vector in (0, 7, 2**63, 2**64 - 2**32 - 1, 12345)}
    mnt.put(7, bytes(mnt.size))
    os.chmod(mnt.path(7), 0o600)
    mnt.control("put", b"".join(record(*row) for row in rows.items()))
    assert mnt.ids() == set(rows)
    assert mnt.control("count") == "5\n"
    again = stores.again(mnt)
    for vector, data in rows.items():
        assert again.get(vector) == data
    assert attributes(again.path(7))[1] == 0o600


@pytest.mark.parametrize("content", ["nothing whole", "a byte more", "a byte less", "id too large",
                                     "free row"])
def test_put_takes_all_or_none(mnt, rng, content):
    row = rng.randbytes(mnt.size)
    mnt.put(1, row)
    good = record(1, bytes(mnt.size)) + record(2, bytes(mnt.size))
    bad = {"nothing whole": b"x", "a byte more": good + b"x", "a byte less": good[:-1],
           "id too large": good + record(2**64 - 2**32, row),
           "free row": record(2**64 - 1, row) + good}[content]
    with refused(errno.EINVAL):
        mnt.control("put", bad)
    mnt.expect_error("control/put: ")
    assert mnt.ids() == {1}
    assert mnt.get(1) == row


def test_of_records_with_one_id_the_last_counts(mnt, rng):
    one, two = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.control("put", record(1, one) + record(2, one) + record(1, two))
    assert (mnt.get(1), mnt.get(2)) == (two, one)
    assert mnt.control("count") == "2\n"


@pytest.mark.parametrize("dim", [1, 25, 768, 65536])
def test_put_up_to_its_bound_and_not_past_it(stores, dim):
    mnt = stores.mount(stores.create(dim=dim))
    bound = int(mnt.stats()["put_bytes_max"])
    assert bound >= max(512 * 1024 - 4096, mnt.size + 8)
    most = bound // (mnt.size + 8)
    mnt.control("put", b"".join(record(v, bytes(mnt.size)) for v in range(most)))
    assert mnt.control("count") == f"{most}\n"
    for count in (most + 1, 2 * most + 1, 5 * most):
        fd = os.open(mnt.control_folder / "put", os.O_WRONLY)
        with refused(errno.EINVAL):
            os.write(fd, b"".join(record(10**6 + v, bytes(mnt.size)) for v in range(count)))
        os.close(fd)
        mnt.forget_errors()
    assert mnt.control("count") == f"{most}\n"


MARK = b"QVA1" + b"\xff" * 4 + (32).to_bytes(4, "little") + bytes(4)


def with_attributes(vector, data, mask, mtime=0, uid=0, gid=0, mode=0):
    return struct.pack("<QqIIII", vector, mtime, uid, gid, mode, mask) + data


@pytest.mark.needs_root("gives files to others")
def test_put_with_attributes_of_each_record(mnt, rng):
    one, two = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(5, two)
    os.chmod(mnt.path(5), 0o601)
    os.chown(mnt.path(5), 77, 78)
    os.stat(mnt.path(5))  # the kernel has its attributes
    mnt.control("put", MARK + with_attributes(3, one, 15, 10**18 + 1, 1001, 1002, 0o4751)
                + with_attributes(5, one, 1, -5) + with_attributes(6, two, 2, mode=0o400)
                + with_attributes(7, two, 0, 1, 2, 3, 4))
    assert attributes(mnt.path(3)) == (10**18 + 1, 0o4751, 1001, 1002)
    assert attributes(mnt.path(5)) == (-5, 0o601, 77, 78)
    mtime, mode, uid, gid = attributes(mnt.path(6))
    assert mtime > 10**18 and (mode, uid, gid) == (0o400, os.getuid(), os.getgid())
    mtime, mode, uid, gid = attributes(mnt.path(7))
    assert mtime > 10**18 and (mode, uid, gid) == (0o644, os.getuid(), os.getgid())
    assert (mnt.get(3), mnt.get(5), mnt.get(6)) == (one, one, two)


@pytest.mark.parametrize("content", ["no record", "a byte more", "another size", "flags", "mode",
                                     "mask", "id too large", "both forms"])
def test_put_with_attributes_takes_all_or_none(mnt, content):
    row = bytes(mnt.size)
    good = with_attributes(1, row, 15, mode=0o644)
    bad = {"no record": MARK, "a byte more": MARK + good + b"x",
           "another size": MARK[:8] + (40).to_bytes(4, "little") + bytes(4) + good,
           "flags": MARK[:12] + (1).to_bytes(4, "little") + good,
           "mode": MARK + good + with_attributes(2, row, 15, mode=0o10000),
           "mask": MARK + good + with_attributes(2, row, 16),
           "id too large": MARK + good + with_attributes(2**64 - 2**32, row, 0),
           "both forms": record(1, row) + MARK + good}[content]
    with refused(errno.EINVAL):
        mnt.control("put", bad)
    mnt.expect_error("control/put: ")
    assert mnt.ids() == set()


def test_put_gives_the_attributes_of_the_writer(mnt, peer):
    def content():
        return record(1, bytes(mnt.size)) + record(2, bytes(mnt.size))

    before = os.umask(0o027)
    try:
        fd = os.open(mnt.control_folder / "put", os.O_WRONLY)
        os.write(fd, content())
        os.close(fd)
    finally:
        os.umask(before)
    for vector in (1, 2):
        mtime, mode, uid, gid = attributes(mnt.path(vector))
        assert (mode, uid, gid) == (0o640, os.getuid(), os.getgid())
        assert mtime > 10**18
    os.chmod(mnt.path(1), 0o604)
    os.chown(mnt.path(1), *GIVEN)
    mnt.control("put", content())
    assert attributes(mnt.path(1))[1:] == (0o604, *GIVEN)


# ---- durability, space ------------------------------------------------------------


def test_flush_makes_durable(mnt):
    for vector in range(20):
        mnt.put(vector, bytes(mnt.size))
    mnt.control("flush", "1")
    stats = mnt.stats()
    assert int(mnt.control("flush")) == int(stats["lsn_durable"]) == int(stats["lsn"]) >= 20
    mnt.put(0, bytes(mnt.size))
    run("sync", mnt.vectors)
    assert int(mnt.control("flush")) == int(mnt.stats()["lsn"])


@pytest.mark.local("checkpoint")
def test_checkpoint_shrinks_the_log(stores):
    mnt = stores.mount(stores.create(dim=768))
    for vector in range(300):
        mnt.put(vector, bytes(mnt.size))
    before = int(mnt.stats()["wal_bytes"])
    assert before > 300 * mnt.size
    mnt.control("checkpoint", "1")
    assert int(mnt.stats()["wal_bytes"]) < before / 10
    assert int(mnt.control("checkpoint")) == int(mnt.stats()["lsn"])
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    assert int(mnt.stats()["replayed"]) == 0
    assert len(mnt.ids()) == 300


@pytest.mark.local("checkpoint")
def test_durability_is_switched(stores, rng):
    mnt, rows = stores.mount(), {}
    assert mnt.control("durability") == "fsync\n"
    for number, mode in enumerate(["always", "none", "flush", "fsync", "none", "always"]):
        mnt.control("durability", mode + "\n")
        assert mnt.control("durability") == mode + "\n"
        assert mnt.stats()["durability"] == mode
        for vector in range(number, number + 4):
            rows[vector] = rng.randbytes(mnt.size)
            mnt.put(vector, rows[vector])
        if mode == "always":
            assert mnt.stats()["lsn"] == mnt.stats()["lsn_durable"]
        if mode == "none":
            os.unlink(mnt.path(0))
            del rows[0]
            rows[0] = rng.randbytes(mnt.size)
            mnt.put(0, rows[0])
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    assert mnt.ids() == set(rows)
    for vector, data in rows.items():
        assert mnt.get(vector) == data


@pytest.mark.local("reserve")
def test_reserve_makes_room(stores):
    mnt = stores.mount(stores.create(dim=768))
    mnt.control("reserve", "20000\n")
    assert int(mnt.control("reserve")) >= 20000
    assert mnt.store.bytes_on_disk() >= 20000 * mnt.size
    growths = mnt.stats()["growths"]
    for vector in range(50):
        mnt.put(vector, bytes(mnt.size))
    assert mnt.stats()["growths"] == growths
    with refused(errno.ENOSPC):
        mnt.control("reserve", str(2**40))
    mnt.forget_errors()
    mnt.put(1, bytes(mnt.size))
    mnt.unmount()
    assert mnt.store.bytes_on_disk() < 20000 * mnt.size / 10


@pytest.mark.local("jobs")
def test_autocompact_percent(mnt):
    assert mnt.control("autocompact_percent") == "0\n"
    for value in ("100", "0", "35"):
        mnt.control("autocompact_percent", value)
        assert mnt.control("autocompact_percent") == value + "\n"


# ---- long work ----------------------------------------------------------------------


def fill(mnt, count):
    step = 250000 // (mnt.size + 8)
    for at in range(0, count, step):
        mnt.control("put", b"".join(record(v, v.to_bytes(8, "little") * (mnt.size // 8))
                                    for v in range(at, min(at + step, count))))


def start_beside_verify(mnt, job):
    """Whether `job` was refused since verify was running; it may have ended before."""
    mnt.control("verify", "start")
    try:
        mnt.control(job, "start")
    except OSError as error:
        assert error.errno == errno.EBUSY
        assert re.fullmatch(r"running \d+%\n|idle.*\n", mnt.control("verify"))
        mnt.control("verify", "stop")
        mnt.finish_job("verify")
        return True
    mnt.finish_job("verify")
    mnt.finish_job(job)
    return False


@pytest.mark.local("jobs")
def test_compact_and_verify_start_once(stores):
    mnt = stores.mount(stores.create(dim=768))
    fill(mnt, 60000 if LONG else 20000)
    assert mnt.control("verify") == "idle\n"
    for job in ("verify", "compact"):
        assert any(start_beside_verify(mnt, job) for _ in range(20))
    mnt.forget_errors()
    mnt.control("verify", "start")
    assert re.search(r"(60000|20000)\b.*checked, 0 mismatches", mnt.finish_job("verify"))


@pytest.mark.local("jobs")
def test_compact_tells_its_result(stores):
    mnt = stores.mount(stores.create(dim=768))
    fill(mnt, 3000)
    for vector in range(0, 1500):
        os.unlink(mnt.path(vector))
    mnt.control("compact", "start")
    assert re.search(r"idle; last run: \d+ of \d+ slots moved", mnt.finish_job("compact"))
    stats = mnt.stats()
    assert float(stats["fragmentation"]) < 0.1
    assert int(stats["slots_used"]) < 1700
    quiverfs("compact", mnt.point)
    quiverfs("verify", mnt.point)


# ---- errors, stats, metrics -----------------------------------------------------------


def test_errors_keeps_the_last_256(mnt):
    for number in range(300):
        with refused(errno.EPERM):
            os.mkdir(mnt.path(f"name{number}"))
    lines = mnt.errors()
    assert len(lines) == 256
    for number, line in enumerate(lines):
        assert f"name{44 + number}:" in line
        assert line.isascii()
        assert line.isprintable()
    mnt.control("errors", "1")
    assert mnt.control("errors") == ""
    assert int(mnt.stats()["errors"]) >= 300


@pytest.mark.parametrize("command", ["echo 1 >", "echo >", ": >", "cp /dev/null", "truncate -s 0"])
def test_errors_is_emptied_in_any_way(mnt, command):
    with refused(errno.EPERM):
        os.mkdir(mnt.path("folder"))
    assert len(mnt.errors()) == 1
    shell(f"{command} {mnt.point}/control/errors")
    assert mnt.errors() == []


def test_errors_shows_any_name_as_one_plain_line(mnt):
    for name in (b"a\nb", b"\x1b[31m", b"\xff\xfe", "ü".encode(), b"a" * 255):
        with refused(errno.EPERM):
            os.mkdir(os.path.join(os.fsencode(mnt.vectors), name))
    lines = mnt.errors()
    assert len(lines) == 5
    assert all(line.isascii() and line.isprintable() for line in lines)
    mnt.forget_errors()


def test_stats_are_lines_of_key_and_value(mnt):
    for vector in range(10):
        mnt.put(vector, bytes(mnt.size))
    os.unlink(mnt.path(3))
    mnt.get(4)
    lines = mnt.control("stats").splitlines()
    assert all(re.fullmatch(r"[a-z][a-z0-9_]* \S.*", line) for line in lines), lines
    stats = dict(line.split(" ", 1) for line in lines)
    assert len(stats) == len(lines)
    assert (stats["count"], stats["dim"], stats["vector_bytes"]) == ("9", "25", "100")
    assert int(stats["puts"]) == 10
    assert int(stats["removes"]) == 1
    assert 0 <= float(stats["fragmentation"]) <= 1
    assert int(stats["lsn_checkpoint"]) <= int(stats["lsn_durable"]) <= int(stats["lsn"])
    for latency in ("commit", "sync", "growth", "compact_step"):
        values = [int(stats[f"{latency}_p{part}_ns"]) for part in (50, 90, 99)]
        assert values == sorted(values)
    assert int(stats["commit_count"]) >= 10
    assert stats["transport"] in ("io_uring", "dev_fuse")
    assert stats["mount"] == str(mnt.point)


def test_metrics_are_prometheus_text(mnt):
    mnt.put(1, bytes(mnt.size))
    families = parse_metrics(mnt.control("metrics"))
    assert families["quiverfs_vectors"].value() == 1
    assert families["quiverfs_puts_total"].value() == 1
    for name, family in families.items():
        assert name.startswith("quiverfs_")
        assert (family.kind == "counter") == name.endswith("_total"), name
    text = " ".join(families)
    assert "_seconds" in text
    assert "_bytes" in text
    commit = families["quiverfs_commit_duration_seconds"]
    assert commit.kind == "summary"
    label = (("mount", str(mnt.point)),)
    assert commit.samples[("quiverfs_commit_duration_seconds_count", label)] >= 1
    mnt.put(1, bytes(mnt.size))
    after = parse_metrics(mnt.control("metrics"))
    assert after["quiverfs_puts_total"].value() == 2


# ---- read-only mounts -------------------------------------------------------------------


def test_a_read_only_mount_shows_all_and_changes_nothing(stores, rng):
    mnt = stores.mount()
    for vector in range(30):
        mnt.put(vector, rng.randbytes(mnt.size))
    mnt = stores.again(mnt, options=["ro"])
    for name in READABLE:
        if name == "snapshots" and not (mnt.point / "snapshots").is_dir():
            assert not (mnt.control_folder / name).exists()  # a store that can have none
            continue
        fd = os.open(mnt.control_folder / name, os.O_RDONLY)
        text = os.read(fd, 1 << 20)
        os.close(fd)
        assert text.isascii()
        assert text.endswith(b"\n") or name in ("errors", "label", "snapshots")
    assert mnt.control("count") == "30\n"
    parse_metrics(mnt.control("metrics"))
    for _ in range(50):
        text = shell(f"cat {mnt.control_folder}/stats").stdout.decode()
        assert text.endswith("\n")
        assert "count 30\n" in text
    for name in TRIGGERS + SETTINGS + ["put", "errors"]:
        with refused(errno.EROFS, errno.ENOENT):  # put is not even there
            os.open(mnt.control_folder / name, os.O_WRONLY)
