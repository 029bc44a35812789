"""vectors/ID.npy and vectors/ID.txt: one vector in another form, read and written."""

import errno
import io
import math
import mmap
import os
import shutil
import socket
import struct
import threading

import numpy
import pytest

from files import GIVEN, attributes, opened, read_chunks, refused, rename2, write_all
from harness import LONG, quiverfs, run, shell, until

BOTH_TRANSPORTS = True
TYPES = {"f4": "<f4", "f2": "<f2", "f8": "<f8", "i1": "|i1", "u1": "|u1"}
ROUNDS = 5000 if LONG else 400


def saved(array):
    """What np.save makes of it."""
    file = io.BytesIO()
    numpy.save(file, array)
    return file.getvalue()


def vector_of(mnt, rng):
    return numpy.frombuffer(rng.randbytes(mnt.size), TYPES[mnt.store.dtype])


def finite(mnt, rng):
    """Numbers as people have them, with as many digits as the type holds."""
    if mnt.store.dtype[0] != "f":
        return vector_of(mnt, rng)
    return numpy.array([rng.gauss(0, 1) for _ in range(mnt.store.dim)], TYPES[mnt.store.dtype])


def line_of(number):
    return numpy.format_float_positional(number, unique=True, trim="-")


@pytest.fixture(params=sorted(TYPES))
def typed(request, stores):
    return stores.mount(stores.create(dtype=request.param))


# ---- reading --------------------------------------------------------------------------


def test_numpy_reads_them(typed, rng):
    for vector in (0, 42, 2**64 - 2**32 - 1):
        values = finite(typed, rng)
        values.tofile(typed.path(vector))
        found = numpy.load(typed.path(f"{vector}.npy"))
        assert found.dtype == values.dtype and found.shape == (typed.store.dim,)
        assert numpy.array_equal(found, values)
        assert numpy.array_equal(numpy.load(typed.path(f"{vector}.npy"), mmap_mode="r"), values)
        assert typed.path(f"{vector}.npy").read_bytes() == saved(values)
        text = numpy.loadtxt(typed.path(f"{vector}.txt"), dtype=values.dtype)
        assert numpy.array_equal(text, values)


def test_text_is_one_number_a_line_in_the_fewest_digits(stores):
    mnt = stores.mount(stores.create(dim=8))
    values = numpy.array([1, -2.5, 0.1, 1e30, 16777216, -0.0, math.inf, 1e-45], "<f4")
    values.tofile(mnt.path(1))
    assert mnt.path("1.txt").read_text() == "1\n-2.5\n0.1\n1e+30\n16777216\n-0\ninf\n1e-45\n"
    mnt = stores.mount(stores.create(dim=4, dtype="f2", name="two"), name="mnt2")
    numpy.array([0.1, 65504, 1 / 3, -math.inf], "<f2").tofile(mnt.path(1))
    assert mnt.path("1.txt").read_text() == "0.1\n6.55e+04\n0.3333\n-inf\n"
    mnt = stores.mount(stores.create(dim=3, dtype="i1", name="three"), name="mnt3")
    numpy.array([-128, 0, 127], "|i1").tofile(mnt.path(1))
    assert mnt.path("1.txt").read_text() == "-128\n0\n127\n"


def digits_of(text):
    return len(text.split("e")[0].replace("-", "").replace(".", "").strip("0"))


def digits_needed(number):
    """In the shortest text that NumPy finds."""
    return digits_of(numpy.format_float_scientific(number, unique=True))


@pytest.mark.parametrize("dtype", sorted(TYPES))
def test_text_is_read_back_to_the_same_bits(stores, rng, dtype):
    """Any bits that are a number; no shorter text would do."""
    mnt = stores.mount(stores.create(dim=3000, dtype=dtype))
    values = vector_of(mnt, rng).copy()
    if dtype[0] == "f":
        values[numpy.isnan(values)] = 1
    values.tofile(mnt.path(1))
    text = mnt.path("1.txt").read_text()
    mnt.path("2.txt").write_text(text)
    assert mnt.get(2) == values.tobytes()
    assert numpy.array_equal(numpy.loadtxt(mnt.path("1.txt"), dtype=values.dtype), values)
    if dtype[0] == "f":
        for line, number in zip(text.split(), values):
            if not numpy.isfinite(number):
                continue
            assert digits_of(line) == digits_needed(number), (line, number)


@pytest.mark.parametrize("dtype, least, most", [("f2", -24, 15), ("f4", -149, 127),
                                                ("f8", -1074, 1023)])
def test_powers_of_two_have_the_fewest_digits(stores, dtype, least, most):
    """Numbers lie closer below than above, so the shortest text need not be the nearest."""
    values = numpy.array([2.0**power for power in range(least, most + 1)], TYPES[dtype])
    values[::2] *= -1
    mnt = stores.mount(stores.create(dim=len(values), dtype=dtype))
    values.tofile(mnt.path(1))
    lines = mnt.path("1.txt").read_text().split()
    assert list(map(digits_of, lines)) == list(map(digits_needed, values))
    run("cp", mnt.path("1.txt"), mnt.path("2.txt"))
    assert mnt.get(2) == values.tobytes()


