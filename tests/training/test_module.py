from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.losses import LossSettings, dice_loss, partial_focal, weighted_masked_mse
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.training.criteria import balanced_weights, check_loss, loss_of, validation_loss_of
from superpoint.training.module import SegmentationModule, augmented, moved_alike
from superpoint.training.normalization import imagenet_statistics, input_statistics
from superpoint.training.radiometry import recoloured
from superpoint.training.recipe import Recipe
from superpoint.training.seeds import Purpose, derived_seed, generator

if TYPE_CHECKING:
    from pathlib import Path


def recipe(**changes: object) -> Recipe:
    """Return the recipe of a network small enough to build many times."""
    values: dict[str, object] = {
        "model": "unet",
        "encoder": "tu-lcnet_035",
        "classes": ClassTable.from_names(["road", "water", "tree"]),
        "frequencies": (0.5, 0.3, 0.2),
        "patch_size": 64,
        "scaling_low": (0.0, 10.0),
        "scaling_high": (1.0, 255.5),
    }
    return Recipe(**values | changes)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def test_a_recipe_round_trips_through_json() -> None:
    whole = recipe(
        encoder_weights="imagenet", normalize="labelled", learning_rate=1e-5, seed=2**40, class_weights=(1.0, 2.0, 0.5),
        schedule="cosine", schedule_epochs=5, data="ab", **NORMALISED,
    )  # fmt: skip
    assert Recipe.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_the_shares_of_a_recipe_may_come_from_numpy_and_are_stored_as_plain_floats() -> None:
    stored = recipe(frequencies=tuple(np.array([0.5, 0.3, 0.2]))).to_dict()
    assert {type(share) for share in stored["frequencies"]} == {float}
    assert Recipe.from_dict(stored) == recipe()


