"""A bundle's README.md as a model card: what it is, what was measured, what it costs, how to run it, its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from neuroprompt.bundles.bundle import Bundle, put_file
from neuroprompt.bundles.contents import load_model
from neuroprompt.bundles.lava_readme import FILES, checked_words, lava_run, scale_words
from neuroprompt.bundles.provenance import config_of
from neuroprompt.energy.count_bundle import activities
from neuroprompt.energy.estimate import NOTE, energy
from neuroprompt.energy.tables import COLUMNS, counted, rows
from neuroprompt.energy.toml_prices import price_list
from neuroprompt.errors import BadBundle, BadData, Unpriced
from neuroprompt.onnxgraph.snippet import SNIPPET
from neuroprompt.training.commands import data_name, train_command
from neuroprompt.training.config import RunConfig

CARD = "README.md"
LIBRARY = "neuroprompt"
WHAT = {
    "onnx": "a frozen image classifier with a small trained prompt in it, as one ONNX file for ONNX Runtime",
    "lava": "the spiking part of a visual prompt, as integers for Intel's Lava simulator and Loihi",
}


def write_card(
    bundle: Bundle,
    accuracy: Mapping[str, Any] | None = None,
    prices: tuple[str, str] = ("loihi", "horowitz-45nm-fp32"),
    licence: str | None = None,
) -> Bundle:
    """Put the card into the bundle, and into its manifest. `accuracy`: what `evaluate` gave, of the test images.

    Raises BadBundle, BadData, BadSetting, UnknownName, Unpriced, CannotWrite.
    """
    return put_file(bundle, CARD, card(bundle, accuracy, prices, licence).encode())


def card(
    bundle: Bundle,
    accuracy: Mapping[str, Any] | None = None,
    prices: tuple[str, str] = ("loihi", "horowitz-45nm-fp32"),
    licence: str | None = None,
) -> str:
    """The card in Markdown, with the front matter that the Hugging Face hub reads; raises as `write_card`."""
    if bundle.kind not in WHAT:
        raise BadBundle(f"{bundle.folder} is a bundle for {bundle.kind!r}", "one for 'onnx' or 'lava'")
    about = bundle.about
    config = config_of(bundle)
    name = f"{config.method} on {config.backbone.name}, {data_name(config.data)}"
    front = _front(bundle, config, accuracy, name, licence)
    parts = [
        (f"# {_plain(name)}", _what(bundle, config)),
        ("## Trained on", _trained(config)),
        ("## Accuracy", _accuracy(about.get("trained", {}), accuracy)),
        ("## Checked before these files appeared", _checked(bundle)),
        ("## Counts and energy", _cost(bundle, prices)),
        ("## Run it without neuroprompt", _run(bundle)),
        ("## Run it with neuroprompt", [f"    neuroprompt {_verb(bundle)}"]),
        *([("## The integers", scale_words(load_model(bundle).scale_report))] if bundle.kind == "lava" else []),
        ("## Files", _files(bundle)),
        ("## Limits", _limits(bundle)),
        ("## Versions", [", ".join(f"{k} {v}" for k, v in about.get("versions", {}).items()) or "Not recorded."]),
    ]
    return f"---\n{front}\n---\n\n" + "\n".join(f"{title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts)


def read_accuracy(file: Path) -> dict[str, Any]:
    """What `neuroprompt eval --json` wrote for one run; raises BadData."""
    wanted = "what 'neuroprompt eval RUN --json' prints"
    try:
        found = json.loads(file.read_text())
        values = [found["clean"], *found["noise"].values()]
        if not all(0 <= value <= 1 for value in values) or int(found["images"]) < 1:
            raise ValueError("a number out of range")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{file} holds no accuracies of one run ({error})", wanted) from error
    return dict(found)


def _front(
    bundle: Bundle, config: RunConfig, accuracy: Mapping[str, Any] | None, name: str, licence: str | None
) -> str:
    backbone, of_timm = config.backbone, config.backbone.name != "embedded" and not config.backbone.random
    results = []
    if accuracy is not None:
        shares = {"clean": accuracy["clean"], **accuracy["noise"]}
        kind = config.data.partition(":")[0]
        results = [
            EvalResult("image-classification", kind, f"{data_name(config.data)}, {noise}", "accuracy", value)
            for noise, value in shares.items()
        ]
    data = ModelCardData(
        license=licence,
        library_name=LIBRARY,
        pipeline_tag="image-classification" if bundle.kind == "onnx" else None,
        base_model=f"timm/{backbone.name}" if of_timm and backbone.weights is None else None,
        tags=["visual-prompt-tuning", config.method, bundle.kind, *(["spiking"] if bundle.kind == "lava" else [])],
        model_name=name,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _what(bundle: Bundle, config: RunConfig) -> list[str]:
    per_image = bool(bundle.about.get("per_image"))
    how = "The prompt is made for every image." if per_image else "The prompt is the same for every image."
    classes = ", ".join(map(_plain, config.classes[:12])) + (", ..." if len(config.classes) > 12 else "")
    return [
        f"This is {WHAT[bundle.kind]}. Method `{config.method}`, backbone `{config.backbone.name}`"
        f"{' with random weights' if config.backbone.random else ''}. {how}",
        "",
        f"{len(config.classes)} classes: {classes}",
    ]


def _trained(config: RunConfig) -> list[str]:
    limit = f", at most {config.limit} images of each split" if config.limit else ""
    return [
        f"`{data_name(config.data)}`{limit}; {config.epochs} epochs, seed {config.seed}.",
        "",
        f"    {train_command(config, private=True)}",
    ]


def _accuracy(trained: Mapping[str, Any], accuracy: Mapping[str, Any] | None) -> list[str]:
    lines = []
    if "val_accuracy" in trained:
        lines.append(f"On the validation images, after training: {trained['val_accuracy']:.1%}.")
    if accuracy is not None:
        lines += ["", f"On {accuracy['images']:,} test images:", "", "| images | accuracy |", "|---|---|"]
        shares = {"clean": accuracy["clean"], **accuracy["noise"]}
        lines += [f"| {noise} | {value:.1%} |" for noise, value in shares.items()]
    else:
        lines.append("Accuracy on test images was not given to this card.")
    return lines


def _checked(bundle: Bundle) -> list[str]:
    if bundle.kind == "lava":
        return checked_words(bundle.about)
    parity = bundle.about["parity"]
    return [
        f"- ONNX Runtime against the model in PyTorch on {parity['images']} images ({parity['source']}), at "
        f"batches of {', '.join(map(str, parity['batches']))}: logits differ by at most {parity['max_abs_diff']:.1e} "
        f"({parity['max_rel_diff']:.1e} of their range; {parity['tolerance']:g} was allowed), "
        f"{parity['top1_agreement']:.1%} of the classes equal",
    ]


def _cost(bundle: Bundle, prices: tuple[str, str]) -> list[str]:
    try:
        lists = price_list(prices[0]), price_list(prices[1])
        priced = energy(*activities(bundle), *lists, baked=not bundle.about.get("per_image", False))
    except Unpriced as error:
        return [f"Not priced: {error}."]
    table = [COLUMNS, ["---"] * len(COLUMNS), *rows(priced)]
    left_out = {part: priced[part]["leaves_out"] for part in ("generator", "backbone") if priced[part]["joules"]}
    return [
        f"{NOTE}: exact counts times published prices.",
        "",
        *("| " + " | ".join(map(str, row)) + " |" for row in table),
        "",
        *(f"- {line}" for line in counted(priced)),
        *(f"- {priced[part]['title']} ({priced[part]['technology']}) leaves out: {w}" for part, w in left_out.items()),
    ]


def _run(bundle: Bundle) -> list[str]:
    if bundle.kind == "lava":
        return lava_run("factors.0.npy" if bundle.about.get("per_image") else None)
    return [
        "Needs onnxruntime, numpy and Pillow; preprocessing and labels are in the file itself.",
        "",
        "```python",
        SNIPPET.strip(),
        "```",
    ]


def _plain(text: str) -> str:
    """A user's words as words, whatever Markdown or HTML would make of them."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))


def _verb(bundle: Bundle) -> str:
    images = bundle.kind == "onnx" or bundle.about.get("per_image")
    return "run BUNDLE image.jpg" if images else "verify BUNDLE"


def _files(bundle: Bundle) -> list[str]:
    there = sorted(p.name for p in bundle.folder.iterdir() if p.name != CARD)
    return [f"- `{name}`" + (f": {FILES[name]}" if name in FILES else "") for name in there]


def _limits(bundle: Bundle) -> list[str]:
    lines = ["Energy is an estimate from counts; nothing was measured on a chip."]
    if bundle.kind == "lava":
        lines.append(
            "A simulator on a CPU says what the chip computes, not how fast. Thresholds are strict (v > threshold), "
            "the reset is to 0 in the same step. The backbone is not here."
        )
    else:
        lines.append("The classes are those above; an image of anything else gets one of them all the same.")
    return lines
