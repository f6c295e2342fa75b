"""The semantic mapping: by hand, from a file of embeddings, kept by a run, and rejected in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neuroprompt.contracts.learning import BackboneSpec, Head
from neuroprompt.errors import BadSetting
from neuroprompt.heads.semantic import in_turn
from neuroprompt.training.commands import train_command
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.evaluation import evaluate
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run


def saved(file: Path, **tensors: Tensor) -> Path:
    save_file(tensors, file)
    return file


def head(file: Path, classes: int = 3, source: int = 7, sources: int = 1) -> Any:
    return Head.named(
        "semantic", features=5, classes=classes, classifier=nn.Linear(5, source), names=str(file), sources=sources
    )


def rows(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def config(names: Path, **options: Any) -> RunConfig:
    tiny = BackboneSpec("test_vit", image_size=32, random=True)
    few: dict[str, Any] = {"limit": 20, "epochs": 1, "batch": 8, "lr": 0.05}
    return configure(
        method="lor-vp", backbone=tiny, head="semantic", head_settings={"names": str(names), **options}, **few
    )


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_each_class_in_turn_takes_what_is_free_and_most_alike(data: st.DataObject) -> None:
    classes, sources = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    columns = data.draw(st.integers(classes * sources, classes * sources + 4))
    cells = data.draw(st.lists(st.integers(-3, 3), min_size=classes * columns, max_size=classes * columns))
    likeness = torch.tensor(cells, dtype=torch.float64).view(classes, columns)
    index = in_turn(likeness, sources)
    taken: list[int] = []
    for chosen, k in ((int(index[k, r]), k) for r in range(sources) for k in range(classes)):
        free = [s for s in range(columns) if s not in taken]
        assert chosen == max(free, key=lambda s: (float(likeness[k, s]), -s))
        taken.append(chosen)
    assert len(set(taken)) == classes * sources


def test_names_of_the_same_meaning_are_mapped_whatever_their_length(tmp_path: Path) -> None:
    source = rows(7)
    target = torch.stack([source[4] * 3, source[0] * 0.1, source[6] + 0.01 * source[1]])
    mapped = head(saved(tmp_path / "names.safetensors", source=source, target=target))
    mapped.begin()
    assert mapped.index.tolist() == [[4], [0], [6]]
    features = torch.randn(4, 5)
    assert torch.equal(mapped(features), mapped.source(features)[:, [4, 0, 6]])
    assert not list(mapped.parameters())


def test_a_run_keeps_the_mapping_and_needs_no_file_afterwards(tmp_path: Path) -> None:
    file = saved(tmp_path / "names.safetensors", source=rows(1000), target=rows(10, seed=1))
    run = train(config(file, sources=2), tmp_path / "run", accelerator="cpu")
    index = load_file(run.folder / "prompt.safetensors")["head.index"]
    expected = cast(Any, Head.part("semantic"))(5, 10, nn.Linear(5, 1000), str(file), 2)
    expected.begin()
    assert torch.equal(index, expected.index)
    assert index.tolist() != torch.arange(20).view(10, 2).tolist()
    assert run.metrics.head_parameters == 0
    file.unlink()
    loaded = Run.load(run.folder)
    assert torch.equal(cast(Any, loaded.model.head).index, index)
    assert evaluate(loaded, split="val").clean == run.metrics.val_accuracy
    assert "--head-set names=names.safetensors" in train_command(loaded.config, private=True)
    assert str(tmp_path) not in train_command(loaded.config, private=True)


WRONG: dict[str, tuple[dict[str, Tensor], str]] = {
    "no-target": ({"source": rows(7)}, "no target"),
    "too-few": ({"source": rows(6), "target": rows(3)}, r"source of shape \(6, 6\).*\(7, E\)"),
    "a-vector": ({"source": rows(7), "target": rows(3)[0]}, r"target of shape \(6,\)"),
    "two-models": ({"source": rows(7), "target": rows(3)[:, :4].contiguous()}, "4 and 6 numbers"),
    "not-a-number": ({"source": rows(7) / 0 * 0, "target": rows(3)}, "row of source without direction"),
    "nothing": ({"source": rows(7), "target": 0 * rows(3)}, "row of target without direction"),
}


@pytest.mark.parametrize(("tensors", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_one_line(tensors: dict[str, Tensor], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=says) as caught:
        head(saved(tmp_path / "names.safetensors", **tensors)).begin()
    assert "\n" not in str(caught.value)


def test_no_file_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="without names"):
        Head.named("semantic", features=5, classes=3, classifier=nn.Linear(5, 7))
    with pytest.raises(BadSetting, match=r"nothing\.safetensors cannot be read") as caught:
        train(config(tmp_path / "nothing.safetensors"), tmp_path / "run", accelerator="cpu")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
