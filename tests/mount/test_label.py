"""A store's label and metric: control/label, control/metric, and where else they are told."""

import errno
import json
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from files import refused
from format_files import h5py
from harness import quiverfs, shell
from prometheus import parse_metrics

LABEL_BYTES_MAX = 1024
UMLAUTS = "bge-m3, größte Länge 文字 😀, normalisiert"


def label(mnt):
    return (mnt.control_folder / "label").read_bytes()


def status(target):
    return json.loads(quiverfs("status", target, "--json").stdout)


# ---- create ---------------------------------------------------------------------


def test_a_new_store_has_what_it_was_made_with(tmp_path):
    quiverfs("create", tmp_path / "a", "--dim", 8)
    found = status(tmp_path / "a")
    assert (found["metric"], found["label"], found["format_version"]) == ("l2", "", 2)
    for metric, dtype in (("l2", "f4"), ("cosine", "f2"), ("ip", "f8"), ("hamming", "u1")):
        store = tmp_path / metric
        done = quiverfs("create", store, "--dim", 8, "--dtype", dtype, "--metric", metric,
                        "--label", UMLAUTS)
        assert f"metric {metric}" in done.stdout
        found = status(store)
        assert (found["metric"], found["label"]) == (metric, UMLAUTS)


@pytest.mark.parametrize("text", ["two\nlines", "tab\there", "\x1b[31m", "\x7f", "\u0085",
                                  b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                  "x" * (LABEL_BYTES_MAX + 1), "x" * (1 << 16)],
                         ids=lambda text: f"{len(text)}-{os.fsencode(text)[:4].hex()}")
def test_a_store_is_not_made_with_a_bad_label(tmp_path, text):
    done = quiverfs("create", tmp_path / "s", "--dim", 8, "--label", os.fsdecode(text),
                    status=None)
    assert done.returncode in (1, 2)
    assert "label" in done.stderr and "1024 bytes" in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_store_is_not_made_with_a_bad_metric(tmp_path):
    for words, said in ((["--metric", "euclid"], "--metric: expected l2 (Euclidean), cosine, ip "
                         "(inner or dot product) or hamming, got 'euclid'"),
                        (["--metric", "hamming"], "b1 or u1"),
                        (["--metric", "hamming", "--dtype", "i1"], "b1 or u1")):
        done = quiverfs("create", tmp_path / "s", "--dim", 8, *words, status=2)
        assert said in done.stderr
        assert not (tmp_path / "s").exists()


# ---- the control files ----------------------------------------------------------


