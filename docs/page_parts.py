"""Parts that a page writes: its files, and the registries that see them as long as the page runs."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


class Parts:
    """Files that pages write, and the registries that see them as long as the page runs."""

    def __init__(self) -> None:
        self.shown: list[tuple[ModuleType, str, str]] = []

    def write(self, file: Path, text: str) -> None:
        """Write a file into the page's folder; one in a registry's folder becomes a part."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.suffix != ".py" or len(file.parts) == 1:
            return
        room = ".".join(file.parent.parts).removeprefix("neuroprompt.")
        package = importlib.import_module(f"neuroprompt.{room}")
        place = str(file.parent.resolve())
        if place not in package.__path__:
            package.__path__.append(place)
        self.shown.append((package, file.stem, place))
        importlib.invalidate_caches()

    def forget(self) -> None:
        """Take the parts out of their registries."""
        for package, name, of_the_page in self.shown:
            package.__path__[:] = [place for place in package.__path__ if place != of_the_page]
            sys.modules.pop(f"{package.__name__}.{name}", None)
            vars(package).pop(name, None)


@contextlib.contextmanager
def registered_parts() -> Iterator[Parts]:
    """The parts of a page that runs; they are forgotten at its end."""
    parts = Parts()
    try:
        yield parts
    finally:
        parts.forget()
