"""An interpolated, modified Kneser-Ney trigram over the model's own tokens, and a copy-from-brief cache.

Over tokens and not over words: every text has tokens, so nothing is unknown, and as the model's
probabilities are over the same tokens both are proper over the same bytes. Chen and Goodman 1999,
equation 26; the discounts are estimated from the counts of counts. Everything is arrays of 64-bit
keys, (a * vocab_size + b) * vocab_size + c, sorted and searched.
"""
import numpy as np

MIN_PROBABILITY = 1e-300


class Order:
    """One n-gram length: discounted counts by key, and for each context its total and the mass left for the shorter n-gram."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray, vocab_size: int):
        """keys: [n-grams] i64, sorted; counts: [n-grams]; a key's context is key // vocab_size."""
        self.keys = keys
        discount = discounts(counts)[np.minimum(counts, 3)]
        self.kept = counts - discount
        self.contexts, first = np.unique(keys // vocab_size, return_index=True)
        self.totals = np.add.reduceat(counts, first).astype(float)
        self.left = np.add.reduceat(discount, first) / self.totals

    def probability(self, context: np.ndarray, key: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """All [words]; an unseen context leaves everything to `shorter`."""
        total, left = look_up(self.contexts, self.totals, context, 1.0), look_up(self.contexts, self.left, context, 1.0)
        return look_up(self.keys, self.kept, key, 0.0) / total + left * shorter


def discounts(counts: np.ndarray) -> np.ndarray:
    """[0, D1, D2, D3+] from the numbers of n-grams seen once to four times; too small a corpus gets one half."""
    seen = np.array([np.count_nonzero(counts == k) for k in range(1, 5)], float)
    if not seen.all():
        return np.array([0, 0.5, 0.5, 0.5])
    y = seen[0] / (seen[0] + 2 * seen[1])
    return np.array([0, *(np.clip(k - (k + 1) * y * seen[k] / seen[k - 1], 0.01, k - 0.01) for k in (1, 2, 3))])


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, default: float) -> np.ndarray:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], default)


class Trigram:
    def __init__(self, texts: list[list[int]], vocab_size: int, start: int):
        """texts: token ids with their end token; `start` fills the history of the first two."""
        self.size, self.start = vocab_size, start
        parts = [self._keys(np.asarray(ids, np.int64)) for ids in texts]
        keys, counts = np.unique(np.concatenate(parts), return_counts=True)
        pairs, before_pair = np.unique(keys % vocab_size ** 2, return_counts=True)
        words, before_word = np.unique(pairs % vocab_size, return_counts=True)
        self.orders = [Order(words, before_word, vocab_size), Order(pairs, before_pair, vocab_size), Order(keys, counts, vocab_size)]

    def _keys(self, ids: np.ndarray) -> np.ndarray:
        history = np.concatenate([[self.start, self.start], ids])
        return (history[:-2] * self.size + history[1:-1]) * self.size + ids

    def probability(self, keys: np.ndarray) -> np.ndarray:
        """keys: [words] trigram keys -> p(third token | first two) of each."""
        p = np.full(len(keys), 1 / self.size)
        for n, order in enumerate(self.orders, 1):
            key = keys % self.size ** n
            p = order.probability(key // self.size, key, p)
        return p

    def of_text(self, ids: list[int]) -> np.ndarray:
        """p of each token of a text, [len(ids)]."""
        return self.probability(self._keys(np.asarray(ids, np.int64)))


def copied(brief: list[int], ids: list[int]) -> np.ndarray:
    """p of each token under the cache: half "what follows the last token in the brief", half any token of the brief."""
    out = []
    for last, token in zip([None, *ids], ids):
        follows = [b for a, b in zip(brief, brief[1:]) if a == last]
        anywhere = brief.count(token) / len(brief)
        out.append((follows.count(token) / len(follows) + anywhere) / 2 if follows else anywhere)
    return np.array(out)


def mixed_bits(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Bits of all texts under weight * trigram + (1 - weight) * cache, the weight of one half of the texts tuned on the other."""
    halves = [[np.concatenate(side) for side in zip(*pairs[i::2])] for i in (0, 1)]
    bits = lambda half, weight: -np.log2(np.maximum(weight * half[0] + (1 - weight) * half[1], MIN_PROBABILITY)).sum()
    best = [min(np.arange(0.5, 1, 0.01), key=lambda weight: bits(half, weight)) for half in halves]
    return float(bits(halves[0], best[1]) + bits(halves[1], best[0]))
