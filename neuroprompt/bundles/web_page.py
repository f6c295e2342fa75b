"""Writes a run as a web page that classifies images: the model, onnxruntime-web, and nothing from elsewhere."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from neuroprompt.bundles.baked import write_baked
from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.check import CHECK
from neuroprompt.bundles.forms import FUSED, chosen_form, forms_of
from neuroprompt.bundles.web_runtime import BINARY, GLUE, LICENCE, PACKAGE, VERSION, runtime_files
from neuroprompt.contracts.deployment import Exported, Precision
from neuroprompt.contracts.padding import margins
from neuroprompt.progress import Progress

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

SOURCES = Path(__file__).parent / "web"
PAGE = "index.html"
MOST_CARRIED = 250_000_000
"""Bytes of a file that a script can carry: as text it must stay below the 512 MB that browsers allow."""


def write_web(
    run: Run, out: Path | str, package: str, progress: Progress, precision: Precision | None = None
) -> Exported:
    """Write the page's folder at `out`, once the model's file agrees with PyTorch; in fewer bits if asked for.

    package: onnxruntime-web as `neuroprompt.bundles.web_runtime` takes it. Each file that the page reads is there
    twice, as it is, for a web server, and in a script, compressed, for a page that is opened from a disk; of more than
    MOST_CARRIED bytes only the first. Raises what `write_baked` and `runtime_files` raise, and CannotWrite.
    """
    runtime = runtime_files(package, progress)
    with TemporaryDirectory() as scratch:
        exported = write_baked(run, Path(scratch) / "onnx", progress, precision)
        plain = Bundle.open(exported.out)
        model = forms_of(plain)[chosen_form(plain)]

        def fill(folder: Path) -> dict[str, Any]:
            progress.say("writing the page")
            for file in (model, plain.folder / CHECK):
                shutil.copyfile(file, folder / file.name)
            for name, data in runtime.items():
                (folder / name).write_bytes(data)
            for name in (model.name, GLUE, BINARY):
                _carry(folder / name)
            for name in ("pixels.js", "page.js"):
                shutil.copyfile(SOURCES / name, folder / name)
            (folder / PAGE).write_text(_page(plain.about, folder / model.name), encoding="utf-8")
            forms = {key: value for key, value in plain.about["forms"].items() if key != FUSED}
            return plain.about | {"forms": forms, "web": {"runtime": f"{PACKAGE} {VERSION}", "model": model.name}}

        written = write_bundle(out, "web", fill)
    size = sum(file.stat().st_size for file in written.folder.iterdir())
    figures = {**exported.figures, "page": PAGE, "model_bytes": model_size(written), "folder_bytes": size}
    return Exported(written.folder, figures, written.about)


def model_size(bundle: Bundle) -> int:
    """Bytes of the model that the page reads."""
    name: str = bundle.about["web"]["model"]
    return (bundle.folder / name).stat().st_size


def _carry(file: Path) -> None:
    """Write the script beside `file` that carries it."""
    if file.stat().st_size > MOST_CARRIED:
        return
    packed = base64.b64encode(gzip.compress(file.read_bytes(), mtime=0)).decode()
    file.with_name(f"{file.name}.js").write_text(f'carried["{file.name}"] = "{packed}";\n')


def _page(about: Mapping[str, Any], model: Path) -> str:
    """index.html: what a run says of itself is text there, whatever characters it has."""
    preprocess = about["preprocess"]
    size, canvas = tuple(preprocess["size"]), tuple(preprocess["canvas"] or preprocess["size"])
    left, _, top, _ = margins(size, canvas)
    settings = {
        **{key: preprocess[key] for key in ("size", "mean", "std", "interpolation", "exif", "crop_pct", "crop_mode")},
        "canvas": canvas,
        "corner": [left, top],
        "classes": about["classes"],
        "model": model.name,
        "runtime": [GLUE, BINARY],
    }
    title = f"{about['backbone']['name']}, {len(about['classes'])} classes"
    template = Template((SOURCES / PAGE).read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        megabytes=f"{model.stat().st_size / 1e6:.1f}",
        about=escape(f"{about['method']} of neuroprompt; images stay on this machine. Runs in {LICENCE}."),
        settings=json.dumps(settings).replace("<", "\\u003c"),
    )
