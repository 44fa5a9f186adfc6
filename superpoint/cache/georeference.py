"""Where a raster's pixels lie on the earth, and how a Zarr group says so to every reader.

Four ways at once, because no two readers agree: CF `spatial_ref` with `x` and `y` coordinates (xarray,
rioxarray), `_CRS` (GDAL), and the `proj:` and `spatial:` conventions of Zarr (GDAL from 3.13, and what comes).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
from affine import Affine

from superpoint.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONVENTIONS = [
    {
        "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "name": "proj:",
        "schema_url": "https://raw.githubusercontent.com/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
        "description": "Coordinate reference system information for geospatial data",
    },
    {
        "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "name": "spatial:",
        "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
        "description": "Spatial coordinate information",
    },
]


@dataclass(frozen=True, kw_only=True)
class Georeference:
    """A raster's grid."""

    shape: tuple[int, int]
    """`(rows, cols)`."""
    transform: tuple[float, float, float, float, float, float]
    """`(a, b, c, d, e, f)`: x = a col + b row + c, y = d col + e row + f, at pixel corners."""
    crs: str | None
    """WKT2; None for a raster that lies nowhere on the earth."""

    @property
    def affine(self) -> Affine:
        """The transform from (col, row) to (x, y)."""
        return Affine(*self.transform)

    @property
    def is_rotated(self) -> bool:
        """Whether rows and columns are not parallel to the axes."""
        return self.transform[1] != 0 or self.transform[3] != 0

    def coordinates(self) -> dict[str, NDArray[np.floating]]:
        """Return `x` of each column and `y` of each row, at pixel centres; nothing if rotated."""
        if self.is_rotated:
            return {}
        a, _, c, _, e, f = self.transform
        return {"x": c + a * (np.arange(self.shape[1]) + 0.5), "y": f + e * (np.arange(self.shape[0]) + 0.5)}

    def coordinate_attributes(self, axis: str) -> dict[str, Any]:
        """Return the CF attributes of `x` or `y`."""
        attributes = {"axis": axis.upper(), "standard_name": f"projection_{axis}_coordinate"}
        known = [] if self.crs is None else pyproj.CRS(self.crs).cs_to_cf()
        mine = [each for each in known if each["axis"] == axis.upper()]
        if len(mine) == 1:  # pyproj calls both axes Y where it does not know their directions
            attributes |= {key: mine[0][key] for key in ("standard_name", "units") if key in mine[0]}
        return attributes | {"long_name": f"{axis} of pixel centres"}

    def spatial_ref_attributes(self) -> dict[str, Any]:
        """Return the attributes of the CF grid mapping variable `spatial_ref`."""
        a, b, c, d, e, f = self.transform
        attributes: dict[str, Any] = {"GeoTransform": " ".join(repr(float(v)) for v in (c, a, b, f, d, e))}
        if self.crs is not None:
            attributes |= pyproj.CRS(self.crs).to_cf() | {"spatial_ref": self.crs}
        return attributes

    def convention_attributes(self) -> dict[str, Any]:
        """Return the `proj:`, `spatial:` and `_CRS` attributes of an array or a group on this grid.

        `coordinates` is CF's: without it xarray leaves `spatial_ref` among the variables, and odc.geo sees no CRS.
        """
        rows, cols = self.shape
        corners = [self.affine @ corner for corner in ((0, 0), (cols, 0), (0, rows), (cols, rows))]
        xs, ys = zip(*corners, strict=True)
        attributes: dict[str, Any] = {
            "coordinates": "spatial_ref",
            "zarr_conventions": CONVENTIONS if self.crs else CONVENTIONS[1:],
            "spatial:dimensions": ["y", "x"],
            "spatial:shape": [rows, cols],
            "spatial:transform": [float(value) for value in self.transform],
            "spatial:bbox": [min(xs), min(ys), max(xs), max(ys)],
            "spatial:registration": "pixel",
        }
        if self.crs is not None:
            attributes |= {"_CRS": {"wkt": self.crs}, "proj:wkt2": self.crs} | _code(self.crs)
        return attributes


@functools.lru_cache(maxsize=64)  # 50 ms where no authority has it
def _code(wkt: str) -> dict[str, str]:
    """Return `proj:code` if an authority has this very CRS: readers believe it before they read the WKT."""
    crs = pyproj.CRS(wkt)
    authority = crs.to_authority()  # the most alike, such as UTM zone 33 for one on another datum
    if authority is None or pyproj.CRS.from_authority(*authority) != crs:
        return {}
    return {"proj:code": ":".join(authority)}


def refuse_other_grid(path: str, grid: Georeference, other_path: str, other: Georeference) -> None:
    """Refuse two rasters that are not on one grid; one without a CRS is compared by its shape alone.

    Raises
    ------
    InputError
        If so; the message names both and says what to do.
    """
    if grid.shape != other.shape:
        raise InputError(
            f"{path} has {grid.shape[0]} x {grid.shape[1]} pixels and {other_path} {other.shape[0]} x "
            f"{other.shape[1]}; put the mask on the other's grid (nearest, never bilinear)"
        )
    if grid.crs is None or other.crs is None:
        return
    pixel = max(abs(value) for value in (*other.transform[:2], *other.transform[3:5]))
    moved = np.abs(np.subtract(grid.transform, other.transform)).max() > pixel / 100
    if moved or pyproj.CRS(grid.crs) != pyproj.CRS(other.crs):
        raise InputError(f"{path} and {other_path} lie on different grids; put the mask on the other's grid (nearest)")
