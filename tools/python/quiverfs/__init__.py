"""Vectors of a quiverfs mount, or of a store, as NumPy arrays.

    import quiverfs

    q = quiverfs.open("MNT")
    q[42]                              # one vector, (dim,)
    q[[7, 8, 9]]                       # (3, dim)
    q.put([7, 8], X)                   # X of shape (2, dim)
    ids, distances = q.nearest(42)     # its ten nearest neighbours
    ids, distances = q.nearest(X, k=5) # (2, 5) each

quiverfs-python(7) tells the rest.
"""

from __future__ import annotations

import os
from typing import Optional

from .elements import to_bits
from .errors import DamagedError, DeniedError, Error, LibraryError, MissingError
from .identifiers import ID_MAX, NO_ID
from .store import Store

__all__ = ["open", "Store", "to_bits", "Error", "MissingError", "DamagedError", "DeniedError",
           "LibraryError", "ID_MAX", "NO_ID"]
__version__ = "0.2.0"


def open(path: "os.PathLike[str] | str", *, mode: Optional[str] = None,  # pylint: disable=redefined-builtin
         access: str = "") -> Store:
    """Open a mount, a store or a snapshot.

    path: the folder of a mount (MNT, or MNT/snapshots/NAME), the folder of a store, STORE@NAME or
        MNT@NAME for a snapshot, or rados:POOL[/NAMESPACE]/COLLECTION. A store that is mounted is
        used through its mount.
    mode: "r" to read, "r+" to write, too. None: what the permissions of a mount allow, and of a
        store that is not mounted to read it, along with others; "r+" has it alone.
    access: of a collection in Ceph, as the option -o of quiverfs: "id=NAME,conf=FILE,..."

    A mount needs nothing but NumPy, anything else libquiver. FileNotFoundError where there is
    neither, OSError (EBUSY) where others have the store and it is not mounted, LibraryError without
    libquiver; errors of the system.
    """
    return Store(path, mode, access)
