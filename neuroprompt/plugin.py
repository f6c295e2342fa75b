"""A folder is a registry: the file `prompts/spike_nvpt.py` is the part `spike-nvpt`, and nothing else lists it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, ClassVar, Self

from neuroprompt.errors import BadSetting, UnknownName

_YES_NO = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": lambda word: _YES_NO[word.lower()],
}


class Plugin:
    """Base of every kind of part.

    A kind sets `kind` (what errors call it) and `folder` (the package that holds one file per part). A part is the one
    public class of its kind that its file defines. Files that begin with an underscore are helpers, not parts.

    A class between a kind and its parts narrows what `names`, `part` and `named` give: Target has all targets,
    SpikingTarget those that are one.
    """

    kind: ClassVar[str]
    folder: ClassVar[str]
    name: ClassVar[str] = ""

    @classmethod
    def names(cls) -> list[str]:
        """The names of all parts of this class, sorted; a kind imports none of them, a narrower class imports each."""
        names = names_in(cls.folder)
        return names if "folder" in vars(cls) else [name for name in names if issubclass(_load(cls, name), cls)]

    @classmethod
    def part(cls, name: str) -> type[Self]:
        """The class of the part called `name`; raises UnknownName with the list of what there is."""
        part = _load(cls, name) if name in names_in(cls.folder) else None
        if part is None or not issubclass(part, cls):
            raise UnknownName(f"no {cls.kind} is called {name!r}", f"one of: {', '.join(cls.names())}")
        return part

    @classmethod
    def named(cls, name: str, **settings: Any) -> Self:
        """The part called `name`, built with `settings`; raises UnknownName or BadSetting."""
        part = cls.part(name)
        part._check_known(settings, inspect.signature(part.__init__).parameters)
        return part(**settings)

    @classmethod
    def typed(cls, name: str, words: Mapping[str, str]) -> dict[str, Any]:
        """The settings in `words` (as typed by a user) as values of their own types; raises BadSetting."""
        part = cls.part(name)
        known, values = part.settings(), {}
        part._check_known(words, known)
        for key, word in words.items():
            kind = _kind(known[key])
            try:
                values[key] = _READERS[kind](word)
            except (KeyError, ValueError) as error:
                raise BadSetting(f"{key}={word}", f"a value of type {kind}") from error
        return values

    @classmethod
    def settings(cls) -> dict[str, inspect.Parameter]:
        """The settings that a user may type: the constructor's parameters of type int, float, bool or str."""
        return {k: p for k, p in inspect.signature(cls.__init__).parameters.items() if _kind(p) in _READERS}

    @classmethod
    def _check_known(cls, given: Iterable[str], known: Container[str]) -> None:
        for key in given:
            if key not in known:
                there_are = ", ".join(cls.settings()) or "none"
                raise BadSetting(f"{cls.kind} {cls.name!r} has no setting {key!r}", f"one of: {there_are}")


def names_in(folder: str) -> list[str]:
    """The names of all parts in a package, sorted; imports none of them."""
    package = importlib.import_module(folder)
    files = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in files if not name.startswith("_"))


def _load(cls: type[Plugin], name: str) -> type[Plugin]:
    """The part in the file called `name`: the one class there of the kind that `cls` belongs to."""
    kind = next(base for base in cls.__mro__ if issubclass(base, Plugin) and "folder" in vars(base))
    module = importlib.import_module(f"{cls.folder}.{name.replace('-', '_')}")
    parts = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, kind) and value.__module__ == module.__name__
    ]
    assert len(parts) == 1, f"{module.__name__} must define exactly one {kind.kind}, not {parts}"
    part: type[Plugin] = parts[0]
    part.name = name
    return part


def _kind(parameter: inspect.Parameter) -> str:
    return parameter.annotation if isinstance(parameter.annotation, str) else parameter.annotation.__name__
