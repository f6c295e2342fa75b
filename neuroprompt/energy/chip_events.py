"""What the cores of a Loihi 1 do in every step of a run of a placed program: updates, spikes, messages, hops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroprompt.compiler.mapping import Placement
from neuroprompt.compiler.pieces import NEURONS
from neuroprompt.spiking.program import Population, Program

Array = NDArray[Any]


@dataclass(frozen=True)
class ChipEvents:
    """A run of T chip steps, which are the graph's steps and the depth of the program.

    Senders are all neurons, core by core, and then the input lines, which take cores of their own, 1,024 each.

    home      the core of every sender (S,), those of input lines numbered behind the others
    fired     which spike, (T, S); `updated` which neurons have a potential, an input or a bias that is not 0, or fire
    neurons   how many of the senders are neurons; the rest are input lines
    sender, core, synapses    of every axon (A,), by sender: who sends, to which core, and how many synapses it meets
    across, along             hops of every axon between columns and between rows of tiles
    tiles     how many tiles are in use
    """

    home: NDArray[np.int64]
    fired: NDArray[np.bool_]
    updated: NDArray[np.bool_]
    neurons: int
    sender: NDArray[np.int64]
    core: NDArray[np.int64]
    synapses: NDArray[np.int64]
    across: NDArray[np.int64]
    along: NDArray[np.int64]
    tiles: int

    @property
    def counts(self) -> dict[str, int]:
        """The events of the whole run, which do not overlap.

        Of every neuron's update in every step: active where it fires, inactive where it is updated otherwise, else
        idle. A message is a spike to one core that listens, those of input lines included.
        """
        fired, updated = int(self.fired[:, : self.neurons].sum()), int(self.updated.sum())
        times = self.fired.sum(axis=0)[self.sender]
        return {
            "synops": int(times @ self.synapses),
            "updates_active": fired,
            "updates_inactive": updated - fired,
            "updates_idle": self.updated.size - updated,
            "messages": int(times.sum()),
            "hops_x": int(times @ self.across),
            "hops_y": int(times @ self.along),
        }


def chip_events(
    program: Program, emitted: Mapping[str, Array], potentials: Mapping[str, Array], placement: Placement
) -> ChipEvents:
    """The events of a run: `emitted` (T, n) are the spikes of "input" and of every population.

    `potentials` are v after the reset, (T, n), of every population.
    """
    steps, depth = program.steps, program.depth
    by_name = {p.name: p for p in program.populations}
    start: dict[str, NDArray[np.int64]] = {name: np.zeros(p.size, np.int64) for name, p in by_name.items()}
    home: list[int] = []
    for number, core in enumerate(placement.cores):
        for name, (first, count) in core.holds.items():
            start[name][first : first + count] = np.arange(len(home), len(home) + count)
            home += [number] * count
    neurons, own = len(home), len(placement.cores)
    start["input"] = np.arange(neurons, neurons + program.inputs)
    home += [own + line // NEURONS for line in range(program.inputs)]
    fired = np.zeros((steps + depth, len(home)), bool)
    updated = np.zeros((steps + depth, neurons), bool)
    fired[:steps, start["input"]] = emitted["input"] != 0
    for name, p in by_name.items():
        rows = slice(p.depth, p.depth + steps)
        fired[rows, start[name]] = emitted[name] != 0
        updated[rows, start[name]] = _updated(program, p, emitted, potentials[name])
        if np.any(p.bias):
            updated[: p.depth, start[name]] = np.asarray(p.bias) != 0
    parts = [_axons(program, start, np.array(home)[:neurons], own)] if program.projections else []
    sender, core_of, synapses = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else _NO_AXONS
    order = np.argsort(sender, kind="stable")
    sender, core_of, synapses = sender[order], core_of[order], synapses[order]
    tiles = np.array([core.tile for core in placement.cores] + list(placement.lines or [(0, 0)])).reshape(-1, 2)
    ends = np.minimum(np.array(home)[sender], len(tiles) - 1)
    apart = np.abs(tiles[ends] - tiles[core_of]) * ((ends < own) | bool(placement.lines))[:, None]
    return ChipEvents(
        np.array(home), fired, updated, neurons, sender, core_of, synapses, apart[:, 0], apart[:, 1], placement.tiles
    )


_NO_AXONS = (np.zeros(0, np.int64),) * 3


def _axons(
    program: Program, start: Mapping[str, Array], home: NDArray[np.int64], cores: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(sender, core, synapses) of every axon: a sender's synapses in one core, by list."""
    senders, reached, fans = [], [], []
    for q in program.projections:
        met = csr_matrix(q.weights.rows() != 0).tocoo()
        pairs = start[q.source][met.col] * cores + home[start[q.target][met.row]]
        unique, fan = np.unique(pairs, return_counts=True)
        senders.append(unique // cores)
        reached.append(unique % cores)
        fans.append(fan)
    return np.concatenate(senders), np.concatenate(reached), np.concatenate(fans)


def _updated(program: Program, p: Population, emitted: Mapping[str, Array], v: Array) -> NDArray[np.bool_]:
    """Where its neurons have something to do, (T, n): v was not 0, a spike arrives, a bias is added, or they fire."""
    busy = np.broadcast_to(np.asarray(p.bias) != 0, v.shape).copy()
    busy[1:] |= v[:-1] != 0
    busy |= emitted[p.name] != 0
    for onset, values in p.currents:
        busy[onset:] |= values != 0
    for q in program.into(p.name):
        sent = (emitted[q.source] != 0)[: max(0, program.steps - q.lag)].astype(np.float32)
        met = csr_matrix(q.weights.rows() != 0).astype(np.float32)
        busy[q.lag :] |= np.asarray((met @ sent.T).T) > 0
    return busy
