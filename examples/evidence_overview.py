"""The overview table of RESULTS.md: every method once, with its accuracy where there is one, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evidence_results import Cost, Results

from neuroprompt.energy.units import si
from neuroprompt.training.statistics import interval

OVERVIEW = {
    "linear": "pixels/linear",
    "vpt-shallow": "others/vpt-shallow",
    "vpt-deep": "eurosat/vpt-deep",
    "spike-nvpt": "eurosat/spike-nvpt",
    "binary-vpt": "eurosat/binary-vpt",
    "binary-vpt, again": "eurosat/sign",
    "gate-vpt": "memory/gates-open",
    "lspt": "memory/lstm",
    "lspt, LIF memory": "memory/lif",
    "spt": "memory/spt",
    "vapt": "memory/vapt",
    "vfpt": "others/vfpt",
    "e2vpt": "others/e2vpt",
    "lora": "others/lora",
    "spike-lora": "others/spike-lora",
    "ssf": "others/ssf",
    "lor-vp": "pixels/lor-vp",
    "lorsp": "pixels/lorsp",
    "lorsp without spikes": "pixels/lpf",
    "evp": "others/evp",
    "ilm-vp": "others/ilm-vp",
    "autovp": "others/autovp",
    "full": "others/full",
}
"""The methods by name, and the study of each: EuroSAT, DeiT-Tiny at 112 pixels."""

COSTED = (*OVERVIEW.values(), "eurosat/logistic-224", "lite/linear", "lite/lor-vp", "lite/lorsp", "lite/logistic-224")
"""The studies whose cost is measured: those of the table, and what else is in the figure of accuracy against joules."""

HEAD = (
    "method", "parameters", "seeds", "clean", "mean, noise", "training", "latency", "latency, same form", "neurons",
    "exported file",
)  # fmt: skip


def share(values: Sequence[float]) -> str:
    """Mean and interval in per cent; the value alone where there is one."""
    per_cent = [100 * value for value in values]
    if len(per_cent) < 2:
        return f"{per_cent[0]:.2f}"
    of = interval(per_cent)
    return f"{of.mean:.2f} [{of.low:.2f}, {of.high:.2f}]"


def rows(results: Results) -> Iterator[tuple[object, ...]]:
    """A row for each method: a dash where there is no figure yet."""
    for name, study in OVERVIEW.items():
        runs, cost = results.of(study), results.costs.get(study)
        accuracy = (len(runs), share([run.clean for run in runs]), share([run.noisy for run in runs])) if runs else ()
        parameters = cost.parameters if cost else runs[0].prompt_parameters if runs else None
        yield (
            name, "-" if parameters is None else f"{parameters:,}", *(accuracy or ("-",) * 3),
            *(_costs(cost) if cost else ("-",) * 5),
        )  # fmt: skip


def _costs(cost: Cost) -> tuple[str, ...]:
    neurons = "-" if cost.neuron_joules is None else f"{si(cost.neuron_joules)}, {cost.neurons_run}"
    return (_ratio(cost.training), _ratio(cost.over_bare), _ratio(cost.over_lean), neurons, si(cost.file_joules))


def _ratio(of: tuple[float, float, float] | None) -> str:
    return "-" if of is None else f"{of[0]:.2f} ({of[1]:.2f} to {of[2]:.2f})"


def measured(results: Results) -> str:
    """Where and when the times were measured, and how many are missing."""
    timed = [cost for study in OVERVIEW.values() if (cost := results.costs.get(study)) and cost.training]
    where = sorted({(cost.machine, cost.threads, cost.date) for cost in timed}, key=str)
    places = "; ".join(f"{machine}, {threads} thread{'s' * (threads != 1)}, {date}" for machine, threads, date in where)
    missing = len(OVERVIEW) - len(timed)
    return (places or "not measured yet") + (f"; {missing} not measured yet" if timed and missing else "")
