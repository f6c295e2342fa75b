"""How to run an ONNX bundle with onnxruntime, numpy and Pillow alone; a model card shows it, a test runs it."""

from __future__ import annotations

SNIPPET = """
import json
import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else ONNX Runtime 1.29 and later reports to Microsoft
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
about = session.get_modelmeta().custom_metadata_map
height, width = json.loads(about["size"])
mean, std = (np.array(json.loads(about[key]), np.float32) for key in ("mean", "std"))
resampling = Image.Resampling[about["interpolation"].upper()]
image = Image.open(sys.argv[1])  # of 8 bits a channel
image = ImageOps.exif_transpose(image) if json.loads(about["exif"]) else image
image = image.convert("RGB")
tall, wide, crop = height, width, json.loads(about["crop_pct"])  # where not null: larger, and its middle is cut out
if crop:
    tall, wide = int(height / crop), int(width / crop)
    if about["crop_mode"] == "center":  # in proportion
        ratio = image.width / image.height
        wide, tall = max(wide, int(tall * ratio)), max(tall, int(wide / ratio))
top, left = round((tall - height) / 2), round((wide - width) / 2)
image = image.resize((wide, tall), resampling).crop((left, top, left + width, top + height))
image = ((np.asarray(image, np.float32) / 255 - mean) / std).transpose(2, 0, 1)
canvas = json.loads(about["canvas"])  # where not null: zeros around the image
if canvas:
    top, left = (canvas[0] - height) // 2, (canvas[1] - width) // 2
    image = np.pad(image, ((0, 0), (top, canvas[0] - height - top), (left, canvas[1] - width - left)))
(logits,) = session.run(None, {session.get_inputs()[0].name: image[None]})
print(json.loads(about["labels"])[int(logits[0].argmax())])
"""
