"""Stores of format 1, as the program that was released made them (tests/old)."""

import sys
from pathlib import Path

import pytest

import harness
from harness import quiverfs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "old"))
import old_stores  # noqa: E402 (its folder is known from here on)

TRUTHS = {name: old_stores.truth(name) for name in old_stores.names()}
SERVED = sorted(name for name, truth in TRUTHS.items() if truth != [("refused",)])


class OldStore(harness.Store):
    """One of the kept stores, unpacked."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.path = old_stores.unpack(old_stores.FOLDER / (name + ".txt"), folder)
        self.truth = TRUTHS[name]
        self.dim, self.dtype, self.size = 0, "", 0
        if name in SERVED:
            _, dim, self.dtype = self.truth[0]
            self.dim = int(dim)
            self.size = self.dim * harness.ITEM_BYTES[self.dtype]

    def damaged(self):
        """IDs that cannot be read."""
        return {int(line[1]) for line in self.truth if line[0] == "damaged" or "EIO" in line}


@pytest.fixture
def old(stores, tmp):
    """Unpacks a store by its name."""
    return lambda name: OldStore(tmp, name)


def served(mnt):
    """What the mount serves, as the truth has it; the errors that damage brings are forgotten."""
    lines = old_stores.served(mnt.point, mnt.store.damaged())
    if mnt.store.damaged():
        for number in mnt.store.damaged():
            assert any(f"vector {number}:" in line for line in mnt.errors()), mnt.errors()
        mnt.forget_errors()
    return lines


# What opening these tells.
TOLD = {"killed-torn": "torn at byte .* by a crash",
        "bad-superblock-older": "one of its two copies is damaged",
        "bad-superblock-newer": "one of its two copies is damaged",
        "without-index": "index: missing"}


def mount(stores, store, **options):
    """Mount it for the first time."""
    mnt = stores.mount(store, check=not store.damaged(), **options)
    if store.name in TOLD:
        mnt.expect_error(TOLD[store.name])
    return mnt


@pytest.mark.parametrize("name", SERVED)
def test_everything_is_served_as_it_was(stores, old, name):
    mnt = mount(stores, old(name))
    assert served(mnt) == mnt.store.truth
    mnt.unmount()
    mnt = stores.mount(mnt.store, check=not mnt.store.damaged())
    assert served(mnt) == mnt.store.truth


def test_what_was_refused_is_refused(stores, old):
    store = old("killed-bad-row")
    for options in (["ro"], []):
        with pytest.raises(AssertionError, match="meta.npy: row 55 .* does not match its checksum"):
            stores.mount(store, options=options)
    done = quiverfs("check", store.path, status=1)
    assert "row 55" in done.stdout
