"""Who is in the library: a fork waits for them, and so does who closes a store."""

from __future__ import annotations

import os
import threading
from typing import Any


class Gate:
    """`with gate:` is a call into the library; shut() waits until there is none, and keeps new ones
    waiting until open()."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        # Of a lock that its holder can take again, as the end of another store does by the garbage
        # collector, at any moment.
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = 0

    def __enter__(self) -> None:
        with self._changed:
            while self._shut > 0:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: Any) -> None:
        with self._changed:
            self._inside -= 1
            if self._inside == 0 and self._shut > 0:
                self._changed.notify_all()

    def shut(self) -> None:
        with self._changed:
            self._shut += 1
            while self._inside > 0:
                self._changed.wait()

    def open(self) -> None:
        with self._changed:
            self._shut -= 1
            self._changed.notify_all()

    def begin_anew(self) -> None:
        """In a process that was forked, where nobody else is."""
        self._begin()


# A lock of the library that another thread holds while this one forks would never be free in the
# child, which may open stores of its own there.
library_gate = Gate()
os.register_at_fork(before=library_gate.shut, after_in_parent=library_gate.open,
                    after_in_child=library_gate.begin_anew)
