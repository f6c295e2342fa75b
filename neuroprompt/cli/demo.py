"""`neuroprompt demo`: the main job on embedded weights and data, over the same functions that the verbs call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import neuroprompt as npt
from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import RuntimeMissing
from neuroprompt.extras import need

METHODS = ("linear", "spike-nvpt")
PROMPT = METHODS[1]


@app.command(epilog=examples("demo", "demo --out somewhere --json"))
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the runs, the bundles and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    json: Json = False,
) -> None:
    """Train a Spike-NVPT prompt on the embedded set, bake it, run it on Loihi's simulator, verify it, price it.

    This takes a few minutes on two cores and downloads nothing but packages. At the end is a report for your browser.
    """
    need("train")
    with stdout_is_ours():
        result = _demo(out, seed, TerminalProgress())
    emit(result.json(), json, table("demo", ("", "value"), result.rows()), f"report: {result.report.report}")


@dataclass(frozen=True)
class Demo:
    """What every verb gave, and the seconds of all of them."""

    accuracy: Mapping[str, npt.Accuracy]
    exported: Mapping[str, npt.Exported]
    verify: npt.Verification
    bench: npt.LatencyBenchmark
    energy: npt.EnergyEstimate
    same_bits: bool
    report: npt.Report
    seconds: float

    def json(self) -> dict[str, object]:
        """The results of the verbs, by name."""
        return {
            "accuracy": {method: accuracy.json() for method, accuracy in self.accuracy.items()},
            **{target: exported.json() for target, exported in self.exported.items()},
            "verify": self.verify.json(),
            "bench": self.bench.json(),
            "energy": self.energy.json(),
            "same_bits": self.same_bits,
            "report": str(self.report.report),
            "seconds": self.seconds,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The same in short."""
        from neuroprompt.energy.units import si

        rows = []
        for method, accuracy in self.accuracy.items():
            noisy = sum(accuracy.noise.values()) / len(accuracy.noise)
            rows.append((f"accuracy of {method}, clean / mean under noise", f"{accuracy.clean:.1%} / {noisy:.1%}"))
        entries = self.verify.reference.steps * self.verify.reference.neurons
        for name, target in self.verify.targets.items():
            agreed = f"{target.spike_exact:.2%} of {entries:,} entries match, {target.spikes:,} spikes"
            rows.append((f"{name} against the reference", agreed))
        rows += [(f"{name} against the reference", f"FAILED: {why}") for name, why in self.verify.failed.items()]
        if self.verify.skipped:
            skipped = ", ".join(self.verify.skipped)
            rows.append(("not run", f"{skipped} (see 'neuroprompt verify' of the bundle)"))
        baked, naive = (self.bench.ratio[f"{form}_over_bare"] for form in ("baked", "naive"))
        return [
            *rows,
            ("prompt bits on the chip and in the baked graph", "the same" if self.same_bits else "DIFFERENT"),
            ("largest difference, baked against PyTorch", f"{self.bench.max_abs_diff:.1e}"),
            ("time over the bare backbone (middle half): baked / naive", f"{baked} / {naive}"),
            ("generator, once at deployment (estimated)", si(self.energy.generator.joules_per_deployment)),
            ("backbone, every image (estimated)", si(self.energy.backbone.joules_per_image)),
            ("seconds in all", f"{self.seconds:.0f}"),
        ]


def _demo(out: Path, seed: int, progress: TerminalProgress) -> Demo:
    from neuroprompt.report.write import NOISES, ROUNDS

    started = time.perf_counter()
    progress.say("1/7  train: a spiking prompt and, for comparison, a linear probe")
    runs, accuracy = {}, {}
    for method in METHODS:
        config = npt.configure(method=method, seed=seed, epochs=6, batch=32)
        runs[method] = npt.train(config, out / "runs" / method, progress)
        accuracy[method] = npt.evaluate(runs[method], NOISES, progress=progress)
    progress.say("2/7  export: the backbone with the prompt baked in, and the spiking part")
    exported = {
        target: npt.export(runs[PROMPT], out / target, target=target, progress=progress) for target in ("onnx", "lava")
    }
    onnx, lava = (npt.Bundle.open(out / target) for target in exported)
    progress.say("3/7  Lava's runtime: built once, in your cache folder")
    _install_lava(progress)
    progress.say("4/7  verify: every available target against the reference, spike by spike")
    verified = npt.verify(npt.load_model(lava), progress=progress)
    progress.say("5/7  bench: baked beside naive and bare")
    timed = npt.bench(onnx, rounds=ROUNDS, progress=progress)
    progress.say("6/7  energy: estimated from counts, not measured")
    priced = npt.energy(lava)
    progress.say("7/7  report: all of it on one page")
    written = npt.report(
        [runs[PROMPT].folder, onnx.folder, lava.folder, runs["linear"].folder],
        out / "report.html",
        known={
            **{runs[method].folder: [accuracy[method]] for method in METHODS},
            onnx.folder: [timed],
            lava.folder: [verified],
        },
        command=["neuroprompt", "demo", "--out", str(out)],
        progress=progress,
    )
    same_bits = lava.about["bits_sha256"] == onnx.about["bits_sha256"]
    seconds = round(time.perf_counter() - started, 1)
    return Demo(accuracy, exported, verified, timed, priced, same_bits, written, seconds)


def _install_lava(progress: TerminalProgress) -> None:
    lava = npt.Target.part("lava")
    if not lava.available().ok:
        try:
            lava.install()
        except RuntimeMissing as error:
            progress.say(f"     left out: {error}")
