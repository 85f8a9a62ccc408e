"""Whole files on any file system, and atomic local ones."""
