"""A fully convolutional network, as torchvision builds it, on any encoder of segmentation-models-pytorch.

Long, Shelhamer and Darrell (2015), "Fully Convolutional Networks for Semantic Segmentation",
doi:10.1109/CVPR.2015.7298965, in the form that later papers compare with (torchvision's `fcn_resnet50`): the encoder
keeps an eighth of the resolution by dilation, one 3 x 3 convolution to a quarter of the channels, one 1 x 1 to
classes, enlarged bilinearly. There is no auxiliary head.
"""

from __future__ import annotations

from typing import Any

from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.segmentation.fcn import FCNHead

OUTPUT_STRIDE = 8


class Fcn(nn.Module):
    """The network; its parameters are called as those of segmentation-models-pytorch's are.

    From float32 (batch, in_channels, rows, cols) to raw outputs (batch, classes, rows, cols).

    Parameters
    ----------
    encoder_name : str
        An encoder that can be dilated.
    encoder_weights : str or bool, optional
        Pretrained weights of it.
    in_channels : int
        Bands.
    classes : int
        Channels of the output.

    Examples
    --------
    >>> import torch
    >>> network = Fcn(encoder_name="resnet18", encoder_weights=None, in_channels=4, classes=6).eval()
    >>> network(torch.zeros(1, 4, 32, 64)).shape
    torch.Size([1, 6, 32, 64])
    """

    def __init__(
        self, *, encoder_name: str, encoder_weights: str | bool | None, in_channels: int, classes: int
    ) -> None:
        super().__init__()
        self.encoder: Any = get_encoder(
            encoder_name, in_channels=in_channels, weights=encoder_weights, output_stride=OUTPUT_STRIDE
        )
        _dilate_as_torchvision(self.encoder)
        self.decoder = FCNHead(self.encoder.out_channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return raw outputs (batch, classes, rows, cols) for images (batch, bands, rows, cols)."""
        outputs: Tensor = self.decoder(self.encoder(images)[-1])  # (batch, classes, rows / 8, cols / 8)
        return functional.interpolate(outputs, images.shape[-2:], mode="bilinear", align_corners=False)


def _dilate_as_torchvision(encoder: nn.Module) -> None:
    """Let the first block of a dilated stage keep the dilation of the stage before, where blocks are bottlenecks.

    segmentation-models-pytorch dilates all blocks of a stage alike; torchvision's pretrained networks do not.
    """
    if not isinstance(encoder, ResNet) or not isinstance(encoder.layer4[0], Bottleneck):
        return
    for stage, dilation in ((encoder.layer3, 1), (encoder.layer4, 2)):
        stage[0].conv2.dilation = stage[0].conv2.padding = (dilation, dilation)
