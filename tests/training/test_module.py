from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.training.module import SegmentationModule, augmented
from superpoint.training.recipe import Recipe
from superpoint.training.seeds import Purpose, derived_seed, generator


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
    whole = recipe(encoder_weights="imagenet", normalize="labelled", learning_rate=1e-5, seed=2**40)
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
    assert len(set(seeds())) == 3 * 4 * 3


def test_validation_scores_the_dataset_and_not_the_mean_of_its_batches() -> None:
    module = SegmentationModule(recipe()).eval()
    logged: dict[str, float] = {}
    module.log = lambda name, value: logged.update({name: value})
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
    assert logged == {"val_miou": SegmentationScores(confusion=whole).miou}
