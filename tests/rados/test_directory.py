"""The times of vectors/ through two mounts: told once a second at most, and never set back by that."""

import os
import time

from harness import until


def times(mount):
    st = mount.vectors.stat()
    return st.st_mtime_ns, st.st_ctime_ns


def test_creations_and_removals_move_the_other_mounts_directory(stores):
    store = stores.create()
    one, other = stores.mount(store), stores.mount(store)
    vector = one.path(1)
    # Several: what an OSD takes for later must be so whatever bytes the times have.
    for change in 4 * (lambda: vector.write_bytes(b"x" * store.size), vector.unlink):
        before = times(other)
        change()
        # Here at once, there within about a second.
        assert times(one) > before
        until(lambda: times(other) > before, "the other mount's directory to move")
        assert times(one) == times(other)


def test_what_leaves_the_names_alone_does_not_move_it(stores):
    store = stores.create()
    one, other = stores.mount(store), stores.mount(store)
    vector = one.path(1)
    vector.write_bytes(b"x" * store.size)
    until(lambda: times(one) == times(other), "the directory to be told")
    before = times(one)
    vector.write_bytes(b"y" * store.size)
    vector.chmod(0o600)
    time.sleep(1.2)
    assert times(one) == before
    assert times(other) == before


def test_a_time_that_was_set_is_not_undone_by_what_was_created_before(stores):
    """As rsync does it: first all vectors, then the directory's time."""
    store = stores.create()
    one, other = stores.mount(store), stores.mount(store)
    then = 1_600_000_000_123_456_789
    for i in range(20):
        one.path(i).write_bytes(b"x" * store.size)
    os.utime(one.vectors, ns=(then, then))
    assert times(other)[0] == then
    time.sleep(1.2)
    assert times(one)[0] == then
    assert times(other) == times(one)
    # And one that is created after it moves it again.
    other.path(20).write_bytes(b"x" * store.size)
    assert times(other)[0] > then
    until(lambda: times(one)[0] > then, "the other mount's directory to move")


def test_the_last_change_of_a_mount_that_ends_is_told(stores):
    store = stores.create()
    one, other = stores.mount(store), stores.mount(store)
    one.path(1).write_bytes(b"x" * store.size)
    one.path(2).write_bytes(b"x" * store.size)
    made = times(one)
    one.unmount()
    assert times(other) >= made
