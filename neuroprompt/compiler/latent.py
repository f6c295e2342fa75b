"""Latent: the floats behind a population's integers while they learn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.lists import Lists, mixed, sign_lists, two_lists
from neuroprompt.loihi.synapses import stored
from neuroprompt.spiking.program import Projection

Vector = NDArray[np.float64]


@dataclass
class Latent:
    """Numbers that learn, start + update[which], and are rounded to multiples of `step`."""

    start: Vector
    which: NDArray[np.int64]
    step: float = 1.0
    update: Vector = field(init=False)

    def __post_init__(self) -> None:
        self.update = np.zeros(int(self.which.max(initial=-1)) + 1)

    @classmethod
    def of(cls, floats: Vector, exact: Vector, whole: Vector, step: float = 1.0) -> Latent:
        """Numbers that are `whole` in integers and `exact` before rounding to multiples of `step`.

        Those that are equal in `floats` are one number, as the weights of a convolution at all its places are. One that
        was not rounded to the nearest begins in the middle.
        """
        _, which = np.unique(floats, return_inverse=True)
        near = np.abs(exact - whole) < step / 2
        return cls(np.where(near, exact, whole), which.reshape(floats.shape), step)

    @property
    def exact(self) -> Vector:
        """All numbers before they are rounded."""
        return self.start + self.update[self.which]

    def summed(self, gradient: NDArray[np.floating]) -> Vector:
        """A gradient by number as one by update."""
        return np.bincount(self.which.reshape(-1), gradient.reshape(-1), len(self.update)).astype(np.float64)


class LatentWeights(Latent):
    """The weights of one projection in integer units; `lists()` arranges them as they were fitted."""

    def __init__(self, projection: Projection, fitted: Lists, bits: int, numbers: bool) -> None:
        self.projection, self.fitted, self.bits, self.numbers = projection, fitted, bits, numbers
        first, *others = fitted.projections
        self.single = not others and first.exponent == fitted.exponent
        whole = fitted.whole
        if self.single and first.weights.values.shape == whole.shape:
            whole = first.weights.values  # after clipping
        step = 2.0 if self.single and mixed(fitted.exact) else 1.0
        latent = Latent.of(projection.weights.values, fitted.exact, np.asarray(whole, np.float64), step)
        super().__init__(latent.start, latent.which, step)

    def lists(self) -> Lists:
        """The chip's lists; without an update those that were fitted. Weights of 0 stay 0."""
        exact = np.where(self.projection.weights.values == 0, 0.0, self.exact)
        if self.single:
            return self._one_list(exact)
        parts = self.fitted.projections
        if self.numbers:
            return two_lists(self.projection, exact, self.fitted.exponent, parts[0].exponent - parts[-1].exponent)
        return sign_lists(self.projection, exact, np.rint(exact), self.bits)

    def _one_list(self, exact: Vector) -> Lists:
        """One list of 8 bits, whose weights keep their one sign where they have one."""
        if self.step == 1:
            exact = np.maximum(exact, 0) if self.fitted.exact.max(initial=0) > 0 else np.minimum(exact, 0)
        whole = self.step * np.rint(exact / self.step)
        weights = stored(self.projection.weights.with_values(whole))
        (part,) = self.fitted.projections
        changed = int((weights.values != whole).sum())
        part = replace(part, weights=weights)
        return replace(self.fitted, projections=(part,), exact=exact, whole=weights.values, changed=changed)
