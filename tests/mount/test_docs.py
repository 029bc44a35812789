"""Man pages and completions say what --help, the mount options and quiver.h say: all
of it, and nothing else."""

import os
import re
import shutil
from pathlib import Path

import pytest

from harness import QUIVERFS, run
from man_pages import literal_lines, rendered, unescape

SOURCE = Path(__file__).resolve().parents[2]
MAN = SOURCE / "tools/man"
COMPLETION = SOURCE / "tools/completion"
PAGES = sorted(path.name for path in MAN.iterdir())
LINKS = ["mkfs.quiverfs", "mount.quiverfs", "fsck.quiverfs"]
# What mount(8) may hand over only to be told that it cannot be done.
REFUSED = {"remount", "bind"}


def help_text(name):
    """What `name --help` prints; a name is a link, or words of the program."""
    words = name.split()
    environment = {key: value for key, value in os.environ.items() if key != "ARGP_HELP_FMT"}
    return run(*words, "--help", executable=shutil.which(QUIVERFS),
               env=environment).stdout.decode()


def help_options(name):
    found = set()
    for line in help_text(name).splitlines():
        if re.match(r" {2,6}-", line):
            entry = re.split(r"\s{3,}", line.strip())[0]
            found |= set(re.findall(r"(?:^|, )(--?[\w?][\w-]*)", entry))
    assert "--help" in found
    return found


def commands():
    part = help_text("quiverfs").split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in part.splitlines()]


def programs():
    """Every name with a --help of its own, and its page."""
    yield "quiverfs", "quiverfs.1"
    for command in commands():
        yield "quiverfs " + command, f"quiverfs-{command}.1"
    for name in LINKS:
        yield name, name + ".8"


PROGRAMS = list(programs())
by_name = pytest.mark.parametrize("name, page", PROGRAMS, ids=[name for name, _ in PROGRAMS])


def header():
    """quiver.h without its comments and directives but #define."""
    text = (SOURCE / "engine/quiver.h").read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


# ---- man pages ------------------------------------------------------------------------


@by_name
def test_a_page_has_the_options_of_help(name, page):
    text = (MAN / page).read_text()
    found = set()
    for line in re.findall(r"^\.It (Fl .*)$", text, flags=re.MULTILINE):
        found |= {"-" + word.replace("\\-", "-").replace("\\&", "")
                  for word in re.findall(r"\bFl (\S+)", line)}
    assert found == help_options(name)


