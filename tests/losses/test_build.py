from __future__ import annotations

import pytest
import torch
from batches import IGNORE, batch, label_maps, tensors

from superpoint.errors import InputError
from superpoint.losses import (
    LOSSES,
    LossSettings,
    PartialCrossEntropy,
    PartialFocal,
    WeightedMaskedMSE,
    build_loss,
    dice_loss,
    parse_losses,
    partial_cross_entropy,
    partial_focal,
    superpixel_consistency,
)

SHARES = [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("dice", [("dice", 1.0)]),
        ("0.5*dice", [("dice", 0.5)]),
        (" partial-focal+ 1e-3 * dice ", [("partial-focal", 1.0), ("dice", 1e-3)]),
        (".5*dice+2.*dice", [("dice", 0.5), ("dice", 2.0)]),
    ],
)
def test_a_sum_is_read_term_by_term(text: str, parsed: list[tuple[str, float]]) -> None:
    assert parse_losses(text) == parsed


@pytest.mark.parametrize("text", ["", "dice+", "0*dice", "-1*dice", "dice*0.5", "nan*dice", "dice dice", "1e999*dice"])
def test_what_is_no_sum_of_losses_is_refused_with_the_term(text: str) -> None:
    with pytest.raises(InputError, match=r"cannot read .* a term is NAME or FACTOR\*NAME"):
        parse_losses(text)


@pytest.mark.parametrize("text", ["mse", "dice + 0.5*mse"])
def test_an_unknown_loss_lists_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"unknown loss 'mse'; known: dice, .*, weighted-masked-mse"):
        build_loss(text, frequencies=[1.0])


def test_a_sum_is_the_sum_of_its_terms() -> None:
    outputs, labels, _ = tensors(*batch(0))
    (superpixels,) = tensors(label_maps(0))
    loss = build_loss("partial-cross-entropy + 0.5*dice + 0.1*superpixel-consistency", frequencies=SHARES)
    expected = (
        partial_cross_entropy(outputs, labels)
        + 0.5 * dice_loss(outputs, labels)
        + 0.1 * superpixel_consistency(outputs, superpixels)
    )
    torch.testing.assert_close(loss(outputs, labels, superpixels), expected)


def test_only_a_loss_with_the_superpixel_term_needs_superpixels() -> None:
    needing = {name for name in LOSSES if build_loss(name, frequencies=SHARES).needs_superpixels}
    assert needing == {"superpixel-consistency"}
    assert build_loss("dice+superpixel-consistency", frequencies=SHARES).needs_superpixels
    assert not build_loss("dice+lovasz-softmax", frequencies=SHARES).needs_superpixels


@pytest.mark.parametrize("name", [*sorted(LOSSES), "partial-focal+0.5*weighted-masked-mse"])
def test_no_loss_enters_the_state_of_a_network(name: str) -> None:
    assert build_loss(name, frequencies=SHARES, weighting=None).state_dict() == {}


def test_what_recipes_of_old_checkpoints_hold_makes_the_same_losses() -> None:
    mse = build_loss("weighted-masked-mse", frequencies=SHARES, normalize="labelled")
    assert isinstance(mse, WeightedMaskedMSE)
    assert (mse.normalize, mse.weighting) == ("labelled", "per-channel")
    entropy = build_loss("partial-cross-entropy", frequencies=SHARES, normalize="labelled")
    assert isinstance(entropy, PartialCrossEntropy)
    assert entropy.weights is None


def test_own_class_weighting_divides_each_pixels_loss_by_its_class_frequency() -> None:
    outputs, labels, _ = tensors(*batch(1))
    inverse = 1 / torch.tensor(SHARES)
    loss = build_loss("partial-focal", frequencies=SHARES, weighting="own-class", gamma=1.0)
    torch.testing.assert_close(loss(outputs, labels), partial_focal(outputs, labels, gamma=1.0, weights=inverse))


@pytest.mark.parametrize("name", ["partial-cross-entropy", "partial-focal"])
def test_by_own_class_the_pixels_of_a_class_without_frequency_are_left_out(name: str) -> None:
    outputs, labels, _ = tensors(*batch(2))
    loss = build_loss(name, frequencies=[0.5, 0.0, 0.3, 0.2], weighting="own-class")
    traced = outputs.clone().requires_grad_()
    value = loss(traced, labels)
    value.backward()
    rest = torch.where(labels == 1, IGNORE, labels)
    n_labelled, n_rest = (labels != IGNORE).sum(), (rest != IGNORE).sum()
    torch.testing.assert_close(value * n_labelled, loss(outputs, rest) * n_rest)
    assert not traced.grad[(labels == 1).unsqueeze(1).expand_as(outputs)].any()
    assert traced.grad.isfinite().all()


def test_class_weights_reach_cross_entropy_and_focal_loss() -> None:
    weights = [72.0, 1.0, 1.0, 1.0]
    for name in ("partial-cross-entropy", "partial-focal"):
        assert build_loss(name, frequencies=SHARES, class_weights=weights).weights.tolist() == weights
    assert isinstance(build_loss("partial-focal", frequencies=SHARES), PartialFocal)


def test_a_weighting_that_no_loss_takes_is_refused() -> None:
    with pytest.raises(InputError, match="takes no weighting per-channel; it is for weighted-masked-mse"):
        build_loss("partial-cross-entropy", frequencies=SHARES, weighting="per-channel")
    with pytest.raises(InputError, match="takes no weighting own-class; it is for partial-cross-entropy, partial-f"):
        build_loss("dice", frequencies=SHARES, weighting="own-class")
    with pytest.raises(InputError, match="takes no class_weights"):
        build_loss("weighted-masked-mse", frequencies=SHARES, class_weights=SHARES)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown normalize 'none'; known: all, labelled"):
        build_loss("partial-cross-entropy", frequencies=[1.0], normalize="none")
    with pytest.raises(InputError, match="class_weights stand in place of a weighting"):
        LossSettings(weighting="own-class", class_weights=(1.0, 1.0))
    with pytest.raises(InputError, match="class weights are numbers of 0 or more"):
        LossSettings(class_weights=(1.0, -1.0))
    with pytest.raises(InputError, match="4 classes need as many class weights, got 3"):
        build_loss("partial-focal", frequencies=SHARES, class_weights=[1.0, 1.0, 1.0])
