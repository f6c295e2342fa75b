"""Small nets made, exported and run by six libraries in their own packages, beside the NIR file compiled here.

As a script it prints the table of docs/libraries.md: python tests/helpers/libraries.py [LIBRARY ...].
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel

SCRIPTS = Path(__file__).parents[1] / "field" / "exporters"


@dataclass(frozen=True)
class Net:
    """A net of a library's script: what must be typed for its file, and whether it then fires as there.

    `late`: the library fires a step late, so that a spike of layer k is k steps earlier here. `several`: potentials
    reach two thresholds, where the library fires more often, or subtracts again.
    """

    library: str
    name: str
    what: str
    option: str = ""
    dt: float | None = None
    reproducible: bool = True
    silent: bool = False
    reset: str = ""
    late: bool = False
    several: bool = False


NETS = (
    Net("snntorch", "leaky_zero", 'Leaky, "zero"'),
    Net("snntorch", "leaky_zero_at_once", 'Leaky, "zero", reset_delay=False'),
    Net("snntorch", "leaky_subtract", 'Leaky, "subtract" (its default)', reproducible=False),
    Net("snntorch", "leaky_subtract", 'Leaky, "subtract" (its default)', "snntorch", reset="subtract"),
    Net("snntorch", "leaky_subtract_at_once", 'Leaky, "subtract", reset_delay=False', reset="subtract", several=True),
    Net("snntorch", "leaky_calm", "the same, with smaller weights", reset="subtract"),
    Net("snntorch", "rleaky_zero_at_once", 'RLeaky, "zero", reset_delay=False'),
    Net("snntorch", "rleaky_zero", 'RLeaky, "zero"', "snntorch"),
    Net("snntorch", "synaptic_zero_at_once", 'Synaptic, "zero", reset_delay=False'),
    Net("snntorch", "synaptic_zero", 'Synaptic, "zero"', "snntorch"),
    Net("snntorch", "rleaky_subtract", 'RLeaky, "subtract" (its default)', "snntorch", reset="subtract"),
    Net("snntorch", "synaptic_subtract", 'Synaptic, "subtract" (its default)', "snntorch", reset="subtract"),
    Net("norse", "if", "IAFCell"),
    Net("norse", "lif", "LIFBoxCell", "norse"),
    Net("norse", "cuba", "LIFCell", "norse"),
    Net("sinabs", "if", "IAFSqueeze, SingleSpike, MembraneReset"),
    Net("sinabs", "lif", "LIFSqueeze, the same", "sinabs"),
    Net("sinabs", "lif_0d", "LIFSqueeze, one tau", "sinabs"),
    Net("sinabs", "lif_norm_input_false", "LIFSqueeze, norm_input=False", "sinabs-unnormed"),
    Net("sinabs", "if_default", "IAFSqueeze, its defaults", reproducible=False),
    Net("sinabs", "lif_default", "LIFSqueeze, its defaults", "sinabs", reproducible=False),
    Net("sinabs", "if_default", "IAFSqueeze, its defaults", reset="subtract", several=True),
    Net("sinabs", "if_single", "IAFSqueeze, SingleSpike", reset="subtract"),
    Net("sinabs", "lif_default", "LIFSqueeze, its defaults", "sinabs", reset="subtract"),
    Net("spikingjelly", "if", "IFNode"),
    Net("spikingjelly", "if_dt_1e-3", "IFNode, dt=1e-3", "spikingjelly", 1e-3),
    Net("spikingjelly", "lif", "LIFNode"),
    Net("spikingjelly", "lif_no_decay_input", "LIFNode, decay_input=False"),
    Net("spikingjelly", "lif_dt_1e-3", "LIFNode, dt=1e-3", "spikingjelly", 1e-3),
    Net("spikingjelly", "cuba", "CUBALIFNode"),
    Net("spikingjelly", "cuba_dt_1e-3", "CUBALIFNode, dt=1e-3"),
    Net("rockpool", "lif", "LIFNeuronTorch", reproducible=False),
    Net("rockpool", "lif", "LIFNeuronTorch", reset="subtract", several=True),
    Net("rockpool", "lif_single", "LIFNeuronTorch, max_spikes_per_dt=1", reset="subtract"),
    Net("rockpool", "lif_silent", "LIFNeuronTorch, no spikes", silent=True),
    Net("rockpool", "cuba", "LIFTorch", reproducible=False),
    Net("rockpool", "cuba", "LIFTorch", reset="subtract", several=True),
    Net("rockpool", "cuba_single", "LIFTorch, max_spikes_per_dt=1", reset="subtract"),
    Net("rockpool", "cuba_silent", "LIFTorch, no spikes", silent=True),
    Net("spyx", "if", "IF", reproducible=False),
    Net("spyx", "if_unbiased", "IF, no bias", "spyx", reset="subtract", late=True),
    Net("spyx", "if_silent", "IF, no spikes", silent=True),
    Net("spyx", "lif", "LIF", reproducible=False),
    Net("spyx", "lif_unbiased", "LIF, no bias", reset="subtract", late=True),
    Net("spyx", "lif_silent", "LIF, no spikes", silent=True),
    Net("spyx", "cuba", "CuBaLIF", reproducible=False),
    Net("spyx", "cuba_unbiased", "CuBaLIF, no bias", reset="subtract", late=True),
    Net("spyx", "cuba_silent", "CuBaLIF, no spikes", silent=True),
)


@dataclass(frozen=True)
class Row:
    """A net run by its library, and its file run here: spikes and matching entries by layer, or potentials."""

    net: Net
    assumed: str
    hints: tuple[str, ...]
    spikes: tuple[tuple[int, int], ...] = ()
    matching: tuple[float, ...] = ()
    difference: float | None = None
    several: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table: library, net, option, spikes theirs and ours, matching entries."""
        option = f"--from {self.net.option}" if self.net.option else "recognised" if self.assumed else "none"
        option += f" --dt {self.net.dt:g}" if self.net.dt else ""
        option = f"{option}, --reset {self.net.reset}".removeprefix("none, ") if self.net.reset else option
        if self.difference is not None:
            return self.net.library, self.net.what, option, "", f"potentials within {self.difference:.0e}"
        spikes = ", ".join(f"{theirs} / {ours}" for theirs, ours in self.spikes)
        return self.net.library, self.net.what, option, spikes, ", ".join(f"{share:.1%}" for share in self.matching)


