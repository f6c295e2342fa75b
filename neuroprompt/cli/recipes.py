"""`neuroprompt recipes`: the settings of papers that `train --recipe` takes, and what they leave open."""

from __future__ import annotations

from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, plain, table


@app.command(epilog=examples("recipes", "recipes lorsp-cifar100", "recipes --json"))
def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE.toml]", help="Show every setting of this recipe.")
    ] = None,
    json: Json = False,
) -> None:
    """List the recipes: paper, table, method, backbone, data, and what neither paper nor release says."""
    from neuroprompt.training.recipes import load_recipe, names

    listed = [load_recipe(each) for each in ([name] if name else names())]
    result = {"recipes": {recipe.name: recipe.json() for recipe in listed}}
    if name is None:
        columns = ("recipe", "method", "backbone", "data", "where", "open")
        shown = [(recipe, recipe.json()) for recipe in listed]
        rows = [(r.name, v["method"], v["backbone"], v["data"], r.table, len(r.open)) for r, v in shown]
        cells = [tuple(plain(cell) for cell in row) for row in rows]
        emit(
            result,
            json,
            table("recipes", columns, cells),
            "next: neuroprompt recipes NAME, neuroprompt train --recipe NAME",
        )
        return
    (recipe,) = listed
    settings = [(f"--{key.replace('_', '-')}", plain(value)) for key, value in recipe.train.items()]
    settings += [(f"--set {key}=", plain(value)) for key, value in recipe.settings.items()]
    settings += [(f"--head-set {key}=", plain(value)) for key, value in recipe.head_settings.items()]
    vary = [f"vary {key}: {', '.join(plain(value) for value in values)}" for key, values in recipe.vary.items()]
    lines = [recipe.about, recipe.paper, recipe.table, *vary, *(f"open: {line}" for line in recipe.open)]
    emit(result, json, table(recipe.name, ("setting", "value"), settings), *(line for line in lines if line))
