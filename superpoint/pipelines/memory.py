"""What a worker's memory comes to: so much for being there, and so much for each tile that it is at.

    worker = base + threads x tile
    tile   = the greediest of a tile's steps, in bytes for each pixel of the window that is read

A window is a tile and its halo on all sides, an image of it float32. Per pixel of the window, for b bands of s bytes:

    reading        4b image + sb GDAL's blocks + 2b masks as they are made + 3
    scaling        16b: the image, where it is valid, the scaled one, and what is not a number; SLIC scales as it reads
    superpixels    8b the image and the scaled one (SLIC: 4b) + 1 valid + what the algorithm says it needs
    numbering      21, and writing 16, where tiles are joined; else 4, and 20 for each pixel of the tile
    joining        4 for each of the tiles around it, itself and 12 more, and 48 for each pixel of the tile

`benchmarks/memory.py` measures all this, tile by tile and in real workers. Data decide little of it, but for how busy
they are: the numbers are those of an aerial image or of noise, whichever is more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.superpixels.algorithm import MemoryNeed, ReadsStored, TellsMemory
from superpoint.superpixels.joining import is_joined

if TYPE_CHECKING:
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm
