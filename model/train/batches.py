"""Shards -> an endless, seeded, resumable stream of padded batches of whole documents.

Documents are not packed together: each starts at position 0, as in use. So that padding stays
small, a pool of some twenty batches is drawn by the mixture, sorted by length, cut, and shuffled.
Every batch has exactly `batch_tokens` places in one of few shapes: oneDNN compiles a kernel for each
shape it meets, and a changing one cost a third of the speed. The position is (pool, batch within the
pool); seeking there redraws the same batches.
"""
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

POOL_BATCHES = 24
TIMES = (32, 40, 48, 56, 70, 80, 96, 112, 140, 168, 210, 240)  # divisors of 3360; what is longer is cut


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
            yield padded(group, batch_tokens, text_only=True)


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
        out = padded(self.pool[batch], self.batch_tokens, self.text_only)
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


def time_of(documents: list) -> int:
    longest = max(int(s.lengths[i]) - 1 for s, i in documents)
    return next((time for time in TIMES if time >= longest), TIMES[-1])


def cut(documents: list, batch_tokens: int) -> list[list]:
    """Documents sorted by length -> neighbours together, as many as fit into `batch_tokens` places of the longest one's time."""
    groups, group = [], []
    for document in documents:
        if group and (len(group) + 1) * time_of([document]) > batch_tokens:
            groups.append(group)
            group = []
        group.append(document)
    return groups + [group]


def padded(documents: list, batch_tokens: int, text_only: bool) -> tuple[Tensor, Tensor]:
    """ids [batch, time] with 0 for padding; targets [batch, time], -1 where no loss is taken; batch = batch_tokens / time."""
    time = time_of(documents)
    shape = (max(batch_tokens // time, len(documents)), time)
    ids, targets = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for row, (shard, i) in enumerate(documents):
        tokens = shard.tokens[shard.starts[i]:shard.starts[i + 1]][:time + 1]
        n = len(tokens) - 1
        first = int(shard.prompts[i]) - 1 if text_only else 0
        ids[row, :n] = tokens[:-1]
        targets[row, first:n] = tokens[1 + first:]
    return torch.from_numpy(ids), torch.from_numpy(targets)
