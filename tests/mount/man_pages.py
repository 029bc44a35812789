"""What a man page shows of its source, and what runs its examples."""

import os
import re
import shutil
from pathlib import Path

from harness import QUIVERFS, run

SOURCE = Path(__file__).resolve().parents[2]

# ASCII that groff and others print as a hyphen, a quote or an accent of Unicode otherwise.
ESCAPES = {"\\-": "-", "\\(aq": "'", "\\(ga": "`", "\\(ha": "^", "\\(ti": "~", "\\(dq": '"',
           "\\e": "\\"}


def unescape(text):
    """Lines of code as they are shown."""
    text = text.replace("\\&", "")
    for escaped, character in ESCAPES.items():
        text = text.replace(escaped, character)
    return text


def rendered(tool, path, tmp):
    """The page as a reader sees it. groff is told of nothing that a distribution adds."""
    (tmp / "mdoc.local").touch()
    words = {"groff": ["groff", f"-M{tmp}", "-Tutf8", "-P-c", "-P-b", "-P-u", "-rLL=100n", "-mdoc"],
             "mandoc": ["mandoc", "-Tutf8", "-Owidth=100"]}[tool]
    text = run(*words, path, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.decode()
    return re.sub(".\b", "", text)


def literal_lines(text):
    """What is meant to be copied from the source of a page: the lines of literal displays, and what
    stands behind .Ql and the like, of which True tells that they have arguments."""
    displayed = False
    for line in text.splitlines():
        macro = re.match(r"\.(?:It |Pq )?(?:Ql|Dl) (.*)", line)
        if line.startswith(".Bd"):
            displayed = "-literal" in line
        elif line.startswith(".Ed"):
            displayed = False
        elif macro:
            yield macro[1], True
        elif displayed and not line.startswith("."):
            yield line, False


def examples(part):
    """The literal examples of a part of a page, each with what is shown of what it prints: what is set
    further in, right behind it, or None."""
    blocks = re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed\n?"
                        r"(?:\.Bd -literal -offset indent-two\n(.*?)^\.Ed)?", part,
                        flags=re.MULTILINE | re.DOTALL)
    return [(unescape(text), unescape(shown) or None) for text, shown in blocks]


def sections(page):
    """The literal examples of each section of a page."""
    parts = page.read_text().split("\n.Ss ")[1:]
    return {part.split("\n")[0]: [text for text, _ in examples(part)] for part in parts}


def python3():
    """The Python that runs the tests has NumPy where one has."""
    return {"python3": os.environ.get("PYTHON", "/usr/bin/python3")}


def program_folder(folder):
    """Where a shell finds quiverfs by its name."""
    program = folder / "bin/quiverfs"
    program.parent.mkdir()
    program.symlink_to(Path(shutil.which(QUIVERFS)).resolve())
    return program.parent
