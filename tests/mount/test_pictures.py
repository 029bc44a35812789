"""The pictures of a terminal in doc/pictures/ show what their commands print today (tools/pictures)."""

import importlib.machinery
import importlib.util
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

from harness import QUIVERFS, run

SOURCE = Path(__file__).resolve().parents[2]
SCRIPT = SOURCE / "tools/pictures"
PICTURES = sorted((SOURCE / "doc/pictures").glob("*.svg"))


def script():
    """tools/pictures as a module."""
    loader = importlib.machinery.SourceFileLoader("pictures", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pictures", loader))
    before = sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


pictures = script()
svg = pictures.terminal_svg


def test_the_pictures_are_what_their_commands_print():
    done = run(sys.executable, SCRIPT, "--check", "--program", QUIVERFS, status=None)
    if done.returncode == pictures.MISSING:
        pytest.skip(done.stderr.decode().strip())
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert {path.stem for path in PICTURES} == set(pictures.PICTURES)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_one_file_that_fetches_nothing(path):
    text = path.read_text(encoding="utf-8")
    root = xml.etree.ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert re.search(r"url\(|@import|@font-face|href|<script|<image", text) is None
    assert all(element.text.strip() for element in root.iter() if element.tag.endswith("}text"))


def drawn(output):
    return svg.draw(svg.screen(output), "title", "description")


STATUS = """$ quiverfs status MNT
/home/jo/MNT: mounted
  slots        [###@...______________________________]
               # 991 used,  @ 130 of snapshots,  . 5 free
  transport    io_uring: the kernel allows it
  commits      LSN 12, durable up to 12

  latency              count      median
  commit                 421      3.8 us
"""
ELSEWHERE = """$ quiverfs status MNT
/home/jo/MNT: mounted
  io_uring     off: the kernel has none, and says so in
               two lines
  slots        [#_________________________________.]
               # 7,991 used,  @ 1 of snapshots,
               . 5,000 free
  transport    /dev/fuse
  commits      LSN 1234, durable up to 99

  latency              count      median
  commit                   1      3.8 ms
  sync                     2     1.25 s
"""


def test_figures_and_the_machine_make_no_difference(tmp_path, capsys):
    (tmp_path / "status.svg").write_text(drawn(STATUS))
    assert pictures.compare(tmp_path / "status.svg", drawn(ELSEWHERE)) is True
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("old, new", [
    ("status MNT", "status STORE"), ("of snapshots", "of versions"), ("  commits ", "  changes "),
    ("mounted\n", "mounted\n  READ-ONLY    it was mounted so\n"), ("  commit                 421      3.8 us\n", ""),
    ("LSN 12, ", "LSN ")])
def test_other_commands_or_lines_do(tmp_path, capsys, old, new):
    assert old in STATUS
    (tmp_path / "status.svg").write_text(drawn(STATUS.replace(old, new)))
    assert pictures.compare(tmp_path / "status.svg", drawn(STATUS)) is False
    assert "run tools/pictures" in capsys.readouterr().out


def test_a_picture_that_is_not_there_is_told(tmp_path, capsys):
    assert pictures.compare(tmp_path / "tour.svg", drawn(STATUS)) is False
    assert "+$ quiverfs status MNT" in capsys.readouterr().out


def test_what_is_drawn_is_what_a_terminal_shows():
    output = ("\033[1mbold\033[0m plain\n" "import [####] 100%\r\033[Kdone\n" "12345\rab\n\n"
              "  <&> indented  twice\n" + "x" * 85 + "\n")
    lines = svg.screen(output)
    assert svg.text_of(lines) == ("bold plain\ndone\nab345\n\n  <&> indented  twice\n"
                                  + "x" * 80 + "\nxxxxx")
    assert lines[0] == [("bold", "bold"), (" plain", "plain")]
    assert svg.text_in(drawn(output)) == svg.text_of(lines)
    with pytest.raises(ValueError):
        svg.screen("\033[2J")
