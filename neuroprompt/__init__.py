"""neuroprompt: spiking prompts for frozen vision backbones, trained, baked, deployed and checked spike by spike.

    import neuroprompt as npt

    trained = npt.train(npt.configure(data="digits", method="spike-nvpt"), "runs/digits")
    npt.evaluate(trained, ["gaussian:0.1", "jpeg:25"])
    npt.export(trained, "out/onnx", target="onnx")
    npt.export(trained, "out/lava", target="lava")
    npt.run("out/onnx", ["cat.jpg"])
    npt.verify(npt.load_model(npt.Bundle.open("out/lava")))

A function for each verb of the command, and a typed result with `.json()` for each. The names stand in `__init__.pyi`,
and nowhere else; they are imported at their first use, because torch takes seconds and `neuroprompt --help` should not.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import lazy_loader

__version__ = "0.1.0"

# From 1.29 on ONNX Runtime reports to Microsoft what it runs, from threads that begin with its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.append("__version__")


class _Face(ModuleType):
    """Three verbs are called as rooms are: energy, export, report. Here the name is the verb.

    Python sets a submodule on its package when it is imported first; the verb stays.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
