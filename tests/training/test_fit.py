"""Training from end to end, with a network small enough for seconds; it has batch norm and dropout."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from superpoint.classes import ClassTable
from superpoint.errors import InputError, MissingExtraError, SuperpointError
from superpoint.training.checkpoint import load_module, read_checkpoint
from superpoint.training.dataset import LabelledPatches
from superpoint.training.fit import FitResult, fit
from superpoint.training.module import SegmentationModule
from superpoint.training.patches import count_labels
from superpoint.training.recipe import Recipe
from superpoint.training.schedules import cosine_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.tiles import Window

PATCH_SIZE = 64
EPOCHS = 3
FIRST_SETTINGS = (
    "model", "encoder", "encoder_weights", "classes", "frequencies", "loss", "normalize", "learning_rate", "batch_size",
    "patch_size", "scaling_low", "scaling_high", "band_numbers", "seed",
)  # fmt: skip
"""What recipes had at first."""


@dataclass(frozen=True)
class Stripes:
    """Two classes that the first band tells apart, a tenth of their pixels labelled."""

    seed: int
    shape: tuple[int, int] = (192, 138)
    fill: float = 0.0
    turned_round: bool = False

    def image(self, window: Window) -> NDArray[np.float32]:
        noise = np.random.default_rng(self.seed).normal(size=(2, *self.shape)) * 0.1
        noise[0] += self._classes() + self.fill
        return noise[:, *window.slices].astype(np.float32)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        known = np.random.default_rng(self.seed + 1).random(self.shape) < 0.1
        classes = 1 - self._classes() if self.turned_round else self._classes()
        return np.where(known, classes, 255).astype(np.uint8)[window.slices]

    def superpixels(self, window: Window) -> NDArray[np.uint32]:
        return (self._classes() + 1).astype(np.uint32)[window.slices]

    def _classes(self) -> NDArray[np.intp]:
        return np.indices(self.shape)[self.seed % 2] // 30 % 2


@dataclass(frozen=True, kw_only=True)
class Work:
    """A training set of nine patches, its validation set and its recipe."""

    module: SegmentationModule
    training: LabelledPatches
    validation: LabelledPatches


def work(*, training: Stripes | None = None, held: Stripes | None = None, **changes: object) -> Work:
    sources, held_out = [training or Stripes(0)], [held or Stripes(3)]
    counted = count_labels(sources, n_classes=2, patch_size=PATCH_SIZE)
    held_out_patches = count_labels(held_out, n_classes=2, patch_size=PATCH_SIZE).patches
    values: dict[str, object] = {
        "model": "deeplabv3",
        "encoder": "tu-lcnet_035",
        "classes": ClassTable.from_names(["low", "high"]),
        "frequencies": tuple(counted.frequencies.tolist()),
        "batch_size": 4,
        "patch_size": PATCH_SIZE,
        "scaling_low": (0.0, 0.0),
        "scaling_high": (1.0, 1.0),
    }
    return Work(
        module=SegmentationModule(Recipe(**values | changes)),
        training=LabelledPatches(sources, counted.patches, patch_size=PATCH_SIZE),
        validation=LabelledPatches(held_out, held_out_patches, patch_size=PATCH_SIZE, cores_only=True),
    )


def run(job: Work, out_dir: Path, *, epochs: int = EPOCHS, **settings: object) -> FitResult:
    return fit(
        job.module,
        job.training,
        validation=job.validation,
        epochs=epochs,
        out_dir=out_dir,
        accelerator="cpu",
        **settings,
    )


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def rate_in(checkpoint: Path) -> float:
    rate: float = read_checkpoint(checkpoint)["optimizer_states"][0]["param_groups"][0]["lr"]
    return rate


class StoppedError(Exception):
    """What stops a run in a test."""


def stop_at(step: int, error: BaseException) -> dict[str, object]:
    def on_step(done: int, _total: int, _loss: float) -> None:
        if done == step:
            raise error

    return {"on_step": on_step}


@pytest.fixture
def out_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # pytest keeps the folders of three runs, and checkpoints are large.
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Work, FitResult]]:
    job, folder = work(), tmp_path_factory.mktemp("uninterrupted")
    yield job, run(job, folder)
    shutil.rmtree(folder)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    uninterrupted: tuple[Work, FitResult], out_dir: Path
) -> None:
    again, other = work(), work(seed=1)
    torch.rand(7)  # whatever was drawn before
    assert run(again, out_dir / "again").history == uninterrupted[1].history
    run(other, out_dir / "other", epochs=1)
    assert same_weights(again.module, uninterrupted[0].module)
    assert not same_weights(other.module, uninterrupted[0].module)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_run_stopped_within_an_epoch_and_resumed_ends_with_the_weights_of_one_that_was_not(
    uninterrupted: tuple[Work, FitResult], out_dir: Path, num_workers: int
) -> None:
    with pytest.raises(StoppedError):
        run(work(), out_dir, **stop_at(3, StoppedError()))
    assert read_checkpoint(out_dir / "last.ckpt")["global_step"] == 2
    resumed = work()
    result = run(resumed, out_dir, resume=out_dir / "last.ckpt", num_workers=num_workers)
    assert same_weights(resumed.module, uninterrupted[0].module)
    assert result.history == uninterrupted[1].history
    assert same_weights(load_module(result.best), load_module(uninterrupted[1].best))


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "cosine", "schedule_epochs": EPOCHS, "optimizer": "adamw", "weight_decay": 0.1, "accumulate": 3},
        {"sampling": "balanced", "placement": "random", "radiometric": 1.0, "precision": "bf16-mixed"},
    ],
)
def test_a_resume_is_exact_whatever_the_recipe_asks_for(out_dir: Path, changes: dict[str, object]) -> None:
    changes = {"batch_size": 2, **changes}
    straight, resumed = work(**changes), work(**changes)
    by_patch = count_labels(straight.training.sources, n_classes=2, patch_size=PATCH_SIZE).by_patch
    whole = run(straight, out_dir / "straight", by_patch=by_patch)
    with pytest.raises(StoppedError):
        run(work(**changes), out_dir / "halting", by_patch=by_patch, on_epoch=raising_after(2))
    result = run(resumed, out_dir / "halting", by_patch=by_patch, resume=out_dir / "halting" / "last.ckpt")
    assert same_weights(resumed.module, straight.module)
    assert result.history == whole.history
    assert rate_in(result.last) == rate_in(whole.last)


def raising_after(epoch: int) -> Callable[[dict[str, float]], None]:
    def on_epoch(row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise StoppedError

    return on_epoch


def test_a_plateau_lowers_the_rate_and_counts_on_over_a_resume(out_dir: Path) -> None:
    """What is validated on has its classes turned round: the better the network learns, the higher `val_loss`."""

    def job() -> Work:
        return work(schedule="plateau", patience=1, held=Stripes(3, turned_round=True), learning_rate=3e-3)

    straight, resumed = job(), job()
    whole = run(straight, out_dir / "straight", epochs=7)
    run(job(), out_dir / "halting", epochs=5)
    result = run(resumed, out_dir / "halting", epochs=7, resume=out_dir / "halting" / "last.ckpt")
    assert any(rate_in(whole.last) == pytest.approx(3e-3 * 0.1**times) for times in (1, 2, 3))
    assert same_weights(resumed.module, straight.module)
    assert result.history == whole.history


def test_a_cosine_ends_near_zero(out_dir: Path) -> None:
    result = run(work(schedule="cosine", schedule_epochs=EPOCHS), out_dir)
    assert rate_in(result.last) == 1e-3 * cosine_rate(5, 6) < 1e-4


def test_a_cosine_is_not_resumed_to_another_end(out_dir: Path) -> None:
    run(work(schedule="cosine", schedule_epochs=1), out_dir, epochs=1)
    with pytest.raises(InputError, match=r"other settings \(schedule_epochs\)"):
        run(work(schedule="cosine", schedule_epochs=2), out_dir, epochs=2, resume=out_dir / "last.ckpt")


def test_a_training_ends_early_when_the_validation_loss_stays_up_and_stays_ended(out_dir: Path) -> None:
    def job() -> Work:
        return work(held=Stripes(3, turned_round=True), learning_rate=3e-3)

    result = run(job(), out_dir, epochs=9, early_stopping=2)
    losses = [row["val_loss"] for row in result.history]
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 9
    assert run(job(), out_dir, epochs=9, early_stopping=2, resume=result.last).history == result.history


def test_a_time_limit_ends_after_a_whole_epoch_and_a_resume_goes_on_exactly(
    uninterrupted: tuple[Work, FitResult], out_dir: Path
) -> None:
    first = run(work(), out_dir, max_seconds=1e-6)
    assert len(first.history) == 1
    resumed = work()
    assert run(resumed, out_dir, resume=first.last).history == uninterrupted[1].history
    assert same_weights(resumed.module, uninterrupted[0].module)


@pytest.mark.parametrize("asked", [{"early_stopping": 2}, {"schedule": "plateau"}])
def test_what_looks_at_the_validation_loss_needs_validation_data(out_dir: Path, asked: dict[str, object]) -> None:
    job = work(**{name: value for name, value in asked.items() if name == "schedule"})
    settings = {name: value for name, value in asked.items() if name != "schedule"}
    with pytest.raises(InputError, match="looks at the validation loss: give validation data"):
        fit(job.module, job.training, epochs=1, out_dir=out_dir, accelerator="cpu", **settings)


def test_accumulated_batches_are_one_step_and_their_mean_loss_is_told(out_dir: Path) -> None:
    told: list[tuple[int, int, float]] = []
    result = run(work(batch_size=2, accumulate=3), out_dir, epochs=1, on_step=lambda *step: told.append(step))
    # Four batches in steps of three and one.
    assert [step[:2] for step in told] == [(0, 2), (0, 2), (1, 2), (2, 2)]
    assert np.mean([loss for _, _, loss in told]) == pytest.approx(result.history[0]["train_loss"])


def test_half_precision_without_a_gpu_is_refused(out_dir: Path) -> None:
    with pytest.raises(InputError, match="16-mixed needs a GPU; on a CPU take 32 or bf16-mixed"):
        run(work(precision="16-mixed"), out_dir)


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="it is installed")
def test_tensorboard_that_is_not_installed_is_asked_for(out_dir: Path) -> None:
    with pytest.raises(MissingExtraError, match="install it with: pip install tensorboard"):
        run(work(), out_dir, tensorboard=True)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="it is not installed")
def test_tensorboard_reads_what_the_table_holds(out_dir: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(work(), out_dir, epochs=2, tensorboard=True)
    events = EventAccumulator(str(out_dir / "tensorboard")).Reload()
    for name in ("train_loss", "val_loss", "val_miou", "learning_rate"):
        written = [event.value for event in events.Scalars(name)]
        np.testing.assert_allclose(written, [row[name] for row in result.history], rtol=1e-6)


def test_a_resume_with_other_data_is_refused_and_an_old_checkpoint_does_not_know(out_dir: Path) -> None:
    run(work(data="one"), out_dir, epochs=1)
    last = out_dir / "last.ckpt"
    with pytest.raises(InputError, match="was trained on other rasters or labels, or they changed since"):
        run(work(data="two"), out_dir, epochs=2, resume=last)
    assert len(run(work(), out_dir, epochs=2, resume=last).history) == 2


def test_a_checkpoint_from_before_there_were_more_settings_loads_and_goes_on(
    uninterrupted: tuple[Work, FitResult], out_dir: Path
) -> None:
    first = run(work(), out_dir, epochs=1)
    checkpoint = read_checkpoint(first.last)
    recipe = checkpoint["hyper_parameters"]["recipe"]
    checkpoint["hyper_parameters"]["recipe"] = {name: recipe[name] for name in FIRST_SETTINGS}
    torch.save(checkpoint, first.last)
    assert load_module(first.last).recipe == work().module.recipe
    resumed = work()
    run(resumed, out_dir, resume=first.last)
    assert same_weights(resumed.module, uninterrupted[0].module)


LOSSES: list[dict[str, object]] = [
    {"loss": "weighted-masked-mse"},
    {"loss": "weighted-masked-mse", "normalize": "labelled", "weighting": "own-class"},
    {"loss": "partial-cross-entropy"},
    {"loss": "partial-focal", "class_weights": (0.9, 1.1)},
    {"loss": "dice"},
    {"loss": "lovasz-softmax"},
    {"loss": "partial-cross-entropy + 0.5*dice + 0.1*superpixel-consistency"},
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: "-".join(map(str, loss.values())))
def test_every_loss_learns_one_image_by_heart(out_dir: Path, loss: dict[str, object]) -> None:
    image = Stripes(0, shape=(60, 64))
    steep: dict[str, object] = {"learning_rate": 2e-3, "schedule": "cosine", "schedule_epochs": 1}
    # The smallest encoder would do for most seeds; the batch norm of this one settles in so few steps for all tried.
    job = work(training=image, model="unet", encoder="resnet18", **steep | loss)
    (patch,) = job.training.patches
    often = LabelledPatches([image], [patch] * 160, patch_size=PATCH_SIZE, superpixels="superpixel" in str(loss))
    fit(job.module, often, epochs=1, out_dir=out_dir, accelerator="cpu")
    pixels, labels = job.training[0]
    with torch.inference_mode():
        predicted = job.module.eval()(pixels[None])[0].argmax(dim=0)
    assert (predicted == labels)[labels != 255].float().mean() > 0.99


def test_a_checkpoint_alone_rebuilds_the_network(uninterrupted: tuple[Work, FitResult]) -> None:
    job, result = uninterrupted
    rebuilt = load_module(result.last)
    assert rebuilt.recipe == job.module.recipe
    assert same_weights(rebuilt, job.module)
    assert not rebuilt.training
    by_lightning = SegmentationModule.load_from_checkpoint(result.last, map_location="cpu", weights_only=True)
    assert same_weights(by_lightning, job.module)
    recipe = read_checkpoint(result.last)["hyper_parameters"]["recipe"]
    assert json.loads(json.dumps(recipe)) == job.module.recipe.to_dict()


def test_the_best_checkpoint_is_that_of_the_epoch_with_the_highest_score(
    uninterrupted: tuple[Work, FitResult],
) -> None:
    _, result = uninterrupted
    scores = [row["val_miou"] for row in result.history]
    best = read_checkpoint(result.best)
    assert best["global_step"] == result.history[int(np.argmax(scores))]["step"]
    assert read_checkpoint(result.last)["global_step"] == result.history[-1]["step"]


def test_the_table_of_epochs_is_the_history(uninterrupted: tuple[Work, FitResult]) -> None:
    _, result = uninterrupted
    with (result.last.parent / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == list(result.history)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {"epoch", "step", "learning_rate", "train_loss", "val_loss", "val_miou"}
    assert sorted(path.name for path in result.last.parent.iterdir()) == ["best.ckpt", "last.ckpt", "metrics.csv"]


def test_a_unet_learns_what_the_points_say(out_dir: Path) -> None:
    result = run(work(model="unet", batch_size=3, learning_rate=1e-2), out_dir, epochs=10)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 4
    assert max(row["val_miou"] for row in result.history) > 0.8


def test_progress_is_told_and_nothing_is_printed(out_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps: list[tuple[int, int, float]] = []
    epochs: list[dict[str, float]] = []
    result = run(
        work(),
        out_dir,
        epochs=2,
        on_step=lambda done, total, loss: steps.append((done, total, loss)),
        on_epoch=epochs.append,
    )
    # Nine patches in batches of four: the single one left over is not learned from.
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.mean([loss for _, _, loss in steps[:2]]) == pytest.approx(epochs[0]["train_loss"])
    assert tuple(epochs) == result.history
    assert capfd.readouterr() == ("", "")


def test_without_validation_the_last_epoch_is_the_best(out_dir: Path) -> None:
    job = work()
    result = fit(job.module, job.training, epochs=1, out_dir=out_dir, accelerator="cpu")
    assert result.best == result.last == out_dir / "last.ckpt"
    assert set(result.history[0]) == {"epoch", "step", "learning_rate", "train_loss"}


def test_a_network_that_cannot_learn_from_one_patch_says_so(out_dir: Path) -> None:
    with pytest.raises(InputError, match=r"deeplabv3 cannot be trained on batches of 1 patch .* batch_size to 2"):
        run(work(batch_size=1), out_dir)


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(out_dir: Path) -> None:
    with pytest.raises(
        SuperpointError, match=r"loss is nan in batch 1 of epoch 1 \(source 0 at row \d+, col \d+; .*and 1"
    ):
        run(work(training=Stripes(0, fill=float("nan"))), out_dir)
    assert not list(out_dir.iterdir())


def test_an_interrupt_reaches_the_caller_and_what_was_set_for_the_process_is_undone(out_dir: Path) -> None:
    handler, state = signal.getsignal(signal.SIGINT), torch.random.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        run(work(), out_dir, **stop_at(1, KeyboardInterrupt()))
    assert signal.getsignal(signal.SIGINT) is handler
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_ended_by_sigterm_does_not_look_done(out_dir: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run(work(), out_dir, on_step=lambda *_: signal.raise_signal(signal.SIGTERM))
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_finished_run_is_left_as_it_is(uninterrupted: tuple[Work, FitResult]) -> None:
    job, result = uninterrupted
    before = result.last.stat().st_mtime_ns
    rerun = work()
    assert run(rerun, result.last.parent, resume=result.last) == result
    assert result.last.stat().st_mtime_ns == before
    assert same_weights(rerun.module, job.module)


def test_a_run_resumed_in_another_folder_leaves_its_checkpoints_there(
    uninterrupted: tuple[Work, FitResult], out_dir: Path
) -> None:
    result = run(work(), out_dir, epochs=EPOCHS + 1, resume=uninterrupted[1].last)
    assert len(result.history) == EPOCHS + 1
    assert sorted(path.name for path in out_dir.iterdir()) == ["best.ckpt", "last.ckpt", "metrics.csv"]


def test_another_run_is_not_overwritten(uninterrupted: tuple[Work, FitResult]) -> None:
    with pytest.raises(InputError, match=r"holds a trained network; resume from its last.ckpt"):
        run(work(), uninterrupted[1].last.parent)


def test_a_resume_with_other_settings_names_them(uninterrupted: tuple[Work, FitResult], out_dir: Path) -> None:
    with pytest.raises(InputError, match=r"other settings \(batch_size, seed\)"):
        run(work(seed=1, batch_size=3), out_dir, resume=uninterrupted[1].last)


def test_a_resume_to_fewer_epochs_is_refused(uninterrupted: tuple[Work, FitResult], out_dir: Path) -> None:
    with pytest.raises(InputError, match=r"last.ckpt has 3 epochs, more than the 2 asked for"):
        run(work(), out_dir, epochs=2, resume=uninterrupted[1].last)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused(out_dir: Path, content: bytes | None) -> None:
    path = out_dir / "last.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"no checkpoint at|is not a checkpoint of superpoint"):
        load_module(path)


def test_a_checkpoint_cut_short_is_refused(uninterrupted: tuple[Work, FitResult], out_dir: Path) -> None:
    path = out_dir / "last.ckpt"
    shutil.copyfile(uninterrupted[1].last, path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(InputError, match="or it is damaged"):
        load_module(path)


@pytest.mark.parametrize("which", ["training", "validation"])
def test_a_set_without_labelled_patches_is_refused(out_dir: Path, which: str) -> None:
    job, empty = work(), LabelledPatches([], [], patch_size=PATCH_SIZE)
    sets = {"training": job.training, "validation": job.validation} | {which: empty}
    with pytest.raises(InputError, match=f"no {which} patch holds a labelled pixel"):
        fit(job.module, epochs=1, out_dir=out_dir, **sets)


def test_patches_of_another_size_than_the_recipe_says_are_refused(out_dir: Path) -> None:
    with pytest.raises(ValueError, match="recipe says patches of 32 pixels, got 64"):
        run(work(patch_size=32), out_dir)


def test_no_epochs_are_refused(out_dir: Path) -> None:
    with pytest.raises(InputError, match="epochs must be at least 1, got 0"):
        run(work(), out_dir, epochs=0)


def test_an_accelerator_that_is_not_there_is_named(out_dir: Path) -> None:
    job = work()
    with pytest.raises(InputError, match="accelerator 'abacus' cannot be used here"):
        fit(job.module, job.training, epochs=1, out_dir=out_dir, accelerator="abacus")
