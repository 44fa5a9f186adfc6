"""`inspect`: the numbers are those of the arrays, wherever the pseudo-mask is found, and what is lost is said."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.testing import assert_array_equal
from smallworld import CLASSES, Files, two_fields, write_raster
from typer.testing import CliRunner

from superpoint.cache.evidence import write_evidence
from superpoint.cache.groups import ArraySpec, TiledGroup, beside, open_group
from superpoint.cache.keys import digest
from superpoint.cache.ledger import TileRecord
from superpoint.cache.rasters import open_raster
from superpoint.classes import IGNORE
from superpoint.cli import app
from superpoint.errors import InputError
from superpoint.labels.vote import VoteRule, elect, tally_votes
from superpoint.metrics import confusion_matrix
from superpoint.pipelines.inspect import inspect
from superpoint.pipelines.label import label
from superpoint.pipelines.maskexport import export_pseudo_mask
from superpoint.pipelines.settings import InspectSettings, LabelSettings
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.inspection.facts import Inspection
    from superpoint.labels.evidence import PseudoLabels

SHAPE, TILE, SIDE = (70, 110), 48, 10
ARRAYS = {"pseudo_mask": ("uint8", IGNORE), "vote_share": ("float32", 0), "votes": ("uint16", 0), "flags": ("uint8", 0)}


@dataclass(frozen=True, kw_only=True)
class World:
    """A pseudo-mask made by hand in a cache, and all that belongs to it."""

    folder: Path
    raster: Path
    truth: Path
    group: TiledGroup
    labels: NDArray[np.uint32]
    mask: NDArray[np.uint8]
    true: NDArray[np.uint8]

    @property
    def cache(self) -> str:
        return str(self.folder / "cache")

    def inspected(self, *places: str, **settings: Any) -> Inspection:  # noqa: ANN401  # any field
        page = self.folder / "page.html"
        given = {"truth": [self.truth], "output": page, "cache": self.cache, "pictures": 0}
        return inspect(InspectSettings(pseudo_masks=list(places) or [self.group.path], **given | settings))

    def page(self) -> str:
        return (self.folder / "page.html").read_text()


def write_group(cache: Path, kind: str, raster: Path, arrays: dict[str, NDArray[Any]], **provenance: Any) -> TiledGroup:  # noqa: ANN401
    opened = open_raster(raster)
    known = {"labels": ("uint32", 0)} | ARRAYS
    specs = {name: ArraySpec(dtype=known[name][0], fill_value=known[name][1], long_name=name) for name in arrays}
    group = open_group(
        cache, kind=kind, name=opened.name, georeference=opened.georeference, tile_size=TILE, arrays=specs,
        provenance=provenance,
    )  # fmt: skip
    for tile in TileGrid(shape=opened.shape, size=TILE):
        cut = {name: np.ascontiguousarray(values[tile.core.slices]) for name, values in arrays.items()}
        group.ledger.write(
            TileRecord(
                tile=tile.name, state="done", attempts=1, seconds=0.1, finished=0.0, run="r", host="h", error=None,
                chunks=group.write_tile(tile, cut), facts={"n_data": 7},
            )
        )  # fmt: skip
    return group


def make_world(folder: Path, *, name: str = "scene", seed: int = 0, tables: bool = True) -> World:
    folder.mkdir(exist_ok=True)
    image, true = two_fields(SHAPE, seed=seed)
    raster = write_raster(folder / f"{name}.tif", image)
    true[:5] = IGNORE
    truth = write_raster(folder / f"{name}-truth.tif", true[None], nodata=IGNORE)
    row, col = np.indices(SHAPE) // SIDE
    labels = (1 + row * 1000 + col).astype(np.uint32)
    labels[-4:] = 0
    label_map = write_group(
        folder / "cache", "label-maps", raster, {"labels": labels}, source=open_raster(raster).identity(),
        algorithm={"name": "slic", "version": 2, "parameters": {"region_size": 10.0}},
        scaling={"low": [0.0] * 3, "high": [255.0] * 3},
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(5, SHAPE[0] - 4, 50), rng.integers(0, SHAPE[1], 50)
    values = true[rows, cols]
    values[:5] = 1 - values[:5]
    ids = labels[rows, cols]
    tally = tally_votes(ids, values)
    voted = elect(tally, VoteRule())
    arrays = dict(zip(ARRAYS, painted(labels, voted), strict=True))
    group = write_group(
        folder / "cache", "pseudo-masks", raster,
        arrays,
        label_map={"digest": digest(label_map.provenance), **label_map.provenance},
        points={"files": {"points.gpkg": "0"}, "placed": "1"}, classes=CLASSES.to_dict(),
    )  # fmt: skip
    if tables:
        write_evidence(group.path, tally, {"vote": voted})
        states = np.where(voted.class_of(ids) == values, "used", "conflicting")
        account = {
            "state": states, "pixel_row": rows, "pixel_col": cols, "class": [CLASSES.names[v] for v in values],
            "superpixel": ids, "annotator": [None, "ann", "bob"] * 16 + ["bob", "bob"],
        }  # fmt: skip
        pq.write_table(pa.table(account), beside(group.path, ".points.parquet"))
    return World(
        folder=folder, raster=raster, truth=truth, group=group, labels=labels, mask=arrays["pseudo_mask"], true=true
    )


def painted(labels: NDArray[np.uint32], voted: PseudoLabels) -> list[NDArray[Any]]:
    """Paint by looking up one superpixel after the other."""
    kinds = (voted.classes, voted.shares, voted.votes.astype(np.uint16), voted.flags)
    found = [np.full(labels.shape, fill, kind.dtype) for kind, fill in zip(kinds, (IGNORE, 0, 0, 0), strict=True)]
    for place, number in enumerate(voted.superpixels):
        for array, kind in zip(found, kinds, strict=True):
            array[labels == number] = kind[place]
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_the_numbers_are_those_of_the_arrays(world: World) -> None:
    found = world.inspected()
    here = (world.labels > 0) & (world.true != IGNORE)
    both = here & (world.mask != IGNORE)
    assert found.n_data == (world.labels > 0).sum()
    assert found.coverage == (world.mask != IGNORE).sum() / found.n_data
    assert found.accuracy == np.mean(world.mask[both] == world.true[both])
    assert found.error_pixels["not_covered"] == (here & (world.mask == IGNORE)).sum()
    assert found.points == {"used": found.points["used"], "conflicting": found.conflicts.outvoted}
    assert found.point_agreement == 45 / 50
    assert sum(facts.points for facts in found.per_class.values()) == sum(found.points_per_superpixel[1:]) + sum(
        n * max(votes - 1, 0) for votes, n in enumerate(found.points_per_superpixel)
    )
    assert [(step.stage, step.coverage, step.accuracy) for step in found.steps] == [
        ("vote", found.coverage, found.accuracy)
    ]
    assert found.missing == []


def test_a_pseudo_mask_is_found_by_its_path_its_key_and_as_a_cog(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cog = export_pseudo_mask(world.group, world.folder / "pseudo.tif", overwrite=False)
    monkeypatch.chdir(world.folder)
    by_path = world.inspected()
    for place in ("scene-", "pseudo-masks/scene", str(cog), "pseudo.tif"):
        found = world.inspected(place)
        assert (found.errors, found.confusion, found.points, found.steps, found.worst) == (
            by_path.errors, by_path.confusion, by_path.points, by_path.steps, by_path.worst
        )  # fmt: skip


def test_without_its_cache_a_cog_still_gives_the_numbers_of_pixels(world: World) -> None:
    cog = export_pseudo_mask(world.group, world.folder / "pseudo.tif", overwrite=False)
    whole = world.inspected()
    shutil.rmtree(world.cache)
    found = world.inspected(str(cog))
    known = [row[:-1] for row in found.confusion]
    assert known == [row[:-1] for row in whole.confusion]
    assert found.accuracy == whole.accuracy
    assert found.points == whole.points
    assert (found.superpixels, found.oracle_miou, found.errors["mixed"]) == (None, None, None)
    assert len(found.missing) == 2
    assert "has no label map in" in found.missing[1]
    assert "give the --cache that it was made in" in found.missing[0]
    assert "any more" not in " ".join(found.missing)
    assert "raster that is not there" not in " ".join(found.missing)
    assert all(sentence in world.page() for sentence in found.missing)


def test_without_the_label_map_the_ledger_says_what_has_data(world: World) -> None:
    shutil.rmtree(world.folder / "cache" / "label-maps")
    found = world.inspected(truth=[])
    assert found.n_data == 7 * len(TileGrid(shape=SHAPE, size=TILE))
    assert found.superpixels is None
    assert found.points["used"] > 0


def test_what_each_annotator_came_to_is_counted(world: World) -> None:
    account = pq.read_table(beside(world.group.path, ".points.parquet")).to_pandas()
    found = world.inspected().annotators
    assert list(found) == ["ann", "bob"]
    for name, facts in found.items():
        own = account[account["annotator"] == name]
        right = world.true[own["pixel_row"], own["pixel_col"]] == [CLASSES.names.index(one) for one in own["class"]]
        assert (facts.rows, facts.outvoted) == (len(own), sum(own["state"] == "conflicting"))
        assert (facts.checked, facts.agreement) == (len(own), right.mean())
    assert world.inspected(truth=[]).annotators["ann"].agreement is None


def test_superpixels_of_several_votes_but_one_row_are_not_contested(world: World) -> None:
    """Half of the account is taken away: as if its rows were polygons that are told of once."""
    path = beside(world.group.path, ".points.parquet")
    before = world.inspected()
    assert before.superpixels.contested == before.superpixels.with_points - before.superpixels.single_vote
    account = pq.read_table(path).to_pandas().drop_duplicates("superpixel")
    pq.write_table(pa.Table.from_pandas(account), path)
    assert world.inspected().superpixels.contested == before.conflicts.superpixels


def test_a_file_away_from_its_cache_says_where_that_is(files: Files) -> None:
    settings = LabelSettings(
        rasters=[files.raster], points=[files.points], classes=files.classes, cache=files.folder / "cache",
        output=files.folder / "pseudo.tif", min_votes=2, improve=["fill-nearest"],
    )  # fmt: skip
    label(settings)
    page = files.folder / "page.html"
    elsewhere = InspectSettings(
        pseudo_masks=[str(settings.output)], output=page, cache=str(files.folder / "other"), pictures=0
    )
    assert f"give --cache {(files.folder / 'cache').resolve()}" in inspect(elsewhere).missing[0]
    shown = re.sub(r"<[^>]+>", "", page.read_text())
    assert "balance_annotators no, min_share 0, min_votes 2, tie lowest" in shown
    assert "step 1fill-nearest" in shown


def test_two_of_the_same_raster_are_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.inspected(world.group.path, world.group.path, truth=[])
    assert f"are of the same raster, {world.raster}: its pixels count 2 times" in caplog.text
    assert "its pixels count 2 times" in world.page()


def test_several_are_pooled_and_listed(tmp_path: Path) -> None:
    one, other = make_world(tmp_path, name="one"), make_world(tmp_path, name="other", seed=3)
    places = [one.group.path, other.group.path]
    found = one.inspected(*places, truth=[one.truth, other.truth])
    assert f"{one.raster}; {other.raster}" in one.page()
    each = [world.inspected() for world in (one, other)]
    assert found.n_labelled == sum(single.n_labelled for single in each)
    assert found.error_pixels["wrong_vote"] == sum(single.error_pixels["wrong_vote"] for single in each)
    assert found.superpixels.total == sum(single.superpixels.total for single in each)
    assert [row.name for row in found.pseudo_masks] == ["one", "other"]
    assert [row.accuracy for row in found.pseudo_masks] == [single.accuracy for single in each]


def test_the_page_asks_for_nothing_and_shows_the_worst(world: World) -> None:
    found = world.inspected(pictures=3)
    page = world.page()
    assert page.count("<figure>") == 4 + 3
    assert page.count("data:image/png") == 3 * 3
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert f"Superpixel {found.worst[0].superpixel:,}" in page


def test_a_raster_that_is_gone_is_told_of(world: World) -> None:
    world.raster.unlink()
    found = world.inspected()
    assert found.missing == ["scene was made from a raster that is not there any more: pictures are on plain grey."]
    assert "data:image/jpeg" in world.page()


def test_a_page_is_replaced_but_no_other_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    world.inspected(output=None)
    assert world.inspected(output=None).output == "scene.inspect.html"
    other = world.folder / "notes.html"
    other.write_text("mine")
    with pytest.raises(InputError, match=r"notes\.html exists already; give --overwrite"):
        world.inspected(output=other)
    world.inspected(output=other, overwrite=True)
    assert other.read_text().startswith("<!doctype html>")
    with pytest.raises(InputError, match="is a folder"):
        world.inspected(output=world.folder)


def test_what_cannot_be_inspected_is_refused_in_a_sentence(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no result in .* begins with 'nobody'"):
        world.inspected("nobody")
    with pytest.raises(InputError, match=r"there is no file nope\.tif, and no pseudo-mask's key in .* begins so"):
        world.inspected("nope.tif")
    label_map = next((world.folder / "cache" / "label-maps").glob("*.zarr"))
    with pytest.raises(InputError, match=r"pseudo-masks|not a pseudo-mask"):
        world.inspected(str(label_map))
    small = write_raster(tmp_path / "small.tif", np.zeros((1, 5, 5), np.uint8))
    with pytest.raises(InputError, match=r"small\.tif has 5 x 5 pixels"):
        world.inspected(truth=[small])
    with pytest.raises(ValueError, match="1 pseudo-masks and 2 truths; give one --truth for each, or none"):
        world.inspected(truth=[world.truth, world.truth])
    Path(beside(world.group.path, ".votes.parquet")).write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"a table beside .* is damaged"):
        world.inspected()
    next(Path(beside(world.group.path, ".ledger")).iterdir()).unlink()
    with pytest.raises(InputError, match="is not finished, 5 of 6 tiles are done"):
        world.inspected()


def test_what_label_wrote_scores_as_its_file_does(files: Files) -> None:
    settings = LabelSettings(
        rasters=[files.raster], points=[files.points], classes=files.classes, cache=files.folder / "cache",
        improve=["fill-nearest"], output=files.folder / "pseudo.tif",
    )  # fmt: skip
    (made,) = label(settings)
    with rasterio.open(files.folder / "pseudo.tif") as dataset:
        painted = dataset.read(1)
    found = inspect(
        InspectSettings(pseudo_masks=[made.path], truth=[files.truth], output=files.folder / "page.html")
    )  # fmt: skip
    assert_array_equal(found.confusion, confusion_matrix(files.mask, painted, 2))
    assert found.coverage == made.coverage
    assert {name: facts.pixels for name, facts in found.per_class.items()} == made.class_pixels
    assert sum(found.points.values()) == 60
    assert [step.stage for step in found.steps] == ["vote", "fill-nearest"]
    assert found.flags["filled"].superpixels == found.steps[1].gained
    assert found.missing == []


def test_the_command_prints_the_numbers_as_json(world: World) -> None:
    arguments = [world.group.path, "--truth", str(world.truth), "--output", str(world.folder / "page.html"), "--json"]
    result = CliRunner().invoke(app, ["inspect", *arguments, "--cache", world.cache])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    found = world.inspected()
    assert printed["coverage"] == found.coverage
    assert printed["oracle_miou"] == found.oracle_miou
    assert printed["points"] == found.points
    assert set(printed["per_class"]) == set(CLASSES.names)
    assert printed["errors"]["wrong_vote"] == found.errors["wrong_vote"]
    said = CliRunner().invoke(app, ["inspect", *arguments[:-1], "--cache", world.cache]).stdout
    assert found.verdict.sentences[0] in said
    assert re.search(rf"mIoU \(of labelled\) +{found.miou:.1%}", said)
    wrong = found.error_pixels["wrong_vote"] / (found.error_pixels["correct"] + found.error_pixels["wrong"])
    assert re.search(rf"vote was wrong \(of labelled\) +{wrong:.1%}", said)


def test_a_pseudo_mask_whose_tables_are_lost_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    whole = make_world(tmp_path / "whole").inspected()
    bare = make_world(tmp_path / "bare", tables=False).inspected()
    assert bare.errors == whole.errors
    assert bare.flags["conflict"] == whole.flags["conflict"]
    assert bare.conflicts == whole.conflicts
    assert (bare.steps, bare.points) == ([], {})
    assert [sentence.partition(" has ")[2].partition(" beside")[0] for sentence in bare.missing] == [
        "no account of its points", "no table of stages",
    ]  # fmt: skip