def test_two_recipes_name_the_settings_in_which_they_differ() -> None:
    assert recipe().differences(recipe()) == []
    assert recipe().differences(recipe(seed=1, frequencies=(0.2, 0.3, 0.5))) == ["frequencies", "seed"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequencies": (0.5, 0.5)}, "3 classes need as many frequencies, got 2"),
        ({"scaling_low": (0.0,)}, "got 1 and 2"),
        ({"patch_size": 100}, "patch_size must be a multiple of 32, got 100"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"weight_decay": float("nan")}, "weight_decay must be 0 or more, got nan"),
        ({"schedule": "cosinus"}, "unknown schedule 'cosinus'; known: constant, plateau, cosine"),
        ({"schedule": "cosine"}, "schedule_epochs is above 0 for the cosine schedule alone, got 0"),
        ({"radiometric": 1.5}, "radiometric must be from 0 to 1, got 1.5"),
        ({"input_mean": (0.5,), "input_std": (0.5,)}, "2 bands need as many input means"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe(**changes)


def test_unknown_and_missing_settings_of_a_stored_recipe_are_named() -> None:
    values = recipe().to_dict()
    del values["model"]
    with pytest.raises(InputError, match="colour, model"):
        Recipe.from_dict(values | {"colour": "red"})


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    first = SegmentationModule(recipe(seed=1))
    state = torch.random.get_rng_state()
    second = SegmentationModule(recipe(seed=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_weights(first, second)
    assert not same_weights(first, SegmentationModule(recipe(seed=2)))


def test_a_stored_recipe_builds_the_network_without_asking_for_pretrained_weights() -> None:
    stored = recipe(encoder="resnet18", encoder_weights="nonesuch")
    with pytest.raises(InputError, match="nonesuch"):
        SegmentationModule(stored)
    module = SegmentationModule(stored.to_dict(), pretrained=False)
    assert module.recipe == stored
    assert not module.hparams["pretrained"]


def test_the_saved_settings_are_json() -> None:
    saved = dict(SegmentationModule(recipe()).hparams)
    assert json.loads(json.dumps(saved)) == saved


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_labels_turn_with_their_image(seed: int) -> None:
    labels = torch.randint(3, (5, 8, 8), generator=torch.Generator().manual_seed(seed))
    images = torch.stack([labels.float(), labels.float() + 10], dim=1)  # (batch, band, rows, cols)
    moved_images, moved_labels = augmented(images, labels, generator(seed, Purpose.AUGMENTATION))
    torch.testing.assert_close(moved_images[:, 0], moved_labels.float())
    torch.testing.assert_close(moved_images[:, 1], moved_labels.float() + 10)
    assert all(torch.equal(a.unique(), b.unique()) for a, b in zip(labels, moved_labels, strict=True))


def test_superpixels_turn_with_labels_and_as_they_do_alone() -> None:
    labels = torch.arange(5 * 64).reshape(5, 8, 8)
    images, moved, ids = moved_alike((labels[:, None].float(), labels, labels + 7), generator(3, Purpose.AUGMENTATION))
    assert torch.equal(ids, moved + 7)
    alone = augmented(labels[:, None].float(), labels, generator(3, Purpose.AUGMENTATION))
    assert torch.equal(images, alone[0])
    assert torch.equal(moved, alone[1])


@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0.1, 1))
def test_brightness_and_contrast_change_band_by_band_within_their_bounds(seed: int, strength: float) -> None:
    images = torch.rand(3, 2, 64, 64, generator=torch.Generator().manual_seed(seed))
    changed = recoloured(images, strength, generator(seed, Purpose.RADIOMETRY))
    assert torch.equal(changed, recoloured(images, strength, generator(seed, Purpose.RADIOMETRY)))
    offsets = (changed - images).mean(dim=(-2, -1))
    gains = changed.std(dim=(-2, -1)) / images.std(dim=(-2, -1))
    assert offsets.abs().max() <= 0.2 * strength + 0.01  # this and the next: what noise adds to a mean or deviation
    assert 1 / (1 + 0.4 * strength) - 0.01 <= gains.min() <= gains.max() <= 1 + 0.4 * strength + 0.03
    assert len(offsets.unique()) == len(gains.unique()) == 6


def test_no_strength_changes_nothing_and_pixels_without_data_stay_so() -> None:
    images = torch.rand(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    images[:, :, :4] = 0
    images[:, 0, 8:] = 0  # in one band alone: data
    torch.testing.assert_close(recoloured(images, 0.0, generator(0, Purpose.RADIOMETRY)), images)
    changed = recoloured(images, 1.0, generator(0, Purpose.RADIOMETRY))
    assert (changed[:, :, :4] == 0).all()
    assert (changed[:, :, 4:] != images[:, :, 4:]).all()


def test_input_is_normalised_by_what_the_recipe_says_after_scaling() -> None:
    plain, normalised = (SegmentationModule(recipe(**more)).eval() for more in ({}, NORMALISED))
    images = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([(images[:, 0] - 0.5) / 0.25, (images[:, 1] - 0.1) / 2], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(normalised(images), plain(expected))
    assert same_weights(plain, normalised)


NORMALISED = {"input_mean": (0.5, 0.1), "input_std": (0.25, 2.0)}


@pytest.mark.parametrize(
    ("bands", "mean"), [(1, (0.449,)), (3, (0.485, 0.456, 0.406)), (4, (0.485, 0.456, 0.406, 0.485))]
)
def test_pretrained_encoders_say_what_they_expect_of_each_band(bands: int, mean: tuple[float, ...]) -> None:
    found = input_statistics("tu-resnet18", "pretrained", bands)
    assert found[0] == pytest.approx(mean)
    assert found == tuple(map(pytest.approx, imagenet_statistics(bands)))


def test_a_file_of_weights_is_read_once_and_the_recipe_knows_it_by_its_digest(tmp_path: Path) -> None:
    donor, file = SegmentationModule(recipe(seed=5)), tmp_path / "mine.pt"
    torch.save(donor.model.encoder.state_dict(), file)
    named = recipe(encoder_weights="mine.pt", encoder_digest="1f")
    started = SegmentationModule(named, encoder_file=file)
    assert same_weights(started.model.encoder, donor.model.encoder)
    assert not same_weights(started.model.decoder, donor.model.decoder)
    file.unlink()
    again = SegmentationModule(started.recipe.to_dict(), pretrained=False)
    assert again.recipe == named
    with pytest.raises(InputError, match=r"starts from the file mine\.pt; say where it is"):
        SegmentationModule(named)


def test_a_loss_takes_its_settings_from_the_recipe() -> None:
    outputs = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64).reshape(1, 8, 8) % 3
    one = loss_of(recipe(loss="partial-focal + 0.5*dice", gamma=1.0, smoothing=2.0, class_weights=(1.0, 2.0, 3.0)))
    focal = partial_focal(outputs, labels, gamma=1.0, weights=torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(one(outputs, labels), focal + 0.5 * dice_loss(outputs, labels, smoothing=2.0))
    own = loss_of(recipe(weighting="own-class"))
    shares = torch.tensor([0.5, 0.3, 0.2])
    torch.testing.assert_close(
        own(outputs, labels), weighted_masked_mse(outputs, labels, shares, weighting="own-class")
    )


def test_validation_leaves_out_the_term_of_superpixels() -> None:
    judge = validation_loss_of(recipe(loss="0.5*partial-cross-entropy + superpixel-consistency"))
    outputs, labels = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert float(judge(outputs, labels)) == pytest.approx(0.5 * np.log(3))


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        ("partial-cross-entrpy", {}, "unknown loss 'partial-cross-entrpy'"),
        ("superpixel-consistency", {}, "superpixel-consistency alone sees no labels"),
        ("dice", {"weighting": "own-class"}, "takes no weighting own-class"),
        ("weighted-masked-mse", {"class_weights": (1.0, 1.0)}, "takes no class_weights"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(loss: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_loss(loss, LossSettings(**settings))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any))
def test_balanced_weights_give_each_class_the_same_share_and_weigh_1_in_the_mean(counts: list[int]) -> None:
    shares = np.array(counts) / sum(counts)
    weighted = shares * balanced_weights(shares.tolist())
    assert weighted.sum() == pytest.approx(1)
    np.testing.assert_allclose(weighted[shares > 0], 1 / np.count_nonzero(shares))


def test_all_eight_turns_and_mirrors_occur_about_equally_often() -> None:
    labels = torch.arange(9).reshape(1, 3, 3).expand(800, 3, 3)
    _, moved = augmented(labels.unsqueeze(1).float(), labels, generator(0, Purpose.AUGMENTATION))
    _, counts = moved.reshape(800, 9).unique(dim=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 60


def test_random_numbers_differ_by_seed_purpose_and_place_and_repeat() -> None:
    def seeds() -> list[int]:
        return [derived_seed(s, p, place) for s in range(3) for p in Purpose for place in range(3)]

    assert seeds() == seeds()
    assert len(set(seeds())) == 3 * len(Purpose) * 3


def test_validation_scores_the_dataset_and_not_the_mean_of_its_batches() -> None:
    module = SegmentationModule(recipe()).eval()
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.update({name: value})
    images = torch.rand(5, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.full((5, 64, 64), 255)
    for patch, label in enumerate([0, 0, 1, 2, 2]):
        labels[patch, : 8 * (patch + 1)] = label
    batches: list[tuple[Tensor, Tensor]] = [(images[:2], labels[:2]), (images[2:], labels[2:])]
    with torch.inference_mode():
        for _ in range(2):  # a second epoch starts from nothing
            module.on_validation_epoch_start()
            for index, batch in enumerate(batches):
                module.validation_step(batch, index)
            module.on_validation_epoch_end()
        predicted = module(images).argmax(dim=1)
    whole = confusion_matrix(labels.numpy(), predicted.numpy(), 3)
    np.testing.assert_array_equal(module.confusion, whole)
    with torch.inference_mode():
        loss = weighted_masked_mse(module(images), labels, torch.tensor([0.5, 0.3, 0.2]), normalize="labelled")
    assert logged == {"val_miou": SegmentationScores(confusion=whole).miou, "val_loss": pytest.approx(float(loss))}
