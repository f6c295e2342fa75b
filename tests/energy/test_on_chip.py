"""A run placed on a Loihi 1: events by hand, prices with hops, and SANA-FE's own energy and time of the same nets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fixed_nets import fixed_nets, model_of, side_by_side
from float_bounds import near
from sana_fe_nets import COLUMNS, NETS, chain, compared

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Prices, Recording, SpikingTarget
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.on_chip import OnChip, on_chip
from neuroprompt.energy.tables import chip_lines
from neuroprompt.errors import Unpriced, Unsupported
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

Overlaid = Callable[[str], SpikingTarget]
PAGE = Path(__file__).parents[2] / "docs" / "explain" / "energy.md"


def two_layers() -> tuple[Program, Recording, OnChip]:
    """Three lines to 1,500 neurons in two cores, and one neuron behind all of them; two steps."""
    wide = Population("wide", 1500, 4095, 0, 2, np.zeros(1500, np.int32), 6, depth=1)
    last = Population("last", 1, 4095, 0, 131071, np.zeros(1, np.int32), 6, depth=2)
    first = np.zeros((1500, 3), np.int32)
    first[:, 0] = 2
    first[:10, 1] = 1  # with line 0 they pass the threshold
    weights = Weights(first), Weights(np.ones((1, 1500), np.int32))
    projections = (Projection("input", "wide", weights[0]), Projection("wide", "last", weights[1]))
    program = Program("fixed", 2, 3, (wide, last), projections)
    inputs = np.array([[1.0, 1, 1], [0, 0, 0]])
    recording = SpikingTarget.named("loihi").run(model_of(program), inputs, "fixed", states=True)
    return program, recording, on_chip(program, recording, inputs > 0)


def test_events_by_hand() -> None:
    """Ten neurons fire in step 0; line 0 reaches both cores of the layer, line 1 the first, line 2 nobody."""
    _, recording, chip = two_layers()
    assert recording.spikes["wide"].sum() == 10
    steps = 2 + 2  # and the depth of the last neuron
    assert chip.latency.steps == steps
    assert len(chip.placement.cores) == 2
    active = 10
    # 1,500 get an input in step 0, and those that did not fire still have a potential in step 1; the last one gets ten
    # spikes in step 0, and has a potential in step 1.
    updated = 1500 + 1490 + 1 + 1
    assert dict(chip.counts) == {
        "synops": 1500 + 10 + 10,
        "updates_active": active,
        "updates_inactive": updated - active,
        "updates_idle": 1501 * steps - updated,
        "messages": 2 + 1 + 10,
        "hops_x": 0,
        "hops_y": 0,
    }


def test_prices_with_hops_price_it_and_others_do_not() -> None:
    _, _, chip = two_layers()
    assert chip.joules(Prices.named("loihi")) == near(
        sum(n * pj for n, pj in zip((1520, 10, 2982 + 3012, 13), (23.6, 81, 52, 1.7), strict=True)) * 1e-12, 16
    )
    with pytest.raises(Unpriced, match=r"hops without a price in 'truenorth'; .*loihi, sana-fe-loihi"):
        chip.joules(Prices.named("truenorth"))
    far = {event: 1 if event.startswith("hops") else 0 for event in chip.counts}
    hops = OnChip(chip.placement, far, chip.latency)
    assert hops.joules(Prices.named("sana-fe-loihi")) == near(7.2e-12)
    assert hops.joules(Prices.named("loihi")) == near(7e-12)


def test_nearly_all_that_is_said_of_generated_nets_holds() -> None:
    """Bounds of time, events that add up, and an energy-delay product that is the product."""
    prices = Prices.named("sana-fe-loihi")
    nets = fixed_nets(300)
    for _ in range(10):
        program, inputs = next(nets)
        counts = counts_of_model(model_of(program), inputs, "loihi", "fixed")
        chip = counts.chip
        assert isinstance(chip, OnChip)
        time, events = chip.latency, chip.counts
        assert time.run_low_s <= time.run_s <= time.run_high_s
        assert time.steps == program.steps + program.depth
        updates = sum(events[key] for key in ("updates_active", "updates_inactive", "updates_idle"))
        assert updates == sum(p.size for p in program.populations) * time.steps
        assert events["updates_active"] == counts.generator.spikes
        assert events["synops"] >= counts.generator.synops  # spikes of the last steps arrive too
        assert chip.json(prices)["energy_delay_js"] == chip.joules(prices) * time.run_s
        assert any(
            "the busiest core" in line and "estimated, not measured" in line for line in chip_lines(counts, None)
        )


def test_what_a_loihi_1_has_not_is_a_line() -> None:
    graph, inputs = chain((5, 3), 4, 0.5)
    numbers = inputs + 0.25
    model = model_of_graph(graph, 4, numbers)
    counts = counts_of_model(model, numbers, "loihi", "fixed")
    assert isinstance(counts.chip, str)
    assert "numbers on the input lines, which a Loihi 1 does not have" in counts.chip
    assert chip_lines(counts, None) == [f"on a Loihi 1: no estimate, {counts.chip}"]
    assert counts_of_model(model, numbers).chip == ""
    _, recording, _ = two_layers()
    program, _, _ = two_layers()
    with pytest.raises(Unsupported, match="no potentials of node 'wide'"):
        on_chip(program, Recording(recording.spikes, 0.0), np.zeros((2, 3), bool))


def test_sanafe_runs_the_same_integers(overlaid: Overlaid) -> None:
    """Spikes and v are the emulator's on generated nets that it can run; what it cannot is named."""
    target, emulator = overlaid("sanafe"), SpikingTarget.named("loihi")
    nets, reasons = [], ""
    for program, inputs in islice(fixed_nets(5), 40):
        try:
            target.refuse(program)
            target.check(program)  # type: ignore[attr-defined]
            nets.append((program, inputs))
        except Unsupported as error:
            reasons += str(error)
    model, together = side_by_side(nets)
    theirs = target.run(model, together, "fixed", states=True)
    ours = emulator.run(model, together, "fixed", states=True)
    for kind in ("spikes", "v", "values"):
        for name, array in getattr(ours, kind).items():
            np.testing.assert_array_equal(array, getattr(theirs, kind)[name], err_msg=f"{kind} of {name}")
    joules = [float(value) for key, value in theirs.cost.items() if key.startswith("joules.") and "total" not in key]
    assert sum(joules) == near(float(theirs.cost["joules.total"]), 10_000)  # sums of every step and core
    assert sum(int(spikes.sum()) for spikes in ours.spikes.values()) > 500
    for words in (
        "a synaptic current with memory",
        "wait 1 chip steps",
        "gets a current from the host",
        "a bias of node",
    ):
        assert words in reasons


@pytest.mark.slow
def test_energy_and_time_are_within_ten_per_cent_of_sana_fes(overlaid: Overlaid) -> None:
    target, page = overlaid("sanafe"), PAGE.read_text()
    assert f"| {' | '.join(COLUMNS)} |" in page
    for name in NETS:
        result = compared(name, target)
        assert all(0.9 <= ratio <= 1.1 for ratio in result.ratios), name
        assert f"| {name} | {result.steps} |" in page
