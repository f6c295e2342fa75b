"""The files of a run folder, and what of them is JSON; read without torch, whole or rejected in one line.

run.json             the configuration
prompt.safetensors   prompt and head (the backbone's weights are named by file and SHA-256, and stay where they are)
best.safetensors     prompt and head of the best epoch by validation, where `best` asks for it
metrics.json         what training measured
state.safetensors    while training goes on: all that is needed to go on from here with the same result
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroprompt.errors import BadCheckpoint, BadSetting, CannotWrite
from neuroprompt.files import beside, json_of, remove, write_whole
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics

FORMAT = "neuroprompt-run-2"
RUN, PROMPT, METRICS, STATE = "run.json", "prompt.safetensors", "metrics.json", "state.safetensors"
BEST = "best.safetensors"


def begin(folder: Path, config: RunConfig) -> None:
    """Make a new run folder with its run.json, or an old one new; raises CannotWrite where other files are in it."""
    ours = (beside(folder / RUN), folder / ".lock")  # of a process that was killed before there was a run.json
    foreign = not folder.is_dir() or any(file not in ours for file in folder.iterdir())
    if folder.exists() and not (folder / RUN).is_file() and foreign:
        raise CannotWrite(f"{folder} exists and is no run", "a new or empty folder", "choose another --out")
    for name in (PROMPT, BEST, METRICS, STATE):
        remove(folder / name)
    write_whole(folder / RUN, _json({"format": FORMAT, "config": config.json()}))


def load_config(folder: Path) -> RunConfig | None:
    """The configuration of a run folder, None where there is none; raises BadCheckpoint."""
    file = folder / RUN
    if not file.is_file():
        return None
    values = _read_json(file)
    if values.get("format") != FORMAT:
        raise BadCheckpoint(f"{file} has format {values.get('format')!r}", FORMAT, "train again with this version")
    try:
        return RunConfig.from_json(values.get("config"))
    except BadSetting as error:
        raise BadCheckpoint(f"{file} is not whole ({error})", "a run of this version", "train again") from error


def check_there(folder: Path) -> None:
    """Raises CannotWrite where somebody has removed the run folder since it was begun: no file is a run alone."""
    if not (folder / RUN).is_file():
        got = f"{folder}, or its {RUN}, was removed while the training ran"
        raise CannotWrite(got, "a folder that stays", "type the same command again")


def save_metrics(folder: Path, metrics: TrainingMetrics) -> None:
    """Write metrics.json; raises CannotWrite."""
    write_whole(folder / METRICS, _json(metrics.repeatable()))


def load_metrics(folder: Path) -> TrainingMetrics:
    """What training measured; raises BadCheckpoint."""
    file = folder / METRICS
    try:
        return TrainingMetrics.from_json(_read_json(file))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadCheckpoint(f"{file} is not whole ({error!r})", "a run of this version", "train again") from error


def is_finished(folder: Path) -> bool:
    """Whether training has ended there; raises BadCheckpoint."""
    return (folder / METRICS).is_file() and load_metrics(folder).finished


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=1) + "\n").encode()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and not file.is_file():
            raise OSError("no regular file")  # a pipe would wait for ever for its writer
        values = json_of(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{file} cannot be read ({error})", "JSON", "train again, or put the file back") from error
    if not isinstance(values, dict):
        raise BadCheckpoint(f"{file} is not a JSON object", fix="train again, or put the file back")
    return values
