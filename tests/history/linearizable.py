"""Whether a concurrent history of vectors can have happened one call after the other.

The state is the version of each vector of a group, 0 where there is none. An
operation takes effect at one moment between its begin and its end. The checker goes
through begins and ends in the order of time and keeps every configuration that can
be: a state, and the operations that have begun and not yet taken effect. At the end
of an operation only those configurations stay in which it has (just-in-time
linearization). Versions are unique, so that few configurations ever are.
"""

import bisect
from dataclasses import dataclass

# Far above what the clients of the test can make; a bound all the same.
CONFIGURATIONS_MAX = 200_000


@dataclass
class Operation:
    """`kind`, vectors as numbers in their group, and what came of it:

    read(vector, version)      version 0: there is none
    exists(vector, yes)
    write(vector, version)     `fresh`: only where there is none; `targets`: what it
                               may have written instead, None for nothing at all: where
                               the vector that its handle follows has come, whoever made it;
                               `replaces`: by a rename over it
    remove(vector)             that succeeded; one that did not is exists(vector, no)
    rename(vector, other)      likewise; `fresh`: only where there is no other
    put(versions)              {vector: version} at once
    near(vector, targets)      it was answered to a question at the distance that these versions
                               have, one of which it is
    snapshot(versions)         likewise of all vectors of the group, read: what a snapshot
                               has that was made then; version 0: there is none
    """
    kind: str
    began: int
    ended: int
    vector: int = 0
    version: int = 0
    other: int = 0
    yes: bool = True
    fresh: bool = False
    versions: dict = None
    targets: tuple = ()
    distance: float = 0
    opened: int = 0
    client: int = 0
    replaces: bool = False

    def is_read(self):
        return self.kind in ("read", "exists", "near", "snapshot")

    def agrees(self, state):
        """Whether a read says what is there."""
        if self.kind == "read":
            return state[self.vector] == self.version
        if self.kind == "near":
            return state[self.vector] in self.targets
        if self.kind == "snapshot":
            return all(state[vector] == version for vector, version in self.versions.items())
        return bool(state[self.vector]) == self.yes

    def effects(self, state):
        """The states that it can make of this one; none where it cannot happen now."""
        if self.is_read():
            return [state] if self.agrees(state) else []
        if self.kind == "write":
            return [state if target is None else replaced(state, {target: self.version})
                    for target in (self.vector, *self.targets)
                    if target != self.vector or not (self.fresh and state[target])]
        if self.kind == "put":
            return [replaced(state, self.versions)]
        if not state[self.vector]:
            return []
        if self.kind == "remove":
            return [replaced(state, {self.vector: 0})]
        if self.fresh and state[self.other]:
            return []
        return [replaced(state, {self.other: state[self.vector], self.vector: 0})]


def replaced(state, changes):
    return tuple(changes.get(number, version) for number, version in enumerate(state))


def settle(operations, state, pending):
    """Reads that agree take effect at once: they keep nothing else from happening."""
    return state, frozenset(number for number in pending
                            if not (operations[number].is_read()
                                    and operations[number].agrees(state)))


def finish(operations, configurations, number):
    """The configurations in which operation `number` has taken effect."""
    seen, todo, done = set(configurations), list(configurations), set()
    while todo:
        state, pending = todo.pop()
        if number not in pending:
            done.add((state, pending))
            continue
        for other in pending:
            if operations[other].is_read():
                continue  # it does not agree, or would have taken effect
            for after in operations[other].effects(state):
                configuration = settle(operations, after, pending - {other})
                if configuration not in seen:
                    seen.add(configuration)
                    todo.append(configuration)
        assert len(seen) < CONFIGURATIONS_MAX, "too many operations at once to check"
    return done


class Violation(AssertionError):
    pass


def allow_lost_writes(operations):
    """A handle follows its vector: what is written to one that was removed, replaced or
    renamed since it was opened may go where it went, or be gone with it."""
    moves = sorted((op for op in operations
                    if op.kind in ("remove", "rename") or op.replaces),
                   key=lambda op: op.began)
    begins = [op.began for op in moves]
    longest = max((op.ended - op.began for op in moves), default=0)
    for write in (op for op in operations if op.kind == "write" and op.opened):
        near = moves[bisect.bisect_left(begins, write.opened - longest):
                     bisect.bisect_right(begins, write.ended)]
        touching = [op for op in near if op.ended >= write.opened]
        if any(write.vector in (op.vector, op.other if op.kind == "rename" else op.vector)
               for op in touching):
            others = {op.other for op in touching if op.kind == "rename"} - {write.vector}
            write.targets = (None, *sorted(others))


def check(operations, width):
    """Raise a Violation where no order explains what the operations saw. Every vector
    is absent at first."""
    allow_lost_writes(operations)
    # Begins before ends of the same moment: that allows more, never less.
    events = sorted([(op.began, 0, number) for number, op in enumerate(operations)]
                    + [(op.ended, 1, number) for number, op in enumerate(operations)])
    configurations = {((0,) * width, frozenset())}
    for _, is_end, number in events:
        if not is_end:
            configurations = {settle(operations, state, pending | {number})
                              for state, pending in configurations}
            continue
        after = finish(operations, configurations, number)
        if not after:
            raise Violation(explain(operations, configurations, number))
        configurations = after
    return len(operations)


def explain(operations, configurations, number):
    """What could not happen, and what was going on."""
    op = operations[number]
    near = [other for other in operations
            if other.ended >= op.began - 3_000_000 and other.began <= op.ended]
    lines = "\n".join(f"  {other}" for other in sorted(near, key=lambda one: one.began)[-40:])
    states = sorted({tuple(map(hex, state)) for state, _ in configurations})
    return f"no order explains {op}\nthe state was one of {states[:10]}\naround it:\n{lines}"
