"""Names that are HTML, escape sequences, mathematics or nothing, and whether a page took one for an element."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from random import Random

from damage import ESCAPE
from hostile_recipes import TAG
from hub_stand_in import Hub

NAMES = (
    *(f"<{TAG}>", f'"><{TAG} x="', f"'><{TAG}>", f"</script><{TAG}>", f"</title><{TAG}>", f"--><{TAG}>", f"]]><{TAG}>"),
    *(f"</style><{TAG}>", f"</svg><{TAG}>", f"&lt;{TAG}&gt;", f"<!--<script><{TAG}>", f"`<{TAG}>`", f"|<{TAG}>|"),
    *(
        "${settings}",
        "$title",
        "$",
        "%s{0}",
        "\\",
        "$x^2$",
        "$\\frac",
        "_^{",
        "a" * 3000,
        "\u202egpj",
        "\u2028",
        "\ufeff",
    ),
    *(ESCAPE, "a\nb", "\x00", "\ud800", "", " ", "é", "日本", "\U0001f600", "a\x85b", "\r", "\x7f", "\t"),
)


def hostile_names(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A run whose classes, data set and backbone's tag are HTML, escape sequences, mathematics or nothing."""
    shutil.copytree(base / "run", place / "r")
    about = json.loads((place / "r" / "run.json").read_text())
    classes = about["config"]["classes"]
    for i in range(len(classes)):
        if rng.random() < 0.6:
            classes[i] = rng.choice(NAMES)
    if rng.random() < 0.3:
        about["config"]["recipe"] = rng.choice(NAMES)
    (place / "r" / "run.json").write_text(json.dumps(about), encoding="utf-8")
    report = "report r --skip latency --skip verify --skip measure --skip accuracy --out r.html"
    return rng.choice((report, "export r --target web --out web", "eval r", "export r --target lava --out lava"))


def strange_pages(place: Path) -> list[str]:
    """Pages in which a parser sees a hostile name as an element."""
    pages = place.rglob("*.html")
    return [
        str(page.relative_to(place))
        for page in pages
        if page.is_file() and _seen(page.read_bytes().decode(errors="replace"))
    ]


def _seen(text: str) -> bool:
    elements: list[str] = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            elements.append(tag)

    Elements().feed(text)
    return TAG in elements
