"""control/get: many vectors at once."""

import errno
import os
import struct
import threading

import pytest

from asking import DAMAGED, DENIED, FOUND, MISSING, ask, asked, get_many, ids_bytes, split_get
from files import opened, refused
from harness import shell, until
from peer import Peer

BOTH_TRANSPORTS = True
ID_MAX = 2**64 - 2**32 - 1
NOBODY = 65534
LOCAL = "QUIVERFS_KIND" not in os.environ


@pytest.fixture(autouse=True)
def nothing_is_far(monkeypatch):
    """Each vector is asked for by itself of a store that tests/kind has as elsewhere."""
    monkeypatch.setenv("QUIVERFS_KIND_DELAY_US", "0")


def get_file(mnt):
    return mnt.control_folder / "get"


def fill(mnt, rng, ids):
    rows = {vector: rng.randbytes(mnt.size) for vector in ids}
    batch = max(1, (512 << 10) // (mnt.size + 8))
    records = [vector.to_bytes(8, "little") + data for vector, data in rows.items()]
    for at in range(0, len(records), batch):
        mnt.control("put", b"".join(records[at:at + batch]))
    return rows


def expected(rows, ids, size):
    return ([rows.get(vector, bytes(size)) for vector in ids],
            [FOUND if vector in rows else MISSING for vector in ids])


@pytest.mark.parametrize("dim, dtype", [(1, "i1"), (25, "f4"), (768, "f4"), (65536, "f8"),
                                        (8, "b1")])
def test_the_vectors_come_as_they_were_asked_for(stores, rng, dim, dtype):
    """In that order, some twice, what is missing as zeros, pieces of any length both ways."""
    mnt = stores.mount(stores.create(dim=dim, dtype=dtype))
    count = 40 if dim == 65536 else 2000
    rows = fill(mnt, rng, [0, ID_MAX, *rng.sample(range(10 * count), count)])
    bound = int(mnt.stats()["get_ids_max"])
    assert bound == max(1, min(65536, (64 << 20) // mnt.size))
    with opened(get_file(mnt), os.O_RDWR) as fd:
        for want in (1, 2, 7, 100, min(bound, 1500)):
            ids = rng.choices([*rows, *range(50), ID_MAX, 0], k=want)
            piece = rng.choice([None, 1, 8, 4096, 10**6] if want < 100 else [None, 4096])
            found = get_many(fd, ids, mnt.size, piece=piece,
                             chunk=rng.choice([700, 65536, 1 << 21]))
            assert found == expected(rows, ids, mnt.size)
            assert os.read(fd, 10) == b""
    # what is no ID at all is not there
    answer = asked(get_file(mnt), ids_bytes([ID_MAX + 1, 2**64 - 1]))
    assert split_get(answer, 2, mnt.size)[1] == [MISSING, MISSING]


def test_as_many_as_there_may_be_and_no_more(stores, rng):
    mnt = stores.mount(stores.create(dim=8, dtype="i1"))
    rows = fill(mnt, rng, range(70000 if LOCAL else 1000))
    bound = int(mnt.stats()["get_ids_max"])
    assert bound == 65536
    ids = rng.choices(sorted(rows), k=bound)
    with opened(get_file(mnt), os.O_RDWR) as fd:
        assert get_many(fd, ids, mnt.size) == expected(rows, ids, mnt.size)
        os.write(fd, ids_bytes(ids))
        with refused(errno.EFBIG):
            os.write(fd, ids_bytes([1]))
        mnt.expect_error("control/get: a question may have at most 524288 bytes")
        with refused(errno.EFBIG):  # there is no answer to a part of it
            os.read(fd, 100)
        assert os.read(fd, 100) == b""
        assert get_many(fd, [5], mnt.size) == ([rows[5]], [FOUND])


def test_half_an_id_is_refused(mnt, rng):
    rows = fill(mnt, rng, [1])
    with opened(get_file(mnt), os.O_RDWR) as fd:
        for length in (1, 7, 9, 15):
            os.write(fd, bytes(length))
            with refused(errno.EINVAL):
                os.read(fd, 100)
            mnt.expect_error(f"control/get: got {length} bytes, expected IDs of 8 bytes each")
            assert os.read(fd, 100) == b""
        assert get_many(fd, [1], mnt.size) == ([rows[1]], [FOUND])


def test_a_question_may_be_left_at_any_moment(mnt, rng):
    rows = fill(mnt, rng, range(100))
    with opened(get_file(mnt), os.O_RDWR) as fd:
        assert os.read(fd, 100) == b""  # nothing asked, nothing answered
        os.write(fd, ids_bytes(range(100)))
        assert os.read(fd, 10) == rows[0][:10]
        # the rest is not wanted
        assert get_many(fd, [7, 8], mnt.size) == ([rows[7], rows[8]], [FOUND, FOUND])
        os.write(fd, ids_bytes([3]))
    with opened(get_file(mnt), os.O_RDWR) as fd:
        os.write(fd, ids_bytes(range(100)))
        os.read(fd, 10)
        assert int(mnt.stats()["question_bytes"]) > 100 * mnt.size
        assert os.fstat(fd).st_size == 0
    # the kernel tells of a close after it has returned
    until(lambda: mnt.stats()["question_bytes"] == "0", "the question stays")


def test_offsets_mean_nothing(mnt, rng):
    rows = fill(mnt, rng, range(10))
    with opened(get_file(mnt), os.O_RDWR) as fd:
        os.pwrite(fd, ids_bytes([1]), 1000)
        os.pwrite(fd, ids_bytes([2]), 0)
        os.lseek(fd, 12345, os.SEEK_SET)
        answer = os.read(fd, mnt.size) + os.pread(fd, mnt.size, 0) + os.pread(fd, 100, 3)
        assert split_get(answer, 2, mnt.size) == ([rows[1], rows[2]], [FOUND, FOUND])


def test_a_shell_asks(mnt, rng):
    rows = fill(mnt, rng, range(10))
    done = shell(r"exec 3<>get; printf '\5\0\0\0\0\0\0\0' >&3; cat <&3; "
                 r"printf '\6\0\0\0\0\0\0\0' >&3; cat <&3", cwd=mnt.control_folder)
    assert done.stdout == rows[5] + b"\1" + rows[6] + b"\1"


def test_it_is_opened_for_both(mnt):
    for flags, word in ((os.O_RDONLY, "reading"), (os.O_WRONLY, "writing")):
        with refused(errno.EINVAL):
            os.open(get_file(mnt), flags)
        mnt.expect_error(f"control/get: opened for {word} only; open it for both")
    with opened(get_file(mnt), os.O_RDWR | os.O_TRUNC) as fd:
        os.ftruncate(fd, 0)
    assert os.stat(get_file(mnt)).st_mode & 0o777 == 0o666


def test_many_open_files_have_answers_of_their_own(mnt, rng):
    rows = fill(mnt, rng, range(1000))
    faults = []

    def client(number):
        with opened(get_file(mnt), os.O_RDWR) as fd:
            for turn in range(30):
                ids = [(number * 37 + turn * 11 + at) % 1100 for at in range(20 + number)]
                if get_many(fd, ids, mnt.size, chunk=700 + number) != \
                        expected(rows, ids, mnt.size):
                    faults.append((number, turn))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_two_processes_share_an_open_file(mnt, rng):
    rows = fill(mnt, rng, range(10))
    with opened(get_file(mnt), os.O_RDWR) as fd:
        other = Peer()
        try:
            for vector in range(10):
                other.call("write", fd, ids_bytes([vector]))
                assert os.read(fd, mnt.size) == rows[vector]
                assert other.call("read", fd, 100) == b"\1"
                assert other.call("read", fd, 100) == b""
        finally:
            other.close()


def test_each_vector_is_whole_beside_who_writes_it(mnt, rng):
    """And an answer has nothing that is older than the question."""
    fill(mnt, rng, range(64))
    for vector in range(64):
        mnt.put(vector, bytes(mnt.size))
    stop = threading.Event()
    done = [0]

    def writer():
        turn = 0
        while not stop.is_set():
            turn += 1
            mnt.control("put", b"".join(
                vector.to_bytes(8, "little") + bytes([turn % 256]) * 4 +
                struct.pack("<I", turn) * (mnt.size // 4 - 1) for vector in range(64)))
            done[0] = turn

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        with opened(get_file(mnt), os.O_RDWR) as fd:
            for _ in range(300 if LOCAL else 20):
                before = done[0]
                found, there = get_many(fd, range(64), mnt.size)
                assert there == [FOUND] * 64
                for data in found:
                    turns = set(struct.unpack(f"<{mnt.size // 4 - 1}I", data[4:]))
                    assert len(turns) == 1 and max(turns) >= before
                    assert data[:4] == bytes([max(turns) % 256]) * 4
    finally:
        stop.set()
        thread.join()


@pytest.mark.local("files with rows in them")
def test_a_damaged_vector_is_told_as_that(stores, rng):
    mnt = stores.mount(check=False)
    rows = fill(mnt, rng, range(10))
    mnt.unmount()
    with open(mnt.store.path / "vectors.npy", "r+b") as file:
        at = file.read().index(rows[4])
        file.seek(at + 3)
        file.write(bytes([rows[4][3] ^ 1]))
    mnt = stores.mount(mnt.store, check=False)
    found, there = split_get(asked(get_file(mnt), ids_bytes(range(10))), 10, mnt.size)
    assert there == [FOUND] * 4 + [DAMAGED] + [FOUND] * 5
    assert found == [bytes(mnt.size) if vector == 4 else rows[vector] for vector in range(10)]
    mnt.forget_errors()


def test_it_is_not_where_nothing_can_be_opened_for_writing(stores, rng):
    mnt = stores.mount()
    fill(mnt, rng, [1])
    if "snapshots" in os.listdir(mnt.point):
        os.mkdir(mnt.point / "snapshots/old")
        assert "get" not in os.listdir(mnt.point / "snapshots/old/control")
        with refused(errno.ENOENT):
            os.stat(mnt.point / "snapshots/old/control/get")
    mnt = stores.again(mnt, options=["ro"])
    assert "get" not in os.listdir(mnt.control_folder)
    with refused(errno.ENOENT):
        os.stat(get_file(mnt))


# ---- who may read what ------------------------------------------------------------------


def ask_as(path, question):
    """Run by another process, as another user."""
    with opened(path, os.O_RDWR) as fd:
        return ask(fd, question)


@pytest.fixture
def shared(stores, rng):
    """A mount that others may use, vectors 0 to 3 in it, and somebody else."""
    mnt = stores.mount(options=["allow_other"])
    rows = fill(mnt, rng, range(4))
    other = Peer(uid=NOBODY, gid=NOBODY)
    yield mnt, rows, other
    other.close()


def test_others_get_what_they_may_read_as_files(shared):
    mnt, rows, other = shared
    os.chmod(mnt.path(1), 0o600)
    os.chown(mnt.path(2), NOBODY, 0)
    os.chmod(mnt.path(2), 0o400)
    os.chown(mnt.path(3), 0, NOBODY)
    os.chmod(mnt.path(3), 0o604)  # his group may not, whoever else may
    answer = other.call(ask_as, str(get_file(mnt)), ids_bytes([0, 1, 2, 3, 4]))
    nothing = bytes(mnt.size)
    assert split_get(answer, 5, mnt.size) == (
        [rows[0], nothing, rows[2], nothing, nothing], [FOUND, DENIED, FOUND, DENIED, MISSING])
    for vector in (0, 2):
        assert other.read(mnt.path(vector)) == rows[vector]
    for vector in (1, 3):
        with refused(errno.EACCES):
            other.read(mnt.path(vector))
    # who has mounted may read all
    assert get_many_of(mnt, range(4)) == [rows[vector] for vector in range(4)]


def get_many_of(mnt, ids):
    rows, there = split_get(asked(get_file(mnt), ids_bytes(ids)), len(ids), mnt.size)
    assert there == [FOUND] * len(ids)
    return rows


def test_who_may_not_pass_through_the_folder_gets_nothing(shared):
    mnt, rows, other = shared
    os.chmod(mnt.vectors, 0o750)
    with refused(errno.EACCES):
        other.call(ask_as, str(get_file(mnt)), ids_bytes([0]))
    os.chmod(mnt.vectors, 0o751)
    answer = other.call(ask_as, str(get_file(mnt)), ids_bytes([0]))
    assert split_get(answer, 1, mnt.size) == ([rows[0]], [FOUND])


def test_whom_the_matrix_is_for_gets_all(stores, shared):
    mnt, rows, other = shared
    os.chmod(mnt.path(1), 0o600)
    mnt = stores.again(mnt, options=["allow_other", "matrix_mode=0644"])
    answer = other.call(ask_as, str(get_file(mnt)), ids_bytes([0, 1]))
    assert split_get(answer, 2, mnt.size) == ([rows[0], rows[1]], [FOUND, FOUND])


def test_a_user_takes_no_more_memory_than_his_share(shared):
    """128 MiB: two answers of 64 MiB are more than that, with what makes them."""
    mnt, rows, other = shared
    bound = int(mnt.stats()["get_ids_max"])
    assert other.call(hold_answers, str(get_file(mnt)), bytes(8 * bound), 100) == \
        errno.errorcode[errno.EDQUOT]
    # The kernel tells of a closed file behind the caller's back.
    until(lambda: int(mnt.stats()["question_bytes"]) == 0, "closed questions go")
    mnt.expect_error("control/get: user 65534 may have at most 134217728 bytes of questions")
    assert get_many_of(mnt, range(4)) == [rows[vector] for vector in range(4)]


def hold_answers(path, question, count):
    """Have so many files open with the first byte of each answer read; what comes in the way."""
    fds = []
    try:
        for _ in range(count):
            fds.append(os.open(path, os.O_RDWR))
            os.write(fds[-1], question)
            os.read(fds[-1], 1)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        for fd in fds:
            os.close(fd)
    return None
