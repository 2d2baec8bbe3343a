"""The training texts: from the shards of train/data.py and the hand-written posts, to compare drafts with.

    shard_texts(path)   token ids of a shard's answers
    outputs(folder)     every text that the model was trained to write, augmented copies included
    Seen(texts)         which 6-grams of a draft stand in them, and the longest match
"""
from pathlib import Path

import numpy as np
from batches import Shard
from data import hand_written, held_out, notes, plain
from tokenizers import Tokenizer

from evaluation.wording import words

ORDER = 6
WRITTEN = ("authored", "plain", "notes", "natural", "natural-edits", "grammar", "edits", "rough")


def shard_texts(path: Path) -> list[list[int]]:
    """The answers of a shard's documents, with their end token."""
    shard = Shard(path)
    begins = shard.starts[:-1] + shard.prompts
    return [shard.tokens[a:b].tolist() for a, b in zip(begins, shard.starts[1:])]


def outputs(folder: Path, tokenizer: Tokenizer) -> list[str]:
    """The hand-written posts as they are, and what stands in those shards that exist."""
    written = [take["text"] for post in hand_written() + plain() + notes() if not held_out(post["brief"]) for take in post["takes"]]
    paths = [folder / f"{name}.npz" for name in WRITTEN]
    return written + [text for path in paths if path.exists() for text in tokenizer.decode_batch(shard_texts(path))]


class Seen:
    """Six-grams of words by hash, with their places.

    hashes [places] u64 sorted; places [places] i64, counted in words over all texts."""

    def __init__(self, texts: list[str]):
        self.word_ids: dict[str, int] = {}
        self.texts = {" ".join(words(text)) for text in texts}
        parts = [[self.word_ids.setdefault(w, len(self.word_ids) + 1) for w in text.split()] + [0] * ORDER for text in sorted(self.texts)]
        hashes = rolling_hash(np.concatenate([np.array(part, np.uint64) for part in parts]))
        self.places = np.argsort(hashes, kind="stable")
        self.hashes = hashes[self.places]

    def where(self, text: str) -> list[np.ndarray]:
        """For each 6-gram of the text, the places where the training texts have it; a word never seen is id 2^32, which none has."""
        ids = np.array([self.word_ids.get(w, 1 << 32) for w in words(text)], np.uint64)
        if len(ids) < ORDER:
            return []
        hashes = rolling_hash(ids)
        return [self.places[a:b] for a, b in zip(np.searchsorted(self.hashes, hashes), np.searchsorted(self.hashes, hashes, "right"))]

    def longest(self, where: list[np.ndarray]) -> int:
        """Words of the longest match; what is shorter than a 6-gram counts as 5. Longest common substring, a 6-gram at a time."""
        best, runs = ORDER - 1, {}
        for places in where:
            runs = {p: runs.get(p - 1, ORDER - 1) + 1 for p in places.tolist()}
            best = max([best, *runs.values()])
        return best

    def verbatim(self, text: str) -> bool:
        return " ".join(words(text)) in self.texts


def rolling_hash(ids: np.ndarray) -> np.ndarray:
    """[n] u64 -> the hash of each 6-gram, [n - 5] u64, modulo 2^64; a zero, the gap between texts, is a word like another."""
    out = np.zeros(max(0, len(ids) - ORDER + 1), np.uint64)
    for k in range(ORDER):
        out = (out * np.uint64(0x9E3779B97F4A7C15) + ids[k:len(ids) - ORDER + 1 + k]) ^ (out >> np.uint64(29))
    return out
