from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.slic import Slic, _cells_of, _cluster, _levels, _quantise
from superpoint.testing import superpixelize_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def superpixels(slic: Slic, image: Image, valid: Mask | None = None) -> NDArray[np.uint32]:
    valid = np.ones(image.shape[1:], bool) if valid is None else valid
    shape = (image.shape[1], image.shape[2])
    return slic(image, valid, origin=Origin(raster_shape=shape), rng=np.random.default_rng(0))


@st.composite
def scenes(draw: st.DrawFn, *, sides: st.SearchStrategy[int], n_bands: int = 5) -> tuple[Image, Mask]:
    """Noise, hills, terraces or two colours; no, some or mostly nodata, in specks or in patches."""
    shape = draw(st.tuples(sides, sides))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.random((draw(st.integers(1, n_bands)), *shape))
    kind = draw(st.sampled_from(["noise", "hills", "terraces", "two colours"]))
    if kind in ("hills", "terraces"):
        image = ndimage.gaussian_filter(image, (0, 2, 5))
        image = (image - image.min()) / max(np.ptp(image), 1e-9)
    if kind == "terraces":
        image = np.round(image * 3) / 3
    if kind == "two colours":
        image = np.round(image)
    valid = rng.random(shape) < draw(st.sampled_from([1, 0.9, 0.6, 0.3]))
    if draw(st.booleans()):
        valid = ndimage.binary_dilation(ndimage.binary_opening(valid)) | (rng.random(shape) < 0.02)
    if draw(st.booleans()):
        valid &= np.indices(shape).sum(axis=0) % 2 == 0
    return image.astype(np.float32), valid


def slics(*, region_sizes: st.SearchStrategy[float], iterations: int = 4) -> st.SearchStrategy[Slic]:
    return st.builds(
        Slic,
        region_size=region_sizes,
        compactness=st.sampled_from([0.0, 1.0, 10.0, 40.0, 300.0]),
        iterations=st.integers(1, iterations),
    )


# --- tiles


@settings(max_examples=60)
@given(
    scene=scenes(sides=st.integers(60, 150)),
    slic=slics(region_sizes=st.sampled_from([2.0, 2.5, 4.0, 5.3, 8.0])),
    tile_size=st.integers(13, 80),
)
def test_with_the_exact_halo_tiles_give_the_labels_of_the_whole_raster(
    scene: tuple[Image, Mask], slic: Slic, tile_size: int
) -> None:
    image, valid = scene
    tiled = superpixelize_tiles(slic, image, valid, tile_size=tile_size, halo=slic.halo(exact=True))
    np.testing.assert_array_equal(tiled, superpixels(slic, image, valid))


def test_the_exact_halo_is_smaller_than_the_images_that_test_it() -> None:
    assert Slic(region_size=8, iterations=4).halo(exact=True) < 150
    assert Slic(region_size=4, iterations=1).halo(exact=True) < 60


def test_with_too_small_a_halo_tiles_show() -> None:
    slic = Slic(region_size=6, iterations=4, compactness=1)
    image = np.random.default_rng(0).random((2, 90, 90)).astype(np.float32)
    valid = np.ones((90, 90), bool)
    tiled = superpixelize_tiles(slic, image, valid, tile_size=30, halo=6)
    assert np.count_nonzero(tiled != superpixels(slic, image)) > 20


def test_the_default_halo_gives_up_few_pixels() -> None:
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((3, 300, 300)), (0, 4, 4))
    image = ((image - image.min()) / np.ptp(image) + rng.normal(0, 0.03, image.shape)).astype(np.float32)
    slic = Slic(region_size=8, iterations=10)
    assert slic.halo() < slic.halo(exact=True)
    tiled = superpixelize_tiles(slic, image, np.ones((300, 300), bool), tile_size=64, halo=slic.halo())
    assert np.mean(tiled != superpixels(slic, image)) < 0.001


# --- the contract


