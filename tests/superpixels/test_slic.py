from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from superpoint.scaling import Scaling
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.slic import SPREAD, Slic
from superpoint.testing import check_superpixels, superpixelize_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def superpixels(slic: Slic, image: Image, valid: Mask | None = None) -> NDArray[np.uint32]:
    valid = np.ones(image.shape[1:], bool) if valid is None else valid
    shape = (image.shape[1], image.shape[2])
    return slic(image, valid, origin=Origin(raster_shape=shape), rng=np.random.default_rng(0))


def lattice_of(slic: Slic, shape: tuple[int, ...]) -> Lattice:
    return Lattice.over((shape[0], shape[1]), region_size=SPREAD * slic.region_size)


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
        compactness=st.sampled_from([0.0, 1.0, 8.0, 40.0, 300.0]),
        chroma=st.sampled_from([0.0, 1.0, 3.0]),
        iterations=st.integers(1, iterations),
    )


# --- tiles


@settings(max_examples=60)
@given(
    scene=scenes(sides=st.integers(60, 150), n_bands=3),
    slic=slics(region_sizes=st.sampled_from([2.0, 2.5, 3.1, 4.0]), iterations=3),
    tile_size=st.integers(13, 80),
)
def test_with_the_exact_halo_tiles_give_the_labels_of_the_whole_raster(
    scene: tuple[Image, Mask], slic: Slic, tile_size: int
) -> None:
    image, valid = scene
    tiled = superpixelize_tiles(slic, image, valid, tile_size=tile_size, halo=slic.halo(exact=True))
    np.testing.assert_array_equal(tiled, superpixels(slic, image, valid))


@pytest.mark.parametrize("region_size", [2, 5, 8, 20])
@pytest.mark.parametrize("seed", range(6))
def test_with_the_exact_halo_tiles_of_long_images_leave_something_out_and_are_the_whole_all_the_same(
    region_size: int, seed: int
) -> None:
    rng = np.random.default_rng([region_size, seed])
    slic = Slic(region_size=region_size, iterations=2, compactness=float(rng.choice([0, 2, 8, 40])))
    halo = slic.halo(exact=True)
    tile_size = int(rng.integers(20, 60))
    shape = (2 * halo + 3 * tile_size, 5 * region_size)
    image = rng.random((2, *shape))
    if seed % 2:
        image = np.round(ndimage.gaussian_filter(image, (0, 2, 2)) * 12) / 4 - 1
    valid = rng.random(shape) < rng.choice([1, 0.9, 0.5])
    for turn in (False, True):
        whole, mask = (np.moveaxis(image, 1, 2), valid.T) if turn else (image, valid)
        pixels = whole.astype(np.float32)
        tiled = superpixelize_tiles(slic, pixels, mask, tile_size=tile_size, halo=halo)
        np.testing.assert_array_equal(tiled, superpixels(slic, pixels, mask))


def test_the_exact_halo_is_smaller_than_the_images_that_test_it() -> None:
    assert Slic(region_size=4, iterations=3).halo(exact=True) < 90
    assert Slic(region_size=2, iterations=1).halo(exact=True) < 40


def test_a_row_of_more_cells_than_16_bits_can_tell_apart_gives_the_labels_of_its_tiles() -> None:
    slic = Slic(region_size=2, iterations=2)
    n_cols = math.ceil(2**16 / 3 * SPREAD * 2) + 500
    image = np.random.default_rng(0).random((1, 4, n_cols)).astype(np.float32)
    labels = superpixels(slic, image)
    assert 3 * lattice_of(slic, labels.shape).n_cols > 2**16
    assert (labels > 0).all()
    tiled = superpixelize_tiles(slic, image, np.ones((4, n_cols), bool), tile_size=20_000, halo=slic.halo(exact=True))
    np.testing.assert_array_equal(labels, tiled)


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


def test_the_contract_is_kept() -> None:
    check_superpixels(Slic(region_size=8))


