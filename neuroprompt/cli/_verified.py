"""What `verify` prints of integers and of values, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuroprompt.simulators.verify import TargetAgreement


def of_the_chips(targets: Mapping[str, TargetAgreement]) -> list[str]:
    """How integers agree with their emulator's, their scales, and the delays that were taken out of a chip's steps."""
    lines = []
    late: dict[str, dict[str, int]] = {}
    for name, agreement in targets.items():
        exact = agreement.exact_with_emulator
        if exact is not None:
            equal = {True: "spikes, u and v", False: "spikes, but not all states", None: "spikes"}
            what = equal[agreement.states_exact_with_emulator]
            lines.append(
                f"{name}: {what} equal the emulator's" if exact == 1.0 else f"{name}: {exact:.4%} match the emulator's"
            )
        elif agreement.scale_report is not None:
            lines += _scales(name, agreement)
        steps = {node: count for node, count in agreement.delay.items() if count}
        if steps:
            late.setdefault((agreement.integers or "loihi").capitalize(), {}).update(steps)
    for chip, steps in late.items():
        nodes = ", ".join(f"{node} {count}" for node, count in steps.items())
        costs = "a layer of synapses costs one" if chip == "Loihi" else "a layer of synapses behind neurons costs one"
        lines.append(f"delays taken out of {chip}'s targets, in steps ({costs}): {nodes}")
    return lines


def unlike_values(targets: Mapping[str, TargetAgreement]) -> list[str]:
    """What the numbers of nodes without spikes are."""
    words = "values: of a node that never fires, the largest difference over the reference's largest value"
    return [words] if any(agreement.values for agreement in targets.values()) else []


def _scales(name: str, agreement: TargetAgreement) -> Iterator[str]:
    """Units of the chip for one of the graph's, of each population."""
    report = agreement.scale_report or {}
    nodes = []
    for node, of in report["populations"].items():
        low, high = of["scale"]
        nodes.append(f"{node} {low:.4g}" + ("" if low == high else f" to {high:.4g}"))
    yield f"{name}: scales, in its units for one of the graph's: {', '.join(nodes)}"
