"""An estimate in three lines: the generator, the backbone, and their total where a total has a meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import NOTE, Estimate, estimate
from neuroprompt.spiking.activity import Activity

if TYPE_CHECKING:
    from neuroprompt.energy.count_bundle import Counts

PRICES = ("loihi", "horowitz-45nm-fp32")
"""The default lists of the generator and of the backbone."""


@dataclass(frozen=True)
class Line:
    """One part's estimate; `once`: paid at deployment alone, and not for every image."""

    estimate: Estimate
    once: bool = False

    @property
    def joules(self) -> float:
        """One run of the generator, or one image through the backbone."""
        return self.estimate.joules

    @property
    def range(self) -> tuple[float, float]:
        """The low and high end of `joules`."""
        return self.estimate.range

    @property
    def prices(self) -> Prices:
        """The price list."""
        return self.estimate.prices

    @property
    def activity(self) -> Activity:
        """What was counted."""
        return self.estimate.activity

    @property
    def joules_per_deployment(self) -> float:
        """What is paid once."""
        return self.joules if self.once else 0.0

    @property
    def joules_per_image(self) -> float:
        """What every image costs."""
        return 0.0 if self.once else self.joules

    def json(self) -> dict[str, object]:
        """The estimate, and how often it is paid."""
        return self.estimate.json() | {
            "joules": self.joules,
            "joules_per_deployment": self.joules_per_deployment,
            "joules_per_image": self.joules_per_image,
        }


@dataclass(frozen=True)
class Total:
    """The sum of a generator's and a backbone's line.

    An all-in price and a price per term have no sum with a meaning: then every figure is None. `share_generator` is the
    generator's part of `joules`, as if it ran for every image, and `share_generator_per_image` its part of
    `joules_per_image`; None where there is nothing to have a share of.
    """

    generator: Line
    backbone: Line

    @property
    def comparable(self) -> bool:
        """Whether the sum has a meaning."""
        same = self.generator.prices.scope == self.backbone.prices.scope
        return same or not (self.generator.joules and self.backbone.joules)

    @property
    def joules(self) -> float | None:
        """One run of the generator and one image."""
        return self._sum(self.generator.joules, self.backbone.joules)

    @property
    def joules_per_deployment(self) -> float | None:
        """What is paid once."""
        return self._sum(self.generator.joules_per_deployment, self.backbone.joules_per_deployment)

    @property
    def joules_per_image(self) -> float | None:
        """What every image costs."""
        return self._sum(self.generator.joules_per_image, self.backbone.joules_per_image)

    @property
    def range(self) -> tuple[float, float] | None:
        """The low and high end of `joules`."""
        (low, high), (other_low, other_high) = self.generator.range, self.backbone.range
        return (low + other_low, high + other_high) if self.comparable else None

    @property
    def share_generator(self) -> float | None:
        """The generator's part of `joules`."""
        return _share(self.generator.joules, self.joules)

    @property
    def share_generator_per_image(self) -> float | None:
        """The generator's part of `joules_per_image`."""
        return _share(self.generator.joules_per_image, self.joules_per_image)

    def json(self) -> dict[str, object]:
        """Joules, range and shares."""
        meaningless = "no total: an all-in price cannot be added to prices per term"
        return {
            "joules": self.joules,
            "joules_per_deployment": self.joules_per_deployment,
            "joules_per_image": self.joules_per_image,
            "range": None if self.range is None else list(self.range),
            "share_generator": self.share_generator,
            "share_generator_per_image": self.share_generator_per_image,
            "leaves_out": "training, the export itself, and what each line leaves out",
            "note": NOTE if self.comparable else f"{NOTE}; {meaningless}",
        }

    def _sum(self, generator: float, backbone: float) -> float | None:
        return generator + backbone if self.comparable else None


@dataclass(frozen=True)
class EnergyEstimate:
    """Estimated joules of a deployed prompt: one run of the generator, one image through the backbone, and both.

    A baked prompt's generator runs once, at deployment; otherwise it runs for every image. `counts` holds the details,
    where `neuroprompt.energy.energy.count` counted them.
    """

    generator: Line
    backbone: Line
    baked: bool
    counts: Counts | None = None

    @property
    def total(self) -> Total:
        """The third line."""
        return Total(self.generator, self.backbone)

    def json(self) -> dict[str, object]:
        """The three lines, and the counts."""
        lines = {name: line.json() for name, line in self.parts().items()}
        counts = {} if self.counts is None else self.counts.json()
        return {**lines, "total": self.total.json(), "baked": self.baked, "note": NOTE, **counts}

    def parts(self) -> dict[str, Line]:
        """Generator and backbone, by name."""
        return {"generator": self.generator, "backbone": self.backbone}


def three_lines(
    generator: Activity,
    backbone: Activity,
    generator_prices: str | Prices = PRICES[0],
    backbone_prices: str | Prices = PRICES[1],
    *,
    baked: bool,
    seconds: float | None = None,
) -> EnergyEstimate:
    """Price a generator's and a backbone's counts; `seconds` as in `estimate`, for the generator.

    Raises UnknownName, Unpriced, BadData.
    """
    first, second = (Prices.named(p) if isinstance(p, str) else p for p in (generator_prices, backbone_prices))
    return EnergyEstimate(Line(estimate(generator, first, seconds), baked), Line(estimate(backbone, second)), baked)


def _share(part: float, whole: float | None) -> float | None:
    return part / whole if whole else None
