"""Simulators in packages of their own need nothing beside them that the extra `train` does not bring."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackagesTarget

NAMES = sorted(name for name in SpikingTarget.names() if issubclass(SpikingTarget.part(name), SidePackagesTarget))
CHILD = """
import importlib, json, sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, full, path=None, target=None):
        if path is None and full in hidden:
            raise ModuleNotFoundError(f"No module named {full!r}", name=full)

*folders, name, hidden = json.load(sys.stdin)
sys.path[:0] = folders
sys.meta_path.insert(0, Hidden())
importlib.import_module(f"{name}_neurons")
"""


def brought(package: str, extra: str = "") -> set[str]:
    """The distributions that `package[extra]` brings, and what those bring."""
    left, seen = [(package, extra)], set[tuple[str, str]]()
    while left:
        pair = left.pop()
        if pair in seen:
            continue
        seen.add(pair)
        try:
            wanted = [Requirement(line) for line in requires(pair[0]) or ()]
        except PackageNotFoundError:
            continue
        here = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": pair[1]})]
        left += [(canonicalize_name(r.name), of) for r in here for of in ("", *r.extras)]
    return {name for name, _ in seen}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_starts_where_only_the_extra_train_is_installed(name: str) -> None:
    """sinabs' own requirement nirtorch was found only where the tests' own packages are."""
    part = SpikingTarget.part(name)
    assert issubclass(part, SidePackagesTarget)
    if not part.available().ok:
        pytest.skip(f"{name} is not installed")
    train = brought("neuroprompt-toolkit", "train")
    there = packages_distributions()
    folder = part.runtime.folder
    own = {path.name.partition(".")[0] for path in folder.iterdir()}
    hidden = {module for module, of in there.items() if not {canonicalize_name(d) for d in of} & train} - own
    assert "pytest" in hidden
    words = [str(folder), str(WORKERS), name.replace("-", "_"), sorted(hidden)]
    child = [sys.executable, "-c", CHILD]
    done = subprocess.run(child, input=json.dumps(words), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
