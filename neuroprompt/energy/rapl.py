"""Joules that the processor's own counters measure while something runs: RAPL, through the kernel's powercap files.

The layout and the names are those of the kernel's documentation (power/powercap/powercap.rst). This has run on files of
that layout only: no machine where it was developed has counters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuroprompt.errors import Unsupported

POWERCAP = Path("/sys/class/powercap")
NOTE = "measured (RAPL): all that the package and its memory used meanwhile, other programs included"


@dataclass(frozen=True)
class Zone:
    """One counter: microjoules since some start, from 0 again behind `largest`."""

    name: str
    file: Path
    largest: int

    def microjoules(self) -> int:
        """What the counter says now; raises OSError, ValueError."""
        return int(self.file.read_text())

    def later(self) -> int:
        """The same of a counter that was read before; raises Unsupported where it cannot be read any more."""
        try:
            return self.microjoules()
        except (OSError, ValueError) as error:
            raise Unsupported(f"{self.file} cannot be read any more: {error}", "a counter that stays") from error


@dataclass(frozen=True)
class Measurement:
    """Means of `runs` runs: joules and seconds of one, and the watts meanwhile; `domains` are the counters' names."""

    joules: float
    watts: float
    seconds: float
    runs: int
    domains: tuple[str, ...]

    def json(self) -> dict[str, object]:
        """The figures, and what they include."""
        return {**vars(self), "domains": list(self.domains), "evidence": "measured", "note": NOTE}


def zones(root: Path = POWERCAP) -> list[Zone]:
    """The counters to add up: every package and every memory (dram); cores are part of their package.

    Raises Unsupported where the machine has none, or does not let this user read them.
    """
    counters = []
    for folder in sorted(root.glob("intel-rapl:*")):  # AMD's too; intel-rapl-mmio:* counts the same packages again
        try:
            name = (folder / "name").read_text().strip()
            if not name.startswith("package") and name != "dram":
                continue
            zone = Zone(name, folder / "energy_uj", int((folder / "max_energy_range_uj").read_text()))
            zone.microjoules()
        except PermissionError as error:
            counter = folder / "energy_uj"
            got = f"{counter} may not be read by this user"
            raise Unsupported(got, "a readable counter", f"sudo chmod a+r {counter}") from error
        except (OSError, ValueError):
            continue
        counters.append(zone)
    if not any(zone.name.startswith("package") for zone in counters):
        raise Unsupported(f"no energy counter under {root}: this machine does not offer RAPL", "a machine that does")
    return counters


class Meter:
    """Adds up what the zones count; `read` often enough that no counter goes round twice (about a minute)."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self.zones = zones(root)
        self.joules = 0.0
        self._last = [zone.later() for zone in self.zones]

    def read(self) -> float:
        """Joules since the meter was made; raises Unsupported where a counter has gone."""
        now = [zone.later() for zone in self.zones]
        for zone, before, after in zip(self.zones, self._last, now, strict=True):
            counted = after - before if after >= before else after + zone.largest + 1 - before
            self.joules += counted * 1e-6
        self._last = now
        return self.joules


def measure(run: Callable[[], object], seconds: float = 3.0, root: Path = POWERCAP) -> Measurement:
    """Joules of one `run`, the mean of as many as fit into `seconds`; raises Unsupported.

    The first run warms up and is not counted.
    """
    meter = Meter(root)
    run()
    before, start, runs = meter.read(), time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < seconds:
        run()
        runs += 1
        joules = meter.read() - before
    took = time.perf_counter() - start
    return Measurement(joules / runs, joules / took, took / runs, runs, tuple(zone.name for zone in meter.zones))
