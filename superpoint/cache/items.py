"""STAC Items: what an output is, where it lies on the earth and how it was made, for catalogues and their readers.

STAC 1.1 with the extensions projection, raster, file and processing; of maps also classification and machine learning
model (`modelitems.py`). pystac knows all of them but processing, whose fields are set by hand. Data type and nodata are
said twice: in STAC 1.1's own `bands`, and in the raster extension's `raster:bands`, which is what released readers look
at.
"""

from __future__ import annotations

import json
import mimetypes
import posixpath
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import antimeridian
import numpy as np
import pyproj
import pystac
import shapely
from pyproj.exceptions import ProjError
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterBand, RasterExtension
from pystac.utils import make_relative_href, str_to_datetime

from superpoint.cache.modelitems import MLM, MODEL_ROLES, class_objects, model_fields
from superpoint.cache.remote import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from shapely import MultiPolygon, Polygon

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.modelitems import ModelFacts
    from superpoint.classes import ClassTable

    type Footprint = Polygon | MultiPolygon
    type Positions = NDArray[np.float64]

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PREFIX = "superpoint"
"""Format of `processing:expression`, and prefix of the properties that no extension has."""
MEDIA_TYPES = {
    ".zarr": "application/vnd.zarr; version=3",
    ".tif": pystac.MediaType.COG.value,
    ".parquet": pystac.MediaType.VND_APACHE_PARQUET.value,
    ".gpkg": pystac.MediaType.GEOPACKAGE.value,
    ".json": pystac.MediaType.JSON.value,
}
"""Of what superpoint writes, by suffix."""
SIDE_POINTS = 20  # on each side of a footprint; straight lines of a projection are curves in degrees
TOLERANCE = 1e-5  # of a footprint's size: what leaving points out may move it
DECIMALS = 9  # of degrees: a tenth of a millimetre
WHOLE_TURN = 360.0


@dataclass(frozen=True, kw_only=True)
class OutputBand:
    """One band of an output."""

    name: str
    """As readers shall call it: the name of a Zarr array, or of a GeoTIFF's band."""
    dtype: str
    """NumPy's name."""
    nodata: float | None
    """None where there is none."""


@dataclass(frozen=True, kw_only=True)
class OutputAsset:
    """One file or Zarr group of an output."""

    path: str
    """Absolute path or URL."""
    title: str
    """A few words for people."""
    bands: tuple[OutputBand, ...] = ()
    """None for what is not a raster."""
    roles: tuple[str, ...] = ("data",)
    """As STAC has them: data, metadata, ..."""
    n_bytes: int | None = None
    """Of a file; None for a Zarr group, which is many objects."""
    classes: ClassTable | None = None
    """Of a class map."""

    @property
    def media_type(self) -> str | None:
        """As its suffix says; None if it says nothing."""
        return MEDIA_TYPES.get(_suffix(self.path)) or _guess_type(self.path)


def item_of(
    name: str,
    *,
    path: str,
    georeference: Georeference,
    provenance: Mapping[str, Any],
    sources: Sequence[str],
    assets: Mapping[str, OutputAsset],
    created: str,
    taken: str | None = None,
    software: Mapping[str, str] | None = None,
    model: ModelFacts | None = None,
) -> dict[str, Any]:
    """Describe an output as a STAC Item.

    Its `datetime` is when the source was taken, else the last change of the source's files, else `created`; the
    property `superpoint:datetime_is` says which: `taken`, `source changed` or `processed`.

    Parameters
    ----------
    name : str
        Id of the Item: the group's name with its digest, which no other output has.
    path : str
        Absolute path or URL where the Item will lie. What lies in or below the same folder is referred to
        relatively, everything else by its full path.
    georeference : Georeference
        The output's grid.
    provenance : mapping
        The group's provenance.
    sources : sequence of str
        Paths or URLs of what the output was made from.
    assets : mapping of str to OutputAsset
        By their keys.
    created : str
        When the output was done, RFC 3339.
    taken : str, optional
        When the source was taken, RFC 3339, or `start/end`, where that is known.
    software : mapping of str to str, optional
        Versions of packages by their names.
    model : ModelFacts, optional
        The trained network that made it; its checkpoint becomes the asset `model`.

    Returns
    -------
    dict
        The Item, as JSON. Without a geometry if the grid lies nowhere on the earth.
    """
    outline = footprint(georeference)
    times, reason = _times(provenance, taken, created)
    item = pystac.Item(
        id=name,
        geometry=None if outline is None else _rounded(outline),
        bbox=None if outline is None else [round(value, DECIMALS) for value in antimeridian.bbox(outline)],
        properties={
            "created": created,
            f"{PREFIX}:datetime_is": reason,
            "processing:datetime": created,
            "processing:software": dict(software or {}),
            "processing:lineage": lineage(provenance),
            "processing:expression": {"format": PREFIX, "expression": dict(provenance)},
        },
        stac_extensions=[PROCESSING],
        **times,
    )
    _project(item, georeference)
    for key, asset in assets.items():
        _add(item, key, asset, _href(asset.path, path))
    if model:
        _add_model(item, model, _href(model.path, path))
    for source in map(shown, sources):
        item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, _href(source, path), media_type=_source_type(source)))
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def footprint(georeference: Georeference) -> Footprint | None:
    """Return the outline of a grid in longitude and latitude (WGS84), cut along the antimeridian.

    Parameters
    ----------
    georeference : Georeference
        The grid.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon or None
        Degrees. None if the grid has no CRS, or one that is not about the earth. Where some of its border lies
        beyond the earth, as that of a full disk seen from space, the hull of what lies on it.
    """
    if georeference.crs is None:
        return None
    try:
        border = _lonlat(georeference, _border(georeference))
        if not np.isfinite(border).all():
            return _hull(_lonlat(georeference, _mesh(georeference)))
    except ProjError:  # of another planet, or of a building site
        return None
    return _cut(border)


