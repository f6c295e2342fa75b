"""Machines, simulators and runtimes, one file each."""
