"""`neuroprompt doctor`: whether this machine has what the verbs need."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, table

PACKAGES = ("torch", "torchvision", "timm", "snntorch", "nir", "onnx", "onnxruntime", "lightning-fabric", "numpy")


@app.command(epilog=examples("doctor", "doctor --json"))
def doctor(json: Json = False) -> None:
    """Check Python, packages, devices, targets and disk; each line says what to type where something is missing."""
    from neuroprompt.contracts.deployment import Target

    checks: dict[str, dict[str, object]] = {
        "python": {"ok": sys.version_info >= (3, 11), "found": platform.python_version(), "fix": "Python >= 3.11"}
    }
    for package in PACKAGES:
        try:
            checks[package] = {"ok": True, "found": importlib.metadata.version(package), "fix": ""}
        except importlib.metadata.PackageNotFoundError:
            checks[package] = {"ok": False, "found": "missing", "fix": f"pip install {package}"}
    checks["torch with torchvision"] = _torch_pair()
    for name in Target.names():
        at_hand = Target.part(name).available()
        found = ", ".join(part for part in (at_hand.version, at_hand.how) if part)
        checks[f"target {name}"] = {"ok": at_hand.ok, "found": found, "fix": at_hand.fix}
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    checks["disk"] = {"ok": free > 1, "found": f"{free:.0f} GB free here", "fix": "free at least 1 GB"}
    rows = [(name, "ok" if c["ok"] else "no", c["found"], "" if c["ok"] else c["fix"]) for name, c in checks.items()]
    emit(
        # A target is a choice: without one the rest is whole.
        {"checks": checks, "ok": all(c["ok"] for name, c in checks.items() if not name.startswith("target "))},
        json,
        table("doctor", ("check", "", "found", "what to type"), rows),
    )


def _torch_pair() -> dict[str, object]:
    try:
        import torch
        import torchvision

        torch.ops.torchvision.nms  # noqa: B018  (its C++ part loads only beside the torch it was built for)
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return {
            "ok": False,
            "found": str(error).splitlines()[0],
            "fix": "pip install -c constraints.txt torch torchvision",
        }
    gpus = torch.cuda.device_count()
    found = f"{torch.__version__} with {torchvision.__version__}; {gpus} GPU" + ("s" if gpus != 1 else "")
    return {"ok": True, "found": f"{found}, {os.cpu_count()} cores", "fix": ""}
