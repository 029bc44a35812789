"""What a program wrote to a terminal, as a picture in SVG: text stays text, and no font is fetched.

A screen is a list of lines, a line a list of (text, style) with a style of STYLES.
"""

import html
import re

COLUMNS = 80
# Of one character. Every run of text is stretched to its columns, whatever font there is.
WIDTH_PX, HEIGHT_PX, FONT_PX = 8.4, 19, 14
MARGIN_PX, TITLE_PX = 18, 34
# A dark window with an edge looks the same on a light and on a dark page.
BACKGROUND, EDGE, TITLE, TEXT = "#1b1f27", "#3d4451", "#8b94a3", "#d7dce4"
STYLES = {
    "plain": "",
    "bold": "font-weight:600;fill:#ffffff",
    "red": "font-weight:600;fill:#ff7b72",
    "yellow": "fill:#e3b341",
    "green": "fill:#7ee787",
    "dim": "fill:#8b94a3",
}
SGR = {"": "plain", "0": "plain", "1": "bold", "1;31": "red", "33": "yellow", "32": "green", "2": "dim"}
TOKEN = re.compile(r"\033\[([0-9;]*)([A-Za-z])|(\r)|(\n)|([^\033\r\n]+)")


def screen(output, columns=COLUMNS):
    """The lines that a terminal shows after `output`. It knows what quiverfs and the tools of a tour
    write: colours, a return to the left, the rest of a line cleared. Long lines go on in the next."""
    lines, cells, at, style = [], [], 0, "plain"
    for match in TOKEN.finditer(output):
        words, command, back, end, text = match.groups()
        if command == "m":
            style = SGR[words]
        elif command == "K":
            del cells[at:]
        elif command is not None:
            raise ValueError(f"a terminal would obey {match[0]!r}, and this one does not know how")
        elif back:
            at = 0
        elif end:
            lines.append(cells)
            cells, at = [], 0
        else:
            cells[at:at + len(text)] = [(character, style) for character in text]
            at += len(text)
    if cells:
        lines.append(cells)
    return [runs(line[start:start + columns]) for line in lines
            for start in range(0, max(len(line), 1), columns)]


def runs(cells):
    """Neighbours of one style together."""
    found = []
    for character, style in cells:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + character, style)
        else:
            found.append((character, style))
    return found


def text_of(lines):
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def draw(lines, title, description):
    """The picture of a window with these lines."""
    width = round(COLUMNS * WIDTH_PX + 2 * MARGIN_PX)
    height = TITLE_PX + len(lines) * HEIGHT_PX + MARGIN_PX + 4
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{html.escape(title)}</title>',
        f'<desc id="desc">{html.escape(description)}</desc>',
        "<style>",
        f"text{{font:{FONT_PX}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        f"'Liberation Mono',monospace;fill:{TEXT};white-space:pre}}",
        *(f".{name}{{{css}}}" for name, css in STYLES.items() if css),
        "</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" '
        f'fill="{BACKGROUND}" stroke="{EDGE}"/>',
        *(f'<circle cx="{20 + 18 * number}" cy="{TITLE_PX / 2 + 1:g}" r="5.5" fill="{EDGE}"/>'
          for number in range(3)),
        f'<text x="{width / 2:g}" y="{TITLE_PX / 2 + 6:g}" text-anchor="middle" '
        f'style="fill:{TITLE}">{html.escape(title)}</text>',
    ]
    for number, line in enumerate(lines):
        out += draw_line(line, TITLE_PX + (number + 1) * HEIGHT_PX)
    return "\n".join(out) + "\n</svg>\n"


def draw_line(line, y):
    """One <text> for each run; blanks at its ends only move it."""
    column = 0
    for text, style in line:
        shown = text.strip(" ")
        if shown:
            x = MARGIN_PX + (column + len(text) - len(text.lstrip(" "))) * WIDTH_PX
            name = f' class="{style}"' if STYLES[style] else ""
            yield (f'<text x="{x:g}" y="{y}" textLength="{len(shown) * WIDTH_PX:g}" '
                   f'xml:space="preserve"{name}>{html.escape(shown, quote=False)}</text>')
        column += len(text)


def text_in(picture):
    """The lines of a picture as text, which draw() made."""
    rows = {}
    found = re.findall(r'<text x="([\d.]+)" y="(\d+)" textLength[^>]*>([^<]*)</text>', picture)
    for x, y, text in found:
        row = rows.get(int(y), "")
        column = round((float(x) - MARGIN_PX) / WIDTH_PX)
        rows[int(y)] = row.ljust(column) + html.unescape(text)
    last = max(rows, default=0)
    return "\n".join(rows.get(y, "") for y in range(TITLE_PX + HEIGHT_PX, last + 1, HEIGHT_PX))
