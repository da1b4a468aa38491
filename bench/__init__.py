"""Measurements against peers and limits, as ratios of what the same run of a measurement saw."""
