"""What holds for every loss, whatever it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import finalize

import pytest
import torch
from batches import IGNORE, batch, label_maps, tensors
from torch.nn.functional import one_hot
from torch.utils._python_dispatch import TorchDispatchMode  # PyTorch's own way to see every operation

from superpoint.losses import LOSSES, build_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from superpoint.losses import Loss

SHARES = [0.1, 0.2, 0.3, 0.4]
MADE = {name: build_loss(name, frequencies=SHARES) for name in sorted(LOSSES)} | {
    "mse by labelled": build_loss("weighted-masked-mse", frequencies=SHARES, normalize="labelled"),
    "mse by own class": build_loss("weighted-masked-mse", frequencies=SHARES, weighting="own-class"),
    "weighted focal": build_loss("partial-focal", frequencies=SHARES, weighting="own-class", gamma=0.5),
    "sum": build_loss("partial-cross-entropy + 0.5*dice + 0.1*superpixel-consistency", frequencies=SHARES),
}
OF_LABELS = [name for name, loss in MADE.items() if not loss.needs_superpixels]
every_loss = pytest.mark.parametrize("loss", MADE.values(), ids=MADE)
every_loss_of_labels = pytest.mark.parametrize("loss", [MADE[name] for name in OF_LABELS], ids=OF_LABELS)


def example(seed: int, *, shape: tuple[int, int, int] = (2, 5, 6)) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, labels and superpixels of a few patches."""
    outputs, labels, _ = batch(seed, shape=shape)
    outputs, labels, superpixels = tensors(outputs, labels, label_maps(seed, shape=shape))
    return outputs, labels, superpixels


def value_and_gradient(loss: Loss, outputs: Tensor, labels: Tensor, superpixels: Tensor) -> tuple[Tensor, Tensor]:
    traced = outputs.clone().requires_grad_()
    value = loss(traced, labels, superpixels)
    value.backward()
    return value.detach(), traced.grad


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of all tensors made under it while they live, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401  # as PyTorch calls it
        given = {tensor.untyped_storage().data_ptr() for tensor in args if isinstance(tensor, torch.Tensor)}
        made = operation(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor.untyped_storage(), given)
        return made

    def count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        """Count a storage that is neither known nor that of an operand."""
        if storage.data_ptr() in self.seen | given:
            return
        self.seen.add(storage.data_ptr())
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        finalize(storage, self.forget, storage.data_ptr(), storage.nbytes())

    def forget(self, storage: int, n_bytes: int) -> None:
        """Take back a storage that is no more."""
        self.seen.discard(storage)
        self.now -= n_bytes


def peak_to_outputs(loss: Callable[..., Tensor]) -> float:
    """Most memory beside what is given, forward and backward, over that of the outputs."""
    outputs, labels, _ = tensors(*batch(0, shape=(1, 8, 8), n_classes=250))
    (superpixels,) = tensors(label_maps(0, shape=(1, 8, 8)))
    outputs.requires_grad_()
    with PeakMemory() as memory:
        torch.autograd.grad(loss(outputs, labels, superpixels), outputs)
    return memory.peak / outputs.untyped_storage().nbytes()


@every_loss
def test_the_gradient_is_that_of_the_value(loss: Loss) -> None:
    outputs, labels, superpixels = example(1, shape=(1, 2, 3))
    traced = outputs.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss(values, labels, superpixels), traced)


@every_loss
def test_without_labels_and_superpixels_the_loss_is_0_with_zero_gradient_even_for_outputs_that_are_no_numbers(
    loss: Loss,
) -> None:
    outputs = torch.tensor([1.0, torch.inf, -torch.inf, torch.nan]).reshape(1, 1, 1, 4).repeat(1, 4, 1, 1)
    nothing, nodata = torch.full((1, 1, 4), IGNORE), torch.zeros(1, 1, 4, dtype=torch.int64)
    value, gradient = value_and_gradient(loss, outputs, nothing, nodata)
    assert value.item() == 0
    assert not gradient.any()


