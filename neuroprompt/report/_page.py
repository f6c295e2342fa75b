"""The page around the sections: a table of contents and one style sheet for screen, dark screen, phone and paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from neuroprompt.report._parts import Section

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The browser itself refuses to fetch anything."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1e23; --soft: #5a6270; --paper: #ffffff; --rule: #dddddd;
  --shade: #f5f6f8; --accent: #0072B2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a3abb8; --paper: #16181c; --rule: #3a3f47;
  --shade: #1f2227; --accent: #56B4E9; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.page { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .4rem; padding-top: 1.4rem; border-top: 1px solid var(--rule); }
section { margin-top: 2.2rem; scroll-margin-top: .5rem; }
p { margin: 0 0 .9rem; max-width: 46rem; overflow-wrap: anywhere; }
.lead, figcaption, .subtitle { color: var(--soft); }
.missing { color: var(--soft); border-left: 3px solid var(--rule); padding-left: .8rem; }
a { color: var(--accent); }
nav { margin: 1.4rem 0 0; padding: .9rem 1.1rem; background: var(--shade); border-radius: .5rem; }
nav ol { margin: 0; padding-left: 1.4rem; columns: 15rem; }
nav li { break-inside: avoid; padding: .1rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.4rem;
  margin: 1rem 0 1.4rem; align-items: start; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { fill: currentColor;
  font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif !important; }
figcaption { font-size: .875rem; line-height: 1.45; margin-top: .4rem; max-width: 36rem; overflow-wrap: anywhere; }
.files { display: block; font-size: .8rem; opacity: .8; }
.wide { overflow-x: auto; margin: 1rem 0 1.4rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; }
tbody th { font-weight: 400; color: var(--soft); }
td { max-width: 40rem; }
td.number { white-space: nowrap; }
td.long { overflow-wrap: anywhere; min-width: 9rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .875rem; }
@media (max-width: 40rem) { .page { padding: 1.2rem .9rem 3rem; } h1 { font-size: 1.5rem; } nav ol { columns: 1; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --rule: #ccc; --shade: #fff;
  --accent: #000; } body { font-size: 10pt; } .page { max-width: none; padding: 0; } nav { border: 1px solid #ccc; }
  .plots { grid-template-columns: 1fr 1fr; } .wide { overflow: visible; } section { break-inside: auto; }
  h2 { break-after: avoid; } a { text-decoration: none; } }
"""


def page(title: str, subtitle: str, sections: Sequence[Section], files: str, version: str) -> str:
    """The whole HTML file; `files` is the folder beside it."""
    contents = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    body = "\n".join(section.html() for section in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="generator" content="neuroprompt {escape(version)}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<div class="page">
<header>
<h1>{escape(title)}</h1>
<p class="subtitle">{escape(subtitle)}</p>
<nav aria-label="Contents"><ol>{contents}</ol></nav>
</header>
<main>
{body}
</main>
<footer>Made by neuroprompt {escape(version)}. Every figure is also a PNG and an SVG in the folder {escape(files)}, with
its numbers as CSV.</footer>
</div>
</body>
</html>
"""