def test_what_is_written_is_read(mnt, stores):
    assert label(mnt) == b""
    assert mnt.control("metric") == "l2\n"
    for text in ("e5", " blanks stay ", UMLAUTS, "a\\b \"c\" 'd' $e %s", "x" * LABEL_BYTES_MAX,
                 "ü" * (LABEL_BYTES_MAX // 2)):
        mnt.control("label", text)
        assert label(mnt) == text.encode() + b"\n"
        assert os.stat(mnt.control_folder / "label").st_size == len(text.encode()) + 1
        mnt.control("label", text + "\n")  # one newline is cut
        assert label(mnt) == text.encode() + b"\n"
        assert status(mnt.point)["label"] == text
    for metric in ("cosine", "ip", "l2", "cosine\n"):
        mnt.control("metric", metric)
        assert mnt.control("metric") == metric.strip() + "\n"
    mnt.control("label", UMLAUTS)
    mnt = stores.again(mnt)
    assert label(mnt) == UMLAUTS.encode() + b"\n"
    assert mnt.control("metric") == "cosine\n"
    mnt.control("label", "\n")
    assert label(mnt) == b""
    assert label(stores.again(mnt)) == b""


def test_a_shell_and_its_tools(mnt):
    folder = mnt.control_folder
    shell(f"echo {UMLAUTS!r} > label", cwd=folder)
    assert shell("cat label", cwd=folder).stdout.decode() == UMLAUTS + "\n"
    assert shell("wc -c < label", cwd=folder).stdout.strip().decode() == str(
        len(UMLAUTS.encode()) + 1)
    shell("cat label > /dev/null && x=$(cat label); echo \"$x\" > label", cwd=folder)
    assert label(mnt).decode() == UMLAUTS + "\n"
    shell("printf %s 'no newline' > label", cwd=folder)
    assert label(mnt) == b"no newline\n"
    shell(f"head -c {LABEL_BYTES_MAX} /dev/zero | tr '\\0' x | dd of=label bs=1M iflag=fullblock "
          "status=none", cwd=folder)
    assert label(mnt) == b"x" * LABEL_BYTES_MAX + b"\n"
    shell(f"(head -c {LABEL_BYTES_MAX} /dev/zero | tr '\\0' y; echo) | dd of=label bs=1M "
          "iflag=fullblock status=none", cwd=folder)
    assert label(mnt) == b"y" * LABEL_BYTES_MAX + b"\n"
    shell("echo ip | tee metric; echo cosine >> metric", cwd=folder)
    assert mnt.control("metric") == "cosine\n"
    shell(": > label; : > metric", cwd=folder)  # a truncation alone changes nothing
    assert label(mnt) == b"y" * LABEL_BYTES_MAX + b"\n"
    # Each write is a whole value, as with the others.
    shell("printf 'first second' | dd of=label bs=6 status=none", cwd=folder)
    assert label(mnt) == b"second\n"
    shell("printf 'two\\nlines' > label", cwd=folder)  # bash makes two of them
    assert label(mnt) == b"lines\n"
    shell("echo > label", cwd=folder)
    assert label(mnt) == b""
    done = shell("env printf 'two\\nlines' > label", cwd=folder, status=1)
    assert b"Invalid argument" in done.stderr
    mnt.expect_error("control/label: ")


@pytest.mark.parametrize("bad", [
    b"two\nlines", b"one\n\n", b"\n\n", b"\na", b"a\0b", b"\0", b"tab\t", b"return\r\n", b"\x1b[31m",
    b"\x7f", b"\xc2\x85", b"\xc2\x9b31m", "ü".encode("latin-1"), b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xff\xfe", "文".encode()[:2], b"x" * (LABEL_BYTES_MAX + 1),
    b"x" * (LABEL_BYTES_MAX + 1) + b"\n", b"x" * 4096, b"x" * 4097, b"x" * (1 << 17),
], ids=lambda bad: f"{len(bad)}-{bad[:4].hex()}")
def test_bad_labels_are_einval_and_change_nothing(mnt, bad):
    mnt.control("label", "as it was")
    mnt.control("metric", "ip")
    with refused(errno.EINVAL):
        mnt.control("label", bad)
    line = mnt.expect_error("control/label: .*expected ")
    assert line.isascii() and line.isprintable()
    assert label(mnt) == b"as it was\n"
    with refused(errno.EINVAL):
        mnt.control("metric", bad)
    mnt.expect_error("control/metric: .*expected ")
    assert mnt.control("metric") == "ip\n"


def test_bad_metrics_are_einval_and_change_nothing(stores):
    mnt = stores.mount(stores.create(dim=8, dtype="f4"))
    for bad in ("", "l2\n", "L2", "euclid", " l2", "l2 ", "cosine ip", "l2\0", "hamming"):
        with refused(errno.EINVAL):
            mnt.control("metric", bad + "\n")
        mnt.expect_error("control/metric: ")
        assert mnt.control("metric") == "l2\n"
    mnt.unmount()
    other = stores.mount(stores.create(dim=8, dtype="u1", name="bytes"))
    other.control("metric", "hamming\n")
    assert other.control("metric") == "hamming\n"


def test_modes_and_owner_are_those_of_the_others(mnt):
    for name in ("label", "metric"):
        found, other = (os.stat(mnt.control_folder / file) for file in (name, "durability"))
        assert (found.st_mode, found.st_uid, found.st_gid) == (
            other.st_mode, other.st_uid, other.st_gid)
        with refused(errno.EPERM):
            os.chmod(mnt.control_folder / name, 0o666)
    mnt.forget_errors()


def test_a_read_only_mount_shows_them(stores):
    mnt = stores.mount()
    mnt.control("label", UMLAUTS)
    mnt.control("metric", "ip")
    mnt = stores.again(mnt, options=["ro"])
    assert label(mnt).decode() == UMLAUTS + "\n"
    assert mnt.control("metric") == "ip\n"
    for name in ("label", "metric"):
        with refused(errno.EROFS):
            os.open(mnt.control_folder / name, os.O_WRONLY)
        assert os.stat(mnt.control_folder / name).st_mode & 0o222 == 0
    assert status(mnt.point)["label"] == UMLAUTS


def test_what_is_set_survives_a_kill(stores):
    mnt = stores.mount()
    mnt.put(1, bytes(mnt.size))
    for number in range(5):
        mnt.control("label", f"number {number}, " + "x" * number * 200)
        mnt.control("metric", ("l2", "ip", "cosine")[number % 3])
        mnt.kill()
        shell(f"umount {mnt.point}")
        mnt = stores.mount(mnt.store)
        assert label(mnt).decode() == f"number {number}, " + "x" * number * 200 + "\n"
        assert mnt.control("metric") == ("l2", "ip", "cosine")[number % 3] + "\n"
        assert mnt.ids() == {1}


def test_labels_are_set_beside_checkpoints(mnt, rng):
    """By several at once: each is whole, and the last one of each stays."""
    def set_labels(letter):
        for length in range(1, 40):
            mnt.control("label", letter * length * 25)

    def checkpoints(_):
        for vector in range(60):
            mnt.put(vector, rng.randbytes(mnt.size))
            mnt.control("flush", "1")
            if mnt.store.path.exists() and "QUIVERFS_KIND" not in os.environ:
                mnt.control("checkpoint", "1")

    def look(_):
        for _ in range(300):
            found = label(mnt)[:-1]
            assert len(set(found)) <= 1 and len(found) % 25 == 0

    with ThreadPoolExecutor(6) as pool:
        for done in [*(pool.submit(set_labels, letter) for letter in "abc"),
                     pool.submit(checkpoints, None), pool.submit(look, None),
                     pool.submit(look, None)]:
            done.result()
    assert label(mnt)[:-1] in {letter.encode() * 39 * 25 for letter in "abc"}


# ---- where they are told --------------------------------------------------------------


def info(mnt):
    text = (mnt.control_folder / "metrics").read_text()
    families = parse_metrics(text)
    (_, labels), = families["quiverfs_info"].samples
    return dict(labels)


def test_stats_and_metrics_tell_them(mnt):
    assert "label" not in mnt.stats()
    assert (mnt.stats()["metric"], mnt.stats()["format_version"]) == ("l2", "2")
    assert (info(mnt)["label"], info(mnt)["metric"]) == ("", "l2")
    text = 'ü \\n "x" 文\u2028'
    mnt.control("label", text)
    mnt.control("metric", "cosine")
    told = mnt.stats()["label"]
    assert told.isascii()
    assert re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]),
                  told.encode()).decode() == text
    assert mnt.stats()["metric"] == "cosine"
    found = info(mnt)
    assert re.sub(r'\\([\\"n])', lambda c: "\n" if c[1] == "n" else c[1], found["label"]) == text
    assert (found["metric"], found["format_version"]) == ("cosine", "2")


