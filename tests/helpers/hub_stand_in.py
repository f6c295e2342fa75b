"""A stand-in of the Hugging Face hub's API on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

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
    silent: str = ""
    """The end of paths that it never answers; an empty text for none."""


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
        if self.hub.silent and urlparse(self.path).path.endswith(self.hub.silent):
            while self.connection.recv(4096):  # until the client goes
                pass
            self.close_connection = True
            return
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(code)
        for key, value in {"Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def standing_in() -> Iterator[Hub]:
    """An empty hub that answers at its `address` while this lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("MyApi", (Api,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
