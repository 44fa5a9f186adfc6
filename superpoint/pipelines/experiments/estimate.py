"""How long an experiment will take: what is left to do, times what a tile and a few steps of each network take here."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.experiments.stages import stage_of
from superpoint.pipelines.forecast import forecast
from superpoint.pipelines.settings import LabelSettings, PredictSettings, SuperpixelizeSettings, TrainSettings
from superpoint.pipelines.steps import steps_of
from superpoint.training.patches import lattice, patch_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from superpoint.pipelines.experiments.cells import Course
    from superpoint.pipelines.experiments.stages import Stage
    from superpoint.pipelines.settings import Settings

N_STEPS = 4  # timed of each network, the shortest of which counts
N_CLASSES = 6  # of the network that is timed; its last layer is a small part of it


@dataclass(kw_only=True)
class TimeEstimate:
    """What an experiment would take."""

    n_cells: int
    n_workers: int
    n_labels: int = 0
    """Sets of pseudo-masks to be made."""
    n_trainings: int = 0
    """Networks to be trained."""
    n_done: int = 0
    """Cells of which nothing is left to do."""
    label_seconds: float = 0.0
    train_seconds: float = 0.0
    predict_seconds: float = 0.0
    networks: list[dict[str, Any]] = field(default_factory=list)
    """Each network that was timed: its settings, and seconds for a step and for a batch of a map."""
    problems: list[str] = field(default_factory=list)
    """Why cells will fail, as far as can be seen; they are not counted."""

    @property
    def seconds(self) -> float:
        """Time in all, with that many workers."""
        return self.label_seconds + (self.train_seconds + self.predict_seconds) / self.n_workers


@dataclass(frozen=True, kw_only=True)
class _Network:
    """What decides how long a step takes."""

    model: str
    encoder: str
    bands: int
    patch: int
    batch_size: int
    precision: str
    device: str


def estimate_of(courses: Sequence[Course], out: Path, *, n_workers: int, threads: int | None) -> TimeEstimate:
    """Say what cells would take, by timing a tile of each superpixel algorithm and a few steps of each network.

    Patches without labels and early ends are not foreseen: it is what trainings take at most.

    Parameters
    ----------
    courses : sequence of Course
        The cells; gone through as far as stages are done already.
    out : Path
        Folder of the experiment.
    n_workers : int
        Trainings at a time.
    threads : int or None
        Threads that PyTorch has in each of them; None leaves that to it.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    found = TimeEstimate(n_cells=len(courses), n_workers=n_workers)
    todo: dict[str, Stage] = {}
    for course in courses:
        try:
            left = _left(course, out)
        except InputError as error:
            found.problems.append(str(error))
            continue
        found.n_done += not left
        todo |= {stage.digest: stage for stage in left}
    _add_labels(found, [stage.form for stage in todo.values() if isinstance(stage.form, LabelSettings)])
    with _threads(threads):
        _add_models(found, [stage.form for stage in todo.values()])
    return found


def _left(course: Course, out: Path) -> list[Stage]:
    """Return the stages of a cell that are to be done; what they will make stands in for it."""
    left = []
    for step in steps_of(course.cell.pipeline):
        stage = stage_of(step, course.cell.pipeline, course.results, out)
        document = stage.do() if step == "split" else stage.document
        if document is None:
            left.append(stage)
        course.results[step] = document["result"] if document else _stand_in(stage)
    return left


def _stand_in(stage: Stage) -> Any:  # noqa: ANN401  # any step's result
    form = stage.form
    if isinstance(form, LabelSettings):
        return [{"path": f"{stage.folder}-{number}.zarr"} for number, _ in enumerate(form.rasters)]
    if isinstance(form, PredictSettings):
        return [{"output": f"{stage.folder}-{number}.tif"} for number, _ in enumerate(form.rasters)]
    return {"output": str(stage.folder / "points.csv"), "checkpoint": str(stage.folder / "best.ckpt")}


def _add_labels(found: TimeEstimate, forms: Sequence[LabelSettings]) -> None:
    """Add the superpixels that are not in the cache; what follows them takes little beside."""
    found.n_labels = len(forms)
    names = set(SuperpixelizeSettings.model_fields) & set(LabelSettings.model_fields) - {"output"}
    superpixels = {form.model_dump_json(include=names) for form in forms}
    found.label_seconds = sum(
        forecast(SuperpixelizeSettings.model_validate_json(text)).seconds or 0.0 for text in superpixels
    )


