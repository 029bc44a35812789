"""IDs as people give them, and as uint64."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Set
from typing import Any, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

# The largest, as QUIVER_ID_MAX of quiver.h.
ID_MAX = 2**64 - 2**32 - 1
# No ID: what stands where there is none.
NO_ID = 2**64 - 1

IDs = Union[int, Sequence[int], NDArray[Any]]


def _refuse(number: Any) -> ValueError:
    return ValueError(f"{number} is not an ID: IDs go from 0 to {ID_MAX}")


def is_scalar(ids: Any) -> bool:
    """Whether it is one ID and not an array of them."""
    return isinstance(ids, (int, np.integer)) and not isinstance(ids, bool)


def to_ids(ids: Any) -> Tuple[NDArray[np.uint64], Tuple[int, ...]]:
    """IDs as one row of uint64, and the shape that they came in; () for one number.

    Takes an int, anything of ints that NumPy makes an array of, or a set. TypeError of what is no
    integer, ValueError of numbers that are never an ID.
    """
    if is_scalar(ids):
        number = operator.index(ids)
        if not 0 <= number <= ID_MAX:
            raise _refuse(number)
        return np.array([number], np.uint64), ()
    if isinstance(ids, slice):
        raise TypeError("IDs are not positions, so they have no slices: "
                        "give a range, as store[range(5, 10)]")
    if isinstance(ids, (Set, Iterator)):
        ids = list(ids)
    array = np.asarray(ids)
    if array.size == 0:
        return np.empty(0, np.uint64), array.shape
    if array.dtype.kind == "b":
        raise TypeError("IDs are integers; of a mask take the IDs that it selects: ids[mask]")
    if array.dtype.kind not in "iu":
        array = _exact(ids, array)
    if array.dtype.kind == "i" and array.min() < 0:
        raise _refuse(array.min())
    flat = np.ascontiguousarray(array, np.uint64).reshape(-1)
    if flat.max() > ID_MAX:
        raise _refuse(flat.max())
    return flat, array.shape


def _exact(given: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of both halves of uint64, of which NumPy makes floats or objects."""
    if isinstance(given, np.ndarray) and given.dtype.kind != "O":
        raise TypeError(f"IDs are integers, not {array.dtype}")
    objects = np.array(given, object)
    numbers = []
    for entry in objects.reshape(-1):
        if isinstance(entry, (bool, np.bool_)) or not hasattr(entry, "__index__"):
            raise TypeError(f"IDs are integers, not {type(entry).__name__}")
        number = operator.index(entry)
        if not 0 <= number <= ID_MAX:
            raise _refuse(number)
        numbers.append(number)
    return np.array(numbers, np.uint64).reshape(objects.shape)