@given(scene=scenes(sides=st.integers(1, 70)), slic=slics(region_sizes=st.floats(2, 30)))
def test_every_id_is_one_region_and_0_is_exactly_where_there_is_no_data(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    labels = superpixels(slic, image, valid)
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels > 0, valid)
    # scikit-image counts pieces of equal id; there must be as many as there are ids.
    assert skimage.measure.label(labels, background=0, connectivity=1).max() == len(np.unique(labels[valid]))


@given(scene=scenes(sides=st.integers(1, 70)), slic=slics(region_sizes=st.floats(2, 30)))
def test_the_first_piece_of_a_cluster_has_its_seeds_id_and_each_further_one_is_numbered_beyond(
    scene: tuple[Image, Mask], slic: Slic
) -> None:
    image, valid = scene
    ids, firsts = np.unique(superpixels(slic, image, valid), return_index=True)
    first_pixels = dict(zip(ids.tolist(), firsts.tolist(), strict=True))
    n_seeds = len(lattice_of(slic, valid.shape))
    for number in ids[ids > n_seeds].tolist():
        assert number - n_seeds in first_pixels


@given(scene=scenes(sides=st.integers(10, 70), n_bands=2), slic=slics(region_sizes=st.floats(2, 30)))
def test_superpixels_lie_about_the_place_of_their_seed(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    lattice = lattice_of(slic, valid.shape)
    labels = superpixels(slic, image, valid).astype(int)
    n_rows, n_cols = lattice.n_rows, lattice.n_cols
    for row, col in np.argwhere(labels > 0).tolist():
        seed_row, seed_col = divmod((labels[row, col] - 1) % (n_rows * n_cols), n_cols)
        # A cluster is in its own cell and the eight around; the specks that it takes up reach three cells at most.
        assert abs(seed_row - lattice.rows_of(np.array(row))) <= 4
        assert abs(seed_col - lattice.cols_of(np.array(col))) <= 4


def test_islands_in_nodata_keep_ids_of_their_own() -> None:
    valid = np.zeros((40, 40), bool)
    valid[1:5, 1:5] = valid[8:9, 8:9] = valid[30:39, 2:38] = True
    labels = superpixels(Slic(region_size=40), np.zeros((1, 40, 40), np.float32), valid)
    assert (labels[2, 2], labels[8, 8], labels[35, 20]) == (1, 2, 3)  # the only seed's pieces, by their first pixels


def test_one_cell_of_checkered_nodata_gives_each_pixel_its_own_id() -> None:
    valid = np.indices((9, 9)).sum(axis=0) % 2 == 0
    labels = superpixels(Slic(region_size=9), np.zeros((1, 9, 9), np.float32), valid)
    assert len(np.unique(labels[valid])) == valid.sum()


def test_a_large_second_piece_of_a_cluster_is_a_superpixel_of_its_own() -> None:
    image = np.zeros((1, 30, 30), np.float32)
    image[:, :, 14:16] = 1  # one cell, one centre: a wall parts it in two halves of one colour
    valid = image[0] == 0
    assert np.unique(superpixels(Slic(region_size=30), image, valid)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("n_bands", [*range(1, 17), 40])
def test_any_number_of_bands_will_do(n_bands: int) -> None:
    image = np.zeros((n_bands, 40, 60), np.float32)
    image[-1, :, 33:] = 1  # only the last band tells the sides apart
    labels = superpixels(Slic(region_size=10, compactness=1), image)
    assert not set(labels[:, :33].flat) & set(labels[:, 33:].flat)
    assert labels.max() <= 24


@pytest.mark.parametrize("n_bands", [1, 3])
def test_chroma_has_no_say_where_there_is_no_colour(n_bands: int) -> None:
    grey = np.random.default_rng(1).integers(0, 17, (1, 50, 50)).astype(np.float32) / 16  # three of them sum exactly
    image = np.repeat(grey, n_bands, axis=0)
    labels = [superpixels(Slic(region_size=7, chroma=chroma), image) for chroma in (0, 1, 5)]
    np.testing.assert_array_equal(labels[1], labels[0])
    np.testing.assert_array_equal(labels[2], labels[0])


def test_chroma_tells_colours_of_one_brightness_apart() -> None:
    image = np.zeros((2, 40, 40), np.float32)
    image[0, :, :17], image[1, :, 17:] = 0.04, 0.04
    plain, coloured = (superpixels(Slic(region_size=10, chroma=chroma), image) for chroma in (0, 10))
    assert set(plain[:, :17].flat) & set(plain[:, 17:].flat)
    assert not set(coloured[:, :17].flat) & set(coloured[:, 17:].flat)


@given(scene=scenes(sides=st.integers(1, 90), n_bands=3), slic=slics(region_sizes=st.floats(2, 20)))
def test_the_labels_do_not_depend_on_how_many_threads_share_the_work(scene: tuple[Image, Mask], slic: Slic) -> None:
    image, valid = scene
    as_is = Scaling(low=(0.0,) * len(image), high=(1.0,) * len(image))
    origin = Origin(raster_shape=(valid.shape[0], valid.shape[1]))
    expected = superpixels(slic, image, valid)
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(slic.from_stored(image, valid, as_is, origin=origin, threads=threads), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_as_stored_gives_the_labels_of_the_scaled_one(dtype: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    top = {"uint8": 255, "uint16": 60_000, "int16": 30_000, "float32": 1e4}[dtype]
    values = ndimage.gaussian_filter(rng.normal(0.5, 0.9, (3, 70, 80)), (0, 1, 1)).clip(0, 1) * top
    if dtype in ("int16", "float32"):
        values -= top / 2
    image, valid = values.astype(dtype), rng.random((70, 80)) < 0.95
    lows, highs = np.percentile(image.reshape(3, -1), [1, 99], axis=1, method="lower").tolist()
    scaling = Scaling(low=tuple(lows), high=(*highs[:2], lows[2]))  # the last band counts as constant
    scaled = scaling.apply(image.astype(np.float32), valid)
    slic, origin = Slic(region_size=9), Origin(raster_shape=(70, 80))
    stored = slic.from_stored(image, valid, scaling, origin=origin, threads=threads)
    np.testing.assert_array_equal(stored, superpixels(slic, scaled, valid))
    assert len(np.unique(stored)) > 30


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


def grid(n_rows: int, n_cols: int, side: int) -> NDArray[np.int64]:
    return np.kron(np.arange(1, n_rows * n_cols + 1).reshape(n_rows, n_cols), np.ones((side, side), int))


@pytest.mark.parametrize("side", [3, 4, 6, 9, 12, 24, 25])
@pytest.mark.parametrize("compactness", [4.0, 8.0, 1e4, 1e6, 1e300])
def test_an_image_of_one_colour_gives_the_lattice(side: int, compactness: float) -> None:
    expected = grid(3, 4, side)
    image = np.full((2, *expected.shape), 0.3, np.float32)
    labels = superpixels(Slic(region_size=side / SPREAD, compactness=compactness), image)
    # Where sweeps skip rows, their mean may lie half a row beside a cell's: the row between two is one or the other.
    between = (np.arange(len(expected)) % side == 0) & (side >= 10)
    np.testing.assert_array_equal(labels[~between], expected[~between])
    assert (labels[between] <= expected[between]).all()


@pytest.mark.parametrize("compactness", [1e4, 1e5, 1e6, 1e9, 1e300])
def test_with_a_very_high_compactness_colour_hardly_matters(compactness: float) -> None:
    image = np.random.default_rng(5).random((1, 40, 60)).astype(np.float32)
    labels = superpixels(Slic(region_size=10 / SPREAD, compactness=compactness), image)
    inner = np.arange(40) % 10 > 0  # the row between two cells is one or the other, as above
    assert np.mean((labels == grid(4, 6, 10))[inner]) > 0.97


def test_four_quadrants_give_four_superpixels() -> None:
    image = np.zeros((3, 20, 22), np.float32)
    image[0, :10, :13] = 1
    image[1, 10:, :13] = 1
    image[2, 10:, 13:] = 1
    labels = superpixels(Slic(region_size=11 / SPREAD, compactness=5), image)
    expected = np.array([[1, 2], [3, 4]]).repeat([10, 10], axis=0).repeat([13, 9], axis=1)
    beside = ndimage.maximum_filter(expected, 3) != ndimage.minimum_filter(expected, 3)  # smoothing mixes these
    np.testing.assert_array_equal(labels[~beside], expected[~beside])
    assert np.mean(labels == expected) > 0.95


@given(edge=st.integers(8, 52), region_size=st.integers(5, 14), compactness=st.sampled_from([0.5, 5.0, 20.0]))
def test_a_superpixel_holds_two_colours_only_of_the_pixels_that_smoothing_mixes(
    edge: int, region_size: int, compactness: float
) -> None:
    image = np.zeros((1, 60, 60), np.float32)
    image[:, :, edge:] = 1
    slic = Slic(region_size=region_size, compactness=compactness)
    labels, turned = superpixels(slic, image), superpixels(slic, np.moveaxis(image, 1, 2)).T
    for found in (labels, turned):
        assert not set(found[:, : edge - 1].flat) & set(found[:, edge + 1 :].flat)
        n_stray = sum(min((found[:, :edge] == k).sum(), (found[:, edge:] == k).sum()) for k in np.unique(found))
        assert n_stray <= 60  # the column beside the edge


@given(turn=st.floats(0, math.pi), offset=st.floats(-15, 15), region_size=st.integers(5, 14), seed=st.integers(0, 9))
def test_along_a_slanted_edge_with_noise_hardly_a_pixel_is_on_the_wrong_side(
    turn: float, offset: float, region_size: int, seed: int
) -> None:
    rows, cols = np.indices((60, 60)) - 29.5
    bright = math.sin(turn) * rows + math.cos(turn) * cols > offset
    image = (bright + np.random.default_rng(seed).normal(0, 0.02, (1, 60, 60))).astype(np.float32)
    labels = superpixels(Slic(region_size=region_size), image)
    n_stray = sum(min(bright[labels == k].sum(), (~bright)[labels == k].sum()) for k in np.unique(labels))
    assert n_stray <= 60  # of 3600: fewer than there are along the edge, of which smoothing mixes three


@pytest.mark.parametrize("region_size", [20, 1e6, 1e18, 1e300])
def test_an_image_smaller_than_a_region_is_one_superpixel(region_size: float) -> None:
    image = np.random.default_rng(0).random((1, 9, 7)).astype(np.float32)
    assert (superpixels(Slic(region_size=region_size), image) == 1).all()


# --- parameters


def test_the_parameters_survive_json() -> None:
    slic = Slic(region_size=7.5, compactness=3, chroma=2, iterations=4)
    assert Slic(**json.loads(json.dumps(dataclasses.asdict(slic)))) == slic


def test_more_iterations_need_a_larger_exact_halo_and_the_default_one_stays_small() -> None:
    halos = [Slic(region_size=20, iterations=n).halo(exact=True) for n in (1, 5, 10)]
    assert halos == sorted(set(halos))
    assert Slic(iterations=50).halo() == Slic(iterations=10).halo() < Slic(iterations=10).halo(exact=True)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"region_size": 1.9}, "region_size must be at least 2, got 1.9"),
        ({"region_size": math.nan}, "region_size .* got nan"),
        ({"region_size": math.inf}, "region_size .* got inf"),
        ({"region_size": "wide"}, "region_size .* 'wide'"),
        ({"region_size": None}, "region_size .* None"),
        ({"compactness": -0.1}, "compactness must be at least 0, got -0.1"),
        ({"compactness": math.inf}, "compactness .* got inf"),
        ({"compactness": "high"}, "compactness .* 'high'"),
        ({"chroma": -1}, "chroma must be at least 0, got -1"),
        ({"chroma": True}, "chroma must be a number, got True"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
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
