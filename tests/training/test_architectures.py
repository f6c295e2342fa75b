"""The table of timm's architectures is what building them says, and nearly all of them take a prompt."""

from __future__ import annotations

import os
from typing import Any

import pytest
import timm
from torch.overrides import TorchFunctionMode

from neuroprompt.contracts.learning import Backbone
from neuroprompt.errors import UnknownName
from neuroprompt.training import architectures as module
from neuroprompt.training.architectures import Architecture, architectures, described, table

NAMES = timm.list_models()
CHUNKS = 16
LOOKED_AT = CHUNKS if os.environ.get("NEUROPROMPT_ARCHITECTURES") == "all" else 1
"""A sample, else all: a forward pass of each takes about 10 minutes."""
DRAWS = {
    *("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_normal_"),
    *("xavier_uniform_", "constant_", "ones_", "zeros_", "fill_", "zero_", "copy_", "mul_", "add_", "sub_", "div_"),
    *("clamp_", "erfinv_"),
}
"""What fills a tensor in place."""


class NoValues(TorchFunctionMode):
    """Leaves initial values out: on the meta device there are none, and to find that out takes half of the time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def assert_as_built(name: str) -> None:
    assert described(name) == table()[name], f"{name}: run tests/helpers/architectures_table.py"


def test_every_architecture_is_in_the_table() -> None:
    assert set(NAMES) <= set(table())
    families = {a.family for a in table().values() if a.family}
    assert families == set(Backbone.names())
    assert all(bool(a.why) != a.pixels for a in table().values())


@pytest.mark.parametrize("name", ["mobilenetv5_300m_enc", "qwen3_vit_88m_enc", "vit_so400m_patch14_siglip_384"])
def test_rare_ones_are_as_built(name: str) -> None:
    assert_as_built(name)


@pytest.mark.parametrize("name", NAMES[7::98])
def test_a_sample_is_as_built(name: str) -> None:
    assert_as_built(name)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_each_is_built(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every architecture that takes a prompt, on the meta device, by the path of `train`, but for a forward pass."""
    monkeypatch.setattr(Backbone.part("general"), "_try", lambda backbone: setattr(backbone, "grouped", False))
    known = table()
    with NoValues():
        built = {name: described(name) for name in NAMES[chunk::CHUNKS] if known[name].pixels}
    assert {name: now.why or now for name, now in built.items() if now != known[name]} == {}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(LOOKED_AT))
def test_all_are_as_built(chunk: int) -> None:
    """Each network is built on the meta device; the general ones run there, which finds what gives no features."""
    wrong = {name: now for name in NAMES[chunk::CHUNKS] if (now := described(name)) != table()[name]}
    assert not wrong


def test_most_take_prompts() -> None:
    counts = architectures().json()
    assert counts["architectures"] == len(NAMES) == len(counts["models"])
    assert counts["pixels"] >= 0.97 * len(NAMES)
    assert counts["tokens"] >= 320
    assert counts["baked"] == counts["pixels"]


def test_a_part_of_a_name_and_a_pattern() -> None:
    assert set(architectures("dinov3").models) == {name for name in NAMES if "dinov3" in name}
    assert set(architectures("vit_small*dinov3").models) == {
        name for name in NAMES if name.startswith("vit_small") and name.endswith("dinov3")
    }
    (vit,) = architectures("vit_base_patch16_siglip_224").models.values()
    assert (vit.family, vit.tokens, vit.input_size) == ("vit", True, (3, 224, 224))
    assert "webli" in vit.tags
    with pytest.raises(UnknownName, match="nothing_like_it"):
        architectures("nothing_like_it")


def test_what_is_not_in_the_table_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    before = architectures("test_vit2").models
    monkeypatch.setattr(module, "table", dict[str, Architecture])
    assert architectures("test_vit2").models == before
