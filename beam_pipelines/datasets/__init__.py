"""Datasets on disk: names, record layout, TFDS metadata, verification."""
