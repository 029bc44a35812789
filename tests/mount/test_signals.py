"""Signals and limits of the process: none of them leaves a mount that nobody answers."""

import errno
import os
import re
import signal
from pathlib import Path

import pytest

from files import refused
from harness import QUIVERFS, is_mounted, let_go, quiverfs, run, until
from ordinary_user import ordinary_user_words

IGNORED = ["PIPE", "XFSZ", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "STKFLT", "IO", "TTIN", "TTOU",
           "RTMIN", "RTMAX"]
ENDING = ["TERM", "INT", "QUIT", "XCPU", "PWR"]
KIBIBYTE = 1024
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def not_ignored():
    """A signal that was ignored when the daemon began stays ignored, and under nohup HUP is: not for
    those that begin here."""
    former = {number: signal.signal(number, lambda *_: None)
              for number in (signal.SIGHUP, signal.SIGQUIT)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def is_sanitized():
    program = Path(QUIVERFS).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def number_of(name):
    return getattr(signal, "SIG" + name)


def processes_of(mnt):
    """The daemon and its children, as `systemctl kill` finds them."""
    children = Path(f"/proc/{mnt.pid}/task/{mnt.pid}/children").read_text().split()
    return [mnt.pid, *map(int, children)]


def limited(*limits):
    return ["prlimit", *limits, "--"]


# ---- signals --------------------------------------------------------------------------


@pytest.mark.parametrize("name", IGNORED)
def test_a_signal_that_does_nothing(mnt, rng, name):
    data = rng.randbytes(mnt.size)
    for pid in processes_of(mnt):
        os.kill(pid, number_of(name))
    mnt.put(1, data)
    assert mnt.get(1) == data
    assert mnt.daemon.poll() is None and "unmounting" not in mnt.log_text()


@pytest.mark.parametrize("name", ENDING)
def test_a_signal_that_unmounts(stores, rng, name):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    os.kill(mnt.pid, number_of(name))
    assert mnt.ended() == []
    assert not is_mounted(mnt.point)
    mnt.store.check()
    assert stores.mount(mnt.store).get(1) == data


def test_quit_stays_ignored_where_a_shell_had_it_so(stores):
    """As of what a script starts with `&`, on which its terminal's ^\\ has no effect."""
    mnt = stores.mount(before=["sh", "-c", "trap '' QUIT; exec \"$@\"", "sh"])
    os.kill(mnt.pid, signal.SIGQUIT)
    assert mnt.control("count") == "0\n"
    assert mnt.daemon.poll() is None and "unmounting" not in mnt.log_text()


def test_a_parent_that_ignores_its_children(stores):
    """Inherited, it would keep an ordinary user's daemon from waiting for fusermount3."""
    ignore = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); " \
             "os.execvp(sys.argv[1], sys.argv[1:])"
    mnt = stores.mount(before=["python3", "-c", ignore])
    status = Path(f"/proc/{mnt.pid}/status").read_text()
    mask = int(status.split("SigIgn:")[1].split()[0], 16)
    assert not mask & 1 << (signal.SIGCHLD - 1)
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == [] and not is_mounted(mnt.point)


# ---- a mount point that was moved -----------------------------------------------------


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_a_mount_whose_folder_was_renamed_is_unmounted(stores, tmp, rng, name):
    """A blank and a backslash are written in octal in the list of mounts."""
    (tmp / "above").mkdir()
    mnt = stores.mount(name="above/mnt")
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    os.rename(tmp / "above", tmp / "moved \\ to")
    moved = tmp / "moved \\ to/mnt"
    assert os.path.ismount(moved)
    for named in (mnt.store.path, moved):
        quiverfs("flush", named)
    assert str(moved) in quiverfs("status", mnt.store.path).stdout
    os.kill(mnt.pid, number_of(name))
    assert mnt.ended() == []
    assert not os.path.ismount(moved) and os.listdir(moved) == []
    mnt.store.check()


