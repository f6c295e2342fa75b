"""What a report is made of: a user's words stay words, and many figures stay readable."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from neuroprompt.energy.break_even import break_even
from neuroprompt.report import accuracy
from neuroprompt.report._axes import plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Measured, Subject
from neuroprompt.report.break_even import plot as drawn_rates
from neuroprompt.robustness.corruptions import PARAMETERS
from neuroprompt.spiking.activity import Activity
from neuroprompt.training.accuracy import Accuracy, Corruption
from neuroprompt.training.config import RunConfig

EVIL = "\"><script>alert('$x')</script>&amp;"


class Tags(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def plot(name: str = "p") -> Plot:
    figure, axes = plain_axes()
    axes.plot([0, 1], [1, 0], label=words(EVIL))
    axes.set_title(words(EVIL))
    axes.legend()
    return Plot(name, figure, EVIL, ("a",), [(1,)])


@pytest.mark.parametrize(
    "part", [plot(), Note(EVIL), Note(EVIL, missing=True), Table(EVIL, (EVIL, "b"), [(EVIL, EVIL)])]
)
def test_words_of_a_user_stay_words(part: Plot | Note | Table) -> None:
    page = Tags(Section("s", "title", "lead", [part]).html())
    assert "script" not in page.tags
    assert EVIL in page.text


def test_the_ids_of_two_figures_are_their_own() -> None:
    ids = [set(part.html().split('id="')[1:]) for part in (plot("one"), plot("two"))]
    names = [{i.split('"')[0] for i in found} for found in ids]
    assert not names[0] & names[1]
    assert all(name.startswith("one") for name in names[0])


def test_reasons_that_are_the_same_stand_together() -> None:
    notes = absent({"a": "no neurons", "b": "no bundle", "c": "no neurons."})
    assert [note.text for note in notes] == ["a, c: no neurons.", "b: no bundle."]
    assert all(note.missing for note in notes)


@pytest.mark.parametrize(
    ("text", "expected"), [("LoR-VP, seed 1", "lor-vp-seed-1"), ("../x", "x"), ("/", "x"), ("a<b>", "a-b")]
)
def test_names_of_files(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_of_75_corruptions_the_means_of_their_types_are_drawn() -> None:
    noise = {f"{kind}:{severity}": severity / 10 for kind in PARAMETERS for severity in range(1, 6)}
    types = dict.fromkeys(PARAMETERS, 0.3)
    result = Accuracy(0.9, {**noise, "jpeg:25": 0.5}, 7, Corruption(types, 0.3))
    chapter = accuracy.section([Subject(RunConfig(), name="m", measured=Measured(accuracy=result))])
    assert {(row[1], row[2]) for row in chapter.plots[0].rows} == {("clean", 0.9), ("jpeg:25", 0.5), *types.items()}
    (table,) = (part for part in chapter.parts if isinstance(part, Table))
    assert len(table.rows) == 2 + 75


def test_break_even_is_drawn_where_there_are_synapses() -> None:
    synapses = Activity(synops=2000, updates=40, synops_dense=4000, reads=2000, states=80)
    result = break_even(synapses, 10, 4, "horowitz-45nm-int8-memory")
    drawn = drawn_rates("a net", result)
    assert drawn is not None
    assert drawn.name == "break-even-a-net"
    low, high = result.break_even_rate
    assert low is not None
    assert high is not None
    cheaper = [float(str(row[0])) for row in drawn.rows if float(str(row[1])) < float(str(row[3]))]
    assert high - 0.01 <= max(cheaper) <= high, "rates go by hundredths"
    assert drawn_rates("none", break_even(Activity(updates=40, states=80), 10, 4, "horowitz-45nm-int8-memory")) is None
