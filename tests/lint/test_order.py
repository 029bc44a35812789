"""The check of the folders' order (order.py), on a tree of a few lines."""

import json
import os
import subprocess
import sys

import pytest

import order

HERE = os.path.dirname(os.path.abspath(__file__))

TABLE = """
engine:
engine/base: engine/quiver.h
engine/log: engine/base
engine/index: engine/base
engine/store: engine/log engine/index
only engine/store: struct quiver
fs/mount: engine/quiver.h
"""

TREE = {
    "engine/quiver.h": "int quiver_get(void); struct quiver;",
    "engine/base/low.h": "int low(void);",
    "engine/base/low.c": '#include "engine/base/low.h"\nint low(void) { return 0; }',
    "engine/log/log.h": "int log_write(void);",
    "engine/log/log.c": '#include "engine/base/low.h"\n#include "engine/log/log.h"\n'
                        "int log_write(void) { return low(); }",
    "engine/index/index.h": "int index_find(void);",
    "engine/index/index.c": '#include "engine/index/index.h"\nint index_find(void) { return 0; }',
    "engine/store/store.h": "struct quiver { int members; }; int store_open(void);",
    "engine/store/store.c": '#include "engine/log/log.h"\n#include "engine/quiver.h"\n'
                            '#include "engine/store/store.h"\n'
                            "int store_open(void) { return log_write(); }\n"
                            "int quiver_get(void) { return 0; }",
    "fs/mount/mount.c": '#include "engine/quiver.h"\nint mount(void);\n'
                        "int mount(void) { return quiver_get(); }",
}


class House:
    """A tree, with its objects as a build folder has them."""

    def __init__(self, root):
        self.root = root
        self.write(TREE)
        (root / "table").write_text(TABLE)

    def write(self, files):
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text + "\n")

    def know(self, *lines):
        with open(self.root / "table", "a") as table:
            table.writelines(f"known {line}\n" for line in lines)

    def compile(self):
        commands = []
        for source in sorted(self.root.rglob("*.c")):
            path = str(source.relative_to(self.root))
            output = path.replace(".c", ".o")
            # A call without a declaration is an error to gcc 14, and what is to be found here.
            subprocess.run(["cc", "-c", "-Wno-implicit-function-declaration", f"-I{self.root}",
                            path, "-o", output], cwd=self.root, check=True)
            commands.append({"directory": str(self.root), "file": path, "output": output})
        (self.root / "compile_commands.json").write_text(json.dumps(commands))

    def run(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(HERE, "order.py"), "--root", self.root,
                               "--table", self.root / "table", "--build", self.root, *arguments],
                              capture_output=True, text=True)

    def check(self, files=None):
        """What the check says, line by line, of the tree with some files changed."""
        self.write(files or {})
        self.compile()
        result = self.run()
        assert result.stderr == ""
        assert result.returncode == (1 if result.stdout else 0)
        return result.stdout.splitlines()


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_tree_in_order(house):
    assert house.check() == []


@pytest.mark.parametrize("path, target, may", [
    ("engine/base/low.c", "engine/store/store.h", "engine/quiver.h"),  # up
    ("engine/index/index.h", "engine/log/log.h", "engine/base"),       # beside
    ("fs/mount/mount.c", "engine/base/low.h", "engine/quiver.h"),      # past the interface
])
def test_a_wrong_include(house, path, target, may):
    said = house.check({path: f'#include "{target}"\n{TREE[path]}'})
    assert said == [f"{path}: includes {target}, but {os.path.dirname(path)} may look at: {may}"]


def test_an_include_that_is_not_from_the_root(house):
    said = house.check({"engine/log/log.c": '#include "log.h"\nint log_write(void) { return 0; }'})
    assert said == ["engine/log/log.c: includes log.h, which is not the name of a file from the "
                    "root of the tree"]


@pytest.mark.parametrize("path, call, target, may", [
    ("engine/base/low.c", "store_open", "engine/store/store.c", "engine/quiver.h"),
    ("engine/index/index.c", "log_write", "engine/log/log.c", "engine/base"),
    ("engine/log/log.c", "quiver_get", "engine/store/store.c", "engine/base"),
    ("fs/mount/mount.c", "log_write", "engine/log/log.c", "engine/quiver.h"),
])
def test_a_wrong_call(house, path, call, target, may):
    """Whatever header it was declared in, or none."""
    said = house.check({path: f"{TREE[path]}\nint {call}(void);\nint wrong(void);\n"
                              f"int wrong(void) {{ return {call}(); }}"})
    assert said[0] == (f"{path}: calls {call} of {target}, "
                       f"but {os.path.dirname(path)} may look at: {may}")


