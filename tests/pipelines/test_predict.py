"""Mapping rasters, on files as a user has them: one network, several rasters, edges, and what is said of a map."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import pytest
import rasterio
import torch
from pystac.extensions.mlm import MLMExtension
from pystac.validation import JsonSchemaSTACValidator
from smallworld import CLASSES, two_fields, write_raster

from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.predict import predict
from superpoint.pipelines.settings import PredictSettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from superpoint.pipelines.predict import Map

SHAPE = (90, 130)
SIZE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model") / "last.ckpt")


def write_checkpoint(path: Path, *, seed: int = 0) -> Path:
    recipe = Recipe(
        model="unet", encoder="tu-lcnet_035", classes=CLASSES, frequencies=(0.6, 0.4), loss="partial-cross-entropy",
        patch_size=SIZE, scaling_low=(0.0, 0.0, 10.0), scaling_high=(250.0, 250.0, 210.0), band_numbers=(1, 2, 3),
        seed=seed,
    )  # fmt: skip
    module = SegmentationModule(recipe)
    torch.save({"hyper_parameters": dict(module.hparams), "state_dict": module.state_dict()}, path)
    return path


@pytest.fixture
def rasters(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "scenes"
    folder.mkdir()
    return [write_raster(folder / f"{name}.tif", two_fields(SHAPE, seed=seed)[0]) for seed, name in enumerate("abc")]


def mapped(checkpoint: Path, rasters: object, output: Path, **settings: object) -> list[Map]:
    values: dict[str, Any] = {"overlap": 16, "device": "cpu", "cache": output.parent / "cache"} | settings
    return predict(PredictSettings(checkpoint=checkpoint, rasters=rasters, output=output, **values))


def read(path: str | Path | None) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values: np.ndarray = dataset.read()
    return values


def test_a_folder_of_rasters_is_mapped_each_as_if_it_were_alone(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    made = mapped(checkpoint, [rasters[0].parent], tmp_path / "maps")
    assert [Path(one.output).name for one in made] == ["a.map.tif", "b.map.tif", "c.map.tif"]
    (alone,) = mapped(checkpoint, [rasters[1]], tmp_path / "alone.tif")
    np.testing.assert_array_equal(read(made[1].output), read(alone.output))
    assert made[1].class_pixels == alone.class_pixels


def test_a_cluster_makes_the_same_maps(checkpoint: Path, rasters: list[Path], tmp_path: Path, cluster: Client) -> None:
    here = mapped(checkpoint, rasters, tmp_path / "here", probabilities=True)
    settings = PredictSettings(
        checkpoint=checkpoint, rasters=rasters, output=tmp_path / "there", overlap=16, device="cpu", probabilities=True
    )
    there = predict(settings, client=cluster)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(read(one.output), read(other.output))
        np.testing.assert_array_equal(read(one.probabilities), read(other.probabilities))


@pytest.fixture
def cluster() -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_raster_that_cannot_be_mapped_does_not_sink_the_others(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    write_raster(rasters[1], two_fields(SHAPE, seed=1)[0][:1])
    with pytest.raises(TilesFailedError, match=r"1 of 3 rasters failed, .*b\.tif: .*there is no band 2") as caught:
        mapped(checkpoint, rasters, tmp_path / "maps")
    assert [Path(one.raster).name for one in caught.value.results] == ["a.tif", "c.tif"]
    assert sorted(path.name for path in (tmp_path / "maps").glob("*.tif")) == ["a.map.tif", "c.map.tif"]
    write_raster(rasters[1], two_fields(SHAPE, seed=1)[0])
    again = mapped(checkpoint, rasters, tmp_path / "maps")
    assert [one.kept for one in again] == [True, False, True]


def test_a_map_of_the_very_same_is_kept_and_any_other_is_refused(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "a.map.tif"
    (first,) = mapped(checkpoint, rasters[:1], output)
    before = output.read_bytes()
    (again,) = mapped(checkpoint, rasters[:1], output, batch_size=3)
    assert (again.kept, again.class_pixels, output.read_bytes()) == (True, first.class_pixels, before)
    other = write_checkpoint(tmp_path / "other.ckpt", seed=1)
    for settings in ({"overlap": 20}, {"flips": "mirrors"}, {"checkpoint": other}):
        with pytest.raises(InputError, match=r"a\.map\.tif exists already and was made otherwise; give --overwrite"):
            mapped(settings.pop("checkpoint", checkpoint), rasters[:1], output, **settings)
    assert output.read_bytes() == before
    (replaced,) = mapped(checkpoint, rasters[:1], output, flips="mirrors", overwrite=True)
    assert not replaced.kept


def test_probabilities_that_are_missing_are_made_with_their_map(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "a.map.tif"
    (first,) = mapped(checkpoint, rasters[:1], output, probabilities=True)
    Path(first.probabilities or "").unlink()
    (again,) = mapped(checkpoint, rasters[:1], output, probabilities=True)
    assert not again.kept
    np.testing.assert_array_equal(read(again.probabilities).argmax(axis=0), read(output)[0])


def test_a_map_that_is_replaced_takes_its_probabilities_along(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "a.map.tif"
    (first,) = mapped(checkpoint, rasters[:1], output, probabilities=True)
    kept = Path(first.probabilities or "")
    (same,) = mapped(checkpoint, rasters[:1], output)
    assert (same.kept, same.probabilities, kept.exists()) == (True, None, True)
    (replaced,) = mapped(checkpoint, rasters[:1], output, flips="mirrors", overwrite=True)
    assert (replaced.kept, replaced.probabilities, kept.exists()) == (False, None, False)


def test_probabilities_of_another_network_never_lie_beside_a_map_unless_they_are_no_file_of_ours(
    checkpoint: Path, rasters: list[Path], tmp_path: Path
) -> None:
    output, beside = tmp_path / "a.map.tif", tmp_path / "a.map.probabilities.tif"
    mapped(write_checkpoint(tmp_path / "other.ckpt", seed=1), rasters[:1], output, probabilities=True)
    output.unlink()
    with pytest.raises(InputError, match=r"a\.map\.probabilities\.tif exists already and was made otherwise; give"):
        mapped(checkpoint, rasters[:1], output)
    foreign = write_raster(beside, two_fields(SHAPE, seed=7)[0]).read_bytes()
    mapped(checkpoint, rasters[:1], output)
    mapped(checkpoint, rasters[:1], output, flips="mirrors", overwrite=True)
    assert beside.read_bytes() == foreign


def test_flips_turn_the_map_with_the_raster(checkpoint: Path, tmp_path: Path) -> None:
    """With patches that stand alike from all sides, a mirrored raster has the mirrored map."""
    image, _ = two_fields((SIZE, SIZE), seed=4)
    ways = {"as-is": image, "mirrored": image[:, :, ::-1], "turned": np.rot90(image, axes=(1, 2))}
    found = {}
    for name, seen in ways.items():
        raster = write_raster(tmp_path / f"{name}.tif", np.ascontiguousarray(seen))
        (made,) = mapped(checkpoint, [raster], tmp_path / f"{name}.map.tif", flips="all", probabilities=True)
        found[name] = read(made.probabilities)
    # The same sums in another order: the last digits of floats.
    np.testing.assert_allclose(found["mirrored"], found["as-is"][:, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(found["turned"], np.rot90(found["as-is"], axes=(1, 2)), atol=1e-5)


def holed(path: Path) -> Path:
    image = two_fields(SHAPE, seed=5)[0].clip(1)
    image[:, 20:40, 30:70] = 0
    return write_raster(path, image, nodata=0)


def test_crisp_edges_give_each_superpixel_its_likeliest_class(checkpoint: Path, tmp_path: Path) -> None:
    raster = holed(tmp_path / "holed.tif")
    (labels,) = superpixelize(
        SuperpixelizeSettings(
            rasters=[raster], region_size=9, cache=tmp_path / "cache", output=tmp_path / "labels.tif", halo=0
        )
    )
    (made,) = mapped(checkpoint, [raster], tmp_path / "m.tif", crisp="auto", probabilities=True)
    assert made.label_map == labels.path
    ids, probabilities, classes = read(labels.output)[0], read(made.probabilities), read(made.output)[0]
    expected = np.full(SHAPE, 255)
    for one in np.unique(ids[ids > 0]):
        expected[ids == one] = probabilities[:, ids == one].mean(axis=1, dtype=np.float64).argmax()
    np.testing.assert_array_equal(classes, expected)
    assert (classes == 255).sum() == 20 * 40
    (named,) = mapped(checkpoint, [raster], tmp_path / "n.tif", crisp=[labels.output])
    np.testing.assert_array_equal(read(named.output)[0], expected)
    assert list(tmp_path.glob(".crisp-*")) == []


def test_pixels_of_no_superpixel_keep_their_own_class(checkpoint: Path, rasters: list[Path], tmp_path: Path) -> None:
    ids = np.zeros((1, *SHAPE), np.uint32)
    ids[:, :, :50] = 7
    labels = write_raster(tmp_path / "ids.tif", ids, nodata=0)
    (plain,) = mapped(checkpoint, rasters[:1], tmp_path / "plain.tif")
    (crisp,) = mapped(checkpoint, rasters[:1], tmp_path / "crisp.tif", crisp=[labels])
    assert len(np.unique(read(crisp.output)[:, :, :50])) == 1
    np.testing.assert_array_equal(read(crisp.output)[:, :, 50:], read(plain.output)[:, :, 50:])


def test_label_maps_that_do_not_fit_are_refused(checkpoint: Path, rasters: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 label maps are given with --crisp for 3 rasters; give one for each"):
        mapped(checkpoint, rasters, tmp_path / "maps", crisp=["ortho-3f2a"])
    small = write_raster(tmp_path / "small.tif", np.ones((1, 40, 40), np.uint32))
    with pytest.raises(InputError, match=r"small\.tif has 40 x 40 pixels and .*a\.tif 90 x 130"):
        mapped(checkpoint, rasters[:1], tmp_path / "m.tif", crisp=[small])
    with pytest.raises(InputError, match=r"holds no label map of .*a\.tif; make one with: superpoint superpixelize"):
        mapped(checkpoint, rasters[:1], tmp_path / "m.tif", crisp="auto")
    assert not (tmp_path / "m.tif").exists()


# --- the STAC Item, against the specification of the MLM extension, version 1.4.0

REQUIRED = {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"}
ALLOWED = REQUIRED | {
    "mlm:framework", "mlm:framework_version", "mlm:memory_size", "mlm:total_parameters", "mlm:pretrained",
    "mlm:pretrained_source", "mlm:batch_size_suggestion", "mlm:accelerator", "mlm:accelerator_constrained",
    "mlm:accelerator_summary", "mlm:accelerator_count", "mlm:hyperparameters",
}  # fmt: skip
SEMVER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-zA-Z.-]+)?(\+[0-9a-zA-Z.-]+)?"


@pytest.fixture
def item(checkpoint: Path, tmp_path: Path) -> dict[str, Any]:
    (made,) = mapped(checkpoint, [holed(tmp_path / "holed.tif")], tmp_path / "m.tif", probabilities=True)
    assert made.item == str(tmp_path / "m.stac.json")
    document: dict[str, Any] = json.loads(Path(made.item).read_text(), parse_constant=pytest.fail)
    return document


def test_the_item_of_a_map_is_valid_and_read_by_pystac(item: dict[str, Any]) -> None:
    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    model = MLMExtension.ext(pystac.Item.from_dict(item))
    assert (model.architecture, model.framework, model.tasks) == ("U-Net", "PyTorch", ["semantic-segmentation"])
    assert model.input[0].bands == ["red", "green", "blue"]
    assert model.output[0].result.shape == [-1, 2, SIZE, SIZE]
    assert [one.title for one in model.output[0].classes or []] == list(CLASSES.names)


def test_the_model_is_described_as_the_extension_asks(item: dict[str, Any], checkpoint: Path) -> None:
    properties = item["properties"]
    given = {name for name in properties if name.startswith("mlm:")}
    assert REQUIRED <= given <= ALLOWED
    assert "https://stac-extensions.github.io/mlm/v1.4.0/schema.json" in item["stac_extensions"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert re.fullmatch(SEMVER, properties["mlm:framework_version"])
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", name) for name in properties["mlm:hyperparameters"])
    assert (properties["mlm:pretrained"], properties["mlm:pretrained_source"]) == (False, None)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    n_weights = sum(value.numel() for name, value in weights.items() if not name.endswith(buffers))
    assert properties["mlm:total_parameters"] == n_weights


def test_what_goes_into_the_network_and_comes_out_is_described(item: dict[str, Any]) -> None:
    (patches,), (outputs,) = item["properties"]["mlm:input"], item["properties"]["mlm:output"]
    assert patches["input"]["shape"] == [-1, 3, SIZE, SIZE]
    for part, axis in ((patches["input"], "channel"), (outputs["result"], "class")):
        assert part["dim_order"] == ["batch", axis, "height", "width"]
        assert part["data_type"] == "float32"
    lows_and_highs = [(one["minimum"], one["maximum"]) for one in patches["value_scaling"]]
    assert lows_and_highs == [(0, 250), (0, 250), (10, 210)]
    assert {one["type"] for one in patches["value_scaling"]} == {"min-max"}
    for one, land_class in zip(outputs["classification:classes"], CLASSES.classes, strict=True):
        assert re.fullmatch(r"[0-9A-Za-z_-]+", one["name"])
        assert (one["value"], one["title"], "#" + one["color_hint"]) == (
            land_class.value, land_class.name, land_class.color,
        )  # fmt: skip


def test_the_assets_are_the_map_its_probabilities_and_the_model(item: dict[str, Any], checkpoint: Path) -> None:
    assets = item["assets"]
    assert {name: asset["href"] for name, asset in assets.items()} == {
        "map": "./m.tif", "probabilities": "./m.probabilities.tif", "model": str(checkpoint),
    }  # fmt: skip
    assert [name for name, asset in assets.items() if "mlm:model" in asset["roles"]] == ["model"]
    assert assets["model"]["mlm:artifact_type"] == "torch.save"
    names = [band["name"] for band in assets["model"]["raster:bands"]]
    assert names == item["properties"]["mlm:input"][0]["bands"]
    assert [one["value"] for one in assets["map"]["classification:classes"]] == [0, 1]
    assert assets["probabilities"]["bands"][0]["nodata"] == "nan"
    assert item["properties"]["processing:level"] == "L4"
    assert item["properties"]["processing:lineage"].startswith("map by unet with tu-lcnet_035")
