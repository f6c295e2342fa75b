"""The prompt: its bits or values, block by block, or what it adds to an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.report._axes import WIDTH, plain_axes
from neuroprompt.report._parts import Plot, Section, absent, slug
from neuroprompt.report._subject import Subject
from neuroprompt.report.figures import Array, draw_bits, new_figure

LEAD = (
    "The trained prompt as it is deployed: tokens that enter the blocks of the backbone, or what is added to an image."
)
SHOWN = 3
"""Test images that are shown with their prompts."""


def section(subjects: Sequence[Subject]) -> Section:
    """The prompt of every subject, as far as it can be drawn."""
    chapter = Section("prompt", "The prompt", LEAD)
    missing = {}
    for subject in subjects:
        try:
            chapter.parts.append(_drawn(subject))
        except NeuropromptError as error:
            missing[subject.name] = str(error)
    chapter.parts += absent(missing)
    return chapter


def _drawn(subject: Subject) -> Plot:
    """Raises NeuropromptError where there is nothing to draw."""
    tokens = subject.tokens
    if tokens is not None and tokens.size:
        return _tokens(subject.name, tokens)
    if subject.neurons is not None and not (subject.run or subject.baked):
        raise BadSetting("a bundle of the neurons alone, which does not hold the prompt", "its run folder beside it")
    enters = subject.loaded.model.prompt.enters
    if enters == "pixels":
        return _images(subject)
    why = "it depends on the image and is made between the blocks" if enters == "tokens" else "the method has none"
    raise BadSetting(f"no prompt to draw, {why}")


def _tokens(name: str, tokens: Array) -> Plot:
    blocks, count, width = tokens.shape
    figure, axes = plain_axes(grid="none")
    axes.spines[["top", "right"]].set_visible(True)
    binary = all(np.unique(block[block != 0]).size <= 1 for block in tokens)
    where = [(block, token) for block in range(blocks) for token in range(count)]
    flat = tokens.reshape(blocks * count, width)
    if binary:
        draw_bits(axes, tokens)
        flat, what = (flat != 0).astype(int), "bits, dark where 1"
    else:
        largest = float(np.abs(flat).max()) or 1.0
        drawn = axes.imshow(flat, cmap="PuOr", vmin=-largest, vmax=largest, aspect="auto")
        figure.colorbar(drawn, label="value")
        axes.set_xlabel("channel")
        axes.set_ylabel(f"token ({count} a block)")
        axes.set_title(f"{tokens.size:,} prompt values", fontsize=11)
        what = "values"
    caption = f"{name}: {blocks} blocks of {count} prompt tokens with {width} channels; {what}."
    rows = [(*place, *row.tolist()) for place, row in zip(where, flat, strict=True)]
    return Plot(f"prompt-{slug(name)}", figure, caption, ("block", "token", *map(str, range(width))), rows)


def _images(subject: Subject) -> Plot:
    import torch

    from neuroprompt.training.sample_images import sample_images

    model = subject.loaded.model.eval()
    images, origin = sample_images(subject.loaded, SHOWN)
    with torch.no_grad():
        inputs = model.inputs(images)
        before = (inputs * model.std + model.mean).clamp(0, 1)
        after = model.prompted(inputs) * model.std + model.mean
    added = after - before
    largest = float(added.abs().max()) or 1.0
    figure = new_figure(WIDTH, 1.9 * SHOWN)
    grid = figure.subplots(SHOWN, 3, squeeze=False)
    rows = []
    for i, row in enumerate(grid):
        shown = (before[i], 0.5 + added[i] / (2 * largest), after[i].clamp(0, 1))
        for axes, image, title in zip(row, shown, ("image", "prompt", "both"), strict=True):
            axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(title if i == 0 else "", fontsize=11)
        rows.append((i, *(float(v) for v in (added[i].min(), added[i].mean(), added[i].max()))))
    caption = (
        f"{subject.name}: images ({origin}), what the prompt adds to them (grey: nothing; scaled by "
        f"{1 / (2 * largest):.3g}), and their sum, which the backbone sees."
    )
    return Plot(f"prompt-{slug(subject.name)}", figure, caption, ("image", "least", "mean", "largest"), rows)
