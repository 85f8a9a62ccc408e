"""Experiment configs: one file per experiment; its docstring gives the command, time and result."""