def test_a_circle_of_calls_within_a_folder(house):
    said = house.check({
        "engine/base/low.c": "int more(void); int low(void); int low(void) { return more(); }",
        "engine/base/more.c": "int low(void); int more(void); int more(void) { return low(); }",
    })
    assert said == ["a circle of 2 files: engine/base/low engine/base/more",
                    "    engine/base/low -> engine/base/more: more",
                    "    engine/base/more -> engine/base/low: low"]


def test_a_circle_by_a_header_and_a_call(house):
    said = house.check({
        "engine/base/low.h": '#include "engine/base/more.h"',
        "engine/base/more.h": "",
        "engine/base/more.c": "int low(void); int more(void); int more(void) { return low(); }",
    })
    assert said == ["a circle of 2 files: engine/base/low engine/base/more",
                    "    engine/base/low -> engine/base/more: more.h",
                    "    engine/base/more -> engine/base/low: low"]


def test_members_of_a_struct_in_a_second_place(house):
    said = house.check({"engine/index/index.h": "struct quiver\n{ int members; };",
                        "engine/index/index.c": ""})
    assert said == ["engine/index/index.h: has the members of struct quiver, which only "
                    "engine/store may know"]


def test_a_struct_of_the_table_that_is_nowhere(house):
    said = house.check({"engine/store/store.h": "int store_open(void);"})
    assert said == ["engine/store: 'struct quiver' of the table is nowhere"]


def test_a_folder_that_is_not_in_the_table(house):
    assert house.check({"engine/new/new.h": ""}) == \
        ["engine/new/new.h: its folder is not in the table"]


def test_comments_are_no_includes(house):
    assert house.check({"engine/base/low.h": '/*\n#include "engine/store/store.h"\n*/'}) == []


def test_a_known_breach_is_not_told(house):
    house.know("include engine/base/low.c engine/store/store.h")
    wrong = f'#include "engine/store/store.h"\n{TREE["engine/base/low.c"]}'
    assert house.check({"engine/base/low.c": wrong}) == []
    assert house.run("--known").stdout == "known include engine/base/low.c engine/store/store.h\n"


def test_a_known_breach_that_is_no_more(house):
    house.know("call engine/base/low.c engine/log/log.c")
    assert house.check() == ["no longer so, strike it from the table: "
                             "known call engine/base/low.c engine/log/log.c"]


def test_the_graph(house):
    house.check({"engine/base/low.h": '#include "engine/store/store.h"'})
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in house.run("--graph").stdout.splitlines()]
    assert rows[0] == ["folder", "files", "includes down", "includes within", "includes up",
                       "calls down", "calls within", "calls up"]
    counts = {row[0]: row[1:] for row in rows[2:]}
    assert counts["engine/base"] == ["2", "0", "1", "1", "0", "0", "0"]
    assert counts["engine/store"] == ["2", "2", "1", "0", "1", "0", "0"]
    assert counts["fs/mount"] == ["1", "1", "0", "0", "1", "0", "0"]
    assert counts["all"] == ["10", "4", "4", "1", "3", "0", "0"]


@pytest.mark.parametrize("row, message", [
    ("fs/mount engine/base", "not a row of the table: fs/mount engine/base"),
    ("fs/mount:", "not a row of the table: fs/mount:"),  # a second time
    ("known circle", "not a row of the table: known circle"),
    ("fs/new: fs/other", "fs/new may look at fs/other, which has no row"),
    ("fs/new: fs/old\nfs/old: fs/new", "fs/new comes round to itself"),
])
def test_a_wrong_table(house, row, message):
    house.compile()
    (house.root / "table").write_text(f"{TABLE}{row}\n")
    result = house.run()
    assert result.returncode == 2
    assert result.stderr.endswith(f": {message}\n")


def test_objects_older_than_their_sources(house):
    house.compile()
    os.utime(house.root / "engine/base/low.o", (0, 0))
    result = house.run()
    assert result.returncode == 2
    assert result.stderr == "engine/base/low.c is newer than its object: build first\n"


def test_nothing_is_built(house):
    result = house.run()
    assert result.returncode == 2
    assert result.stderr.endswith("compile_commands.json: No such file or directory; build first\n")


def test_the_table_of_this_tree():
    table = order.read_table(os.path.join(HERE, "order.txt"))
    root = os.path.join(HERE, "..", "..")
    assert [folder for folder in table.folders if not os.path.isdir(os.path.join(root, folder))] == []
    assert [what for row in table.folders.values() for what in row
            if not os.path.exists(os.path.join(root, what))] == []
    assert table.owners == {"struct quiver": "engine/store"}
    assert not table.allows("engine/log", "engine/index/index.h")
    assert not table.allows("engine/base", "engine/store/store.h")
    assert table.allows("engine/store", "engine/base/epoch.h")
    assert not table.allows("fs/vector", "engine/store/store.h")
