"""When the neurons spike, and how often in every layer."""

from __future__ import annotations

from collections.abc import Sequence

from neuroprompt.errors import NeuropromptError
from neuroprompt.report._axes import BLUE, plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, absent, slug
from neuroprompt.report._subject import Subject
from neuroprompt.report.figures import Array, draw_raster, spread

LEAD = "One run of the spiking part, from rest: in the integers that are deployed, or in float if no integers fit."
NEURONS = 60


def section(subjects: Sequence[Subject]) -> Section:
    """A raster of every population, and rates by layer."""
    chapter = Section("spikes", "Spikes", LEAD)
    missing, in_graphs = {}, []
    for subject in subjects:
        try:
            spiking = subject.spiking
        except NeuropromptError as error:
            if subject.about.get("spiking"):
                in_graphs.append(_in_graph(subject))
            else:
                missing[subject.name] = str(error)
            continue
        recording = spiking.fixed or spiking.floats
        for node, spikes in recording.spikes.items():
            chapter.parts.append(_raster(subject.name, node, spikes, spiking.about))
        chapter.parts.append(_rates(subject, dict(recording.spikes)))
    chapter.parts += [*in_graphs, *absent(missing)]
    return chapter


def _in_graph(subject: Subject) -> Note:
    spikes = subject.about["spiking"]
    return Note(
        f"{subject.name}: its neurons are part of the ONNX graph; {spikes['spikes_per_image']:,.0f} spikes an image, "
        f"{spikes['spike_density']:.1%} of all neuron updates."
    )


def _raster(name: str, node: str, spikes: Array, about: str) -> Plot:
    figure, axes = plain_axes(grid="none")
    draw_raster(axes, spikes, NEURONS)
    shown = spread(spikes.shape[1], NEURONS)
    rows = [(int(step) + 1, int(shown[i])) for step, i in zip(*spikes[:, shown].nonzero(), strict=True)]
    caption = f"{name}, population {node!r}: which neuron spikes in which step ({about})."
    return Plot(f"raster-{slug(name)}-{slug(node)}", figure, caption, ("step", "neuron"), rows)


def _rates(subject: Subject, spikes: dict[str, Array]) -> Plot:
    layers = {node: float(fired.mean()) for node, fired in spikes.items()}
    of = "population"
    tokens = subject.tokens if subject.places else None
    last = next(reversed(list(spikes.values())))
    if len(spikes) == 1 and tokens is not None and len(tokens) > 1 and tokens.size == last.shape[1]:
        by_block = last.mean(axis=0).reshape(len(tokens), -1).mean(axis=1)
        layers, of = {str(i): float(rate) for i, rate in enumerate(by_block)}, "block of the backbone"
    figure, axes = plain_axes()
    axes.bar(list(map(words, layers)), [100 * rate for rate in layers.values()], color=BLUE, width=0.65)
    axes.set_xlabel(of)
    axes.set_ylabel("spikes per neuron and step (%)")
    axes.set_xlim(-0.7, max(len(layers), 4) - 0.3)
    axes.set_ylim(0)
    axes.set_title("Spike rate by layer", fontsize=11)
    caption = f"{subject.name}: mean spike rate of the neurons of every {of}; 100 % is a spike in every step."
    return Plot(f"rates-{slug(subject.name)}", figure, caption, (of, "rate"), list(layers.items()))
