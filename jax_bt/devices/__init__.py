"""Defines where a run computes: the mesh of devices and the processes that share it."""
