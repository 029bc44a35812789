"""The page that quiverfs map writes, in a browser: what is drawn, the mouse, keys, a finger, and searching."""

import json
import re

import numpy
import pytest

from browser import LIFT, PRESS, browser, move
from harness import quiverfs
from test_map import make, page

WIDTH, HEIGHT = 1000, 700
SIZE = f"--window-size={WIDTH},{HEIGHT}"
# What the page is told it reads from there; nothing else of it is known here.
DRAWN = "return document.documentElement.dataset.drawn === 'yes'"
CARD = "const c = document.getElementById('card'); return c.hidden ? '' : c.innerText"
# How many pixels of the canvas have each colour, of those that are not clear.
PIXELS = """return new Promise((done) => {
	window.dispatchEvent(new Event("resize"));
	requestAnimationFrame(() => {  // behind the page's own drawing: what is shown is gone afterwards
		const from = document.getElementById('points'), to = document.createElement('canvas');
		to.width = from.width; to.height = from.height;
		const pen = to.getContext('2d'); pen.drawImage(from, 0, 0);
		const all = pen.getImageData(0, 0, to.width, to.height).data, found = {};
		for (let i = 0; i < all.length; i += 4)
			if (all[i + 3] > 110) {
				const name = [all[i], all[i + 1], all[i + 2]].map((one) => Math.round(one / 16)).join(',');
				found[name] = (found[name] || 0) + 1;
			}
		done(found);
	});
})"""
FRAME = """return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"""

# Four points far apart, and where they are: the first two directions are the axes.
CORNERS = numpy.array([[-4, 1], [4, 1], [-4, -1], [4, -1]], "f4")


@pytest.fixture
def four(tmp):
    store = make(tmp, CORNERS)
    (tmp / "words.txt").write_text("north-west\n<b>east</b>\nsouth-west\nsouth-east\n")
    (tmp / "c.csv").write_text("id,side\n0,left\n1,right\n2,left\n3,right\n")
    quiverfs("map", store, "-o", tmp / "map.html", "--words", tmp / "words.txt", "--color",
             f"{tmp}/c.csv:side", "--neighbours", 3)
    return tmp / "map.html"


@pytest.fixture(scope="module")
def chromium():
    with browser(SIZE) as one:
        yield one


def opened(one, path):
    one.open(path)
    assert one.run(f"return new Promise((done) => {{ const look = () => (() => {{ {DRAWN} }})() ? done(true) "
                   ": setTimeout(look, 20); look(); })")
    return one


def where(one, index):
    """Where a point is on the screen, by what the page is told and the view at its beginning."""
    wide, high, aspect = one.run("return [innerWidth, innerHeight, 0]")
    unit = 0.86 * min(wide / 1.0, high / 0.25)
    x, y = [(0, 0.25), (1, 0.25), (0, 0), (1, 0)][index]
    return (x - 0.5) * unit + wide / 2, (0.125 - y) * unit + high / 2 + aspect


def faults(one):
    """Errors of the page, its policy's among them; not what the browser says of its drawing."""
    return [line for line in one.log() if not re.search(r"GPU stall|GL Driver|SwiftShader|WebGL", line)]


def test_points_are_drawn_where_they_are(chromium, four):
    meta = page(four)
    assert meta["wide"] == 1 and meta["high"] == pytest.approx(0.25)
    one = opened(chromium, four)
    assert one.run("return document.title") == "store \u2013 map"
    for index in range(4):
        one.pointer(move(*where(one, index)))
        assert one.run(CARD).splitlines()[1] == f"ID {index}", index
    one.pointer(move(WIDTH / 2, HEIGHT / 2 - 150))
    assert one.run(CARD) == ""
    found = one.run(PIXELS)
    assert len([count for count in found.values() if count > 20]) == 2  # two colours
    assert faults(one) == []


def test_a_card_tells_of_a_point_and_its_neighbours(chromium, four):
    one = opened(chromium, four)
    one.pointer(move(*where(one, 1)), PRESS, LIFT)
    card = one.run(CARD)
    assert card.splitlines()[:3] == ["<b>east</b>", "ID 1", "side: right"]
    assert re.findall(r"south-east\s+4\s+north-west\s+64\s+south-west\s+68", card)
    assert "south-east" in one.run("return document.getElementById('say').textContent")
    one.run("document.querySelector('#card li button').click()")
    assert one.run(CARD).splitlines()[:2] == ["south-east", "ID 3"]
    one.run("document.getElementById('points').focus()")
    one.keys("n")
    assert one.run(CARD).splitlines()[1] in ("ID 1", "ID 2", "ID 0")
    one.keys("\ue00c")  # Escape
    assert one.run(CARD) == ""
    assert faults(one) == []


