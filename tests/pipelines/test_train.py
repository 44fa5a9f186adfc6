"""Training, mapping and judging, on files as a user has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import torch
from smallworld import CLASSES, two_fields, write_raster

from superpoint.cache.groups import load_group
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.sources import LabelledRaster
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError, SuperpointError
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.pipelines.evaluate import evaluate
from superpoint.pipelines.label import label
from superpoint.pipelines.predict import predict
from superpoint.pipelines.settings import EvaluateSettings, LabelSettings, PredictSettings, TrainSettings
from superpoint.pipelines.train import Training, train
from superpoint.pipelines.trainingdata import label_map_of
from superpoint.scaling import Scaling
from superpoint.tiles import Window
from superpoint.training.checkpoint import load_module
from superpoint.training.dataset import LabelledPatches
from superpoint.training.patches import count_labels

if TYPE_CHECKING:
    from smallworld import Files

    from superpoint.pipelines.label import PseudoMask

CLASS_TABLE = "".join(
    f'[[class]]\nname = "{c.name}"\nvalue = {c.value}\ncolor = "{c.color}"\n' for c in CLASSES.classes
)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.toml"
    path.write_text(CLASS_TABLE)
    return path


def label_files(files: Files) -> PseudoMask:
    settings = LabelSettings(
        rasters=[files.raster], points=files.points, classes=files.classes, region_size=12,
        cache=files.folder / "cache", output=files.folder / "pseudo.tif", overwrite=True,
    )  # fmt: skip
    return label(settings)[0]


def train_files(files: Files, labels: Path, out: str = "model", **settings: object) -> Training:
    values = {"encoder": "tu-lcnet_035", "patch": 64, "epochs": 1, "batch_size": 4, "device": "cpu"} | settings
    return train(
        TrainSettings(
            raster=[files.raster], labels=[labels], out=files.folder / out, cache=files.folder / "cache", **values
        )
    )


def weights_of(training: Training) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(training.last, weights_only=True)["state_dict"]
    return weights


def test_a_few_points_become_a_map_that_beats_guessing(files: Files) -> None:
    label_files(files)
    training = train_files(files, files.folder / "pseudo.tif", epochs=6, normalize="labelled")
    (made,) = predict(
        PredictSettings(
            checkpoint=training.checkpoint, rasters=[files.raster], output=files.folder / "map.tif", overlap=16,
            probabilities=True,
        )
    )  # fmt: skip
    with rasterio.open(made.probabilities) as dataset, rasterio.open(made.output) as classes:
        found = dataset.read()
        assert dataset.descriptions == CLASSES.names
        np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
        np.testing.assert_array_equal(found.argmax(axis=0), classes.read(1))
    scores = evaluate(EvaluateSettings(maps=[made.output], truth=[files.truth], classes=files.classes))
    always_dark = np.mean(files.mask == 0)
    assert scores.pixel_accuracy is not None
    assert scores.pixel_accuracy > max(always_dark, 1 - always_dark) + 0.1
    with rasterio.open(made.output) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (dataset.crs.to_epsg(), dataset.nodata, dataset.dtypes) == (32633, 255, ("uint8",))
        assert dataset.colormap(1)[1] == (*CLASSES.classes[1].rgb, 255)
    assert sum(made.class_pixels.values()) == files.mask.size


def test_the_zarr_and_the_cog_of_a_pseudo_mask_train_the_same_network(files: Files) -> None:
    mask = label_files(files)
    one = train_files(files, Path(mask.path), "one")
    other = train_files(files, files.folder / "pseudo.tif", "other")
    for name, weight in weights_of(one).items():
        assert torch.equal(weight, weights_of(other)[name])


def test_the_true_mask_cannot_reach_a_weak_training(files: Files) -> None:
    """Truth is changed wherever the pseudo-mask has no label; points, labels and weights stay the same."""
    first = label_files(files)
    weights = weights_of(train_files(files, Path(first.path), "before"))
    with rasterio.open(files.folder / "pseudo.tif") as dataset:
        unlabelled = dataset.read(1) == 255
    assert 0.1 < unlabelled.mean() < 1
    write_raster(files.truth, np.where(unlabelled, 1 - files.mask, files.mask)[None], nodata=255)
    again = label_files(files)
    assert again.path == first.path
    for name, weight in weights_of(train_files(files, Path(again.path), "after")).items():
        assert torch.equal(weight, weights[name])


def test_class_frequencies_are_those_of_the_labelled_training_pixels(files: Files) -> None:
    mask = label_files(files)
    training = train_files(files, Path(mask.path))
    total = sum(mask.class_pixels.values())
    for name, count in mask.class_pixels.items():
        assert training.class_frequencies[name] == pytest.approx(count / total)


def test_a_resumed_training_ends_as_an_uninterrupted_one(files: Files) -> None:
    mask = label_files(files)
    straight = train_files(files, Path(mask.path), "straight", epochs=2)
    train_files(files, Path(mask.path), "halting", epochs=1)
    resumed = train_files(files, Path(mask.path), "halting", epochs=2, resume=True)
    for name, weight in weights_of(straight).items():
        assert torch.equal(weight, weights_of(resumed)[name])


def test_validation_is_reported_for_each_epoch(files: Files) -> None:
    mask = label_files(files)
    training = train_files(
        files,
        Path(mask.path),
        epochs=2,
        validation_raster=[files.raster],
        validation_labels=[files.truth],
        classes=files.classes,
    )
    assert [0 <= row["val_miou"] <= 1 for row in training.history] == [True, True]
    assert training.checkpoint.endswith("best.ckpt")


def test_the_settings_are_saved_with_the_model(files: Files) -> None:
    mask = label_files(files)
    training = train_files(files, Path(mask.path), seed=7)
    saved = json.loads((Path(training.out) / "settings.json").read_text())
    assert TrainSettings(**saved).seed == 7
    assert saved["encoder"] == "tu-lcnet_035"


def test_a_map_is_nodata_where_the_raster_is(files: Files) -> None:
    mask = label_files(files)
    training = train_files(files, Path(mask.path))
    image, _ = two_fields((100, 90), seed=3)
    image = image.clip(1)
    image[:, 20:50, 30:] = 0
    holed = write_raster(files.folder / "holed.tif", image, nodata=0)
    (made,) = predict(
        PredictSettings(checkpoint=training.checkpoint, rasters=[holed], output=files.folder / "m.tif", overlap=16)
    )
    with rasterio.open(made.output) as dataset:
        np.testing.assert_array_equal(dataset.read(1) == 255, (image == 0).all(axis=0))


def test_color_masks_train_as_value_masks_do(files: Files) -> None:
    table = np.array([c.rgb for c in CLASSES.classes], np.uint8)
    colors = write_raster(files.folder / "colors.tif", np.moveaxis(table[files.mask], -1, 0))
    by_value = train_files(files, files.truth, "values", classes=files.classes)
    by_color = train_files(files, colors, "colors", classes=files.classes)
    for name, weight in weights_of(by_value).items():
        assert torch.equal(weight, weights_of(by_color)[name])


def test_a_model_that_is_there_is_not_replaced_unasked(files: Files) -> None:
    mask = label_files(files)
    train_files(files, Path(mask.path))
    with pytest.raises(InputError, match=r"holds a training; give --resume to go on, --overwrite to replace"):
        train_files(files, Path(mask.path))


def test_resuming_nothing_is_refused(files: Files) -> None:
    mask = label_files(files)
    with pytest.raises(InputError, match=r"there is no .*last\.ckpt to resume from"):
        train_files(files, Path(mask.path), resume=True)


def test_masks_on_another_grid_are_refused(files: Files) -> None:
    small = write_raster(files.folder / "small.tif", np.zeros((1, 40, 40), np.uint8))
    with pytest.raises(InputError, match=r"small\.tif has 40 x 40 pixels and .*scene\.tif 200 x 260"):
        train_files(files, small, classes=files.classes)


def test_a_mask_without_class_table_asks_for_one(files: Files) -> None:
    with pytest.raises(InputError, match=r"truth\.tif carries no class table; give one with --classes"):
        train_files(files, files.truth)


def test_a_mask_without_any_label_is_refused(files: Files) -> None:
    empty = write_raster(files.folder / "none.tif", np.full((1, 200, 260), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"no pixel of .*none\.tif is labelled"):
        train_files(files, empty, classes=files.classes)


def test_an_unknown_value_in_a_mask_is_named(files: Files) -> None:
    odd = files.mask.copy()
    odd[5, 5] = 9
    path = write_raster(files.folder / "odd.tif", odd[None])
    with pytest.raises(InputError, match=r"odd\.tif: value 9 is not in the class table of 2 classes"):
        train_files(files, path, classes=files.classes)


def test_a_raster_with_other_bands_than_the_network_is_refused(files: Files) -> None:
    mask = label_files(files)
    training = train_files(files, Path(mask.path))
    gray = write_raster(files.folder / "gray.tif", two_fields((80, 80), seed=0)[0][:1])
    settings = PredictSettings(checkpoint=training.checkpoint, rasters=[gray], output=files.folder / "m.tif", overlap=0)
    with pytest.raises(InputError, match=r"gray\.tif has bands 1 to 1, there is no band 2"):
        predict(settings)


def test_an_existing_map_is_not_replaced_unasked(files: Files) -> None:
    output = files.folder / "map.tif"
    output.write_text("precious")
    settings = PredictSettings(checkpoint=files.folder / "no.ckpt", rasters=[files.raster], output=output)
    with pytest.raises(InputError, match=r"map\.tif exists already; give --overwrite"):
        predict(settings)
    assert output.read_text() == "precious"


def test_a_file_that_is_no_checkpoint_is_named(files: Files) -> None:
    settings = PredictSettings(checkpoint=files.raster, rasters=[files.raster], output=files.folder / "m.tif")
    with pytest.raises(InputError, match=r"scene\.tif is not a checkpoint of superpoint"):
        predict(settings)


def test_the_bands_of_the_training_are_those_of_the_prediction(files: Files) -> None:
    training = train_files(files, files.truth, classes=files.classes, bands=[3, 1])
    outputs = [files.folder / "default.tif", files.folder / "given.tif"]
    for output, bands in zip(outputs, ([], [3, 1]), strict=True):
        predict(PredictSettings(checkpoint=training.checkpoint, rasters=[files.raster], output=output, bands=bands))
    one, other = (rasterio.open(output).read(1) for output in outputs)
    np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match=r"was trained on the bands 3,1; give --bands alike"):
        train_files(files, files.truth, classes=files.classes, bands=[1, 3], epochs=2, resume=True)


def test_a_validation_raster_with_other_bands_is_refused(files: Files) -> None:
    gray = write_raster(files.folder / "gray.tif", two_fields((200, 260), seed=0)[0][:1])
    with pytest.raises(InputError, match=r"gray\.tif has bands 1 to 1, there is no band 2"):
        train_files(
            files, files.truth, classes=files.classes, validation_raster=[gray], validation_labels=[files.truth]
        )


def test_a_model_survives_a_request_that_cannot_be_met(files: Files) -> None:
    training = train_files(files, files.truth, classes=files.classes)
    before = Path(training.last).read_bytes()
    settings = {"raster": [files.folder / "typo.tif"], "labels": [files.truth], "out": files.folder / "model"}
    with pytest.raises(InputError, match=r"typo\.tif does not exist"):
        train(TrainSettings(**settings, classes=files.classes, cache=files.folder / "cache", overwrite=True))
    assert Path(training.last).read_bytes() == before


def test_labels_where_the_raster_has_no_data_do_not_count(files: Files) -> None:
    image, truth = two_fields((128, 128), seed=0)
    image = image.clip(1)
    image[:, truth == 0] = 0
    holed = write_raster(files.folder / "holed.tif", image, nodata=0)
    mask = write_raster(files.folder / "mask.tif", truth[None])
    settings = {"raster": [holed], "labels": [mask], "classes": files.classes, "out": files.folder / "holed"}
    small = {"encoder": "tu-lcnet_035", "patch": 64, "epochs": 1, "device": "cpu", "cache": files.folder / "cache"}
    assert train(TrainSettings(**settings, **small)).class_frequencies == {"dark": 0, "bright": 1}


def test_a_pseudo_mask_that_is_not_finished_is_refused(files: Files) -> None:
    mask = label_files(files)
    next(Path(mask.path).with_suffix(".ledger").glob("*.json")).unlink()
    with pytest.raises(InputError, match=r"is not finished, 0 of 1 tiles are done; run the same label command"):
        train_files(files, Path(mask.path))


def test_a_resampled_mask_is_refused(files: Files) -> None:
    smooth = write_raster(files.folder / "smooth.tif", (files.mask * 0.7)[None].astype(np.float32))
    with pytest.raises(InputError, match=r"value 0\.7 is no class; was the mask resampled"):
        train_files(files, smooth, classes=files.classes)


def test_superpixels_of_the_pseudo_mask_take_part_in_a_loss(files: Files) -> None:
    mask = Path(label_files(files).path)
    without = train_files(files, mask, "without", loss="partial-cross-entropy")
    given = train_files(files, mask, "given", loss="partial-cross-entropy + superpixel-consistency")
    assert given.history[0]["train_loss"] > without.history[0]["train_loss"]
    (label_map,) = (files.folder / "cache" / "label-maps").glob("*.zarr")
    label_map.rename(label_map.with_name("elsewhere"))
    with pytest.raises(InputError, match=r"the label map of .* is not in .*label-maps; run the same label command"):
        train_files(files, mask, "gone", loss="partial-cross-entropy + superpixel-consistency")


def test_the_label_map_of_a_pseudo_mask_is_the_one_that_was_painted(files: Files) -> None:
    mask = open_mask(Path(label_files(files).path))
    label_map = load_group(label_map_of(mask))
    whole = Window(row=0, col=0, n_rows=200, n_cols=260)
    values, ids = mask.read(whole), label_map.read("labels", whole)
    assert all(len(np.unique(values[ids == one])) == 1 for one in np.unique(ids))


def test_superpixels_of_a_plain_mask_are_refused(files: Files) -> None:
    with pytest.raises(InputError, match=r"truth\.tif does not say which superpixels it was made of"):
        train_files(files, files.truth, classes=files.classes, loss="dice + superpixel-consistency")


def test_a_loss_is_judged_before_anything_is_read(files: Files) -> None:
    for loss, message in (("dice + nonsense", "unknown loss 'nonsense'"), ("2*", "cannot read '2\\*'")):
        with pytest.raises(InputError, match=message):
            train_files(files, files.folder / "typo.tif", loss=loss)
    with pytest.raises(InputError, match="takes no class_weights"):
        train_files(files, files.folder / "typo.tif", class_weights="balanced")


def test_what_the_settings_say_is_in_the_recipe_of_the_checkpoint(files: Files) -> None:
    training = train_files(
        files, files.truth, classes=files.classes, loss="partial-focal", class_weights="balanced", gamma=1.5,
        sampling="balanced", radiometric=0.5, schedule="cosine", optimizer="adamw", weight_decay=0.01, accumulate=2,
        input_statistics="imagenet", precision=32,
    )  # fmt: skip
    recipe = load_module(Path(training.last)).recipe
    shares = list(training.class_frequencies.values())
    assert recipe.class_weights == pytest.approx([1 / (2 * share) for share in shares])
    assert (recipe.loss, recipe.gamma, recipe.sampling, recipe.radiometric) == ("partial-focal", 1.5, "balanced", 0.5)
    assert (recipe.schedule, recipe.schedule_epochs, recipe.optimizer) == ("cosine", 1, "adamw")
    assert (recipe.accumulate, recipe.weight_decay, recipe.precision) == (2, 0.01, "32")
    assert recipe.input_mean == (0.485, 0.456, 0.406)


def test_weights_from_a_file_are_not_needed_any_more_to_resume(files: Files) -> None:
    first = train_files(files, files.truth, "first", classes=files.classes)
    file = files.folder / "mine.ckpt"
    Path(first.last).rename(file)
    train_files(files, files.truth, classes=files.classes, encoder_weights=str(file))
    file.unlink()
    resumed = train_files(files, files.truth, classes=files.classes, encoder_weights=str(file), epochs=2, resume=True)
    assert load_module(Path(resumed.last)).recipe.encoder_weights == "mine.ckpt"
    with pytest.raises(InputError, match=r"--encoder-weights .*mine\.ckpt does not exist"):
        train_files(files, files.truth, "other", classes=files.classes, encoder_weights=str(file))


def test_a_resume_on_other_data_is_refused(files: Files) -> None:
    train_files(files, files.truth, classes=files.classes)
    mask = files.mask.copy()
    mask[:8, :8] = mask[:8, :8][::-1]
    mask[0, 0] = 1 - mask[0, 0]
    other = write_raster(files.folder / "other.tif", mask[None], nodata=255)
    with pytest.raises(InputError, match=r"last\.ckpt was trained on other rasters or labels, or they changed since"):
        train_files(files, other, classes=files.classes, epochs=2, resume=True)


def test_what_needs_validation_data_says_so_at_once() -> None:
    for settings in ({"early_stopping": 3}, {"schedule": "plateau"}):
        with pytest.raises(ValueError, match="looks at val_loss; give --validation-raster"):
            TrainSettings(raster=["a.tif"], labels=["b.tif"], out="model", **settings)


def test_a_training_anew_leaves_nothing_of_the_one_before(files: Files) -> None:
    train_files(files, files.truth, classes=files.classes)
    (files.folder / "model" / "tensorboard").mkdir()
    train_files(files, files.truth, classes=files.classes, overwrite=True)
    assert sorted(path.name for path in (files.folder / "model").iterdir()) == [
        "last.ckpt", "metrics.csv", "settings.json",
    ]  # fmt: skip


@pytest.mark.usefixtures("one_thread")
def test_two_devices_train_one_network_and_judge_every_patch_once(
    files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two processes on the CPU, as GPUs would have one each; the scores are those of one that sees all patches."""
    training = train_files(
        files, files.truth, classes=files.classes, validation_raster=[files.raster], validation_labels=[files.truth],
        epochs=2, batch_size=3, devices=2, placement="random", schedule="plateau",
    )  # fmt: skip
    module = load_module(Path(training.last))
    raster, mask = open_raster(files.raster), open_mask(files.truth, read_class_table(files.classes))
    scaling = Scaling(low=module.recipe.scaling_low, high=module.recipe.scaling_high)
    source = LabelledRaster(raster=raster, mask=mask, scaling=scaling)
    patches = count_labels([source], n_classes=2, patch_size=64).patches
    with torch.inference_mode():
        pairs = [
            (labels.numpy(), module(image[None])[0].argmax(dim=0).numpy())
            for image, labels in LabelledPatches([source], patches, patch_size=64, cores_only=True)
        ]
    confusion = np.sum([confusion_matrix(labels, found, 2) for labels, found in pairs], axis=0)
    assert training.history[-1]["val_miou"] == pytest.approx(SegmentationScores(confusion=confusion).miou, abs=1e-3)
    assert [row["epoch"] for row in training.history] == [1, 2]
    # 20 patches are 10 each, in batches of 3 and a single one, which is left out.
    assert training.history[-1]["step"] == 2 * 3
    assert sorted(path.name for path in Path(training.out).iterdir()) == [
        "best.ckpt", "last.ckpt", "metrics.csv", "settings.json",
    ]  # fmt: skip
    assert "lightning" not in capfd.readouterr().err.lower()


def test_a_loss_that_is_no_number_stops_and_names_the_raster_and_the_place(files: Files) -> None:
    with pytest.raises(
        SuperpointError, match=r"loss is (nan|inf) in batch \d of epoch \d \(.*scene\.tif at row \d+, col"
    ):
        train_files(files, files.truth, classes=files.classes, learning_rate=1e30, epochs=3)


def test_more_gpus_than_there_are_are_refused_at_once(files: Files) -> None:
    n_gpus = torch.cuda.device_count()
    with pytest.raises(InputError, match=f"{n_gpus + 2} devices are asked for and there are {n_gpus} GPUs"):
        train_files(files, files.folder / "typo.tif", device="cuda", devices=n_gpus + 2)
