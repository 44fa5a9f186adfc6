from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from superpoint.scaling import PERCENTILES, Scaling, measure_scaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUMBERS = {
    "uint8": st.integers(0, 255),
    "int8": st.integers(-128, 127),
    "uint16": st.integers(0, 65535),
    "int16": st.integers(-32768, 32767),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e-45, -1e-45]),
}


def measured(pixels: NDArray[Any], valid: NDArray[np.bool_], cuts: Sequence[int], dtype: str) -> Scaling | None:
    """Measure bands of pixels (band, pixel), read in the pieces between `cuts`."""
    edges = [0, *sorted(cut % (pixels.shape[1] + 1) for cut in cuts), pixels.shape[1]]
    pieces = [
        (pixels[:, None, start:stop].astype(np.float32), valid[None, start:stop]) for start, stop in pairwise(edges)
    ]
    return measure_scaling(lambda: pieces, n_bands=len(pixels), dtype=dtype)


@st.composite
def rasters(draw: st.DrawFn) -> tuple[str, NDArray[Any], NDArray[np.bool_]]:
    dtype = draw(st.sampled_from(sorted(NUMBERS)))
    n_pixels = draw(st.integers(1, 150))
    n_bands = draw(st.integers(1, 2))
    values = draw(st.lists(NUMBERS[dtype], min_size=n_pixels * n_bands, max_size=n_pixels * n_bands))
    valid = draw(st.lists(st.booleans(), min_size=n_pixels, max_size=n_pixels))
    valid[0] = True
    return dtype, np.array(values, dtype).reshape(n_bands, n_pixels), np.array(valid)


@given(raster=rasters(), cuts=st.lists(st.integers(0, 200), max_size=4))
@example(raster=("int8", np.array([[-5, -3, 2, 100]], np.int8), np.ones(4, bool)), cuts=[])
@example(raster=("float32", np.array([[-0.0, 0.0, -1e-45, 3e38]], np.float32), np.ones(4, bool)), cuts=[2])
def test_the_scaling_is_numpys_lower_percentiles_however_the_raster_is_cut(
    raster: tuple[str, NDArray[Any], NDArray[np.bool_]], cuts: list[int]
) -> None:
    dtype, pixels, valid = raster
    scaling = measured(pixels, valid, cuts, dtype)
    assert scaling is not None
    for band, low, high in zip(pixels, scaling.low, scaling.high, strict=True):
        assert [low, high] == np.percentile(band[valid].astype(np.float32), PERCENTILES, method="lower").tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_real_looking_band_with_a_few_wild_pixels_is_scaled_as_numpy_says(dtype: str) -> None:
    rng = np.random.default_rng(3)
    band = rng.normal(90, 20, (1, 40_000)).clip(0, 255)
    if dtype == "float32":
        band[0, ::1000], band[0, 5::1000] = 3.4e38, -3.4e38
    pixels = band.astype(dtype)
    scaling = measured(pixels, np.ones(40_000, bool), [1, 17_000, 17_001], dtype)
    assert scaling is not None
    low, high = np.percentile(pixels[0], PERCENTILES, method="lower")
    assert (scaling.low, scaling.high) == ((low,), (high,))
    assert 20 < low < high < 160


def test_what_lies_under_nodata_has_no_say() -> None:
    pixels = np.array([[5, np.nan, 7, np.inf, 9]], np.float32)
    valid = np.array([True, False, True, False, True])
    assert measured(pixels, valid, [2], "float32") == Scaling(low=(5.0,), high=(7.0,))


def test_a_raster_of_nothing_but_nodata_has_no_scaling() -> None:
    assert measured(np.zeros((2, 6), np.uint8), np.zeros(6, bool), [3], "uint8") is None


def test_integers_of_up_to_16_bits_are_read_once_and_anything_else_twice() -> None:
    n_reads = {}
    for dtype in ("uint8", "int16", "int32", "float32"):
        reads: list[int] = []

        def pieces(reads: list[int] = reads) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
            reads.append(1)
            return [(np.ones((1, 2, 2), np.float32), np.ones((2, 2), bool))]

        measure_scaling(pieces, n_bands=1, dtype=dtype)
        n_reads[dtype] = len(reads)
    assert n_reads == {"uint8": 1, "int16": 1, "int32": 2, "float32": 2}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_band_without_a_value_is_constantly_0(dtype: str) -> None:
    pixels = np.array([[np.nan, np.nan], [3, 5]], np.float32)
    assert measured(pixels, np.ones(2, bool), [], dtype) == Scaling(low=(0.0, 3.0), high=(0.0, 3.0))


def test_low_becomes_0_and_high_1_and_nothing_is_clipped() -> None:
    scaling = Scaling(low=(10.0, -1.0), high=(20.0, 1.0))
    image = np.array([[[10, 20, 40]], [[-1, 1, 0]]], np.float32)
    np.testing.assert_array_equal(scaling.apply(image), [[[0, 1, 3]], [[0, 1, 0.5]]])
    assert scaling.apply(image).dtype == np.float32


def test_a_constant_band_becomes_0() -> None:
    np.testing.assert_array_equal(Scaling(low=(7.0,), high=(7.0,)).apply(np.full((1, 2, 2), 7, np.float32)), 0)


def test_nodata_becomes_0_whatever_lies_there() -> None:
    image = np.array([[[np.nan, 5, np.inf]]], np.float32)
    scaled = Scaling(low=(1.0,), high=(5.0,)).apply(image, np.array([[False, True, False]]))
    np.testing.assert_array_equal(scaled, [[[0, 1, 0]]])


def test_scaling_leaves_its_input_as_it_is() -> None:
    image = np.array([[[3, 4]]], np.float32)
    Scaling(low=(1.0,), high=(5.0,)).apply(image, np.array([[False, True]]))
    np.testing.assert_array_equal(image, [[[3, 4]]])


@pytest.mark.parametrize(("low", "high"), [((), ()), ((1.0,), (1.0, 2.0))])
def test_a_scaling_needs_a_low_and_a_high_for_each_band(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=f"got {len(low)} and {len(high)}"):
        Scaling(low=low, high=high)
