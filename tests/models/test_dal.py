"""The affinity network: its layers, and how far it looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from superpoint.errors import InputError
from superpoint.models.dal import (
    ALIGNMENT,
    RADIUS,
    Dal,
    frozen_statistics,
    likeness,
)
from superpoint.superpixels.affinity import gaussian_weights
from superpoint.superpixels.dal import NEIGHBOURS

pytestmark = pytest.mark.usefixtures("one_thread")


def small(norm: str = "batch", **settings: float) -> Dal:
    torch.manual_seed(0)
    return Dal(width=1 / 32, norm=norm, **settings).eval()


def pictures(rows: int, cols: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((1, 3, rows, cols), generator=torch.Generator().manual_seed(seed))


def n_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_full_network_has_the_published_number_of_parameters_and_72_of_them_are_not_used() -> None:
    network = Dal().eval()
    assert n_parameters(network) == 14_734_472
    assert n_parameters(network.conv5) == 72
    image = pictures(32, 32)
    with torch.no_grad():
        before = network(image)
        network.conv5.weight.fill_(9)
        assert torch.equal(network(image), before)


def test_the_trunk_is_that_of_vgg_16_for_8_channels() -> None:
    vgg_16 = 14_714_688  # the convolutions of torchvision's vgg16
    assert n_parameters(Dal().stages) == vgg_16 + 64 * 9 * (8 - 3)


def test_a_quarter_of_the_width_has_a_sixteenth_of_the_weights() -> None:
    assert n_parameters(Dal(width=0.25, norm="batch")) == pytest.approx(14_734_472 / 16, rel=0.02)


def test_fusing_before_upsampling_is_fusing_after_it() -> None:
    """The layers as they are described: side heads, upsampled, concatenated, fused."""
    network, image = small(), pictures(64, 96)
    with torch.no_grad():
        features, sides = network.residuals(network.stem(image)), []
        for level, (stage, head) in enumerate(zip(network.stages, network.heads, strict=True)):
            features = stage(functional.max_pool2d(features, 2) if level else features)
            sides.append(functional.interpolate(head(features), (64, 96), mode="bilinear"))
        described = network.fuse(torch.cat(sides, dim=1)).sigmoid()
        torch.testing.assert_close(network(image), described, rtol=0, atol=1e-5)


def test_an_affinity_looks_as_far_as_is_said_and_no_farther() -> None:
    network = small()
    image = pictures(272, 272).requires_grad_()
    reach = 0
    for place in (128, 135, 136, 143):  # the first, middle and last pixels of a cell of 16
        (gradient,) = torch.autograd.grad(network.logits(image)[0, :, place, place].sum(), image)
        rows, cols = gradient[0].abs().sum(dim=0).nonzero(as_tuple=True)
        reach = max(reach, *((found - place).abs().max().item() for found in (rows, cols)))
    assert RADIUS - ALIGNMENT <= reach <= RADIUS


def test_the_described_halo_of_128_holds_every_pixel_that_matters() -> None:
    assert RADIUS <= 128
    assert 128 % ALIGNMENT == 0


@pytest.mark.parametrize(("norm", "differs"), [("batch", False), ("instance", True)])
def test_only_instance_norm_depends_on_where_the_window_ends(norm: str, differs: bool) -> None:
    network, image = small(norm), pictures(320, 320)
    image[:, :, :, 160:] *= 3
    with torch.no_grad():
        whole, window = network(image), network(image[:, :, :144, :144])
    close = torch.allclose(whole[:, :, :16, :16], window[:, :, :16, :16], rtol=0, atol=1e-5)
    assert close is not differs


def test_with_frozen_statistics_instance_norm_does_not_either() -> None:
    network, image = small("instance"), pictures(320, 320)
    image[:, :, :, 160:] *= 3
    with torch.no_grad():
        whole = network(image)
        with frozen_statistics(network, image):
            window = network(image[:, :, :144, :144])
        torch.testing.assert_close(window[:, :, :16, :16], whole[:, :, :16, :16], rtol=0, atol=1e-5)
        assert torch.equal(network(image), whole)


def test_sharpness_is_a_power_and_sigma_the_likeness_of_colours() -> None:
    image, place = pictures(32, 32), (0, slice(None), 9, 20)
    with torch.no_grad():
        plain, used = small()(image), small(sharpness=3, sigma=0.2)(image)
    for channel, (down, right) in enumerate(NEIGHBOURS):
        squares = (image[place] - image[0, :, 9 + down, 20 + right]) ** 2
        expected = plain[place][channel] ** 3 * torch.exp(-squares.mean() / (2 * 0.2**2))
        torch.testing.assert_close(used[place][channel], expected)


def test_likeness_is_that_of_gaussian_affinities() -> None:
    """Two rooms, one formula: the edges E and S are the channels 0 and 2."""
    image = pictures(12, 14)
    weights = gaussian_weights(image[0].numpy(), np.ones((12, 14), bool), sigma=0.1, connectivity=4)
    alike = likeness(image, 0.1)[0].numpy()
    assert alike.min() == np.float32(0.001)
    np.testing.assert_allclose(weights[:, :-1, 0], alike[0, :, :-1], rtol=1e-5)
    np.testing.assert_allclose(weights[:-1, :, 1], alike[2, :-1], rtol=1e-5)


@pytest.mark.parametrize(
    "setting", [{"sharpness": 0}, {"sigma": -1}, {"width": 0}, {"width": 1.5}, {"width": math.nan}, {"norm": "layer"}]
)
def test_a_network_that_cannot_be_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        Dal(**setting)
