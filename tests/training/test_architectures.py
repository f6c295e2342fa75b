"""The table of timm's architectures is what building them says, and nearly all of them take a prompt."""

from __future__ import annotations

import os

import pytest
import timm

from neuroprompt.contracts.learning import Backbone
from neuroprompt.errors import UnknownName
from neuroprompt.training import architectures as module
from neuroprompt.training.architectures import Architecture, architectures, described, table

NAMES = timm.list_models()
CHUNKS = 16
LOOKED_AT = CHUNKS if os.environ.get("NEUROPROMPT_ARCHITECTURES") == "all" else 2
"""A sample, else all: the whole table takes about 10 minutes."""


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
