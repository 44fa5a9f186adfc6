"""Superpixel algorithms side by side on one raster: speed, memory, quality, seams, and a picture of boundaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.cache.cogs import check_output
from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import scaling_of
from superpoint.cache.tables import read_class_table
from superpoint.cache.views import View, read_mask_view, read_view
from superpoint.errors import InputError
from superpoint.pipelines.rasterjobs import DEFAULT_REGION_SIZE
from superpoint.superpixels import describe_algorithm, make_algorithm, traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.costs import Cost
    from superpoint.pipelines.settings import CompareSettings
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

MAX_PIXELS = 2**26  # the image is compared whole, in memory; 8192 x 8192
SHOWN_CELLS = 22  # superpixels along a side of the picture's window: more would drown the image
MIN_SHOWN_PX = 192
PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One algorithm on the image that all were given. Where nothing can be measured there is None."""

    name: str
    version: str
    parameters: dict[str, Any]
    package_version: str | None
    """Version of the package that does the work; None if superpoint does it."""
    mpx_per_s: float
    """Megapixels a second of one core, array to labels: the median of interleaved runs after a first one."""
    compile_s: float
    """Seconds by which the first call in a new process is slower than the next: compiling, or loading what is."""
    peak_bytes_per_px: float | None
    """Most memory that the process held beyond its input while a call ran, labels included."""
    n_superpixels: int
    disconnected: int
    """Ids whose pixels are not one 4-connected region."""
    asa: float | None
    """Achievable segmentation accuracy; None without a truth, as are the next three."""
    boundary_recall: float | None
    """Within 2 pixels."""
    undersegmentation: float | None
    """By Neubert and Protzel."""
    undersegmentation_levin: float | None
    explained_variation: float | None
    compactness: float | None
    seam_ratio: dict[str, dict[str, float | None]] | None
    """`down` and `across`, each of the `tiled` label map and on the same lines of the `untiled` one; None if one
    tile holds the image."""
    identical: float | None
    """Share of pixels whose label is the same tiled and untiled, for algorithms on a lattice; None for others."""
    raster: str
    shape: tuple[int, int]
    """`(rows, cols)` of the image compared."""
    region_size: float
    tile: int
    halo: int
    """Pixels read around each tile: the algorithm's default."""
    picture: str


