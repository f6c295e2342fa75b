"""lava-dl's netx, loaded and run by lava-dl 0.6.0 itself, in a small Python 3.10 of its own."""

from __future__ import annotations

from neuroprompt.simulators.netx_target import NetxTarget
from neuroprompt.simulators.runtime import WORKERS, Runtime


class LavaDl(NetxTarget):
    """Netx without PyTorch, some seconds and 190 MB.

    Netx imports it for its sequential modules and RF neurons alone, which nothing here uses: they are empty in this
    runtime, and in that of `lava-dl-full` they are not.
    """

    about = "lava-dl's netx on Intel's Lava simulator, in its own Python 3.10, without PyTorch"
    runtime = Runtime("lava-dl", "3.10", WORKERS / "lava_dl.txt", whole=False)