def test_nan_stays_one(stores):
    mnt = stores.mount(stores.create(dim=3))
    mnt.put(1, struct.pack("<3I", 0x7fc00000, 0xffc00000, 0x7fc12345))
    assert mnt.path("1.txt").read_text() == "nan\n-nan\nnan\n"
    found = numpy.loadtxt(mnt.path("1.txt"))
    assert numpy.isnan(found).all() and list(numpy.signbit(found)) == [False, True, False]
    run("cp", mnt.path("1.npy"), mnt.path("2.npy"))
    assert mnt.get(2) == mnt.get(1)
    run("cp", mnt.path("1.txt"), mnt.path("3.txt"))
    assert mnt.get(3) == struct.pack("<3I", 0x7fc00000, 0xffc00000, 0x7fc00000)


def test_they_are_hidden_but_there(mnt, rng):
    mnt.put(42, rng.randbytes(mnt.size))
    for name in ("42.npy", "42.txt"):
        assert os.stat(mnt.path(name)).st_size == len(mnt.path(name).read_bytes())
        assert run("wc", "-c", mnt.path(name)).stdout.split()[0].decode() == \
            str(os.stat(mnt.path(name)).st_size)
    assert os.listdir(mnt.vectors) == ["42"]
    assert len({os.stat(mnt.path(name)).st_ino for name in ("42", "42.npy", "42.txt")}) == 3
    assert os.stat(mnt.path("42.txt")).st_ino == os.stat(mnt.path("42.txt")).st_ino
    for name in ("43.npy", "43.txt", "042.npy", "42.csv", ".npy", "x.npy", "42.npy.npy",
                 f"{2**64}.txt"):
        with refused(errno.ENOENT):
            os.stat(mnt.path(name))
    for name in ("042.npy", "x.npy", "42.csv"):
        with refused(errno.EINVAL):
            os.open(mnt.path(name), os.O_WRONLY | os.O_CREAT)
    mnt.forget_errors()


@pytest.mark.needs_root("gives files to others")
def test_attributes_are_those_of_the_vector(mnt, rng, peer):
    mnt.put(1, rng.randbytes(mnt.size))
    names = [mnt.path(name) for name in ("1", "1.npy", "1.txt")]
    for number, name in enumerate(names):
        os.chmod(name, 0o640 + number)
        peer.call("chown", str(name), 12 + number, 34)
        os.utime(name, ns=(1, 123456789 + number))
        for seen in (attributes, lambda path: peer.call(attributes, str(path))):
            assert {seen(path) for path in names} == {(123456789 + number, 0o640 + number,
                                                       12 + number, 34)}
    mnt.put(1, rng.randbytes(mnt.size))
    assert len({attributes(path) for path in names}) == 1
    assert os.stat(names[1]).st_mtime_ns > 10**18


def test_tools_read_them(mnt, rng, tmp):
    values = finite(mnt, rng)
    values.tofile(mnt.path(7))
    path = mnt.path("7.txt")
    text = path.read_text()
    assert shell(f"cat {path} | sort -g | head -n 1").stdout.decode().strip() == \
        min(text.split(), key=float)
    assert shell(f"awk '{{ s += $1 }} END {{ print NR }}' {path}").stdout == b"25\n"
    assert run("grep", "-c", ".", path).stdout == b"25\n"
    run("cp", path, tmp / "copy.txt")
    assert (tmp / "copy.txt").read_text() == text
    run("cp", mnt.path("7.npy"), tmp / "copy.npy")
    assert numpy.array_equal(numpy.load(tmp / "copy.npy"), values)
    shell(f"cmp {path} {tmp}/copy.txt && diff {path} {tmp}/copy.txt && "
          f"tail -n 3 {path} | cmp - <(tail -n 3 {tmp}/copy.txt)")
    shell(f"tar -C {mnt.vectors} -cf - 7.txt 7.npy | tar -C {tmp} -xf -")
    assert (tmp / "7.txt").read_text() == text
    with opened(path, os.O_RDONLY) as fd:
        for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            view = mmap.mmap(fd, 0, flags, mmap.PROT_READ)
            assert view[:] == text.encode()
            view.close()
        assert os.pread(fd, 10, len(text) - 3) == text[-3:].encode()
        assert os.pread(fd, 10, len(text) + 3) == b""
    ours, theirs = socket.socketpair()
    with opened(path, os.O_RDONLY) as fd:
        assert os.sendfile(ours.fileno(), fd, 0, 1 << 20) == len(text)
    assert theirs.recv(1 << 20) == text.encode()
    ours.close()
    theirs.close()


# ---- writing --------------------------------------------------------------------------


