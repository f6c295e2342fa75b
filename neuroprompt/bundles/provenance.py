"""The training run that a bundle was made of: written into its manifest, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.training.config import RunConfig

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run


def about_run(run: Run, packages: Sequence[str]) -> dict[str, Any]:
    """What the manifest of a bundle says of its run, and the versions of `packages`."""
    return {
        "method": run.config.method,
        "settings": dict(run.config.settings),
        "backbone": asdict(run.model.backbone.spec),
        "preprocess": asdict(run.model.preprocess),
        "classes": list(run.config.classes),
        "run": run.config.json(),
        "trained": {key: value for key, value in run.metrics.repeatable().items() if key != "history"},
        "versions": {name: metadata.version(name) for name in packages},
    }


def config_of(bundle: Bundle) -> RunConfig:
    """The configuration of the run that a bundle was made of; raises BadBundle where it was made of none."""
    if "graph" in bundle.about:
        got = f"{bundle.folder} is a bundle of the NIR graph {bundle.about['graph']!r}"
        raise BadBundle(got, "one of a training run", "see 'neuroprompt verify' and 'neuroprompt energy' for graphs")
    try:
        return RunConfig.from_json(bundle.about["run"])
    except (KeyError, BadSetting) as error:
        got = f"{bundle.folder} does not say what it was made of ({error})"
        raise BadBundle(got, "a bundle of this version", "export it again") from error
