"""Output mappings: what each computes and learns, and that a mapping is kept through a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import torch
from float_bounds import of_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from net_bounds import assert_rounding_apart, rounding
from safetensors.torch import load_file
from torch import Tensor, nn

from neuroprompt.contracts.learning import BackboneSpec, Head
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.evaluation import evaluate
from neuroprompt.training.loop import train
from neuroprompt.training.run_folder import Run

T = TypeVar("T")
TINY = BackboneSpec("test_vit", image_size=32, random=True)
"""timm's own tiny ViT, with a classifier of 1000 classes."""
MAPPINGS = [name for name in Head.names() if Head.part(name).needs_classifier and name not in ("direct", "semantic")]
"""All but `direct`, which takes a classifier of the task's own classes alone, and `semantic`: test_semantic.py."""


def classifier(source: int = 7, features: int = 5) -> nn.Linear:
    return nn.Linear(features, source)


def head(name: str, classes: int = 3, source: int = 7, **settings: Any) -> Any:
    return Head.named(name, features=5, classes=classes, classifier=classifier(source), **settings)


def config(name: str, method: str = "lor-vp", **options: Any) -> RunConfig:
    few = {"limit": 20, "epochs": 3, "batch": 8, "lr": 0.5}
    return configure(**{"method": method, "backbone": TINY, "head": name, **few, **options})


# --- the mapping -----------------------------------------------------------------------------------------------------


def by_hand(counts: Tensor, sources: int) -> list[list[int]]:
    """The papers' loop: the largest cell of the whole table, again and again."""
    left = counts.numpy().copy()
    chosen: list[list[int]] = [[] for _ in range(left.shape[1])]
    for _ in range(sources * left.shape[1]):
        s, k = np.unravel_index(left.argmax(), left.shape)
        chosen[k].append(int(s))
        left[s] = -1
        if len(chosen[k]) == sources:
            left[:, k] = -1
    return chosen


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_index_is_that_of_the_papers_loop(data: st.DataObject) -> None:
    classes, sources = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    rows = data.draw(st.integers(classes * sources, classes * sources + 5))
    cells = data.draw(st.lists(st.integers(0, 3), min_size=rows * classes, max_size=rows * classes))
    counts = torch.tensor(cells, dtype=torch.float32).view(rows, classes)
    fitted = head("frequency", classes, rows, sources=sources)
    fitted.fit(counts)
    assert fitted.index.tolist() == by_hand(counts, sources)
    assert len(set(fitted.index.flatten().tolist())) == classes * sources


def test_the_largest_cell_comes_first_and_retires_its_source() -> None:
    fitted = head("iterative", classes=2, source=3)
    fitted.fit(torch.tensor([[9.0, 8.0], [0.0, 1.0], [5.0, 0.0]]))  # both classes are mostly taken for source 0
    assert fitted.index.tolist() == [[0], [1]]


@pytest.mark.parametrize("name", ["frequency", "iterative"])
def test_logits_are_means_of_source_logits(name: str) -> None:
    features, layer = torch.randn(4, 5), classifier()
    mapped = cast(Any, Head.named(name, features=5, classes=3, classifier=layer, sources=2))
    source = layer(features)
    assert torch.equal(mapped.source(features), source)
    assert torch.equal(mapped(features)[:, 1], (source[:, 2] + source[:, 3]) / 2)  # one sum, halved exactly
    mapped.fit(torch.eye(7)[:, [6, 0, 3]])
    assert mapped.index[:, 0].tolist() == [6, 0, 3]
    assert torch.equal(mapped(features)[:, 0], (source[:, 6] + source[:, mapped.index[0, 1]]) / 2)
    assert not list(mapped.parameters())


def test_the_full_mapping_learns_a_layer_on_source_logits() -> None:
    layer, features = classifier(), torch.randn(4, 5)
    full = cast(Any, Head.named("full", features=5, classes=3, classifier=layer))
    assert sum(p.numel() for p in full.parameters()) == 7 * 3 + 3
    expected, bound = layer(features) @ full.weight.T + full.bias, rounding(full, features)
    assert_rounding_apart(full(features), expected, bound, bound)


