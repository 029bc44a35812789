"""quiverfs status: the screen, the JSON, and following both."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from harness import QUIVERFS, quiverfs, run, shell, until
from patience import HANG_SECONDS

PAGE = Path(__file__).resolve().parents[2] / "tools/man/quiverfs-status.1"
LATENCY = ["count", "sum_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns"]


def screen(target, **options):
    """What a pipe gets: plain, and no wider than a terminal of 80, paths aside."""
    text = quiverfs("status", target, **options).stdout
    assert text.isascii() and "\033" not in text
    for line in text.splitlines():
        assert len(line) <= 80 or "/" in line, line
    return text


def facts(target):
    return json.loads(quiverfs("status", target, "--json").stdout)


def line_of(text, label):
    """The line with this label, without it."""
    found = [line for line in text.splitlines() if line.startswith(f"  {label:13s}")]
    assert len(found) == 1, text
    return found[0][15:]


def bar(text, label):
    cells = line_of(text, label)
    assert re.fullmatch(r"\[[-#._= ]+\]", cells), cells
    return cells[1:-1]


# ---- the screen -----------------------------------------------------------------------


@pytest.mark.local("choice of the durability")
def test_it_shows_what_is_in_it_mounted_or_not(mnt, rng):
    for vector in range(1500):
        mnt.put(vector, rng.randbytes(mnt.size))
    text = screen(mnt.point)
    assert text.startswith(f"{mnt.point}: mounted\n")
    assert line_of(text, "vectors") == "1,500, dim 25, dtype f4, metric l2, 100 bytes each"
    assert line_of(text, "store") == f"{mnt.store.path}, process {mnt.pid}, format 2"
    assert line_of(text, "durability") == "fsync"
    assert re.fullmatch(r" +1,500( +[\d.]+ (ns|us|ms|s)){4}", line_of(text, "commit"))
    assert line_of(text, "in all").split()[2] == "1,500"
    assert screen(mnt.store.path).startswith(f"{mnt.point}: mounted\n")
    mnt.unmount()
    text = screen(mnt.store.path)
    assert text.startswith(f"{mnt.store.path}: not mounted\n")
    assert line_of(text, "vectors").startswith("1,500, dim 25")
    assert "since mounted" not in text and "durability" not in text


@pytest.mark.local("checkpoint")
def test_the_bars_are_a_picture_of_the_numbers(mnt, rng):
    for vector in range(3000):
        mnt.put(vector, rng.randbytes(mnt.size))
    mnt.control("checkpoint", "1")
    for vector in range(0, 3000, 2):
        mnt.path(vector).unlink()
    mnt.control("checkpoint", "1")
    for vector in range(1, 1000, 2):
        mnt.put(vector, rng.randbytes(mnt.size))
    text, found = screen(mnt.point), facts(mnt.point)
    cells = bar(text, "slots")
    amounts = {"#": found["slots_used"] - found["slots_free"] - found["slots_retired"]
               - found["slots_held"],
               "-": found["slots_retired"], ".": found["slots_free"],
               "_": found["slots"] - found["slots_used"]}
    assert amounts["#"] == 1500 and sum(amounts.values()) == found["slots"]
    for mark, amount in amounts.items():
        assert abs(cells.count(mark) - amount * len(cells) / found["slots"]) <= 3, (mark, text)
    assert cells == "".join(sorted(cells, key="#-._".index))
    assert "# 1,500 used" in text and f"- {amounts['-']:,} superseded" in text
    cells = bar(text, "disk")
    share = found["disk_available_bytes"] / found["disk_bytes"]
    assert abs(cells.count(".") - share * len(cells)) <= 3
    assert cells.startswith("#") and set(cells) <= set("#=.")


def test_what_is_wrong_comes_first(stores, rng):
    mnt = stores.mount(transport=None, options=["io_uring=off"])
    for vector in range(10):
        mnt.put(vector, rng.randbytes(mnt.size))
    assert line_of(screen(mnt.point), "io_uring") == "off: mounted with io_uring=off"
    mnt.unmount()
    with open(mnt.store.path / "vectors.npy", "r+b") as file:
        file.seek(4096 + 3 * mnt.size)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 255]))
    mnt = stores.mount(mnt.store, transport=None, options=["io_uring=off"], check=False)
    with pytest.raises(OSError):
        mnt.get(3)
    with pytest.raises(OSError):
        os.mkdir(mnt.path("a" * 60))
    text = screen(mnt.point)
    lines = text.splitlines()
    # the kernel may ask twice
    assert re.match(r"  DAMAGED      \d checksums? did not match\. ", lines[1])
    labels = [line[2:15].strip() for line in lines if line.startswith("  ") and line[2] != " "]
    assert labels.index("DAMAGED") < labels.index("io_uring") < labels.index("faults")
    assert labels.index("faults") < labels.index("refused") < labels.index("last lines")
    assert labels.index("last lines") < labels.index("store") < labels.index("vectors")
    assert line_of(text, "refused").startswith("1 request since it was mounted; ")
    found = facts(mnt.point)
    assert found["errors"] - found["faults"] == 1 and found["faults"] >= 1
    assert "Z vector 3: " in text and "a" * 60 in text
    mnt.forget_errors()
    assert "a" * 60 not in screen(mnt.point)
    assert facts(mnt.point)["checksum_errors"] >= 1


def test_refusals_are_not_shown_as_if_they_were_faults(mnt):
    for number in range(20):
        with pytest.raises(OSError):
            os.mkdir(mnt.path(f"folder{number}"))
    text = screen(mnt.point)
    assert line_of(text, "refused").startswith("20 requests since it was mounted; ")
    assert "fault" not in text and facts(mnt.point)["faults"] == 0
    shell(re.search(r"'(echo 1 > \S+/control/errors)'", re.sub(r"\n +", " ", text))[1])
    assert "refused" not in screen(mnt.point)
    mnt.forget_errors()


def test_a_read_only_mount_says_so(stores, rng):
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt = stores.again(mnt, options=["ro"])
    text = screen(mnt.point)
    assert text.startswith(f"{mnt.point}: mounted read-only\n")
    assert line_of(text, "read-only") == "it was mounted so (-o ro)"


def test_an_empty_store_has_a_screen_too(stores):
    text = screen(stores.create().path)
    assert line_of(text, "vectors").startswith("0, dim 25")
    assert "#" not in bar(text, "slots")


@pytest.mark.local("jobs")
def test_jobs_are_told_once_they_ran(mnt, rng):
    for vector in range(100):
        mnt.put(vector, rng.randbytes(mnt.size))
    assert "verification" not in screen(mnt.point)
    quiverfs("verify", mnt.point)
    text = screen(mnt.point)
    assert line_of(text, "verification").startswith("idle; last run: ")
    assert facts(mnt.point)["verify"] == mnt.control("verify").strip()
    assert facts(mnt.point)["compact"] == "idle"


# ---- for programs ---------------------------------------------------------------------


def documented(of_collections=False):
    """The keys of the man page, and those of a mount only; or what collections have besides."""
    part = PAGE.read_text().split(".Sh JSON")[1].split(".Sh EXIT")[0].replace("\\\n", "")
    part = part.split("\n.El")[1 if of_collections else 0]
    always, live = set(), set()
    for entry in re.findall(r"^\.It (.*)$", part, flags=re.MULTILINE):
        for word in entry.split(" , "):
            found = re.match(r"Va (\w+)( Ns Ar X)?( No \*)?$", word)
            assert found, entry
            keys = [found[1] + key for key in LATENCY] if found[2] else [found[1]]
            assert not set(keys) & (always | live), keys
            (live if found[3] else always).update(keys)
    return always, live


def test_the_keys_are_those_of_the_man_page(mnt):
    always, live = documented()
    assert set(facts(mnt.point)) == always | live
    mnt.unmount()
    assert set(facts(mnt.store.path)) == always


def test_json_is_flat_and_of_plain_types(mnt):
    found = facts(mnt.point)
    assert found["mounted"] is True and found["failed"] is False and found["read_only"] is False
    assert isinstance(found["uuid"], str) and isinstance(found["version"], str)
    texts = {"mount", "store", "version", "uuid", "dtype", "metric", "label", "snapshot_max", "transport",
             "transport_reason", "nearest_state", "passthrough", "passthrough_reason", "durability", "compact", "verify"}
    for key, value in found.items():
        assert isinstance(value, str) == (key in texts), key
        assert not isinstance(value, (dict, list)) and value is not None


# ---- following ------------------------------------------------------------------------


def follow(*words, **options):
    return subprocess.Popen([QUIVERFS, "status", *map(str, words)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def stop(child, number=signal.SIGINT):
    child.send_signal(number)
    out, err = child.communicate(timeout=HANG_SECONDS)
    return child.returncode, out, err


def read_until(child, pattern):
    """Lines until one that fits."""
    lines = []
    while True:
        line = child.stdout.readline()
        assert line, ("it ended", lines, child.stderr.read())
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)


def test_watch_prints_block_after_block_with_rates(mnt, rng):
    child = follow(mnt.point, "--watch=0.2")
    try:
        first = read_until(child, "^  a second ")
        assert first.splitlines()[-1].split() == ["a", "second"] + ["-"] * 6
        for vector in range(50):
            mnt.put(vector, rng.randbytes(mnt.size))
        # each block is whole: as many first lines as last ones
        later = read_until(child, r"^  a second +\S+ +\S+ +[1-9]")
        assert later.count(f"{mnt.point}: mounted\n") == later.count("  a second ")
        assert "\033" not in later
    finally:
        status, _, err = stop(child)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("words", [["--watch", "0.2"], ["--watch=0.2"]])
def test_watch_takes_its_seconds_in_two_ways(mnt, words):
    for ordered in ([mnt.point, *words], [*words, mnt.point]):
        child = follow(*ordered, "--json")
        rows = [json.loads(child.stdout.readline()) for _ in range(3)]
        assert all(row["mounted"] and row["count"] == 0 for row in rows)
        assert stop(child, signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("words", [["--watch=0"], ["--watch=nan"], ["--watch=x"], ["--watch="],
                                   ["--watch=1", "2"], ["--watch", "2", "3"], ["2"]])
def test_wrong_seconds_are_wrong_usage(tmp_path, words):
    done = quiverfs("status", tmp_path, *words, status=2)
    assert done.stderr.startswith("quiverfs")


def unmount_while_watched(mnt):
    """A look that is just being taken keeps it busy for a moment."""
    until(lambda: run("umount", mnt.point, status=None).returncode == 0, "it stays busy")
    assert mnt.ended() == []


def test_watch_keeps_nobody_from_unmounting(mnt):
    child = follow(mnt.point, "--watch=60")
    try:
        read_until(child, "^  a second ")
        mnt.unmount()
    finally:
        assert stop(child)[0] == 0


def test_watch_of_a_store_sees_it_mounted_and_unmounted(stores):
    store = stores.create()
    child = follow(store.path, "--watch=0.1", "--json")
    try:
        read_until(child, '"mounted": false')
        mnt = stores.mount(store)
        read_until(child, '"mounted": true')
        unmount_while_watched(mnt)
        read_until(child, '"mounted": false')
    finally:
        assert stop(child)[0] == 0


def test_watch_ends_with_a_reason_where_the_mount_is_gone(mnt):
    child = follow(mnt.point, "--watch=0.1")
    read_until(child, "^  a second ")
    unmount_while_watched(mnt)
    _, err = child.communicate(timeout=HANG_SECONDS)
    assert child.returncode == 1 and str(mnt.point) in err


# ---- on a terminal --------------------------------------------------------------------


class Terminal:
    """A command on a terminal of its own, and all that it printed."""

    def __init__(self, *words, rows=40, columns=90, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", **environment})
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(shutil.which(QUIVERFS), [QUIVERFS, "status", *map(str, words)])
        self.text = ""

    def read(self):
        """Some more; False at the end."""
        try:
            got = os.read(self.fd, 65536).decode()
        except OSError:
            got = ""
        self.text += got
        return got != ""

    def press(self, keys):
        os.write(self.fd, keys)

    def end(self):
        while self.read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_colours_are_for_terminals_that_want_them(mnt):
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        terminal = Terminal(mnt.point, **environment)
        assert terminal.end() == 0
        assert ("\033[" in terminal.text) == coloured
        plain = re.sub(r"\033\[[\d;]*m", "", terminal.text).replace("\r\n", "\n")
        assert line_of(plain, "vectors").startswith("0, dim 25")


@pytest.mark.parametrize("rows", [40, 12])
def test_watch_draws_over_the_screen_and_ends_by_control_c(mnt, rows):
    terminal = Terminal(mnt.point, "--watch=0.1", rows=rows, NO_COLOR="1")
    until(lambda: terminal.read() and terminal.text.count("\033[J\033[?7h") >= 6, "no screens")
    terminal.press(b"\x03")
    assert terminal.end() == 0
    screens = re.findall(r"\033\[\?7l\033\[H(.*?)\033\[J\033\[\?7h", terminal.text, flags=re.DOTALL)
    assert len(screens) >= 5
    for text in screens:
        lines = text.split("\033[K\r\n")
        assert lines[0] == f"{mnt.point}: mounted" and lines[-1] == ""
        assert len(lines) <= rows
        assert all(len(line) <= 90 or "/" in line for line in lines)
        assert ("a second" in text) == (rows == 40)
