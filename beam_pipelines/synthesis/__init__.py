"""Synthetic spikes, in NumPy and compiled."""
