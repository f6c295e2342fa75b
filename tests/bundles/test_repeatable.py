"""The same run, bundles and report have the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import neuroprompt as npt
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.files import sha256
from neuroprompt.training.backbone import EMBEDDED
from neuroprompt.training.config import configure


def files_of(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "settings"), [("spike-nvpt", {"tokens": 2, "steps": 3}), ("lorsp", {"steps": 2})])
def test_all_that_is_written_has_the_same_bytes_twice(
    method: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 3)  # the exporter takes a second a block
    for time in ("once", "again"):
        (tmp_path / time).mkdir()
        monkeypatch.chdir(tmp_path / time)
        backbone = BackboneSpec(random=True)
        config = configure(method=method, settings=settings, backbone=backbone, limit=40, epochs=1, batch=16)
        npt.train(config, "run", accelerator="cpu")
        for target in ("lava", "nir", *(() if method == "lorsp" else ("onnx",))):
            npt.export("run", target, target=target)
        npt.report(["run", "lava"], "report.html")
    once, again = (files_of(tmp_path / time) for time in ("once", "again"))
    assert len(once) > 10
    assert once == again


def test_a_report_is_dated_where_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npt.train(configure(method="linear", limit=20, epochs=1), tmp_path / "run", accelerator="cpu")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    npt.report([tmp_path / "run"], tmp_path / "dated.html")
    assert "2023-11-14 22:13 UTC" in (tmp_path / "dated.html").read_text()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(npt.errors.BadSetting, match="SOURCE_DATE_EPOCH"):
        npt.report([tmp_path / "run"], tmp_path / "undated.html")
    assert not (tmp_path / "undated.html").exists()
