"""Rasters, and windows of them as arrays: bands of one file or of several, and where their pixels are valid.

Memory is bounded by the window that is read, and by blocks that `headers.py` found small enough.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import rasterio.windows

from superpoint.cache.addresses import absolute, holder, is_remote, shown
from superpoint.cache.alignment import Alignment, read_nearest
from superpoint.cache.bands import choose_bands, names_in_file, names_in_stack, refuse_too_many
from superpoint.cache.handles import (
    FAILURES,
    Facts,
    facts_of,
    kept_dataset,
    open_dataset,
    reason,
    refuse_changed,
    twice_if_remote,
)
from superpoint.cache.headers import files_of, read_header
from superpoint.cache.inputs import Source, name_of
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from superpoint.cache.bands import Names
    from superpoint.cache.georeference import Georeference
    from superpoint.cache.headers import Header
    from superpoint.tiles import Window

__all__ = ["Part", "Raster", "open_dataset", "open_raster", "open_source"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A raster that goes with another: one of its bands, or its mask."""

    path: str
    alignment: Alignment | None
    """Where its pixels lie under those of the other; None if they are the same."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """A raster that can be read, and the bands that are used of it."""

    path: str
    """As it is opened; absolute for local files. The first, where several files are stacked."""
    bands: tuple[int, ...]
    """Band numbers, from 1."""
    dtype: str
    """Data type as stored, the largest of the bands'."""
    georeference: Georeference
    nodata: str
    """Declared nodata value of each band used, as text; empty where there is none."""
    has_gaps: bool
    """Whether some pixels may be without data."""
    files: tuple[Facts, ...]
    """Name, size in bytes and time of change in nanoseconds of each local file it consists of; of an object on a
    server its address, size and version."""
    band_names: tuple[str, ...] = ()
    """What each band used is called; its number where nobody named it."""
    parts: tuple[Part, ...] = ()
    """The single-band rasters that are stacked as bands, all of them; empty if the bands are those of `path`."""
    alpha: int | None = None
    """Number of the band that says what is transparent, where GDAL does not heed it by itself."""
    mask: Part | None = None
    """Says in its first band which pixels are not valid."""
    mask_band: int | None = None
    """Number of the raster's own band that says so instead."""
    mask_values: tuple[int, ...] = ()
    """Values of the mask where pixels are not valid; if none are named, it is 0."""
    title: str = ""
    """The name that its source goes by, if not the file's."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.georeference.shape

    @property
    def name(self) -> str:
        """The title, or the file's name without its suffix."""
        return self.title or name_of(self.path)

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from any other, as JSON: the source's part of a cache key."""
        grid = {"shape": list(self.shape), "transform": list(self.georeference.transform), "crs": self.georeference.crs}
        files = [list(file) for file in self.files]
        identity: dict[str, Any] = {"path": shown(self.path), "bands": list(self.bands), "nodata": self.nodata}
        identity |= {"grid": grid, "files": files}
        # A plain raster's key is what it was before there was anything else.
        if self.parts:
            identity["parts"] = [shown(part.path) for part in self.parts]
        if self.alpha:
            identity["alpha"] = self.alpha
        if self.mask:
            identity |= {"mask": shown(self.mask.path), "mask_values": sorted(self.mask_values)}
        if self.mask_band:
            identity |= {"mask_band": self.mask_band, "mask_values": sorted(self.mask_values)}
        return identity

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window.

        Parameters
        ----------
        window : Window
            Inside the raster.

        Returns
        -------
        image : float32 array of shape (bands, rows, cols)
            As stored; 0 where not valid, NaN where a band of a valid pixel is nodata.
        valid : bool array of shape (rows, cols)
            False on nodata (a pixel that is nodata in every band used, masked, or transparent) and where any
            of them is not finite.

        Raises
        ------
        InputError
            If the file cannot be decoded there, or is no longer what it was when it was opened.
        UnreachableError
            If a server does not answer, or does not send what was asked for.
        """
        image, known = self._read_bands(window, np.dtype(np.float32))
        valid = self._valid(window, known) & np.isfinite(image).all(axis=0)
        image[~known] = np.nan
        image[:, ~valid] = 0
        return image, valid

    def read_stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window as `read` does, but integers as such where every band of each valid pixel has a value.

        Parameters
        ----------
        window : Window
            Inside the raster.

        Returns
        -------
        image : array of shape (bands, rows, cols)
            Of the raster's data type, or float32; 0 where not valid.
        valid : bool array of shape (rows, cols)
            As of `read`.
        """
        stored = np.dtype(self.dtype)
        if stored.kind not in "iu":
            return self.read(window)
        image, known = self._read_bands(window, stored)
        valid = self._valid(window, known)
        if not (known | ~valid).all():
            image = image.astype(np.float32)
            image[~known] = np.nan
        image[:, ~valid] = 0
        return image, valid

    def _valid(self, window: Window, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return where any band is known and neither alpha nor mask says no."""
        valid: NDArray[np.bool_] = known.any(axis=0)
        if self.alpha:
            valid &= self._look(self.path, window, lambda dataset: dataset.read(self.alpha, window=_area(window)) > 0)
        if self.mask:
            valid &= self._unmasked(self.mask, 1, window)
        if self.mask_band:
            valid &= self._unmasked(*self._place_of(self.mask_band), window)
        return valid

    def _read_bands(self, window: Window, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if not self.parts:
            look = partial(_read, bands=self.bands, window=window, alignment=None, dtype=dtype)
            return self._look(self.path, window, look)
        image = np.empty((len(self.bands), *window.shape), dtype)
        known = np.empty(image.shape, np.bool_)
        for place, band in enumerate(self.bands):
            part = self.parts[band - 1]
            look = partial(_read, bands=(1,), window=window, alignment=part.alignment, dtype=dtype)
            image[place : place + 1], known[place : place + 1] = self._look(part.path, window, look)
        return image, known

    def _place_of(self, band: int) -> tuple[Part, int]:
        """Return where a band lies: a file, and its number there."""
        return (self.parts[band - 1], 1) if self.parts else (Part(path=self.path, alignment=None), band)

    def _unmasked(self, mask: Part, band: int, window: Window) -> NDArray[np.bool_]:
        look = partial(_read, bands=(band,), window=window, alignment=mask.alignment, dtype=None)
        (values,), _ = self._look(mask.path, window, look)
        if not self.mask_values:
            return np.asarray(values != 0, np.bool_)
        clear: NDArray[np.bool_] = ~np.isin(values, self.mask_values)
        return clear & mask.alignment.covers(window) if mask.alignment else clear

    def _look[Result](self, path: str, window: Window, look: Callable[[Any], Result]) -> Result:
        """Do something with the dataset at `path`, and say what went wrong."""

        def attempt() -> Result:
            with kept_dataset(path, self._version(path), on_open=partial(self._recognise, path)) as dataset:
                return look(dataset)

        try:
            return twice_if_remote(path, attempt, reads_remote=any(isinstance(fact[2], str) for fact in self.files))
        except FAILURES as error:
            raise InputError(
                f"cannot read {shown(path)} at row {window.row}, col {window.col}: {reason(error)}; "
                f"the file is damaged or cut short, get it again"
            ) from error

    def _version(self, path: str) -> object:
        """Return what an open handle has to have been opened for; a server is only asked when one is opened."""
        if is_remote(path):
            return self.files
        facts = facts_of(path)
        if facts is None and not Path(holder(path)).exists():
            raise InputError(f"{path} is gone; put it back and run the same command again")
        if facts and facts not in self.files:  # mostly the first of them
            refuse_changed(path, (facts,), self.files)
        return facts

    def _recognise(self, path: str, dataset: Any) -> None:  # noqa: ANN401  # rasterio publishes no types
        if self.files:
            refuse_changed(path, files_of(path, dataset), self.files)


def _area(window: Window) -> rasterio.windows.Window:
    return rasterio.windows.Window(window.col, window.row, window.n_cols, window.n_rows)


def _read(
    dataset: Any,  # noqa: ANN401  # rasterio publishes no types
    *,
    bands: tuple[int, ...],
    window: Window,
    alignment: Alignment | None,
    dtype: np.dtype[Any] | None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read bands and where each is known, both of shape (bands, rows, cols)."""
    if alignment:
        return read_nearest(dataset, list(bands), window, alignment, dtype=dtype)
    area = _area(window)
    image = dataset.read(list(bands), window=area, out_dtype=dtype)
    return image, dataset.read_masks(list(bands), window=area) > 0


# --- opening


def open_raster(path: str | Path, *, bands: Sequence[int | str] = ()) -> Raster:
    """Look at a raster and decide whether it can be worked on.

    Parameters
    ----------
    path : str or Path
        Anything rasterio opens.
    bands : sequence of int or str, optional
        Band numbers from 1, or names; all but an alpha band by default.

    Raises
    ------
    InputError
        If the file is missing or not a raster, has no such band, has ground control points only, or declares
        a size that cannot be true or cannot be read in bounded memory.
    UnreachableError
        If its server does not answer.
    """
    opened = absolute(path)
    return open_source(Source(name=name_of(opened), paths=(opened,)), bands=bands)


def open_source(
    source: Source,
    *,
    bands: Sequence[int | str] = (),
    mask_band: int | str | None = None,
    mask_values: Sequence[int] = (),
) -> Raster:
    """Look at all files of a source and decide whether it can be worked on.

    Parameters
    ----------
    source : Source
        One file, or several of a single band that are stacked; the first one's grid is that of the raster.
    bands : sequence of int or str, optional
        Band numbers from 1, or names whatever their case: descriptions in the file, names of assets, common names
        of STAC, `red`, `green`, `blue`, `nir` as the file marks them. All but an alpha band and the mask by default.
    mask_band : int or str, optional
        Band of the source itself that tells where pixels are not valid, by number or name as above.
    mask_values : sequence of int, optional
        Values of the source's mask, or of that band, where pixels are not valid; 0 by default.

    Raises
    ------
    InputError
        As `open_raster` does, and if the files do not lie on parallel grids of one CRS, one that is to be stacked
        has several bands, or a source with a mask is to take a band for one.
    UnreachableError
        If a server does not answer.
    """
    if source.problem:
        raise InputError(source.problem)
    headers = [read_header(path) for path in source.paths]
    mask = read_header(source.mask) if source.mask else None
    first = headers[0]
    is_stack = len(headers) > 1
    names = names_in_stack(source, headers) if is_stack else names_in_file(source, first)
    all_bands = tuple(range(1, len(names) + 1)) if is_stack else first.data_bands
    own_mask = _choose_mask(source, names, first, mask_band) if mask_band is not None else None
    chosen = choose_bands(source.label, names, bands) or tuple(band for band in all_bands if band != own_mask)
    refuse_too_many(source.label, chosen)
    parts = tuple(_part(header, first, what=names[at][0]) for at, header in enumerate(headers)) if is_stack else ()
    mask_part = _part(mask, first, what="the mask") if mask else None
    alpha = None if is_stack or first.masks_by_alpha else first.alpha
    bands_used = [(headers[number - 1], 0) if is_stack else (first, number - 1) for number in chosen]
    return Raster(
        path=first.path,
        bands=chosen,
        dtype=max((header.dtypes[at] for header, at in bands_used), key=lambda name: np.dtype(name).itemsize),
        georeference=first.georeference,
        nodata=",".join(header.nodata[at] for header, at in bands_used),
        has_gaps=bool(alpha or mask or own_mask or any(part.alignment for part in parts))
        or any(header.has_gaps[at] for header, at in bands_used),
        files=tuple(dict.fromkeys(fact for header in (*headers, *([mask] if mask else [])) for fact in header.files)),
        band_names=tuple(names[number - 1][0] if names[number - 1] else str(number) for number in chosen),
        parts=parts,
        alpha=alpha,
        mask=mask_part,
        mask_band=own_mask,
        mask_values=tuple(mask_values) if mask or own_mask else (),
        title=source.name,
    )


def _choose_mask(source: Source, names: Sequence[Names], first: Header, asked: int | str) -> int:
    """Return the number of the band that is taken for the mask."""
    if source.mask:
        raise InputError(f"{source.label} has a mask already, {shown(source.mask)}; leave out --mask-band {asked}")
    (number,) = choose_bands(source.label, names, [asked])
    if len(names) == 1:
        raise InputError(f"{source.label} has no band but its mask; leave out --mask-band {asked}")
    if len(source.paths) == 1 and number == first.alpha:  # GDAL marks the fourth band of bytes so, whatever it is
        raise InputError(
            f"band {number} of {source.label} is marked as alpha and counts anyway; if it is none, say so with: "
            f"gdal_edit.py -colorinterp_{number} undefined '{source.label}'"
        )
    return number


def _part(header: Header, first: Header, *, what: str) -> Part:
    """Find out how a file lies on the grid of the first."""
    grid, own = first.georeference, header.georeference
    place, on = shown(header.path), shown(first.path)
    if not (grid.crs and own.crs):
        if grid.crs == own.crs or grid.shape == own.shape:  # nothing else is known of where they lie
            alignment = None if grid.shape == own.shape else Alignment.of(grid, own)
            return Part(path=header.path, alignment=alignment)
        raise InputError(f"{place} has no CRS and another shape than {on}; set its CRS with: gdal_edit.py -a_srs")
    if grid.crs != own.crs and pyproj.CRS(grid.crs) != pyproj.CRS(own.crs):
        raise InputError(
            f"{place} is in {pyproj.CRS(own.crs).name} and {on} in {pyproj.CRS(grid.crs).name}; bring it there with: "
            f"gdalwarp -t_srs {_code(grid.crs)} '{place}' warped.tif"
        )
    alignment = Alignment.of(grid, own)
    if alignment is None:
        raise InputError(f"{place} is turned against {on}; put it on that grid with gdalwarp")
    if alignment.is_same:
        return Part(path=header.path, alignment=None)
    if not alignment.overlaps:
        raise InputError(f"{place} does not touch {on}; check that they belong together")
    _say_once(
        f"{what} is on another grid than the first band, with pixels {1 / abs(alignment.cols[0]):.3g} times as wide; "
        f"the nearest one is taken"
    )
    return Part(path=header.path, alignment=alignment)


@cache
def _say_once(words: str) -> None:
    _log.warning(words)


def _code(crs: str) -> str:
    authority = pyproj.CRS(crs).to_authority()
    return ":".join(authority) if authority else "the other's"
