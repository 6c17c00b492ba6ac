"""The weights of a CLIP that its makers published as a file of their own, such as FaRL's: OpenAI's names, in a .pth."""

import math
import re
from pathlib import Path

import torch
from torch import nn

from expclip_cache.encoders.torch_file import read_state_dict, refuse_other_names

LOGIT_SCALE = math.log(100)
"""That of OpenAI's CLIPs, for files that were trained from one and leave it out."""

UNREAD = re.compile(
    r"(input_resolution|context_length|vocab_size)$"  # in files that were made from OpenAI's own
    r"|visual\.(lm_transformer|ln_lm|lm_head|mask_token)\b"  # FaRL's part that fills in masked patches
)
"""Names of what neither tower uses."""


def load_checkpoint(model: nn.Module, file: Path) -> None:
    """Load the weights of both towers into a model that is built.

    Raises:
        EncoderError: the file cannot be read, or has other tensors than the model; the message names them.
    """
    found = {name: tensor for name, tensor in read_state_dict(file).items() if not UNREAD.match(name)}
    found.setdefault("logit_scale", torch.tensor(LOGIT_SCALE))
    refuse_other_names("backbone", file, found, model.state_dict())
    model.load_state_dict(found)
