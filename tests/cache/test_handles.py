from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from superpoint.cache import handles
from superpoint.cache.handles import MAX_HANDLES, close_handles, kept_dataset
from superpoint.cache.rasters import open_raster
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WINDOW = Window(row=0, col=0, n_rows=5, n_cols=6)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    close_handles()
    yield
    close_handles()


def kept() -> list[Any]:
    return [dataset for _, dataset in handles._handles.kept.values()]


def one(make_raster: Callable[..., Path], name: str = "a.tif", value: int = 1) -> Path:
    return make_raster(np.full((1, 5, 6), value, np.uint8), name=name)


def test_a_thread_opens_a_raster_once_for_many_windows(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(one(make_raster))
    assert not kept()
    raster.read(WINDOW)
    (first,) = kept()
    raster.read(WINDOW)
    assert kept() == [first]


def test_no_more_than_a_few_stay_open_and_those_longest_unused_are_closed(make_raster: Callable[..., Path]) -> None:
    rasters = [open_raster(one(make_raster, f"{number}.tif", number)) for number in range(MAX_HANDLES + 3)]
    seen: dict[int, Any] = {}
    for number, raster in enumerate(rasters):
        assert raster.read(WINDOW)[0].max() == number
        rasters[0].read(WINDOW)
        seen |= {id(dataset): dataset for dataset in kept()}
    assert len(seen) == len(rasters)
    assert [not dataset.closed for dataset in seen.values()] == [True, *[False] * 3, *[True] * (MAX_HANDLES - 1)]
    close_handles()
    assert all(dataset.closed for dataset in seen.values())


def test_a_handle_is_closed_when_its_file_changed(make_raster: Callable[..., Path]) -> None:
    path = one(make_raster)
    open_raster(path).read(WINDOW)
    (before,) = kept()
    one(make_raster, value=9)
    os.utime(path, ns=(10**18, 10**18))
    assert open_raster(path).read(WINDOW)[0].max() == 9
    assert kept() != [before]
    assert before.closed


def test_a_handle_under_which_anything_failed_is_closed(make_raster: Callable[..., Path]) -> None:
    path = str(one(make_raster))
    with pytest.raises(ZeroDivisionError), kept_dataset(path, 1, on_open=lambda _: None) as dataset:
        raise ZeroDivisionError
    assert dataset.closed
    assert not kept()


def test_threads_have_handles_of_their_own_and_close_them_as_they_end(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(one(make_raster, value=4))
    together = Barrier(4)

    def read(_: int) -> tuple[int, float]:
        together.wait()
        values = [raster.read(WINDOW)[0].mean() for _ in range(50)]
        return id(kept()[0]), float(np.mean(values))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, range(4)))
    assert len({handle for handle, _ in found}) == 4
    assert {mean for _, mean in found} == {4.0}
    assert not kept()


def test_a_dataset_is_looked_at_when_it_is_opened_and_only_then(make_raster: Callable[..., Path]) -> None:
    path, seen = str(one(make_raster)), []
    for version in (1, 1, 2):
        with kept_dataset(path, version, on_open=lambda dataset: seen.append(dataset.count)):
            pass
    assert seen == [1, 1]