def test_status_shows_them(mnt, stores):
    def screen(target):
        return quiverfs("status", target).stdout

    assert re.search(r"^  vectors .*, metric l2, ", screen(mnt.point), re.M)
    assert re.search(r"^  store  .*, format 2$", screen(mnt.point), re.M)
    assert not re.search(r"^  label", screen(mnt.point), re.M)
    long = " ".join(f"word{number}" for number in range(100))
    mnt.control("metric", "cosine")
    for text in (UMLAUTS, "number 5", "12", "true", long):
        mnt.control("label", text)
        assert status(mnt.point)["label"] == text
        for target in (mnt.point, mnt.store.path):
            shown = screen(target)
            assert "metric cosine" in shown
            found = re.search(r"^  label  +(.*(?:\n {15}.*)*)$", shown, re.M)
            assert re.sub(r"\n +", " ", found[1]) == text
        assert all(len(line) <= 80 for line in shown.split("\n"))
    mnt.unmount()
    shown = screen(mnt.store.path)
    assert re.search(r"^  store  +format 2$", shown, re.M) and "metric cosine" in shown
    found = status(mnt.store.path)
    assert (found["label"], found["metric"], found["format_version"]) == (long, "cosine", 2)
    assert stores.mount(mnt.store).stats()["label"] == long


