"""Artefacts that a trained run can be exported to, one file each."""
