"""The whole way on a made-up scene: no data, no network, and the truth is known.

Two scenes are made. On one an annotator is simulated, who labels a few points; a network learns from their
pseudo-mask and another from the full truth, everything else alike. Both are judged on the other scene.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from superpoint.cache.cogs import CogProfile, write_cog
from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import load_group
from superpoint.cache.masks import CLASSES_TAG
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.models import require_train_extra
from superpoint.overview import draw_overview
from superpoint.pipelines.evaluate import Evaluation, evaluate
from superpoint.pipelines.inspect import inspect
from superpoint.pipelines.label import label
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.predict import predict
from superpoint.pipelines.settings import (
    EvaluateSettings,
    InspectSettings,
    LabelSettings,
    PredictSettings,
    TrainSettings,
)
from superpoint.pipelines.superpixelize import export_labels
from superpoint.pipelines.train import train
from superpoint.points.sample import sample_balanced
from superpoint.scenes import make_scene
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.pipelines.label import PseudoMask
    from superpoint.pipelines.settings import DemoSettings
    from superpoint.points.query import QueryPoints
    from superpoint.scenes import Scene

log = logging.getLogger("superpoint")

MARKER = ".superpoint-demo"
MADE = (
    "scene.tif", "scene-truth.tif", "unseen.tif", "unseen-truth.tif", "classes.toml", "points.gpkg", "label-map.tif",
    "pseudo-mask.tif", "pseudo-mask.evidence.tif", "pseudo-mask.points.parquet", "inspect.html", "overview.png",
    "demo.json",
)  # fmt: skip
REGION_SIZE = 16.0
CRS_CODE = "EPSG:32631"
PIXEL_M = 0.6
CORNER = (420_000.0, 5_400_000.0)  # x, y of the scene's upper left corner, metres


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo measured and made."""

    out: str
    n_points: int
    points: dict[str, int]
    """The account: number of points in each state."""
    n_superpixels: int
    coverage: float
    """Share of the pixels that the pseudo-mask labels."""
    accuracy: float
    """Share of the labelled pixels whose class is true."""
    miou_weak: float
    """Of the network trained on the pseudo-mask, on the scene it has not seen."""
    miou_full: float
    """Of the network trained on the full truth, likewise."""
    iou: dict[str, dict[str, float | None]]
    """Of each class, weak and full."""
    seconds: float
    files: dict[str, str]


