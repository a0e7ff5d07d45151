# SPDX-License-Identifier: MIT
"""What a student is held against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .model import Encoder
from .tokens import Tokens

TEMPERATURE = 0.05  # of similarities within a batch
COSINE, MATRIX = 10.0, 100.0


def state_loss(ours: Tensor, theirs: Tensor, tokens: Tokens) -> Tensor:
    """Squared error relative to the teacher's square, behind one layer."""
    error = ((ours - theirs) * tokens.real).square().sum()
    return error / (theirs * tokens.real).square().sum()


def hidden_loss(
    student: list[Tensor], teacher: list[Tensor], tokens: Tokens, kept: tuple[int, ...] = ()
) -> Tensor:
    """Mean over the student's layers, of which kept tells where in the teacher each stood."""
    wanted = [teacher[number] for number in kept] if kept else teacher
    return torch.stack([state_loss(*pair, tokens) for pair in zip(student, wanted)]).mean()


def embedding_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    """Cosine to the teacher's embedding, and the batch's similarities to the teacher's."""
    cosine = (1 - (ours * theirs).sum(-1)).mean()
    a, b = ours @ ours.T, theirs @ theirs.T
    off = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
    matrix = ((a - b).square() * off).sum() / off.sum()
    low = torch.full_like(a, -1e4)
    rows = F.kl_div(
        F.log_softmax(torch.where(off, a / TEMPERATURE, low), -1),
        F.log_softmax(torch.where(off, b / TEMPERATURE, low), -1),
        log_target=True,
        reduction="batchmean",
    )
    return COSINE * cosine + MATRIX * matrix + rows


def label_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the teacher's classes."""
    return F.kl_div(
        F.log_softmax(ours, -1), F.log_softmax(theirs, -1), log_target=True, reduction="batchmean"
    )


def score_rank_loss(model: Encoder) -> Tensor:
    """L_MS (eq. 9), mean over heads: how far scores are from rank 1.

    The singular values of Q K' are those of the small matrix between two QRs; its sum of
    singular values has a gradient that needs no vectors to be distinct.
    """
    losses = []
    for layer in model.stack():
        for group in layer.attention.parts():
            if group.spec.mode != "mhsa":
                continue
            shape = (len(group.heads), group.head_size, -1)
            query = torch.cat([group.query.weight, group.query.bias[:, None]], 1).view(shape)
            key = torch.cat([group.key.weight, group.key.bias[:, None]], 1).view(shape)
            r1 = torch.linalg.qr(query.transpose(1, 2)).R
            r2 = torch.linalg.qr(key.transpose(1, 2)).R
            values = torch.linalg.svdvals(r1 @ r2.transpose(1, 2))
            losses.append(1 - values[:, 0] / values.sum(-1))
    return torch.cat(losses).mean()
