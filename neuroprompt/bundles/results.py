"""What a bundle gives when it runs: a prediction for every image, or the spikes of its neurons."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.contracts.deployment import Recording
from neuroprompt.files import write_whole

Row = tuple[object, ...]


class Ran(ABC):
    """One run of a bundle: as JSON for scripts, as a table for a person."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What ran where."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """A row of the table for every result, in the order of `columns`."""

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """The results as JSON values."""

    @property
    def count(self) -> int:
        """How many images there were."""
        return 0

    @property
    def failed(self) -> int:
        """How many of them could not be read."""
        return 0

    def notes(self) -> list[str]:
        """Lines below the table."""
        return []


@dataclass(frozen=True)
class How:
    """Which file of a bundle (its `form`) ran in which `runtime`, and why that one."""

    runtime: str
    form: str
    why: str

    def json(self) -> dict[str, str]:
        """The fields."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.form} file in {self.runtime}: {self.why}"


# --- images ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """The class of one image, its probability, and the five likeliest classes.

    `spike_density`: the share of (step, neuron) entries that spiked, where neurons made this image's prompt.
    """

    file: Path
    label: str
    probability: float
    top5: tuple[tuple[str, float], ...]
    spike_density: float | None = None

    def json(self) -> dict[str, Any]:
        """The fields; `spike_density` only where there is one."""
        values = {
            "file": str(self.file),
            "label": self.label,
            "probability": self.probability,
            "top5": [list(pair) for pair in self.top5],
        }
        return values if self.spike_density is None else {**values, "spike_density": self.spike_density}

    def row(self) -> Row:
        """For a table."""
        density = () if self.spike_density is None else (f"{self.spike_density:.3f}",)
        return (self.file, self.label, f"{self.probability:.1%}", *density)


@dataclass(frozen=True)
class Unread:
    """An image that could not be read, and why."""

    file: Path
    error: str

    def json(self) -> dict[str, Any]:
        """The fields."""
        return {"file": str(self.file), "error": self.error}


@dataclass(frozen=True)
class Predictions(Ran):
    """A result for every image, in the order of the files; `target` and `precision` of the neurons, where there are."""

    images: tuple[Prediction | Unread, ...]
    target: str = ""
    precision: str = ""
    how: How | None = None

    @property
    def title(self) -> str:
        """What ran where."""
        if self.how is not None:
            return self.how.runtime
        return f"ONNX Runtime, with {self.target} ({self.precision}) between" if self.target else "ONNX Runtime"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return ("image", "label", "probability", *(("spikes a step",) if self.target else ()))

    def rows(self) -> list[Row]:
        """A row for every image; an error stands in place of the label."""
        blank = ("",) * (len(self.columns) - 2)
        return [i.row() if isinstance(i, Prediction) else (i.file, f"error: {i.error}", *blank) for i in self.images]

    def json(self) -> dict[str, Any]:
        """`images` in order, `failed` of them unread; `target` and `precision` where neurons ran, else `how`."""
        neurons = {"target": self.target, "precision": self.precision} if self.target else {}
        how = {} if self.how is None else {"how": self.how.json()}
        return {**neurons, **how, "images": [image.json() for image in self.images], "failed": self.failed}

    def notes(self) -> list[str]:
        """Which file ran, and why."""
        return [] if self.how is None else [str(self.how)]

    @property
    def count(self) -> int:
        """How many images there were."""
        return len(self.images)

    @property
    def failed(self) -> int:
        """How many of them could not be read."""
        return sum(isinstance(image, Unread) for image in self.images)


@dataclass(frozen=True)
class Labels(Ran):
    """Results of `images` images in the file `out`, `unread` of them errors; the images a second of this run alone."""

    out: Path
    images: int
    unread: int
    images_per_second: float
    how: How | None = None

    title = "labels"
    columns = ("", "value")

    def rows(self) -> list[Row]:
        """What there is, a line each."""
        speed = f"{self.images_per_second:.1f}"
        return [("images", self.images), ("not read", self.unread), ("images a second", speed), ("in", self.out)]

    def json(self) -> dict[str, Any]:
        """The figures, and where the results are."""
        return {
            "images": self.images,
            "failed": self.unread,
            "images_per_second": self.images_per_second,
            "out": str(self.out),
            **({} if self.how is None else {"how": self.how.json()}),
        }

    def notes(self) -> list[str]:
        """Which file ran, and why."""
        return [] if self.how is None else [str(self.how)]

    @property
    def count(self) -> int:
        """How many images there were."""
        return self.images

    @property
    def failed(self) -> int:
        """How many of them could not be read."""
        return self.unread


# --- spikes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpikeRun(Ran):
    """What the neurons of a bundle did on `target` in `precision`; their spikes are also in `out`, if there is one."""

    target: str
    precision: str
    recording: Recording
    out: Path | None = None

    columns = ("population", "neurons", "steps", "spikes", "spikes a step")

    @property
    def title(self) -> str:
        """What ran where."""
        return f"{self.target}, {self.precision}"

    def rows(self) -> list[Row]:
        """A row for every population."""
        nodes = self.json()["nodes"].items()
        return [(name, n["neurons"], n["steps"], n["spikes"], f"{n['rate']:.3f}") for name, n in nodes]

    def json(self) -> dict[str, Any]:
        """Counts by population, and the target's seconds."""
        nodes = {
            name: {
                "neurons": int(spikes.shape[-1]),
                "steps": int(spikes.shape[-2]),
                "spikes": int(spikes.sum()),
                "rate": float(spikes.mean()),
            }
            for name, spikes in self.recording.spikes.items()
        }
        return {"target": self.target, "precision": self.precision, "nodes": nodes, "seconds": self.recording.seconds}

    def notes(self) -> list[str]:
        """How long it took, and where the spikes are."""
        return [f"{self.recording.seconds:.2f} s" + (f", spikes in {self.out}" if self.out else "")]


def write_spikes(recording: Recording, out: Path) -> None:
    """Write the spikes as .npz, an array (steps, neurons) for each population; raises CannotWrite."""
    data = io.BytesIO()
    arrays: dict[str, Any] = dict(recording.spikes)
    np.savez_compressed(data, allow_pickle=False, **arrays)
    write_whole(out, data.getvalue())
