"""Losses, data, loops, evaluation."""
