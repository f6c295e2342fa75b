"""What a recipe says where the command line says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

PATHS = ("weights", "classifier")
"""Options that are files."""


def completed(ctx: typer.Context) -> dict[str, Any]:
    """The options of `train` by parameter: those typed, then the recipe's, then the defaults; raises BadSetting.

    The recipe's settings of a method or a head are left out where another one is typed. `recipe` becomes its name.
    """
    options = dict(ctx.params)
    if not options["recipe"]:
        return options
    from neuroprompt.training.recipes import load_recipe

    recipe = load_recipe(options["recipe"])
    typed = {key for key in options if getattr(ctx.get_parameter_source(key), "name", "") == "COMMANDLINE"}
    same_method = "method" not in typed or options["method"] == recipe.train["method"]
    same_head = "head" not in typed or options["head"] == recipe.train.get("head", "linear")
    for key, value in recipe.train.items():
        if key not in typed and (key != "tokens" or same_method):
            options[key] = Path(str(value)) if key in PATHS else value
    if same_method:
        options["words"] = [*_words(recipe.settings, typed), *(options["words"] or [])]
    if same_head:
        options["head_words"] = [*_words(recipe.head_settings, ()), *(options["head_words"] or [])]
    options["recipe"] = recipe.name
    return options


def _words(settings: Mapping[str, Any], typed: set[str] | tuple[str, ...]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items() if key not in typed]