def demo(settings: DemoSettings) -> Demo:
    """Make a scene, sample points, and go the whole way from points to a map.

    Parameters
    ----------
    settings : DemoSettings
        See the fields.

    Raises
    ------
    InputError
        If `out` holds something already.
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    started = time.perf_counter()
    out = settings.out
    _claim(out, overwrite=settings.overwrite)
    shape = (settings.size, settings.size)
    log.info("making two scenes of %d x %d pixels, one to learn from and one to be judged on", *shape)
    scene, unseen = (make_scene(size=shape, seed=settings.seed + number) for number in (0, 1))
    files = _write_scene(out, "scene", scene) | _write_scene(out, "unseen", unseen)
    points = sample_balanced(scene.truth, settings.n_points, rng=np.random.default_rng(settings.seed))
    log.info("sampling %d points, and letting them vote in superpixels", len(points))
    files["points"] = _write_points(out / "points.gpkg", points, scene)
    (mask,) = label(
        LabelSettings(
            rasters=[out / "scene.tif"], points=out / "points.gpkg", classes=out / "classes.toml",
            region_size=REGION_SIZE, tile=512, seed=settings.seed, cache=out / "cache", output=out / "pseudo-mask.tif",
        )
    )  # fmt: skip
    files["pseudo_mask"] = str(mask.output)
    page = inspect(
        InspectSettings(
            pseudo_masks=[mask.path], truth=[out / "scene-truth.tif"], cache=out / "cache", output=out / "inspect.html",
            overwrite=True,
        )
    )  # fmt: skip
    files["inspection"] = str(page.output)
    files["label_map"] = str(export_labels(load_group(mask.label_map.path), out / "label-map.tif", overwrite=False))
    scores = {
        "weak": _train_and_judge(settings, "weak", out / "pseudo-mask.tif", [out / "scene.tif", out / "unseen.tif"]),
        "full": _train_and_judge(settings, "full", out / "scene-truth.tif", [out / "unseen.tif"]),
    }
    files |= {"map": str(out / "weak" / "scene.map.tif"), "map_unseen": str(out / "weak" / "unseen.map.tif")}
    files["overview"] = str(_draw(out, scene, points, mask))
    judged = SegmentationScores(confusion=_accuracy_of(scene, mask))
    result = Demo(
        out=str(out),
        n_points=len(points),
        points=mask.points,
        n_superpixels=mask.label_map.n_superpixels,
        coverage=mask.coverage,
        accuracy=judged.pixel_accuracy,
        miou_weak=scores["weak"].miou or 0.0,
        miou_full=scores["full"].miou or 0.0,
        iou={name: {kind: s.classes[name]["iou"] for kind, s in scores.items()} for name in scene.classes.names},
        seconds=round(time.perf_counter() - started, 1),
        files=files,
    )
    write_document(out / "demo.json", {"settings": settings.model_dump(mode="json"), "result": result.__dict__})
    return result


def _claim(out: Path, *, overwrite: bool) -> None:
    """Make the folder; of an earlier demo, and only if asked to, replace what the demo makes and nothing else."""
    marker = out / MARKER
    if out.is_dir() and any(out.iterdir()):
        if not marker.exists():
            raise InputError(f"the folder {out} is not empty and was not made by the demo; give another --out")
        if not overwrite:
            raise InputError(f"{out} holds an earlier demo; give --overwrite to replace it, or another --out")
        for folder in ("weak", "full", "cache"):
            shutil.rmtree(out / folder, ignore_errors=True)
        for name in MADE:
            (out / name).unlink(missing_ok=True)
    claim_folder(out)
    marker.touch()


def _georeference(shape: tuple[int, int]) -> Georeference:
    import pyproj

    return Georeference(
        shape=shape,
        transform=(PIXEL_M, 0.0, CORNER[0], 0.0, -PIXEL_M, CORNER[1]),
        crs=pyproj.CRS(CRS_CODE).to_wkt(),
    )


def _write_scene(out: Path, name: str, scene: Scene) -> dict[str, str]:
    grid = _georeference(scene.truth.shape)
    image = CogProfile(georeference=grid, dtype="uint8", nodata=None, band_names=("red", "green", "blue"))
    truth = CogProfile(
        georeference=grid, dtype="uint8", nodata=IGNORE, band_names=("class",), colormap=scene.classes.colormap,
        tags={CLASSES_TAG: scene.classes.to_dict()},
    )  # fmt: skip
    write_cog(out / f"{name}.tif", image, _blocks(scene.image))
    write_cog(out / f"{name}-truth.tif", truth, _blocks(scene.truth[None]))
    rows = (f'[[class]]\nname = "{c.name}"\nvalue = {c.value}\ncolor = "{c.color}"\n' for c in scene.classes.classes)
    (out / "classes.toml").write_text("\n".join(rows))
    return {name: str(out / f"{name}.tif"), f"{name}_truth": str(out / f"{name}-truth.tif")}


def _blocks(image: NDArray[np.uint8]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    for tile in TileGrid(shape=image.shape[1:], size=512):
        yield tile.core, image[(slice(None), *tile.core.slices)]


def _write_points(path: Path, points: QueryPoints, scene: Scene) -> str:
    """Write the points at pixel centres, with the class's name, as an annotator would hand them over."""
    a, _, c, _, e, f = _georeference(scene.truth.shape).transform
    xs, ys = c + a * (points.cols + 0.5), f + e * (points.rows + 0.5)
    names = [scene.classes.names[value] for value in points.values.tolist()]
    gpd.GeoDataFrame({"class": names}, geometry=gpd.points_from_xy(xs, ys), crs=CRS_CODE).to_file(path)
    return str(path)


def _train_and_judge(settings: DemoSettings, name: str, labels: Path, rasters: list[Path]) -> Evaluation:
    """Train on the scene with some labels, map the rasters, and judge the last, unseen one."""
    folder = settings.out / name
    log.info("training on the %s and mapping the unseen scene", {"weak": "pseudo-mask", "full": "full truth"}[name])
    training = train(
        TrainSettings(
            raster=[settings.out / "scene.tif"], labels=[labels], out=folder, encoder="resnet18", patch=128,
            epochs=settings.epochs, device=settings.device, seed=settings.seed, cache=settings.out / "cache",
        )
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    maps = predict(
        PredictSettings(checkpoint=training.checkpoint, rasters=rasters, output=folder, device=settings.device)
    )
    truth = settings.out / "unseen-truth.tif"
    return evaluate(EvaluateSettings(maps=[maps[-1].output], truth=[truth]))


def _accuracy_of(scene: Scene, mask: PseudoMask) -> NDArray[np.int64]:
    """Return the confusion matrix of the labelled pixels only."""
    rows, cols = scene.truth.shape
    painted = load_group(mask.path).read("pseudo_mask", Window(row=0, col=0, n_rows=rows, n_cols=cols))
    return confusion_matrix(np.where(painted == IGNORE, IGNORE, scene.truth), painted, len(scene.classes))


def _draw(out: Path, scene: Scene, points: QueryPoints, mask: PseudoMask) -> Path:
    import rasterio

    whole = Window(row=0, col=0, n_rows=scene.truth.shape[0], n_cols=scene.truth.shape[1])
    with rasterio.open(out / "weak" / "scene.map.tif") as dataset:
        prediction = dataset.read(1)
    figure = draw_overview(
        image=scene.image,
        label_map=load_group(mask.label_map.path).read("labels", whole),
        points=(points.rows, points.cols, points.values),
        pseudo_mask=load_group(mask.path).read("pseudo_mask", whole),
        prediction=prediction,
        truth=scene.truth,
        classes=scene.classes,
    )
    path = out / "overview.png"
    figure.savefig(path)
    return path