def test_a_mount_whose_folder_was_renamed(stores, tmp):
    """Which fusermount3 finds all the same."""
    (tmp / "above").mkdir()
    mnt = stores.mount(name="above/mnt")
    os.rename(tmp / "above", tmp / "moved")
    run(QUIVERFS, "flush", mnt.store.path)
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == []
    assert not is_mounted(tmp / "moved/mnt") and os.listdir(tmp / "moved/mnt") == []


def test_another_mount_with_the_same_number_stays(stores):
    """Once a filesystem is unmounted the kernel gives its number to the next one, while the daemon
    is still ending."""
    first = stores.mount(name="first")
    number = os.stat(first.point).st_dev
    os.kill(first.pid, signal.SIGSTOP)
    let_go(first.point)
    others = []
    try:
        for i in range(8):
            others.append(stores.mount(stores.create(name=f"other{i}"), name=f"mnt{i}"))
            if os.stat(others[-1].point).st_dev == number:
                break
        else:
            pytest.skip("the kernel gave the number to nobody")
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert first.ended() == []
    for other in others:
        assert is_mounted(other.point)
        assert other.ids() == set()


# ---- the size of files ----------------------------------------------------------------


def fill(put, most):
    """Put vectors until one is refused; how many there are."""
    for vector in range(most):
        try:
            put(vector)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return vector
    raise AssertionError("nothing was refused")