# ---- export -----------------------------------------------------------------------


def header_of(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length])


HARD = 'ü \\n "x" 文😀 ' + '\\"' * 490  # each of its last bytes becomes two


def test_export_carries_them(stores, tmp, rng):
    assert len(HARD.encode()) <= LABEL_BYTES_MAX < len(json.dumps(HARD, ensure_ascii=False))
    mnt = stores.mount()
    mnt.put(1, data := rng.randbytes(mnt.size))
    out = tmp / "out.safetensors"
    quiverfs("export", mnt.point, out)
    assert header_of(out)["__metadata__"] == {"metric": "l2", "dtype": "f4"}
    mnt.control("label", HARD)
    mnt.control("metric", "cosine")
    quiverfs("export", mnt.point, out)
    wanted = {"metric": "cosine", "dtype": "f4", "label": HARD}
    assert header_of(out)["__metadata__"] == wanted
    assert out.read_bytes()[-mnt.size:] == data
    quiverfs("export", mnt.point, out, "--dtype", "f8")
    assert header_of(out)["__metadata__"] == {**wanted, "dtype": "f8"}
    mnt.unmount()
    done = quiverfs("export", mnt.store.path, out, "--dataset", "x" * 300)
    assert done.stdout and header_of(out)["__metadata__"] == wanted
    assert "x" * 300 in header_of(out)
    done = quiverfs("export", mnt.store.path, out, "--dataset", "x" * 500, status=1)
    assert "name of the tensor is too long" in done.stderr
    # Import takes the vectors alone.
    other = stores.create(name="other")
    quiverfs("import", other.path, out)
    found = status(other.path)
    assert (found["label"], found["metric"], found["count"]) == ("", "l2", 1)


def test_export_of_bits_says_so(tmp):
    store = tmp / "bits"
    quiverfs("create", store, "--dim", 16, "--dtype", "b1", "--metric", "hamming")
    out = tmp / "out.safetensors"
    quiverfs("export", store, out)
    assert header_of(out)["__metadata__"] == {"metric": "hamming", "dtype": "b1"}
    quiverfs("export", store, out, "--dtype", "u1")
    assert header_of(out)["__metadata__"] == {"metric": "hamming", "dtype": "u1"}


@pytest.mark.skipif(h5py is None or "QUIVERFS_KIND" in os.environ,
                    reason="python3-h5py is not installed, or the program has no module beside it")
def test_an_hdf5_carries_them(stores, tmp):
    mnt = stores.mount()
    mnt.put(1, bytes(mnt.size))
    for text, metric in (("", "l2"), (HARD, "ip")):
        mnt.control("label", text + "\n")
        mnt.control("metric", metric)
        quiverfs("export", mnt.point, tmp / "out.hdf5")
        with h5py.File(tmp / "out.hdf5") as file:
            found = dict(file["train"].attrs)
            assert file["train"].shape == (1, 25)
        assert found == {"metric": metric, "dtype": "f4", **({"label": text} if text else {})}
