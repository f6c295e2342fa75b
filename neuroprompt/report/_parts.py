"""What a section of the report is made of: plots with their numbers, tables and notes; all text is escaped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from matplotlib.figure import Figure

from neuroprompt.report.figures import rendered

Row = Sequence[object]
NUMBER = re.compile(r"[-+]?\d[\d,.]*(e[-+]?\d+)?(%| ?[pnµm]?J)?( \([^)]{1,24}\))?")


@dataclass(frozen=True)
class Plot:
    """A figure with its `caption`, and the numbers that it shows as `columns` and `rows`; `name` is its files' stem."""

    name: str
    figure: Figure
    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def html(self) -> str:
        """The figure as inline SVG whose ids are its own and whose black is the page's ink."""
        drawn = rendered(self.figure, "svg", see_through=True).decode()
        drawn = drawn[drawn.index("<svg") :]
        drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
        drawn = re.sub(r'\bid="', f'id="{self.name}-', drawn)
        drawn = re.sub(r'(href="#|url\(#)', rf"\g<1>{self.name}-", drawn)
        drawn = drawn.replace("stroke: #000000", "stroke: currentColor").replace(
            "stroke: #dddddd", "stroke: var(--rule)"
        )
        width = float(self.figure.get_figwidth()) * 96
        size = rf'<svg role="img" aria-label="{escape(self.caption)}" style="max-width:{width:.0f}px" '
        drawn = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', lambda tag: f"{size}{tag[1]}>", drawn, count=1)
        return (
            f'<figure id="{self.name}">{drawn}<figcaption>{escape(self.caption)}{self._links()}</figcaption></figure>'
        )

    def files(self) -> dict[str, bytes]:
        """The figure as PNG and SVG and its numbers as CSV, by file name."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return {
            f"{self.name}.png": rendered(self.figure, "png"),
            f"{self.name}.svg": rendered(self.figure, "svg"),
            f"{self.name}.csv": text.getvalue().encode(),
        }

    def _links(self) -> str:
        return f' <span class="files">Files: {self.name} (.png, .svg, .csv)</span>'


@dataclass(frozen=True)
class Table:
    """A table with a title; the first cell of a row is its heading."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def html(self) -> str:
        """The table; it scrolls by itself where the screen is narrow."""
        head = "".join(f'<th scope="col">{escape(str(column))}</th>' for column in self.columns)
        body = "".join(
            f'<tr><th scope="row">{escape(str(row[0]))}</th>' + "".join(_cell(cell) for cell in row[1:]) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        return f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


@dataclass(frozen=True)
class Note:
    """A paragraph; `missing` where it stands in for what could not be shown."""

    text: str
    missing: bool = False

    def html(self) -> str:
        """The paragraph."""
        return f'<p class="missing">{escape(self.text)}</p>' if self.missing else f"<p>{escape(self.text)}</p>"


Part = Plot | Table | Note


def absent(reasons: Mapping[str, str]) -> list[Note]:
    """A note for every reason (by subject) why something is not shown, those with the same reason together."""
    together: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        together.setdefault(reason.rstrip("."), []).append(name)
    return [Note(f"{', '.join(names)}: {reason}.", missing=True) for reason, names in together.items()]


@dataclass
class Section:
    """A chapter of the report: `name` is its anchor."""

    name: str
    title: str
    lead: str
    parts: list[Part] = field(default_factory=list)

    @property
    def plots(self) -> list[Plot]:
        """Its figures."""
        return [part for part in self.parts if isinstance(part, Plot)]

    @property
    def missing(self) -> list[str]:
        """What it could not show, and why."""
        return [part.text for part in self.parts if isinstance(part, Note) and part.missing]

    def html(self) -> str:
        """The chapter; plots that follow one another stand side by side where there is room."""
        body, beside = [], False
        for part in self.parts:
            if isinstance(part, Plot) != beside:
                body.append("</div>" if beside else '<div class="plots">')
                beside = not beside
            body.append(part.html())
        body.append("</div>" if beside else "")
        lead = f'<p class="lead">{escape(self.lead)}</p>' if self.lead else ""
        return f'<section id="{self.name}"><h2>{escape(self.title)}</h2>{lead}{"".join(body)}</section>'


def slug(text: str) -> str:
    """`text` as a part of a file name and an anchor: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _cell(cell: object) -> str:
    """Figures stay on one line; what is long may break anywhere."""
    text = str(cell)
    kind = "number" if NUMBER.fullmatch(text) else "long" if len(text) > 24 else ""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"