def test_each_page_is_of_something():
    assert set(PAGES) - {page for _, page in PROGRAMS} == {
        "quiver.3", "quiverfs-backup.7", "quiverfs-examples.7", "quiverfs-migrate.7",
        "quiverfs-nearest.7", "quiverfs-python.7", "quiverfs-rados.7", "quiverfs-recipes.7",
        "quiverfs-store.5"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_without_faults(page):
    text = (MAN / page).read_text()
    stem, section = page.rsplit(".", 1)
    assert f".Dt {stem.upper()} {section}\n" in text
    for other, number in re.findall(r"^\.Xr (\S*quiver\S*) (\d)", text, flags=re.MULTILINE):
        assert f"{other}.{number}" in PAGES
    checked = False
    if shutil.which("man") and shutil.which("groff"):
        done = run("man", "--warnings", "-l", "-Tutf8", MAN / page,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
        assert done.stderr == b""
        checked = True
    if shutil.which("mandoc"):
        run("mandoc", "-T", "lint", "-W", "warning", MAN / page)
        checked = True
    if not checked:
        pytest.skip("there is neither man nor mandoc")


@pytest.mark.parametrize("page", PAGES)
def test_what_is_to_be_copied_is_written_as_ascii(page):
    """`"` of an argument is lost; others become hyphens, quotes and accents of Unicode."""
    for line, is_argument in literal_lines((MAN / page).read_text()):
        plain = re.sub(r"\\(\((aq|ga|ha|ti|dq)|[-e&])", "", line)
        assert re.findall(r"[-'`^~\\]" + ('|"' if is_argument else ""), plain) == [], line


@pytest.mark.parametrize("tool", ["groff", "mandoc"])
@pytest.mark.parametrize("page", PAGES)
def test_what_is_to_be_copied_is_shown_as_it_is_written(page, tool, tmp_path):
    """Whatever prints it: to be pasted into a shell, quotes and hyphens are those of ASCII."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool}")
    text = rendered(tool, MAN / page, tmp_path)
    assert "\b" not in text and len(text) > 500
    shown = {squeeze(line) for line in text.splitlines()}
    for line, is_argument in literal_lines((MAN / page).read_text()):
        if not is_argument:
            assert squeeze(unescape(line)) in shown, line


@pytest.mark.parametrize("tool", ["groff", "mandoc"])
def test_an_example_of_json_is_shown_with_its_quotes(tool, tmp_path):
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool}")
    assert '{"id": 1, "vector": [0.5, 2]}' in squeeze(
        rendered(tool, MAN / "quiverfs-import.1", tmp_path))


@pytest.mark.parametrize("page", PAGES)
def test_words_are_not_joined(page):
    """Ns No word: one was "sedand"."""
    text = (MAN / page).read_text()
    assert re.findall(r"^\..* Ns No \w.*$", text, flags=re.MULTILINE) == []


def test_the_commands_are_in_the_first_page():
    listed = re.findall(r"^\.It Xr quiverfs-(\w+) 1$", (MAN / "quiverfs.1").read_text(),
                        flags=re.MULTILINE)
    assert listed == commands()


def option_rules():
    """The mount options that options.c takes for itself, and all that it knows."""
    text = (SOURCE / "fs/daemon/options.c").read_text()
    rules = dict(re.findall(r'^\t\{ "([\w=-]+)", (OPTION_\w+)', text, flags=re.MULTILINE))
    taken = {name for name, kind in rules.items() if kind == "OPTION_TAKE"}
    assert {"ro", "durability"} <= taken
    return taken, set(rules)


def test_the_mount_options_are_in_their_page():
    taken, known = option_rules()
    text = (MAN / "quiverfs-mount.1").read_text().split(".Sh MOUNT OPTIONS")[1]
    listed = set()
    for line in re.findall(r"^\.(?:It )?Cm (.*)$", text, flags=re.MULTILINE):
        listed |= {word for word in line.split() if re.fullmatch(r"[a-z_]+", word)}
    assert taken <= listed
    entries = re.findall(r"^\.It Cm (\w+)(?: , Cm (\w+)| , (\w+))?", text, flags=re.MULTILINE)
    assert {word for entry in entries for word in entry if word} <= known


def test_the_control_files_are_in_the_first_page():
    text = (SOURCE / "fs/base/tree.c").read_text()
    names = set(re.findall(r'TREE_\w+\W+"(\w+)"', text)) - {"vectors", "control", "query"}
    assert {"flush", "metrics", "format_version"} <= names
    page = (MAN / "quiverfs.1").read_text().split(".Sh CONTROL FILES")[1].split("\n.Sh")[0]
    listed = set()
    for line in re.findall(r"^\.It Pa (.*)$", page, flags=re.MULTILINE):
        listed |= set(line.replace(" ", "").split(","))
    assert listed == names


# ---- quiver(3) ------------------------------------------------------------------------


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def test_quiver_3_has_each_function_as_it_is_declared():
    declared = {}
    pattern = r"^((?:const |struct |enum )*\w+) (\**)(quiver_\w+)\(([^;]*?)\)\s*(?:__attribute__.*)?;"
    for match in re.finditer(pattern, re.sub(r"\n[ \t]+", " ", header()), flags=re.MULTILINE):
        kind = squeeze(match[1] + " " + match[2])
        declared[match[3]] = (kind, squeeze(match[4]))
    assert set(declared) == set(re.findall(r"\b(quiver_\w+)\(", header()))
    shown = {}
    for kind, name, words in re.findall(r'^\.Ft (.*)\n\.Fn (\w+)((?: ".*?")*)$',
                                        (MAN / "quiver.3").read_text(), flags=re.MULTILINE):
        shown[name] = (kind, ", ".join(re.findall(r'"(.*?)"', words)))
    assert shown == declared


def test_quiver_3_has_each_other_name():
    page = (MAN / "quiver.3").read_text()
    constants = set(re.findall(r"\b(QUIVER_[A-Z0-9_]+)\b", header())) - {"QUIVER_H"}
    types = set(re.findall(r"^((?:struct|enum) quiver_\w+) \{", header(), flags=re.MULTILINE))
    assert len(constants) > 20 and len(types) > 10
    assert set(re.findall(r"\b(QUIVER_[A-Z0-9_]+)\b", page)) == constants
    described = page.split(".Sh DESCRIPTION")[1]
    assert types <= set(re.findall(r"^\.Vt ((?:struct|enum) quiver_\w+)", described,
                                   flags=re.MULTILINE))
    functions = set(re.findall(r"\b(quiver_\w+)\(", header()))
    assert functions <= set(re.findall(r"^\.Fn (\w+)", described, flags=re.MULTILINE))


# ---- completions ----------------------------------------------------------------------


def long_names(name):
    """One name for each option of --help: its long one, where it has one. A help entry
    of several short options gives each."""
    return help_options(name) - {"-?", "-V"}


def from_bash(name):
    words = name.split() + ["-"]
    script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _quiverfs; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return run("bash", "-c", script, COMPLETION / "quiverfs.bash", *words).stdout.decode().split()


def from_zsh(name):
    text = (COMPLETION / "_quiverfs").read_text()
    function = {"quiverfs": "_quiverfs_none", "mkfs.quiverfs": "_quiverfs_create"}.get(
        name, "_" + name.replace(" ", "_"))
    body = re.search(rf"^{re.escape(function)}\(\) \{{\n(.*?)^\}}", text,
                     flags=re.MULTILINE | re.DOTALL)
    common = re.search(r"^_quiverfs_common=\((.*?)^\)", text, flags=re.MULTILINE | re.DOTALL)
    assert body is None or "$_quiverfs_common" in body[1]
    assert body is not None or name == "quiverfs"
    return re.findall(r"^\s*'\*?(--?[\w-]+)", common[1] + (body[1] if body else ""),
                      flags=re.MULTILINE) + re.findall(r" '\*?(--?[\w-]+)=?\[",
                                                       body[1] if body else "")


def from_fish(name):
    text = (COMPLETION / "quiverfs.fish").read_text()
    program, _, command = name.partition(" ")
    found = re.findall(r"^    complete -c \$program -l (\S+)", text, flags=re.MULTILINE)
    condition = rf"-n '__fish_seen_subcommand_from (?:\w+ )*{command}(?: \w+)*' " if command else ""
    pattern = rf"^complete -c {re.escape(program)} {condition}-(l|s) (\S+)"
    found = ["--" + word for word in found]
    return found + [("--" if kind == "l" else "-") + word
                    for kind, word in re.findall(pattern, text, flags=re.MULTILINE)]


@by_name
@pytest.mark.parametrize("shell", [from_bash, from_zsh, from_fish])
def test_a_completion_has_the_options_of_help(name, page, shell):
    found = shell(name)
    assert set(found) == long_names(name)
    assert len(set(found)) == len(found)


def bash_completes(*words):
    """What bash offers for the last of the words; '=' is one of its own for it."""
    script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _quiverfs 2>/dev/null; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return run("bash", "-c", script, COMPLETION / "quiverfs.bash",
               *words).stdout.decode().split()


def values(name):
    """The options of which --help or an error lists the values, and these."""
    text = (SOURCE / "tools/formats/formats.h").read_text()
    formats = "".join(re.findall(r'"(.*?)"', text[text.index("define FORMAT_NAMES"):])).split(", ")
    dtypes = "f4 f2 f8 i1 u1 bf2 b1".split()
    return {"quiverfs create": {"--dtype": dtypes, "--metric": "l2 cosine ip hamming".split()},
            "quiverfs import": {"--format": formats, "--on-duplicate": "replace skip fail".split(),
                                "--header": "yes no auto".split(),
                                "--delimiter": "comma semicolon tab space pipe".split()},
            "quiverfs search": {"--format": "text jsonl ivecs fvecs npy".split(),
                                "--query-format": formats,
                                "--metric": "l2 cosine ip hamming".split(),
                                "--header": "yes no auto".split(),
                                "--delimiter": "comma semicolon tab space pipe".split()},
            "quiverfs map": {"--method": "pca umap tsne".split(),
                             "--metric": "l2 cosine ip hamming".split()},
            "quiverfs export": {"--format": formats, "--dtype": dtypes,
                                "--header": "yes no".split(),
                                "--delimiter": "comma semicolon tab space pipe".split()}}[name]


@pytest.mark.parametrize("name", ["quiverfs create", "quiverfs import", "quiverfs export",
                                  "quiverfs search", "quiverfs map"])
def test_a_completion_has_the_values_of_an_option(name, tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    (tmp / "npy").touch()
    zsh, fish = (COMPLETION / file for file in ("_quiverfs", "quiverfs.fish"))
    for option, wanted in values(name).items():
        for words in ([option, ""], [option, "=", ""], [option, "="]):
            assert bash_completes(*name.split(), *words) == wanted, words
        assert bash_completes(*name.split(), option, wanted[1][0]) == [
            word for word in wanted if word.startswith(wanted[1][0])]
        listed = " ".join(wanted)
        assert re.search(rf"'{option}=\[.*:\({listed}\)'", zsh.read_text())
        assert re.search(rf" -l {option[2:]} -x -a '{listed}'", fish.read_text())
    for option in ("--start-id", "--dataset"):
        assert bash_completes("quiverfs", "import", option, "") == []
    assert bash_completes("quiverfs", "import", "--words", "") == ["npy"]


def actions(name):
    """The words of which the usage of a command wants one: "create STORE" by lines, or [start|stop]."""
    usage = help_text(name).split("\n\n")[0]
    return (re.findall(rf"{name} \[OPTION\.\.\.\] ([a-z]+)", usage)
            or re.search(r"\[([a-z]+(?:\|[a-z]+)+)\]", usage)[1].split("|"))


@pytest.mark.parametrize("name, before", [("quiverfs snapshot", []), ("quiverfs index", ["STORE"])])
def test_a_completion_has_what_a_command_can_be_told_to_do(name, before, tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    wanted = actions(name)
    assert len(wanted) >= 3
    assert bash_completes(*name.split(), *before, "") == wanted
    command = name.split()[1]
    zsh, fish = ((COMPLETION / file).read_text() for file in ("_quiverfs", "quiverfs.fish"))
    body = re.search(rf"^_quiverfs_{command}\(\) \{{\n(.*?)^\}}", zsh, flags=re.MULTILINE | re.DOTALL)[1]
    listed = " ".join(wanted)
    assert f"':what:({listed})'" in body
    assert re.search(rf"__fish_seen_subcommand_from {command};.* -a '{listed}'$", fish, flags=re.MULTILINE)


# Where the commands and the mount options stand in each.
LISTS = {
    "quiverfs.bash": ("bash", r"_commands='(.*?)'", r"_mount_options='(.*?)'"),
    "_quiverfs": ("zsh", r"commands=\((.*?)^\t\)", r"_values -s , 'mount option' (.*?)\n"),
    "quiverfs.fish": ("fish", r"^set -l commands (.*?)\n", r"^set -l mount_options (.*?)\n"),
}


@pytest.mark.parametrize("file", LISTS)
def test_a_completion_has_the_commands_and_mount_options(file):
    shell, commands_at, options_at = LISTS[file]
    text = (COMPLETION / file).read_text().replace("\\\n", " ")
    listed, options = (re.search(pattern, text, flags=re.MULTILINE | re.DOTALL)[1]
                       for pattern in (commands_at, options_at))
    assert re.findall(r"(?:^|['\s])(\w+)(?=[:\s]|$)", re.sub(r":.*", ":", listed)) == commands()
    offered = set(re.findall(r"(?:^|['\s])(\w+)", re.sub(r":[^']*'", " ", options)))
    taken, known = option_rules()
    assert taken - REFUSED <= offered <= known
    if shutil.which(shell):
        run(shell, "-n", COMPLETION / file)


# ---- the tests ------------------------------------------------------------------


def test_the_table_of_what_needs_root_is_true():
    done = run("/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q",
               "--say-why-root", SOURCE / "tests/mount")
    needed = {}
    for why, name in re.findall(r"^needs root: (.*): (\w+)$", done.stdout.decode(), re.M):
        needed.setdefault(why, []).append(name)
    text = (SOURCE / "tests/README.md").read_text().split("## Who runs the tests of the mount\n")[1]
    rows = re.findall(r"^\| (.*) \| .* \| (.*) \|$", text.split("\n## ")[0], re.M)
    told = {why: names.split(", ") for why, names in rows[2:] if names not in ("---", "as whom")}
    assert told == needed
