"""What a man page shows of its source."""

import os
import re

from harness import run

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