@given(scene=scenes(sides=st.integers(1, 70)), slic=slics(region_sizes=st.floats(2, 30)))
def test_every_id_is_one_region_and_0_is_exactly_where_there_is_no_data(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    labels = superpixels(slic, image, valid)
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels > 0, valid)
    # scikit-image counts pieces of equal id; there must be as many as there are ids.
    assert skimage.measure.label(labels, background=0, connectivity=1).max() == len(np.unique(labels[valid]))


@given(scene=scenes(sides=st.integers(1, 70)), slic=slics(region_sizes=st.floats(2, 30)))
def test_ids_are_places_on_the_lattice_and_lie_beside_their_place(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    lattice = Lattice.over(valid.shape, region_size=slic.region_size)
    labels = superpixels(slic, image, valid).astype(int)
    for row, col in np.argwhere((labels > 0) & (labels <= len(lattice))).tolist():
        seed_row, seed_col = divmod(labels[row, col] - 1, lattice.n_cols)
        # Its own cell and the eight around it; taking up specks goes one cell further.
        assert abs(seed_row - lattice.rows_of(np.array(row))) <= 2
        assert abs(seed_col - lattice.cols_of(np.array(col))) <= 2


@given(scene=scenes(sides=st.integers(1, 50)), slic=slics(region_sizes=st.floats(2, 10)))
def test_a_cut_off_piece_is_numbered_beyond_the_seeds_by_its_first_pixel(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    labels = superpixels(slic, image, valid).astype(int)
    n_seeds = len(Lattice.over(valid.shape, region_size=slic.region_size))
    for island in np.unique(labels[labels > n_seeds]).tolist():
        assert island - n_seeds - 1 == np.flatnonzero(labels == island)[0]


def test_islands_in_nodata_keep_ids_of_their_own() -> None:
    valid = np.zeros((40, 40), bool)
    valid[1:5, 1:5] = valid[8:9, 8:9] = valid[30:39, 2:38] = True
    labels = superpixels(Slic(region_size=40), np.zeros((1, 40, 40), np.float32), valid)
    assert len({labels[2, 2], labels[8, 8], labels[35, 20]}) == 3
    assert labels[8, 8] == 1 + 1 + 8 * 40 + 8


def test_one_cell_of_checkered_nodata_gives_each_pixel_its_own_id() -> None:
    valid = np.indices((9, 9)).sum(axis=0) % 2 == 0
    labels = superpixels(Slic(region_size=9), np.zeros((1, 9, 9), np.float32), valid)
    assert len(np.unique(labels[valid])) == valid.sum()


@pytest.mark.parametrize("n_bands", [1, 2, 3, 16, 40])
def test_any_number_of_bands_will_do(n_bands: int) -> None:
    image = np.zeros((n_bands, 40, 60), np.float32)
    image[-1, :, 33:] = 1  # only the last band tells the sides apart
    labels = superpixels(Slic(region_size=10, compactness=1), image)
    assert not set(labels[:, :33].flat) & set(labels[:, 33:].flat)
    assert labels.max() <= 24


def test_a_band_more_of_the_same_changes_nothing() -> None:
    image = np.random.default_rng(1).random((1, 50, 50)).astype(np.float32)
    slic = Slic(region_size=7, iterations=5)
    np.testing.assert_array_equal(superpixels(slic, image), superpixels(slic, np.repeat(image, 3, axis=0)))


def test_threads_give_the_labels_of_the_main_thread() -> None:
    rng = np.random.default_rng(2)
    images = [rng.random((3, 80, 90)).astype(np.float32) for _ in range(6)]
    slic = Slic(region_size=9, iterations=4)
    with ThreadPoolExecutor(4) as threads:
        for image, labels in zip(images, threads.map(lambda image: superpixels(slic, image), images), strict=True):
            np.testing.assert_array_equal(labels, superpixels(slic, image))


@pytest.mark.parametrize("filler", [np.nan, np.inf, -np.inf, 1e30])
def test_what_lies_under_nodata_has_no_say(filler: float) -> None:
    rng = np.random.default_rng(3)
    image, valid = rng.random((2, 40, 40)).astype(np.float32), rng.random((40, 40)) < 0.8
    labels = superpixels(Slic(region_size=8), image, valid)
    np.testing.assert_array_equal(superpixels(Slic(region_size=8), np.where(valid, image, filler), valid), labels)


def test_the_layout_in_memory_has_no_say() -> None:
    image = np.random.default_rng(4).random((3, 40, 50)).astype(np.float32)
    by_pixel = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    slic = Slic(region_size=8)
    np.testing.assert_array_equal(superpixels(slic, np.moveaxis(by_pixel, -1, 0)), superpixels(slic, image))
    wider = np.zeros((3, 60, 70), np.float32)
    wider[:, 10:50, 10:60] = image
    np.testing.assert_array_equal(superpixels(slic, wider[:, 10:50, 10:60]), superpixels(slic, image))


# --- pictures with a known answer


@pytest.mark.parametrize("region_size", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("compactness", [1.0, 10.0, 1e4, 1e6, 1e300])
def test_an_image_of_one_colour_gives_the_lattice(region_size: int, compactness: float) -> None:
    n_rows, n_cols = 3, 4
    cells = np.arange(1, 13).reshape(n_rows, n_cols)
    expected = np.kron(cells, np.ones((region_size, region_size), int))
    image = np.full((2, *expected.shape), 0.3, np.float32)
    slic = Slic(region_size=region_size, compactness=compactness)
    np.testing.assert_array_equal(superpixels(slic, image), expected)


@pytest.mark.parametrize("compactness", [1e4, 1e5, 1e6, 1e9, 1e300])
def test_with_a_very_high_compactness_colour_hardly_matters(compactness: float) -> None:
    image = np.random.default_rng(5).random((1, 40, 60)).astype(np.float32)
    labels = superpixels(Slic(region_size=10, compactness=compactness), image)
    lattice = np.kron(np.arange(1, 25).reshape(4, 6), np.ones((10, 10), int))
    assert np.mean(labels == lattice) > 0.97


def test_four_quadrants_give_four_superpixels() -> None:
    image = np.zeros((3, 20, 22), np.float32)
    image[0, :10, :13] = 1
    image[1, 10:, :13] = 1
    image[2, 10:, 13:] = 1
    labels = superpixels(Slic(region_size=11, compactness=5), image)
    expected = np.array([[1, 2], [3, 4]]).repeat([10, 10], axis=0).repeat([13, 9], axis=1)
    np.testing.assert_array_equal(labels, expected)


@given(edge=st.integers(8, 52), region_size=st.integers(5, 14), compactness=st.sampled_from([0.5, 5.0, 20.0]))
def test_a_superpixel_never_holds_two_colours(edge: int, region_size: int, compactness: float) -> None:
    image = np.zeros((1, 60, 60), np.float32)
    image[:, :, edge:] = 1
    slic = Slic(region_size=region_size, compactness=compactness)
    labels, turned = superpixels(slic, image), superpixels(slic, np.moveaxis(image, 1, 2)).T
    for found in (labels, turned):
        assert not set(found[:, :edge].flat) & set(found[:, edge:].flat)


@given(turn=st.floats(0, math.pi), offset=st.floats(-15, 15), region_size=st.integers(5, 14), seed=st.integers(0, 9))
def test_along_a_slanted_edge_with_noise_hardly_a_pixel_is_on_the_wrong_side(
    turn: float, offset: float, region_size: int, seed: int
) -> None:
    rows, cols = np.indices((60, 60)) - 29.5
    bright = math.sin(turn) * rows + math.cos(turn) * cols > offset
    image = (bright + np.random.default_rng(seed).normal(0, 0.02, (1, 60, 60))).astype(np.float32)
    labels = superpixels(Slic(region_size=region_size), image)
    n_stray = sum(min(bright[labels == k].sum(), (~bright)[labels == k].sum()) for k in np.unique(labels))
    assert n_stray <= 10  # of 3600: a corner that holds no seed, a speck whose own side was settled a ring later


def test_an_image_smaller_than_a_region_is_one_superpixel() -> None:
    image = np.random.default_rng(0).random((1, 9, 7)).astype(np.float32)
    for region_size in (20, 1e6, 1e18, 1e300):
        assert (superpixels(Slic(region_size=region_size), image) == 1).all()


# --- the kernels and their twin


def clusters(slic: Slic, image: Image, valid: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    lattice = Lattice.over(valid.shape, region_size=slic.region_size)
    row_edges, col_edges = lattice.row_edges(0, valid.shape[0]), lattice.col_edges(0, valid.shape[1])
    cell_rows, cell_cols = _cells_of(row_edges, valid.shape[0]), _cells_of(col_edges, valid.shape[1])
    quantised = _quantise(image, valid, _levels(len(image)))
    weight, radius = slic._place_weight(len(image)), math.ceil(slic.region_size)
    found: tuple[Any, Any] = _cluster(
        quantised, valid, row_edges, col_edges, cell_rows, cell_cols, weight, radius, slic.iterations
    )
    return found


def twin(slic: Slic, image: Image, valid: Mask) -> tuple[NDArray[np.int64], dict[int, list[int]], int]:
    """Assign and update in whole numbers, one pixel and one centre after another.

    The last result counts pixels that no centre searched and that changed hands all the same.
    """
    lattice = Lattice.over(valid.shape, region_size=slic.region_size)
    levels = min(512, math.isqrt(2**29 // (4 * len(image))))
    bands = np.rint(image.clip(-0.5, 1.5) * np.float32(levels)).astype(int)
    weight, radius = slic._place_weight(len(image)), math.ceil(slic.region_size)
    pixels = [(row, col) for row, col in np.argwhere(valid).tolist()]
    home = {(r, c): (int(lattice.rows_of(np.array(r))), int(lattice.cols_of(np.array(c)))) for r, c in pixels}
    owner = {pixel: row * lattice.n_cols + col for pixel, (row, col) in home.items()}
    centres: dict[int, list[int]] = {}
    n_strays = 0
    for _ in range(slic.iterations):
        members: dict[int, list[list[int]]] = {}
        for row, col in pixels:
            members.setdefault(owner[row, col], []).append([16 * row, 16 * col, *bands[:, row, col].tolist()])
        for cell, rows in members.items():
            centres[cell] = [
                math.floor(Fraction(sum(column), len(rows)) + Fraction(1, 2)) for column in zip(*rows, strict=True)
            ]
        for row, col in pixels:
            near = [
                r * lattice.n_cols + c
                for r in range(home[row, col][0] - 1, home[row, col][0] + 2)
                for c in range(home[row, col][1] - 1, home[row, col][1] + 2)
                if 0 <= r < lattice.n_rows and 0 <= c < lattice.n_cols and r * lattice.n_cols + c in centres
            ]
            searching = [
                cell
                for cell in near
                if abs(centres[cell][0] // 16 - row) <= radius and abs(centres[cell][1] // 16 - col) <= radius
            ]

            def distance(cell: int, row: int = row, col: int = col) -> tuple[int, int]:
                centre = centres[cell]
                offsets = (16 * row - centre[0], 16 * col - centre[1])
                place = sum(min(offset**2 * weight // 2**16, 2**29) for offset in offsets)
                colour = sum((int(b) - c) ** 2 for b, c in zip(bands[:, row, col], centre[2:], strict=True))
                return place + colour, cell

            nearest = min(searching or near, key=distance)
            n_strays += not searching and nearest != owner[row, col]
            owner[row, col] = nearest
    cells = np.full(valid.shape, -1)
    for pixel, cell in owner.items():
        cells[pixel] = cell
    return cells, centres, n_strays


@settings(max_examples=40)
@given(
    scene=scenes(sides=st.integers(1, 26), n_bands=3),
    slic=slics(region_sizes=st.sampled_from([2.0, 3.5, 6.0, 9.0]), iterations=3),
)
def test_the_kernels_cluster_as_their_plain_twin(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    cells, centres = clusters(slic, image, valid)
    expected_cells, expected_centres, _ = twin(slic, image, valid)
    np.testing.assert_array_equal(cells, expected_cells)
    for cell, centre in expected_centres.items():
        assert centres[cell].tolist() == centre


@pytest.mark.parametrize(
    ("seed", "slic"),
    [
        (353_044_762, Slic(region_size=4, compactness=0, iterations=3)),
        (1_220_183_703, Slic(region_size=4, compactness=1, iterations=3)),
        (1_821_000_485, Slic(region_size=6, compactness=0, iterations=3)),
    ],
)
def test_a_pixel_that_no_centre_searches_goes_to_the_nearest_of_the_cells_around_it(seed: int, slic: Slic) -> None:
    # Found by trying: a few colours, sparse data, and centres that wander off from a pixel they alone could reach.
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 26)), int(rng.integers(1, 26)))
    image = np.round(rng.random((1, *shape)) * rng.integers(1, 4)).astype(np.float32)
    valid = rng.random(shape) < rng.choice([1, 0.5, 0.3, 0.15])
    expected, _, n_strays = twin(slic, image, valid)
    assert n_strays
    np.testing.assert_array_equal(clusters(slic, image, valid)[0], expected)


def test_values_beyond_the_range_are_clipped_and_the_others_rounded_to_the_nearest_level() -> None:
    image = np.array([[[-9, -0.5, 0, 0.25, 0.2511, 1, 1.5, 9]]], np.float32)
    quantised = _quantise(image, np.ones((1, 8), bool), 512)
    assert quantised.tolist() == [[[-256, -256, 0, 128, 129, 512, 768, 768]]]


@pytest.mark.parametrize("n_bands", [1, 3, 16, 600, 5000])
def test_the_greatest_distance_in_colour_fits_the_kernels_integers(n_bands: int) -> None:
    assert n_bands * (2 * _levels(n_bands)) ** 2 <= 2**29
    assert _levels(n_bands) >= 100 or n_bands > 3000


# --- parameters


def test_the_parameters_survive_json() -> None:
    slic = Slic(region_size=7.5, compactness=3, iterations=4)
    assert Slic(**json.loads(json.dumps(dataclasses.asdict(slic)))) == slic


def test_more_iterations_need_a_larger_exact_halo_and_the_default_one_stays_small() -> None:
    halos = [Slic(region_size=20, iterations=n).halo(exact=True) for n in (1, 5, 10)]
    assert halos == sorted(set(halos))
    assert Slic(iterations=50).halo() == Slic(iterations=10).halo() < Slic(iterations=10).halo(exact=True)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"region_size": 1.9}, "region_size must be at least 2 pixels, got 1.9"),
        ({"region_size": math.nan}, "region_size .* got nan"),
        ({"region_size": math.inf}, "region_size .* got inf"),
        ({"region_size": "wide"}, "region_size .* 'wide'"),
        ({"region_size": None}, "region_size .* None"),
        ({"compactness": -0.1}, "compactness must be 0 or more, got -0.1"),
        ({"compactness": math.inf}, "compactness .* got inf"),
        ({"compactness": "high"}, "compactness .* 'high'"),
        ({"iterations": 0}, "iterations must be .* at least 1, got 0"),
        ({"iterations": 2.5}, "iterations .* 2.5"),
        ({"iterations": "3"}, "iterations .* '3'"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name_and_value(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        Slic(**parameters)


@pytest.mark.parametrize(("image_shape", "valid_shape"), [((20, 20), (20, 20)), ((1, 20, 20), (20, 21))])
def test_shapes_that_do_not_agree_are_named(image_shape: tuple[int, ...], valid_shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"image \(.*\) and valid \(.*\) must be"):
        Slic()(
            np.zeros(image_shape, np.float32),
            np.ones(valid_shape, bool),
            origin=Origin(raster_shape=valid_shape),
            rng=np.random.default_rng(0),
        )


def test_more_superpixels_than_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit uint32; use a larger region_size"):
        Slic(region_size=2)(
            np.zeros((1, 4, 4), np.float32),
            np.ones((4, 4), bool),
            origin=Origin(raster_shape=(2**18, 2**18)),
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize(("row", "col"), [(-1, 0), (0, -1), (30, 0), (0, 40)])
def test_an_origin_outside_its_raster_is_refused(row: int, col: int) -> None:
    with pytest.raises(ValueError, match=rf"origin \({row}, {col}\) is outside a raster of 30 x 40"):
        Origin(row=row, col=col, raster_shape=(30, 40))
