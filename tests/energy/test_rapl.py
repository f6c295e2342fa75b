"""RAPL counters in the kernel's file layout, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from float_bounds import near

from neuroprompt.energy.rapl import Meter, measure, zones
from neuroprompt.errors import Unsupported

LARGEST = 262143328850


def zone(root: Path, folder: str, name: str, microjoules: int) -> Path:
    (root / folder).mkdir(parents=True)
    (root / folder / "name").write_text(f"{name}\n")
    (root / folder / "energy_uj").write_text(f"{microjoules}\n")
    (root / folder / "max_energy_range_uj").write_text(f"{LARGEST}\n")
    return root / folder / "energy_uj"


def add(counter: Path, microjoules: int) -> None:
    counter.write_text(f"{(int(counter.read_text()) + microjoules) % (LARGEST + 1)}\n")


@pytest.fixture
def counters(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "intel-rapl").mkdir()
    return {
        "package-0": zone(tmp_path, "intel-rapl:0", "package-0", 1000),
        "core": zone(tmp_path, "intel-rapl:0:0", "core", 500),
        "dram": zone(tmp_path, "intel-rapl:0:1", "dram", LARGEST - 10),
        "package-1": zone(tmp_path, "intel-rapl:1", "package-1", 0),
        "psys": zone(tmp_path, "intel-rapl:2", "psys", 7),
        "again": zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1000),
    }


def test_packages_and_memory_are_added_and_cores_are_not(counters: dict[str, Path], tmp_path: Path) -> None:
    assert [z.name for z in zones(tmp_path)] == ["package-0", "dram", "package-1"]
    meter = Meter(tmp_path)
    for name, microjoules in {"package-0": 3_000_000, "core": 900, "package-1": 500_000, "psys": 9}.items():
        add(counters[name], microjoules)
    assert meter.read() == near(3.5)


def test_a_counter_that_goes_round(counters: dict[str, Path], tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    add(counters["dram"], 2_000_011)
    assert int(counters["dram"].read_text()) == 2_000_000
    assert meter.read() == near(2.000011)
    add(counters["dram"], 1_000_000)
    assert meter.read() == near(3.000011)


def test_the_joules_of_one_run(counters: dict[str, Path], tmp_path: Path) -> None:
    measurement = measure(lambda: add(counters["package-0"], 250_000), seconds=0.01, root=tmp_path)
    assert measurement.runs >= 1
    assert measurement.joules == near(0.25)
    assert measurement.json()["evidence"] == "measured"
    assert measurement.watts == near(measurement.joules / measurement.seconds)


def test_a_machine_without_counters_gets_one_line(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(Unsupported, match="does not offer RAPL"):
            Meter(folder)
    zone(tmp_path, "intel-rapl:0", "package-0", 1).write_text("not a number")
    with pytest.raises(Unsupported, match="does not offer RAPL"):
        zones(tmp_path)


def test_counters_of_others_are_refused_with_the_fix(
    counters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.read_text

    def guarded(self: Path, *rest: str) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return usual(self, *rest)

    monkeypatch.setattr(Path, "read_text", guarded)
    with pytest.raises(Unsupported, match=r"chmod a\+r .*energy_uj"):
        Meter(tmp_path)
