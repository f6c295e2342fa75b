"""A bundle: a folder of deployed files whose manifest names each with its SHA-256; it appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from neuroprompt.errors import BadBundle
from neuroprompt.files import json_of, sha256, whole_folder

FORMAT = "neuroprompt-bundle-1"
MANIFEST = "manifest.json"
LONGEST_NAME = 1000
"""Characters of a file's name in a manifest, with its folders."""


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: `folder`, the `kind` (the exporter that wrote it) and what the manifest says, `about`."""

    folder: Path
    kind: str
    about: dict[str, Any]

    @property
    def digest(self) -> str:
        """The SHA-256 of its manifest, which names every file with its own."""
        return sha256(self.folder / MANIFEST)

    @classmethod
    def open(cls, folder: Path | str, kind: str | None = None) -> Bundle:
        """Read the manifest and check every file's SHA-256; raises BadBundle. `kind` says which kind is expected."""
        folder = Path(folder)
        _check_inside(folder, folder / MANIFEST)
        try:
            manifest = json_of((folder / MANIFEST).read_bytes())
            its_kind, files, about = manifest["kind"], dict(manifest["files"]), dict(manifest["about"])
            version = manifest["format"]
            if not (isinstance(its_kind, str) and all(isinstance(digest, str) for digest in files.values())):
                raise TypeError("a kind or a SHA-256 that is no text")
        except (OSError, ValueError, KeyError, TypeError) as error:
            wanted = f"a folder with {MANIFEST}"
            raise BadBundle(f"{folder} is no bundle ({error})", wanted, "see 'neuroprompt export --help'") from error
        if version != FORMAT:
            raise BadBundle(f"{folder} has format {version!r}", FORMAT, "export it again with this version")
        if kind is not None and its_kind != kind:
            raise BadBundle(f"{folder} is a bundle for {its_kind!r}", f"one for {kind!r}")
        for name, digest in files.items():
            check_name(name)
            file = folder / name
            if not file.is_file():
                raise BadBundle(f"{file} is missing", "every file of the manifest", "export it again")
            _check_inside(folder, file)
            if sha256(file) != digest:
                raise BadBundle(f"{file} was changed", f"SHA-256 {digest[:12]}...", "export it again")
        return cls(folder, its_kind, about)


def write_bundle(out: Path | str, kind: str, fill: Callable[[Path], dict[str, Any]]) -> Bundle:
    """A new bundle at `out`, which appears once it is whole.

    `fill` writes the files into the folder that it gets, and returns what the manifest says of them: the bundle's
    `about`. An earlier bundle at `out` is replaced. Raises CannotWrite, and what `fill` raises.
    """
    out = Path(out)
    with whole_folder(out, replaces=MANIFEST) as folder:
        about = fill(folder)
        files = {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        manifest = {"format": FORMAT, "kind": kind, "about": about, "files": files}
        text = json.dumps(manifest, indent=1)
        (folder / MANIFEST).write_text(text + "\n")
    return Bundle(out, kind, json.loads(text)["about"])


def put_file(bundle: Bundle, name: str, data: bytes) -> Bundle:
    """The same bundle with `data` as its file `name`, new or in place of the old one, and its manifest.

    The folder is replaced as a whole; its other files are checked first. Raises BadBundle, CannotWrite.
    """
    check_name(name)
    bundle = Bundle.open(bundle.folder)
    manifest = json.loads((bundle.folder / MANIFEST).read_text())
    with whole_folder(bundle.folder, replaces=MANIFEST) as folder:
        left_out = shutil.ignore_patterns(MANIFEST, name)
        shutil.copytree(bundle.folder, folder, ignore=left_out, copy_function=_link, dirs_exist_ok=True)
        (folder / name).write_bytes(data)
        manifest["files"] = dict(sorted({**manifest["files"], name: sha256(folder / name)}.items()))
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return Bundle.open(bundle.folder)


def check_name(name: str) -> None:
    """Raises BadBundle unless `name`, of a manifest, stays within the bundle's folder, and can be a file's name."""
    path = PurePosixPath(name)
    try:
        longest = max(map(len, map(os.fsencode, path.parts)), default=0)
    except UnicodeEncodeError:
        longest = LONGEST_NAME
    strange = "\\" in name or not name.isprintable() or longest > 255
    if not path.parts or path.is_absolute() or ".." in path.parts or strange or len(name) > LONGEST_NAME:
        raise BadBundle(f"a manifest that names the file {name!r}", "files inside the bundle's folder")


def _check_inside(folder: Path, file: Path) -> None:
    """Raises BadBundle for a link that leads out of the folder, and for a pipe or a device, which may have no end."""
    if file.exists() and not file.is_file():
        raise BadBundle(f"{file} is no regular file", f"a folder with {MANIFEST}", "see 'neuroprompt export --help'")
    if file.exists() and not file.resolve().is_relative_to(folder.resolve()):
        raise BadBundle(f"{file} is a link out of the bundle", "files inside it", "copy what it leads to")


def _link(source: str, target: str) -> None:
    """A second name for a file that stays as it is, a copy where there are none: a graph may be large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
