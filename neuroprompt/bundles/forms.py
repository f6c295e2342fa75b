"""The files of an ONNX bundle that compute the same: the portable one, and others that are faster where they run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.errors import BadSetting

PORTABLE, FUSED, INT8, DYNAMIC, HALF = "portable", "fused", "int8", "int8-dynamic", "fp16"
FILES: Mapping[str, str] = {
    PORTABLE: "model.onnx",
    FUSED: "model.fused.onnx",
    **{bits: f"model.{bits}.onnx" for bits in (INT8, DYNAMIC, HALF)},
}
"""Forms, each with its file: every runtime reads the portable one; the fused one and those of 8 bits are for ONNX
Runtime. In 32 bits are the first two."""


def forms_of(bundle: Bundle) -> dict[str, Path]:
    """The forms that the bundle has, each with its file."""
    return {form: bundle.folder / name for form, name in FILES.items() if (bundle.folder / name).is_file()}


def chosen_form(bundle: Bundle, form: str | None = None) -> str:
    """The form to run: `form` itself, or the precision that the bundle was exported with; else the portable one.

    Raises BadSetting where the bundle has no such form.
    """
    there = forms_of(bundle)
    if form is not None and form not in there:
        raise BadSetting(f"form {form!r} of {bundle.folder}", f"one of: {', '.join(there)}")
    if form is not None:
        return form
    about: dict[str, Any] = bundle.about.get("forms", {})
    chosen: str = about.get("chosen", PORTABLE)
    return chosen if chosen in there else PORTABLE
