"""The public face: few names, each importable from `neuroprompt` itself, none of them heavy before its first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import neuroprompt

FACE = """
    Activity Backbone BackboneSpec Bundle Data Exporter Head NeuropromptError Prices Progress Prompt Run RunConfig
    Target __version__ activities bench_backbone bench_bundle compare configure estimate_energy evaluate load_model
    loihi_aware model_of_graph predict read_graph run train verify write_report
"""


def test_the_face_is_what_it_was() -> None:
    assert set(neuroprompt.__all__) == set(FACE.split())


@pytest.mark.parametrize("name", neuroprompt.__all__)
def test_every_name_is_there(name: str) -> None:
    found = getattr(neuroprompt, name)
    assert isinstance(found, str) or callable(found)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(neuroprompt.__file__).read_text())
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {a.asname or a.name for n in guarded.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert names | {"__version__"} == set(neuroprompt.__all__) == {*neuroprompt._HOME, "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = neuroprompt.no_such_name


def test_importing_it_does_not_import_torch() -> None:
    script = "import sys, neuroprompt, neuroprompt.errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
