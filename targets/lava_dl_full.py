"""lava-dl's netx in a Python 3.10 with all that lava-dl asks for, PyTorch included."""

from __future__ import annotations

from neuroprompt.simulators.netx_target import NetxTarget
from neuroprompt.simulators.runtime import WORKERS, Runtime


class LavaDlFull(NetxTarget):
    """Netx in a runtime of every package of lava-dl 0.6.0 at its pins, 5.4 GB with those of CUDA.

    For whoever wants lava-dl as it is published; it spikes as `lava-dl` does. setuptools is one of the packages, which
    lava-dl needs and does not name.
    """

    about = "the same with all that lava-dl asks for, PyTorch included (5.4 GB)"
    runtime = Runtime("lava-dl-full", "3.10", WORKERS / "lava_dl_full.txt")
    package = "lava-dl"
