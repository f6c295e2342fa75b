"""Several price lists side by side: each one's line for generator and backbone, and the totals that have a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import NOTE, estimate, events
from neuroprompt.energy.lines import Line, Total
from neuroprompt.errors import Unpriced
from neuroprompt.spiking.activity import Activity

if TYPE_CHECKING:
    from neuroprompt.energy.count_bundle import Counts


@dataclass(frozen=True)
class RefusedList:
    """A list that gives no line for a part, and why: the term that it has no price for."""

    part: str
    prices: str
    reason: str


@dataclass(frozen=True)
class PriceComparison:
    """The lines of generator and backbone under every list that can price them.

    A part that did nothing has no lines. `refused` names the lists that have no line for a part. `counts` as in
    `EnergyEstimate`.
    """

    generator: tuple[Line, ...]
    backbone: tuple[Line, ...]
    refused: tuple[RefusedList, ...]
    baked: bool
    counts: Counts | None = None

    @property
    def totals(self) -> tuple[Total, ...]:
        """One for each pair of lists whose sum has a meaning: all-in prices are not added to prices per term."""
        pairs = (Total(generator, backbone) for generator in self.generator for backbone in self.backbone)
        return tuple(pair for pair in pairs if pair.generator.prices.scope == pair.backbone.prices.scope)

    def parts(self) -> dict[str, tuple[Line, ...]]:
        """The lines of generator and backbone, by name."""
        return {"generator": self.generator, "backbone": self.backbone}

    def json(self) -> dict[str, object]:
        """Lines, totals and refusals, and the counts."""
        lines = {name: [line.json() for line in lines] for name, lines in self.parts().items()}
        totals = [
            {"generator": total.generator.prices.name, "backbone": total.backbone.prices.name, **total.json()}
            for total in self.totals
        ]
        refused = [asdict(refusal) for refusal in self.refused]
        counts = {} if self.counts is None else self.counts.json()
        return {**lines, "totals": totals, "refused": refused, "baked": self.baked, "note": NOTE, **counts}


def compare_prices(
    generator: Activity, backbone: Activity, lists: Sequence[Prices], *, baked: bool, seconds: float | None = None
) -> PriceComparison:
    """Price both parts with each of `lists`; raises Unpriced where no list prices anything.

    `baked` and `seconds` as in `three_lines`.
    """
    refused: list[RefusedList] = []
    errors: list[Unpriced] = []

    def lines(part: str, activity: Activity, once: bool, seconds: float | None) -> tuple[Line, ...]:
        priced = []
        for prices in lists if any(events(activity).values()) else ():
            try:
                priced.append(Line(estimate(activity, prices, seconds), once))
            except Unpriced as error:
                refused.append(RefusedList(part, prices.name, str(error)))
                errors.append(error)
        return tuple(priced)

    of_generator, of_backbone = lines("generator", generator, baked, seconds), lines("backbone", backbone, False, None)
    if errors and not (of_generator or of_backbone):
        raise errors[0]
    return PriceComparison(of_generator, of_backbone, tuple(refused), baked)
