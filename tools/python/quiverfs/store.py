"""What people see: the vectors of a mount or a store, by their IDs."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from typing import Any, Callable, Iterator, List, Literal, Optional, Tuple, TypeVar, Union, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backend import DAMAGED, DENIED, MISSING, Backend
from .elements import Elements
from .errors import DamagedError, DeniedError, MissingError
from .identifiers import ID_MAX, NO_ID, IDs, is_scalar, to_ids
from .place import absolute, open_backend
from .question import K_MAX, METRICS, Question, split

T = TypeVar("T")

# What a mount answers from then on, and while it ends.
_DAEMON_ENDED = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED)

_opening = threading.Lock()


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class _Opened:
    """What a Store has open in one process."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.elements = Elements(backend.dim, backend.type)
        self.pid = os.getpid()

    def let_go(self) -> None:
        if self.pid == os.getpid():
            self.backend.close()
        else:
            self.backend.forget()


class Store:
    """Vectors by their IDs. Made by quiverfs.open.

    Arrays of IDs give arrays of vectors: IDs of shape S give vectors of shape S + (dim,), so one
    ID gives (dim,). Of dtype b1 they are packed bits, uint8 of S + (dim / 8,), as numpy.packbits
    makes them and quiverfs.to_bits takes them apart; of bf2 they are float32, or with raw=True the
    bits, uint16. All arrays are new ones, that the caller may change.

    Any thread may use one Store at any time. A process that was forked, or to which it was
    pickled, opens what it needs by itself when it first uses it.
    """

    def __init__(self, path: "os.PathLike[str] | str", mode: Optional[str] = None,
                 access: str = "") -> None:
        if mode not in (None, "r", "r+"):
            raise ValueError(f"mode {mode!r}: it is 'r', to read, or 'r+', to write, too")
        self._path = absolute(path)
        self._mode = mode
        self._access = access
        self._opened: Optional[_Opened] = None
        self._finalizer: Optional[weakref.finalize] = None
        self._closed = False
        self._open()

    # ---- opening and closing --------------------------------------------------------------

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is not None and opened.pid == os.getpid():
            return opened
        with _opening:
            opened = self._opened
            if opened is not None and opened.pid == os.getpid():
                return opened
            if self._closed:
                raise ValueError(f"{self._path}: closed")
            self._release()
            opened = _Opened(open_backend(self._path, self._mode, self._access))
            self._finalizer = weakref.finalize(self, opened.let_go)
            self._opened = opened
            return opened

    def _release(self) -> None:
        finalizer, self._finalizer, self._opened = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    @property
    def _backend(self) -> Backend:
        return self._open().backend

    def _call(self, function: Callable[..., T], *words: Any) -> T:
        """A call of the backend that is open. Where its daemon has ended the next call opens what
        is there by then."""
        try:
            return function(*words)
        except OSError as error:
            if error.errno in _DAEMON_ENDED:
                with _opening:
                    if not self._closed:
                        self._release()
            raise

    @property
    def _elements(self) -> Elements:
        return self._open().elements

    def close(self) -> None:
        """Let go of all that is open, so that the store can be unmounted, or opened by others. A
        call of another thread that is under way is waited for. What is closed can be closed again;
        anything else is a ValueError then."""
        with _opening:
            self._closed = True
            self._release()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Tuple[Any, Tuple[str, Optional[str], str]]:
        return Store, (self._path, self._mode, self._access)

    def __repr__(self) -> str:
        if self._closed:
            return f"<quiverfs {self._path}: closed>"
        return (f"<quiverfs {self._path}: {len(self):,} vectors, dim {self.dim}, {self.type}, "
                f"{self.metric}>")

    # ---- what it is -----------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path that it was opened by, absolute."""
        return self._path

    @property
    def dim(self) -> int:
        """Elements of a vector; of dtype b1 they are bits."""
        return self._elements.dim

    @property
    def type(self) -> str:
        """The store's word for its elements: "f4", "f2", "f8", "i1", "u1", "bf2" or "b1"."""
        return self._elements.type

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of the arrays that are handed out: float32 of bf2, uint8 of b1."""
        return self._elements.dtype

    @property
    def metric(self) -> str:
        """How vectors are compared: "l2", "cosine", "ip" or "hamming". What is set is on stable
        storage."""
        return self._backend.metric()

    @metric.setter
    def metric(self, metric: str) -> None:
        self._refuse_reader()
        self._backend.set_metric(metric)

    @property
    def label(self) -> str:
        """Which model made the vectors, and how; "" where nobody has said so. One line."""
        return self._backend.label()

    @label.setter
    def label(self, label: str) -> None:
        self._refuse_reader()
        self._backend.set_label(label)

    @property
    def is_frozen(self) -> bool:
        """Whether nothing changes any more, as in a snapshot."""
        return self._backend.is_frozen

    def __len__(self) -> int:
        return self._call(self._backend.count)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            return False
        return 0 <= int(number) <= ID_MAX and self._call(
            self._backend.has, int(number))

    def __bool__(self) -> bool:
        return True

    def ids(self) -> NDArray[np.uint64]:
        """All IDs, (n,), ascending, as they were at one moment."""
        ids = self._call(self._backend.ids)
        ids.sort()
        return ids

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids().tolist())

    # ---- reading --------------------------------------------------------------------------

    def __getitem__(self, ids: IDs) -> NDArray[Any]:
        """The vectors of `ids`, of shape ids.shape + (dim,). MissingError, which is a KeyError,
        where one is not there; DamagedError, an OSError, where one cannot be read."""
        return self.get(ids)

    @overload
    def get(self, ids: IDs, missing: Literal["mask"], *, raw: bool = False,
            out: Optional[NDArray[Any]] = None) -> Tuple[NDArray[Any], NDArray[np.bool_]]: ...

    @overload
    def get(self, ids: IDs, missing: Union[Literal["raise", "zero"], float] = "raise", *,
            raw: bool = False, out: Optional[NDArray[Any]] = None) -> NDArray[Any]: ...

    def get(self, ids: IDs, missing: Union[str, float] = "raise", *, raw: bool = False,
            out: Optional[NDArray[Any]] = None) -> Any:
        """The vectors of `ids`, of shape ids.shape + (dim,).

        Each is as it is at some moment of the call, whole and, but in a snapshot of a mount, with
        its checksum compared.

        missing: what becomes of IDs that are not there
            "raise"  MissingError, a KeyError that names them
            "zero"   their vectors are zeros
            "mask"   the same, and (vectors, found) is returned; found is bool, of ids.shape
            number   all elements of their vectors are that number, as float("nan")
        raw: of dtype bf2 the bits as uint16, and not float32
        out: an array of the shape and type of the result, C-contiguous, to read into

        DamagedError, an OSError, where one does not match its checksum; DeniedError, a
        PermissionError, where this user may not read one.
        """
        opened = self._open()
        flat, shape = to_ids(ids)
        rows = self._room(opened.elements, flat.size, shape, raw, out)
        status = self._call(opened.backend.get, flat, rows)
        vectors = opened.elements.hand_out(rows, raw)
        absent = status == MISSING
        for what, error in ((DAMAGED, DamagedError), (DENIED, DeniedError)):
            if (status == what).any():
                raise error(flat[status == what].tolist(), self._path)
        if missing not in ("zero", "mask") and absent.any():
            self._fill(vectors, flat, absent, missing)
        if out is not None and vectors is not rows:
            out.reshape(vectors.shape)[...] = vectors
        result = out if out is not None else vectors.reshape(shape + vectors.shape[1:])
        return (result, ~absent.reshape(shape)) if missing == "mask" else result

    def _room(self, elements: Elements, count: int, shape: Tuple[int, ...], raw: bool,
              out: Optional[NDArray[Any]]) -> NDArray[Any]:
        """Rows to read into, as stored: those of `out` where that is of the same type."""
        if out is None:
            return elements.rows(count)
        dtype = elements.stored if raw else elements.dtype
        wanted = shape + (elements.columns,)
        if out.dtype != dtype or out.shape != wanted or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} of shape {out.shape}, but must be {dtype} of "
                             f"shape {wanted}, C-contiguous")
        if dtype != elements.stored:
            return elements.rows(count)
        return out.reshape(count, elements.columns)

    def _fill(self, vectors: NDArray[Any], flat: NDArray[np.uint64], absent: NDArray[np.bool_],
              missing: Union[str, float]) -> None:
        if missing == "raise":
            raise MissingError(flat[absent].tolist(), self._path)
        if isinstance(missing, str):
            raise ValueError(f"missing={missing!r}: it is 'raise', 'zero', 'mask' or a number")
        value = np.asarray(missing)
        if vectors.dtype.kind != "f" and (value.dtype.kind not in "iu"
                                          or value.astype(vectors.dtype) != value):
            raise ValueError(f"missing={missing!r} is not a value of {vectors.dtype}")
        vectors[absent] = value

    # ---- changing -------------------------------------------------------------------------

    def _refuse_reader(self) -> None:
        if self._mode == "r":
            raise PermissionError(f"{self._path}: opened for reading (mode='r')")

    def put(self, ids: IDs, vectors: ArrayLike, *, raw: bool = False) -> None:
        """Write vectors: of shape ids.shape + (dim,), so (dim,) for one ID and (n, dim) for n.

        Floats are rounded to the floats of the store, and integers are taken where they are exactly
        the same there; anything else is a TypeError or ValueError, and then nothing is written.
        Of dtype b1: uint8 of (..., dim / 8) or bool of (..., dim); of bf2 also ml_dtypes.bfloat16
        and, with raw=True, its bits as uint16.

        Through a mount each 512 KiB is one commit: whole or not at all, also after a crash; as
        somebody who may only write its files each vector is. Through libquiver each 64 MiB is.
        PermissionError where one may not write. Of an ID that comes twice the last vector counts.
        """
        self._refuse_reader()
        opened = self._open()
        flat, shape = to_ids(ids)
        rows = opened.elements.take_in(vectors, raw)
        wanted = shape + (opened.elements.columns,)
        if rows.shape != wanted:
            raise ValueError(f"for IDs of shape {shape} vectors are of shape {wanted}, not "
                             f"{rows.shape}")
        if flat.size > 0:
            self._call(opened.backend.put, flat, rows.reshape(flat.size, -1))

    def __setitem__(self, ids: IDs, vectors: ArrayLike) -> None:
        self.put(ids, vectors)

    def remove(self, ids: IDs, missing: str = "raise") -> int:
        """Remove vectors, and return how many. Those that are there are removed in any case; then
        it is a MissingError (a KeyError) where some were not, unless missing is "ignore"."""
        if missing not in ("raise", "ignore"):
            raise ValueError(f"missing={missing!r}: it is 'raise' or 'ignore'")
        self._refuse_reader()
        flat = np.unique(to_ids(ids)[0])
        was_there = self._call(self._backend.remove, flat)
        if missing == "raise" and not was_there.all():
            raise MissingError(flat[~was_there].tolist(), self._path)
        return int(was_there.sum())

    def __delitem__(self, ids: IDs) -> None:
        self.remove(ids)

    def flush(self) -> None:
        """On return all that was written before is as durable as fsync(2) makes a file."""
        self._backend.flush()

    # ---- nearest neighbours -----------------------------------------------------------------

    def nearest(self, vectors: Optional[ArrayLike] = None, k: int = 10, *,
                of: Optional[IDs] = None, metric: Optional[str] = None,
                ids: Optional[IDs] = None, exact: bool = False, within: Optional[float] = None,
                raw: bool = False) -> Tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """The k vectors that are nearest to each given one: (ids, distances), nearest first.

        vectors: (dim,) for one question, (n, dim) for n; or one ID, as nearest(42), the same as
            of=42. They are converted as by put.
        of: an ID, or IDs, whose vectors are the questions; none is an answer to itself
        metric: "l2" (squared), "cosine" (1 - cos), "ip" (the inner product, largest first),
            "hamming" (bits that differ, of b1 and u1); None is the store's
        ids: IDs that alone can be answers, as a filter has left them
        exact: compare all vectors, also where there is an index, which may miss some
        within: no answers that are farther than that (of ip: whose product is smaller)

        Of one question both arrays are (m,), with m <= k answers; of n they are (n, k), with the ID
        quiverfs.NO_ID (2**64 - 1) and the distance NaN where there are fewer. IDs are uint64,
        distances float64. quiverfs-nearest(7) tells what is compared, and how exactly.

        MissingError, a KeyError, where one of `of` is not there. ValueError: a k that is 0 or too
        large, a metric that is none of the type's, a question with NaN or, for cosine, of zeros.
        """
        if of is None and is_scalar(vectors):
            vectors, of = None, vectors
        if (vectors is None) == (of is None):
            raise TypeError("nearest takes either vectors, or IDs with of=")
        if not 1 <= k <= K_MAX:
            raise ValueError(f"k={k}: it goes from 1 to {K_MAX}")
        if metric is not None and metric not in METRICS:
            raise ValueError(f"metric={metric!r}: it is one of {', '.join(METRICS)}")
        opened = self._open()
        if of is not None:
            asked, is_one = self.get(of, raw=True), is_scalar(of)
            left_out = to_ids(of)[0]
        else:
            asked, left_out = opened.elements.take_in(vectors, raw), None
            is_one = asked.ndim == 1
        if asked.ndim > 2:
            raise ValueError(f"questions are of shape (dim,) or (n, dim), not {asked.shape}")
        question = Question(asked.reshape(-1, opened.elements.columns), int(k), metric, bool(exact),
                            None if within is None else float(within),
                            None if ids is None else to_ids(ids)[0], left_out)
        return self._answer(opened.backend, question, is_one)

    def _answer(self, backend: Backend, question: Question,
                is_one: bool) -> Tuple[NDArray[np.uint64], NDArray[np.float64]]:
        if len(question.vectors) == 0 or (question.ids is not None and len(question.ids) == 0):
            shape = (0,) if is_one else (len(question.vectors), question.k)
            return np.full(shape, NO_ID, np.uint64), np.full(shape, np.nan)
        try:
            answer = self._call(backend.nearest, question)
        except OSError as error:
            raise _explained(error, question) from None
        found_ids, distances = split(answer, NO_ID)
        if is_one:
            return found_ids[0, :answer.found[0]], distances[0, :answer.found[0]]
        return found_ids, distances

    # ---- snapshots ------------------------------------------------------------------------

    def snapshots(self) -> List[str]:
        """The names of the snapshots of this store, oldest first."""
        return self._backend.snapshots()

    def snapshot(self, name: str, *, create: bool = False) -> "Store":
        """Open a snapshot as a Store of its own, which never changes; with create=True make it of
        all that is committed now first. FileNotFoundError where there is none, FileExistsError
        where there is one already that was to be made."""
        if create:
            self._refuse_reader()
            self._backend.make_snapshot(name)
        return Store(self._backend.snapshot_path(name), "r", self._access)

    def remove_snapshot(self, name: str) -> None:
        """Remove one, for good."""
        self._refuse_reader()
        self._backend.remove_snapshot(name)

    def matrix(self) -> Tuple[NDArray[np.uint64], NDArray[Any]]:
        """Of a snapshot of a mount all as one array, with no copy: (ids, rows), read-only maps of
        its files, of shapes (r,) and (r, dim), as they are stored (bf2: uint16).

        A row whose ID is quiverfs.NO_ID is none. For who has mounted the store. ValueError of what
        is no snapshot: there rows change their places.
        """
        if not self.is_frozen:
            raise ValueError(f"{self._path}: rows move while others write; take a "
                             "snapshot: snapshot(name, create=True).matrix()")
        return self._backend.matrix()


def _explained(error: OSError, question: Question) -> Exception:
    """EINVAL tells no more than that the question makes no sense."""
    if error.errno != errno.EINVAL:
        return error
    return ValueError("a question has no distances: it holds NaN or, for l2 or cosine, an infinity or, "
                      "for cosine, only zeros; or the metric "
                      f"({question.metric or 'the store' + chr(39) + 's'}) does not fit this type")
