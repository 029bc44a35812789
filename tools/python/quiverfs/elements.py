"""Types of elements: what lies in a store, and the arrays that people have."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
from numpy.typing import NDArray

# What lies in the store. Of bf2 the bits, of b1 eight elements a byte, in the order of np.packbits.
STORED: Dict[str, "np.dtype[Any]"] = {name: np.dtype(code) for name, code in (
    ("f4", "<f4"), ("f2", "<f2"), ("f8", "<f8"), ("i1", "i1"), ("u1", "u1"), ("bf2", "<u2"),
    ("b1", "u1"))}


class Elements:
    """The vectors of one store.

    type: the store's word, "f4", "f2", "f8", "i1", "u1", "bf2" or "b1"
    dim: elements of a vector; of b1 they are bits
    stored, dtype: what lies in the store, and what is handed out: float32 for bf2, else the same
    columns: numbers of a row of an array: dim, of b1 dim / 8
    """

    def __init__(self, dim: int, kind: str) -> None:
        if kind not in STORED:
            raise ValueError(f"vectors of type {kind!r} are not known to this version of "
                             "quiverfs; install a newer one")
        self.dim = dim
        self.type = kind
        self.stored = STORED[kind]
        self.dtype: "np.dtype[Any]" = np.dtype("<f4") if kind == "bf2" else self.stored
        self.columns = dim // 8 if kind == "b1" else dim
        self.vector_bytes = self.columns * self.stored.itemsize

    def rows(self, count: int) -> NDArray[Any]:
        """Room for so many vectors, (count, columns) of what lies in the store."""
        return np.empty((count, self.columns), self.stored)

    def hand_out(self, rows: NDArray[Any], raw: bool = False) -> NDArray[Any]:
        """Stored rows as people get them: the same memory, but for bf2, of which it is float32
        unless `raw`."""
        if self.type != "bf2" or raw:
            return rows
        return (rows.astype("<u4") << 16).view("<f4")

    def take_in(self, given: Any, raw: bool = False) -> NDArray[Any]:
        """What people give as stored rows: C-contiguous, (..., columns).

        Converts where nothing is lost, and floats to other floats. TypeError of another kind of
        numbers, ValueError of another shape and of numbers that do not fit.
        """
        array = np.asarray(given)
        array = self._converted(array, raw)
        if array.ndim == 0 or array.shape[-1] != self.columns:
            raise ValueError(self._shape_message(array.shape))
        return np.ascontiguousarray(array)

    def _shape_message(self, shape: Tuple[int, ...]) -> str:
        wanted = f"{self.dim} elements"
        if self.type == "b1":
            wanted = f"{self.dim} bits: {self.columns} uint8 or {self.dim} bool"
        return f"a vector here has {wanted}; got an array of shape {shape}"

    def _converted(self, array: NDArray[Any], raw: bool) -> NDArray[Any]:
        if self.type == "b1":
            return _bits(array)
        if self.type == "bf2":
            return _upper_halves(array, raw)
        if array.dtype == self.stored:
            return array
        if self.stored.kind == "f":
            return _floats(array, self.stored)
        return _integers(array, self.stored)


def to_bits(packed: Any) -> NDArray[np.bool_]:
    """Vectors of bits as they are stored, uint8 of (..., dim / 8), as bool of (..., dim)."""
    return np.unpackbits(np.asarray(packed, np.uint8), axis=-1).astype(bool)


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype == np.bool_:
        if array.ndim == 0 or array.shape[-1] % 8 != 0:
            raise ValueError(f"an array of bool of shape {array.shape} cannot be vectors of bits; "
                             "their number must be a multiple of 8")
        return np.packbits(array, axis=-1)
    if array.dtype == np.uint8:
        return array
    raise TypeError(f"vectors of bits are bool, or uint8 as np.packbits makes them, not "
                    f"{array.dtype}: give x != 0 or np.packbits(x != 0, axis=-1)")


def _is_bfloat16(dtype: "np.dtype[Any]") -> bool:
    """That of ml_dtypes."""
    return dtype.name == "bfloat16" and dtype.itemsize == 2


def _upper_halves(array: NDArray[Any], raw: bool) -> NDArray[Any]:
    if _is_bfloat16(array.dtype):
        return np.ascontiguousarray(array).view("<u2")
    if raw:
        if array.dtype != np.uint16:
            raise TypeError(f"the bits of bfloat16 are uint16, not {array.dtype}")
        return array
    wide = _floats(array, np.dtype("<f8")) if array.dtype != np.float32 else array
    bits = _odd(wide).view("<u4")
    halves = ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype("<u2")
    unordered = np.isnan(wide)
    halves[unordered] = (bits[unordered] >> 16) | 0x40
    _check_fits(wide, (halves & 0x7fff) == 0x7f80, "bf2")
    return halves


def _odd(wide: NDArray[Any]) -> NDArray[Any]:
    """float32, of what does not fit with the last bit set: rounding again is then rounding once."""
    wide = np.ascontiguousarray(wide)
    if wide.dtype == np.float32:
        return wide
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.ascontiguousarray(wide.astype("<f4"))
    back = near.astype("<f8")
    bits = near.view("<u4").copy()
    bits[np.abs(back) > np.abs(wide)] -= 1
    bits[(back != wide) & ~np.isnan(wide)] |= 1
    return bits.view("<f4")


def _floats(array: NDArray[Any], to: "np.dtype[Any]") -> NDArray[Any]:
    if _is_bfloat16(array.dtype):
        array = (np.ascontiguousarray(array).view("<u2").astype("<u4") << 16).view("<f4")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{array.dtype} cannot be converted to {to.name}")
    with np.errstate(over="ignore", invalid="ignore"):
        made = array.astype(to)
    if array.dtype.kind == "f":
        if not np.can_cast(array.dtype, to):
            _check_fits(array, np.isinf(made), to.name)
    elif not np.can_cast(array.dtype, to) and not (made == array).all():
        raise ValueError(f"integers that {to.name} cannot hold exactly; "
                         f"give x.astype('{to.name}') to round them")
    return made


def _integers(array: NDArray[Any], to: "np.dtype[Any]") -> NDArray[Any]:
    bounds = np.iinfo(to)
    if array.dtype.kind not in "iub":
        raise TypeError(f"this store has {to.name}, but {array.dtype} is another kind; give "
                        f"x.round().clip({bounds.min}, {bounds.max}).astype('{to.name}')")
    if array.size > 0 and (array.min() < bounds.min or array.max() > bounds.max):
        raise ValueError(f"numbers from {array.min()} to {array.max()} do not fit {to.name}, which "
                         f"goes from {bounds.min} to {bounds.max}")
    return array.astype(to)


def _check_fits(given: NDArray[Any], is_infinite: NDArray[Any], name: str) -> None:
    lost = is_infinite & ~np.isinf(given)
    if lost.any():
        raise ValueError(f"{given[lost][0]} does not fit {name}")
