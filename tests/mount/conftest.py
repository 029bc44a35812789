"""Fixtures of the tests that use a real mount."""

import contextlib
import errno
import fcntl
import os
import random
import tempfile
from pathlib import Path

import pytest

import harness
from disks import Disks
from ordinary_user import ordinary_user  # noqa: F401 (a fixture)
from peer import Peer

SWITCH = Path("/sys/module/fuse/parameters/enable_uring")
# Held by every test that needs the switch, and naming what it was before the first of them: other
# builds' tests may be running beside these. As in tests/stress/offthread_replies.c.
SWITCH_LOCK = Path(tempfile.gettempdir()) / "quiverfs-test-io-uring.lock"
DATA = Path(__file__).resolve().parents[3] / "shared/data"
SEED = int(os.environ.get("QUIVERFS_TEST_SEED") or random.SystemRandom().randrange(2**31))


def pytest_report_header():
    return f"QUIVERFS_TEST_SEED={SEED}"


def pytest_generate_tests(metafunc):
    """A module with BOTH_TRANSPORTS has its tests run over each, others over one that
    the seed decides on; so has all over a second kind of store."""
    both = getattr(metafunc.module, "BOTH_TRANSPORTS", False) and "QUIVERFS_KIND" not in os.environ
    if "transport" in metafunc.fixturenames and both:
        metafunc.parametrize("transport", ["io_uring", "dev_fuse"], indirect=True)


def pytest_configure(config):
    config.addinivalue_line("markers", "local(what): needs what only a store in a local folder has")


def pytest_collection_modifyitems(items):
    """Over a second kind of store (tests/kind) what that has not is not tested."""
    if "QUIVERFS_KIND" not in os.environ:
        return
    for item in items:
        mark = item.get_closest_marker("local")
        if mark:
            item.add_marker(pytest.mark.skip(reason=f"this kind of store has no {mark.args[0]}"))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures know whether the test itself has failed. What fails because an older
    kernel cannot rename a vector is skipped: test_refusals.py tells what it is answered."""
    report = (yield).get_result()
    error = call.excinfo.value if call.excinfo else None
    if (report.when == "call" and getattr(error, "errno", None) == errno.EXDEV
            and not harness.KERNEL_CAN_RENAME):
        report.outcome = "skipped"
        path, line = report.location[:2]
        report.longrepr = path, line, "Skipped: Linux renames vectors from 6.16 on"
    setattr(item, "result_" + report.when, report)


@pytest.fixture(scope="session")
def io_uring():
    """Why FUSE cannot talk over io_uring here, or "". Switched on where root may."""
    if not SWITCH.exists():
        yield "this kernel has no FUSE over io_uring"
        return
    with open(SWITCH_LOCK, "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        before = SWITCH.read_text().strip()
        if before != "Y":
            try:
                SWITCH.write_text("Y")
            except OSError as error:
                yield f"{SWITCH} is {before}, and cannot be set: {error.strerror}"
                return
            lock.write(before)
            lock.flush()
        yield ""
        put_switch_back(lock)


def put_switch_back(lock):
    """By the last of those who need it, whoever has changed it."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.seek(0)
        before = lock.read()[:1]
        if before:
            SWITCH.write_text(before)
            lock.truncate(0)


@pytest.fixture
def transport(request, io_uring):
    wanted = getattr(request, "param", None)
    if wanted is None and io_uring:
        return "dev_fuse"
    if wanted == "io_uring" and io_uring:
        pytest.skip(io_uring)
    if wanted is None:
        wanted = random.Random(f"{SEED} {request.node.name}").choice(["io_uring", "dev_fuse"])
        print(f"transport {wanted}")
    return wanted


@pytest.fixture
def rng(request):
    print(f"QUIVERFS_TEST_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def tmp():
    """A folder of the test's own that every user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="quiverfs-test-"))
    folder.chmod(0o755)
    yield folder
    harness.run("rm", "-rf", "--one-file-system", folder)


@pytest.fixture
def disks():
    """Filesystems in a folder of its own. To be named before `stores`, which it outlives."""
    folder = Path(tempfile.mkdtemp(prefix="quiverfs-disks-"))
    folder.chmod(0o755)
    made = Disks(folder)
    yield made
    made.close()


@pytest.fixture
def stores(request, tmp, transport):
    """Makes stores and mounts, and takes them down."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    made = harness.Stores(tmp, transport)
    yield made
    # What a failed test leaves behind is only cleared away.
    result = getattr(request.node, "result_call", None)
    made.close(strict=result is not None and result.passed)


@pytest.fixture
def mnt(stores):
    """One mount of a store of 25 x f4 (100 bytes)."""
    return stores.mount()


@pytest.fixture
def peer():
    other = Peer()
    yield other
    other.close()


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture(scope="session")
def glove():
    path = DATA / "glove-twitter-25d.npy"
    if not path.exists():
        pytest.skip(f"no {path}")
    return path
