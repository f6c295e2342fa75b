"""Which of torchvision's data sets are for classification, and how each is asked for its splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Options = Mapping[str, Any]
"""Arguments of a constructor beside `root` and `download`."""

_WHOLE: tuple[Options, ...] = ({},)
_FLAG: tuple[Options, ...] = ({"train": True}, {"train": False})
_TWO: tuple[Options, ...] = ({"split": "train"}, {"split": "test"})
_THREE: tuple[Options, ...] = ({"split": "train"}, {"split": "val"}, {"split": "test"})
_VAL_TESTS: tuple[Options, ...] = ({"split": "train"}, {"split": "val"})

SETS: Mapping[str, tuple[Options, ...]] = {
    "CIFAR10": _FLAG,
    "CIFAR100": _FLAG,
    "CLEVRClassification": _VAL_TESTS,
    "Caltech101": _WHOLE,
    "Caltech256": _WHOLE,
    "Country211": ({"split": "train"}, {"split": "valid"}, {"split": "test"}),
    "DTD": _THREE,
    "EMNIST": _FLAG,
    "EuroSAT": _WHOLE,
    "FER2013": _TWO,
    "FGVCAircraft": _THREE,
    "FakeData": _WHOLE,
    "FashionMNIST": _FLAG,
    "Flowers102": _THREE,
    "Food101": _TWO,
    "GTSRB": _TWO,
    "INaturalist": ({"version": "2021_train"}, {"version": "2021_valid"}),
    "ImageNet": _VAL_TESTS,
    "Imagenette": _VAL_TESTS,
    "KMNIST": _FLAG,
    "MNIST": _FLAG,
    "Omniglot": _WHOLE,
    "OxfordIIITPet": ({"split": "trainval"}, {"split": "test"}),
    "PCAM": _THREE,
    "Places365": ({"split": "train-standard"}, {"split": "val"}),
    "QMNIST": _FLAG,
    "RenderedSST2": _THREE,
    "SEMEION": _WHOLE,
    "STL10": _TWO,
    "SUN397": _WHOLE,
    "SVHN": _TWO,
    "StanfordCars": _TWO,
    "USPS": _FLAG,
}
"""The splits of every set: all of it; training and test; or training, validation and test.

Where nobody has the labels of the test images (ImageNet, Places365, iNaturalist, CLEVR), the validation images are the
test split. Of Omniglot it is the background set, whose characters the evaluation set does not share.
"""

VARIANTS: Mapping[str, Mapping[str, Options]] = {
    "DTD": {str(part): {"partition": part} for part in range(1, 11)},
    "EMNIST": {name: {"split": name} for name in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")},
    "FGVCAircraft": {name: {"annotation_level": name} for name in ("variant", "family", "manufacturer")},
    "Imagenette": {name: {"size": name} for name in ("full", "320px", "160px")},
    "Places365": {"small": {"small": True}, "large": {"small": False}},
}
"""Sets in several forms, such as `torchvision:EMNIST/letters` or DTD's ten splits; the first is the default."""

_FLOW_OR_STEREO = "its labels are optical flow or disparity"
_PARTS = "its labels are objects, boxes or regions in an image"
_VIDEO = "it holds videos"
_CAPTIONS = "its labels are captions"
UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(("KittiFlow", "Sintel", "FlyingChairs", "FlyingThings3D", "HD1K"), _FLOW_OR_STEREO),
    **dict.fromkeys(("Kitti2012Stereo", "Kitti2015Stereo", "CarlaStereo", "Middlebury2014Stereo"), _FLOW_OR_STEREO),
    **dict.fromkeys(("CREStereo", "FallingThingsStereo", "SceneFlowStereo", "SintelStereo"), _FLOW_OR_STEREO),
    **dict.fromkeys(("InStereo2k", "ETH3DStereo"), _FLOW_OR_STEREO),
    **dict.fromkeys(("CocoDetection", "VOCDetection", "VOCSegmentation", "Cityscapes", "SBDataset"), _PARTS),
    **dict.fromkeys(("WIDERFace", "Kitti"), _PARTS),
    **dict.fromkeys(("Kinetics", "HMDB51", "UCF101", "MovingMNIST"), _VIDEO),
    **dict.fromkeys(("CocoCaptions", "SBU", "Flickr8k", "Flickr30k"), _CAPTIONS),
    **dict.fromkeys(("ImageFolder", "DatasetFolder", "VisionDataset"), "it is no set of its own: use folder:PATH"),
    **dict.fromkeys(("LFWPairs", "PhotoTour"), "its labels are of pairs of images"),
    **dict.fromkeys(("LSUN", "LSUNClass"), "it is a database in LMDB: export it to folders and use folder:PATH"),
    "CelebA": "its labels are attributes, of which an image has many",
    "LFWPeople": "most of its people have one image only",
}
"""Every other class of torchvision.datasets, with the reason why it cannot be trained on."""