def test_numpy_writes_them(typed, rng):
    before = int(typed.stats()["puts"])
    for number, vector in enumerate((42, 42, 7)):
        values = finite(typed, rng)
        numpy.save(typed.path(f"{vector}.npy"), values)
        assert typed.get(vector) == values.tobytes()
        assert int(typed.stats()["puts"]) == before + 2 * number + 1  # one commit
        values = finite(typed, rng)
        numpy.savetxt(typed.path(f"{vector}.txt"), values)
        assert typed.get(vector) == values.tobytes()
        assert int(typed.stats()["puts"]) == before + 2 * number + 2
    assert typed.ids() == {7, 42}
    assert typed.errors() == []


def test_the_one_row_of_an_array_is_a_vector(typed, rng):
    """What a model gives for one text has the shape (1, dim)."""
    values = finite(typed, rng)
    numpy.save(typed.path("7.npy"), values.reshape(1, -1))
    assert typed.get(7) == values.tobytes()
    assert typed.path("7.npy").read_bytes() == saved(values)
    with open(typed.path("8.txt"), "w") as file:
        file.write(str(values.reshape(1, -1).tolist()))
    assert typed.get(8) == values.tobytes()
    with open(typed.path(".9.npy.tmp"), "wb") as file:
        numpy.save(file, values.reshape(1, -1))
    os.rename(typed.path(".9.npy.tmp"), typed.path("9.npy"))
    assert typed.get(9) == values.tobytes()
    assert typed.errors() == []


def test_text_may_be_laid_out_in_any_way(stores):
    mnt = stores.mount(stores.create(dim=4))
    wanted = numpy.array([1, 2.5, -3e-5, 4], "<f4").tobytes()
    for text in ("1\n2.5\n-3e-5\n4\n", "1 2.5 -3e-5 4", "\r\n1.0\r\n2.50\r\n-0.00003\t4\r\n\r\n",
                 "+1 0x2.8p0 -30e-6 4000e-3\n", "1,2.5,-3e-5,4", "1 , 2.5\n,-3e-5,\n4,\n",
                 "[1.0, 2.5, -3e-05, 4.0]", "[ 1.e+00  2.5e+00\n -3.e-05  4.e+00]\n",
                 "[[1, 2.5,\n  -3e-5, 4]]", "[\n1,\n2.5,\n-3e-5,\n4,\n]", "[1 2.5 -3e-5 4]",
                 "\ufeff1 2.5 -3e-5 4"):
        mnt.path("1.txt").write_text(text)
        assert mnt.get(1) == wanted
        mnt.put(1, bytes(mnt.size))
    shell(f"echo 1 2.5 -3e-5 4 > {mnt.path('9.txt')}")
    assert mnt.get(9) == wanted
    shell(f"printf '1\\n2.5\\n-3e-5' > {mnt.path('9.txt')}", status=None)
    mnt.expect_error(r"9\.txt: got 3 of 4 numbers")
    assert mnt.get(9) == wanted
    shell(f"(echo 1; echo 2.5; cat <(echo -3e-5 4)) > {mnt.path('10.txt')}")
    assert mnt.get(10) == wanted
    shell(f"yes 7 | head -n 4 > {mnt.path('11.txt')}")
    assert mnt.get(11) == numpy.array([7] * 4, "<f4").tobytes()
    with open(mnt.path("12.txt"), "w", buffering=1) as file:
        file.write("1\n2.5\n")
        assert os.fstat(file.fileno()).st_size == 6
        assert not mnt.has(12) and not mnt.has("12.txt")
        file.write("-3e-5\n4\n")
    assert mnt.get(12) == wanted
    assert mnt.path("12.txt").read_text() == "1\n2.5\n-3e-05\n4\n"


def test_patches_and_appends(stores):
    mnt = stores.mount(stores.create(dim=4))
    mnt.path("1.txt").write_text("1 2 3 4\n")
    with open(mnt.path("1.txt"), "r+") as file:
        assert file.read() == "1\n2\n3\n4\n"
        file.seek(4)
        file.write("9")
    assert mnt.path("1.txt").read_text() == "1\n2\n9\n4\n"
    with open(mnt.path("1.npy"), "r+b") as file:
        file.seek(128 + 4)
        file.write(struct.pack("<f", 7.5))
    assert mnt.path("1.txt").read_text() == "1\n7.5\n9\n4\n"
    with open(mnt.path("1.txt"), "r+") as file:
        file.truncate(8)
        file.seek(0, os.SEEK_END)
        file.write("5\n")
    assert mnt.path("1.txt").read_text() == "1\n7.5\n9\n5\n"
    shell(f"dd of={mnt.path('1.txt')} conv=notrunc bs=1 status=none <<< 3")
    assert mnt.path("1.txt").read_text() == "3\n7.5\n9\n5\n"
    with open(mnt.path("1.txt"), "a") as file:
        file.write("6\n")
        with refused(errno.EINVAL):
            file.flush()
            os.fsync(file.fileno())
        file.truncate(0)
        file.write("1 1 1 1")
    assert mnt.path("1.txt").read_text() == "1\n1\n1\n1\n"
    mnt.expect_error(r"^\S+ 1\.txt: line 5: more than 4 numbers$")


