"""Every folder of parts is a registry without a list."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from neuroprompt.contracts.deployment import Exporter, ImageTarget, Prices, SpikingTarget, Target
from neuroprompt.contracts.learning import Backbone, Data, Head, Prompt
from neuroprompt.contracts.work import Engine
from neuroprompt.errors import BadSetting, UnknownName
from neuroprompt.plugin import Plugin

KINDS: list[type[Plugin]] = [Prompt, Backbone, Data, Exporter, Prices, Target, Engine]
PARTS = [(kind, name) for kind in KINDS for name in kind.names()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_parts(kind: type[Plugin]) -> None:
    assert kind.names()
    assert kind.names() == sorted(kind.names())


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_file_is_one_part_that_says_what_it_is(kind: type[Plugin], name: str) -> None:
    part = kind.part(name)
    assert issubclass(part, kind)
    assert part.name == name
    assert part.__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_lists_what_there_is(kind: type[Plugin]) -> None:
    with pytest.raises(UnknownName) as caught:
        kind.part("no-such-part")
    assert kind.kind in str(caught.value)
    assert all(name in str(caught.value) for name in kind.names())


def test_settings_are_read_by_their_type() -> None:
    values = Prompt.typed("spike-nvpt", {"steps": "8", "theta": "0.25", "deep": "no"})
    assert values == {"steps": 8, "theta": 0.25, "deep": False}


@pytest.mark.parametrize(
    ("word", "says"), [("deep=maybe", "yes or no"), ("tokens=many", "a whole number"), ("theta=x", "a number")]
)
def test_a_word_that_cannot_be_read_is_one_plain_line(word: str, says: str) -> None:
    name, _, value = word.partition("=")
    with pytest.raises(BadSetting, match=f"{word}; expected {says}"):
        Prompt.typed("spike-nvpt", {name: value})


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in (Prompt, Head, Data) for name in kind.names()])
def test_every_setting_says_what_it_means(kind: type[Plugin], name: str) -> None:
    part = kind.part(name)
    from_program = {"self", "site", "features", "classes", "classifier"}
    assert part.settings().keys() == inspect.signature(part.__init__).parameters.keys() - from_program
    for setting in part.settings().values():
        assert setting.meaning
        assert setting.required or isinstance(setting.default, setting.type)


@pytest.mark.parametrize("settings", [{"tokens": "5"}, {"tokens": True}, {"tokens": 2.0}, {"deep": 1}, {"site": 1}])
def test_values_of_another_type_are_rejected(settings: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        Prompt.check_settings("spike-nvpt", settings)


def test_a_whole_number_is_a_float_too() -> None:
    Prompt.check_settings("spike-nvpt", {"theta": 1})


@pytest.mark.parametrize("word", [{"stepz": "8"}, {"steps": "many"}, {"deep": "perhaps"}, {"site": "1"}])
def test_a_wrong_setting_is_refused(word: dict[str, str]) -> None:
    with pytest.raises(BadSetting):
        Prompt.typed("spike-nvpt", word)


def test_a_narrower_class_has_the_parts_that_are_one() -> None:
    spiking, images = SpikingTarget.names(), ImageTarget.names()
    assert images == ["onnxruntime", "openvino"]
    assert "reference" in spiking
    assert sorted(spiking + images) == Target.names()
    assert SpikingTarget.part("loihi") is Target.part("loihi")


def test_a_part_of_another_class_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match=r"^no spiking target is called 'onnxruntime'; expected one of: .*loihi, "):
        SpikingTarget.named("onnxruntime")
    with pytest.raises(
        UnknownName, match=r"^no image target is called 'loihi'; expected one of: onnxruntime, openvino$"
    ):
        ImageTarget.part("loihi")


LISTED = """
import sys
from neuroprompt.contracts.deployment import SpikingTarget
assert "lava" in SpikingTarget.names()
print(sorted({"torch", "snntorch", "norse", "lava", "onnxruntime"} & set(sys.modules)))
"""


def test_listing_the_spiking_targets_imports_no_simulator() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
