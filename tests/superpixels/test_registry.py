from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from superpoint.errors import InputError, MissingExtraError
from superpoint.superpixels import algorithm_names, describe_algorithm, make_algorithm
from superpoint.superpixels.adapters.opencv import Lsc
from superpoint.superpixels.algorithm import Origin, SuperpixelAlgorithm
from superpoint.superpixels.slic import Slic
from superpoint.superpixels.snic import Snic

if TYPE_CHECKING:
    from pathlib import Path

SQUARES = """
    from dataclasses import dataclass
    from typing import ClassVar

    import numpy as np


    @dataclass(frozen=True, kw_only=True)
    class Squares:
        name: ClassVar[str] = "squares"
        version: ClassVar[str] = "2"
        region_size: float = 20.0

        def halo(self, *, exact=False):
            return 0

        def __call__(self, image, valid, *, origin, rng):
            return valid.astype(np.uint32)
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install another package that brings an algorithm, and one that lacks something."""
    (tmp_path / "stranger.py").write_text(textwrap.dedent(SQUARES))
    (tmp_path / "needy.py").write_text("import a_package_that_is_not_there\n")
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[superpoint.superpixels]\nsquares = stranger:Squares\nneedy = needy:Needy\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_slic_is_found_by_its_name_and_keeps_the_protocol() -> None:
    assert "slic" in algorithm_names()
    algorithm = make_algorithm("slic", {"region_size": 12, "iterations": 3})
    assert algorithm == Slic(region_size=12, iterations=3)
    assert isinstance(algorithm, SuperpixelAlgorithm)


def test_a_description_is_json_and_rebuilds_the_algorithm() -> None:
    algorithm = Snic(region_size=12.5, compactness=3)
    described: dict[str, Any] = json.loads(json.dumps(describe_algorithm(algorithm)))
    assert described == {
        "name": "snic",
        "version": Snic.version,
        "parameters": {"region_size": 12.5, "compactness": 3},
    }
    assert make_algorithm(described["name"], described["parameters"]) == algorithm


@pytest.mark.usefixtures("stranger")
def test_another_package_adds_an_algorithm_by_an_entry_point() -> None:
    assert {"slic", "squares"} <= set(algorithm_names())
    algorithm = make_algorithm("squares", {"region_size": 5})
    valid = np.ones((2, 3), bool)
    labels = algorithm(
        np.zeros((1, 2, 3), np.float32), valid, origin=Origin(raster_shape=(2, 3)), rng=np.random.default_rng(0)
    )
    assert labels.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert describe_algorithm(algorithm) == {"name": "squares", "version": "2", "parameters": {"region_size": 5}}


@pytest.mark.usefixtures("stranger")
def test_an_algorithm_that_lacks_a_package_says_which_and_how_to_install_it() -> None:
    sentence = r"'needy' needs a package .* \(a_package_that_is_not_there\); install it, or the extra"
    with pytest.raises(MissingExtraError, match=sentence) as raised:
        make_algorithm("needy", {})
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_an_algorithm_whose_package_is_missing_is_refused_before_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        MissingExtraError,
        match=r"'opencv-lsc' needs cv2, which is not installed; install it with: pip install \"superpoint\[opencv\]\"",
    ):
        make_algorithm("opencv-lsc", {})


def test_a_package_that_does_the_work_is_part_of_the_description_with_its_version() -> None:
    import skimage

    described = describe_algorithm(make_algorithm("skimage-slic", {}))
    assert described["package_version"] == skimage.__version__
    assert describe_algorithm(Lsc())["package_version"] == version("opencv-contrib-python-headless")
    assert "package_version" not in describe_algorithm(Snic())


def test_no_class_needs_its_package_before_it_is_called() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cv2', 'fast_slic', 'SimpleITK', 'skimage'])); "
        "from superpoint.superpixels import algorithm_names, load_algorithm; "
        "[load_algorithm(name)() for name in algorithm_names()]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_algorithm_is_answered_with_the_list_of_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown superpixel algorithm 'slik'; known: .*slic"):
        make_algorithm("slik", {})


def test_an_unknown_parameter_is_answered_with_the_list_of_known_ones() -> None:
    with pytest.raises(InputError, match=r"snic has no parameter 'compact'; known: region_size, compactness$"):
        make_algorithm("snic", {"compact": 10})


@pytest.mark.parametrize(("name", "value"), [("region_size", "wide"), ("compactness", -1), ("iterations", 1.5)])
def test_a_value_that_cannot_be_is_named_with_its_parameter(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"superpixel algorithm slic: {name} .*{value}"):
        make_algorithm("slic", {name: value})
