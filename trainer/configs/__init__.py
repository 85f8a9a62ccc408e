"""Experiment configs: one file an experiment; its docstring says the command, the time and the result."""
