"""Effective multiply-accumulates of ONNX files: NeuroBench's own figures, and by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from float_bounds import near
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from torch import nn

from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.effective import effective
from neuroprompt.onnxgraph.file import to_onnx


def convnet() -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, groups=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 36, 20, bias=False), nn.ReLU(), nn.Linear(20, 4),
    )  # fmt: skip
    with torch.no_grad():
        for module in net:
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight[torch.rand_like(module.weight) < 0.2] = 0
    return net.eval()


def test_by_hand_for_a_product(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    net[1].weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    to_onnx(net, (3, 1, 1), tmp_path / "a.onnx")
    images = np.array([[1.0, 5.0, 0.0], [0.5, 0.0, 2.0]], np.float32).reshape(2, 3, 1, 1)
    # The first image meets one weight; the second one and two.
    found = effective(tmp_path / "a.onnx", images)
    assert (found.macs, found.acs, found.dense) == (2.0, 0.0, 6.0)
    spikes = effective(tmp_path / "a.onnx", np.array([1.0, 1.0, 1.0], np.float32).reshape(1, 3, 1, 1))
    assert (spikes.macs, spikes.acs, spikes.dense) == (0.0, 3.0, 6.0)


def test_all_of_it_is_what_the_graph_says_but_for_padding(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)).eval()
    to_onnx(net, (3, 8, 8), tmp_path / "a.onnx")
    found = effective(tmp_path / "a.onnx", torch.rand(2, 3, 8, 8).numpy())
    assert found.dense == count_graph(tmp_path / "a.onnx").total.macs
    assert 0.3 * found.dense < found.macs < found.dense


@pytest.mark.usefixtures("neurobench")
def test_neurobench_gives_the_same_for_a_net_of_layers(tmp_path: Path) -> None:
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    net, images = convnet(), torch.rand(3, 3, 16, 16)
    to_onnx(net, (3, 16, 16), tmp_path / "a.onnx")
    model = TorchModel(net)
    model.register_hooks()
    with torch.no_grad():
        theirs = SynapticOperations()(model, model(images), (images, None))
    found = effective(tmp_path / "a.onnx", images.numpy())
    assert found.macs == near(theirs["Effective_MACs"])
    assert found.acs == theirs["Effective_ACs"] == 0
    assert found.dense == near(theirs["Dense"])
    assert found.macs < 0.8 * found.dense


def test_what_cannot_be_counted(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no")
    with pytest.raises(BadBundle, match=r"a\.onnx"):
        effective(tmp_path / "a.onnx", np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(BadSetting, match="no images"):
        effective(tmp_path / "a.onnx", np.zeros((0, 3, 8, 8), np.float32))


@settings(max_examples=40)
@given(
    spatial=st.integers(1, 3), groups=st.integers(1, 3), stride=st.integers(1, 3), dilation=st.integers(1, 2),
    kernel=st.integers(1, 3), pads=st.lists(st.integers(0, 2), min_size=6, max_size=6), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_convolution_is_counted_as_torch_convolves_ones(  # noqa: PLR0917
    spatial: int, groups: int, stride: int, dilation: int, kernel: int, pads: list[int], seed: int
) -> None:
    """Products of two factors that are not 0 are a convolution of zeros and ones, which float64 holds exactly."""
    rng = np.random.default_rng(seed)
    begin, end = pads[:spatial], pads[3 : 3 + spatial]
    shape = (1, 2 * groups, *map(int, rng.integers(5, 8, spatial)))
    weights = (rng.random((3 * groups, 2, *[kernel] * spatial)) * (rng.random() < 0.9)).astype(np.float32)
    weights[rng.random(weights.shape) < 0.3] = 0
    image = rng.random(shape).astype(np.float32)
    image[rng.random(shape) < 0.5] = 0
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=[stride] * spatial,
        dilations=[dilation] * spatial,
        pads=[*begin, *end],
        group=groups,
    )
    x, y = (helper.make_tensor_value_info(name, 1, dims) for name, dims in (("x", shape), ("y", [None] * len(shape))))
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.onnx"
        onnx.save(model, str(file))
        counted = effective(file, image)
    around = [n for pair in zip(reversed(begin), reversed(end), strict=True) for n in pair]
    ones = F.pad(torch.from_numpy(image != 0).double(), around)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    expected = convolve(ones, torch.from_numpy(weights != 0).double(), None, stride, 0, dilation, groups).sum()
    assert counted.macs + counted.acs == float(expected)
