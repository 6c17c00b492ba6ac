"""The contrastive loss that Exp-CLIP trains its projection head with."""

import torch
import torch.nn.functional as F


def contrastive_loss(z: torch.Tensor, y: torch.Tensor, logit_scale: float) -> torch.Tensor:
    """Symmetric cross-entropy between projected image features and LLM targets (Exp-CLIP, section 3.2).

    With u and v the L2-normalised rows of z and y and s the logit scale, the logits of a batch are L = s u v' (b, b).
    Row i of L scores image i against every target, column i scores target i against every image, and entry (i, i) is
    the correct one in both. The loss is the mean of the two cross-entropies.

    This is the definition, for any float dtype and with autograd. `train_heads` takes the same steps faster, for many
    heads at once and with the gradient written out (see `fused_step`).

    Args:
        z: (b, t) projected image features, z = x W' for raw CLIP features x (b, d) and the head W (t, d).
        y: (b, t) raw LLM targets of the same images.
        logit_scale: s, the factor itself (CLIP's 100, not its logarithm); a constant.

    Returns:
        () loss in nats.
    """
    logits = logit_scale * F.normalize(z, dim=1) @ F.normalize(y, dim=1).T
    correct = torch.arange(len(z), device=z.device)
    return (F.cross_entropy(logits, correct) + F.cross_entropy(logits.T, correct)) / 2
