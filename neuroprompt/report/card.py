"""A bundle's README.md as a model card: what it is, what was measured, what it costs, how to run it, its limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from neuroprompt.bundles.artefact import Artefact, artefact
from neuroprompt.bundles.bundle import Bundle, put_file
from neuroprompt.bundles.lava_readme import FILES
from neuroprompt.bundles.provenance import config_of
from neuroprompt.energy.energy import energy
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.lines import PRICES
from neuroprompt.energy.tables import COLUMNS, counted, rows
from neuroprompt.errors import BadBundle, BadData, Unpriced
from neuroprompt.files import json_of
from neuroprompt.report._decode import decode
from neuroprompt.training.accuracy import Accuracy
from neuroprompt.training.commands import data_name, train_command
from neuroprompt.training.config import RunConfig

FILE = "README.md"
LIBRARY = "neuroprompt"
ESTIMATE = "Energy is an estimate from counts; nothing was measured on a chip."


@dataclass(frozen=True)
class Card:
    """A bundle with its card: `file` and the `text` in it."""

    bundle: Bundle
    text: str

    @property
    def file(self) -> Path:
        """Where the card is."""
        return self.bundle.folder / FILE

    def json(self) -> dict[str, str]:
        """The paths, and the text."""
        return {"bundle": str(self.bundle.folder), "card": str(self.file), "text": self.text}


def card(
    bundle: Bundle | Path | str,
    accuracy: Accuracy | None = None,
    prices: tuple[str, str] = PRICES,
    licence: str | None = None,
) -> Card:
    """Write the card of a bundle into it, and into its manifest. `accuracy`: of the test images, by `evaluate`.

    Raises BadBundle, BadSetting, UnknownName, CannotWrite.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    text = card_text(opened, accuracy, prices, licence)
    return Card(put_file(opened, FILE, text.encode()), text)


def card_text(bundle: Bundle, accuracy: Accuracy | None, prices: tuple[str, str], licence: str | None) -> str:
    """The card in Markdown, with the front matter that the Hugging Face hub reads; raises as `card`."""
    opened = artefact(bundle)
    if not opened.summary and "graph" not in bundle.about:  # config_of names the graph
        got = f"{bundle.folder} is a bundle for {bundle.kind!r} that holds no prompt"
        raise BadBundle(got, "one of a training run, for onnx or lava")
    config = config_of(bundle)
    name = f"{config.method} on {config.backbone.name}, {data_name(config.data)}"
    command = "run BUNDLE image.jpg" if opened.takes_images else "verify BUNDLE"
    parts = [
        (f"# {_plain(name)}", _what(opened, config, opened.per_image or bundle.about.get("prompt_per_image", False))),
        ("## Trained on", _trained(config)),
        ("## Accuracy", _accuracy(bundle, accuracy)),
        ("## Checked before these files appeared", opened.checked()),
        ("## Counts and energy", _cost(bundle, prices)),
        ("## Run it without neuroprompt", opened.run_elsewhere()),
        ("## Run it with neuroprompt", [f"    neuroprompt {command}"]),
        ("## The integers", opened.integers()),
        ("## Files", _files(bundle)),
        ("## Limits", [ESTIMATE, *opened.limits()]),
        ("## Versions", _versions(bundle)),
    ]
    front = _front(opened, config, accuracy, name, licence)
    body = "\n".join(f"{title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts if lines)
    return f"---\n{front}\n---\n\n{body}"


def read_accuracy(file: Path) -> Accuracy:
    """What `neuroprompt eval --json` printed for one run; raises BadData."""
    try:
        accuracy = decode(Accuracy, json_of(file.read_bytes()))
        if not all(0 <= value <= 1 for value in (accuracy.clean, *accuracy.noise.values())) or accuracy.images < 1:
            raise ValueError("a number out of range")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"{file} holds no accuracies of one run ({error})"
        raise BadData(got, "what 'neuroprompt eval RUN --json' prints") from error
    return accuracy


def _front(opened: Artefact, config: RunConfig, accuracy: Accuracy | None, name: str, licence: str | None) -> str:
    backbone = config.backbone
    of_timm = backbone.name != "embedded" and not backbone.random and backbone.weights is None
    kind, data = config.data.partition(":")[0], data_name(config.data)
    results = [
        EvalResult("image-classification", kind, f"{data}, {noise}", "accuracy", value)
        for noise, value in _shares(accuracy).items()
    ]
    front = ModelCardData(
        license=licence,
        library_name=LIBRARY,
        pipeline_tag="image-classification" if opened.takes_images else None,
        base_model=f"timm/{backbone.name}" if of_timm else None,
        tags=["visual-prompt-tuning", config.method, *opened.tags],
        model_name=name,
        eval_results=results or None,
    )
    return str(front.to_yaml()).strip()


def _what(opened: Artefact, config: RunConfig, per_image: bool) -> list[str]:
    how = "depends on the image" if per_image else "is the same for every image"
    classes = ", ".join(map(_plain, config.classes[:12])) + (", ..." if len(config.classes) > 12 else "")
    weights = " with random weights" if config.backbone.random else ""
    return [
        f"This is {opened.summary}. Method `{config.method}`, backbone `{config.backbone.name}`{weights}. "
        f"The prompt {how}.",
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


def _accuracy(bundle: Bundle, accuracy: Accuracy | None) -> list[str]:
    lines = []
    validation = bundle.about.get("trained", {}).get("val_accuracy")
    if validation is not None:
        lines.append(f"On the validation images, after training: {validation:.1%}.")
    if accuracy is None:
        return [*lines, "The accuracy on test images was not given to this card."]
    rows = (f"| {noise} | {share:.1%} |" for noise, share in _shares(accuracy).items())
    return [*lines, "", f"On {accuracy.images:,} test images:", "", "| images | accuracy |", "|---|---|", *rows]


def _shares(accuracy: Accuracy | None) -> dict[str, float]:
    return {} if accuracy is None else {"clean": accuracy.clean, **accuracy.noise}


def _cost(bundle: Bundle, prices: tuple[str, str]) -> list[str]:
    try:
        priced = energy(bundle, *prices)
    except Unpriced as error:
        return [f"Not priced: {error}."]
    table = [COLUMNS, ["---"] * len(COLUMNS), *rows(priced)]
    lists = [line.prices for line in priced.parts().values() if line.joules]
    return [
        f"{NOTE}: exact counts times published prices.",
        "",
        *("| " + " | ".join(map(str, row)) + " |" for row in table),
        "",
        *(f"- {line}" for line in counted(priced)),
        *(f"- {each.title} ({each.technology}) leaves out: {each.leaves_out}" for each in lists),
    ]


def _plain(text: str) -> str:
    """A user's words as words, whatever Markdown or HTML would make of them."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))


def _files(bundle: Bundle) -> list[str]:
    there = sorted(p.name for p in bundle.folder.iterdir() if p.name != FILE)
    return [f"- `{name}`" + (f": {FILES[name]}" if name in FILES else "") for name in there]


def _versions(bundle: Bundle) -> list[str]:
    versions = bundle.about.get("versions", {})
    return [", ".join(f"{name} {version}" for name, version in versions.items()) or "Not recorded."]
