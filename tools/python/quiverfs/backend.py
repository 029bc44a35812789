"""What a Store asks of the place where its vectors lie: a mount (mount.py) or libquiver
(library.py). Rows are of the type that is stored; who calls has looked at their shapes."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

from .question import Answer, Question

# What get says of each ID.
MISSING, THERE, DAMAGED, DENIED = 0, 1, 2, 3


class Backend:
    """Any thread may call anything but close, which is the last call.

    path: what messages call it
    is_frozen: nothing changes any more, as in a snapshot
    """

    path: str
    dim: int
    type: str
    is_frozen: bool

    def get(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Read vectors into `rows`, (n, columns); of each MISSING (the row is zeros), THERE,
        DAMAGED, or DENIED (this user may not read it)."""
        raise NotImplementedError

    def has(self, number: int) -> bool:
        """Whether there is a vector of this ID."""
        raise NotImplementedError

    def count(self) -> int:
        """How many vectors there are."""
        raise NotImplementedError

    def ids(self) -> NDArray[np.uint64]:
        """All IDs of one moment, in any order."""
        raise NotImplementedError

    def put(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        """Write vectors; of the same ID the last counts."""
        raise NotImplementedError

    def remove(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Remove vectors; of each whether it was there."""
        raise NotImplementedError

    def nearest(self, question: Question) -> Answer:
        """Answer a question; questions of more than the bounds of one call, too."""
        raise NotImplementedError

    def metric(self) -> str:
        raise NotImplementedError

    def set_metric(self, metric: str) -> None:
        raise NotImplementedError

    def label(self) -> str:
        raise NotImplementedError

    def set_label(self, label: str) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        """On return all that was committed before is as durable as fsync(2) makes it."""
        raise NotImplementedError

    def snapshots(self) -> List[str]:
        raise NotImplementedError

    def make_snapshot(self, name: str) -> None:
        raise NotImplementedError

    def remove_snapshot(self, name: str) -> None:
        raise NotImplementedError

    def snapshot_path(self, name: str) -> str:
        """What to open for one of them."""
        raise NotImplementedError

    def matrix(self) -> Tuple[NDArray[np.uint64], NDArray[Any]]:
        """IDs, (rows,), and vectors, (rows, columns), of what is frozen, as maps of files."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        """In a process that was forked: let go of what belongs to the parent, and leave that as it
        is."""
        raise NotImplementedError
