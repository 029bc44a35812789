"""The checker itself: it must accept what can have happened, and nothing else."""

import pytest

from linearizable import Operation, Violation, check


def op(kind, began, ended, **words):
    return Operation(kind, began, ended, **words)


def refused(operations, width=1):
    with pytest.raises(Violation):
        check(operations, width)


def test_reads_in_order_are_accepted():
    check([op("read", 0, 1), op("write", 2, 3, version=7), op("read", 4, 5, version=7),
           op("remove", 6, 7), op("read", 8, 9)], 1)


def test_a_read_during_a_write_may_see_either():
    for version in (0, 7):
        check([op("write", 0, 10, version=7), op("read", 1, 2, version=version)], 1)


def test_a_stale_read_is_refused():
    refused([op("write", 0, 1, version=7), op("write", 2, 3, version=8),
             op("read", 4, 5, version=7)])


def test_a_read_that_goes_back_is_refused():
    refused([op("write", 0, 10, version=7), op("read", 1, 2, version=7), op("read", 3, 4)])


def test_a_version_from_the_future_is_refused():
    refused([op("read", 0, 1, version=7), op("write", 2, 3, version=7)])


def test_an_answer_at_a_distance_of_another_time_is_refused():
    written = [op("write", 0, 1, version=7), op("write", 2, 5, version=8)]
    for target in (7, 8):
        check(written + [op("near", 3, 4, targets=(target, 9))], 1)
    refused(written + [op("near", 6, 7, targets=(7, 9))])
    refused(written + [op("near", 3, 4, targets=(9,))])


def test_a_lost_write_is_refused():
    refused([op("write", 0, 1, version=7), op("exists", 2, 3, yes=False)])


def test_a_write_to_a_removed_handle_may_be_lost():
    check([op("write", 0, 1, version=7), op("remove", 3, 4),
           op("write", 5, 6, version=8, opened=2), op("exists", 7, 8, yes=False)], 1)


def test_a_write_to_another_handle_may_not_be_lost():
    refused([op("write", 0, 1, version=7), op("remove", 2, 3),
             op("write", 5, 6, version=8, opened=4), op("exists", 7, 8, yes=False)])


def test_a_renamed_vector_is_in_one_place():
    moved = [op("write", 0, 1, version=7), op("rename", 2, 3, other=1)]
    check(moved + [op("read", 4, 5), op("read", 4, 5, vector=1, version=7)], 2)
    refused(moved + [op("read", 4, 5, version=7)], 2)
    refused(moved + [op("read", 4, 5, vector=1)], 2)


def test_a_vector_half_moved_is_refused():
    refused([op("write", 0, 1, version=7), op("rename", 2, 9, other=1), op("read", 3, 4),
             op("read", 5, 6, vector=1)], 2)


def test_a_vector_in_two_places_is_refused():
    refused([op("write", 0, 1, version=7), op("rename", 2, 9, other=1),
             op("read", 3, 4, vector=1, version=7), op("read", 5, 6, version=7)], 2)


def test_half_a_batch_is_refused():
    put = op("put", 0, 9, versions={0: 7, 1: 8})
    check([put, op("read", 1, 2, version=7), op("read", 3, 4, vector=1, version=8)], 2)
    refused([put, op("read", 1, 2, version=7), op("read", 3, 4, vector=1)], 2)


def test_an_exclusive_write_over_another_is_refused():
    refused([op("write", 0, 1, version=7), op("write", 2, 3, version=8, fresh=True)])


def test_an_exclusive_handle_follows_the_vector_that_another_made():
    check([op("write", 2, 3, version=7), op("rename", 4, 5, other=1),
           op("write", 6, 7, version=8, fresh=True, opened=1),
           op("read", 8, 9, vector=1, version=8), op("read", 8, 9)], 2)


def test_two_removals_of_one_version_are_refused():
    refused([op("write", 0, 1, version=7), op("remove", 2, 5), op("remove", 3, 4)])


def test_a_snapshot_is_of_one_moment():
    put = [op("put", 0, 1, versions={0: 7, 1: 8}), op("put", 2, 9, versions={0: 9, 1: 10})]
    for versions in ({0: 7, 1: 8}, {0: 9, 1: 10}):
        check(put + [op("snapshot", 3, 4, versions=versions)], 2)
    refused(put + [op("snapshot", 3, 4, versions={0: 9, 1: 8})], 2)
    refused(put + [op("snapshot", 3, 4, versions={0: 0, 1: 0})], 2)


def test_a_snapshot_has_a_renamed_vector_in_one_place():
    moved = [op("write", 0, 1, version=7), op("rename", 2, 9, other=1)]
    check(moved + [op("snapshot", 3, 4, versions={0: 7, 1: 0})], 2)
    check(moved + [op("snapshot", 3, 4, versions={0: 0, 1: 7})], 2)
    refused(moved + [op("snapshot", 3, 4, versions={0: 7, 1: 7})], 2)
    refused(moved + [op("snapshot", 3, 4, versions={0: 0, 1: 0})], 2)


def test_snapshots_do_not_go_back():
    refused([op("write", 0, 9, version=7), op("snapshot", 1, 2, versions={0: 7}),
             op("snapshot", 3, 4, versions={0: 0})])