def lineage(provenance: Mapping[str, Any]) -> str:
    """Say in one sentence how an output was made.

    Examples
    --------
    >>> lineage({"algorithm": {"name": "slic", "version": 2, "parameters": {"region_size": 20.0}}, "halo": 164})
    'superpixels by slic 2 (region_size=20.0), halo 164 pixels'
    """
    if "recipe" in provenance:
        recipe = provenance["recipe"]
        return f"map by {recipe['model']} with {recipe['encoder']}, trained with {recipe['loss']}"
    if "label_map" in provenance:
        return f"majority vote of query points in {lineage(provenance['label_map'])}"
    algorithm = provenance.get("algorithm")
    if algorithm is None:
        return str(provenance.get("kind", "raster"))
    parameters = ", ".join(f"{name}={value}" for name, value in algorithm.get("parameters", {}).items())
    halo = f", halo {provenance['halo']} pixels" if "halo" in provenance else ""
    return f"superpixels by {algorithm['name']} {algorithm.get('version', '')} ({parameters}){halo}"


def _border(georeference: Georeference) -> Positions:
    """Return points around a grid, (col, row) as x and y have them: counter-clockwise."""
    rows, cols = georeference.shape
    along = np.linspace(0, 1, SIDE_POINTS, endpoint=False)
    none, all_ = np.zeros(SIDE_POINTS), np.ones(SIDE_POINTS)
    ring = np.stack(
        (np.concatenate((along, all_, 1 - along, none)) * cols, np.concatenate((none, along, all_, 1 - along)) * rows)
    )
    return ring[:, ::-1] if georeference.affine.determinant < 0 else ring


def _mesh(georeference: Georeference) -> Positions:
    rows, cols = georeference.shape
    shares = np.linspace(0, 1, 4 * SIDE_POINTS + 1)
    return np.stack([side.ravel() for side in np.meshgrid(shares * cols, shares * rows)])


def _lonlat(georeference: Georeference, pixels: Positions) -> Positions:
    """Return longitudes and latitudes of (col, row), shape (2, points); infinite beyond the earth."""
    a, b, c, d, e, f = georeference.transform
    cols, rows = pixels
    xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
    crs = pyproj.CRS(georeference.crs)
    to_degrees = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    found: Positions = np.stack(to_degrees.transform(xs, ys))
    if crs.is_geographic:
        found[1] = found[1].clip(-90, 90)  # pixels whose centres are on the poles
        return found
    # Some projections answer beyond their edge, but with a place that is not there.
    back = np.stack(to_degrees.transform(found[0], found[1], direction="INVERSE"))
    pixel = max(abs(value) for value in (a, b, d, e))
    found[:, ~(np.abs(back - (xs, ys)).max(axis=0) < pixel)] = np.inf
    return found


def _hull(mesh: Positions) -> Footprint | None:
    """Return the hull of those points that lie on the earth."""
    lons, lats = mesh[:, np.isfinite(mesh).all(axis=0)]
    if lons.size == 0:
        return None
    middle = np.degrees(np.angle(np.exp(1j * np.radians(lons)).mean()))
    unrolled = (lons - middle + 180) % WHOLE_TURN - 180 + middle
    hull = shapely.MultiPoint(np.stack((unrolled, lats), axis=-1)).convex_hull
    if hull.geom_type != "Polygon":  # of fewer than three points
        return None
    return _cut(np.stack(shapely.orient_polygons(hull).exterior.coords.xy))


