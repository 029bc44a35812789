"""quiverfs send and receive: snapshots through pipes, whole and by what has changed, from mounts that
are written to, slowly, in pieces, with either side killed; a target is what it was or what it will be."""

import contextlib
import os
import pty
import random
import re
import signal
import struct
import subprocess
import threading
import time

import numpy as np
import pytest

from harness import HANG_SECONDS, QUIVERFS, quiverfs, run, shell, until
from ordinary_user import ordinary_user_words

DIM = 25
PIPE = "set -o pipefail; "


def contents(store, target):
    """{ID: (bytes, mtime, mode, owner)}, and of the folder, the label and the metric."""
    point = store.folder / "look"
    point.mkdir(exist_ok=True)
    quiverfs("mount", target, point, "-o", "ro")
    try:
        found = {}
        for name in os.listdir(point / "vectors"):
            file = point / "vectors" / name
            status = file.stat()
            found[int(name)] = (file.read_bytes(), status.st_mtime_ns, status.st_mode,
                                status.st_uid, status.st_gid)
        status = (point / "vectors").stat()
        return (found, status.st_mtime_ns, status.st_mode, (point / "control/label").read_text(),
                (point / "control/metric").read_text())
    finally:
        run("umount" if os.geteuid() == 0 else "fusermount3",
            *([] if os.geteuid() == 0 else ["-u"]), point)


def send(snapshot, since=None, at=None):
    return (f"{QUIVERFS} send {snapshot}" + (f" --since {since}" if since else "") +
            (f" --from {at}" if at else ""))


def transfer(snapshot, target, since=None, at=None, between="", status=0):
    return shell(f"{PIPE}{send(snapshot, since, at)} {between} | {QUIVERFS} receive {target}",
                 status=status)


def listed(store):
    """(name, uuid, vectors) of each snapshot, by their files, oldest first."""
    found = []
    for file in (store / "snapshots").iterdir():
        page = file.read_bytes()
        lsn, count = struct.unpack_from("<QQ", page, 48)
        found.append((lsn, file.name, page[32:48], count))
    return [one[1:] for one in sorted(found)]


def put_batch(mnt, rows):
    """As one commit."""
    ids = np.array(sorted(rows), dtype="u8")
    data = b"".join(rows[vector] for vector in sorted(rows))
    folder = mnt.store.folder
    np.save(folder / "batch_ids.npy", ids)
    np.save(folder / "batch.npy", np.frombuffer(data, dtype="f4").reshape(len(rows), DIM))
    quiverfs("import", mnt.point, folder / "batch.npy", "--ids", folder / "batch_ids.npy")


def change(mnt, rng, count=30):
    """What a user does."""
    for _ in range(count):
        file = mnt.vectors / str(rng.randrange(100))
        other = mnt.vectors / str(rng.randrange(100))
        with contextlib.suppress(FileNotFoundError):
            match rng.randrange(6):
                case 0:
                    file.unlink()
                case 1:
                    file.chmod(rng.choice([0o600, 0o640, 0o644]))
                case 2:
                    os.utime(file, ns=(0, rng.randrange(10 ** 18)))
                case 3:
                    scratch = mnt.vectors / ".scratch.tmp"
                    scratch.write_bytes(rng.randbytes(mnt.size))
                    scratch.rename(other)
                case 4:
                    put_batch(mnt, {rng.randrange(100): rng.randbytes(mnt.size)
                                    for _ in range(5)})
                case _:
                    file.write_bytes(rng.randbytes(mnt.size))


def make_snapshot(mnt, name):
    quiverfs("snapshot", "create", mnt.point, name)


@pytest.fixture
def source(stores, rng):
    """A mounted store with snapshots v1 to v3, and what is live after them."""
    mnt = stores.mount()
    for version in range(1, 4):
        change(mnt, rng, 60 if version == 1 else 25)
        (mnt.control_folder / "label").write_text(f"label of {version}")
        make_snapshot(mnt, f"v{version}")
    change(mnt, rng)
    return mnt


def at_version(mnt, version):
    return contents(mnt.store, f"{mnt.store.path}@v{version}")


