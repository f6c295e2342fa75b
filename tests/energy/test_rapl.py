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


def test_the_kernels_folder_of_links_counts_every_zone_once(tmp_path: Path) -> None:
    """/sys/class/powercap is flat and of links; behind them a package's folder holds those of its parts."""
    device, flat = tmp_path / "devices" / "intel-rapl", tmp_path / "powercap"
    flat.mkdir()
    parts = {
        "intel-rapl:0": "package-0-die-0",
        "intel-rapl:0/intel-rapl:0:0": "core",
        "intel-rapl:0/intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-0-die-1",
        "intel-rapl:1/intel-rapl:1:0": "uncore",
        "intel-rapl:2": "psys",
    }
    files = {name: zone(device, folder, name, 100) for folder, name in parts.items()}
    (flat / "intel-rapl").symlink_to(device)
    for folder in parts:
        (flat / Path(folder).name).symlink_to(device / folder)
    meter = Meter(flat)
    assert [z.name for z in meter.zones] == ["package-0-die-0", "dram", "package-0-die-1"]
    for i, name in enumerate(files):
        add(files[name], 1_000_000 * 2**i)
    assert meter.read() == near(1 + 4 + 8)


@pytest.mark.parametrize("what", ["gone", "no number"])
def test_a_counter_that_goes_away_while_it_is_read_is_one_line(
    what: str, counters: dict[str, Path], tmp_path: Path
) -> None:
    def lose() -> None:
        if what == "gone":
            counters["dram"].unlink()
        else:
            counters["dram"].write_text("")

    with pytest.raises(Unsupported, match="energy_uj cannot be read any more"):
        measure(lose, seconds=0.01, root=tmp_path)


def test_a_counter_that_goes_round_in_a_run_is_counted_once(counters: dict[str, Path], tmp_path: Path) -> None:
    """Each run adds three quarters of the range, so that the counter goes round in most of them."""
    step = 3 * (LARGEST + 1) // 4
    result = measure(lambda: add(counters["package-1"], step), seconds=0.02, root=tmp_path)
    assert result.joules == near(step * 1e-6, 4 * result.runs)
