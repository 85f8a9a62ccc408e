"""Invented recordings, as real ABF files."""
