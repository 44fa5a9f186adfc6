"""Weights and gains, each beside a loop that says what it means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.superpixels.affinity import CHANNELS, entropy_gains, gaussian_weights, mean_weights
from superpoint.superpixels.boruvka import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DIRECTIONS = {"E": (0, 1), "SE": (1, 1), "S": (1, 0), "SW": (1, -1), "W": (0, -1), "NW": (-1, -1), "N": (-1, 0), "NE": (-1, 1)}  # fmt: skip  # noqa: E501  # a table
SHAPE = (5, 7)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def valid(rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random(SHAPE) < 0.8


def edges(valid: NDArray[np.bool_], connectivity: int) -> Iterator[tuple[tuple[int, int, int], tuple[int, int]]]:
    """List each edge, as (row, col, step), with the pixel at its other end."""
    for row, col in np.argwhere(valid).tolist():
        for step, (down, right) in enumerate(STEPS[: connectivity // 2]):
            other = row + down, col + right
            if 0 <= other[0] < valid.shape[0] and other[1] < valid.shape[1] and valid[other]:
                yield (row, col, step), other


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_gaussian_weight_is_the_likeness_of_two_valid_neighbours(
    rng: np.random.Generator, valid: NDArray[np.bool_], connectivity: int
) -> None:
    image = rng.random((3, *SHAPE)).astype(np.float32)
    expected = np.full((*SHAPE, connectivity // 2), np.nan)
    for edge, other in edges(valid, connectivity):
        difference = image[:, *edge[:2]].astype(float) - image[:, *other]
        expected[edge] = max(0.001, math.exp(-np.mean(difference**2) / (2 * 0.2**2)))
    found = gaussian_weights(image, valid, sigma=0.2, connectivity=connectivity)
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # float32


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_mean_weight_is_that_of_the_way_there_and_the_way_back(
    rng: np.random.Generator, valid: NDArray[np.bool_], connectivity: int
) -> None:
    affinities = rng.random((8, *SHAPE)).astype(np.float32)
    channel_of = {DIRECTIONS[name]: channel for channel, name in enumerate(CHANNELS)}
    expected = np.full((*SHAPE, connectivity // 2), np.nan)
    for edge, other in edges(valid, connectivity):
        down, right = STEPS[edge[2]]
        there, back = channel_of[down, right], channel_of[-down, -right]
        expected[edge] = (affinities[there, *edge[:2]] + affinities[back, *other]) / 2
    found = mean_weights(affinities, valid, connectivity=connectivity)
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # float32


def test_a_gain_is_what_the_entropy_rate_of_a_random_walk_gains_by_the_edge(rng: np.random.Generator) -> None:
    valid = np.ones(SHAPE, bool)
    image = rng.random((3, *SHAPE)).astype(np.float32)
    weights = gaussian_weights(image, valid, sigma=0.3, connectivity=8)
    ends = {edge: (edge[:2], other) for edge, other in edges(valid, 8)}
    strengths = np.zeros(SHAPE)
    for edge, both in ends.items():
        for end in both:
            strengths[end] += weights[edge]

    def entropy_rate_of_an_end(weight: float, strength: float) -> float:
        """A walker in a pixel takes its only edge, or stays: the pixel's part of the whole rate, in bits."""
        chances = np.array([weight, strength - weight]) / strength
        return -strength / strengths.sum() * float((chances * np.log2(chances)).sum())

    expected = np.full((*SHAPE, 4), np.nan)
    for edge, both in ends.items():  # without an edge every walker stays, at an entropy rate of 0
        expected[edge] = sum(entropy_rate_of_an_end(float(weights[edge]), float(strengths[end])) for end in both)
    np.testing.assert_allclose(entropy_gains(weights), expected, rtol=1e-5)  # normalised weights are float32


def test_a_pixel_with_a_single_neighbour_has_gains_that_are_numbers() -> None:
    weights = gaussian_weights(np.zeros((1, 1, 9), np.float32), np.ones((1, 9), bool), sigma=0.1, connectivity=8)
    assert np.isfinite(entropy_gains(weights)[0, :-1, 0]).all()


def test_where_all_weights_are_zero_all_gains_are() -> None:
    weights = mean_weights(np.zeros((8, 2, 2), np.float32), np.ones((2, 2), bool), connectivity=4)
    assert np.nansum(entropy_gains(weights)) == 0


def test_other_connectivities_and_shapes_are_refused_in_a_sentence() -> None:
    image, valid = np.zeros((1, 4, 4), np.float32), np.ones((4, 4), bool)
    with pytest.raises(ValueError, match="connectivity must be 4 or 8, got 6"):
        gaussian_weights(image, valid, sigma=0.1, connectivity=6)
    with pytest.raises(ValueError, match=r"affinities must be of shape \(8, 4, 4\), got \(4, 4, 8\)"):
        mean_weights(np.zeros((4, 4, 8), np.float32), valid, connectivity=8)