def _cut(ring: Positions) -> Footprint | None:
    """Cut a counter-clockwise ring along the antimeridian, and leave out points that change nothing."""
    lons, lats = ring
    if np.ptp(lons) >= WHOLE_TURN * (1 - TOLERANCE) and np.abs(np.diff(lons)).max() < WHOLE_TURN / 2:
        return shapely.box(-180, lats.min(), 180, lats.max())
    cut: Footprint = antimeridian.fix_polygon(shapely.Polygon(ring.T), fix_winding=False)
    simple: Footprint = cut.simplify(TOLERANCE * cut.area**0.5)
    return simple if simple.is_valid else None


def _rounded(outline: Footprint) -> dict[str, Any]:
    rounded = shapely.transform(outline, lambda degrees: degrees.round(DECIMALS))
    document: dict[str, Any] = json.loads(shapely.to_geojson(rounded))
    return document


def _times(provenance: Mapping[str, Any], taken: str | None, created: str) -> tuple[dict[str, Any], str]:
    """Return the times of an output as pystac takes them, and what they are the times of."""
    with suppress(ValueError, OverflowError):  # what an item of somebody else's says may be no time
        start, _, end = (taken or "").partition("/")
        if end:
            return {
                "datetime": None,
                "start_datetime": str_to_datetime(start),
                "end_datetime": str_to_datetime(end),
            }, "taken"
        return {"datetime": str_to_datetime(start)}, "taken"
    files = [file for source in _sources(provenance) for file in source.get("files", ())]
    changes = [file[2] for file in files if isinstance(file[2], int)]  # of an object on a server it is its version
    if changes:
        return {"datetime": datetime.fromtimestamp(max(changes) // 10**9, UTC)}, "source changed"
    return {"datetime": str_to_datetime(created)}, "processed"


def _sources(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("source", "label_map"):
        if key in provenance:
            yield from _sources(provenance[key]) if key == "label_map" else (provenance[key],)


def _project(item: pystac.Item, georeference: Georeference) -> None:
    crs = None if georeference.crs is None else pyproj.CRS(georeference.crs)
    authority = crs and crs.to_authority()
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=":".join(authority) if authority else None,
        wkt2=georeference.crs,
        shape=list(georeference.shape),
        transform=[float(value) for value in georeference.transform],
    )


def _add(item: pystac.Item, key: str, output: OutputAsset, href: str) -> None:
    asset = pystac.Asset(href=href, title=output.title, media_type=output.media_type, roles=list(output.roles))
    item.add_asset(key, asset)
    if output.n_bytes is not None:
        FileExtension.ext(asset, add_if_missing=True).apply(size=output.n_bytes)
    if output.classes:
        ClassificationExtension.ext(asset, add_if_missing=True)
        asset.extra_fields["classification:classes"] = class_objects(output.classes)
    if output.bands:
        described: list[dict[str, Any]] = [
            {"data_type": band.dtype} | ({} if band.nodata is None else {"nodata": _as_json(band.nodata)})
            for band in output.bands
        ]
        is_model = "mlm:model" in output.roles  # whose bands are looked for by their names here too
        named = [{"name": band.name} if is_model else {} for band in output.bands]
        both = [RasterBand(name | facts) for name, facts in zip(named, described, strict=True)]
        RasterExtension.ext(asset, add_if_missing=True).apply(both)
        asset.extra_fields["bands"] = [
            {"name": band.name, **facts} for band, facts in zip(output.bands, described, strict=True)
        ]


def _add_model(item: pystac.Item, model: ModelFacts, href: str) -> None:
    """Add the fields of a model, and its checkpoint."""
    item.stac_extensions.append(MLM)
    item.properties |= model_fields(model) | {"processing:level": "L4"}  # a model's output
    bands = tuple(OutputBand(name=name, dtype=model.band_dtype, nodata=None) for name in model.band_names)
    _add(item, "model", OutputAsset(path=model.path, title="trained network", bands=bands, roles=MODEL_ROLES), href)
    item.assets["model"].media_type = model.media_type
    item.assets["model"].extra_fields["mlm:artifact_type"] = model.artifact_type


def _as_json(nodata: float) -> float | str:
    """Return a nodata value as STAC writes it: JSON has no word for what is no number."""
    return nodata if np.isfinite(nodata) else str(nodata)


def _href(target: str, item: str) -> str:
    """Refer to what lies beside or below an Item relatively: a folder is moved as a whole."""
    folder = item.rpartition("/")[0]
    inside = posixpath.normpath(target.replace("://", ":/")).startswith(folder.replace("://", ":/") + "/")
    return make_relative_href(target, item) if inside else target


def _source_type(source: str) -> str | None:
    return pystac.MediaType.GEOJSON.value if _suffix(source) in {".json", ".geojson"} else _guess_type(source)


def _guess_type(path: str) -> str | None:
    return mimetypes.guess_type(path)[0]


def _suffix(path: str) -> str:
    return posixpath.splitext(path.rstrip("/"))[1].lower()
