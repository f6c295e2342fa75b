"""Runs ONNX files in onnxruntime-web inside a real browser, as `export --target web` does, and times them there.

The browser opens one page of a server of ours on this machine, asks it for the next file to run, and posts what came
out. What it measures itself is taken: the way through the server is no part of it.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np

from neuroprompt.benchmarks.rounds import Took
from neuroprompt.bundles.web_runtime import SCRIPT, cached_files
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import RuntimeMissing
from neuroprompt.processes import end_group, guarded

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"
)
SECONDS = 300.0
"""How long the browser may take for an answer, its start and the opening of a file included."""
PAGE = """<!doctype html><title>neuroprompt bench</title><script src="SCRIPT"></script><script>
(async () => {
  ort.env.wasm.wasmPaths = new URL("/", location).href;
  ort.env.wasm.numThreads = 1;
  const input = new ort.Tensor("float32", new Float32Array(await (await fetch("/input")).arrayBuffer()), SHAPE);
  const models = {};
  for (;;) {
    const name = await (await fetch("/next")).text();
    let answer;
    try {
      models[name] ??= await ort.InferenceSession.create(await (await fetch("/model/" + name)).arrayBuffer());
      const model = models[name], start = performance.now();
      const output = (await model.run({ [model.inputNames[0]]: input }))[model.outputNames[0]];
      answer = { ms: performance.now() - start, shape: output.dims, logits: Array.from(output.data) };
    } catch (error) {
      answer = { error: String(error.message ?? error) };
    }
    await fetch("/done", { method: "POST", body: JSON.stringify(answer) });
  }
})();
</script>"""


class InBrowser:
    """Files that a browser runs on the same images, one thread each; `run` asks it for one."""

    def __init__(self, files: Mapping[str, Path], images: Floats) -> None:
        runtime = cached_files()
        self.program = next(filter(None, map(shutil.which, NAMES)), "")
        if not self.program:
            raise RuntimeMissing("no Chromium", f"one of {', '.join(NAMES)}", "apt-get install chromium")
        page = PAGE.replace("SCRIPT", SCRIPT).replace("SHAPE", json.dumps(images.shape))
        self.pages: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": ("text/html", page.encode),
            "/input": ("application/octet-stream", np.ascontiguousarray(images, dtype="<f4").tobytes),
        }
        kinds = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
        self.pages |= {f"/{name}": (kinds[Path(name).suffix], data.__bytes__) for name, data in runtime.items()}
        models = {f"/model/{name}": ("application/octet-stream", file.read_bytes) for name, file in files.items()}
        self.pages |= models
        self.tasks: queue.Queue[str] = queue.Queue()
        self.answers: queue.Queue[bytes] = queue.Queue()

    def run(self, name: str) -> tuple[Took, Floats]:
        """Seconds of one run in the browser, and its logits; raises RuntimeMissing where it gives none."""
        self.tasks.put(name)
        try:
            answer = json.loads(self.answers.get(timeout=SECONDS))
        except queue.Empty:
            got = f"{self.program} gave no answer within {SECONDS:g} s"
            raise RuntimeMissing(got, "the time of a run", "leave it to a browser that starts") from None
        if "error" in answer:
            got = f"onnxruntime-web cannot run the {name} file ({answer['error'].splitlines()[0]})"
            raise RuntimeMissing(got, "a file that it runs", "use another form")
        return Took(answer["ms"] * 1e-3), np.array(answer["logits"], dtype=np.float32).reshape(answer["shape"])


@contextmanager
def in_browser(files: Mapping[str, Path], images: Floats) -> Iterator[InBrowser]:
    """A browser that runs `files` on images (B, C, H, W); raises RuntimeMissing where there is none to start."""
    inside = InBrowser(files, images)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(inside))
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    # A browser does not put root into its sandbox; it opens this page and no other.
    rights = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    nowhere = subprocess.DEVNULL
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = f"http://127.0.0.1:{server.server_port}/"
        command = guarded([inside.program, *FLAGS.split(), *rights, f"--user-data-dir={profile}", address])
        child = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
        try:
            yield inside
        finally:
            end_group(child)
            server.shutdown()
            server.server_close()


def _handler(inside: InBrowser) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Serves the page, its files, and the next task."""

        def do_GET(self) -> None:
            if self.path == "/next":
                self._send("text/plain", inside.tasks.get().encode())
            elif self.path in inside.pages:
                kind, read = inside.pages[self.path]
                self._send(kind, read())
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            inside.answers.put(self.rfile.read(int(self.headers["Content-Length"])))
            self._send("text/plain", b"")

        def _send(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing: a bench prints its table."""

    return Handler
