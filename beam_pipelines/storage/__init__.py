"""Atomic files and folders, local and on any file system that Beam knows."""
