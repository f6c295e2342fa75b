"""A folder is a registry: the file `prompts/spike_nvpt.py` is the part `spike-nvpt`, and nothing else lists it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin

from neuroprompt.errors import BadSetting, UnknownName

_YES_NO = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_READERS: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    str: str,
    bool: lambda word: _YES_NO[word.lower()],
}
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "yes or no"}


@dataclass(frozen=True)
class Setting:
    """A setting of a part: its name, type, default (None where it is `required`), and what it means."""

    name: str
    type: type
    meaning: str
    default: int | float | str | bool | None = None
    required: bool = False

    def json(self) -> dict[str, Any]:
        """The setting for scripts, its type by name."""
        return {"name": self.name, "type": self.type.__name__, "default": self.default, "meaning": self.meaning}

    def read(self, word: str) -> Any:
        """The value that a user typed; raises BadSetting."""
        try:
            return _READERS[self.type](word)
        except (KeyError, ValueError) as error:
            raise BadSetting(f"{self.name}={word}", _WORDS.get(self.type, self.type.__name__)) from error

    def check(self, value: object) -> None:
        """Raise BadSetting unless `value` is of the setting's type; a whole number is a float too."""
        kinds = (int, float) if self.type is float else (self.type,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.type is not bool):
            raise BadSetting(f"{self.name}={value!r}", _WORDS.get(self.type, self.type.__name__))


class Plugin:
    """Base of every kind of part.

    A kind sets `kind` (what errors call it) and `folder` (the package that holds one file per part). A part is the one
    public class of its kind that its file defines. Files that begin with an underscore are helpers, not parts.

    A class between a kind and its parts narrows what `names`, `part` and `named` give: Target has all targets,
    SpikingTarget those that are one.

    A part's settings are those parameters of its constructor that carry a meaning: `steps: Annotated[int, "time
    steps"] = 4`. Users may set them; what else a constructor takes comes from the program.
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
        """The part called `name`, built with `settings`; raises UnknownName, and BadSetting for one of another type."""
        part = cls.part(name)
        part._check_known(settings, inspect.signature(part.__init__).parameters)
        cls.check_settings(name, {key: settings[key] for key in settings.keys() & part.settings().keys()})
        return part(**settings)

    @classmethod
    def check_settings(cls, name: str, settings: Mapping[str, Any]) -> None:
        """Raise UnknownName or BadSetting unless the part called `name` has these settings, each of its own type."""
        part = cls.part(name)
        known = part.settings()
        part._check_known(settings, known)
        for key, value in settings.items():
            known[key].check(value)

    @classmethod
    def typed(cls, name: str, words: Mapping[str, str]) -> dict[str, Any]:
        """The settings in `words` (as typed by a user) as values of their own types; raises BadSetting."""
        part = cls.part(name)
        known = part.settings()
        part._check_known(words, known)
        return {key: known[key].read(word) for key, word in words.items()}

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings that a user may type, by name."""
        settings = {}
        for key, parameter in inspect.signature(cls.__init__, eval_str=True).parameters.items():
            if get_origin(parameter.annotation) is Annotated:
                kind, meaning, *_ = get_args(parameter.annotation)
                required = parameter.default is parameter.empty
                settings[key] = Setting(key, kind, meaning, None if required else parameter.default, required)
        return settings

    @classmethod
    def _check_known(cls, keys: Iterable[str], known: Container[str]) -> None:
        for key in keys:
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
