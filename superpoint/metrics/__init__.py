"""Scores of class maps: counts that add up over tiles and rasters, and what is made of them."""

from superpoint.metrics.boundary import boundary_counts, default_width
from superpoint.metrics.counts import ClassCounts
from superpoint.metrics.intervals import draw_rasters, percentile_interval, resample
from superpoint.metrics.scores import MEANS, PER_CLASS, SegmentationScores, confusion_matrix, known

__all__ = [
    "MEANS",
    "PER_CLASS",
    "ClassCounts",
    "SegmentationScores",
    "boundary_counts",
    "confusion_matrix",
    "default_width",
    "draw_rasters",
    "known",
    "percentile_interval",
    "resample",
]