@dataclass(frozen=True, kw_only=True, eq=False)  # eq: of arrays, it would be an array
class Scene:
    """What every algorithm is given, and judged by."""

    image: NDArray[np.float32]
    """Scaled, of shape (bands, rows, cols)."""
    valid: NDArray[np.bool_]
    """Of shape (rows, cols)."""
    truth: NDArray[np.uint8] | None
    """Class values of shape (rows, cols), 255 is unlabelled."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.valid.shape[0], self.valid.shape[1]


def compare(settings: CompareSettings) -> dict[str, Compared]:
    """Compare superpixel algorithms on one raster, or on a part of it.

    All get the same image, scaled with the statistics of the whole raster, and work on it as one tile; for the seam
    ratio they work on it once more in tiles.

    Parameters
    ----------
    settings : CompareSettings
        See the fields.

    Returns
    -------
    dict of str to Compared
        By the algorithms' names, in the order of the settings.

    Raises
    ------
    InputError
        If an input or a setting cannot be used; said before anything is computed.
    MissingExtraError
        If an algorithm needs a package that is not installed; the same.
    """
    from superpoint.pipelines.costs import measure_costs

    raster = open_raster(settings.raster, bands=tuple(settings.bands))
    view = View.of(raster.shape, long_side=settings.long_side, crop=settings.crop)
    region_size = _region_size(settings, view)
    algorithms = make_algorithms(settings.algorithms, settings.parameter, region_size)
    truth = _open_truth(settings, raster)
    picture = _check_picture(settings, raster)

    scene = _read_scene(settings, raster, view, truth)
    costs, label_maps = measure_costs(algorithms, scene.image, scene.valid, repeats=settings.repeats)
    compared = {
        algorithm.name: Compared(
            **_recipe(algorithm),
            **_cost_facts(cost),
            **judge(labels, scene),
            **_seams(algorithm, labels, scene, settings.tile),
            raster=raster.path,
            shape=scene.shape,
            region_size=region_size,
            tile=settings.tile,
            halo=algorithm.halo(),
            picture=str(picture),
        )
        for algorithm, cost, labels in zip(algorithms, costs, label_maps, strict=True)
    }
    _draw(picture, scene, dict(zip(compared, label_maps, strict=True)), compared)
    return compared


def make_algorithms(
    names: Sequence[str], parameters: Mapping[str, JsonValue], region_size: float
) -> list[SuperpixelAlgorithm]:
    """Build the algorithms that are compared.

    Parameters
    ----------
    names : sequence of str
        Each once.
    parameters : mapping of str to JSON value
        By `ALGORITHM.NAME`.
    region_size : float
        Grid step of all of them in pixels.

    Raises
    ------
    InputError
        If a name or a parameter is unknown or not allowed.
    MissingExtraError
        If a package is missing.
    """
    for key in parameters:
        name, dot, parameter = key.partition(".")
        if not dot or name not in names:
            raise InputError(
                f"--parameter {key}: write ALGORITHM.NAME=VALUE with one of the algorithms compared: {', '.join(names)}"
            )
        if parameter == "region_size":
            raise InputError("region_size is the same for all that are compared; give --region-size or --n-segments")
    return [make_algorithm(name, {"region_size": region_size, **_own_parameters(name, parameters)}) for name in names]


def _own_parameters(name: str, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)}


def judge(labels: NDArray[np.uint32], scene: Scene) -> dict[str, Any]:
    """Measure a label map by its shapes, by the image, and by the truth if there is one.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        The label map of the scene.
    scene : Scene
        What it was made of.

    Returns
    -------
    dict of str to number or None
        Fields of `Compared`.
    """
    from superpoint.superpixels import quality

    facts: dict[str, Any] = {
        "n_superpixels": quality.n_superpixels(labels),
        "disconnected": quality.disconnected_ids(labels),
        "explained_variation": _finite(quality.explained_variation(labels, scene.image)),
        "compactness": _finite(quality.compactness(labels)),
    }
    against_truth = {
        "asa": quality.achievable_segmentation_accuracy,
        "boundary_recall": quality.boundary_recall,
        "undersegmentation": quality.undersegmentation_error,
        "undersegmentation_levin": quality.undersegmentation_error_levin,
    }
    for name, measure in against_truth.items():
        facts[name] = None if scene.truth is None else _finite(measure(labels, scene.truth))
    return facts


def _region_size(settings: CompareSettings, view: View) -> float:
    rows, cols = view.window.shape
    if rows * cols > MAX_PIXELS:
        raise InputError(
            f"{settings.raster} has {cols} x {rows} pixels, more than are compared at once in memory; "
            f"give --crop 4096x4096 or --long-side 4096"
        )
    if settings.n_segments is not None:
        return math.sqrt(rows * cols / settings.n_segments)
    return settings.region_size or DEFAULT_REGION_SIZE


def _check_picture(settings: CompareSettings, raster: Raster) -> Path:
    picture = settings.output or Path(f"{raster.name}.compare.png")
    if picture.suffix.lower() not in PICTURES:
        raise InputError(f"cannot draw {picture}; a picture ends in one of {', '.join(PICTURES)}")
    inputs = [path.resolve() for path in (settings.raster, settings.truth) if path is not None]
    if picture.resolve() in inputs:
        raise InputError(f"the picture {picture} is an input; give another --output")
    check_output(picture, overwrite=settings.overwrite)
    return picture


def _open_truth(settings: CompareSettings, raster: Raster) -> Mask | None:
    if settings.truth is None:
        return None
    truth = open_mask(settings.truth, read_class_table(settings.classes) if settings.classes else None)
    refuse_other_grid(truth.path, truth.georeference, raster.path, raster.georeference)
    return truth


def _read_scene(settings: CompareSettings, raster: Raster, view: View, truth: Mask | None) -> Scene:
    values = None if truth is None else read_mask_view(truth, view)
    scaling = scaling_of([raster], settings.cache)
    image, valid = read_view(raster, view)
    if scaling is None or not valid.any():
        raise InputError(f"{raster.path} has nothing but nodata there; there is nothing to compare")
    return Scene(image=scaling.apply(image, valid), valid=valid, truth=values)


def _recipe(algorithm: SuperpixelAlgorithm) -> dict[str, Any]:
    described = describe_algorithm(algorithm)
    return {name: described.get(name) for name in ("name", "version", "parameters", "package_version")}


def _cost_facts(cost: Cost) -> dict[str, Any]:
    """Round to what repeated measuring can tell."""
    peak = cost.peak_bytes_per_px
    return {
        "mpx_per_s": float(f"{cost.mpx_per_s:.4g}"),
        "compile_s": round(cost.compile_s, 3),
        "peak_bytes_per_px": None if peak is None else round(peak, 1),
    }


def _seams(algorithm: SuperpixelAlgorithm, untiled: NDArray[np.uint32], scene: Scene, tile_size: int) -> dict[str, Any]:
    """Superpixelize once more in tiles, and say whether their grid can be found."""
    from superpoint.superpixels.quality import seam_ratio
    from superpoint.testing import superpixelize_tiles

    if max(scene.shape) <= tile_size:
        return {"seam_ratio": None, "identical": None}
    tiled = superpixelize_tiles(algorithm, scene.image, scene.valid, tile_size=tile_size, halo=algorithm.halo())
    ratios = {
        name: {direction: _finite(ratio) for direction, ratio in seam_ratio(labels, tile_size)._asdict().items()}
        for name, labels in (("tiled", tiled), ("untiled", untiled))
    }
    traits = traits_of(type(algorithm))
    # Joined superpixels are numbered by what was joined: the same region may have another id.
    on_lattice = traits is not None and traits.ids == "lattice"
    return {"seam_ratio": ratios, "identical": float((tiled == untiled).mean()) if on_lattice else None}


def _draw(
    picture: Path, scene: Scene, label_maps: Mapping[str, NDArray[np.uint32]], compared: Mapping[str, Compared]
) -> None:
    """Write the picture in one step: a window around the centre in which superpixels can be told apart."""
    from superpoint.boundaries import draw_boundaries, to_rgb

    region_size = next(iter(compared.values())).region_size
    side = max(MIN_SHOWN_PX, round(SHOWN_CELLS * region_size))
    window = View.of(scene.shape, crop=(side, side)).window
    place = "" if window.shape == scene.shape else f"centre {window.n_cols} x {window.n_rows} of "
    figure = draw_boundaries(
        to_rgb(scene.image[:, *window.slices]),
        {name: labels[window.slices] for name, labels in label_maps.items()},
        notes={name: _note(one) for name, one in compared.items()},
        text=f"{place}{scene.shape[1]} x {scene.shape[0]} pixels, region size {region_size:.4g}",
    )
    scratch = picture.with_name(f".{picture.name}.partial")
    try:
        figure.savefig(scratch, format=picture.suffix[1:].lower())
        scratch.replace(picture)
    except (OSError, ValueError) as error:
        scratch.unlink(missing_ok=True)
        raise InputError(f"cannot write the picture {picture}: {error}; give another --output") from error


def _note(one: Compared) -> str:
    return f"{one.n_superpixels:,} superpixels" + ("" if one.asa is None else f", ASA {one.asa:.3f}")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
