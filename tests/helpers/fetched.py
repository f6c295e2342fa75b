"""Packages of other projects for a test, fetched once into the cache, without their dependencies."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import uv

from neuroprompt.files import cache_folder


def fetched(name: str, *packages: str) -> None:
    """Put `packages` (exact versions) on the import path, behind everything that is installed.

    A plain installation of neurobench brings torchaudio, numba, librosa and 18 more, none of which its metrics import.
    """
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"  # compiled packages are of one version of it
    folder = cache_folder() / "tests" / f"{name}-{python}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
        words = [uv.find_uv_bin(), "pip", "install", "-q", "--no-deps", "--python", sys.executable, "--target", new]
        try:
            done = subprocess.run([*map(str, words), *packages], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{', '.join(packages)} cannot be fetched: {(done.stderr.splitlines() or [''])[0]}")
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
