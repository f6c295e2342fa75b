"""A folder is a registry: the file `prompts/spike_nvpt.py` is the part `spike-nvpt`, and nothing else lists it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, ClassVar, Self

from neuroprompt.errors import BadSetting, UnknownName


class Plugin:
    """Base of every kind of part.

    A kind sets `kind` (what errors call it) and `folder` (the package that holds one file per part). A part is the one
    public class of its kind that its file defines. Files that begin with an underscore are helpers, not parts.
    """

    kind: ClassVar[str]
    folder: ClassVar[str]
    name: ClassVar[str] = ""

    @classmethod
    def names(cls) -> list[str]:
        """The names of all parts of this kind, sorted."""
        package = importlib.import_module(cls.folder)
        files = (module.name for module in pkgutil.iter_modules(package.__path__))
        return sorted(name.replace("_", "-") for name in files if not name.startswith("_"))

    @classmethod
    def part(cls, name: str) -> type[Self]:
        """The class of the part called `name`; raises UnknownName with the list of what there is."""
        if name not in cls.names():
            raise UnknownName(f"no {cls.kind} is called {name!r}", f"one of: {', '.join(cls.names())}")
        module = importlib.import_module(f"{cls.folder}.{name.replace('-', '_')}")
        found = [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, cls) and value.__module__ == module.__name__
        ]
        assert len(found) == 1, f"{module.__name__} must define exactly one {cls.kind}, found {found}"
        part: type[Self] = found[0]
        part.name = name
        return part

    @classmethod
    def named(cls, name: str, **settings: Any) -> Self:
        """The part called `name`, built with `settings`; raises UnknownName or BadSetting."""
        part = cls.part(name)
        known = part.settings()
        for key in settings:
            if key not in known:
                there_are = ", ".join(known) or "none"
                raise BadSetting(f"{cls.kind} {name!r} has no setting {key!r}", f"one of: {there_are}")
        return part(**settings)

    @classmethod
    def settings(cls) -> dict[str, inspect.Parameter]:
        """The settings of a part: the parameters of its constructor, in order."""
        return {k: p for k, p in inspect.signature(cls.__init__).parameters.items() if k != "self"}
