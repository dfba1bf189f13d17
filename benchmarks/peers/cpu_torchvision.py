"""Run a script where pip has given torch for the CPU, and torchvision for CUDA.

    python cpu_torchvision.py SCRIPT [ARGUMENTS]

Such a torchvision cannot load its operators, and asks torch for two of them when it is imported.
Nothing here calls these, so their names are enough.
"""

from __future__ import annotations

import runpy
import sys
from importlib.metadata import version

import torch

if torch.version.cuda is None and "+" not in version("torchvision"):
    for name in ("nms", "qnms"):
        arguments = "(Tensor boxes, Tensor scores, float threshold) -> Tensor"
        torch.library.define(f"torchvision::{name}", arguments)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
