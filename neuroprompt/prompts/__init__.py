"""Prompt methods, one file each."""
