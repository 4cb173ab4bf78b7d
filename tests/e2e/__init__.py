"""Whole systems of real processes: the slowest tests, and the last word."""
