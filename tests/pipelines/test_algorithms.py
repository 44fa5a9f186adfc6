from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from superpoint.pipelines import summaries
from superpoint.pipelines.algorithms import algorithms
from superpoint.pipelines.settings import AlgorithmsSettings
from superpoint.superpixels import algorithm_names, describe_algorithm, make_algorithm
from superpoint.superpixels.slic import Slic

if TYPE_CHECKING:
    from pathlib import Path


def test_every_algorithm_is_listed_by_name_with_what_it_takes() -> None:
    listed = algorithms(AlgorithmsSettings())
    assert [one.name for one in listed] == algorithm_names()
    for one in listed:
        assert all((one.bands, one.nodata, one.licence, one.version))
        assert one.ids in ("lattice", "joined")
        assert one.installed == (one.install is None)


def test_the_parameters_listed_are_those_of_the_algorithm_as_it_is_made() -> None:
    listed = {one.name: one for one in algorithms(AlgorithmsSettings())}
    described = describe_algorithm(Slic())
    assert listed["slic"].parameters == described["parameters"]
    for name in ("opencv-seeds", "skimage-slic", "felzenszwalb", "simpleitk-slic", "snic"):
        described = describe_algorithm(make_algorithm(name, {}))
        assert listed[name].parameters == described["parameters"]
        assert listed[name].package_version == described.get("package_version")


def test_what_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    """In a new process, in which packages cannot be found."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cv2', 'fast_slic'])); sys.argv = ['superpoint', 'algorithms', "
        "*sys.argv[1:]]; from superpoint.cli import main; main()"
    )
    call = [sys.executable, "-c", code]
    out = subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert 'opencv-lsc: pip install "superpoint[opencv]"' in out
    assert 'pip install --no-build-isolation "fast-slic==0.4.0" (needs a C++ compiler)' in out
    listed = json.loads(subprocess.run([*call, "--json"], capture_output=True, check=True, cwd=tmp_path).stdout)
    states = {one["name"]: (one["installed"], one["package_version"]) for one in listed}
    assert states["opencv-lsc"] == (False, None)
    assert states["slic"] == (True, None)
    assert states["simpleitk-slic"][0] is True


@pytest.mark.parametrize("word", ["felzenszwalb", "BSD-3-Clause", "lattice", "superpoint algorithms --json"])
def test_the_table_holds_names_licences_and_where_the_rest_is(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=200).print(summaries.of_algorithms(algorithms(AlgorithmsSettings())))
    assert word in capsys.readouterr().out
