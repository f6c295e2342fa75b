"""The verb `energy`: what a bundle, or a NIR graph, counts and would cost; estimated, not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.flatten import Flat
from neuroprompt.compiler.stimuli import flat_with_inputs
from neuroprompt.contracts.deployment import Floats, Prices
from neuroprompt.energy.comparison import PriceComparison, compare_prices
from neuroprompt.energy.count_bundle import Counts, counts, counts_of_model
from neuroprompt.energy.effective import effective_of
from neuroprompt.energy.lines import PRICES, EnergyEstimate, three_lines
from neuroprompt.energy.measured import measured
from neuroprompt.energy.toml_prices import price_list, price_lists
from neuroprompt.errors import BadSetting

Countable = Bundle | Counts | Path | str
"""A bundle, opened or by its folder; a .nir file; or what `count` gave."""


def count(
    what: Countable,
    *,
    onnx: Bundle | Path | str | None = None,
    target: str | None = None,
    precision: str | None = None,
    steps: int | None = None,
    stimulus: str = "poisson:0.5",
    convention: str | None = None,
    dt: float | None = None,
    reset: str | None = None,
    images: Sequence[Path | str] = (),
    measure: bool = False,
    form: str | None = None,
) -> Counts:
    """The counts of one run of the generator, and of one image through the backbone.

    onnx       the ONNX bundle of the same run: it gives the backbone of a spiking bundle
    target     what the spiking part runs on, in `precision`: by default our emulator in fixed, for a .nir file the
               reference in float
    stimulus   the input of a .nir file, for `steps` steps: poisson:RATE, or a .npy file (T, n_in)
    convention whose numbers a .nir file holds, `dt` its time step, and `reset` what a spike does to v
               (`neuroprompt.compiler.read.read_graph`)
    images     image files and folders, to count the ONNX file's effective operations on
    measure    also run the ONNX files, and read this machine's energy counters
    form       which file of the ONNX bundle is counted: portable (the default), fused

    Raises BadBundle, BadGraph, BadData, BadSetting, Unsupported.
    """
    if isinstance(what, Counts):
        return what
    if not isinstance(what, Bundle) and not Path(what).is_dir():
        if onnx or images or measure or form:
            raise BadSetting(f"--onnx, --images, --measure or --form with {what}", "a bundle: a graph has no backbone")
        flat, inputs = flat_with_inputs(Path(what), steps, stimulus, dt, convention=convention, reset=reset)
        return _of_graph(flat, inputs, target or "reference", precision or "float")
    bundle = what if isinstance(what, Bundle) else Bundle.open(what)
    other = onnx if onnx is None or isinstance(onnx, Bundle) else Bundle.open(onnx, "onnx")
    backbone = other or bundle
    return replace(
        counts(bundle, other, target or "loihi", precision or "fixed", form),
        effective=effective_of(backbone, images) if images else None,
        measured=measured(backbone, form=form) if measure else None,
    )


def energy(
    what: Countable,
    generator_prices: str | Prices = PRICES[0],
    backbone_prices: str | Prices = PRICES[1],
    *,
    onnx: Bundle | Path | str | None = None,
    seconds: float | None = None,
) -> EnergyEstimate:
    """Estimate the joules of generator, backbone and both, from exact counts and published prices.

    Price lists are named, or .toml files. `onnx` as in `count`, which says more of what is counted how. `seconds`: of
    one run on a chip whose list is a measured power. Raises what `count` raises, UnknownName, Unpriced.
    """
    lists = [price_list(p) if isinstance(p, str) else p for p in (generator_prices, backbone_prices)]
    counted = count(what, onnx=onnx)
    lines = three_lines(counted.generator, counted.backbone, *lists, baked=counted.baked, seconds=seconds)
    return replace(lines, counts=counted)


def energy_by_list(what: Countable, prices: Iterable[str], *, seconds: float | None = None) -> PriceComparison:
    """The same with several lists side by side: names, .toml files, or folders of them."""
    lists = price_lists(prices)
    counted = count(what)
    lines = compare_prices(counted.generator, counted.backbone, lists, baked=counted.baked, seconds=seconds)
    return replace(lines, counts=counted)


def _of_graph(flat: Flat, inputs: Floats, target: str, precision: str) -> Counts:
    return replace(counts_of_model(floats_of_graph(flat, inputs), inputs, target, precision), reading=flat.reading)