def test_editors(mnt, rng):
    values = finite(mnt, rng)
    values.tofile(mnt.path(1))
    path = mnt.path("1.txt")
    wanted = [float(line) for line in path.read_text().split()]
    wanted[0] = 8.0
    for words in (["ed", "-s", path], ["vim", "-n", "-es", "-u", "NONE", "-c", "1s/.*/8/", "-c",
                                        "wq", path],
                  ["sed", "-i", "1s/.*/8/", path]):
        if not shutil.which(words[0]):
            continue
        values.tofile(mnt.path(1))
        done = run(*words, status=None, stdin=b"1s/.*/8/\nw\nq\n" if words[0] == "ed" else None)
        assert done.returncode == 0, (words, done.stderr)
        assert numpy.allclose(numpy.loadtxt(path), wanted), words
    assert [name for name in os.listdir(mnt.vectors) if name != "1"] == []
    assert mnt.errors() == []


@pytest.mark.parametrize("text, says", [
    ("", "got 0 of 4 numbers"), ("1 2 3", "got 3 of 4 numbers"),
    ("1\n2\n3\n4\n5\n", "line 5: more than 4 numbers"),
    ("1\n2\nx3\n4\n", "line 3: 'x3' is not a number"),
    ("1;2;3;4", "line 1: '1;2;3;4' is not a number"),
    ("1 2\n3 1e39", "line 2: 1e39 is not a value of f4"),
    ("1 2 3 \0", "line 1: '\\?' is not a number"),
    ("1 2 3 4" + "0" * 2000, "is not a number"),
    ("# 1\n1 2 3 4", "line 1: '#' is not a number"), ("1 2 3 \u0663", "is not a number"),
    ("0,1 0,2", "line 1: commas between some numbers and blanks between others"),
    ("0,1\n0,2\n", "line 2: commas between some"), ("1 2, 3 4", "line 1: commas between some"),
    ("0,1, 0,2, 0,3", "more than 4 numbers"), ("1,,2,3,4", "line 1: a ',' without a number"),
    (",1,2,3,4", "line 1: a ',' without a number"), ("1,2,3,4,,", "line 1: a ',' without"),
    ("[1, 2, 3, 4", "the ']' at its end is missing"), ("1, 2, 3, 4]", "a ']' without its '\\['"),
    ("[1, 2],\n[3, 4]", "line 1: a ',' without a number"), ("[1 2]\n3 4", "after the ']'"),
    ("[[[1 2 3 4]]]", "a '\\[' that does not begin a vector"),
    ("1 [2 3 4]", "a '\\[' that does not begin"),
    ("[1, 2, null, 4]", "line 1: 'null' is not a number"), ("[]", "got 0 of 4 numbers"),
], ids=range(25))
def test_bad_text_is_refused_and_nothing_changes(stores, text, says):
    mnt = stores.mount(stores.create(dim=4))
    mnt.put(1, b"0123456789abcdef")
    for name in ("1.txt", "2.txt"):
        with opened(mnt.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            if text:
                os.write(fd, text.encode())
            with refused(errno.EINVAL):
                os.fsync(fd)
            if text:
                with refused(errno.EINVAL):
                    os.close(fd)
        mnt.expect_error(name.replace(".", r"\.") + ": .*" + says)
        assert mnt.get(1) == b"0123456789abcdef"
        assert mnt.ids() == {1}


def test_an_empty_text_is_not_passed_over_without_a_word(mnt, rng):
    old = rng.randbytes(mnt.size)
    mnt.put(42, old)
    for words in (["cp", "/dev/null"], ["dd", "if=/dev/null", "conv=excl"]):
        to = mnt.path("7.txt") if words[0] == "cp" else f"of={mnt.path('7.txt')}"
        assert b"Invalid argument" in run(*words, to, status=1).stderr
        mnt.expect_error(r" 7\.txt: got 0 of 25 numbers")
    shell(f": > {mnt.path('7.txt')}")  # the shell asks no close
    mnt.expect_error(r" 7\.txt: got 0 of 25 numbers")
    for command in ("cp /dev/null {}", ": > {}", "python3 -c 'open(\"{}\", \"w\").close()'"):
        shell(command.format(mnt.path("42.txt")))
        mnt.expect_error(r" 42\.txt: an empty text is not a vector; nothing was changed$")
    assert mnt.get(42) == old and mnt.ids() == {42}
    with refused(errno.EINVAL):
        os.truncate(mnt.path("42.txt"), 0)
    mnt.expect_error(r" 42\.txt: ")
    with opened(mnt.path("42.txt"), os.O_WRONLY) as fd:
        os.write(fd, b"1 2 3")
        os.ftruncate(fd, 0)
        with refused(errno.EINVAL):
            os.close(fd)
    mnt.expect_error(r" 42\.txt: got 0 of 25 numbers")
    assert mnt.get(42) == old


def test_numpy_on_its_way_leaves_no_line(mnt, rng):
    """np.savetxt opens its file once for nothing before it writes."""
    for vector in range(40):
        mnt.put(vector, rng.randbytes(mnt.size))
        values = finite(mnt, rng)
        numpy.savetxt(mnt.path(f"{vector}.txt"), values)
        assert mnt.get(vector) == values.tobytes()
        with open(mnt.path(f"{100 + vector}.txt"), "w") as file:
            numpy.savetxt(file, values)
        assert mnt.get(100 + vector) == values.tobytes()
    assert mnt.errors() == []


@pytest.mark.parametrize("dtype, text, says", [
    ("i1", "1 128", "128 is not a value of i1"), ("i1", "1.5 1", "1.5 is not a value of i1"),
    ("u1", "-1 1", "-1 is not a value of u1"),
    ("u1", "nan 1", "nan is not a value of u1"), ("f2", "65520 1", "65520 is not a value of f2"),
    ("f8", "1e309 1", "is not a value of f8"),
])
def test_numbers_that_do_not_fit_are_refused(stores, dtype, text, says):
    mnt = stores.mount(stores.create(dim=2, dtype=dtype))
    with refused(errno.EINVAL):
        write_all(mnt.path("1.txt"), text.encode())
    mnt.expect_error(says)
    assert mnt.ids() == set()


def test_bad_headers_are_refused_and_nothing_changes(mnt, rng):
    old = rng.randbytes(mnt.size)
    mnt.put(1, old)
    good = finite(mnt, rng)
    cases = [
        (saved(numpy.zeros(24, "<f4")), r"its shape is wrong; expected \(25,\) or \(1, 25\)"),
        (saved(numpy.zeros((25, 1), "<f4")), r"its shape is wrong; expected \(25,\) or"),
        (saved(numpy.zeros((1, 1, 25), "<f4")), r"its shape is wrong; expected \(25,\) or"),
        (saved(numpy.zeros((2, 25), "<f4")), r"its shape is wrong; expected \(25,\) or"),
        (saved(numpy.zeros((0, 25), "<f4")), r"its shape is wrong; expected \(25,\) or"),
        (saved(good.astype("<f8")), "its type is f8; expected f4"),
        (saved(good.astype(">f4")), "big-endian"),
        (saved(good).replace(b"False", b"True "), "Fortran"),
        (saved(numpy.array([None] * 25)), "objects"),
        (saved(good)[:-1], "got 99 of 100 bytes"),
        (saved(good) + b"x", "got 101 of 100 bytes"),
        (saved(good)[:50], "ends within its header"),
        (good.tobytes(), "not a .npy file"),
        (b"", "not a .npy file"),
    ]
    for data, says in cases:
        for name in ("1.npy", "2.npy"):
            with refused(errno.EINVAL):
                write_all(mnt.path(name), data)
            mnt.expect_error(name + ": .*" + says)
        write_all(mnt.path(".1.npy.tmp"), data)
        with refused(errno.ENODATA):
            os.rename(mnt.path(".1.npy.tmp"), mnt.path("1.npy"))
        mnt.expect_error("1.npy: .*" + says)
        assert mnt.get(1) == old
        assert mnt.ids() == {1}
    os.unlink(mnt.path(".1.npy.tmp"))
    # NumPy's other versions of the header are as good.
    for version in ((1, 0), (2, 0), (3, 0)):
        file = io.BytesIO()
        numpy.lib.format.write_array(file, good, version=version)
        mnt.put(1, old)
        run("dd", f"of={mnt.path('1.npy')}", "bs=13", "status=none", stdin=file.getvalue())
        assert mnt.get(1) == good.tobytes()


def test_too_much_is_refused_at_once(mnt):
    for name in ("1.txt", "1.npy"):
        with opened(mnt.path(name), os.O_WRONLY | os.O_CREAT) as fd:
            with refused(errno.EFBIG):
                for _ in range(100):
                    os.write(fd, b"1 " * 4096)
            with refused(errno.EFBIG):
                os.pwrite(fd, b"1", 2**62)
            with refused(errno.EFBIG):
                os.ftruncate(fd, 2**40)
    # of each file one for each change, and one of its close, which the kernel tells of later
    until(lambda: len(mnt.errors()) == 8, "a line for each")
    mnt.forget_errors()
    assert mnt.ids() == set()


def test_names_cannot_be_removed_or_moved(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.put(2, data)
    for action in (lambda: os.unlink(mnt.path("1.npy")), lambda: os.unlink(mnt.path("1.txt")),
                   lambda: os.rename(mnt.path("1.npy"), mnt.path("3.npy")),
                   lambda: os.rename(mnt.path("1.npy"), mnt.path(".x")),
                   lambda: os.rename(mnt.path("2"), mnt.path("1.npy")),
                   lambda: os.rename(mnt.path("2"), mnt.path("3.txt")),
                   lambda: os.link(mnt.path("1.npy"), mnt.path("3.npy")),
                   lambda: os.mkdir(mnt.path("3.npy"))):
        with refused(errno.EPERM):
            action()
        mnt.expect_error("")
    with refused(errno.EINVAL):
        os.mknod(mnt.path("3.npy"))
    for size, number in ((0, errno.EINVAL), (50, errno.EINVAL), (10**9, errno.EFBIG)):
        with refused(number):
            os.truncate(mnt.path("1.npy"), size)
    os.truncate(mnt.path("1.npy"), 228)
    mnt.forget_errors()
    assert (mnt.get(1), mnt.get(2)) == (data, data)
    os.unlink(mnt.path(1))
    for name in ("1.npy", "1.txt"):
        with refused(errno.ENOENT):
            os.stat(mnt.path(name))


def test_scratch_files_become_vectors_by_the_name_of_a_view(mnt, rng, tmp):
    for name, make in (("1.npy", saved),
                       ("2.txt", lambda values: "\n".join(map(line_of, values)).encode())):
        vector = int(name[0])
        for _ in range(3):
            values = finite(mnt, rng)
            write_all(mnt.path(f".{name}.tmp"), make(values), chunk=40)
            os.rename(mnt.path(f".{name}.tmp"), mnt.path(name))
            assert mnt.get(vector) == values.tobytes()
            assert not mnt.has(f".{name}.tmp")
        values = finite(mnt, rng)
        (tmp / name).write_bytes(make(values))
        run("rsync", "-I", tmp / name, mnt.path(name))
        assert mnt.get(vector) == values.tobytes()
        write_all(mnt.path(f".{name}.tmp"), make(finite(mnt, rng)))
        with refused(errno.EEXIST):
            rename2(mnt.path(f".{name}.tmp"), mnt.path(name), 1)
        os.unlink(mnt.path(f".{name}.tmp"))
        assert mnt.get(vector) == values.tobytes()
    # Others hold no more than ever: a vector, or 64 KiB.
    with refused(errno.EFBIG):
        write_all(mnt.path(".other"), bytes(max(mnt.size, 1 << 16) + 1))
    os.unlink(mnt.path(".other"))
    mnt.forget_errors()


def test_exclusive_and_the_creators_attributes(mnt, rng):
    values = finite(mnt, rng)
    fd = os.open(mnt.path("1.npy"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, saved(values))
    os.fchown(fd, *GIVEN)
    os.utime(fd, ns=(1, 123456789))
    assert os.fstat(fd).st_mtime_ns == 123456789
    os.close(fd)
    assert attributes(mnt.path(1)) == (123456789, 0o600, *GIVEN)
    with refused(errno.EEXIST):
        os.open(mnt.path("1.npy"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    first = os.open(mnt.path("2.npy"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(first, saved(values))
    mnt.put(2, bytes(mnt.size))
    with refused(errno.EEXIST):
        os.close(first)
    mnt.forget_errors()
    assert mnt.get(2) == bytes(mnt.size)


# ---- who sees what --------------------------------------------------------------------


def test_a_view_is_never_stale_or_mixed(mnt, rng, peer):
    """After a commit by any name, by any process."""
    rows = [finite(mnt, rng) for _ in range(5)]
    texts = []
    for values in rows:
        values.tofile(mnt.path(1))
        texts.append(mnt.path("1.txt").read_bytes())
    assert len({len(text) for text in texts}) > 1
    kept = []
    for number in range(ROUNDS):
        which = number % 5
        values = rows[which]
        way = number % 4
        if way == 0:
            peer.write(str(mnt.path(1)), values.tobytes())
        elif way == 1:
            peer.write(str(mnt.path("1.npy")), saved(values))
        elif way == 2:
            peer.write(str(mnt.path("1.txt")), texts[which])
        else:
            mnt.control("put", (1).to_bytes(8, "little") + values.tobytes())
        found = os.stat(mnt.path("1.txt"))
        assert found.st_size == len(texts[which])
        assert found.st_mtime_ns == os.stat(mnt.path(1)).st_mtime_ns
        assert mnt.path("1.txt").read_bytes() == texts[which]
        assert mnt.path("1.npy").read_bytes() == saved(values)
        assert mnt.get(1) == values.tobytes()
        if number % 7 == 0:  # readers of older versions, that stay with them
            for name, data in (("1.txt", texts[which]), ("1.npy", saved(values))):
                fd = os.open(mnt.path(name), os.O_RDONLY)
                assert os.read(fd, 9) == data[:9]
                kept.append((fd, data))
        if len(kept) > 12:
            for fd, data in kept:
                assert os.fstat(fd).st_size == len(data)
                assert os.pread(fd, 1 << 20, 0) == data
                view = mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
                assert view[:] == data
                view.close()
                os.close(fd)
            kept = []
    for fd, _ in kept:
        os.close(fd)
    assert mnt.errors() == []


def test_many_readers_and_writers_at_once(mnt, rng):
    """Each text read is one that was written, whole."""
    rows = [finite(mnt, rng) for _ in range(4)]
    texts = {}
    for values in rows:
        values.tofile(mnt.path(1))
        texts[mnt.path("1.txt").read_bytes()] = values.tobytes()
    wholes, faults = list(texts), []
    images = {saved(values) for values in rows}
    done = threading.Event()

    def read():
        while not done.is_set():
            try:
                if mnt.path("1.txt").read_bytes() not in texts:
                    faults.append("text")
                if mnt.path("1.npy").read_bytes() not in images:
                    faults.append("npy")
            except OSError as error:
                faults.append(error)

    def write(first):
        for number in range(ROUNDS // 4):
            try:
                write_all(mnt.path("1.txt"), wholes[(number + first) % 4], chunk=100)
                write_all(mnt.path("1.npy"), saved(rows[(number + first) % 4]))
            except OSError as error:
                faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(first,)) for first in range(2)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert faults == []
    assert mnt.get(1) in texts.values()
    assert mnt.errors() == []


def test_a_stage_is_the_writers_alone(mnt, rng, peer):
    old, new = finite(mnt, rng), finite(mnt, rng)
    old.tofile(mnt.path(1))
    with opened(mnt.path("1.npy"), os.O_RDWR) as fd:
        os.pwrite(fd, saved(new)[:160], 0)
        assert os.pread(fd, 1000, 0) == saved(new)[:160] + saved(old)[160:]
        assert peer.read(mnt.path("1.npy")) == saved(old)
        assert mnt.get(1) == old.tobytes()
        reopened = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)  # the same inode once more
        assert os.read(reopened, 1000) == saved(old)
        os.close(reopened)
        os.pwrite(fd, saved(new)[160:], 160)
        os.fsync(fd)
        assert mnt.get(1) == new.tobytes()
        assert peer.read(mnt.path("1.npy")) == saved(new)
    assert mnt.get(1) == new.tobytes()


def test_two_readers_of_one_inode_have_one_version(mnt, rng):
    old, new = finite(mnt, rng), finite(mnt, rng)
    old.tofile(mnt.path(1))
    with opened(mnt.path("1.npy"), os.O_RDONLY) as fd:
        new.tofile(mnt.path(1))
        with opened(f"/proc/self/fd/{fd}", os.O_RDONLY) as again:
            assert os.read(again, 1000) == os.read(fd, 1000) == saved(old)
    assert mnt.path("1.npy").read_bytes() == saved(new)


@pytest.mark.local("renames of IDs")
def test_vectors_removed_or_renamed_while_a_view_is_open(mnt, rng):
    old, new = finite(mnt, rng), finite(mnt, rng)
    for name in ("1.npy", "1.txt"):
        old.tofile(mnt.path(1))
        text = mnt.path(name).read_bytes()
        with opened(mnt.path(name), os.O_RDONLY) as reader, \
                opened(mnt.path(name), os.O_RDWR) as writer:
            os.pwrite(writer, text[:1], 0)
            os.unlink(mnt.path(1))
            assert read_chunks(reader, 7) == text
            assert (os.fstat(reader).st_nlink, os.fstat(reader).st_size) == (0, len(text))
            os.close(writer)
        assert mnt.ids() == set()  # a close brings nothing back
        mnt.forget_errors()
    old.tofile(mnt.path(1))
    with opened(mnt.path("1.npy"), os.O_RDWR) as writer:
        os.rename(mnt.path(1), mnt.path(2))
        os.pwrite(writer, saved(new), 0)
        os.close(writer)
    assert mnt.ids() == {2} and mnt.get(2) == new.tobytes()


def test_the_vectors_own_file_beside_its_views(mnt, rng):
    """O_TRUNC and touch of one thread mean the handle that they belong to."""
    old, new = finite(mnt, rng), finite(mnt, rng)
    old.tofile(mnt.path(1))
    with opened(mnt.path("1.txt"), os.O_WRONLY) as text, \
            opened(mnt.path(1), os.O_WRONLY | os.O_TRUNC) as plain:
        os.write(plain, new.tobytes()[:50])
        os.close(text)
        os.write(plain, new.tobytes()[50:])
        os.close(plain)
    assert mnt.get(1) == new.tobytes()
    with opened(mnt.path(1), os.O_WRONLY), opened(mnt.path("1.txt"), os.O_WRONLY | os.O_TRUNC) as fd:
        os.write(fd, b"1 " * 25)
        os.close(fd)
    assert mnt.get(1) == numpy.ones(25, "<f4").tobytes()
    assert mnt.errors() == []


def test_large_vectors(stores, rng):
    mnt = stores.mount(stores.create(dim=65536, dtype="f8"))
    values = numpy.array([rng.gauss(0, 1) for _ in range(65536)])
    numpy.save(mnt.path("1.npy"), values)
    assert numpy.array_equal(numpy.load(mnt.path("1.npy"), mmap_mode="r"), values)
    run("cp", mnt.path("1.txt"), mnt.path("2.txt"))
    assert mnt.get(2) == values.tobytes()
    assert numpy.array_equal(numpy.loadtxt(mnt.path("2.txt")), values)


# ---- mounts ---------------------------------------------------------------------------


def test_a_read_only_mount(stores, mnt, rng, peer):
    rows = {vector: finite(mnt, rng) for vector in range(20)}
    for vector, values in rows.items():
        values.tofile(mnt.path(vector))
    texts = {vector: mnt.path(f"{vector}.txt").read_bytes() for vector in rows}
    inodes = [os.stat(mnt.path(f"{vector}.txt")).st_ino for vector in rows]
    mnt = stores.again(mnt, options=["ro"])
    for _ in range(3):
        for vector, values in rows.items():
            assert numpy.array_equal(numpy.load(mnt.path(f"{vector}.npy")), values)
            assert mnt.path(f"{vector}.txt").read_bytes() == texts[vector]
            assert peer.read(mnt.path(f"{vector}.txt")) == texts[vector]
            assert os.stat(mnt.path(f"{vector}.txt")).st_size == len(texts[vector])
    assert [os.stat(mnt.path(f"{vector}.txt")).st_ino for vector in rows] == inodes
    with opened(mnt.path("3.txt"), os.O_RDONLY) as fd:
        assert read_chunks(fd, 11) == texts[3]
        view = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        assert view[:] == texts[3]
        view.close()
    for change in (lambda: os.open(mnt.path("1.txt"), os.O_WRONLY),
                   lambda: os.open(mnt.path("99.npy"), os.O_WRONLY | os.O_CREAT),
                   lambda: os.unlink(mnt.path("1.txt")), lambda: os.chmod(mnt.path("1.txt"), 0o600),
                   lambda: os.truncate(mnt.path("1.txt"), 0)):
        with refused(errno.EROFS):
            change()
    with refused(errno.ENOENT):
        os.stat(mnt.path("99.npy"))


def test_what_was_written_is_there_after_a_kill(stores, mnt, rng):
    values = finite(mnt, rng)
    numpy.save(mnt.path("1.npy"), values)
    with opened(mnt.path("1.npy"), os.O_WRONLY) as fd:
        os.write(fd, saved(finite(mnt, rng))[:200])
        mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    assert numpy.array_equal(numpy.load(mnt.path("1.npy")), values)


def test_a_damaged_vector_can_be_written_anew(stores, mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.unmount()
    path = mnt.store.path / "vectors.npy"
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(content.index(data) + 5)
        file.write(bytes([data[5] ^ 1]))
    mnt = stores.mount(mnt.store)
    for name in ("1", "1.npy", "1.txt"):
        with refused(errno.EIO):
            mnt.get(name)
    mnt.forget_errors()
    values = finite(mnt, rng)
    numpy.savetxt(mnt.path("1.txt"), values)
    assert mnt.get(1) == values.tobytes()
    assert numpy.array_equal(numpy.load(mnt.path("1.npy")), values)
    mnt.forget_errors()


def memory_of(mnt):
    with open(f"/proc/{mnt.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) << 10


def test_memory_of_views_that_are_only_looked_at(stores):
    """What the kernel has forgotten is forgotten; what it keeps is bounded."""
    count = 200_000 if LONG else 30_000
    mnt = stores.mount(stores.create(dim=2))
    for first in range(0, count, 10_000):
        mnt.control("put", b"".join(number.to_bytes(8, "little") + bytes(8)
                                    for number in range(first, first + 10_000)))
    mnt.get("1.txt")
    before = memory_of(mnt)
    with opened(mnt.path("7.txt"), os.O_RDONLY) as fd:
        for number in range(count):
            os.stat(mnt.path(f"{number}.npy"))
            if number % 10 == 0:
                mnt.get(f"{number}.txt")
        with open("/proc/self/fd/" + str(fd), "rb") as again:
            assert again.read() == b"0\n0\n" == os.read(fd, 100)
    print(f"{(memory_of(mnt) - before) >> 10} KiB more")
    with open(mnt.pid and f"/proc/{mnt.pid}/exe", "rb") as program:
        text = program.read()
        if b"__asan_init" not in text and b"__tsan_init" not in text:
            assert memory_of(mnt) < before + (16 << 20)
    assert mnt.get("1.txt") == b"0\n0\n"


def test_commands_do_not_meet_them(stores, mnt, rng, tmp):
    """import and export see vectors, not views."""
    values = finite(mnt, rng)
    numpy.save(mnt.path("5.npy"), values)
    quiverfs("export", mnt.point, tmp / "all.npy")
    assert numpy.array_equal(numpy.load(tmp / "all.npy"), values.reshape(1, -1))
    run("rsync", "-a", f"{mnt.vectors}/", tmp / "copy")
    assert os.listdir(tmp / "copy") == ["5"]
