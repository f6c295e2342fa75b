"""Wide: how many bits weights may have on the chip, and what agreement is worth the synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neuroprompt.errors import BadSetting


@dataclass(frozen=True)
class Wide:
    """Weights of more than 8 bits on the chip, as several lists of synapses, where they pay.

    bits        of the widest weights with their sign, 9 to 16
    agreement   the Jaccard index of a population's spikes that is enough: more synapses are not spent
    chip        whose sums they must fit: those of a step wrap at 2^15 weight units on a Loihi 1
    """

    bits: int = 16
    agreement: float = 0.9999
    chip: Literal["loihi1", "loihi2"] = "loihi2"

    @classmethod
    def of(
        cls, bits: int | str, agreement: float = 0.9999, chip: Literal["loihi1", "loihi2"] = "loihi2"
    ) -> Wide | None:
        """For 9 to 16 bits or "auto", which is 16; None for 8. Raises BadSetting."""
        number = {"auto": "16"}.get(str(bits), str(bits))
        if number not in map(str, range(8, 17)):
            raise BadSetting(f"--weight-bits {bits}", "8 to 16, or auto")
        if not 0 < agreement <= 1:
            raise BadSetting(f"--agreement {agreement:g}", "a Jaccard index above 0, at most 1")
        return None if number == "8" else cls(int(number), agreement, chip)
