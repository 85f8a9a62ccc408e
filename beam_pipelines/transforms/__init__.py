"""The Beam transforms: the work of Beam's workers."""
