"""Fixtures of the tests that use a real mount."""

import errno
import os
import random
import resource
import tempfile
from pathlib import Path

import pytest

import harness
import io_uring_switch
from disks import Disks
from ordinary_user import ordinary_user  # noqa: F401 (a fixture)
from peer import Peer

# Fixtures that do what only root can, and why.
NEED_ROOT = {
    "alias": "mounts and remounts",
    "disks": "makes filesystems on loop devices",
    "false_mount": "uses a store of somebody else as root",
    "handles_allowed": "opens by file handles",
    "ordinary_user": "looks at an ordinary user's mount",
    "out_of_sight": "makes namespaces",
    "outside": "makes namespaces",
    "shared": "acts as several users",
    "small_disk": "mounts and remounts",
    "stranger": "acts as several users",
    "system": "has /etc/fstab and /sbin of its own",
    "theirs": "uses a store of somebody else as root",
    "users_folder": "acts as several users",
}
DATA = Path(__file__).resolve().parents[3] / "shared/data"
SEED = int(os.environ.get("QUIVERFS_TEST_SEED") or random.SystemRandom().randrange(2**31))


@pytest.fixture
def no_sanitizer():
    """They take memory of their own, in their own way."""
    with open(harness.QUIVERFS, "rb") as program:
        text = program.read()
    if b"__asan_init" in text or b"__tsan_init" in text:
        pytest.skip("a sanitizer takes memory of its own")


def pytest_report_header():
    return f"QUIVERFS_TEST_SEED={SEED}"


def pytest_generate_tests(metafunc):
    """A module with BOTH_TRANSPORTS has its tests run over each, others over one that
    the seed decides on; so has all over a second kind of store, and what another user runs
    over both."""
    both = getattr(metafunc.module, "BOTH_TRANSPORTS", False) and \
        "QUIVERFS_KIND" not in os.environ and not metafunc.config.getoption("--one-transport")
    if "transport" in metafunc.fixturenames and both:
        metafunc.parametrize("transport", ["io_uring", "dev_fuse"], indirect=True)


def pytest_addoption(parser):
    """For run_users, which has a part of the tests run as root and the others as a user."""
    parser.addoption("--without-root", action="store_true", help="leave out what needs root")
    parser.addoption("--only-root", action="store_true", help="only what needs root")
    parser.addoption("--one-transport", action="store_true", help="only the one that is drawn")
    parser.addoption("--say-why-root", action="store_true", help="say which files need it for what")


def pytest_configure(config):
    config.addinivalue_line("markers", "local(what): needs what only a store in a local folder has")
    config.addinivalue_line("markers", "needs_root(why): nobody else can do what it does")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--without-root"):
        leave_out(config, items, [item for item in items if why_root(item)])
    if config.getoption("--only-root"):
        leave_out(config, items, [item for item in items if not why_root(item)])
    for item in items:
        if os.geteuid() != 0 and why_root(item):
            item.add_marker(pytest.mark.skip(reason="needs root: " + why_root(item)))
        # Over a second kind of store (tests/kind) what that has not is not tested.
        mark = item.get_closest_marker("local")
        if mark and "QUIVERFS_KIND" in os.environ:
            item.add_marker(pytest.mark.skip(reason=f"this kind of store has no {mark.args[0]}"))


def pytest_collection_finish(session):
    if session.config.getoption("--say-why-root"):
        for reason, name in sorted({(why_root(item), item.path.stem) for item in session.items}):
            if reason:
                print(f"needs root: {reason}: {name.removeprefix('test_')}")


def leave_out(config, items, some):
    items[:] = [item for item in items if item not in some]
    config.hook.pytest_deselected(items=some)


def why_root(item):
    """Why only root can run it, or ""."""
    marks = [mark.args[0] for mark in item.iter_markers("needs_root")]
    fixtures = [why for name, why in NEED_ROOT.items() if name in item.fixturenames]
    return (marks + fixtures + [""])[0]


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
    """Why FUSE cannot talk over io_uring here, or ""."""
    with io_uring_switch.on() as reason:
        yield reason


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
    harness.remove_folder(folder)


@pytest.fixture
def plain(tmp):
    """A folder of an ordinary filesystem, into which everybody may write, to compare with."""
    folder = tmp / "plain"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


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
def many_descriptors():
    """As many as whoever runs this may have; a login begins with 1,024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="session")
def glove():
    path = DATA / "glove-twitter-25d.npy"
    if not path.exists():
        pytest.skip(f"no {path}")
    return path
