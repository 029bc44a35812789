"""Whether each folder looks only at those that a table (order.txt) lets it look at.

Includes are read from the sources, calls from the symbols of the objects that the build
folder's compile_commands.json names. A source and its header are one file here.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field

TREES = ("engine", "fs", "tools")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


class Unusable(Exception):
    """The table, or the build folder, cannot be used."""


@dataclass
class Table:
    folders: dict = field(default_factory=dict)  # folder: what its row names
    owners: dict = field(default_factory=dict)   # struct: the one folder that knows it
    known: list = field(default_factory=list)    # breaches that are expected, as keys

    def reach(self, folder):
        """The folders and headers that a folder may look at, without itself."""
        found, todo = set(), list(self.folders[folder])
        while todo:
            what = todo.pop()
            if what not in found:
                found.add(what)
                todo += self.folders.get(what, ())
        return found

    def allows(self, folder, target):
        """Whether a file of the folder may include another file."""
        reach = self.reach(folder)
        return os.path.dirname(target) in reach | {folder} or target in reach

    def row(self, folder):
        return " ".join(self.folders[folder]) or "nothing"


def read_table(path):
    """The table of a file; raises Unusable with the line that is wrong."""
    table = Table()
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] == "known" and len(words) > 2:
                table.known.append(tuple(words[1:]))
            elif words[0] == "only" and words[1].endswith(":") and len(words) == 4:
                table.owners[" ".join(words[2:])] = words[1][:-1]
            elif words[0].endswith(":") and words[0][:-1] not in table.folders:
                table.folders[words[0][:-1]] = words[1:]
            else:
                raise Unusable(f"{path}:{number}: not a row of the table: {line.strip()}")
    for folder in table.folders:
        for what in table.folders[folder]:
            if not what.endswith(".h") and what not in table.folders:
                raise Unusable(f"{path}: {folder} may look at {what}, which has no row")
        if folder in table.reach(folder):
            raise Unusable(f"{path}: {folder} comes round to itself")
    return table


@dataclass
class Breach:
    key: tuple  # as in a line "known"
    text: str


class Code:
    """The files below a root, their includes [(from, to)] and calls {(from, to): symbols}."""

    def __init__(self, root, build):
        self.root = root
        self.text = {}
        for tree in TREES:
            for folder, _, names in os.walk(os.path.join(root, tree)):
                for name in names:
                    if name.endswith((".c", ".h")):
                        self.read(os.path.relpath(os.path.join(folder, name), root))
        self.files = sorted(self.text)
        self.includes = [(path, target) for path in self.files
                         for target in INCLUDE.findall(self.text[path])]
        self.calls = calls_of(self.objects(build))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            self.text[path] = COMMENT.sub("", file.read())

    def objects(self, build):
        """{object: source}, one of each source that the build folder compiles for its own tree.

        The tests compile many of them again, in their own way."""
        found = {}
        try:
            with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
                commands = json.load(file)
        except OSError as error:
            raise Unusable(f"{error.filename}: {error.strerror}; build first") from error
        for command in commands:
            path = os.path.relpath(os.path.join(command["directory"], command["file"]), self.root)
            if path in self.text and command["output"].split("/")[0] in TREES:
                found[os.path.join(command["directory"], command["output"])] = path
        for name, path in found.items():
            source = os.path.join(self.root, path)
            if not os.path.exists(name) or os.path.getmtime(name) < os.path.getmtime(source):
                raise Unusable(f"{path} is newer than its object: build first")
        return found


def calls_of(objects):
    """{(from, to): symbols} of {object: source}."""
    defined, wanted = {}, collections.defaultdict(set)
    if not objects:
        raise Unusable("no object of engine, fs or tools: build first")
    lines = subprocess.run(["nm", "-A", "-P", *objects], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    for line in lines:
        name, symbol, kind = re.match(r"(.*): (\S+) (\S)", line).groups()
        if kind == "U":
            wanted[symbol].add(objects[name])
        elif kind.isupper():
            defined[symbol] = objects[name]
    calls = collections.defaultdict(set)
    for symbol, sources in wanted.items():
        for source in sources:
            if defined.get(symbol, source) != source:
                calls[source, defined[symbol]].add(symbol)
    return calls


def circles(arrows):
    """The groups of nodes that reach each other, each sorted."""
    after = collections.defaultdict(set)
    for start, end in arrows:
        after[start].add(end)

    def reached(start):
        found, todo = set(), [start]
        while todo:
            for node in after[todo.pop()] - found:
                found.add(node)
                todo.append(node)
        return found

    reach = {node: reached(node) for node in list(after)}
    return sorted({tuple(sorted(other for other in reach[node] if node in reach.get(other, ())))
                   for node in reach if node in reach[node]})


def unit(path):
    """A source and its header are one."""
    return os.path.splitext(path)[0]


def breaches(table, code):
    """Every way in which the code is not as the table says."""
    for path in code.files:
        if os.path.dirname(path) not in table.folders:
            yield Breach(("folder", path), f"{path}: its folder is not in the table")
    yield from wrong_includes(table, code)
    yield from wrong_calls(table, code)
    yield from wrong_owners(table, code)
    yield from wrong_circles(code)


def folder_of(table, path):
    """The folder, or none where the table does not have it."""
    folder = os.path.dirname(path)
    return folder if folder in table.folders else None


def wrong_includes(table, code):
    for path, target in code.includes:
        folder = folder_of(table, path)
        if target not in code.text:
            yield Breach(("include", path, target), f"{path}: includes {target}, which is not "
                         "the name of a file from the root of the tree")
        elif folder is not None and not table.allows(folder, target):
            yield Breach(("include", path, target), f"{path}: includes {target}, but {folder} "
                         f"may look at: {table.row(folder)}")


def wrong_calls(table, code):
    for (path, target), symbols in sorted(code.calls.items()):
        folder = folder_of(table, path)
        if folder is None:
            continue
        reach = table.reach(folder)
        if os.path.dirname(target) in reach | {folder}:
            continue
        # A header of another tree stands for whatever file has what it declares.
        headers = [what for what in reach if what in code.text
                   and what.split("/")[0] != path.split("/")[0]]
        words = set(re.findall(r"\w+", " ".join(code.text[header] for header in headers)))
        wrong = sorted(symbols - words)
        if wrong:
            yield Breach(("call", path, target), f"{path}: calls {', '.join(wrong)} of {target}, "
                         f"but {folder} may look at: {table.row(folder)}")


def wrong_owners(table, code):
    for struct, owner in table.owners.items():
        members = re.compile(r"\b" + struct.replace(" ", r"\s+") + r"\s*\{")
        holders = [path for path in code.files if members.search(code.text[path])]
        if not holders:
            yield Breach(("only", owner, struct), f"{owner}: '{struct}' of the table is nowhere")
        for path in holders:
            if os.path.dirname(path) != owner:
                yield Breach(("only", path, struct.split()[-1]),
                             f"{path}: has the members of {struct}, which only {owner} may know")


def wrong_circles(code):
    arrows = {}
    for (path, target), symbols in code.calls.items():
        arrows.setdefault((unit(path), unit(target)), set()).update(symbols)
    for path, target in code.includes:
        if path.endswith(".h") and unit(path) != unit(target):
            arrows.setdefault((unit(path), unit(target)), set()).add(os.path.basename(target))
    for circle in circles(arrows):
        ways = [f"\n    {start} -> {end}: {', '.join(sorted(symbols))}"
                for (start, end), symbols in sorted(arrows.items())
                if start in circle and end in circle]
        yield Breach(("circle", *circle), f"a circle of {len(circle)} files: "
                     f"{' '.join(circle)}{''.join(ways)}")


def judge(table, found):
    """What is to be said: breaches that are not known, and known ones that are not there."""
    keys = {breach.key for breach in found}
    known = set(table.known)
    return ([breach.text for breach in found if breach.key not in known]
            + [f"no longer so, strike it from the table: known {' '.join(key)}"
               for key in table.known if key not in keys])


def graph(table, code):
    """Arrows between files by folder, as a table."""
    count = collections.Counter()
    for kind, arrows in ("includes", set(code.includes)), ("calls", code.calls):
        for path, target in arrows:
            here, there = os.path.dirname(path), os.path.dirname(target)
            if here not in table.folders or target not in code.text:
                continue
            if here == there:
                way = "within"
            elif table.allows(here, target) or here.split("/")[0] != there.split("/")[0]:
                way = "down"
            else:
                way = "up"
            count[here, kind, way] += 1
    ways = [(kind, way) for kind in ("includes", "calls") for way in ("down", "within", "up")]
    yield "| folder | files | " + " | ".join(f"{kind} {way}" for kind, way in ways) + " |"
    yield "| --- |" + " --: |" * (1 + len(ways))
    totals = [0] * (1 + len(ways))
    for folder in table.folders:
        row = [sum(os.path.dirname(path) == folder for path in code.files),
               *(count[folder, kind, way] for kind, way in ways)]
        totals = [total + cell for total, cell in zip(totals, row)]
        yield f"| {folder} | " + " | ".join(map(str, row)) + " |"
    yield "| all | " + " | ".join(map(str, totals)) + " |"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.join(here, "..", "..")
    parser = argparse.ArgumentParser(prog="tools/lint order", description=__doc__.split("\n")[0])
    parser.add_argument("--graph", action="store_true", help="count the arrows by folder")
    parser.add_argument("--known", action="store_true", help="what there is as lines 'known'")
    parser.add_argument("--table", default=os.path.join(here, "order.txt"))
    parser.add_argument("--root", default=os.path.normpath(root))
    parser.add_argument("--build", help="the build folder (build)")
    arguments = parser.parse_args()
    try:
        table = read_table(arguments.table)
        code = Code(arguments.root, arguments.build or os.path.join(arguments.root, "build"))
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    found = list(breaches(table, code))
    said = judge(table, found)
    if arguments.graph:
        said = graph(table, code)
    elif arguments.known:
        said = ["known " + " ".join(breach.key) for breach in found]
    for line in said:
        print(line)
    return 1 if said and not (arguments.graph or arguments.known) else 0


if __name__ == "__main__":
    sys.exit(main())
