"""Push and pull, against a stand-in of the hub's API on this machine: whole or not at all, and no token anywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest
from hub_stand_in import TOKEN, Hub, standing_in

import neuroprompt.bundles.hub
from neuroprompt.bundles.bundle import MANIFEST, Bundle, write_bundle
from neuroprompt.bundles.hub import pull, push
from neuroprompt.errors import BadBundle, CannotWrite, HubFailed
from neuroprompt.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with standing_in() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # its store is not part of the API
        yield hub


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    def fill(folder: Path) -> dict[str, str]:
        (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# a card\n")
        (folder / "program.npz").write_bytes(bytes(range(256)) * 40)
        return {"method": "spike-nvpt"}

    return write_bundle(tmp_path / "mine" / "b", "lava", fill)


def test_there_and_back(hub: Hub, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (bundle.folder / "notes.txt").write_text("not of the bundle")
    sent = push(bundle, "me/digits")
    assert set(hub.repos["me/digits"]) == {"README.md", "program.npz", MANIFEST} == set(sent.files)
    assert len(hub.large) == 1, "the large file went as git LFS"
    pulled = pull("me/digits", tmp_path / "theirs")
    assert (pulled.kind, pulled.about) == (bundle.kind, bundle.about)
    assert {p.name: p.read_bytes() for p in pulled.folder.iterdir()} == hub.repos["me/digits"]
    assert TOKEN not in json.dumps(sent.json()) + "".join(capfd.readouterr())


def test_a_push_tells_which_places_it_publishes(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    class Said(Progress):
        lines: list[str] = []  # noqa: RUF012

        def say(self, line: str) -> None:
            self.lines.append(line)

    run = {"data": f"folder:{tmp_path}/cats", "backbone": {"name": "embedded", "weights": None}}
    said = Said()
    push(Bundle(bundle.folder, "lava", {"run": run}), "me/digits", progress=said)
    assert any(f"{tmp_path}/cats" in line for line in said.lines)


def test_a_pull_replaces_an_earlier_bundle_and_nothing_else(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push(bundle, "me/digits")
    old = shutil.copytree(bundle.folder, tmp_path / "old")
    (old / "of-before.txt").write_text("gone")
    assert not (pull("me/digits", old).folder / "of-before.txt").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotWrite, match="thesis exists and is not ours"):
        pull("me/digits", tmp_path / "thesis")
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "years of work"


def manifest_of(hub: Hub) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(hub.repos["me/digits"][MANIFEST])
    return found


def test_a_hub_that_never_answers(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(neuroprompt.bundles.hub, "ANSWER_SECONDS", 0.5)
    before = set(tmp_path.rglob("*"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(HubFailed, match="cannot be reached"):
            pull("me/digits", tmp_path / "theirs")
        with pytest.raises(HubFailed, match="cannot be reached"):
            push(bundle, "me/digits")
    assert set(tmp_path.rglob("*")) == before


def test_a_hub_that_falls_silent_during_an_upload(hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last request is not tried again, and the client's own limit, none, is as before afterwards."""
    monkeypatch.setattr(neuroprompt.bundles.hub, "SILENT_SECONDS", 0.5)
    before = huggingface_hub.get_session().timeout
    hub.silent = "/commit/main"
    with pytest.raises(HubFailed, match="cannot be reached"):
        push(bundle, "me/digits")
    assert huggingface_hub.get_session().timeout == before


@pytest.mark.parametrize("damage", ["changed", "missing", "version", "pickle", "outside", "no manifest"])
def test_what_is_wrong_at_the_hub_never_appears_here(hub: Hub, bundle: Bundle, tmp_path: Path, damage: str) -> None:
    push(bundle, "me/digits")
    files, manifest = hub.repos["me/digits"], manifest_of(hub)
    if damage == "changed":
        files["program.npz"] = b"other"
    elif damage == "missing":
        del files["program.npz"]
    elif damage == "version":
        manifest["format"] = "neuroprompt-bundle-9"
    elif damage in ("pickle", "outside"):
        name = "weights.pkl" if damage == "pickle" else "../../evil.txt"
        files[name], manifest["files"][name] = b"evil", hashlib.sha256(b"evil").hexdigest()
    if damage == "no manifest":
        del files[MANIFEST]
    else:
        files[MANIFEST] = json.dumps(manifest).encode()
    said = {
        "changed": r"^me/digits/program\.npz was changed",
        "missing": "holds no bundle of that revision",
        "version": "neuroprompt-bundle-9.*the version of neuroprompt that made it",
        "pickle": r"pickle 'weights\.pkl'",
        "outside": "inside the bundle's folder",
        "no manifest": r"holds no bundle of that revision.*manifest\.json",
    }[damage]
    before = set(tmp_path.rglob("*"))
    with pytest.raises((BadBundle, HubFailed), match=said) as refused:
        pull("me/digits", tmp_path / "theirs")
    assert set(tmp_path.rglob("*")) == before
    assert "\n" not in str(refused.value)
    assert not [asked for asked in hub.asked if "weights.pkl" in asked or "evil" in asked]


def test_a_changed_bundle_is_not_pushed(hub: Hub, bundle: Bundle) -> None:
    (bundle.folder / "program.npz").write_bytes(b"other")
    with pytest.raises(BadBundle, match=r"program\.npz was changed"):
        push(bundle, "me/digits")
    assert hub.asked == []


def test_refusals_are_one_line_without_the_token(
    hub: Hub, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubFailed, match="no repository 'me/nothing'"):
        pull("me/nothing", tmp_path / "x")
    with pytest.raises(HubFailed, match="OWNER/NAME"):
        pull("not a name", tmp_path / "x")
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(HubFailed) as refused:
        push(bundle, "me/digits")
    assert "HF_TOKEN" in str(refused.value)
    assert "hf_another" not in str(refused.value)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubFailed, match="cannot be reached"):
        pull("me/digits", tmp_path / "x")
    assert not (tmp_path / "x").exists()
