"""A run folder: what was trained and how, as JSON and safetensors; read back whole, or refused in one line.

run.json             the configuration
prompt.safetensors   prompt and head (the backbone's weights are named by file and SHA-256, and stay where they are)
metrics.json         what training measured
state.safetensors    while training goes on: all that is needed to go on from here with the same result
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Prompt
from neuroprompt.errors import BadCheckpoint, BadSetting, CannotWrite
from neuroprompt.files import sha256, write_whole
from neuroprompt.training.backbone import load_backbone, load_classifier
from neuroprompt.training.config import RunConfig
from neuroprompt.training.model import PromptedModel

FORMAT = "neuroprompt-run-1"
RUN, PROMPT, METRICS, STATE = "run.json", "prompt.safetensors", "metrics.json", "state.safetensors"
P = TypeVar("P", Prompt, Head)


@dataclass(frozen=True)
class Run:
    """A trained prompt with its model in eval mode, on the CPU."""

    folder: Path
    config: RunConfig
    model: PromptedModel
    metrics: dict[str, Any]

    @classmethod
    def load(cls, folder: Path | str, weights: Path | None = None) -> Run:
        """Read a run folder; `weights` where the backbone's file has moved. Raises BadCheckpoint, BadWeights."""
        folder = Path(folder)
        config = load_config(folder)
        if config is None:
            raise BadCheckpoint(f"{folder} is no run", f"a folder with {RUN}", "see 'neuroprompt train --help'")
        if not (folder / PROMPT).is_file():
            raise BadCheckpoint(f"{folder} has no {PROMPT}", "a run that was trained", "train it (again)")
        tensors, about = _read_tensors(folder / PROMPT)
        if about.get("method") != config.method:
            got = f"{folder / PROMPT} is a prompt of method {about.get('method')!r}"
            raise BadCheckpoint(got, f"{config.method!r} as in {RUN}", "put the run's own file back, or train again")
        if about.get("config") != config.digest():
            got = f"{folder / PROMPT} belongs to another run than {RUN} beside it"
            raise BadCheckpoint(got, "files of one run", "put the run's own files back, or train again")
        model = build(config, weights)
        load_tensors(model, tensors, folder / PROMPT)
        return cls(folder, config, model.eval(), _read_json(folder / METRICS))

    def summary(self) -> dict[str, Any]:
        """What training measured, without its course."""
        return {key: value for key, value in self.metrics.items() if key != "history"}


def build(config: RunConfig, weights: Path | None = None) -> PromptedModel:
    """The untrained model of a configuration; raises BadCheckpoint where the backbone's weights have changed."""
    return assemble(config, load_backbone_of(config, weights))


