"""`demo` on a few images and one target, for a server of forks that imports this module; all else is the demo's own."""

from __future__ import annotations

import importlib
from typing import Any

import neuroprompt as npt


class Small:
    """The package, with a small training and a short verification."""

    def __getattr__(self, name: str) -> Any:
        return getattr(npt, name)

    def configure(self, **words: Any) -> npt.RunConfig:
        return npt.configure(**words | {"epochs": 1, "limit": 20})

    def verify(self, what: Any, **words: Any) -> npt.Verification:
        return npt.verify(what, targets=["loihi"], **words)


demo: Any = importlib.import_module("neuroprompt.cli.demo")
demo.npt = Small()
demo._install_lava = lambda progress: None
