"""What may be found after a kill, from what the writers did and when it returned.

An operation is a function of the state of the vectors that its worker owns; a
vector's state is (version, earliest mtime, latest mtime, mode), an absent one has
none. One worker's operations commit in their order, so what is found of its own
vectors after a crash is the state after some number of them: at least those that
may not be lost, at most all of them with the one in flight.
"""

import math
from dataclasses import dataclass

FOREVER = math.inf
# The clock of the writer and that of the daemon are one, but are not read at once.
CLOCK_SLACK_NS = 20_000_000


@dataclass
class Operation:
    """`changes` maps a vector to its new state, to None (gone), or to a function of
    the state before. `began`, `ended` are of the monotonic clock."""
    name: str
    changes: dict
    began: float
    ended: float = FOREVER
    wall_ended: float = FOREVER

    def apply(self, state):
        before = dict(state)
        for vector, change in self.changes.items():
            new = change(before) if callable(change) else change
            if new is None:
                state.pop(vector, None)
            else:
                state[vector] = new


def written(version, wall_began, mode):
    """A state whose mtime is that of the commit: it ends with the operation."""
    return (version, wall_began - CLOCK_SLACK_NS, None, mode)


def fits(found, allowed):
    """Whether a vector found (version, mtime, mode) is in an allowed state."""
    if found is None or allowed is None:
        return found is None and allowed is None
    version, mtime, mode = found
    return (version == allowed[0] and mode == allowed[3]
            and allowed[1] <= mtime <= (FOREVER if allowed[2] is None else allowed[2]))


def state_fits(found, state):
    return all(fits(found.get(vector), state.get(vector)) for vector in {*found, *state})


def states_allowed(base, operations, firm_until):
    """The states of a worker's own vectors, from the least to the most, that a crash
    may leave; those before the last firm operation are left out."""
    firm = max((number + 1 for number, op in enumerate(operations)
                if op.ended < firm_until), default=0)
    state, allowed = dict(base), []
    for number in range(len(operations) + 1):
        if number > 0:
            operations[number - 1].apply(state)
        if number >= firm:
            allowed.append(dict(state))
    return allowed


def check_own(who, base, found, operations, firm_until):
    allowed = states_allowed(base, operations, firm_until)
    if any(state_fits(found, state) for state in allowed):
        return
    differences = [f"vector {v}: found {found.get(v)}, allowed {[s.get(v) for s in allowed]}"
                   for v in sorted({*found, *base, *allowed[-1]}, key=str)
                   if not any(fits(found.get(v), s.get(v)) for s in allowed)]
    last = "\n".join(f"  {op.name} {op.began} {op.ended}" for op in operations[-8:])
    raise AssertionError(f"{who}: none of {len(allowed)} allowed states is found\n"
                         + ("\n".join(differences) or "each vector is allowed, not together")
                         + f"\nfirm until {firm_until}; its last operations:\n{last}")


def check_shared(vector, base, found, operations, firm_until):
    """A vector that several write: what is found may not be older than a commit that
    began after it and may not be lost. `operations` are those on this vector."""
    firm = [op for op in operations if op.ended < firm_until]
    newest_began = max((op.began for op in firm), default=-FOREVER)
    allowed = [op.changes[vector] for op in operations if op.ended >= newest_began]
    if not firm:
        allowed.append(base)
    assert any(fits(found, state) for state in allowed), (
        f"shared vector {vector}: found {found}, allowed {allowed}")


def check_ctimes(base, found, before, after):
    """`before` and `after` are the ctimes of the vectors of `base` and of `found`: none has gone
    back, and what has changed has another, also where it was removed and written again."""
    for vector in sorted(base.keys() & found.keys()):
        assert after[vector] >= before[vector], (
            f"vector {vector}: its ctime was {before[vector]} and is {after[vector]}")
        assert after[vector] > before[vector] or found[vector] == base[vector], (
            f"vector {vector}: was {base[vector]}, is {found[vector]}, and its ctime has not moved")


@dataclass
class Disturbance:
    """What the process that checkpoints, compacts and changes the mode has done."""
    name: str
    began: float
    ended: float = FOREVER


def firm_until(mode, disturbances, lossy=("none",)):
    """Operations that had returned before this time may not be lost. `mode` is that in
    force at first; those in `lossy` lose what came after the last checkpoint or sync.
    A mode is in force from the begin of the call that sets it to the end of the call
    that sets another."""
    since = -FOREVER if mode in lossy else None
    for event in disturbances:
        done = event.ended < FOREVER
        word, _, value = event.name.partition(" ")
        if word == "durability" and value != mode:
            if value in lossy and (done or since is None):
                since = event.began
            elif value not in lossy and done:
                since = None
            mode = value if done else mode
        elif done and since is not None and (
                word == "checkpoint" or word == "flush" and mode != "flush"):
            since = event.began
    return FOREVER if since is None else since
