"""A program and its inputs for Lava, from files; it rejects what the chip would change in silence."""

from pathlib import Path
from typing import Any

import numpy as np
from program_file import UNREADABLE, read_program_file

NO_MEMORY = {"float": 1.0, "fixed": 4095}
LIMITS = {"vth": (0, 2**17 - 1), "du": (0, 4095), "dv": (0, 4095), "bias_exp": (0, 7), "bias": (-4096, 4095)}


def read_program(path: Path, precision: str) -> dict[str, Any]:
    """A program file for Lava; exits with one line where it is none, or the chip would change it in silence."""
    try:
        program = read_program_file(path)
    except UNREADABLE as error:
        raise SystemExit(f"{path} is not a program ({error})") from error
    if program["precision"] != precision:
        raise SystemExit(f"{path} holds a {program['precision']} program; expected a {precision} one")
    for population in program["populations"]:
        check(population, precision)
    for projection in program["projections"]:
        if precision == "fixed" and not within(numbers(projection["weights"]), -256, 255):
            raise SystemExit(f"weights into {projection['target']} must be integers from -256 to 255")
    return program


def check(population: dict[str, Any], precision: str) -> None:
    """Refuse what Lava would take without a word and compute otherwise than the chip."""
    name, late = population["name"], population["depth"] > 0 and np.any(population["bias"])
    if precision == "fixed" and population.get("hold"):
        raise SystemExit(f"population {name}: Lava's LIFRefractory has no fixed-point model")
    if precision == "fixed":
        for key, (low, high) in LIMITS.items():
            if not within(population[key], low, high):
                raise SystemExit(f"population {name}: {key} must hold integers from {low} to {high}")
        if late and np.any(bias_of(population) % 64):
            raise SystemExit(f"population {name}: a bias that begins late must be a multiple of 64")
    if late and np.any(population["du"] != NO_MEMORY[precision]):
        raise SystemExit(f"population {name}: a bias that begins late needs du = {NO_MEMORY[precision]}")


def within(values: Any, low: int, high: int) -> bool:
    """Whether all values are integers from low to high."""
    return bool(np.all((np.asarray(values) >= low) & (np.asarray(values) <= high) & (values == np.rint(values))))


def numbers(weights: Any) -> Any:
    """All weights that are stored, as one array."""
    return weights if isinstance(weights, np.ndarray) else weights.data


def bias_of(population: dict[str, Any]) -> Any:
    """What the bias adds to v at every step, in fixed point."""
    return np.asarray(population["bias"]).astype(np.int64) << population["bias_exp"]


def from_host(population: dict[str, Any], precision: str, steps: int) -> Any:
    """What the host sends to a population at every step of the graph, (steps, n), or None where it is nothing.

    Currents, and the bias of a population behind others: LIF's own bias would begin at chip step 0. Synaptic input is
    shifted by 6, so a fixed bias is sent without its shift.
    """
    rows = np.zeros((steps, population["size"]), np.int32 if precision == "fixed" else float)
    if population["depth"]:
        rows += np.asarray(bias_of(population) >> 6 if precision == "fixed" else population["bias"], rows.dtype)
    for onset, values in population["currents"]:
        rows[onset:] += np.asarray(values, rows.dtype)
    return rows if rows.any() else None


def read_inputs(program: dict[str, Any], path: Any) -> Any:
    """What is sent, (steps, inputs): spikes as bool, or numbers; of a file of several runs a list of them."""
    expected = (program["steps"], program["inputs"])
    if path is None and any(p["source"] == "input" for p in program["projections"]):
        raise SystemExit(f"this program needs --inputs, an .npy of {expected}: steps, lines")
    inputs = np.zeros(expected) if path is None else np.load(path, allow_pickle=False)
    if inputs.ndim == len(expected) + 1 and len(inputs):
        return [sent_for(program, run, path) for run in inputs]
    return sent_for(program, inputs, path)


def sent_for(program: dict[str, Any], inputs: Any, path: Any) -> Any:
    """What is sent for the inputs of one run."""
    expected = (program["steps"], program["inputs"])
    heard = [p for p in program["projections"] if p["source"] == "input"]
    scale = program.get("input_scale", 0)
    numbered, spikes = bool(scale) or program["precision"] == "float", within(inputs, 0, 1)
    if inputs.shape != expected or not (numbered or spikes):
        wanted = f"{'' if numbered else 'spikes of 0 and 1, '}{expected}"
        raise SystemExit(f"{path} holds {inputs.shape}; expected {wanted}")
    if not scale:
        return inputs.astype(bool if spikes else float)
    sent = np.rint(inputs * scale)
    if reach(heard, sent) > LIMITS["vth"][1]:
        raise SystemExit(f"{path} holds {np.abs(inputs).max()}, too large for the chip: more than it was fitted on")
    return sent.astype(np.int32)


def reach(heard: Any, sent: Any) -> float:
    """The largest magnitude that numbers add up to in any population, delays left out; infinite beyond 32 bits."""
    totals: dict[str, Any] = {}
    for p in heard:
        w = p["weights"]
        sums = w * sent if w.ndim == 1 else np.asarray(w @ sent.T).T
        if np.abs(sums).max(initial=0) >= 2**31:
            return float("inf")
        totals[p["target"]] = totals.get(p["target"], 0) + sums * 2.0 ** p["exponent"]
    return max((float(np.abs(total).max(initial=0)) for total in totals.values()), default=0.0)
