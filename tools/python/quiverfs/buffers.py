"""Arrays as the bytes that they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The memory of a C-contiguous array of any type, for reading and writing it."""
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)
