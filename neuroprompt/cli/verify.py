"""`neuroprompt verify`: every target at hand against the reference, spike by spike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli import _data_set
from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import (
    RUNS,
    Agreement,
    Chip,
    Dt,
    From,
    Reset,
    SplitSigns,
    Tune,
    WeightBits,
    graph_with_inputs,
    graph_with_runs,
)
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, listed, stdout_is_ours, table
from neuroprompt.cli._panels import panels
from neuroprompt.cli._verified import of_the_chips, unlike_values
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.compiler.conventions import Reading, Units
    from neuroprompt.contracts.deployment import Floats, Prices
    from neuroprompt.contracts.tuning import Tuning
    from neuroprompt.contracts.wide import Wide
    from neuroprompt.energy.items import ItemEnergy
    from neuroprompt.simulators.compare import NodeAgreement
    from neuroprompt.simulators.verify import TargetAgreement, Verification
    from neuroprompt.spiking.program import SpikingModel

COLUMNS = ("target, node", "matching\nentries", "Jaccard", "rate\ncosine", "first\nmismatch", "spikes", "s")
ENTRIES = "entries: (step, neuron); the first mismatch is step, neuron"


@app.command(
    cls=panels(
        of_a_graph="steps input from dt reset seed split-signs weight-bits agreement tune chip",
        of_a_data_set="inputs data labels decode prices",
        in_shards="engine engine-set shards work",
    ),
    epilog=examples(
        "verify out/lava",
        "verify out/lava --targets snntorch,lava --json",
        "verify graph.nir --steps 100 --input poisson:0.2",
        "verify graph.nir --steps 100 --from snntorch --reset subtract",
        "verify graph.nir --input spikes.npy --weight-bits auto --figure verify.png",
        "verify graph.nir --inputs samples.npz --tune 20",
        "verify graph.nir --inputs test.npz --targets loihi,lava --json",
    ),
)
def verify(
    what: Annotated[Path, typer.Argument(metavar="BUNDLE|GRAPH.nir", help="A Lava bundle, or a NIR file.")],
    targets: Annotated[str | None, typer.Option(help="Only these, comma-separated (default: all at hand).")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file and random spikes.")] = None,
    stimulus: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="poisson:RATE|FILE",
            help="Random spikes, or a .npy (T, n) (default: poisson:0.5 for a .nir file, a bundle's own for a bundle).",
        ),
    ] = None,
    library: From = None,
    dt: Dt = None,
    reset: Reset = None,
    seed: Annotated[int, typer.Option(help="Seed of the random input spikes, and of --tune.")] = 0,
    split_signs: SplitSigns = False,
    weight_bits: WeightBits = "8",
    agreement: Agreement = 0.9999,
    tune: Tune = None,
    data: Annotated[
        Path | None,
        typer.Option("--inputs", "--data", metavar="FILE|tonic:NAME|data:SPLIT", help=_data_set.DATA_SET),
    ] = None,
    labels: _data_set.LabelsFile = None,
    decode: _data_set.Decode = None,
    prices: _data_set.ItemPrices = None,
    engine: _data_set.EngineName = None,
    engine_words: _data_set.EngineWords = None,
    shards: _data_set.Shards = None,
    work: _data_set.Work = None,
    shard: _data_set.ShardWord = None,
    chip: Annotated[Chip, typer.Option(help="Whose integers: sums wrap at 21 bits on a Loihi 1.")] = Chip.LOIHI2,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the result, and with --weight-bits its ways: a .png or .svg file.")
    ] = None,
    json: Json = False,
) -> None:
    """Run every target at hand and compare it with the reference, spike by spike and node by node.

    Exit code 1 where a float target differs from the reference, integers from our emulator's, a target broke, or
    none of --targets ran.
    """
    from neuroprompt.bundles.shards import Shard
    from neuroprompt.bundles.verify_run import verify_items
    from neuroprompt.compiler.reading import activity_hints
    from neuroprompt.compiler.widths import width_words
    from neuroprompt.contracts.tuning import Tuning
    from neuroprompt.contracts.wide import Wide
    from neuroprompt.simulators.verify import verify as verify_model

    _data_set.check_figure(figure)
    wide, ways = Wide.of(weight_bits, agreement, chip.value), dict[str, dict[str, float]]()
    tuning = Tuning.of(tune, seed)
    if data is None:
        _data_set.refuse(
            {"labels": labels, "decode": decode, "prices": prices, "engine": engine},
            "--inputs FILE beside it: it is for a data set",
        )
    listed_prices, split = _data_set.prices_of(prices), _data_set.split_of(engine, engine_words, shards, work)
    with stdout_is_ours():
        names = listed(targets)
        if data is None:
            model, inputs, reading = _model(
                what, steps, stimulus, (dt, library, reset), seed, (split_signs, wide, tuning)
            )
            result = verify_model(model.on(chip.value), inputs, names, TerminalProgress())
            if wide and figure is not None and inputs is not None:
                from neuroprompt.simulators.ways import jaccard_of_ways

                ways = jaccard_of_ways(model, inputs, wide)
        else:
            _data_set.refuse({"input": stimulus}, "either --input or --inputs")
            verified, model, reading = verify_items(
                what,
                data,
                labels,
                names,
                decode=decode,
                steps=steps,
                units=(dt, library, reset),
                split_signs=split_signs,
                wide=wide,
                tuning=tuning,
                chip=chip.value,
                split=split,
                shard=None if shard is None else Shard.parse(shard),
                progress=TerminalProgress(),
            )
            if verified is None:
                return
            result = verified
        if figure is not None:
            from neuroprompt.report.verify_figure import draw_verified

            draw_verified(result, figure, ways)
    suspicious = [] if reading is None else activity_hints(reading, result.rates())
    rows = [row for name, agreement in result.targets.items() for row in _rows(name, agreement)]
    lines = [line for name, agreement in result.targets.items() for line in _differences(name, agreement)]
    lines += [
        *(width_words(model) if wide else ()),
        *(model.tuned.words() if model.tuned else ()),
        *_classes(result),
        *unlike_values(result.targets),
        *of_the_chips(result.targets),
        *result.reference.words(),
    ]
    lines += [f"skipped {name}: {why}" for name, why in result.skipped.items()]
    lines += [f"failed {name}: {why}" for name, why in result.failed.items()]
    nothing = names is not None and bool(result.skipped) and not result.targets
    lines += ["nothing was compared: none of --targets ran"] if nothing else []
    lines += [f"figure in {figure}"] if figure is not None else []
    of = "" if result.items is None else f"{result.items} items of "
    title = f"against the reference ({result.reference.spikes} spikes in {of}{result.reference.steps} steps)"
    of_graph = {} if reading is None else {"reading": reading.json() | {"activity": suspicious}}
    costs = _costs(result, listed_prices)
    if costs:
        lines += [*(f"{name}: {of}" for name, of in _costs_in_words(result, costs)), _data_set.priced(listed_prices)]
    values = result.json() | of_graph | ({"tuned": model.tuned.json()} if model.tuned else {})
    for name, energy in costs.items():
        values["targets"][name]["energy_per_item"] = energy.json()
    emit(values, json, table(title, COLUMNS, rows), ENTRIES, *lines, *suspicious)
    if nothing or not result.agrees:
        raise typer.Exit(1)


def _model(
    what: Path,
    steps: int | None,
    stimulus: str | None,
    units: Units,
    seed: int,
    integers: tuple[bool, Wide | None, Tuning | None],
) -> tuple[SpikingModel, Floats | None, Reading | None]:
    """The model, its inputs where they are not its own, and how its numbers were read where it is a NIR file.

    Tuned integers are tried on a run that was held out.
    """
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.contents import load_tried
    from neuroprompt.compiler.compile import floats_of_graph, tuned_model
    from neuroprompt.compiler.stimuli import inputs_of

    split_signs, wide, tuning = integers
    if not what.is_dir() and tuning is not None:
        flat, runs = graph_with_runs(what, steps, stimulus, units, seed, data_set="--inputs")
        model = tuned_model(flat, runs, tuning, split_signs=split_signs, wide=wide, progress=TerminalProgress())
        return model, runs[tuning.split(RUNS)[1][0]], flat.reading
    if not what.is_dir():
        flat, drive = graph_with_inputs(what, steps, stimulus, units, seed)
        return floats_of_graph(flat, drive, split_signs=split_signs, wide=wide), drive, flat.reading
    if units != (None, None, None) or integers != (False, None, None) or (steps is not None and stimulus is None):
        got = "--from, --dt, --reset, --split-signs, --weight-bits, --tune or --steps for a bundle"
        raise BadSetting(got, "a .nir file", "a bundle has its own")
    model, own, _ = load_tried(Bundle.open(what))
    of_stimulus = None if stimulus is None else inputs_of(stimulus, model.float_program.inputs, model.steps, seed)
    return model, own if of_stimulus is None else of_stimulus, None


def _rows(target: str, agreement: TargetAgreement) -> list[tuple[object, ...]]:
    """One for all of a target, and where it has several nodes one for each."""
    rows: list[tuple[object, ...]] = [(*_row(target, agreement), f"{agreement.seconds:.2f}")]
    if len(agreement.nodes) > 1:
        rows += [(*_row(f"  {name}", node), "") for name, node in agreement.nodes.items()]
    for name, values in agreement.values.items():
        rows.append((f"  {name}", f"{values.max_rel_diff:.1e}", "", "", "", "values", ""))
    return rows


def _row(name: str, agreement: NodeAgreement) -> tuple[object, ...]:
    exact = "100%" if agreement.spike_exact == 1.0 else f"{agreement.spike_exact:.4%}"
    first = agreement.first_mismatch
    at = "" if first is None or first.item is None else f"item {first.item}: "
    where = "none" if first is None else f"{at}{first.step}, {first.neuron}"
    return (name, exact, f"{agreement.jaccard:.4f}", f"{agreement.rate_cosine:.4f}", where, agreement.spikes)


def _differences(target: str, agreement: TargetAgreement) -> list[str]:
    """Why a target differs from the reference, and both potentials at the first mismatch."""
    if agreement.spike_exact == 1.0:
        return []
    line, first = f"{target}: {agreement.cause or 'differs for no known cause'}", agreement.first_mismatch
    if first is not None and first.v is not None and first.reference_v is not None:
        where = f"{first.node} step {first.step} neuron {first.neuron}"
        unit = " in integers" if agreement.integers is not None and first.v else ""
        line += f" (at {where}: potential {first.v:g}{unit}, the reference's {first.reference_v:g})"
    return [line]


def _classes(result: Verification) -> list[str]:
    """How accurate each target is on a data set, and how often its class is another than the reference's."""
    if result.items is None:
        return []
    runs: dict[str, tuple[float | None, int | None]] = {"reference": (result.reference.accuracy, None)}
    runs |= {name: (target.accuracy, target.changed) for name, target in result.targets.items()}
    lines = []
    for name, (accuracy, changed) in runs.items():
        words = [] if accuracy is None else [f"accuracy {accuracy:.2%}"]
        words += [] if changed is None else [f"{changed:,} of {result.items:,} predictions are not the reference's"]
        lines += [f"{name}: {', '.join(words)}"] if words else []
    return lines


def _costs(result: Verification, prices: Prices) -> dict[str, ItemEnergy]:
    """What an item costs on each target; nothing where there is no data set."""
    from neuroprompt.energy.items import item_energy

    counted = {name: target.counts for name, target in result.targets.items()}
    return {name: item_energy(counts, prices) for name, counts in counted.items() if counts is not None}


def _costs_in_words(result: Verification, costs: Mapping[str, ItemEnergy]) -> list[tuple[str, str]]:
    from neuroprompt.simulators.per_item import Spread

    words = []
    for name, energy in costs.items():
        counts = result.targets[name].counts
        assert counts is not None
        spikes, operations = Spread.of(counts.spikes), Spread.of(counts.synops)
        words.append((name, f"an item has {spikes} spikes, {operations} operations, {energy}"))
    return words
