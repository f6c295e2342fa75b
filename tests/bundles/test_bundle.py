"""A bundle's files and its manifest stay one whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuroprompt.bundles.bundle import MANIFEST, Bundle, put_file, write_bundle
from neuroprompt.errors import BadBundle
from neuroprompt.files import sha256


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    def fill(folder: Path) -> dict[str, str]:
        (folder / "a.bin").write_bytes(b"1")
        (folder / "README.md").write_text("old")
        return {"method": "spike-nvpt"}

    written = write_bundle(tmp_path / "b", "lava", fill)
    assert written == Bundle.open(tmp_path / "b")
    return written


@pytest.mark.parametrize("name", ["README.md", "new.md"])
def test_a_file_is_put_and_the_manifest_says_so(bundle: Bundle, name: str) -> None:
    put = put_file(bundle, name, b"text")
    assert (put.folder, put.kind, put.about) == (bundle.folder, bundle.kind, bundle.about)
    files = json.loads((bundle.folder / MANIFEST).read_text())["files"]
    assert files == {p.name: sha256(p) for p in bundle.folder.iterdir() if p.name != MANIFEST}
    assert (bundle.folder / name).read_bytes() == b"text"
    assert [p.name for p in bundle.folder.parent.iterdir()] == ["b"], "nothing is left beside it"


def test_a_changed_bundle_gets_no_new_manifest(bundle: Bundle) -> None:
    (bundle.folder / "a.bin").write_bytes(b"2")
    with pytest.raises(BadBundle, match=r"a\.bin was changed"):
        put_file(bundle, "README.md", b"text")
    assert (bundle.folder / "README.md").read_text() == "old"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "..\\x"])
def test_a_manifest_that_names_files_elsewhere(bundle: Bundle, name: str) -> None:
    file = bundle.folder / MANIFEST
    manifest = json.loads(file.read_text())
    manifest["files"][name] = "0"
    file.write_text(json.dumps(manifest))
    with pytest.raises(BadBundle, match="inside the bundle's folder"):
        Bundle.open(bundle.folder)