def check_target(mnt, target, version):
    expected = at_version(mnt, version)
    assert contents(mnt.store, target) == expected
    assert contents(mnt.store, f"{target}@v{version}") == expected
    assert listed(target)[-1] == listed(mnt.store.path)[version - 1]
    assert "no faults" in quiverfs("check", target).stdout


def test_a_chain_from_a_mount_that_is_written_to(source, tmp, rng):
    target = tmp / "target"
    for version in range(1, 6):
        if version > 3:
            change(source, rng)
            make_snapshot(source, f"v{version}")
            change(source, rng)
            source.control("compact", "start")
            until(lambda: source.control("compact").startswith("idle"), "compaction goes on")
        done = transfer(f"{source.point}@v{version}", target,
                        since=f"v{version - 1}" if version > 1 else None)
        assert f"{target}: snapshot v{version} received".encode() in done.stdout
        assert done.stderr == b""
        check_target(source, target, version)
    assert not (tmp / "target.receiving").exists()
    assert contents(source.store, f"{target}@v2") == at_version(source, 2)


def test_a_target_sends_on_and_back(source, tmp):
    """What was received is a source like any other, also of where it came from."""
    a, b = tmp / "a", tmp / "b"
    transfer(f"{source.point}@v1", a)
    transfer(f"{a}@v1", b)
    transfer(f"{source.point}@v3", a, since="v1")
    transfer(f"{a}@v3", b, since="v1")
    assert contents(source.store, b) == at_version(source, 3)
    assert listed(b) == [one for one in listed(source.store.path) if one[0] != "v2"]
    done = shell(f"{send(f'{b}@v3', 'v1')} | {QUIVERFS} receive {a}")
    assert b"it has snapshot v3 already; nothing was changed" in done.stdout


def test_byte_by_byte_and_from_a_file(source, tmp):
    """As slow as a pipe can be, and much later."""
    transfer(f"{source.point}@v1", tmp / "slow",
             between="| dd bs=1 status=none | cat | dd bs=1 status=none")
    check_target(source, tmp / "slow", 1)
    shell(f"{send(f'{source.point}@v1')} > {tmp}/all; "
          f"{send(f'{source.point}@v2', 'v1')} >> {tmp}/all; "
          f"{send(f'{source.point}@v3', 'v2')} >> {tmp}/all")
    done = shell(f"{QUIVERFS} receive {tmp}/target < {tmp}/all")
    assert [b" v1 " in line or b" v2 " in line or b" v3 " in line
            for line in done.stdout.splitlines()] == [True] * 3
    check_target(source, tmp / "target", 3)
    again = shell(f"{QUIVERFS} receive {tmp}/target < {tmp}/all")
    assert again.stdout.count(b"already; nothing was changed") == 3
    check_target(source, tmp / "target", 3)


def printed(done, word):
    """The command that a note tells to type."""
    text = (done.stdout + done.stderr).decode()
    return next(found for found in re.findall(r"'(quiverfs [^']*)'", text) if word in found)


def type_it(command, source):
    return shell(PIPE + command.replace("SOURCE", str(source)).replace("quiverfs ", f"{QUIVERFS} "))


def test_what_is_told_to_be_typed_goes_on_or_goes_back(source, tmp, rng):
    target = tmp / "target"
    whole = shell(send(f"{source.point}@v1")).stdout
    changes = shell(send(f"{source.point}@v3", "v1")).stdout
    for stream, version, before in ((whole, 1, None), (changes, 3, 1)):
        for turn in range(4):
            cut = rng.randrange(4096, len(stream))
            done = run(QUIVERFS, "receive", target, stdin=stream[:cut], status=1)
            assert f"the stream ends early, after {cut} bytes" in done.stderr.decode()
            for path in (target, tmp / "target.receiving"):
                if path.exists():
                    refused = quiverfs("status", path, status=1)
                    assert "a stream is being received into it" in refused.stderr
                    point = tmp / "no"
                    point.mkdir(exist_ok=True)
                    assert quiverfs("mount", path, point, status=None).returncode != 0
            if before:
                assert contents(source.store, f"{target}@v{before}") == \
                    at_version(source, before)
            if turn < 3:
                type_it(printed(done, "--undo"), source.point)
                if before:
                    check_target(source, target, before)
                else:
                    assert not target.exists() and not (tmp / "target.receiving").exists()
        type_it(printed(done, "send"), source.point)
        check_target(source, target, version)


