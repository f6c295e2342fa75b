"""`neuroprompt export`: turn a run, or a NIR graph of anyone's, into what a target runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import (
    Agreement,
    Dt,
    From,
    Reset,
    SplitSigns,
    Tune,
    WeightBits,
    graph_with_inputs,
    graph_with_runs,
    graph_with_samples,
)
from neuroprompt.cli._output import (
    Json,
    TerminalProgress,
    emit,
    examples,
    facts,
    notes,
    settings,
    stdout_is_ours,
    table,
)
from neuroprompt.cli._panels import panels
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.compiler.flatten import Flat
    from neuroprompt.contracts.deployment import Exported, Exporter, Floats, Precision
    from neuroprompt.contracts.tuning import Tuning
    from neuroprompt.contracts.wide import Wide
    from neuroprompt.training.run_folder import Run


@app.command(
    cls=panels(
        of_a_run="weights best precision calibration-images max-drop",
        of_a_graph="steps input calibrate from dt reset seed encode split-signs weight-bits agreement dump",
    ),
    epilog=examples(
        "export runs/digits --target onnx --out out/onnx",
        "export runs/digits --target onnx --precision int8 --calibration-images 128",
        "export runs/digits --target web --out out/web",
        "export runs/digits --target lava --out out/lava",
        "export runs/digits --target nir --out out/nir",
        "export graph.nir --target lava --steps 100 --input poisson:0.2",
        "export graph.nir --target lava --input pixels.npy --encode rate",
        "export graph.nir --target lava --calibrate samples.npz",
        "export graph.nir --target lava --weight-bits auto --calibrate samples.npz",
        "export graph.nir --target lava --tune 30 --weight-bits auto --calibrate samples.npz",
        "export graph.nir --target lava --calibrate tonic:NMNIST:train:200 --steps 100",
        "export graph.nir --target netx --input spikes.npy --out out/netx",
        "export graph.nir --target c --steps 100 --out out/c",
        "export graph.nir --target lava --steps 100 --dump",
    ),
)
def export(
    what: Annotated[Path, typer.Argument(metavar="RUN|GRAPH.nir", help="A run of 'neuroprompt train', or a NIR file.")],
    target: Annotated[
        str,
        typer.Option(
            help="onnx (backbone with the prompt baked in), web (a page that classifies), lava, netx (lava-dl), nir, c "
            "or c-float32."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where it appears, whole or not at all (default: out/TARGET).")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the target, as package=FILE.tgz of web."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
    best: Annotated[
        bool, typer.Option("--best", help="The best epoch by validation, of a run trained with --best.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Time steps of a graph, where it does not say.")] = None,
    stimulus: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="poisson:RATE|FILE",
            help="What a graph is fitted and tried on: as in verify (default: poisson:0.5, and integers that a file of "
            "'--target nir' carries stay as they are).",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|tonic:NAME", help="Fit a graph's integers on samples instead: a data set as in run --inputs."
        ),
    ] = None,
    library: From = None,
    dt: Dt = None,
    reset: Reset = None,
    seed: Annotated[int, typer.Option(help="Seed of random input spikes, and of --tune.")] = 0,
    encode: Annotated[
        str | None,
        typer.Option(
            metavar="rate|latency|delta", help="Send a graph's numbers as spikes (default: as whole numbers)."
        ),
    ] = None,
    split_signs: SplitSigns = False,
    weight_bits: WeightBits = "8",
    agreement: Agreement = 0.9999,
    tune: Tune = None,
    precision: Annotated[
        str, typer.Option(help="Of a run's ONNX bundle, beside the 32-bit file: int8, int8-dynamic or fp16.")
    ] = "fp32",
    calibration_images: Annotated[int, typer.Option(help="Training images on which 8 bits are calibrated.")] = 64,
    max_drop: Annotated[
        float, typer.Option(help="Points of validation accuracy that fewer bits may lose; more is an error.")
    ] = 1.0,
    show: Annotated[
        bool, typer.Option("--dump", help="Print every stage of the compiler instead, and write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a run or a graph; both sides are run and compared before a file appears."""
    from neuroprompt.compiler.carried import without_integers
    from neuroprompt.compiler.report import bits_words
    from neuroprompt.contracts.deployment import Exporter, Precision
    from neuroprompt.contracts.tuning import Tuning
    from neuroprompt.contracts.wide import Wide
    from neuroprompt.spiking.tuned import Tuned

    wide, tuning, units = Wide.of(weight_bits, agreement), Tuning.of(tune, seed), (dt, library, reset)
    exporter = Exporter.named(target, **Exporter.typed(target, settings(option or [], example="package=FILE.tgz")))
    out = out or Path("out") / target
    if precision == "fp32" and (calibration_images, max_drop) != (64, 1.0):
        raise BadSetting("--calibration-images or --max-drop with 32 bits", "--precision int8")
    if what.is_file() or what.suffix in (".nir", ".hdf5", ".h5"):
        if precision != "fp32":
            raise BadSetting(f"--precision {precision} of a graph", "a run, with --target onnx")
        with stdout_is_ours():
            if calibrate is not None:
                flat, inputs = graph_with_samples(what, steps, calibrate, units)
            else:
                read = graph_with_inputs if tuning is None else graph_with_runs
                flat, inputs = read(what, steps, stimulus, units, seed)
            if not (stimulus is None and calibrate is None):
                flat = replace(flat, graph=without_integers(flat.graph))
            inputs = inputs if encode is None else _encoded(inputs, encode, seed)
            if show:
                text = _dump(flat, inputs, split_signs, wide, tuning)
            else:
                result = exporter.export_graph(
                    flat.graph,
                    out,
                    inputs,
                    name=what.stem,
                    split_signs=split_signs,
                    wide=wide,
                    tuning=tuning,
                    encoding=encode or "",
                    progress=TerminalProgress(),
                )
        if show:
            emit({"dump": text.splitlines()}, json, text)
            return
        _tell(result, flat)
    else:
        of_graphs: dict[str, object] = {
            "--dump": show,
            "--split-signs": split_signs,
            "--weight-bits": wide,
            "--tune": tuning,
            "--encode": encode,
            "--calibrate": calibrate,
            "--from": library,
            "--dt": dt,
            "--reset": reset,
        }
        if refused := [option for option, value in of_graphs.items() if value]:
            got = f"{refused[0]} of a run"
            raise BadSetting(got, "a NIR graph", "export it with --target nir first")
        with stdout_is_ours():
            from neuroprompt.training.run_folder import Run

            result = _of_run(
                exporter, Run.load(what, weights, best=best), out, Precision(precision, calibration_images, max_drop)
            )
    checked = table(f"{target}: {out}", ("checked", "value"), facts(result.figures))
    fewer_bits = [
        table(f"{precision} beside 32 bits", ("measured", "value"), facts(result.figures[precision]))
        for _ in range(precision in result.figures)
    ]
    emit(
        result.json(),
        json,
        checked,
        *fewer_bits,
        *bits_words(result.figures.get("bits", {})),
        *(Tuned(**result.figures["tuned"]).words() if "tuned" in result.figures else ()),
        *result.about.get("placement", {}).get("widths", ()),
    )


