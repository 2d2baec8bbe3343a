"""Shards -> an endless, seeded, resumable stream of padded batches of whole documents.

Documents are not packed together: each starts at position 0, as in use. So that padding stays
small, a pool of some twenty batches is drawn by the mixture, sorted by length, cut, and shuffled.
The position is (pool, batch within the pool); seeking there redraws the same batches.
"""
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

POOL_BATCHES = 24
ROUND_TO = 8  # times: few shapes, so that few kernels are compiled and kept


class Shard:
    """tokens [total] u16, starts [documents + 1] i64, prompts [documents] u16."""

    def __init__(self, path: Path):
        with np.load(path) as f:
            self.tokens, self.starts, self.prompts = f["tokens"], f["starts"], f["prompts"]
        self.lengths = np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.lengths)

    def in_order(self, batch_tokens: int):
        """All documents once, by length, with the loss on the text."""
        for group in cut([(self, i) for i in np.argsort(self.lengths)], batch_tokens):
            yield padded(group, text_only=True)


class Batches:
    def __init__(self, folder: Path, mixture: dict[str, float], batch_tokens: int, text_only: bool, seed: int, rank: int, world: int):
        self.shards = {name: Shard(folder / f"{name}.npz") for name in mixture}
        self.mixture, self.batch_tokens, self.text_only = mixture, batch_tokens, text_only
        self.seed, self.rank, self.world = seed, rank, world
        self.seek(0, 0)

    def seek(self, pool: int, batch: int):
        self.pool = self._draw(pool)
        self.position = (pool, min(batch, len(self.pool) - 1))  # a resumed rank comes with rank 0's position

    def next(self) -> tuple[Tensor, Tensor]:
        pool, batch = self.position
        out = padded(self.pool[batch], self.text_only)
        if batch + 1 < len(self.pool):
            self.position = (pool, batch + 1)
        else:
            self.seek(pool + 1, 0)
        return out

    def _draw(self, pool: int) -> list:
        """A shard is walked in a new order each epoch: pool n takes the n-th slice of its documents."""
        turn = pool * self.world + self.rank
        chosen = []
        for k, (name, share) in enumerate(self.mixture.items()):
            shard = self.shards[name]
            count = max(1, round(share * POOL_BATCHES * self.batch_tokens / shard.lengths.mean()))
            for at in range(turn * count, (turn + 1) * count):
                epoch, i = divmod(at, len(shard))
                chosen.append((shard, self._order(k, epoch, shard)[i]))
        chosen.sort(key=lambda c: c[0].lengths[c[1]])
        groups = cut(chosen, self.batch_tokens)
        np.random.default_rng([self.seed, turn]).shuffle(groups)
        return groups

    def _order(self, k: int, epoch: int, shard: Shard) -> np.ndarray:
        cached = getattr(shard, "order", None)
        if cached is None or cached[0] != epoch:
            shard.order = cached = (epoch, np.random.default_rng([self.seed, k, epoch]).permutation(len(shard)))
        return cached[1]


def cut(documents: list, batch_tokens: int) -> list[list]:
    """Neighbours by length together, at most `batch_tokens` padded tokens each."""
    groups, group = [], []
    for document in documents:
        length = int(document[0].lengths[document[1]])
        if group and (len(group) + 1) * length > batch_tokens:
            groups.append(group)
            group = []
        group.append(document)
    return groups + [group]


def padded(documents: list, text_only: bool) -> tuple[Tensor, Tensor]:
    """ids [batch, time] with 0 for padding; targets [batch, time], -1 where no loss is taken."""
    time = -(-max(int(s.lengths[i]) - 1 for s, i in documents) // ROUND_TO) * ROUND_TO
    ids, targets = np.zeros((len(documents), time), np.int64), np.full((len(documents), time), -1, np.int64)
    for row, (shard, i) in enumerate(documents):
        tokens = shard.tokens[shard.starts[i]:shard.starts[i + 1]]
        n = len(tokens) - 1
        first = int(shard.prompts[i]) - 1 if text_only else 0
        ids[row, :n] = tokens[:-1]
        targets[row, first:n] = tokens[1 + first:]
    return torch.from_numpy(ids), torch.from_numpy(targets)
