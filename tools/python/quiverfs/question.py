"""A question for nearest neighbours, as all kinds of stores take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

METRICS = ("l2", "cosine", "ip", "hamming")
# Bounds of quiver.h: neighbours of one question, answers and questions of one call.
K_MAX = 1 << 20
ANSWERS_MAX = 1 << 22
QUESTIONS_MAX = 65536
ANSWER = np.dtype([("id", "<u8"), ("distance", "<f8")])


@dataclass(frozen=True)
class Question:
    """vectors: (n, columns) as stored; k neighbours of each at most; metric: None is the store's.
    ids: only these; except_ids: of each question one that is no answer to it."""

    vectors: NDArray[Any]
    k: int
    metric: Optional[str] = None
    exact: bool = False
    within: Optional[float] = None
    ids: Optional[NDArray[np.uint64]] = None
    except_ids: Optional[NDArray[np.uint64]] = None


@dataclass(frozen=True)
class Answer:
    """answers: (n, k) of ANSWER, nearest first; found: (n,), how many of them count."""

    answers: NDArray[Any]
    found: NDArray[np.uint32]


def room_for(count: int, k: int) -> Answer:
    """Room for the answers of so many questions."""
    return Answer(np.empty((count, k), ANSWER), np.zeros(count, np.uint32))


def ask_in_parts(question: Question, call_bytes: int,
                 ask: Callable[[Question], Answer]) -> Answer:
    """As many calls of `ask` as the bounds on one make of it, `call_bytes` of which are for the
    questions and as many for the answers."""
    count = len(question.vectors)
    each_bytes = max(question.vectors.dtype.itemsize * question.vectors.shape[1], 1)
    step = min(QUESTIONS_MAX, max(ANSWERS_MAX // question.k, 1), max(call_bytes // each_bytes, 1),
               max(call_bytes // (question.k * ANSWER.itemsize), 1))
    if count <= step:
        return ask(question)
    parts = [ask(_part(question, slice(first, first + step))) for first in range(0, count, step)]
    return Answer(np.concatenate([part.answers for part in parts]),
                  np.concatenate([part.found for part in parts]))


def _part(question: Question, rows: slice) -> Question:
    except_ids = None if question.except_ids is None else question.except_ids[rows]
    return replace(question, vectors=question.vectors[rows], except_ids=except_ids)


def split(answer: Answer, no_id: int) -> Tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """IDs and distances, (n, k) each, with `no_id` and NaN behind those that were found."""
    beyond = np.arange(answer.answers.shape[1]) >= answer.found[:, None]
    ids = np.ascontiguousarray(answer.answers["id"])
    distances = np.ascontiguousarray(answer.answers["distance"])
    ids[beyond] = no_id
    distances[beyond] = np.nan
    return ids, distances
