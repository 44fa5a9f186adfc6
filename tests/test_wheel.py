"""What is published: the wheel holds the package and its metadata only, the source archive no cached data."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "superpoint", "pipelines", "cache", "tests", "examples")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout and litter it as use does."""
    folder = tmp_path_factory.mktemp("checkout") / "superpoint"
    folder.mkdir()
    for source in (ROOT / name for name in KEPT if (ROOT / name).exists()):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.zarr"))
        else:
            shutil.copy(source, folder)
    for litter in (
        "cache/label-maps/scene-0a1b.zarr/zarr.json", "cache/scalings/scene.json", "cache/notes.md", "uv.lock",
        "runs/one/run.json", "superpoint/__pycache__/tiles.cpython-312.pyc", ".venv/bin/python", "dist/old.whl",
    ):  # fmt: skip
        (folder / litter).parent.mkdir(parents=True, exist_ok=True)
        (folder / litter).write_text("litter")
    return folder


def build(checkout: Path, kind: str, out: Path) -> Path:
    if shutil.which("uv") is None:
        pytest.skip("uv is not on the PATH to build with")
    command = ["uv", "build", f"--{kind}", "--offline", "--out-dir", str(out), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("uv has no hatchling in its cache to build with")
    assert done.returncode == 0, done.stderr
    (built,) = (path for path in out.iterdir() if path.suffix in (".whl", ".gz"))
    return built


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(checkout, "wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def archived(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the files of the source archive, without its first folder."""
    with tarfile.open(build(checkout, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_holds_the_package_and_its_metadata_only(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    (metadata,) = (name for name in tops if name.endswith(".dist-info"))
    assert tops == {"superpoint", metadata}


def test_the_wheel_holds_every_module_and_the_mark_of_its_types(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "superpoint").rglob("*.py")}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == modules
    assert "superpoint/py.typed" in wheel.namelist()
    assert not [name for name in wheel.namelist() if name.endswith(".pyc")]


def test_the_wheel_names_the_command_the_algorithm_and_the_licence(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(entry_points).decode()
    assert "superpoint = superpoint.cli:main" in text
    assert "slic = superpoint.superpixels.slic:Slic" in text
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_source_archive_holds_no_cached_data_and_nothing_that_git_ignores(archived: set[str]) -> None:
    assert {name for name in archived if name.startswith("cache/")} == {"cache/README.md"}
    assert not [
        name for name in archived if name.startswith(("runs", ".venv", "dist", "uv.lock")) or "__pycache__" in name
    ]
    assert {"pyproject.toml", "README.md", "LICENSE", "superpoint/py.typed", "superpoint/tiles.py"} <= archived
