"""Blocks of rows, and the loop that measures them side by side."""

import re
import sys
import time

from host import BenchError


class Block:
    """Rows that are measured in one go on one system.

    `run` yields (row, value, detail). Of every value less is better: "time" is ns for
    each operation, "stream" ns for each MB, "bytes" bytes for each vector, "ratio" bytes
    for each byte.
    """

    rows = []
    unit = "time"
    mounted = True
    one_round = False  # the same in every round

    def systems(self, bench):
        raise NotImplementedError

    def baseline(self, bench):
        """The system that the others are compared with, None for none."""
        return None

    def run(self, bench, system):
        raise NotImplementedError


def name_of(system):
    return system if isinstance(system, str) else system.name


def matches(block, pattern):
    return any(re.search(pattern, row) for row in block.rows)


def measure_block(bench, block, results):
    """Rounds outside, systems inside: whatever else the machine does hits all of them."""
    systems = [system for system in block.systems(bench)
               if re.search(bench.system_pattern, name_of(system))]
    rows = [row for row in block.rows if re.search(bench.row_pattern, row)]
    for row in rows:
        results.add_row(row, block.unit, block.baseline(bench))
    for turn in range(1 if block.one_round else bench.rounds):
        if turn > 0 and not bench.budget.allows_more():
            break
        # Each is the first once.
        first = turn % len(systems) if systems else 0
        for system in systems[first:] + systems[:first]:
            progress(f"{block.rows[0]}: round {turn + 1}, {name_of(system)}")
            try:
                for row, value, detail in block.run(bench, system):
                    if row in rows:
                        results.add(row, name_of(system), turn, value, detail)
            except BenchError as error:
                results.note(f"{block.rows[0]}, {name_of(system)}: {error}")


class Budget:
    """Of time, where there is one: each block has its share of it, and one that comes too
    late is left out."""

    def __init__(self, seconds, steps):
        self.seconds = seconds
        self.began = time.monotonic()
        self.steps = steps
        self.done = 0

    def _used(self):
        return (time.monotonic() - self.began) / self.seconds

    def next_step(self):
        """Whether there is time for one more block."""
        self.done += 1
        return not self.seconds or self._used() < 1

    def allows_more(self):
        """Whether the block in hand may have another round."""
        return not self.seconds or self._used() < self.done / self.steps


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def progress_end():
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
