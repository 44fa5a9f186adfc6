"""Made-up scenes: repeatable, every class present, laid out as land is laid out, neither trivial nor hopeless."""

from __future__ import annotations

import functools
import itertools
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import ndimage

from superpoint.scenes import CLASSES, Scene, make_scene
from superpoint.scenes.curves import distance_to, smooth_curve
from superpoint.scenes.noise import smooth_noise
from superpoint.scenes.surface import Sun, Surface, cast_shadows

FIELD, SOIL, TREES, ROAD, BUILDING, WATER = range(6)
EIGHT = np.ones((3, 3))


@functools.cache
def scene(seed: int, side: int = 768) -> Scene:
    return make_scene(size=(side, side), seed=seed)


def shares(truth: np.ndarray) -> np.ndarray:
    return np.bincount(truth.ravel(), minlength=len(CLASSES)) / truth.size


def test_shapes_and_dtypes_are_those_of_a_raster_and_its_mask() -> None:
    made = make_scene(size=(160, 208), seed=4)
    assert (made.image.shape, made.image.dtype) == ((3, 160, 208), np.uint8)
    assert (made.truth.shape, made.truth.dtype) == ((160, 208), np.uint8)
    assert made.classes.names == ("field", "bare soil", "trees", "road", "building", "water")


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (make_scene(size=(256, 256), seed=7) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.truth.tobytes() == second.truth.tobytes()


def test_another_seed_gives_another_scene() -> None:
    assert (scene(0, 256).truth != scene(1, 256).truth).mean() > 0.2
    assert (scene(0, 256).image != scene(1, 256).image).mean() > 0.9


def test_making_a_scene_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is the global state that must not move
    make_scene(size=(128, 128), seed=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - the same


@pytest.mark.parametrize("seed", range(10))
def test_every_class_has_its_share(seed: int) -> None:
    share = shares(scene(seed).truth)
    assert len(share) == len(CLASSES), "a value outside the table"
    assert share.min() > 0.015
    assert share.max() < 0.6


@pytest.mark.parametrize("seed", range(10, 20))
def test_every_class_occurs_in_a_small_scene(seed: int) -> None:
    assert shares(scene(seed, 256).truth).min() > 0.01


@pytest.mark.parametrize("size", [(128, 128), (128, 400), (300, 130)])
def test_any_shape_from_128_pixels_on_works(size: tuple[int, int]) -> None:
    made = make_scene(size=size, seed=2)
    assert made.truth.shape == size
    assert made.truth.max() < len(CLASSES)


def test_a_scene_too_small_for_a_village_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 128 x 128 pixels, got 100 x 768"):
        make_scene(size=(100, 768), seed=0)


def test_a_scene_cannot_be_reassigned() -> None:
    with pytest.raises(FrozenInstanceError):
        scene(0, 256).truth = np.zeros((2, 2), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_colour_alone_tells_classes_apart_only_in_part(seed: int) -> None:
    made = scene(seed)
    pixels = made.image.reshape(3, -1).astype(float)  # (band, pixel)
    values = made.truth.ravel()
    means = np.stack([pixels[:, values == value].mean(axis=1) for value in range(len(CLASSES))])
    nearest = ((pixels[None] - means[:, :, None]) ** 2).sum(axis=1).argmin(axis=0)
    assert 0.35 < (nearest == values).mean() < 0.85


@pytest.mark.parametrize("seed", range(10))
def test_buildings_stand_away_from_water(seed: int) -> None:
    truth = scene(seed).truth
    near_water = ndimage.binary_dilation(truth == WATER, EIGHT, iterations=5)
    assert not (near_water & (truth == BUILDING)).any()


@pytest.mark.parametrize("seed", range(10))
def test_buildings_stand_beside_roads(seed: int) -> None:
    truth = scene(seed).truth
    to_road = ndimage.distance_transform_edt(truth != ROAD)
    buildings, n_buildings = ndimage.label(truth == BUILDING, EIGHT)
    nearest = ndimage.minimum(to_road, buildings, range(1, n_buildings + 1))
    assert n_buildings > 30
    assert np.quantile(nearest, 0.9) < 35


@pytest.mark.parametrize("seed", range(10))
def test_roads_are_one_network(seed: int) -> None:
    pieces, n_pieces = ndimage.label(scene(seed).truth == ROAD, EIGHT)
    sizes = np.bincount(pieces.ravel())[1:]
    assert n_pieces <= 6
    assert sizes.max() > 0.98 * sizes.sum()


@pytest.mark.parametrize("seed", range(6))
def test_water_is_one_lake_or_a_river_cut_by_a_few_bridges(seed: int) -> None:
    pieces, _ = ndimage.label(scene(seed).truth == WATER, EIGHT)
    sizes = np.bincount(pieces.ravel())[1:]
    assert np.sort(sizes)[-4:].sum() > 0.99 * sizes.sum()


def test_shadows_darken_the_ground_north_of_what_stands_when_the_sun_is_south() -> None:
    surface = Surface.empty((40, 40))
    surface.tone[:] = 100
    surface.height[20:24, 15:25] = 8
    cast_shadows(surface, Sun(azimuth=np.pi, elevation=np.pi / 4))
    assert surface.tone[:, 15, 20].max() < 60
    assert (surface.tone[:, 30, 20] == 100).all()
    assert not surface.truth.any()


def test_distance_to_a_curve_equals_brute_force_over_its_segments() -> None:
    curve = smooth_curve([(5, -10), (30, 25), (12, 70)])
    distance = distance_to([curve], (40, 60), reach_px=15)
    fine = np.concatenate([np.linspace(a, b, 200) for a, b in itertools.pairwise(curve)])
    grid = np.stack(np.mgrid[:40, :60], axis=-1)[:, :, None, :]
    brute = np.sqrt(((grid - fine) ** 2).sum(axis=-1)).min(axis=-1)
    # The points of the brute-force curve lie 0.06 pixels apart.
    np.testing.assert_allclose(distance, np.minimum(brute, 15), atol=0.03)


def test_noise_is_smooth_and_of_unit_variance() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_noise(rng, (64, 80), 8) for _ in range(60)])
    assert abs(fields.mean()) < 0.05
    assert fields.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(fields, axis=2)).max() < 0.7
