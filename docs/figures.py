"""Makes the figures in docs/figures/ with the program's own report, and those beside the notebooks in examples/.

python docs/figures.py     (a few minutes on two cores)
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).resolve().parent / "figures"
COMMANDS = (
    "train --method spike-nvpt --epochs 6 --batch 32 --out runs/spike-nvpt",
    "train --method linear --epochs 6 --batch 32 --out runs/linear",
    "export runs/spike-nvpt --target onnx --out out/onnx",
    "export runs/spike-nvpt --target lava --out out/lava",
    "report runs/spike-nvpt out/onnx out/lava runs/linear --skip latency --out report.html",
)
FIGURES = {
    "accuracy-under-noise": "accuracy-under-noise",
    "prompt": "prompt-spike-nvpt",
    "raster": "raster-spike-nvpt-if1",
    "membranes": "membranes-spike-nvpt",
    "float-fixed": "float-fixed-spike-nvpt-if1",
    "energy": "energy-spike-nvpt",
}
"""The names of figures here, and in the report."""
README = (("accuracy-under-noise", "training"), ("raster-spike-nvpt-if1", "rates-spike-nvpt"))
"""The rows of README's figure."""


def main() -> None:
    """Train, export, report, and keep the figures."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for command in COMMANDS:
            print("neuroprompt", command, flush=True)
            subprocess.run([sys.executable, "-m", "neuroprompt", *command.split()], cwd=name, check=True)
        made = Path(name) / "report_files"
        for ours, theirs in FIGURES.items():
            shutil.copy2(made / f"{theirs}.png", HERE / f"{ours}.png")
        together([[made / f"{figure}.png" for figure in row] for row in README], HERE / "report.png")
        for notebook in sorted((HERE.parents[1] / "examples").glob("*.ipynb")):
            print(notebook.name, flush=True)
            of_notebook(notebook, Path(name))
    chain(HERE / "chain.svg")


def of_notebook(notebook: Path, folder: Path) -> None:
    """Run a notebook, and save its figures under the names that its text has for them."""
    content = nbformat.read(notebook, as_version=4)
    text = "".join(cell.source for cell in content.cells if cell.cell_type == "markdown")
    NotebookClient(content, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]
    drawn = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    for file, data in zip(re.findall(r"!\[.*?\]\((.*?)\)", text), drawn, strict=True):
        (notebook.parent / file).write_bytes(base64.b64decode(data))


def together(rows: list[list[Path]], file: Path) -> None:
    """Figures in rows, as one of at most 1060 pixels."""
    lines = [[Image.open(figure).convert("RGB") for figure in row] for row in rows]
    width = max(sum(image.width for image in line) for line in lines)
    page = Image.new("RGB", (width, sum(max(image.height for image in line) for line in lines)), "white")
    top = 0
    for line in lines:
        left = 0
        for image in line:
            page.paste(image, (left, top))
            left += width // len(line)
        top += max(image.height for image in line)
    page.thumbnail((1060, 10_000), Image.Resampling.LANCZOS)
    page.quantize(64).save(file, optimize=True)


def chain(file: Path) -> None:
    """What becomes of a run, from left to right."""
    figure = Figure(figsize=(8.4, 2.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 84), ylim=(0, 25))
    axes.axis("off")
    blue, orange = "#0072B2", "#D55E00"

    def box(x: float, y: float, text: str, colour: str) -> None:
        frame = FancyBboxPatch((x, y), 16, 7, boxstyle="round,pad=0.4")
        frame.set(facecolor="white", edgecolor=colour, linewidth=1.6)
        axes.add_patch(frame)
        axes.text(x + 8, y + 3.5, text, ha="center", va="center", fontsize=9)

    def arrow(x: float, y: float, x2: float, y2: float, text: str = "") -> None:
        axes.add_patch(FancyArrowPatch((x, y), (x2, y2), arrowstyle="-|>", mutation_scale=11, color="#444444"))
        axes.text((x + x2) / 2, (y + y2) / 2 + 1.1, text, ha="center", va="bottom", fontsize=7.5, color="#444444")

    box(1, 15, "spiking neurons\n(learn)", blue)
    box(1, 3, "vision backbone\n(frozen)", orange)
    box(29, 15, "NIR graph\n$\\to$ Loihi's integers", blue)
    box(57, 15, "Lava, Loihi and\nother simulators", blue)
    box(57, 3, "ONNX Runtime", orange)
    arrow(17.8, 18.5, 28.2, 18.5, "export")
    arrow(45.8, 18.5, 56.2, 18.5, "verify")
    arrow(17.8, 6.5, 56.2, 6.5)
    axes.text(27, 7.4, "export", ha="center", va="bottom", fontsize=7.5, color="#444444")
    axes.text(37, 5.4, "prompt baked in", ha="center", va="top", fontsize=7.5, color="#444444")
    arrow(37, 14.2, 37, 7.2)
    axes.text(38, 11, "the bits that the integers make", fontsize=7.5, color="#444444", va="center")
    arrow(9, 14.2, 9, 10.8)
    axes.text(10, 12.4, "prompt", fontsize=7.5, color="#444444", va="center")
    axes.text(75.5, 18.5, "same spikes", fontsize=8.5, color=blue, va="center")
    axes.text(75.5, 6.5, "same logits", fontsize=8.5, color=orange, va="center")
    with rc_context({"svg.hashsalt": "chain"}):
        figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
