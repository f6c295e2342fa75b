"""Rounds: who is called how often, and what counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neuroprompt.benchmarks.rounds import WARM_UP, Took, in_turn
from neuroprompt.progress import SILENT


def test_once_a_turn() -> None:
    calls: list[str] = []
    seconds = in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, 4, SILENT)  # type: ignore[misc]
    assert calls.count("a") == calls.count("b") == WARM_UP + 4
    assert {name: len(times) for name, times in seconds.items()} == {"a": 4, "b": 4}


@pytest.mark.parametrize(("each", "timed"), [(2**-8, 6), (2**-5, 1)])
def test_a_turn_of_20_ms_counts_the_mean_of_its_calls(each: float, timed: int) -> None:
    """The first call of a turn takes ten times as long, and does not count. Powers of 2 add exactly."""
    now, last = [0.0], [""]

    def runs(name: str) -> Callable[[], None]:
        def run() -> None:
            now[0] += each if last[0] == name else 10 * each
            last[0] = name
            calls.append(name)

        return run

    calls: list[str] = []
    both = {"a": runs("a"), "b": runs("b")}
    seconds = in_turn(both, 2, SILENT, lambda: now[0], at_least=0.02)
    for name in both:
        assert seconds[name] == [each, each]
        assert calls.count(name) == (WARM_UP + 2) * (1 + timed)


def test_what_a_run_measured_itself_counts() -> None:
    measured = iter([Took(1.0)] * WARM_UP + [Took(2.0), Took(3.0)])
    assert in_turn({"a": lambda: next(measured)}, 2, SILENT) == {"a": [2.0, 3.0]}