def assemble(config: RunConfig, backbone: Backbone) -> PromptedModel:
    """The untrained model on a backbone that is loaded; prompt and head are drawn from `config.seed`."""
    part = Head.part(config.head)
    given: dict[str, Any] = {"features": backbone.features, "classes": len(config.classes)}
    if part.needs_classifier:
        given["classifier"] = load_classifier(config.backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        prompt = _made(Prompt, config.method, config.settings, site=backbone.site)
        head = _made(Head, config.head, config.head_settings, **given)  # type: ignore[type-abstract]
        return PromptedModel(backbone, prompt, head)


def image_size_of(config: RunConfig, backbone: Backbone) -> tuple[int, int]:
    """(height, width) to which the images of a run are resized: the prompt may want less than the backbone."""
    with torch.random.fork_rng(devices=[]):
        return (
            _made(Prompt, config.method, config.settings, site=backbone.site).image_size() or backbone.preprocess.size
        )


def _made(kind: type[P], name: str, settings: Mapping[str, Any], **given: Any) -> P:
    try:
        return kind.named(name, **given, **settings)
    except TypeError as error:
        raise BadSetting(f"settings {dict(settings)} of {name!r} ({error})") from error


def load_backbone_of(config: RunConfig, weights: Path | None = None) -> Backbone:
    """The backbone of a configuration, checked against its SHA-256 if it has one; `weights` takes the file's place."""
    spec, expected = config.backbone, config.weights_sha256
    fix = "give the file it was trained with: --weights FILE.safetensors"
    if expected and spec.weights is not None:
        file = Path(weights or spec.weights)
        if not file.is_file():
            raise BadCheckpoint(f"the backbone's weights are not at {file}", "the file of training", fix)
        if sha256(file) != expected:
            raise BadCheckpoint(f"{file} is not what the prompt was trained on", f"SHA-256 {expected[:12]}...", fix)
    backbone = load_backbone(dataclasses.replace(spec, weights=str(weights)) if weights else spec)
    if expected and spec.weights is None and digest_of(spec, backbone) != expected:
        got = f"the weights of backbone {spec.name!r} are not those that the prompt was trained on"
        raise BadCheckpoint(got, f"SHA-256 {expected[:12]}...", f"{fix}, or train again")
    return backbone


def digest_of(spec: BackboneSpec, backbone: Backbone) -> str:
    """SHA-256 of the weights' file, or of the tensors where they come from timm's hub, the package or a seed."""
    if spec.weights is not None:
        return sha256(Path(spec.weights))
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        # Position tables are resampled to the image's size, by arithmetic that may differ between releases.
        if "pos" not in name:
            digest.update(name.encode() + value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def load_tensors(model: PromptedModel, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Copy tensors into all that training changes; raises BadCheckpoint unless names and shapes are exactly theirs."""
    kept = model.kept()
    for name in sorted(kept.keys() | tensors.keys()):
        got = tuple(tensors[name].shape) if name in tensors else None
        expected = tuple(kept[name].shape) if name in kept else None
        if got != expected:
            raise BadCheckpoint(
                f"{file} holds {name} of shape {got}" if got is not None else f"{file} lacks {name}",
                f"shape {expected}" if expected is not None else f"only {', '.join(kept)}",
                "train again, or put the run's own file back",
            )
    with torch.no_grad():
        for name, value in kept.items():
            value.copy_(tensors[name])


# --- files -----------------------------------------------------------------------------------------------------------


def load_config(folder: Path) -> RunConfig | None:
    """The configuration of a run folder, None where there is none; raises BadCheckpoint."""
    file = folder / RUN
    if not file.is_file():
        return None
    values = _read_json(file)
    try:
        if values["format"] != FORMAT:
            raise BadCheckpoint(f"{file} has format {values['format']!r}", FORMAT, "train again with this version")
        return RunConfig.from_json(values["config"])
    except (KeyError, TypeError, ValueError, BadSetting) as error:
        raise BadCheckpoint(f"{file} is not whole ({error})", "a run of this version", "train again") from error


def is_finished(folder: Path) -> bool:
    """Whether training has ended there."""
    return (folder / METRICS).is_file() and bool(_read_json(folder / METRICS).get("finished"))


def begin(folder: Path, config: RunConfig) -> None:
    """Make a new run folder with its run.json, or an old one new; raises CannotWrite where other files are in it."""
    ours = {RUN, PROMPT, METRICS, STATE}
    if folder.exists() and not (folder / RUN).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotWrite(f"{folder} exists and is no run", "a new or empty folder", "choose another --out")
    for name in sorted(ours - {RUN}):
        (folder / name).unlink(missing_ok=True)
    write_whole(folder / RUN, _json({"format": FORMAT, "config": config.json()}))


def save_prompt(folder: Path, config: RunConfig, tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> None:
    """Write prompt.safetensors and metrics.json."""
    about = {"method": config.method, "config": config.digest()}
    write_whole(folder / PROMPT, safetensors.torch.save(_plain(tensors), about))
    write_whole(folder / METRICS, _json(metrics))


def save_state(folder: Path, config: RunConfig, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write state.safetensors: tensors and numbers in one file, so that they can only appear together."""
    about = {"config": config.digest(), "info": json.dumps(info)}
    write_whole(folder / STATE, safetensors.torch.save(_plain(tensors), about))


def drop_state(folder: Path) -> None:
    """Remove state.safetensors, where training has ended."""
    (folder / STATE).unlink(missing_ok=True)


def load_state(folder: Path, config: RunConfig) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save_state` wrote, None where it wrote nothing; raises BadCheckpoint."""
    if not (folder / STATE).is_file():
        return None
    tensors, about = _read_tensors(folder / STATE)
    if about.get("config") != config.digest():
        got = f"{folder / STATE} belongs to another run than {RUN} beside it"
        raise BadCheckpoint(got, "files of one run", f"delete {folder / STATE} to start this run again")
    info: dict[str, Any] = json.loads(about["info"])
    return tensors, info


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=1) + "\n").encode()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{file} cannot be read ({error})", "JSON", "train again, or put the file back") from error
    if not isinstance(values, dict):
        raise BadCheckpoint(f"{file} is not a JSON object", fix="train again, or put the file back")
    return values


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        got = f"{file} is truncated or no safetensors file ({error})"
        raise BadCheckpoint(got, "a whole file", "train again, or put the run's own file back") from error
