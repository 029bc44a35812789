"""What was measured: medians, ratios, the table and the JSON."""

import json
import statistics
import sys

UNITS = {"time": "each", "stream": "for each MB", "bytes": "bytes a vector", "ratio": "ratio",
         "size": "bytes"}


class Spread:
    """Median, least and most of some values."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.least = min(values)
        self.most = max(values)

    def __str__(self):
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"

    def as_json(self):
        return {"median": self.median, "min": self.least, "max": self.most}


class Row:
    def __init__(self, unit, baseline):
        self.unit = unit
        self.baseline = baseline
        self.values = {}  # system -> {round: value}
        self.details = {}  # system -> {round: what the worker said}


class Results:
    """Of one dimension and one count."""

    def __init__(self, dim, count):
        self.dim = dim
        self.count = count
        self.rows = {}
        self.notes = []

    def add_row(self, row, unit, baseline):
        self.rows.setdefault(row, Row(unit, baseline))

    def add(self, row, system, turn, value, detail):
        self.rows[row].values.setdefault(system, {})[turn] = value
        self.rows[row].details.setdefault(system, {})[turn] = detail

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            print(f"note: {text}", file=sys.stderr)

    def median(self, row, system):
        values = self.rows[row].values.get(system) if row in self.rows else None
        return statistics.median(values.values()) if values else None

    def ratio(self, row, system, peer, peer_row=None):
        """How many times as fast as `peer`, round by round; None where one is missing."""
        peer_row = peer_row or row
        if row not in self.rows or peer_row not in self.rows:
            return None
        ours = self.rows[row].values.get(system, {})
        theirs = self.rows[peer_row].values.get(peer, {})
        ratios = [theirs[turn] / ours[turn] for turn in ours if turn in theirs and ours[turn] > 0]
        return Spread(ratios) if ratios else None

    def as_json(self):
        rows = []
        for name, row in self.rows.items():
            for system, values in row.values.items():
                ratio = self.ratio(name, system, row.baseline) if row.baseline else None
                rows.append({
                    "row": name, "system": system, "unit": row.unit,
                    "values": list(values.values()), **Spread(values.values()).as_json(),
                    "baseline": row.baseline, "ratio": ratio.as_json() if ratio else None,
                    "details": list(row.details[system].values()),
                })
        return {"dim": self.dim, "count": self.count, "rows": rows, "notes": self.notes}


def spell_time(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 999.5 else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"


def spell(unit, value):
    """A value, and the same as a rate where it has one."""
    if unit == "time":
        return spell_time(value), f"{1e9 / value:,.0f}/s" if value > 0 else ""
    if unit == "stream":
        return spell_time(value), f"{1e9 / value:,.0f} MB/s" if value > 0 else ""
    if unit == "size":
        return f"{value:,.0f}", ""
    return f"{value:.3g}", ""


def print_table(results):
    wide = max((len(system) for row in results.rows.values() for system in row.values), default=8)
    for name, row in results.rows.items():
        if not row.values:
            continue
        versus = f"times as fast as {row.baseline}" if row.baseline in row.values else ""
        print(f"\n{name}  [{UNITS[row.unit]}]")
        print(f"  {'':{wide}}  {'median':>9}  {'spread':>19}  {'rate':>14}  {versus}".rstrip())
        for system, values in row.values.items():
            spread = Spread(values.values())
            value, rate = spell(row.unit, spread.median)
            around = f"{spell(row.unit, spread.least)[0]} - {spell(row.unit, spread.most)[0]}"
            ratio = results.ratio(name, system, row.baseline) if versus else None
            ratio = "" if ratio is None or system == row.baseline else str(ratio)
            print(f"  {system:{wide}}  {value:>9}  {around:>19}  {rate:>14}  {ratio}".rstrip())


def write_json(path, head, all_results, verdicts):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"format": 1, **head, "targets": verdicts,
                   "results": [results.as_json() for results in all_results]}, file, indent=1)
        file.write("\n")