@pytest.mark.parametrize("name", MAPPINGS)
def test_the_classifier_is_frozen_and_not_kept(name: str) -> None:
    made = head(name)
    assert set(made.state_dict()) == ({"weight", "bias"} if name == "full" else {"index"})
    assert all(made.state_dict()[key].dtype == torch.int64 for key in made.state_dict() if key == "index")


@pytest.mark.parametrize(("classes", "sources"), [(8, 1), (3, 3)])
def test_too_few_source_classes(classes: int, sources: int) -> None:
    with pytest.raises(BadSetting, match=rf"need {classes * sources} classes.*the 7 that it has.*full or the linear"):
        head("frequency", classes, sources=sources)


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting, match="sources 0"):
        head("iterative", sources=0)
    with pytest.raises(BadSetting, match=r"no setting 'source'.*sources"):
        Head.typed("iterative", {"source": "2"})
    with pytest.raises(BadSetting, match="5 features"):
        Head.named("full", features=6, classes=3, classifier=classifier())


# --- training --------------------------------------------------------------------------------------------------------


class Stop(Progress):
    """Sends SIGINT when the given batch of the given work has been drawn."""

    def __init__(self, what: str, batch: int) -> None:
        self.what, self.batch = what, batch

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        for i, item in enumerate(items):
            if what.startswith(self.what) and i == self.batch:
                os.kill(os.getpid(), signal.SIGINT)
            yield item


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[list[list[int]]]:
    """The mapping after every fit, as training goes on."""
    seen: list[list[list[int]]] = []
    part: Any = Head.part("iterative").__base__
    real = part.fit

    def fit(self: Any, counts: Tensor) -> None:
        real(self, counts)
        seen.append(self.index.tolist())

    monkeypatch.setattr(part, "fit", fit)
    return seen


