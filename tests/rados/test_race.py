"""Two clients of one collection that get in each other's way: race.c, which has the oracle."""

import os

import pytest

from clusters import POOL, numbers
from harness import quiverfs, run

RACE = os.environ.get("QUIVERFS_RADOS_RACE")


@pytest.fixture
def layout():
    return []


@pytest.fixture
def path(layout, cluster):
    made = f"rados:{POOL}/race{next(numbers)}"
    quiverfs("create", made, "--dim", 96, "--dtype", "f8",
             *layout)
    return made


# Many vectors in an object, and one in each.
layouts = pytest.mark.parametrize("layout", [[], ["--sparse"]], ids=["dense", "sparse"])


@layouts
def test_one_of_two_wins_and_no_change_is_lost(path):
    """Both create, overwrite, change and remove the same vectors at once."""
    run(RACE, path, "together")


@layouts
def test_what_comes_late_undoes_nothing(path):
    """A call was interrupted, and what it had sent reaches the OSD only after newer changes."""
    run(RACE, path, "late")


def test_a_repair_takes_nothing_that_was_written_since(path):
    run(RACE, path, "repair")


def test_what_timed_out_on_frozen_osds_undoes_nothing(path, cluster):
    pids = [file.read_text().strip() for file in cluster.folder.glob("run/osd.*.pid")]
    assert pids
    done = run(RACE, path, "frozen", *pids)
    assert done.stdout == b"timed out 2 of 2 times\n"
