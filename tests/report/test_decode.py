"""What a report keeps as JSON is read back as it was, and what is no such JSON is an error."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.energy.rapl import Measurement
from neuroprompt.report._decode import decode
from neuroprompt.report._measured import Kept
from neuroprompt.report._subject import Subject
from neuroprompt.simulators.compare import Mismatch, NodeAgreement, ValueAgreement
from neuroprompt.simulators.verify import ReferenceRun, TargetAgreement, Verification
from neuroprompt.training.accuracy import Accuracy, Corruption, Elsewhere

shares = st.floats(0, 1)
counts = st.integers(0, 2**40)
names = st.text(min_size=1, max_size=5)
mismatches = st.none() | st.builds(Mismatch, names, counts, counts, st.none() | st.floats(-9, 9), st.none())
nodes = st.builds(NodeAgreement, shares, shares, shares, counts, counts, mismatches)
values = st.dictionaries(names, st.builds(ValueAgreement, shares, shares), max_size=2)
targets = st.builds(
    TargetAgreement,
    *(shares, shares, shares, counts, counts, mismatches, shares, st.dictionaries(names, nodes, max_size=2), values),
    cause=st.none() | names,
    delay=st.dictionaries(names, counts, max_size=2),
)
verifications = st.builds(
    Verification,
    st.builds(ReferenceRun, counts, counts, counts, shares),
    *(st.dictionaries(names, each, max_size=2) for each in (targets, names, names)),
)
accuracies = st.builds(
    Accuracy,
    *(shares, st.dictionaries(names, shares, max_size=3), counts),
    corruption=st.none() | st.builds(Corruption, st.dictionaries(names, shares), shares),
    ood=st.dictionaries(names, st.builds(Elsewhere, shares, counts, counts, shares), max_size=2),
)
measurements = st.builds(Measurement, shares, shares, shares, counts, st.lists(names, max_size=2).map(tuple))
measured = st.builds(MeasuredEnergy, st.dictionaries(names, measurements, min_size=1, max_size=2))


@given(verifications | accuracies | measured)
def test_what_was_kept_is_read_back(result: Verification | Accuracy | MeasuredEnergy) -> None:
    assert decode(type(result), json.loads(json.dumps(result.json()))) == result


@pytest.mark.parametrize(
    "wrong",
    [
        *([], {}, {"clean": "high", "noise": {}, "images": 3}, {"clean": 0.5, "noise": [], "images": 3}),
        {"clean": 10**400, "noise": {}, "images": 3},
    ],
)
def test_what_is_no_result_is_an_error(wrong: Any) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        decode(Accuracy, wrong)


@pytest.mark.parametrize("values", [[1], 5, {"digest": 3}, {"digest": {"verify": 7}}, {"digest": [1]}])
def test_kept_values_of_other_kinds_are_measured_again(values: Any, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    file.write_text(json.dumps(values))
    kept, subject = Kept(file), cast(Subject, SimpleNamespace(digest="digest"))
    accuracy = Accuracy(0.5, {}, 3)
    assert kept.get(subject, "accuracy", Accuracy) is None
    assert kept.get(subject, "verify", Verification) is None
    kept.put(subject, "accuracy", accuracy)
    assert Kept(file).get(subject, "accuracy", Accuracy) == accuracy
