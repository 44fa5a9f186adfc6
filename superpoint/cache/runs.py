"""Runs: what was asked for, how far it is, and what became of each raster, beside the data.

    runs/<id>/
        inputs.json             the rasters, as found in what was named
        manifest.json           what, when, with which versions and settings, and how it ended
        progress.json           how far it is, replaced every few seconds while it runs
        rasters/<number>.json   one row a raster, replaced when its state changes
        rasters.parquet         the rows as one table, written in the end

What became of each tile is in the ledgers of the groups that the rows name.
"""

from __future__ import annotations

import io
import json
import platform
import secrets
import socket
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superpoint.cache.inputs import Source
from superpoint.cache.keys import digest
from superpoint.cache.stores import Store, as_store
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PACKAGES = ("superpoint", "numpy", "numba", "zarr", "numcodecs", "rasterio", "obstore", "dask", "distributed")
SILENCE = timedelta(minutes=5)  # a run that is not heard of for so long is not running any more

State = Literal["running", "done", "quarantined"]


@dataclass(frozen=True, kw_only=True)
class RasterRow:
    """What became of one raster in a run."""

    number: int
    """Its place in the list of rasters, from 0."""
    raster: str
    """As named by the user, a path or URL."""
    name: str
    state: State
    reason: str | None = None
    """Why it is quarantined, one sentence."""
    path: str | None = None
    """Zarr group of the result."""
    rows: int = 0
    cols: int = 0
    n_bands: int = 0
    dtype: str = ""
    crs: str | None = None
    """Authority code or WKT2."""
    n_tiles: int = 0
    n_computed: int = 0
    """Tiles computed in this run; the others were done already."""
    n_failed: int = 0
    n_superpixels: int = 0
    n_bytes_written: int = 0
    """Size of the result's chunks, as stored."""
    seconds: float = 0.0
    """From the start of its first job to the end of its last."""
    started: str = ""
    finished: str | None = None
    output: str | None = None
    """The COG, if one was asked for."""
    item: str | None = None
    """The STAC Item."""
    failed_tiles: tuple[tuple[str, str], ...] = ()
    """Name of each tile that failed, and why."""

    @property
    def sentence(self) -> str:
        """Which raster, and why it is quarantined; most reasons say which."""
        reason = self.reason or "for no known reason"
        return reason if self.raster in reason else f"{self.raster}: {reason}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is."""

    updated: str
    n_rasters: int
    n_rasters_done: int = 0
    n_rasters_quarantined: int = 0
    n_tiles: int = 0
    """Tiles of the rasters that were begun."""
    n_tiles_done: int = 0
    n_tiles_failed: int = 0
    megapixels: float = 0.0
    """Computed in this run."""
    seconds: float = 0.0
    """Since the run was started, or started again."""
    mpx_per_s: float = 0.0
    eta_seconds: float | None = None
    """Time left, as far as can be told from the rasters that were begun."""


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A run in the cache."""

    run: str
    """Its id."""
    store: Store

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        InputError
            If it is damaged.
        """
        try:
            found: dict[str, Any] = json.loads(self.store.read("manifest.json") or b"")
        except ValueError as error:
            raise InputError(f"the manifest in {self.store.url} is damaged; run the same command again") from error
        return found

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        self.store.write("manifest.json", _json(manifest))

    def write_inputs(self, inputs: Sequence[tuple[Source, Path | None]]) -> None:
        """Keep the rasters of the run, by their numbers, with the export of each: folders and lists may change."""
        listed = [{"source": asdict(source), "output": output and str(output)} for source, output in inputs]
        self.store.write("inputs.json", _json({"inputs": listed}))

    def inputs(self) -> list[tuple[Source, Path | None]]:
        """Return the rasters of the run, by their numbers, with the export of each.

        Raises
        ------
        InputError
            If they are not to be read.
        """
        try:
            listed = json.loads(self.store.read("inputs.json") or b"")["inputs"]
            return [(Source.of(one["source"]), Path(one["output"]) if one["output"] else None) for one in listed]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"the inputs in {self.store.url} are damaged; run the same command again") from error

    def progress(self) -> Progress | None:
        """Return how far the run is, as last heard of."""
        try:
            return Progress(**json.loads(self.store.read("progress.json") or b""))
        except (ValueError, TypeError):
            return None

    def write_progress(self, progress: Progress) -> None:
        """Replace the progress."""
        self.store.write("progress.json", _json(asdict(progress)))

    def is_running(self) -> bool:
        """Whether the run has not ended and was heard of lately; of a damaged one, whether anything was."""
        try:
            manifest = self.manifest()
            if manifest["state"] != "running":
                return False
            progress = self.progress()
            heard = datetime.fromisoformat(progress.updated if progress else manifest["goes"][-1]["started"])
        except (InputError, KeyError, IndexError, ValueError, TypeError):
            heard = max((stored.modified for stored in self.store.list()), default=datetime.min.replace(tzinfo=UTC))
        return datetime.now(UTC) - heard < SILENCE

    def rows(self) -> Iterator[RasterRow]:
        """Yield what is known of each raster that was begun, in order."""
        keys = sorted(stored.key for stored in self.store.list("rasters"))
        for data in self.store.map(self.store.read, keys):
            row = _row(data)
            if row is not None:
                yield row

    def write_row(self, row: RasterRow) -> None:
        """Replace what is known of one raster."""
        self.store.write(f"rasters/{row.number:06d}.json", _json(asdict(row)))

    def write_summary(self, rows: Iterable[RasterRow]) -> None:
        """Write rows as one table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = [{**asdict(row), "failed_tiles": json.dumps(row.failed_tiles)} for row in rows]
        kinds = {"int": pa.int64(), "float": pa.float64()}
        schema = pa.schema([(one.name, kinds.get(str(one.type), pa.string())) for one in fields(RasterRow)])
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table, schema=schema), file)
        self.store.write("rasters.parquet", file.getvalue())


def begin_run(
    cache: Store | Path | str, *, command: str, settings: Mapping[str, Any], n_rasters: int, run: str | None = None
) -> RunFolder:
    """Begin a run, or begin one again.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    command : str
        Name of the command, as `superpixelize`.
    settings : mapping
        All its settings, as JSON.
    n_rasters : int
        How many rasters were asked for.
    run : str, optional
        Id of a run to go on with.

    Returns
    -------
    RunFolder
        With a manifest that says that it runs.
    """
    now = now_text()
    folder = _folder(cache, run or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    manifest: dict[str, Any] = (
        folder.manifest() if run else {"run": folder.run, "command": command, "settings": dict(settings)}
    )
    manifest |= {
        "state": "running",
        "superpoint": metadata.version("superpoint"),
        "settings_digest": digest(manifest["settings"]),
        "packages": _versions(),
        "python": platform.python_version(),
        "client": {"host": socket.gethostname(), "platform": platform.platform()},
        "started": manifest.get("started", now),
        "goes": [*manifest.get("goes", []), {"started": now}],
        "n_rasters": manifest.get("n_rasters", n_rasters),
    }
    folder.write_manifest(manifest)
    return folder


def find_run(cache: Store | Path | str, run: str) -> RunFolder:
    """Return a run by its id, the beginning of its id, or as `latest`.

    Raises
    ------
    InputError
        If there is no such run, or there are several.
    """
    known = [folder.run for folder in all_runs(cache)]
    found = known[-1:] if run == "latest" else [one for one in known if one.startswith(run)]
    if run in known:
        found = [run]
    if len(found) != 1:
        listed = ", ".join(known[-5:]) or "none"
        how = "no run" if not found else "more than one run"
        raise InputError(f"{how} {run!r} in {as_store(cache).url}; the last ones are: {listed}")
    return _folder(cache, found[0])


def all_runs(cache: Store | Path | str) -> list[RunFolder]:
    """Return the runs of a cache, the oldest first."""
    return [_folder(cache, name) for name in as_store(cache).child("runs").list_names()[0]]


def now_text() -> str:
    """Return the time, in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _folder(cache: Store | Path | str, run: str) -> RunFolder:
    return RunFolder(run=run, store=as_store(cache).child("runs").child(run))


def _row(data: bytes | None) -> RasterRow | None:
    try:
        row = RasterRow(**json.loads(data or b""))
    except (ValueError, TypeError):
        return None
    failed = tuple((tile, error) for tile, error in row.failed_tiles)
    return RasterRow(**{**asdict(row), "failed_tiles": failed})


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, default=str) + "\n").encode()
