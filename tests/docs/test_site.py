"""The documentation builds without a warning, runs its notebooks, and looks right in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from one_maker import made_once

ROOT = Path(__file__).resolve().parents[2]
THEME = re.compile(r"pydata-sphinx-theme|\[PST\]")
"""What the theme's own script says."""
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as HTML, built as CONTRIBUTING has it."""

    def build(folder: Path) -> None:
        words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(ROOT / "docs"), str(folder / "html")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=1700, check=False)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "site", build) / "html"


@pytest.mark.slow
@pytest.mark.longest(260)
@pytest.mark.timeout(1800)
def test_notebooks_ran_and_show_their_figures(site: Path) -> None:
    for notebook in NOTEBOOKS:
        page = (site / "tutorials" / "notebooks" / notebook.with_suffix(".html").name).read_text()
        shown = set(re.findall(r'<img[^>]*src="(?:\.\./)*_images/([0-9a-f]{64}\.png)"', page))
        assert len(shown) == 2, notebook.name
        assert "Traceback" not in page


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_screen_and_need_no_network(width: int, site: Path, look: Callable[..., Any]) -> None:
    for page in sorted(site.rglob("*.html")):
        if "_static" in page.parts:  # the theme's own
            continue
        seen = look(page, width, screenshot=False)
        assert [words for words in seen.complaints if not THEME.search(words)] == [], page.name
        assert [address for address in seen.addresses if not address.startswith(("file:", "data:"))] == [], page.name
        assert seen.page["width"] <= width, f"{page.name} is {seen.page['width']} wide"
