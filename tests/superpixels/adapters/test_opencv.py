from __future__ import annotations

import types
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from superpoint.errors import InputError, MissingExtraError
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.adapters import opencv
from superpoint.superpixels.adapters.opencv import Lsc, Seeds, Slico
from superpoint.superpixels.algorithm import Origin
from superpoint.testing import check_superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

KINDS = [Seeds, Lsc, Slico]


def superpixels(algorithm: SuperpixelAlgorithm, image: NDArray[np.float32]) -> NDArray[np.uint32]:
    shape = (image.shape[1], image.shape[2])
    return algorithm(image, np.ones(shape, bool), origin=Origin(raster_shape=shape), rng=np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_they_keep_the_contract(kind: type[Seeds | Lsc | Slico]) -> None:
    check_superpixels(kind(region_size=8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (9, 40), (17, 17)])
def test_no_image_is_too_small(kind: type[Seeds | Lsc | Slico], shape: tuple[int, int]) -> None:
    """OpenCV itself crashes on several of these."""
    assert superpixels(kind(region_size=100), np.zeros((3, *shape), np.float32)).max() == 1


@pytest.mark.parametrize("shape", [(160, 240), (80, 480), (480, 80), (80, 80)])
@pytest.mark.parametrize(("levels", "step"), [(2, 20), (3, 20), (4, 16)])
def test_seeds_stand_one_step_apart(shape: tuple[int, int], levels: int, step: int) -> None:
    labels = superpixels(Seeds(region_size=20, levels=levels), np.full((3, *shape), 0.5, np.float32))
    blocks = np.arange(shape[0])[:, None] // step * (shape[1] // step) + np.arange(shape[1]) // step + 1
    assert np.array_equal(labels, blocks)


def test_opencvs_threads_are_as_before_when_calls_overlap() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    image = np.random.default_rng(0).random((3, 60, 60), np.float32)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: superpixels(Slico(region_size=8), image), range(12)))
    after = cv2.getNumThreads()
    cv2.setNumThreads(before)
    assert after == 2


@pytest.mark.parametrize("kind", KINDS)
def test_opencv_without_its_contributed_modules_is_refused(
    kind: type[Seeds | Lsc | Slico], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencv, "import_package", lambda *_: types.SimpleNamespace())
    with pytest.raises(MissingExtraError, match=r"contributed modules.*superpoint\[opencv\]"):
        superpixels(kind(), np.zeros((3, 9, 9), np.float32))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"levels": 9}, "levels must be at most 8, got 9"),
        ({"bins": 1}, "bins must be at least 2, got 1"),
        ({"prior": 2.5}, "prior must be a whole number, got 2.5"),
    ],
)
def test_parameters_beyond_what_seeds_takes_are_refused(parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make_algorithm("opencv-seeds", parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_they_have_no_exact_halo(kind: type[Seeds | Lsc | Slico]) -> None:
    assert kind(region_size=10).halo() == 40
    with pytest.raises(ValueError, match="has no exact halo"):
        kind().halo(exact=True)
