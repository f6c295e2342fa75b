"""The time step of a graph that does not say its own."""

from __future__ import annotations

DT_SECONDS = 1e-4
"""Seconds. NIR has no field for the time step; our own files, and those that say it, carry it as metadata `dt`."""
