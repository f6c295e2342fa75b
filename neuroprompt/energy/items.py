"""What an item of a data set costs on a chip: counts of each, times published prices; estimated, not measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.estimate import NOTE, estimate
from neuroprompt.energy.units import si
from neuroprompt.simulators.per_item import PerItem, Spread


@dataclass(frozen=True)
class ItemEnergy:
    """Estimated joules of the neurons for each of B items, (B,), by a price list."""

    joules: NDArray[np.float64]
    prices: Prices

    @property
    def spread(self) -> Spread:
        """Mean, standard deviation and range."""
        return Spread.of(self.joules)

    def json(self) -> dict[str, object]:
        """Joules of an item, whose prices, and that nothing was measured."""
        return {**self.spread.json(), "prices": self.prices.name, "note": NOTE}

    def __str__(self) -> str:
        of = self.spread
        return f"{si(of.mean)} ± {si(of.sd)} ({si(of.low)} to {si(of.high)})"


def item_energy(counts: PerItem, prices: str | Prices = "loihi") -> ItemEnergy:
    """The joules of each item; raises UnknownName, and Unpriced where the list does not price all that was counted."""
    prices = Prices.named(prices) if isinstance(prices, str) else prices
    return ItemEnergy(np.array([estimate(of, prices).joules for of in counts.activities()]), prices)
