"""Pairs of a draft that the model wrote and its correction by hand -> a loss that moves the model from the one to the other.

Direct preference optimisation (Rafailov et al. 2023): -log sigmoid(beta * (margin - margin of the model before)), where a margin is the
log-probability of the correction less that of the draft. What both begin with cancels, so that the loss falls on what was wrong. Alone it
makes the draft unlikelier faster than the correction likelier, and good text with it; so the correction's own cross-entropy is added
(Pang et al. 2024), and the weight of both stays small beside the mixture's cross-entropy.
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batches import Shard, cut, padded
from model import Llama


class Preferring(nn.Module):
    def __init__(self, model: Llama, weight: float, beta: float):
        super().__init__()
        self.model, self.weight, self.beta = model, weight, beta

    def forward(self, ids: Tensor, targets: Tensor, pair_ids: Tensor, pair_targets: Tensor, before: Tensor) -> Tensor:
        """`pair_ids`: [2 * pairs, time], corrections at even rows; `before`: [pairs] margins of the reference."""
        scores = log_probabilities(self.model, pair_ids, pair_targets)
        corrected = pair_targets[0::2] >= 0
        is_pair = corrected.any(1)  # and not padding
        preferred = F.logsigmoid(self.beta * (margins(scores) - before)[is_pair]).mean()
        return self.model(ids, targets) - self.weight * (preferred + scores[0::2].sum() / corrected.sum())


class Pairs:
    """A shard in which every correction is followed by its draft: a batch of one rank for each step."""

    def __init__(self, path: Path, model: Llama, batch_tokens: int, seed: int, rank: int = 0, world: int = 1):
        shard = Shard(path)
        longest = lambda i: max(shard.lengths[2 * i:2 * i + 2])
        order = sorted(range(rank, len(shard) // 2, world), key=longest)
        groups = cut([(Longest(longest(i)), 0) for i in order], batch_tokens // 2)
        self.batches, at = [], 0
        for group in groups:
            documents = [(shard, 2 * i + k) for i in order[at:at + len(group)] for k in (0, 1)]
            at += len(group)
            ids, targets = (t[:len(t) // 2 * 2] for t in padded(documents, batch_tokens, text_only=True))
            self.batches.append((ids, targets, margins(score(model, ids, targets))))
        self.seed, self.count = seed, len(order)

    def at(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        epoch, i = divmod(step, len(self.batches))
        return self.batches[np.random.default_rng([self.seed, epoch]).permutation(len(self.batches))[i]]

    def preferred(self, model: Llama) -> float:
        """The share of pairs whose correction is likelier than the draft."""
        right = sum(int((margins(score(model, ids, targets)) > 0).sum()) for ids, targets, _ in self.batches)
        return right / self.count


class Longest:
    """The length of a pair's longer half, as `cut` reads it."""

    def __init__(self, length: int):
        self.lengths = [length]


def margins(scores: Tensor) -> Tensor:
    return scores[0::2] - scores[1::2]


def log_probabilities(model: Llama, ids: Tensor, targets: Tensor) -> Tensor:
    """[rows]: of the targets that are not negative, added up."""
    each, at = model.losses(ids, targets)
    return -torch.zeros(len(targets), device=ids.device).index_add(0, at // targets.shape[1], each)


@torch.no_grad()
def score(model: Llama, ids: Tensor, targets: Tensor) -> Tensor:
    was = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        found = log_probabilities(model, ids.to(device), targets.to(device))
    model.train(was)
    return found.cpu()
