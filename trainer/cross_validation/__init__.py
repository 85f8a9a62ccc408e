"""Folds: training and evaluation together."""
