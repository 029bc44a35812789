"""The fixtures and the harness of the mount tests, over collections in a cluster of Ceph's."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MOUNT_TESTS = HERE.parent / "mount"
sys.path[:0] = [str(HERE), str(MOUNT_TESTS), str(HERE.parent / "history"),
                str(HERE.parent / "crash")]
# Under another name: this module is called conftest, too.
spec = importlib.util.spec_from_file_location("mount_conftest", MOUNT_TESTS / "conftest.py")
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)
globals().update({name: value for name, value in vars(fixtures).items()
                  if not name.startswith("__")})
fixtures.NEED_ROOT["network"] = "makes network namespaces"

import hosts as networks  # noqa: E402 (it is in one of these folders)
from clusters import Cluster, Collections  # noqa: E402


@pytest.fixture(scope="session")
def network():
    """Two hosts, and this process on their network; or why there can be none."""
    reason = networks.why_none()
    if reason:
        yield reason
        return
    made = networks.make()
    yield made
    for host in made:
        host.close()


@pytest.fixture
def hosts(network):
    if isinstance(network, str):
        pytest.skip(network)
    return network


def start(request):
    """A file with WHOLE_CLUSTER has one with three OSDs; where the tests use hosts it is on their
    network."""
    module = request.node.items[0].module
    address = "127.0.0.1"
    if any("hosts" in item.fixturenames for item in request.node.items):
        if not isinstance(request.getfixturevalue("network"), str):
            address = networks.ADDRESS
    return Cluster(getattr(module, "WHOLE_CLUSTER", False), address)


@pytest.fixture(scope="session")
def cluster(request):
    """The cluster of all tests of a run, which is of one file."""
    if "QUIVERFS_RADOS_RACE" not in os.environ:
        pytest.skip("it was built without librados' headers (librados-dev)")
    made = start(request)
    yield made
    made.stop()


@pytest.fixture
def stores(request, tmp, transport, cluster):
    """Makes collections and mounts, and takes them down."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    made = Collections(tmp, transport, cluster)
    yield made
    # What a failed test leaves behind is only cleared away.
    result = getattr(request.node, "result_call", None)
    made.close(strict=result is not None and result.passed)


@pytest.fixture
def pair(stores):
    """Mounts one collection twice, with these options each."""
    def mount(*options, hosts=(None, None), store=None, **words):
        store = store or stores.create(dim=768)
        return [stores.mount(store, name=name, host=host, options=options, **words)
                for name, host in zip(("here", "there"), hosts)]
    return mount


@pytest.fixture
def healed(cluster):
    """Whatever a test has broken is whole for the next one."""
    yield cluster
    for daemon in ("mon.a", "mgr.x", "osd.0", "osd.1", "osd.2"):
        if cluster.script("thaw", daemon, status=None).returncode != 0:
            cluster.revive(daemon)
    cluster.full(False)
    cluster.clean()