def _add_models(found: TimeEstimate, forms: Sequence[Settings]) -> None:
    """Add trainings, and the maps made with them."""
    timed: dict[_Network, tuple[float, float]] = {}
    networks: dict[str, _Network] = {}
    for form in [form for form in forms if isinstance(form, TrainSettings)]:
        network = networks[str(form.out)] = _network_of(form)
        try:
            timed[network] = timed.get(network) or _time(network)
        except InputError as error:
            found.problems.append(str(error))
            del networks[str(form.out)]
            continue
        found.train_seconds += _training(form, *timed[network])
    for made in [form for form in forms if isinstance(form, PredictSettings)]:
        known = networks.get(str(made.checkpoint.parent))
        found.predict_seconds += _mapping(made, known, timed[known][1]) if known else 0.0
    found.n_trainings = len(networks)
    found.networks = [
        {**vars(network), "step_seconds": round(step, 4), "batch_seconds": round(batch, 4)}
        for network, (step, batch) in timed.items()
    ]


def _training(form: TrainSettings, step: float, batch: float) -> float:
    """Return the seconds of all epochs, validation included."""
    n_train = sum(_n_patches(path, form.patch) for path in form.raster)
    n_judged = sum(_n_patches(path, form.patch) for path in form.validation_raster)
    return form.epochs * (n_train * step + n_judged * batch) / form.batch_size


def _mapping(form: PredictSettings, network: _Network, batch: float) -> float:
    """Return the seconds of all patches, in each view of them."""
    from superpoint.inference import VIEWS

    overlap = network.patch // 4 if form.overlap is None else form.overlap
    n_patches = sum(_n_patches(path, network.patch, network.patch - overlap) for path in form.rasters)
    return n_patches * len(VIEWS[form.flips]) * batch / network.batch_size


def _network_of(form: TrainSettings) -> _Network:
    import torch

    device = "cuda" if form.device != "cpu" and torch.cuda.is_available() else "cpu"
    return _Network(
        model=form.model,
        encoder=form.encoder,
        bands=len(form.bands) or len(open_raster(form.raster[0]).bands),
        patch=form.patch,
        batch_size=form.batch_size,
        precision=form.precision,
        device=device,
    )


def _n_patches(path: Path | str, patch: int, step: int | None = None) -> int:
    rows, cols = open_raster(Path(path)).shape
    if step is None:
        return len(patch_windows((rows, cols), patch))
    return len(lattice(rows, patch, step)) * len(lattice(cols, patch, step))


@contextmanager
def _threads(n_threads: int | None) -> Iterator[None]:
    """Give PyTorch so many threads for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _time(network: _Network) -> tuple[float, float]:
    """Return the seconds of a step of training, and of a batch that is only looked at."""
    import torch

    from superpoint.models.build import build_model

    model = build_model(network.model, encoder=network.encoder, bands=network.bands, n_classes=N_CLASSES)
    model = model.to(network.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's
    optimizer = torch.optim.Adam(model.parameters())
    shape = (network.batch_size, network.bands, network.patch, network.patch)
    images = torch.zeros(shape, device=network.device).contiguous(memory_format=torch.channels_last)
    half = torch.bfloat16 if network.precision == "bf16-mixed" else torch.float16

    def forward() -> torch.Tensor:
        with torch.autocast(network.device, half, enabled=network.precision != "32"):
            outputs: torch.Tensor = model(images)
        return outputs.float().square().mean()

    def step() -> None:
        optimizer.zero_grad()
        forward().backward()  # type: ignore[no-untyped-call]  # PyTorch's
        optimizer.step()

    return _seconds(step, network.device), _seconds(lambda: _without_gradient(forward), network.device)


def _without_gradient(forward: Callable[[], object]) -> None:
    import torch

    with torch.inference_mode():
        forward()


def _seconds(call: Callable[[], object], device: str) -> float:
    """Return the shortest time of a few calls: what else the machine does meanwhile is not the network's."""
    return min(_timed(call, device) for _ in range(N_STEPS))


def _timed(call: Callable[[], object], device: str) -> float:
    import torch

    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
