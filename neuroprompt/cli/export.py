"""`neuroprompt export`: turn a run, or a NIR graph of anyone's, into what a target runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import Dt, From, SplitSigns, graph_with_inputs, graph_with_samples
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, facts, notes, stdout_is_ours, table
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.compiler.flatten import Flat
    from neuroprompt.contracts.deployment import Floats


@app.command(
    epilog=examples(
        "export runs/digits --target onnx --out out/onnx",
        "export runs/digits --target lava --out out/lava",
        "export runs/digits --target nir --out out/nir",
        "export graph.nir --target lava --steps 100 --input poisson:0.2",
        "export graph.nir --target lava --input pixels.npy --encode rate",
        "export graph.nir --target lava --calibrate samples.npz",
        "export graph.nir --target netx --input spikes.npy --out out/netx",
        "export graph.nir --target c --steps 100 --out out/c",
        "export graph.nir --target lava --steps 100 --dump",
    )
)
def export(
    what: Annotated[Path, typer.Argument(metavar="RUN|GRAPH.nir", help="A run of 'neuroprompt train', or a NIR file.")],
    target: Annotated[
        str, typer.Option(help="onnx (backbone with the prompt baked in), lava, netx (lava-dl), nir, c or c-float32.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where it appears, whole or not at all (default: out/TARGET).")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
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
        typer.Option(metavar="FILE", help="Fit a graph's integers on samples instead: a data set as in run --inputs."),
    ] = None,
    library: From = None,
    dt: Dt = None,
    seed: Annotated[int, typer.Option(help="Seed of random input spikes.")] = 0,
    encode: Annotated[
        str | None,
        typer.Option(
            metavar="rate|latency|delta", help="Send a graph's numbers as spikes (default: as whole numbers)."
        ),
    ] = None,
    split_signs: SplitSigns = False,
    show: Annotated[
        bool, typer.Option("--dump", help="Print every stage of the compiler instead, and write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a run or a graph; both sides are run and compared before a file appears."""
    from neuroprompt.compiler.carried import without_integers
    from neuroprompt.compiler.report import bits_words
    from neuroprompt.contracts.deployment import Exporter

    exporter = Exporter.named(target)
    out = out or Path("out") / target
    if what.is_file() or what.suffix in (".nir", ".hdf5", ".h5"):
        with stdout_is_ours():
            if calibrate is None:
                flat, inputs = graph_with_inputs(what, steps, stimulus or "poisson:0.5", dt, seed, library)
            else:
                flat, inputs = graph_with_samples(what, steps, calibrate, dt, library)
            if stimulus is not None or calibrate is not None:
                flat = replace(flat, graph=without_integers(flat.graph))
            if encode is not None:
                inputs = _encoded(inputs, encode, seed)
            if show:
                text = _dump(flat, inputs, split_signs)
            else:
                name, progress = what.stem, TerminalProgress()
                result = exporter.export_graph(
                    flat.graph,
                    out,
                    inputs,
                    name=name,
                    split_signs=split_signs,
                    encoding=encode or "",
                    progress=progress,
                )
        if show:
            emit({"dump": text.splitlines()}, json, text)
            return
        for line in result.about.get("placement", {}).get("too_large", ()):
            notes.print(f"does not fit one chip: {line}", markup=False)
    else:
        of_graphs: dict[str, object] = {
            "--dump": show,
            "--split-signs": split_signs,
            "--encode": encode,
            "--from": library,
            "--dt": dt,
        }
        of_graphs["--calibrate"] = calibrate
        if refused := [option for option, value in of_graphs.items() if value]:
            got = f"{refused[0]} of a run"
            raise BadSetting(got, "a NIR graph", "export it with --target nir first")
        with stdout_is_ours():
            from neuroprompt.training.run_folder import Run

            result = exporter.export(Run.load(what, weights), out, progress=TerminalProgress())
    checked = table(f"{target}: {out}", ("checked", "value"), facts(result.figures))
    emit(result.json(), json, checked, *bits_words(result.figures.get("bits", {})))


def _dump(flat: Flat, inputs: Floats, split_signs: bool) -> str:
    from neuroprompt.compiler.compile import floats_of_graph, model_of_items
    from neuroprompt.compiler.dump import dump

    fitted = floats_of_graph if inputs.ndim == 2 else model_of_items
    return dump(flat, fitted(flat, inputs, split_signs=split_signs))


def _encoded(inputs: Floats, code: str, seed: int) -> Floats:
    """Spikes for a run, or for each run of a batch with a seed of its own."""
    import numpy as np

    from neuroprompt.compiler.encode import encoded

    if inputs.ndim == 2:
        return encoded(inputs, code, seed)
    return np.stack([encoded(run, code, seed + i) for i, run in enumerate(inputs)])