def learned(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "prompt.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("name", "times"), [("frequency", 1), ("iterative", 3)])
def test_a_killed_run_goes_on_with_the_mapping_of_its_epoch(
    name: str, times: int, fits: list[list[list[int]]], tmp_path: Path
) -> None:
    unbroken = train(config(name), tmp_path / "unbroken", accelerator="cpu")
    every = list(fits)
    assert len(every) == times
    assert len({str(index) for index in every}) == times, "a mapping that never changes would hide a lost one"
    assert cast(Any, unbroken.model.head).index.tolist() == every[-1]
    for what in ("epoch 2", "output mapping"):
        fits.clear()
        out = tmp_path / what.replace(" ", "-")
        with pytest.raises(KeyboardInterrupt):
            train(config(name), out, Stop(what, int(what == "epoch 2")), accelerator="cpu")
        at_stop = load_file(out / "state.safetensors")["head.index"].tolist()
        if what == "epoch 2":
            assert at_stop == every[min(1, times - 1)]
            assert fits == every[:2]
        train(config(name), out, SILENT, accelerator="cpu")
        assert fits == every, "each mapping is counted once, whatever the kills"
        assert same(learned(out), learned(unbroken.folder))


def test_the_mapping_is_what_the_prompted_backbone_says(fits: list[list[list[int]]], tmp_path: Path) -> None:
    run = train(config("frequency", epochs=1), tmp_path / "run", accelerator="cpu")
    from neuroprompt.training.dataset import load_data

    backbone = load_backbone(run.config.backbone)
    images = load_data("digits", backbone.preprocess, 0, limit=20).train
    fresh = assemble(run.config, backbone).eval()
    counts = torch.zeros(1000, 10)
    with torch.no_grad():
        for i in range(20):
            image, label = images[i]
            logits = cast(Any, fresh.head).source(fresh.features(image[None] / 255))
            counts[int(logits.argmax()), label] += 1
    assert by_hand(counts, 1) == fits[0]


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_run_trains_is_read_back_and_evaluates(name: str, tmp_path: Path) -> None:
    run = train(config(name, lr=0.05, epochs=2), tmp_path / "run", accelerator="cpu")
    kept = learned(run.folder)
    assert not any("source" in key for key in kept)
    assert ("head.index" in kept) == (name != "full")
    assert run.metrics.head_parameters == (1000 * 10 + 10 if name == "full" else 0)
    loaded = Run.load(run.folder)
    assert evaluate(loaded, split="val").clean == run.metrics.val_accuracy


def test_the_linear_method_with_the_full_mapping_trains_on_kept_features(tmp_path: Path) -> None:
    history = train(config("full", "linear", lr=0.05), tmp_path / "run", accelerator="cpu").metrics.history
    assert history[-1].train_loss < history[0].train_loss


@pytest.mark.parametrize("name", ["frequency", "iterative"])
def test_nothing_to_learn_is_one_clear_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=rf"'linear' with head '{name}', of which nothing learns"):
        train(config(name, "linear"), tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_a_backbone_without_classes_of_its_own(tmp_path: Path) -> None:
    embedded = BackboneSpec(random=True, image_size=16)
    with pytest.raises(Unsupported, match=r"'embedded' has no classifier.*linear head"):
        train(config("frequency", backbone=embedded), tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_the_sequential_mapping_is_that_of_evps_release() -> None:
    """Class after class, the most frequent source that none before it has; also where another has more of it."""
    fitted = head("sequential", classes=2, source=3)
    fitted.fit(torch.tensor([[3.0, 9.0], [0.0, 1.0], [2.0, 4.0]]))
    assert fitted.index.tolist() == [[0], [2]]  # source 0 goes to class 0 with 3 images, though class 1 has 9
    fitted.fit(torch.zeros(3, 2))
    assert fitted.index.tolist() == [[0], [1]]


def test_the_direct_mapping_is_the_classifier() -> None:
    layer, features = classifier(), torch.randn(4, 5)
    direct = Head.named("direct", features=5, classes=7, classifier=layer)
    assert torch.equal(direct(features), layer(features))
    assert not list(direct.parameters())
    with pytest.raises(BadSetting, match="7 classes for 3"):
        Head.named("direct", features=5, classes=3, classifier=layer)


def test_the_linear_head_starts_as_asked() -> None:
    def drawn(init: str) -> Any:
        torch.manual_seed(0)
        return Head.named("linear", features=300, classes=200, init=init)

    torch.manual_seed(0)
    theirs = torch.nn.Linear(300, 200)
    assert torch.equal(drawn("torch").weight, theirs.weight)
    assert torch.equal(drawn("torch").bias, theirs.bias)
    vpt = drawn("vpt")
    assert torch.equal(vpt.bias, torch.full((200,), -torch.tensor(99.0, dtype=torch.float64).log().float().item()))
    # 60,000 draws of variance 0.01: the variance of a square is 2 * 0.01^2
    assert abs(float(vpt.weight.detach().square().mean()) - 0.01) <= of_mean(2**0.5 * 0.01, 60_000)
    assert float(drawn("normal").bias.detach().abs().max()) == 0
    with pytest.raises(BadSetting, match="vpt"):
        drawn("zeros")


def test_the_full_mapping_starts_at_the_source_classes_where_asked() -> None:
    layer, features = classifier(), torch.randn(4, 5)
    full = cast(Any, Head.named("full", features=5, classes=3, classifier=layer, init="identity"))
    assert torch.equal(full(features), layer(features)[:, :3])  # products with 0 and 1
    with pytest.raises(BadSetting, match=r"8 classes, with 7"):
        head("full", classes=8, init="identity")
    with pytest.raises(BadSetting, match="torch or identity"):
        head("full", init="eye")
    with pytest.raises(BadSetting, match="clip -1"):
        head("full", clip=-1.0)


def test_the_full_mappings_gradients_are_clipped_where_asked() -> None:
    full, features = head("full", init="identity", clip=0.001), torch.randn(4, 5)
    full(features).square().sum().backward()
    most = torch.tensor(0.001)
    assert full.weight.grad.abs().max() == most
    assert full.bias.grad.abs().max() == most
