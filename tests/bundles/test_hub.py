"""Push and pull, against a stand-in of the hub's API on this machine: whole or not at all, and no token anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

import huggingface_hub.constants
import pytest

from neuroprompt.bundles.bundle import MANIFEST, Bundle, write_bundle
from neuroprompt.bundles.hub import pull, push
from neuroprompt.errors import BadBundle, CannotWrite, HubFailed
from neuroprompt.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own
TOKEN = "hf_thisIsASecretOfTheUsers"
COMMIT = "a" * 40
LARGE = 2000
"""Bytes from which the stand-in wants a file as git LFS."""


@dataclass
class Hub:
    """The stand-in's state: files by repository and name, large ones by SHA-256, and what it was asked."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    address: str = ""


class Api(BaseHTTPRequestHandler):
    """As much of the hub's API as its client needs to make a repository, upload a folder and download files."""

    hub: Hub

    def do_POST(self) -> None:
        path, body = urlparse(self.path).path, self._body()
        self.hub.asked.append(f"POST {path}")
        self.hub.tokens.add(self.headers.get("authorization", ""))
        if TOKEN not in self.headers.get("authorization", ""):
            return self._send({"error": f"no token but {self.headers.get('authorization')}"}, 401)
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given.get('organization') or 'me'}/{given['name']}"
            self.hub.repos.setdefault(name, {})
            return self._send({"url": f"{self.hub.address}/{name}"})
        if path == "/api/validate-yaml":
            return self._send({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["size"] > LARGE else "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self._send({"files": files})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{self.hub.address}/large/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            return self._send({"transfer": "basic", "objects": objects})
        assert path.endswith("/commit/main"), path
        repo = path.removeprefix("/api/models/").removesuffix("/commit/main")
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.hub.repos[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.hub.repos[repo][value["path"]] = self.hub.large[value["oid"]]
        return self._send({"commitOid": COMMIT, "commitUrl": f"{self.hub.address}/{repo}/commit/{COMMIT}"})

    def do_PUT(self) -> None:
        self.hub.asked.append(f"PUT {self.path}")
        self.hub.large[self.path.rpartition("/")[2]] = self._body()
        self._send({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        for repo, files in self.hub.repos.items():
            if path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/main"):
                return self._send({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
            name = path.removeprefix(f"/{repo}/resolve/{COMMIT}/")
            if name in files:
                etag = hashlib.sha256(files[name]).hexdigest()
                return self._send(files[name], more={"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        kind = "EntryNotFound" if "/resolve/" in path else "RepoNotFound"
        return self._send({"error": "not found"}, 404, {"X-Error-Code": kind})

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _send(self, what: bytes | dict[str, Any], code: int = 200, more: dict[str, str] | None = None) -> None:
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(code)
        for key, value in {"Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("MyApi", (Api,), {"hub": found}))
    found.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", found.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # its store is not part of the API
    yield found
    server.shutdown()
    server.server_close()


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
