"""What the base install leaves out: packages by the extra that brings them, and the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec

from neuroprompt.errors import RuntimeMissing

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "timm": "train",
    "snntorch": "train",
    "lightning_fabric": "train",
    "onnxscript": "train",
    "safetensors": "train",
    "sklearn": "train",
    "matplotlib": "figures",
    "huggingface_hub": "hub",
    "uv": "runtimes",
    "norse": "simulators",
    "pyarrow": "parquet",
    "datasets": "hf",
    "tensorboardX": "tensorboard",
    "ray": "ray",
    "submitit": "slurm",
    "openvino": "openvino",
    "tonic": "events",
}
"""Module -> extra, as pyproject.toml has them."""


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f'pip install "neuroprompt-toolkit[{extra}]"'


def need(extra: str) -> None:
    """Raise RuntimeMissing, at once and in one line, where a package of an extra is not installed."""
    for module, its_extra in EXTRAS.items():
        if its_extra == extra and find_spec(module) is None:
            raise _not_installed(module)


def missing(error: ModuleNotFoundError) -> RuntimeMissing | None:
    """The error for a module that an extra brings; None for any other module, whose absence is a bug."""
    module = (error.name or "").partition(".")[0]
    return _not_installed(module) if module in EXTRAS else None


def _not_installed(module: str) -> RuntimeMissing:
    extra = EXTRAS[module]
    return RuntimeMissing(f"{module} is not installed", f"the extra {extra!r}", install(extra))
