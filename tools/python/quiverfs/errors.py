"""What goes wrong, in words.

What the system refuses is an OSError of the kind that its errno has (PermissionError,
FileNotFoundError, ...), as everywhere in Python. These are the others.
"""

from __future__ import annotations

import errno
from typing import Sequence

# As many IDs as a message shows.
_SHOWN = 5


class Error(Exception):
    """What all classes of this module have in common."""


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in ids[:_SHOWN])
    more = len(ids) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class MissingError(Error, KeyError):
    """There are no such vectors. `ids` has all that are missing, as ints."""

    def __init__(self, ids: Sequence[int], place: str) -> None:
        super().__init__(ids, place)
        self.ids = list(ids)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: no vector {_listed(self.ids)}"


class DamagedError(Error, OSError):
    """Vectors do not match their checksums, or the disk fails. `ids` has all of them, as ints."""

    def __init__(self, ids: Sequence[int], place: str) -> None:
        super().__init__(errno.EIO, f"damaged or unreadable: vector {_listed(ids)}", place)
        self.ids = list(ids)
        self.place = place

    def __reduce__(self) -> tuple[type, tuple[list[int], str]]:
        return DamagedError, (self.ids, self.place)


class DeniedError(Error, PermissionError):
    """This user may not read vectors, as the modes of their files have it. `ids` has all of them,
    as ints."""

    def __init__(self, ids: Sequence[int], place: str) -> None:
        super().__init__(errno.EACCES, f"not to be read by this user: vector {_listed(ids)}", place)
        self.ids = list(ids)
        self.place = place

    def __reduce__(self) -> tuple[type, tuple[list[int], str]]:
        return DeniedError, (self.ids, self.place)


class LibraryError(Error, ImportError):
    """libquiver is not there, or is of another version."""
