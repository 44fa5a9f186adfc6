"""HERS is the published method, keeps the contract, and says what it cannot promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.pipelines.settings import CutSettings
from superpoint.superpixels import describe_algorithm
from superpoint.superpixels.affinity import mean_weights
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.hers import Hers
from superpoint.superpixels.hierarchy import build_hierarchy
from superpoint.testing import check_superpixels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def call(hers: Hers, image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint32]:
    origin = Origin(raster_shape=(valid.shape[0], valid.shape[1]))
    return hers(image, valid, origin=origin, rng=np.random.default_rng(0))


@pytest.mark.shared
@pytest.mark.parametrize(
    "case", ["case0_gaussian_unthresholded", "case2_gaussian_unthresholded", "case3_random_reference"]
)
def test_an_independent_implementation_gives_the_same_8_connected_labels(shared: Path, case: str) -> None:
    path = shared / "golden" / "hers" / f"{case}.npz"
    if not path.exists():
        pytest.skip(f"no golden labels in {path.parent}")
    with np.load(path) as golden:
        image, affinities = golden["image"].transpose(2, 0, 1), golden["affinity"].transpose(2, 0, 1)
        expected = {int(name.removeprefix("labels_")): golden[name] for name in golden if name.startswith("labels_")}
    valid = np.ones(image.shape[1:], bool)
    hierarchy = build_hierarchy(image, valid, mean_weights(affinities, valid, connectivity=8))
    assert len(expected) == 7
    for number, labels in expected.items():
        np.testing.assert_array_equal(hierarchy.cut(n_segments=number), labels + 1)  # theirs count from 0


def test_the_contract_is_kept() -> None:
    check_superpixels(Hers(region_size=8))


def test_a_window_has_a_superpixel_for_each_region_size_squared_of_valid_pixels() -> None:
    rng = np.random.default_rng(0)
    image, valid = rng.random((3, 60, 60)).astype(np.float32), np.ones((60, 60), bool)
    valid[:20] = False
    assert call(Hers(region_size=10), image, valid).max() == 24
    assert call(Hers(region_size=500), image, valid).max() == 1


def test_regions_of_one_colour_each_are_found_to_the_pixel() -> None:
    truth = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((10, 10))).astype(np.uint32)
    image = np.stack([truth, truth % 2, truth % 3]).astype(np.float32) / 6
    np.testing.assert_array_equal(call(Hers(region_size=10), image, np.ones(truth.shape, bool)), truth)


def test_learned_affinities_are_those_of_the_network() -> None:
    pytest.importorskip("torch")
    from superpoint.superpixels.dal import dal_affinities, shipped_weights

    if not shipped_weights().exists():
        pytest.skip(f"no weights of the network at {shipped_weights()}")
    image = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    valid = np.ones((40, 50), bool)
    valid[:9] = False
    seen = np.where(valid, image, np.float32(0))
    expected = build_hierarchy(image, valid, mean_weights(dal_affinities(seen), valid, connectivity=4))
    labels = call(Hers(region_size=8, affinity="dal"), image, valid)
    np.testing.assert_array_equal(labels, expected.cut(region_size=8))


def test_there_is_no_exact_halo_and_it_says_why() -> None:
    with pytest.raises(ValueError, match="no exact halo: a superpixel depends on the whole image"):
        Hers().halo(exact=True)


@pytest.mark.parametrize(("parameters", "halo"), [({}, 80), ({"region_size": 8.1}, 48), ({"affinity": "dal"}, 128)])
def test_the_halo_is_four_regions_and_what_the_network_sees(parameters: dict[str, object], halo: int) -> None:
    assert Hers(**parameters).halo() == halo  # type: ignore[arg-type]  # of several types


def test_a_hierarchy_does_not_depend_on_the_region_size_nor_learned_affinities_on_sigma() -> None:
    assert Hers(region_size=5).describe_hierarchy() == Hers(region_size=50).describe_hierarchy()
    assert Hers(sigma=0.1).describe_hierarchy() != Hers().describe_hierarchy()
    assert Hers(affinity="dal", sigma=0.1).describe_hierarchy() == Hers(affinity="dal").describe_hierarchy()


def test_whole_numbers_and_floats_are_one_description() -> None:
    assert describe_algorithm(Hers(region_size=9)) == describe_algorithm(Hers(region_size=9.0))


def test_the_command_has_the_same_defaults() -> None:
    settings = CutSettings(rasters=["any.tif"])  # type: ignore[list-item]  # pydantic makes it a path
    assert Hers(affinity=settings.affinity, sigma=settings.sigma) == Hers()


@pytest.mark.parametrize(
    ("parameters", "error", "sentence"),
    [
        ({"region_size": 0.5}, ValueError, r"region_size must be at least 1, got 0\.5"),
        ({"region_size": "9"}, TypeError, "region_size must be a number, got '9'"),
        ({"sigma": 0}, ValueError, "sigma must be at least 1e-06, got 0"),
        ({"affinity": "learnt"}, ValueError, "affinity must be one of gaussian, dal, got 'learnt'"),
    ],
)
def test_a_bad_parameter_is_one_sentence(parameters: dict[str, object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        Hers(**parameters)  # type: ignore[arg-type]  # wrong on purpose


def test_weights_of_ones_own_are_used_and_their_content_is_in_the_description(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from superpoint.superpixels.dal import dal_affinities, shipped_weights

    image = np.random.default_rng(0).random((3, 40, 48), np.float32)
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(shipped_weights().read_bytes())
    mine = Hers(region_size=8, affinity="dal", weights=str(copy))
    valid = np.ones((40, 48), bool)
    assert np.array_equal(call(mine, image, valid), call(Hers(region_size=8, affinity="dal"), image, valid))
    assert np.array_equal(dal_affinities(image, weights=copy), dal_affinities(image))
    before = describe_algorithm(mine)
    copy.write_bytes(copy.read_bytes() + b" ")
    assert describe_algorithm(mine) != before
    assert describe_algorithm(mine)["parameters"] == before["parameters"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"weights": "here.safetensors"}, "weights belong to affinity 'dal', got affinity 'gaussian'"),
        ({"affinity": "dal", "weights": "nowhere.safetensors"}, "weights must be a file, there is none at 'nowhere"),
    ],
)
def test_weights_that_cannot_be_used_are_one_sentence(parameters: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Hers(**parameters)