@every_loss_of_labels
@pytest.mark.parametrize("there", [0.0, 1e4, torch.inf, torch.nan])
def test_what_stands_at_unlabelled_pixels_changes_neither_value_nor_gradient(loss: Loss, there: float) -> None:
    outputs, labels, superpixels = example(2)
    unlabelled = (labels == IGNORE).unsqueeze(1).expand_as(outputs)
    value, gradient = value_and_gradient(loss, outputs, labels, superpixels)
    outputs[unlabelled] = there
    other_value, other_gradient = value_and_gradient(loss, outputs, labels, superpixels)
    assert torch.equal(value, other_value)
    assert torch.equal(gradient, other_gradient)
    assert not gradient[unlabelled].any()
    assert gradient[~unlabelled].any()


@every_loss
def test_labels_of_any_integer_type_and_ids_as_in_a_label_map_are_taken(loss: Loss) -> None:
    outputs, labels, superpixels = example(3)
    assert superpixels.dtype == torch.uint32
    expected = loss(outputs, labels, superpixels)
    for dtype in (torch.uint8, torch.int16):
        assert torch.equal(loss(outputs, labels.to(dtype), superpixels.to(torch.int64)), expected)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_half_precision_is_finite_and_as_good_as_its_outputs(loss: Loss, dtype: torch.dtype, scale: float) -> None:
    outputs, labels, superpixels = example(4)
    outputs = (outputs / outputs.abs().max() * scale).to(dtype)
    with torch.autocast("cpu", dtype):
        value, gradient = value_and_gradient(loss, outputs, labels, superpixels)
    expected, slopes = value_and_gradient(loss, outputs.float(), labels, superpixels)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert torch.equal(value, expected)
    torch.testing.assert_close(gradient, slopes.to(dtype))
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_gradient_and_at_most_one_softmax_are_all_that_stands_beside_the_outputs(name: str) -> None:
    of_shares = name in {"dice", "lovasz-softmax", "superpixel-consistency"}
    loss = build_loss(name, frequencies=[1 / 250] * 250)
    # A tenth is left for what has one value a pixel; a one-hot image takes a quarter at least.
    assert peak_to_outputs(loss) < (2.1 if of_shares else 1.1)


def test_the_usual_form_with_a_one_hot_image_would_take_four_times_the_outputs() -> None:
    def usual(outputs: Tensor, labels: Tensor, _: Tensor) -> Tensor:
        truth = one_hot(torch.where(labels == IGNORE, 0, labels), 250).movedim(-1, 1)
        return -(outputs.log_softmax(1) * truth)[(labels != IGNORE).unsqueeze(1).expand_as(outputs)].mean()

    assert peak_to_outputs(usual) > 4


@every_loss
def test_images_with_channels_last_give_the_same(loss: Loss) -> None:
    outputs, labels, superpixels = example(5)
    last = outputs.to(memory_format=torch.channels_last)
    for ours, theirs in zip(
        value_and_gradient(loss, last, labels, superpixels),
        value_and_gradient(loss, outputs, labels, superpixels),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@every_loss
def test_it_compiles_as_one_graph_with_its_gradient_and_gives_the_same(loss: Loss) -> None:
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for seed in (6, 7):
        outputs, labels, superpixels = example(seed)
        for ours, theirs in zip(
            value_and_gradient(compiled, outputs, labels, superpixels.to(torch.int64)),
            value_and_gradient(loss, outputs, labels, superpixels),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


@every_loss
def test_it_is_the_same_under_deterministic_algorithms(loss: Loss) -> None:
    expected = value_and_gradient(loss, *example(8))
    before = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(mode=True)
    try:
        for ours, theirs in zip(value_and_gradient(loss, *example(8)), expected, strict=True):
            assert torch.equal(ours, theirs)
    finally:
        torch.set_deterministic_debug_mode(before)


@every_loss
def test_a_labelled_pixel_that_is_no_number_makes_the_loss_no_number(loss: Loss) -> None:
    outputs, labels, superpixels = example(9)
    superpixels = superpixels.to(torch.int64).clamp(min=1)
    outputs[(labels != IGNORE).unsqueeze(1).expand_as(outputs)] = torch.nan
    assert loss(outputs, labels, superpixels).isnan()


@every_loss_of_labels
def test_shapes_that_do_not_fit_are_refused(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"\(1, 4, 5\) and \(1, 4, 4, 4\)"):
        loss(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 5))