def packages_of(library: str) -> str:
    """The folder of a library's own packages, built where it is not, for PYTHONPATH; "" where they are ours."""
    part = SpikingTarget.part(library)
    if not issubclass(part, OwnRuntimeTarget):
        return ""
    part.install()
    return str(part.runtime.folder)


def python_of(library: str) -> str:
    """The interpreter that runs a library's packages."""
    part = SpikingTarget.part(library)
    return str(part.runtime.executable) if issubclass(part, OwnRuntimeTarget) else sys.executable


def rows_of(library: str) -> Iterator[Row]:
    """All nets of a library, made, exported and run there in a child process, then compiled and run here."""
    with tempfile.TemporaryDirectory() as folder:
        script, environment = SCRIPTS / f"{library}_nets.py", os.environ | {"PYTHONPATH": packages_of(library)}
        command = [sys.executable, str(script), folder]
        subprocess.run(command, env=environment, check=True, timeout=600, capture_output=True)
        for net in NETS:
            if net.library == library:
                yield _row(net, Path(folder))


def _row(net: Net, folder: Path) -> Row:
    with np.load(folder / f"{net.name}.npz") as file:
        recorded: dict[str, Any] = {key: file[key] for key in file.files}
    inputs = recorded.pop("inputs").astype(np.float64)
    graph = read_graph(folder / f"{net.name}.nir", net.dt, net.option or None, net.reset or None)
    reading, program = reading_of(graph), lower(graph, len(inputs))
    model = SpikingModel(graph, program, program)
    ours = SpikingTarget.named("reference").run(model, inputs, "float", states=True)
    chip = SpikingTarget.named("loihi").run(model, inputs, "float")
    for name, spikes in ours.spikes.items():  # what is compiled is what the file says, whatever the library does
        assert np.array_equal(spikes, chip.spikes[name]), name
    if net.silent:
        theirs, potential = recorded["potential1"], next(iter(ours.v.values()))
        return Row(net, reading.assumed, reading.hints, difference=float(np.abs(potential - theirs).max()))
    counts: list[tuple[int, int]] = []
    matching: list[float] = []
    for k, fired in enumerate(ours.spikes.values(), start=1):
        library = recorded[f"layer{k}"] > 0
        ours_here = fired[:-k] if net.late else fired
        library = library[k:] if net.late else library
        counts.append((int(library.sum()), int(ours_here.sum())))
        matching.append(float((library == ours_here).mean()))
    several = sum(verify(model, inputs, []).reference.several.values())
    return Row(net, reading.assumed, reading.hints, tuple(counts), tuple(matching), several=several)


def main() -> None:
    """Print the table, in Markdown."""
    print("| library | net | needed | spikes, theirs / ours | matching entries |")
    print("|---|---|---|---|---|")
    for library in sys.argv[1:] or dict.fromkeys(net.library for net in NETS):
        for row in rows_of(library):
            print("| " + " | ".join(row.cells) + " |")


if __name__ == "__main__":
    main()
