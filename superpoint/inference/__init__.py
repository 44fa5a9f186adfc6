"""From a network and a raster's pixels to class probabilities and classes, window by window."""

from superpoint.inference.probabilities import class_probabilities
from superpoint.inference.regions import SHARE, ClassSums, RegionClasses
from superpoint.inference.views import VIEWS, View
from superpoint.inference.windows import predict_window

__all__ = ["SHARE", "VIEWS", "ClassSums", "RegionClasses", "View", "class_probabilities", "predict_window"]