def _tell(result: Exported, flat: Flat) -> None:
    """What of a graph is too large for a chip, and that inputs on which nothing fires show nothing."""
    from neuroprompt.compiler.check import FIRING

    for line in result.about.get("placement", {}).get("too_large", ()):
        notes.print(f"does not fit one chip: {line}", markup=False)
    if result.figures.get("spikes") == 0 and any(isinstance(n.node, FIRING) for n in flat.nodes):
        notes.print(
            "check: no neuron fires on these inputs, in float either, so nothing was fitted or compared; "
            "give inputs on which it fires: --input FILE.npy, or --calibrate FILE",
            markup=False,
        )


def _of_run(exporter: Exporter, run: Run, out: Path, precision: Precision) -> Exported:
    if precision.bits == "fp32":
        return exporter.export(run, out, progress=TerminalProgress())
    return exporter.export_reduced(run, out, precision, progress=TerminalProgress())


def _dump(flat: Flat, inputs: Floats, split_signs: bool, wide: Wide | None, tuning: Tuning | None) -> str:
    from neuroprompt.compiler.compile import floats_of_graph, model_of_items
    from neuroprompt.compiler.dump import dump

    if tuning is not None:
        raise BadSetting("--dump with --tune", "one of them")
    fitted = floats_of_graph if inputs.ndim == 2 else model_of_items
    return dump(flat, fitted(flat, inputs, split_signs=split_signs, wide=wide))


def _encoded(inputs: Floats, code: str, seed: int) -> Floats:
    """Spikes for a run, or for each run of a batch with a seed of its own."""
    import numpy as np

    from neuroprompt.compiler.encode import encoded

    if inputs.ndim == 2:
        return encoded(inputs, code, seed)
    return np.stack([encoded(run, code, seed + i) for i, run in enumerate(inputs)])
