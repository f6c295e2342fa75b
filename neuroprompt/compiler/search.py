"""Search: the scale of a population that spikes reach, of those that 8-bit weights hold."""

from __future__ import annotations

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task, at_scale
from neuroprompt.compiler.lists import MIXED, PLAIN, SHIFTED
from neuroprompt.loihi.arithmetic import MANTISSA, VTH_MAX

OCTAVES = 6
"""How far below the largest scale without clipping the search goes; it also tries one octave above."""
PER_OCTAVE = 4


def search(task: Task) -> Fitted:
    """The scale, of those within six octaves of the largest that 8-bit weights hold, that fires most like it.

    Above that the sums of weights are shifted by an exponent (threshold and biases get finer then, weights do not); one
    octave above is also tried with clipped weights. Of equal matches the one wins with the fewest sums beyond the range
    of a Loihi 1, then the one that changes fewest values, then that with the smaller exponent, then the larger scale.
    """
    p = task.population
    heaviest = (float(np.abs(q.weights.values).max()) * task.factor(q, 1.0) for q in task.incoming)
    full = min((MIXED / weight for weight in heaviest), default=np.inf)
    if not task.incoming:
        largest = max(float(np.abs(values).max(initial=0)) for values in (p.bias, *(v for _, v in p.currents)))
        full = MANTISSA[1] / largest if largest else 1.0
    octaves = np.arange(-OCTAVES * PER_OCTAVE, PER_OCTAVE + 1) / PER_OCTAVE
    # Powers of two are tried as well: they hold weights that are whole multiples of one exactly.
    twos = 2.0 ** np.arange(np.floor(np.log2(full)) - OCTAVES, np.floor(np.log2(full)) + 2)
    vth = float(p.vth)
    most = VTH_MAX / vth if 0 < vth < np.inf else np.inf
    scales = sorted({min(float(s), most) for s in (*(full * 2.0**octaves), *twos)})
    above = {min(full * 2.0**octave, most) for octave in np.arange(1, OCTAVES + 1)} if task.incoming else ()
    tried = ((s, precision) for precision, some in ((PLAIN, scales), (SHIFTED, sorted(above))) for s in some)

    def worth(f: Fitted) -> tuple[float, ...]:
        return f.match, -f.trace.beyond, -f.changed, -max((q.exponent for q in f.projections), default=0), f.scale

    # One by one: weights may be large.
    return max((at_scale(task, s, of_spikes=precision) for s, precision in tried), key=worth)
