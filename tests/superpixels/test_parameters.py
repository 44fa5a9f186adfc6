from __future__ import annotations

from dataclasses import dataclass

import pytest

from superpoint.superpixels.parameters import check_counts, check_shapes, joined_halo, merge_size, set_numbers


@dataclass(frozen=True, kw_only=True)
class Parameters:
    region_size: float = 20.0
    iterations: int = 10


def test_a_whole_number_becomes_a_float_so_that_equal_parameters_are_one_key() -> None:
    parameters = Parameters(region_size=7)
    set_numbers(parameters, region_size=2)
    assert repr(parameters.region_size) == "7.0"


@pytest.mark.parametrize("value", [1.9, -3, float("inf"), float("nan")])
def test_numbers_below_their_bound_or_without_end_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"region_size must be at least 2, got {value}"):
        set_numbers(Parameters(region_size=value), region_size=2)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError), ("3", TypeError)])
def test_counts_are_whole_numbers_from_their_bound(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="iterations must be"):
        check_counts(Parameters(iterations=value), iterations=1)  # type: ignore[arg-type]  # refused


def test_images_and_masks_go_together() -> None:
    check_shapes((3, 4, 5), (4, 5))
    for image, valid in (((4, 5), (4, 5)), ((3, 4, 5), (5, 4))):
        with pytest.raises(ValueError, match=r"must be \(bands, rows, cols\), \(rows, cols\)"):
            check_shapes(image, valid)


def test_what_follows_from_a_region_size() -> None:
    assert joined_halo("any", 12.5, exact=False, beyond=0.1) == 51
    assert (merge_size(20), merge_size(12, 1 / 6), merge_size(0.5)) == (100, 24, 1)
    with pytest.raises(ValueError, match="any has no exact halo"):
        joined_halo("any", 12.5, exact=True)
