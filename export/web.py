"""A run as a folder with one web page: it classifies an image that is chosen or dropped, offline, in any browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from neuroprompt.bundles.predict import Classifier
from neuroprompt.contracts.deployment import Exported, Exporter, Precision
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class WebPage(Classifier):
    """The page's model, which runs here as that of an ONNX bundle does."""

    summary = "a frozen image classifier with a small trained prompt in it, as a web page that runs offline"
    tags = ("onnx", "onnxruntime-web")

    def run_elsewhere(self) -> list[str]:
        """Open the page."""
        return ["Open index.html in a browser, or serve the folder: `python -m http.server`. It needs no network."]


class Web(Exporter):
    """index.html, the model (that of the ONNX bundle, or its file in fewer bits), and onnxruntime-web's own files.

    An image is resized, cropped and normalised by the integers that Pillow uses, so that the page's inputs are those of
    `run`, number by number, where the browser decodes a file to the same pixels (PNG and BMP without transparency; a
    JPEG, and what lies on white, may differ by a level).
    """

    def __init__(
        self,
        package: Annotated[str, "onnxruntime-web as npm packs it, a .tgz or its folder (default: npm fetches it)"] = "",
    ) -> None:
        self.package = package

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the folder at `out`; raises BadData, RuntimeMissing, and what export to ONNX raises."""
        from neuroprompt.bundles.web_page import write_web

        return write_web(run, out, self.package, progress)

    def export_reduced(
        self, run: Run, out: Path | str, precision: Precision, *, progress: Progress = SILENT
    ) -> Exported:
        """The same with a model in fewer bits; raises ParityError where that loses too much accuracy."""
        from neuroprompt.bundles.web_page import write_web

        return write_web(run, out, self.package, progress, precision)

    def opened(self, bundle: Bundle) -> WebPage:
        """A classifier of images."""
        return WebPage(bundle)