def kill_one(words, stdin, stdout, seconds, sign=signal.SIGKILL):
    with subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE) as process:
        time.sleep(seconds)
        process.send_signal(sign)
        _, text = process.communicate(timeout=HANG_SECONDS)
        return process.returncode, text.decode()


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_either_side_is_killed(source, tmp, rng, side):
    target = tmp / "target"
    transfer(f"{source.point}@v1", target)
    path = tmp / "stream"
    path.write_bytes(shell(send(f"{source.point}@v3", "v1")).stdout)
    for turn in range(6):
        slowly = f"exec dd bs=16 if={path} status=none"
        if side == "sender":
            words = ["bash", "-c", f"{slowly} | {QUIVERFS} receive {target}; exit ${{PIPESTATUS[1]}}"]
            cut = rng.randrange(len(path.read_bytes()))
            done = shell(f"head -c {cut} {path} | {QUIVERFS} receive {target}", status=1)
            assert done.stderr
        else:
            with subprocess.Popen(["bash", "-c", slowly + " | dd bs=16 status=none"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sender:
                words = [QUIVERFS, "receive", str(target)]
                kill_one(words, sender.stdout, subprocess.DEVNULL, rng.random() * 0.1)
                sender.stdout.close()
        state = quiverfs("status", target, status=None)
        if state.returncode == 0:  # it was killed before its first change, or behind the last
            assert listed(target)[-1][0] in ("v1", "v3")
            if listed(target)[-1][0] == "v3":
                check_target(source, target, 3)
                return
            check_target(source, target, 1)
            continue
        assert "a stream is being received into it" in state.stderr
        assert contents(source.store, f"{target}@v1") == at_version(source, 1)
        if turn % 2:
            quiverfs("receive", "--undo", target)
            check_target(source, target, 1)
    transfer(f"{source.point}@v3", target, since="v1")
    check_target(source, target, 3)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_either_side_and_says_so(source, tmp, sign):
    reader, writer = os.pipe()
    stream = shell(send(f"{source.point}@v1")).stdout
    os.write(writer, stream[:5000])
    status, text = kill_one([QUIVERFS, "receive", tmp / "target"], reader, subprocess.DEVNULL,
                            1, sign)
    os.close(reader)
    os.close(writer)
    assert status == 1 and "stopped" in text and "--undo" in text, text
    quiverfs("receive", "--undo", tmp / "target")
    assert not (tmp / "target.receiving").exists()
    reader, writer = os.pipe()  # which nobody reads
    with contextlib.suppress(BlockingIOError):
        os.set_blocking(writer, False)
        while True:
            os.write(writer, bytes(65536))
    status, text = kill_one([QUIVERFS, "send", f"{source.point}@v1"], subprocess.DEVNULL, writer,
                            1, sign)
    os.close(reader)
    os.close(writer)
    assert status == 1 and "stopped; the stream is not whole" in text, text


def test_nobody_reads_or_there_is_no_room(source, tmp):
    done = shell(f"{send(f'{source.point}@v1')} > /dev/full", status=1)
    assert b"standard output: No space left on device" in done.stderr
    done = shell(f"trap '' PIPE; {send(f'{source.point}@v1')} | true; exit ${{PIPESTATUS[0]}}",
                 status=None)
    assert done.returncode in (0, 1) and b"Traceback" not in done.stderr
    # a limit of the size of files is as a disk that is full
    done = shell(f"{send(f'{source.point}@v1')} > {tmp}/stream; ulimit -f 8; "
                 f"{QUIVERFS} receive {tmp}/target < {tmp}/stream", status=1)
    assert done.stderr and not (tmp / "target").exists()
    shell(f"{QUIVERFS} receive {tmp}/target < {tmp}/stream")
    check_target(source, tmp / "target", 1)


def test_a_changed_target_is_refused_unless_forced(source, tmp, stores, rng):
    target = tmp / "target"
    transfer(f"{source.point}@v1", target)
    point = tmp / "theirs"
    point.mkdir()
    quiverfs("mount", target, point)
    (point / "vectors/1000").write_bytes(rng.randbytes(source.size))
    names = sorted(os.listdir(point / "vectors"), key=int)
    (point / "vectors" / names[0]).chmod(0o604)
    (point / "vectors" / names[1]).unlink()
    refused = transfer(f"{source.point}@v2", target, since="v1", status=1)
    assert f"is mounted at {point}".encode() in refused.stderr
    refused = transfer(f"{source.point}@v2", point, since="v1", status=1)
    assert b"unmount it first" in refused.stderr
    run(*(["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]), point)
    refused = transfer(f"{source.point}@v2", target, since="v1", status=1)
    assert (b"it has changed since snapshot v1, which the stream builds on: 3 vectors differ, and "
            b"so do the times") in refused.stderr
    shell(f"{PIPE}{send(f'{source.point}@v2', 'v1')} | {QUIVERFS} receive --force {target}")
    check_target(source, target, 2)


def test_a_snapshot_of_the_target_stays_mounted_meanwhile(source, tmp):
    target, point = tmp / "target", tmp / "old"
    transfer(f"{source.point}@v1", target)
    point.mkdir()
    quiverfs("mount", f"{target}@v1", point)
    expected = {name: (point / "vectors" / name).read_bytes()
                for name in os.listdir(point / "vectors")}
    transfer(f"{source.point}@v3", target, since="v1")
    quiverfs("compact", target)
    assert {name: (point / "vectors" / name).read_bytes()
            for name in os.listdir(point / "vectors")} == expected
    run(*(["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]), point)
    check_target(source, target, 3)


def test_what_is_no_stream_or_of_another_store(source, tmp):
    target = tmp / "target"
    for bytes_, text in ((b"", "nothing came on standard input"),
                         (b"quiverfs: no such store\n", "not a stream of quiverfs"),
                         (bytes(100000), "not a stream of quiverfs"),
                         (b"QUIVERST" + bytes(4088), "damaged")):
        done = run(QUIVERFS, "receive", target, stdin=bytes_, status=1)
        assert text in done.stderr.decode()
        assert len(done.stderr.splitlines()) == 1
    assert not target.exists()
    refused = transfer(f"{source.point}@v3", target, since="v2", status=1)
    assert b"send a whole one first" in refused.stderr
    transfer(f"{source.point}@v1", target)
    refused = transfer(f"{source.point}@v3", target, since="v2", status=1)
    assert b"builds on snapshot v2" in refused.stderr and b"(here: v1)" in refused.stderr
    refused = transfer(f"{source.point}@v2", target, status=1)
    assert b"it exists, but a whole stream makes a new store" in refused.stderr
    check_target(source, target, 1)
    # of the same names in another store
    other = tmp / "other"
    quiverfs("create", other, "--dim", DIM)
    quiverfs("snapshot", "create", other, "v1")
    quiverfs("snapshot", "create", other, "v2")
    refused = transfer(f"{other}@v2", target, since="v1", status=1)
    assert b"which is not here" in refused.stderr
    refused = shell(f"{send(f'{source.point}@v2', 'v1')} | {QUIVERFS} receive {target} v1",
                    status=1)
    assert b"another snapshot with the name v1" in refused.stderr
    shell(f"{PIPE}{send(f'{source.point}@v2', 'v1')} | {QUIVERFS} receive {target} tuesday")
    assert [name for name, _, _ in listed(target)] == ["v1", "tuesday"]
    transfer(f"{source.point}@v3", target, since="v2")
    check_target(source, target, 3)


def test_flipped_bits_leave_the_last_state(source, tmp, rng):
    target = tmp / "target"
    transfer(f"{source.point}@v1", target)
    stream = bytearray(shell(send(f"{source.point}@v2", "v1")).stdout)
    for _ in range(8):
        bit = rng.randrange(len(stream) * 8)
        stream[bit // 8] ^= 1 << bit % 8
        done = run(QUIVERFS, "receive", target, stdin=bytes(stream), status=1)
        assert b"stream" in done.stderr
        stream[bit // 8] ^= 1 << bit % 8
        if b"--undo" in done.stderr:
            quiverfs("receive", "--undo", target)
        check_target(source, target, 1)
    run(QUIVERFS, "receive", target, stdin=bytes(stream))
    check_target(source, target, 2)


def test_wrong_words_and_terminals(source, tmp):
    assert "does not name a snapshot" in quiverfs("send", source.point, status=2).stderr
    assert "is not a position" in quiverfs("send", f"{source.point}@v1", "--from", "-1", status=2).stderr
    assert "it has no snapshot nix" in quiverfs("send", f"{source.point}@nix", status=1).stderr
    assert "takes only the STORE" in quiverfs("receive", "--undo", "--force", "x",
                                               status=2).stderr
    assert "no stream is being received" in quiverfs("receive", "--undo", tmp / "x",
                                                     status=1).stderr
    ours, terminal = pty.openpty()
    for words, option in ((["send", f"{source.point}@v1"], "stdout"), (["receive", "x"], "stdin")):
        done = subprocess.run([QUIVERFS, *words], **{"stdin": subprocess.DEVNULL,
                                                     "stdout": subprocess.DEVNULL,
                                                     "stderr": subprocess.PIPE, option: terminal},
                              timeout=HANG_SECONDS, check=False)
        assert done.returncode == 2 and b"terminal" in done.stderr
    os.close(ours)
    os.close(terminal)


def test_a_bar_is_shown(source, tmp):
    shell(f"{send(f'{source.point}@v1')} > {tmp}/stream")
    ours, terminal = pty.openpty()
    with open(tmp / "stream", "rb") as stream:
        run_ = subprocess.run([QUIVERFS, "receive", tmp / "target"], stdin=stream,
                              stdout=subprocess.DEVNULL, stderr=terminal, timeout=HANG_SECONDS,
                              env={**os.environ, "TERM": "xterm"}, check=True)
    assert run_.returncode == 0
    os.set_blocking(ours, False)
    assert b"receive" in os.read(ours, 65536)
    os.close(ours)
    os.close(terminal)


def test_beside_writers_and_compaction(source, tmp, rng):
    """Each version that arrives is what its snapshot is."""
    target = tmp / "target"
    ended = threading.Event()

    def write(seed):
        own = random.Random(seed)
        while not ended.is_set():
            file = source.vectors / str(own.randrange(300))
            with contextlib.suppress(FileNotFoundError):
                if own.random() < 0.3:
                    file.unlink()
                else:
                    file.write_bytes(own.randbytes(source.size))

    def compact():
        while not ended.is_set():
            if source.control("compact").startswith("idle"):
                source.control("compact", "start")
            time.sleep(0.05)

    writers = [threading.Thread(target=write, args=(rng.random(),)) for _ in range(3)]
    writers.append(threading.Thread(target=compact))
    for writer in writers:
        writer.start()
    try:
        transfer(f"{source.point}@v3", target)
        for version in range(4, 10):
            make_snapshot(source, f"v{version}")
            transfer(f"{source.point}@v{version}", target, since=f"v{version - 1}")
            if version % 2:
                quiverfs("snapshot", "remove", source.point, f"v{version - 2}")
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    expected = contents(source.store, f"{source.store.path}@v9")
    assert contents(source.store, target) == expected
    assert "no faults" in quiverfs("check", target).stdout


@pytest.mark.needs_root("acts as several users")
def test_from_one_user_to_another(source, tmp):
    """Owners go with the vectors, whoever receives them; files of the store are the receiver's."""
    folder = tmp / "theirs"
    folder.mkdir()
    folder.chmod(0o777)
    tmp.chmod(0o755)
    os.chown(source.vectors / os.listdir(source.vectors)[0], 12345, 54321)
    make_snapshot(source, "v4")
    shell(f"{PIPE}{send(f'{source.point}@v4')} | {' '.join(ordinary_user_words)} "
          f"{QUIVERFS} receive {folder}/target")
    assert (folder / "target/superblock").stat().st_uid != 0
    assert contents(source.store, folder / "target") == at_version(source, 4)
    refused = shell(f"{' '.join(ordinary_user_words)} {send(f'{source.point}@v4')}", status=1)
    assert refused.stdout == b"" and refused.stderr
