#!/usr/bin/env python3
"""Make C, for page.h, of the page of a map and of the script for other ways to place points.

The page stands in it as the text before the data and the text behind, with the style and the script in
place, and with a policy by which a browser runs that script and no other, and loads nothing.

usage: embed.py PAGE.html PAGE.css PAGE.js PLACE.py OUT.c
"""

import base64
import hashlib
import re
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def array(name, text):
    """As numbers: a string constant has a length that each compiler must take."""
    numbers = [str(byte) for byte in text.encode()]
    lines = [", ".join(numbers[at:at + 24]) for at in range(0, len(numbers), 24)]
    return f"static const unsigned char {name}[] = {{\n\t" + ",\n\t".join(lines) + "\n};\n"


def half(name, text):
    return array("text_" + name, text) + f"""
const char *page_{name}(size_t *length)
{{
	*length = sizeof(text_{name});
	return (const char *)text_{name};
}}
"""


def squeeze(text):
    """Without the blanks that lines begin with."""
    return re.sub(r"\n\s+", "\n", text.strip())


def main():
    page, style, script, place = (read(path) for path in sys.argv[1:5])
    style, script = squeeze(style), squeeze(script)
    assert "</" not in style and "</script" not in script and "<!--" not in script
    policy = f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}"
    page = page.replace("@POLICY@", policy).replace("@STYLE@", style).replace("@SCRIPT@", script)
    before, behind = page.split("@DATA@\n")
    with open(sys.argv[5], "w", encoding="utf-8") as out:
        out.write('/* made by embed.py */\n#include "tools/map/page.h"\n' + half("before", before) +
                  half("behind", behind) + array("text_place", place + "\0") + """
const char *page_place(void)
{
	return (const char *)text_place;
}
""")


main()
