"""A file of tests/mount, over collections: what the contract asks of any mount.

QUIVERFS_TEST_MOUNT names it. What only a store in a local folder has (`local`), and what
quiverfs-rados(7) says is narrower, is left out.
"""

import importlib
import os

import pytest

NAME = "test_" + os.environ.get("QUIVERFS_TEST_MOUNT", "write")
os.environ["QUIVERFS_KIND"] = "rados"
pytest.register_assert_rewrite(NAME)
tests = {name: value for name, value in vars(importlib.import_module(NAME)).items()
         if not name.startswith("__")}

LSN = "it looks at the LSN, and a collection has none"
COUNT = "it looks at the count of vectors, which is that of the last listing"
FILES = "it looks at files of a folder"
MAPS = "it maps shared, which is ENODEV"
ORDER = "a listing has no order, and is of when it was opened"
HANDLES = "it looks at files that the kernel opens by itself"
SCREEN = "it knows the screen or the figures of a folder"
NARROWER = {
    "test_a_wrong_checksum_is_eio": FILES,
    "test_block_size_is_the_power_of_two_above": LSN,
    "test_entries_gone_since_the_start_are_skipped": ORDER,
    "test_seek_and_rewind": ORDER,
    "test_a_read_only_mount_lists_the_same": ORDER,
    "test_the_values": SCREEN,
    "test_flush_makes_durable": LSN,
    "test_stats_are_lines_of_key_and_value": COUNT,
    "test_metrics_are_prometheus_text": COUNT,
    "test_a_damaged_vector_can_be_written_anew": FILES,
    "test_everything_can_be_read_again_and_again": MAPS,
    "test_the_store_stays_as_it_is": FILES,
    "test_what_leaves_a_folder_to_an_id_is_committed_whole": LSN,
    "test_labels_are_set_beside_checkpoints": FILES,
    "test_stats_and_metrics_tell_them": SCREEN,
    "test_status_shows_them": SCREEN,
    "test_df_tells_the_real_capacity": FILES,
    "test_numpy_reads_and_writes": MAPS,
    "test_on_a_read_only_mount_there_is_no_query": HANDLES,
}
for name in tests.keys() & NARROWER.keys():
    tests[name] = pytest.mark.skip(reason=NARROWER[name])(tests[name])
globals().update(tests)
