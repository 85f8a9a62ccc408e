"""Simulated recordings, as real ABF files."""