def test_a_limit_of_file_sizes_refuses_and_the_mount_lives(stores, rng):
    limit = 6 * MEBIBYTE
    mnt = stores.mount(stores.create(dim=1000), before=limited(f"--fsize={limit}"))
    data = rng.randbytes(mnt.size)
    count = fill(lambda vector: mnt.put(vector, data), limit // mnt.size + 1)
    assert count > 1000  # most of what fits was taken, as on a full disk
    lines = mnt.errors()
    assert any("not stored" in line and "ulimit -f, LimitFSIZE=" in line for line in lines), lines
    mnt.forget_errors()
    with refused(errno.ENOSPC):
        mnt.put(count + 1, data)
    mnt.forget_errors()
    assert mnt.ids() == set(range(count)) and mnt.get(count - 1) == data
    os.unlink(mnt.path(0))
    mnt.control("checkpoint", "1")
    mnt.put(0, data)  # in the place that became free
    assert len(stores.again(mnt).ids()) == count


@pytest.mark.parametrize("limit", [0, 4 * KIBIBYTE, 100 * KIBIBYTE])
def test_a_mount_under_a_small_limit_of_file_sizes_says_so(stores, tmp, limit):
    if limit == 0 and is_sanitized():
        pytest.skip("a sanitizer writes before the program has ignored SIGXFSZ")
    store = stores.create()
    (tmp / "mnt").mkdir()
    for more in ([], ["-f"]):
        done = run(*limited(f"--fsize={limit}"), QUIVERFS, "mount", store.path, tmp / "mnt", *more,
                   status=1)
        assert b"ulimit -f, LimitFSIZE=" in done.stderr
        assert not is_mounted(tmp / "mnt")
    store.check()


@pytest.mark.parametrize("words", [["create", "new", "--dim", "25"], ["import", "store", "in.npy"],
                                   ["export", "store", "out.npy"]])
def test_commands_under_a_small_limit_of_file_sizes_say_so(stores, tmp, words, rng):
    numpy = pytest.importorskip("numpy")
    store = stores.create()
    numpy.save(tmp / "in.npy", numpy.zeros((10, 25), "f4"))
    if words[0] == "export":
        quiverfs("import", store.path, tmp / "in.npy")
    done = run(*limited("--fsize=64"), QUIVERFS, *words, status=1, cwd=tmp)
    assert done.stderr.startswith(b"quiverfs: "), done.stderr
    store.check()


# ---- other limits ---------------------------------------------------------------------


@pytest.mark.parametrize("limit, says", [
    (f"--as={100 * MEBIBYTE}", "-d and -v"),
    ("--nofile=10", "ulimit -n"),
    ("--cpu=2", "ulimit -t"),
    (f"--stack={64 * KIBIBYTE}", "ulimit -s"),
])
def test_a_limit_under_which_nothing_can_be_mounted_is_named(stores, tmp, limit, says):
    if limit.startswith("--as") and is_sanitized():
        pytest.skip("a sanitizer takes more memory than that before the program begins")
    store = stores.create()
    (tmp / "mnt").mkdir()
    for more in ([], ["-f"]):
        done = run(*limited(limit), QUIVERFS, "mount", store.path, tmp / "mnt", *more, status=1)
        assert says in done.stderr.decode(), done.stderr
        assert not is_mounted(tmp / "mnt")
    store.check()


def test_a_limit_of_data_is_named_or_does_no_harm(stores, tmp):
    """How much is enough depends on the stacks and the processors of the machine: a mount under
    any limit works or says which one it was, and both come about."""
    if is_sanitized():
        pytest.skip("a sanitizer takes more memory than that before the program begins")
    store = stores.create()
    (tmp / "mnt").mkdir()
    worked = set()
    for mebibytes in (4, 8, 16, 32, 64, 128, 256, 512, 4096):
        done = run(*limited(f"--data={mebibytes * MEBIBYTE}"), QUIVERFS, "mount", store.path,
                   tmp / "mnt", status=None)
        worked.add(done.returncode == 0)
        if done.returncode == 0:
            quiverfs("status", tmp / "mnt")
            run("fusermount3", "-u", tmp / "mnt")
            until(lambda: quiverfs("check", store.path, status=None).returncode == 0, "no end")
        else:
            assert done.returncode == 1, done
            assert re.search(r"ulimit .*-d\b.*LimitDATA=", done.stderr.decode()), done.stderr
        assert not is_mounted(tmp / "mnt")
    assert worked == {False, True}
    store.check()


def test_a_limit_of_processes_is_no_crash(stores, tmp, ordinary_user):
    store = stores.create()
    (tmp / "mnt").mkdir()
    run("chown", "-R", "nobody:nogroup", store.path, tmp / "mnt")
    for limit in ("--nproc=1", "--nproc=2", "--nproc=8"):
        done = run(*ordinary_user_words, *limited(limit), QUIVERFS, "mount", store.path,
                   tmp / "mnt", status=None)
        if done.returncode == 0:
            run(*ordinary_user_words, "fusermount3", "-u", tmp / "mnt")
        else:
            assert done.returncode == 1 and done.stderr
        assert not is_mounted(tmp / "mnt")
        until(lambda: quiverfs("check", store.path, status=None).returncode == 0, "no end")


@pytest.mark.parametrize("limit", ["--nofile=64", f"--stack={64 * KIBIBYTE}:", "--memlock=0",
                                   "--core=0", "--sigpending=0", "--locks=0", "--msgqueue=0"])
def test_a_limit_that_does_no_harm(stores, rng, limit):
    if limit.startswith("--memlock") and is_sanitized():
        pytest.skip("libfuse does not free what it has of a ring that cannot be had")
    mnt = stores.mount(before=limited(limit), transport=None)
    data = rng.randbytes(mnt.size)
    for vector in range(100):
        mnt.put(vector, data)
    mnt.control("checkpoint", "1")
    os.unlink(mnt.path(1))
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    assert len(mnt.ids()) == 99
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == [] and not is_mounted(mnt.point)


def test_the_end_of_processor_time_unmounts(stores, rng):
    """Ahead of the SIGKILL of the hard limit."""
    mnt = stores.mount(before=limited("--cpu=4"))
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    with pytest.raises(OSError):
        while True:
            mnt.control("metrics")
    assert mnt.ended() == []
    assert "CPU time limit exceeded, unmounting" in mnt.log_text()
    assert not is_mounted(mnt.point)
    mnt.store.check()
    assert stores.mount(mnt.store).get(1) == data
