"""What searching is to reach, and its table."""

import statistics
from dataclasses import dataclass

from results import Spread, spell_time

LIBRARY = "quiverfs"
MOUNT = "quiverfs, control/nearest"
CAT = "quiverfs, nearest/ID"
INDEX = "quiverfs, index"
BYTES = "reading the bytes"
FAISS = "faiss"
QUIET = "nobody asks"
ASKED = "somebody asks"
READER = "somebody reads memory"
FILES = "open, read, close"
GET = "control/get"
MODULE = "Python, q[ids]"
MAP = "map of matrix.npy, unsafe"

SHAPES = [("f4", 128), ("i1", 768), ("f4", 768), ("i1", 128), ("f2", 128), ("f2", 768)]
MANY_QUESTIONS = 64
# row -> whether it is the first time that the vectors are asked for
MANY_ROWS = {"256 vectors by chance, first epoch": True, "256 vectors by chance, later": False}
RECALL = 0.95

# Of an index, in the order of its table: what, and how wide the column is. Their rows are "SET: WHAT".
ONE = "one question, 1 thread"
INDEX_PARTS = {"recall": "recall@10", ONE: "a question", "build": "build",
               "bytes of a vector": "B/vector", "put": "put", "remove": "remove"}


def exact_row(count, shape, threads):
    what = "one question" if count == 1 else f"{count} questions"
    return f"{what}, {shape}, {threads} thread" + "s" * (threads > 1)


def beside_row(part):
    return f"read a file, 4 clients, {part}"


@dataclass
class Goal:
    """Of the times, or of values where there is no peer. `of`: the peer's row, where it is
    another."""

    work: str
    row: str
    ours: str
    peer: str
    most: float = None  # how long ours may take, of the peer's
    least: float = None  # how many times as fast it is to be
    peer_row: str = None


def goals():
    for dtype, dim in SHAPES:
        shape = f"{dtype} x {dim}"
        for threads in (1, 2):
            row = exact_row(1, shape, threads)
            yield Goal(f"{row}, of reading the bytes", row, LIBRARY, BYTES, most=1.4)
        for threads in (1, 2):
            row = exact_row(MANY_QUESTIONS, shape, threads)
            yield Goal(f"{row}, beside faiss", row, LIBRARY, FAISS, least=3)
        for count in (1, MANY_QUESTIONS):
            row = exact_row(count, shape, 1)
            yield Goal(f"{row}: two threads beside it", exact_row(count, shape, 2), LIBRARY,
                       LIBRARY, least=1.8, peer_row=row)
    yield Goal("p99.9 of reading a file while somebody asks", beside_row("p999"), ASKED, QUIET,
               most=2)
    for row in MANY_ROWS:
        yield Goal(f"{row}: Python beside the map", row, MODULE, MAP, most=2)


def times_of(found, row, system, clock):
    """round -> ns; of the processors where `clock` is "cpu"."""
    if row not in found.rows:
        return {}
    if clock == "ns":
        return found.rows[row].values.get(system, {})
    details = found.rows[row].details.get(system, {})
    return {turn: said["cpu"] for turn, said in details.items() if said.get("cpu")}


def ratio(found, goal, clock):
    ours = times_of(found, goal.row, goal.ours, clock)
    theirs = times_of(found, goal.peer_row or goal.row, goal.peer, clock)
    both = [(ours[turn], theirs[turn]) for turn in ours if theirs.get(turn)]
    if not both:
        return None
    spread = 2 if clock == "cpu" and goal.peer_row else 1  # over as many processors
    return Spread([one / other if goal.most else spread * other / one for one, other in both])


def judge(found):
    """A verdict for each goal whose rows were measured; by the clock, and beside it what it would
    be if nobody else used the processors. Nothing fails where one is not reached."""
    verdicts = []
    for goal in goals():
        clock, cpu = ratio(found, goal, "ns"), ratio(found, goal, "cpu")
        if clock is None:
            continue
        reached = clock.median <= goal.most if goal.most else clock.median >= goal.least
        verdicts.append({"work": goal.work, "most": goal.most, "least": goal.least,
                         **clock.as_json(), "cpu": cpu.as_json() if cpu else None,
                         "reached": reached})
    for name, row in found.rows.items():
        if name.endswith(": recall") and INDEX in row.values:
            recall = Spread(row.values[INDEX].values())
            verdicts.append({"work": name, "most": None, "least": RECALL, **recall.as_json(),
                             "cpu": None, "reached": recall.median >= RECALL})
    return verdicts


def print_verdicts(verdicts):
    if not verdicts:
        return
    print(f"\n{'goals':58} {'by the clock':>19} {'processors':>10}")
    for one in verdicts:
        got = f"{one['median']:.2f} ({one['min']:.2f}-{one['max']:.2f})"
        cpu = f"{one['cpu']['median']:.2f}" if one["cpu"] else ""
        wanted = f"<= {one['most']:g}" if one["most"] else f">= {one['least']:g}"
        mark = "reached" if one["reached"] else "NOT reached"
        print(f"  {one['work']:56} {got:>19} {cpu:>10}  {wanted:>7}  {mark}")


def spell(unit, value):
    if unit == "time":
        return spell_time(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def is_of_index(row):
    return row.rpartition(": ")[2] in INDEX_PARTS


def print_index(found):
    """A line for each who was asked about a set: by the clock, and of the processors."""
    rows = [name for name in found.rows if is_of_index(name)]
    for what in dict.fromkeys(name.rpartition(": ")[0] for name in rows):
        parts = {part: found.rows.get(f"{what}: {part}") for part in INDEX_PARTS}
        print(f"\n{what}")
        print(f"  {'':16}" + "".join(f"{title:>21}" for title in INDEX_PARTS.values()))
        for system in dict.fromkeys(one for row in parts.values() if row for one in row.values):
            cells = [cell(found, f"{what}: {part}", row, system) for part, row in parts.items()]
            print(f"  {system:16}" + "".join(f"{text:>21}" for text in cells))


def cell(found, name, row, system):
    if not row or system not in row.values:
        return ""
    text = spell(row.unit, statistics.median(row.values[system].values()))
    used = times_of(found, name, system, "cpu").values()
    return f"{text} ({spell_time(statistics.median(used))})" if used else text


def print_table(found):
    """Each row: medians and spread by the clock, of the processors, and how many times the
    baseline's both are."""
    wide = max((len(system) for name, row in found.rows.items() if not is_of_index(name)
                for system in row.values), default=8)
    for name, row in found.rows.items():
        if is_of_index(name):
            continue
        print(f"\n{name}" + ("" if row.unit == "time" else f"  [{row.unit}]"))
        for system, values in row.values.items():
            spread = Spread(values.values())
            around = f"{spell(row.unit, spread.least)} - {spell(row.unit, spread.most)}"
            used = times_of(found, name, system, "cpu").values()
            line = f"  {system:{wide}}  {spell(row.unit, spread.median):>9}  {around:>21}"
            line += f"  {spell_time(statistics.median(used)) if used else '':>9}"
            if row.baseline in row.values and system != row.baseline:
                for clock in ("ns", "cpu"):
                    against = ratio(found, Goal("", name, system, row.baseline, most=1), clock)
                    line += f"  {f'{against.median:.2f}' if against else '':>6}"
            print(line.rstrip())
    print_index(found)
