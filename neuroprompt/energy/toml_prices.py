"""Price lists by name, or from a user's own TOML files, which need no code."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from neuroprompt.contracts.deployment import Price, Prices
from neuroprompt.energy.estimate import events
from neuroprompt.errors import BadSetting
from neuroprompt.spiking.activity import Activity

JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
WATTS = {"W": 1.0, "mW": 1e-3, "uW": 1e-6, "µW": 1e-6, "nW": 1e-9}
WORDS = ("title", "scope", "evidence", "technology", "voltage", "leaves_out")
EXAMPLE = '[prices.synops] value = 5.0, unit = "pJ", source = "paper, year, table"'
EVENTS = tuple(events(Activity()))


def price_lists(words: Iterable[str]) -> list[Prices]:
    """Each word's lists: a list's name, a .toml file, or a folder of such files.

    A file has title, scope, evidence, technology, voltage and leaves_out as text; a table [prices.EVENT] for each event
    (`neuroprompt.energy.estimate.events`) with value, unit (pJ, nJ ...), source, and low and high where it has a range;
    [includes] with EVENT = what the source says of it. A measured power is [watts] with value, unit (mW ...) and source
    instead of prices. Raises UnknownName, BadSetting.
    """
    lists: list[Prices] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            files = sorted(path.glob("*.toml"))
            if not files:
                raise BadSetting(f"{path} holds no price list", "a folder of .toml files")
            lists += [read_prices(file) for file in files]
        else:
            lists.append(price_list(word))
    names = [prices.name for prices in lists]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadSetting(f"price list {twice[0]!r} twice", "each once")
    return lists


def price_list(word: str) -> Prices:
    """The one list of a name or a .toml file; raises UnknownName, BadSetting."""
    return read_prices(Path(word)) if word.endswith(".toml") else Prices.named(word)


def read_prices(file: Path) -> Prices:
    """The price list in a TOML file, named by the file; raises BadSetting."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"price list {file} cannot be read ({error})", "a TOML file", EXAMPLE) from error
    _known(file, "", values, (*WORDS, "prices", "includes", "watts"))
    body: dict[str, Any] = {word: _text(file, word, values) for word in WORDS}
    for word in ("scope", "evidence"):
        allowed = get_args(get_args(get_type_hints(Prices)[word])[0])
        if body[word] not in allowed:
            raise BadSetting(f"{word} {body[word]!r} in {file}", f"one of: {', '.join(allowed)}")
    priced, includes = _table(file, "prices", values), _table(file, "includes", values)
    for event in (*priced, *includes):
        if event not in EVENTS:
            raise BadSetting(f"event {event!r} in {file}", f"one of: {', '.join(EVENTS)}")
    body["prices"] = {event: _price(file, f"prices.{event}", price, JOULES) for event, price in priced.items()}
    body["includes"] = {event: _text(file, event, includes) for event in includes}
    body["watts"] = _price(file, "watts", values["watts"], WATTS) if "watts" in values else None
    if not body["prices"] and body["watts"] is None:
        raise BadSetting(f"{file} prices nothing", "a table for each event", EXAMPLE)
    prices: Prices = type("UserPrices", (Prices,), body | {"name": file.stem, "__module__": __name__})()
    return prices


def _price(file: Path, where: str, given: Any, units: Mapping[str, float]) -> Price:
    """One price from its table."""
    if not isinstance(given, dict):
        raise BadSetting(f"{where} = {given!r} in {file}, without a unit", "value, unit and source", EXAMPLE)
    _known(file, where, given, ("value", "unit", "source", "low", "high"))
    unit = given.get("unit")
    if unit not in units:
        got = f"{where} has no unit" if unit is None else f"{where} has unit {unit!r}"
        raise BadSetting(f"{got} in {file}", f"one of: {', '.join(units)}", EXAMPLE)
    numbers: dict[str, float | None] = {}
    for key in ("value", "low", "high"):
        number = given.get(key)
        if number is None and key != "value":
            numbers[key] = None
        elif isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
            got = f"{where} has no value" if number is None else f"{where} {key} = {number!r}"
            raise BadSetting(f"{got} in {file}", f"a number of {unit} of at least 0")
        else:
            numbers[key] = number * units[str(unit)]
    price = Price(numbers["value"] or 0.0, _text(file, "source", given, where), numbers["low"], numbers["high"])
    if not price.range[0] <= price.joules <= price.range[1]:
        raise BadSetting(f"{where} in {file} lies outside its range", "low <= value <= high")
    return price


def _table(file: Path, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    table = values.get(key, {})
    if not isinstance(table, dict):
        raise BadSetting(f"{key} = {table!r} in {file}", f"a table [{key}]", EXAMPLE)
    return table


def _text(file: Path, key: str, values: Mapping[str, Any], where: str = "") -> str:
    text = values.get(key)
    if not isinstance(text, str) or not text.strip():
        got = f"{where + ' ' if where else ''}{key}"
        raise BadSetting(f"{got} is missing in {file}" if text is None else f"{got} = {text!r} in {file}", "text")
    return text


def _known(file: Path, where: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise BadSetting(f"{where + '.' if where else ''}{key} in {file}", f"one of: {', '.join(known)}")
