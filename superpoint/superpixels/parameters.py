"""What the parameters of superpixel algorithms have in common: their checks, and what follows from a region size."""

from __future__ import annotations

import math

JOINED_HALO_CELLS = 4


def set_numbers(algorithm: object, **least: float) -> None:
    """Turn the named fields into floats, so that 10 and 10.0 are one cache key, and check their lower bounds.

    Raises
    ------
    TypeError
        If one is not a number.
    ValueError
        If one is not finite, or below its bound.
    """
    for name, bound in least.items():
        value = getattr(algorithm, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, got {value!r}")
        if not (math.isfinite(value) and value >= bound):
            raise ValueError(f"{name} must be at least {bound}, got {value}")
        object.__setattr__(algorithm, name, float(value))


def check_counts(algorithm: object, **least: int) -> None:
    """Check that the named fields are whole numbers and at least what is given.

    Raises
    ------
    TypeError
        If one is not a whole number.
    ValueError
        If one is below its bound.
    """
    for name, bound in least.items():
        value = getattr(algorithm, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")


def check_shapes(image_shape: tuple[int, ...], valid_shape: tuple[int, ...]) -> None:
    """Check that an image is (bands, rows, cols) and its mask (rows, cols).

    Raises
    ------
    ValueError
        If they are not.
    """
    if len(image_shape) != 3 or image_shape[1:] != valid_shape:  # noqa: PLR2004  # (band, row, col)
        raise ValueError(f"image {image_shape} and valid {valid_shape} must be (bands, rows, cols), (rows, cols)")


def joined_halo(name: str, region_size: float, *, exact: bool, beyond: float = 0) -> int:
    """Return the halo of an algorithm whose tiles are joined by their overlap, in pixels.

    `beyond` pixels are added, as for an image that is smoothed first.

    Raises
    ------
    ValueError
        If `exact`: the contract's way to say that there is no exact halo.
    """
    if exact:
        raise ValueError(f"{name} has no exact halo; its tiles are joined by their overlap")
    return math.ceil(JOINED_HALO_CELLS * region_size + beyond)


def merge_size(region_size: float, share: float = 0.25) -> int:
    """Return the pixels below which a region is merged: a share of a superpixel of average size."""
    return max(1, round(share * region_size**2))
