"""`neuroprompt doctor`: whether this machine has what the verbs need."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, table
from neuroprompt.extras import EXTRAS, install

PACKAGES = ("nir", "numpy", "scipy", "h5py", "onnx", "onnxruntime", "pillow")
OPTIONAL = ("torch", "torchvision", "timm", "snntorch", "lightning-fabric")
"""Packages of the extra `train` that are checked one by one where the extra is there."""

Check = dict[str, object]


@app.command(epilog=examples("doctor", "doctor out/onnx", "doctor --json"))
def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(help="An ONNX bundle: do its files give here what they gave at the export?")
    ] = None,
    json: Json = False,
) -> None:
    """Check Python, packages, extras, targets and disk; each line says what to type where something is missing.

    An extra and a target are choices: without one the rest works, and "ok" stays true. With a bundle each of its files
    runs in every runtime that is here; where one answers otherwise than at its export, the exit code is 1.
    """
    from neuroprompt.contracts.deployment import Target

    checks: dict[str, Check] = {
        "python": {"ok": sys.version_info >= (3, 11), "found": platform.python_version(), "fix": "Python >= 3.11"}
    }
    checks |= {package: _package(package) for package in PACKAGES}
    for extra in dict.fromkeys(EXTRAS.values()):
        absent = [module for module, its_extra in EXTRAS.items() if its_extra == extra and find_spec(module) is None]
        state = f"without {', '.join(absent)}" if absent else "installed"
        checks[f"extra {extra}"] = {"ok": not absent, "found": state, "fix": install(extra)}
    if find_spec("torch") is not None:
        checks |= {package: _package(package) for package in OPTIONAL}
        checks["torch with torchvision"] = _torch_pair()
    for name in Target.names():
        at_hand = Target.part(name).available()
        state = ", ".join(part for part in (at_hand.version, at_hand.how) if part)
        checks[f"target {name}"] = {"ok": at_hand.ok, "found": state, "fix": at_hand.fix}
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    checks["disk"] = {"ok": free > 1, "found": f"{free:.0f} GB free here", "fix": "free at least 1 GB"}
    answers = {} if bundle is None else _answers(bundle)
    checks |= answers
    needed = [check for name, check in checks.items() if not name.startswith(("target ", "extra "))]
    rows = [(name, "ok" if c["ok"] else "no", c["found"], "" if c["ok"] else c["fix"]) for name, c in checks.items()]
    emit(
        {"checks": checks, "ok": all(check["ok"] for check in needed)},
        json,
        table("doctor", ("check", "", "found", "what to type"), rows),
    )
    if not all(check["ok"] for check in answers.values()):
        raise typer.Exit(1)


def _answers(folder: Path) -> dict[str, Check]:
    """Each file of the bundle in each runtime."""
    from neuroprompt.bundles.artefact import artefact
    from neuroprompt.bundles.bundle import Bundle

    fix = "run another --form or --target here"
    return {
        f"{redone.form} in {redone.runtime}": {
            "ok": redone.ok,
            "found": str(redone),
            "fix": fix,
            "max_rel_diff": redone.max_rel_diff,
            "tolerance": redone.tolerance,
            "top1_agreement": redone.top1_agreement,
        }
        for redone in artefact(Bundle.open(folder)).redone()
    }


def _package(package: str) -> Check:
    try:
        return {"ok": True, "found": importlib.metadata.version(package), "fix": ""}
    except importlib.metadata.PackageNotFoundError:
        return {"ok": False, "found": "missing", "fix": f"pip install {package}"}


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is missing")
    return Path(spec.origin).parent


def _torch_pair() -> Check:
    try:
        import torch

        # The C++ part of torchvision loads only beside the torch it was built for. Alone, because to import torchvision
        # takes three times as long as all else here.
        for library in _folder("torchvision").glob("_C*"):
            torch.ops.load_library(library)
        torch.ops.torchvision.nms  # noqa: B018
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return {
            "ok": False,
            "found": str(error).splitlines()[0],
            "fix": "pip install -c constraints.txt torch torchvision",
        }
    gpus = torch.cuda.device_count()
    beside = importlib.metadata.version("torchvision")
    found = f"{torch.__version__} with {beside}; {gpus} GPU" + ("s" if gpus != 1 else "")
    return {"ok": True, "found": f"{found}, {os.cpu_count()} cores", "fix": ""}
