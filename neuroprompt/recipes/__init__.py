"""Recipes, a TOML file each: the settings of a paper, its table, and what neither paper nor release says."""
