"""The training run that a bundle was made of, as its manifest has it."""

from __future__ import annotations

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.training.config import RunConfig


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
