"""Error maps: where a map is wrong, and what should be there.

A value says more than right or wrong: over the map in a GIS, a wrong pixel shows the colour of the class that belongs
there, a right one is light grey, and one that the truth leaves unlabelled is nodata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.pipelines.outputs import outputs_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.pipelines.settings import EvaluateSettings

RIGHT = 254
RIGHT_COLOR = (236, 236, 236)
ERRORS_TAG = "SUPERPOINT_ERRORS"


def error_maps_of(settings: EvaluateSettings, n_classes: int) -> list[Path]:
    """Return the error map of each map; none if none is asked for.

    Raises
    ------
    InputError
        If one cannot be written, is an input or there already, or there are too many classes.
    """
    outputs = outputs_of(settings.error_map, settings.maps, suffix="errors")
    truths = {path.resolve() for path in settings.truth}
    for output in outputs:
        if output.resolve() in truths:
            raise InputError(f"the error map {output} is a truth; give another output")
        check_output(output, overwrite=settings.overwrite)
    if outputs and n_classes > RIGHT:
        raise InputError(f"an error map has room for {RIGHT} classes, and there are {n_classes}; leave out --error-map")
    return outputs


def error_values(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the true class where a map is wrong, 254 where it is right, 255 where nobody knows.

    Parameters
    ----------
    truth, predicted : uint8 arrays of shape (rows, cols)
        Class values; 255 is unlabelled, and wrong where only the map is.

    Examples
    --------
    >>> error_values(np.array([[0, 1, 255, 2]], np.uint8), np.array([[0, 0, 0, 255]], np.uint8)).tolist()
    [[254, 1, 255, 2]]
    """
    is_right = (truth == predicted) & (truth != IGNORE)
    return np.where(is_right, np.uint8(RIGHT), truth)


def error_profile(predicted: Mask, truth: Mask) -> CogProfile:
    """Return what an error map's file holds beside its values."""
    return CogProfile(
        georeference=truth.georeference,
        dtype="uint8",
        nodata=IGNORE,
        band_names=("true class where wrong",),
        colormap=truth.classes.colormap | {RIGHT: RIGHT_COLOR},
        tags={
            ERRORS_TAG: {
                "map": predicted.path,
                "truth": truth.path,
                "right": RIGHT,
                "unlabelled": IGNORE,
                "wrong": {str(land_class.value): land_class.name for land_class in truth.classes.classes},
            }
        },
    )
