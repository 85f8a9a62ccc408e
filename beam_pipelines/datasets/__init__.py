"""What a dataset is on disk: names, record layout, TFDS metadata, verification."""
