"""A real browser: Chromium, driven over a pipe by its own protocol, with no network of its own."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe"
)
DOMAINS = ("Page", "Runtime", "Log", "Network")
LOOK = """
JSON.stringify({
  width: document.documentElement.scrollWidth, view: window.innerWidth,
  wide: [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') && !e.closest('svg')
    && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.tagName + '#' + e.id + '.' + e.className),
  figures: [...document.querySelectorAll('figure svg')].map(e => {
    const box = e.getBoundingClientRect(); return [e.parentElement.id, box.width, box.height]; }),
  ids: [...document.querySelectorAll('[id]')].map(e => e.id),
  anchors: [...document.querySelectorAll('nav a')].map(e => e.getAttribute('href').slice(1)),
  headings: [...document.querySelectorAll('h2')].map(e => e.textContent),
  text: document.body.innerText
})
"""


@dataclass
class Seen:
    """The browser's complaints of a page, the addresses it asked for, the page's own facts, and its looks."""

    page: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    screenshot: bytes = b""


class Browser:
    """One Chromium process."""

    def __init__(self, program: str, profile: Path) -> None:
        # The browser reads commands from its file 3 and answers on 4; ours are moved out of the way of these numbers,
        # and a shell hands them over.
        (there, self._out), (self._in, back) = os.pipe(), os.pipe()
        there, back = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (there, back))

        hand_over = ["bash", "-c", f'exec "$@" 3<&{there} 4>&{back}', "bash"]
        words = [*hand_over, program, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(words, pass_fds=(there, back), stdout=nowhere, stderr=nowhere)
        os.close(there)
        os.close(back)
        self._waiting, self._number, self._events = b"", 0, list[dict[str, Any]]()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def look(
        self, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False, screenshot: bool = True
    ) -> Seen:
        """Open `file` on a screen of that size; a narrow one is a phone. A screenshot is of the whole page."""
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

        def ask(method: str, **words: Any) -> dict[str, Any]:
            return self._call(method, words, session)

        for domain in DOMAINS:
            ask(f"{domain}.enable")
        screen = {"width": width, "height": height, "deviceScaleFactor": 2 if width < 600 else 1, "mobile": width < 600}
        ask("Emulation.setDeviceMetricsOverride", **screen)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        ask("Emulation.setEmulatedMedia", features=scheme)
        self._events.clear()
        ask("Page.navigate", url=file.resolve().as_uri())
        self._wait("Page.loadEventFired")
        seen = Seen(json.loads(ask("Runtime.evaluate", expression=LOOK)["result"]["value"]))
        if screenshot:
            seen.screenshot = base64.b64decode(ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        self._note(seen)
        self._call("Target.closeTarget", {"targetId": target})
        return seen

    def ask(self, address: str, *scripts: str, files: Mapping[str, Path] | None = None) -> tuple[list[Any], Seen]:
        """Open `address`, choose `files` in the inputs with these ids, and run each script: the values it ends with."""
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in DOMAINS:
            self._call(f"{domain}.enable", {}, session)
        self._events.clear()
        self._call("Page.navigate", {"url": address}, session)
        self._wait("Page.loadEventFired")
        for name, file in (files or {}).items():
            words: dict[str, Any] = {"expression": f"document.getElementById({json.dumps(name)})"}
            element = self._call("Runtime.evaluate", words, session)["result"]["objectId"]
            self._call("DOM.setFileInputFiles", {"files": [str(file)], "objectId": element}, session)
        values = []
        for script in scripts:
            words = {"expression": script, "awaitPromise": True, "returnByValue": True}
            answer = self._call("Runtime.evaluate", words, session)
            assert "exceptionDetails" not in answer, answer
            values.append(answer["result"].get("value"))
        seen = Seen()
        self._note(seen)
        self._call("Target.closeTarget", {"targetId": target})
        return values, seen

    def _note(self, seen: Seen) -> None:
        for event in self._events:
            what = event["params"]
            if event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                seen.complaints.append(json.dumps(what))
            elif event["method"] == "Network.requestWillBeSent":
                seen.addresses.append(what["request"]["url"])

    def _call(self, method: str, words: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": words}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _wait(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._read()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            got = os.read(self._in, 1 << 20)
            assert got, "the browser has gone"
            self._waiting += got
        first, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        if "method" in message:
            self._events.append(message)
        return message


Look = Callable[..., Seen]
"""What the browser sees of a file: `look(file, width, height, dark=..., screenshot=...)`."""