@pytest.mark.parametrize("text, wanted", [("2", "2"), ("south-e", "3"), ("EAST", "1"), ("north-west", "0"),
                                          ("nothing", None), ("99", None)])
def test_searching(chromium, four, text, wanted):
    one = opened(chromium, four)
    one.run("document.getElementById('points').focus()")
    one.keys("/" + text + "\ue007")
    card = one.run(CARD)
    assert (f"ID {wanted}" in card.splitlines()) if wanted else card == ""
    assert wanted or "There is none" in one.run("return document.getElementById('hits').innerText")
    assert faults(one) == []


def test_a_line_of_the_legend_shows_its_group_alone(chromium, four):
    one = opened(chromium, four)
    lines = one.run("return [...document.querySelectorAll('#legend button')].map((b) => b.innerText)")
    assert [line.split()[0] for line in lines] == ["left", "right"]
    one.run("document.querySelector('#legend button').click()")
    one.run(FRAME)
    assert len([count for count in one.run(PIXELS).values() if count > 20]) == 1
    one.pointer(move(*where(one, 1)))
    assert one.run(CARD) == ""
    one.run("document.querySelector('#legend button').click()")
    one.run(FRAME)
    assert len([count for count in one.run(PIXELS).values() if count > 20]) == 2


def test_the_legend_folds(chromium, four):
    one = opened(chromium, four)
    high = "return document.getElementById('legend').offsetHeight"
    whole = one.run(high)
    one.run("document.querySelector('#legend h2 span').focus()")
    one.keys("\ue007")
    assert one.run(high) < whole / 2
    one.run("document.querySelector('#legend h2 span').click()")
    assert one.run(high) == whole


def test_moving_by_mouse_keys_and_finger(chromium, four):
    one = opened(chromium, four)
    x, y = where(one, 0)
    one.pointer(move(500, 500), PRESS, move(560, 540, 50), LIFT)
    one.pointer(move(x + 60, y + 40))
    assert "ID 0" in one.run(CARD)
    one.run("document.getElementById('points').focus()")
    one.keys("\ue012\ue013")  # left, up: the map goes to the right, and down
    one.pointer(move(x + 120, y + 100))
    assert "ID 0" in one.run(CARD)
    one.keys("0")
    one.pointer(move(x, y))
    assert "ID 0" in one.run(CARD)
    one.pointer(move(*where(one, 3)), PRESS, LIFT, kind="touch")
    assert "ID 3" in one.run(CARD)
    one.keys("-")
    wide, high = one.run("return [innerWidth, innerHeight]")
    x, y = where(one, 0)
    one.pointer(move(wide / 2 + (x - wide / 2) / 1.4, high / 2 + (y - high / 2) / 1.4), PRESS, LIFT)
    assert "ID 0" in one.run(CARD)
    assert faults(one) == []


def test_dark_and_light(chromium, four):
    back = "return getComputedStyle(document.body).backgroundColor"
    one = opened(chromium, four)
    light = one.run(back)
    one.run("document.getElementById('theme').click()")
    dark = one.run(back)
    assert sum(json.loads("[" + dark[4:-1] + "]")) < 100 < 600 < sum(json.loads("[" + light[4:-1] + "]"))
    one.run(FRAME)
    assert len([count for count in one.run(PIXELS).values() if count > 20]) == 2


def test_it_is_drawn_without_webgl(four):
    with browser(SIZE, "--disable-3d-apis") as one:
        opened(one, four)
        assert len([count for count in one.run(PIXELS).values() if count > 20]) == 2
        one.pointer(move(*where(one, 1)))
        assert "ID 1" in one.run(CARD)
        assert faults(one) == []


def test_a_page_without_vectors(chromium, tmp):
    store = make(tmp, numpy.zeros((0, 3), "f4"), dim=3)
    quiverfs("map", store, "-o", tmp / "map.html")
    one = opened(chromium, tmp / "map.html")
    assert one.run("return document.getElementById('about').textContent").startswith("0 vectors")
    assert one.run(PIXELS) == {} and faults(one) == []


def test_a_hundred_thousand_points(chromium, tmp, rng):
    """They are there, and answer; no time is asserted."""
    random = numpy.random.default_rng(rng.randrange(2**32))
    rows = random.normal(size=(100000, 4)).astype("f4") * numpy.array([4, 3, 1, 1], "f4")
    store = make(tmp, rows)
    quiverfs("map", store, "-o", tmp / "map.html", "--neighbours-of", 500)
    one = opened(chromium, tmp / "map.html")
    assert sum(one.run(PIXELS).values()) > 40000
    one.run("document.getElementById('points').focus()")
    one.keys("/77777\ue007")
    assert one.run(CARD).splitlines()[0] == "77777"
    one.pointer(move(400, 500), PRESS, move(450, 550, 100), LIFT)
    assert faults(one) == []
