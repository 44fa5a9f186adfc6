"""The page about a run: one HTML file that asks for nothing else, with sections in the order one has questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.report.charts import (
    FAILED,
    MOST_COLOURS,
    bar_chart,
    histogram_chart,
    legend,
    time_ticks,
)
from superpoint.report.facts import (
    failures_of,
    general_reason,
    hosts_of,
    kinds_of,
    throughput,
)
from superpoint.report.markup import Html, element, join
from superpoint.report.parts import (
    Cell,
    boxes,
    count_text,
    document,
    facts_list,
    number_cell,
    png_image,
    section,
    soft,
    table_of,
)
from superpoint.report.wording import (
    NONE,
    duration_text,
    many_text,
    moment_text,
    number_text,
    pixels_text,
    size_text,
    time_step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.report.facts import Failure, RasterFacts, RunFacts, Thumbnail, TileFacts

N_SLOWEST = 20
N_LISTED = 100  # rasters with failures of one kind, tiles of one of them
N_KINDS = 50
N_OPEN = 3  # kinds of failures whose lists are open from the start
N_STRETCHES = 4  # charts of throughput, where a run was gone on with
N_BARS = 60
N_ROWS = 5000  # of the table of rasters
CLOSE_UP_PX, OVERVIEW_PX = 256, 96  # longer sides of the pictures as shown
N_HOSTS = 8  # named in the header


def page_of(run: RunFacts) -> str:
    """Return the page about a run.

    Parameters
    ----------
    run : RunFacts
        Everything that is shown.

    Returns
    -------
    str
        HTML that needs nothing else and asks for nothing.
    """
    sections = (_header, _summary, _throughput, _tiles, _failures, _sizes, _rasters, _pictures, _settings)
    return document(f"superpoint run {run.run}", *(part(run) for part in sections))


def _header(run: RunFacts) -> Html:
    title = element("h1", f"{run.command} {run.run} ", element("span", run.state, class_=f"badge {run.state}"))
    facts = {
        "started": moment_text(run.started),
        "ended": _ended(run),
        "took": duration_text(run.seconds) + (f", in {len(run.goes)} goes" if len(run.goes) > 1 else ""),
        "machines": _machines(run),
        "cache": run.cache,
        "versions": f"superpoint {run.version}, "
        + ", ".join(f"{name} {version}" for name, version in run.packages.items()),
    }
    return element("header", title, element("p", _outcome(run)), facts_list(facts))


def _ended(run: RunFacts) -> str:
    if run.finished:
        return moment_text(run.finished)
    if run.state == "running":
        return f"not yet, when this page was made ({moment_text(run.made)})"
    return f"unknown; its last tile was done at {moment_text(run.goes[-1][1])}" if run.goes else "unknown"


def _machines(run: RunFacts) -> str:
    named = ", ".join(run.hosts[:N_HOSTS])
    more = f" and {len(run.hosts) - N_HOSTS} more" if len(run.hosts) > N_HOSTS else ""
    threads = f" ({count_text(run.n_threads, 'thread')})" if run.n_threads else ""
    return f"{named}{more}{threads}" if named else NONE


def _outcome(run: RunFacts) -> Html:
    """Say in a sentence or two how it ended and what to do."""
    states = [raster.state for raster in run.rasters]
    n_bad = states.count("quarantined")
    rasters = f"{count_text(states.count('done'), 'raster')} of {run.n_rasters:,} done"
    bad = f", {n_bad:,} quarantined" if n_bad else ""
    ends = {
        "done": "Exit code 0.",
        "quarantined": "Exit code 3." if run.n_rasters > 1 else "",  # that of the error, if there is but one
        "running": "Still running when this page was made.",
        "stopped": "It was stopped.",
        "killed": "It was killed.",
    }
    parts = [f"{rasters}{bad}. {ends.get(run.state, 'It ended early.')} "]
    if run.state in {"stopped", "killed", FAILED}:
        parts += ["The same command goes on where it was. "]
    if n_bad:
        parts += ["To try the quarantined again: ", element("code", f"superpoint retry {run.run}")]
    return join(parts)


def _summary(run: RunFacts) -> Html:
    ours = [tile for tile in run.ours if tile.is_done]
    n_pixels = sum(tile.n_pixels for tile in ours)
    n_failed = sum(raster.n_failed for raster in run.rasters)
    n_done = sum(tile.is_done for tile in run.tiles)
    numbers = {
        "rasters": f"{run.n_rasters:,}",
        "tiles computed": f"{len(ours):,}",
        "tiles that were in the cache": f"{n_done - len(ours):,}",
        "tiles failed": element("span", f"{n_failed:,}", class_="bad") if n_failed else "0",
        "computed": pixels_text(n_pixels),
        "Mpx/s on average": number_text(n_pixels / 1e6 / run.seconds) if run.seconds else NONE,
        "superpixels": many_text(sum(raster.n_superpixels for raster in run.rasters)),
        "stored": size_text(sum(raster.n_bytes for raster in run.rasters)),
    }
    return boxes(numbers)


def _throughput(run: RunFacts) -> Html:
    done = [tile for tile in run.ours if tile.is_done]
    if not done:
        return section("Throughput", soft("This run computed no tile."))
    stretches = _stretches(run, done)
    note = "The pixels of a tile are spread evenly over the seconds it took."
    if len(stretches) > N_STRETCHES:
        note += f" Of {len(stretches)} goes, the last {N_STRETCHES} are shown."
    charts = (_speeds(run, tiles) for tiles in stretches[-N_STRETCHES:])
    return section("Throughput", soft(f"Megapixels a second. {note}"), *charts, _hosts(run))


def _stretches(run: RunFacts, tiles: Sequence[TileFacts]) -> list[list[TileFacts]]:
    """Return the tiles of each go: between two there may be days."""
    place = np.searchsorted([start for start, _ in run.goes[1:]], [tile.finished for tile in tiles], side="right")
    found = [
        [tile for tile, at in zip(tiles, place.tolist(), strict=True) if at == go] for go in range(len(run.goes) or 1)
    ]
    return [those for those in found if those]


def _speeds(run: RunFacts, tiles: Sequence[TileFacts]) -> Html:
    start = min(tile.finished - tile.seconds for tile in tiles)
    span = max(max(tile.finished for tile in tiles) - start, 1e-3)
    edges = start + np.linspace(0, span, N_BARS + 1)
    found = throughput(tiles, edges, most_hosts=MOST_COLOURS)

    def title(number: int, name: str, height: float) -> str:
        return f"{moment_text(float(edges[number]))}, {name or 'this machine'}: {number_text(height)} Mpx/s"

    chart = bar_chart(
        found.rates, label="Throughput over time", ticks=time_ticks(span, time_step(span, 5)), title=title
    )
    return join(
        (
            element("h3", f"From {moment_text(start)}") if len(run.goes) > 1 else "",
            chart,
            legend(list(found.rates)) if len(found.rates) > 1 else "",
        )
    )


def _hosts(run: RunFacts) -> Html:
    rows: list[list[str | Cell]] = [
        [
            host.host or "this machine",
            number_cell(host.n_tiles),
            number_cell(host.n_failed),
            number_cell(host.n_pixels / 1e6),
            number_cell(host.n_pixels / 1e6 / host.span_seconds if host.span_seconds else None),
            Cell(text=duration_text(host.busy_seconds), value=host.busy_seconds),
        ]
        for host in hosts_of(run.ours)
    ]
    return table_of(["machine", "tiles", "failed", "Mpx", "Mpx/s", "at work, all threads"], rows)


def _tiles(run: RunFacts) -> Html:
    ours = run.ours
    if not ours:
        return Html("")
    seconds = {
        name: np.array([tile.seconds for tile in ours if tile.is_done == is_done])
        for name, is_done in (("done", True), (FAILED, False))
    }
    seconds = {name: values for name, values in seconds.items() if values.size}
    middle, late = np.quantile([tile.seconds for tile in ours], (0.5, 0.95)).tolist()
    note = f"Half of the tiles took up to {duration_text(middle)}, 95 of 100 up to {duration_text(late)}."
    slowest = sorted(ours, key=lambda tile: -tile.seconds)[:N_SLOWEST]
    return section(
        "Time of tiles",
        soft(note),
        histogram_chart(seconds, label="Tiles by their seconds", unit="s", what="tiles"),
        legend(list(seconds)) if len(seconds) > 1 else None,
        element("h3", "The slowest"),
        table_of(
            ["raster", "tile", "seconds", "Mpx/s", "attempts", "machine", "state"],
            [
                [
                    run.titles[tile.raster],
                    tile.tile,
                    number_cell(tile.seconds),
                    number_cell(tile.n_pixels / 1e6 / tile.seconds if tile.seconds and tile.is_done else None),
                    number_cell(tile.attempts),
                    tile.host or "this machine",
                    "done" if tile.is_done else FAILED,
                ]
                for tile in slowest
            ],
        ),
    )


def _failures(run: RunFacts) -> Html:
    kinds = kinds_of(failures_of(run.rasters))
    if not kinds:
        return section("Failures", soft("None."))
    shown = [_kind(failures, is_open=place < N_OPEN) for place, failures in enumerate(kinds[:N_KINDS])]
    more = soft(f"Of {len(kinds):,} kinds, {N_KINDS} are shown.") if len(kinds) > N_KINDS else None
    note = "Failures whose reasons differ in names and numbers only are of one kind."
    return section("Failures", soft(note), *shown, more)


def _kind(failures: Sequence[Failure], *, is_open: bool) -> Html:
    n_tiles = sum(len(failure.tiles) for failure in failures)
    n_rasters = count_text(len({failure.raster.path for failure in failures}), "raster")
    number = f"{count_text(n_tiles, 'tile')} of {n_rasters}" if n_tiles else n_rasters
    first = general_reason(failures[0])
    items = [element("li", _place(failure), _detail(failure, first)) for failure in failures[:N_LISTED]]
    if len(failures) > N_LISTED:
        items.append(element("li", f"and {len(failures) - N_LISTED:,} more"))
    summary = element("summary", element("b", f"{number}: ", class_="bad"), failures[0].reason)
    return element("details", summary, element("ul", *items), open=is_open)


def _place(failure: Failure) -> str:
    named = ", ".join(failure.tiles[:N_LISTED])
    more = f" and {len(failure.tiles) - N_LISTED:,} more" if len(failure.tiles) > N_LISTED else ""
    words = "tile" if len(failure.tiles) == 1 else "tiles"
    return failure.raster.path + (f", {words} {named}{more}" if named else "")


def _detail(failure: Failure, first: str) -> Html | None:
    """Return the reason where it is not that of the first of its kind."""
    return None if general_reason(failure) == first else element("span", f" ({failure.reason})", class_="soft")


def _sizes(run: RunFacts) -> Html:
    n_bytes = sum(raster.n_bytes for raster in run.rasters)
    n_pixels = sum(raster.n_pixels_done for raster in run.rasters)
    if not n_pixels:
        return Html("")
    bits = np.array([raster.bits_per_pixel for raster in run.rasters if raster.bits_per_pixel is not None])
    note = (
        f"{size_text(n_bytes)} hold {pixels_text(n_pixels)}: "
        f"{number_text(8 * n_bytes / n_pixels)} bits per pixel, nodata included."
    )
    chart = histogram_chart({"rasters": bits}, label="Rasters by bits per pixel", unit="", what="rasters")
    return section("Sizes", element("p", note), soft("Rasters by bits per pixel:") if bits.size > 1 else None,
                    chart if bits.size > 1 else None)  # fmt: skip


def _rasters(run: RunFacts) -> Html:
    columns = ["raster", "state", "cols", "rows", "bands", "type", "CRS", "tiles", "computed", "failed", "superpixels",
               "MiB", "bits/px", "seconds", "path", "reason"]  # fmt: skip
    waiting = run.n_rasters - len(run.rasters)
    notes = [f"{waiting:,} more had not been begun."] if waiting > 0 else []
    rasters = run.rasters
    if len(rasters) > N_ROWS:
        rasters = sorted(rasters, key=lambda raster: not raster.has_failures)[:N_ROWS]
        notes.append(f"{N_ROWS:,} of {len(run.rasters):,} are listed, those with failures first.")
    table = table_of(columns, [_row(raster) for raster in rasters])
    return section("Rasters", soft(" ".join(notes)) if notes else None, table)


def _row(raster: RasterFacts) -> list[str | Cell]:
    rows, cols = raster.shape or (None, None)
    return [
        raster.name,
        element("span", raster.state, class_=raster.state),
        number_cell(cols),
        number_cell(rows),
        number_cell(raster.n_bands or None),
        raster.dtype or NONE,
        raster.crs or NONE,
        number_cell(raster.n_tiles or None),
        number_cell(raster.n_computed),
        number_cell(raster.n_failed),
        number_cell(raster.n_superpixels or None),
        number_cell(raster.n_bytes / 2**20 if raster.n_bytes else None),
        number_cell(raster.bits_per_pixel),
        number_cell(raster.seconds),
        raster.path,
        raster.reason or "",
    ]


def _pictures(run: RunFacts) -> Html:
    if not run.thumbnails:
        return Html("")
    n_rasters = sum(raster.shape is not None for raster in run.rasters)
    note = "A few superpixels of each raster, and where they lie in it; failed tiles are red."
    if len(run.thumbnails) < n_rasters:
        note += f" {len(run.thumbnails):,} of {n_rasters:,} rasters are shown, those with failures first."
    figures = [_figure(run.rasters[at], run.titles[at], pictures) for at, pictures in run.thumbnails.items()]
    return section("Pictures", soft(note), element("div", *figures, class_="pictures"))


def _figure(raster: RasterFacts, title: str, thumbnail: Thumbnail) -> Html:
    images = [png_image(thumbnail.close_up, f"superpixels of {title}", CLOSE_UP_PX)]
    if thumbnail.overview:
        images.append(png_image(thumbnail.overview, f"overview of {title}", OVERVIEW_PX))
    caption = [element("b", title), f" {thumbnail.note}"]
    if raster.has_failures:
        caption.append(element("span", f" {raster.state}, {count_text(raster.n_failed, 'tile')} failed", class_="bad"))
    return element("figure", element("div", *images), element("figcaption", *caption))


def _settings(run: RunFacts) -> Html:
    return section(
        "Settings",
        element("details", element("summary", "All settings of the run, as JSON"), element("pre", run.settings)),
        soft(f"This page was made at {moment_text(run.made)}."),
    )
