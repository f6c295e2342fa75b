"""What timing a model's graphs gave: milliseconds, ratios, and what each graph multiplies; read back from JSON too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from neuroprompt.benchmarks.rounds import Middles, from_json, medians, quartiles
from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import NOTE, estimate
from neuroprompt.spiking.activity import Activity

PRICES = "horowitz-45nm-fp32"
PLAIN = ("max_abs_diff", "max_rel_diff", "top1_agreement", "batch", "rounds", "threads")


@dataclass(frozen=True)
class LatencyBenchmark:
    """Forms of one model, timed in turn; `neuroprompt.benchmarks.latency.bench_model` says what they are.

    ms              milliseconds of a run of `batch` images, by form
    ratio           A_over_bare of every form A, baked_over_lean, baked_fused_over_baked, baked_fused_over_lean_fused
    nodes, macs     operators of each graph, and its multiply-accumulates an image; macs_int8 of them are 8-bit
    measured        joules an image that this machine's counters measured (RAPL), bare and baked; empty without counters
    bytes           of each file; a fused one that shares its weights with the portable one holds the rest alone
    accuracy        of a bundle's files, where its export measured them (on validation images)
    max_abs_diff    largest difference of the baked graph's logits from PyTorch's; max_rel_diff: of the logits' range
    top1_agreement  share of images whose class is the same
    missing         runtimes that were not at hand, with the reason
    cpu_time        whether `ms` and `ratio` are processor time, and not that of a clock on the wall
    """

    ms: Middles
    ratio: Middles
    nodes: Mapping[str, int]
    macs: Mapping[str, int]
    max_abs_diff: float
    max_rel_diff: float
    top1_agreement: float
    batch: int
    rounds: int
    threads: int
    macs_int8: Mapping[str, int] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    cpu_time: bool = False

    @property
    def energy_delay(self) -> dict[str, float]:
        """Joule seconds of an image by form: estimated joules, all forms at the same prices, times measured seconds."""
        return {name: joules * self.seconds(name) for name, joules in self.joules.items()}

    @property
    def energy_delay_measured(self) -> dict[str, float]:
        """The same with measured joules, of the forms that have them."""
        return {name: joules * self.seconds(name) for name, joules in self.measured.items()}

    def seconds(self, form: str) -> float:
        """The median time of an image."""
        return self.ms[form].median * 1e-3 / self.batch

    @property
    def joules(self) -> dict[str, float]:
        """Estimated joules of each graph's multiply-accumulates alone, an image."""
        prices = Prices.named(PRICES)
        eight = self.macs_int8
        return {
            name: estimate(Activity(macs=macs, macs_int8=eight.get(name, 0)), prices).joules
            for name, macs in self.macs.items()
        }

    @property
    def fastest(self) -> str:
        """The faster of the forms that a bundle holds, by what `run --form` calls it."""
        fused = self.ratio.get("baked_fused_over_baked")
        return "fused" if fused is not None and fused.median < 1 else "portable"

    @property
    def note(self) -> str:
        """What the joules are."""
        return f"joules an image: {NOTE.lower()}; {Prices.named(PRICES).title}, multiply-accumulates alone"

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {
            "ratio": medians(self.ratio),
            "ratio_quartiles": quartiles(self.ratio),
            "ms": medians(self.ms),
            "ms_quartiles": quartiles(self.ms),
            "nodes": dict(self.nodes),
            "macs": dict(self.macs),
            "macs_int8": dict(self.macs_int8),
            "bytes": dict(self.bytes),
            "accuracy": dict(self.accuracy),
            **{key: getattr(self, key) for key in PLAIN},
            "joules": self.joules,
            "energy_delay_js": self.energy_delay,
            "measured": dict(self.measured),
            "missing": dict(self.missing),
            "energy_delay_measured_js": self.energy_delay_measured,
            "fastest": self.fastest,
            "note": self.note,
            "cpu_time": self.cpu_time,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `json` wrote; raises KeyError, TypeError."""
        times = from_json(values["ms"], values["ms_quartiles"])
        ratios = from_json(values["ratio"], values["ratio_quartiles"])
        more = {key: values.get(key, {}) for key in ("macs_int8", "bytes", "accuracy", "measured", "missing")}
        cpu = bool(values.get("cpu_time", False))
        return cls(
            times, ratios, values["nodes"], values["macs"], **{key: values[key] for key in PLAIN}, **more, cpu_time=cpu
        )
