"""The files of onnxruntime-web that a page needs: from the user's copy, the cache, or npm; each by its SHA-256."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from neuroprompt.errors import BadData, CannotWrite, RuntimeMissing
from neuroprompt.files import cache_folder, write_whole
from neuroprompt.processes import end_group, guarded, what_happened
from neuroprompt.progress import SILENT, Progress

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SCRIPT, GLUE, BINARY = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
DIGESTS: Mapping[str, str] = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    GLUE: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""Of the package's folder dist, in this version: the processor's build, which needs no graphics."""
LICENCE = f"{PACKAGE} {VERSION}, Copyright (c) Microsoft Corporation, MIT License"
SECONDS = 600.0
"""How long npm may take to fetch the package, 33 MB."""


def runtime_files(package: str = "", progress: Progress = SILENT) -> dict[str, bytes]:
    """The files by name, from `package`, npm's .tgz or the folder that it unpacks to; else from the cache, or npm.

    Raises BadData where a file is missing or another version's, RuntimeMissing where npm is not there or fails.
    """
    if package:
        return _checked(_read(Path(package)), package)
    kept = _kept()
    with suppress(BadData):
        return _checked(_read(kept), str(kept))
    progress.say(f"npm fetches {PACKAGE} {VERSION}")
    with TemporaryDirectory() as folder:
        files = _checked(_read(_packed(Path(folder))), f"what npm fetched as {PACKAGE} {VERSION}")
    with suppress(CannotWrite):  # it is fetched again next time
        for name, data in files.items():
            write_whole(kept / name, data)
    return files


def cached_files() -> dict[str, bytes]:
    """The files of the cache alone; raises RuntimeMissing where it has not all of them."""
    kept = _kept()
    try:
        return _checked(_read(kept), str(kept))
    except BadData as error:
        got, fix = f"{PACKAGE} {VERSION} is not in {kept}", "neuroprompt export RUN --target web, which fetches it"
        raise RuntimeMissing(got, "its files", fix) from error


def _kept() -> Path:
    return cache_folder() / f"{PACKAGE}-{VERSION}"


def _checked(files: Mapping[str, bytes], origin: str) -> dict[str, bytes]:
    for name, digest in DIGESTS.items():
        if name not in files:
            raise BadData(f"{origin} has no dist/{name}", f"{PACKAGE} {VERSION}", _fix())
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise BadData(f"dist/{name} of {origin} is another version's, or was changed", VERSION, _fix())
    return dict(files)


def _read(package: Path) -> dict[str, bytes]:
    """Those of the files that a .tgz or a folder has; raises BadData where it cannot be read."""
    try:
        if package.is_dir():
            places = [place for place in (package / "dist", package) if (place / SCRIPT).is_file()]
            return {name: (places[0] / name).read_bytes() for name in DIGESTS} if places else {}
        with tarfile.open(package, "r:gz") as archive:
            members = {name: archive.extractfile(f"package/dist/{name}") for name in DIGESTS}
            return {name: member.read() for name, member in members.items() if member is not None}
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        got = f"{package} cannot be read as npm's package ({error})"
        raise BadData(got, f"{PACKAGE}-{VERSION}.tgz, or its folder", _fix()) from error


def _packed(folder: Path) -> Path:
    """The .tgz that npm fetches into `folder`, from where its user's settings say; raises RuntimeMissing."""
    npm = which("npm")
    if npm is None:
        raise RuntimeMissing("npm is not installed", f"npm, or {PACKAGE} {VERSION} by hand", _fix())
    command = guarded([npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"])
    with (folder / "errors").open("w+b") as errors:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code: int | None = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(child)
        errors.seek(0)
        complaint = errors.read().decode(errors="replace")
    file = folder / f"{PACKAGE}-{VERSION}.tgz"
    if code != 0 or not file.is_file():
        got = f"npm pack {PACKAGE}@{VERSION} {what_happened(code, SECONDS, complaint)}"
        raise RuntimeMissing(got, "the package", _fix())
    return file


def _fix() -> str:
    return f"npm pack {PACKAGE}@{VERSION}, then --set package={PACKAGE}-{VERSION}.tgz"
