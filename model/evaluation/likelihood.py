"""Bits per byte of held-out posts given their briefs: the model as f32, as shipped, and the trigram; and engine against PyTorch.

The end token is part of every text. The model is told tone, length and flags; the angle counts as text that it
must predict, so its figure is an upper bound. The trigram sees neither, only (with the cache) the brief.
"""
import json
import math
import random
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from batches import Shard
from data import hand_written, held_out, notes, pack, plain, takes
from model import Llama
from prompt import ANGLES
from tokenizers import Tokenizer

from evaluation.engine import Engine
from evaluation.ngram import Trigram, copied, mixed_bits
from evaluation.training import shard_texts

BATCH_TOKENS = 3360
PARITY_TEXTS = ("We open on Thursday at 9. Bring your dog, a towel and 2 friends!", "sheep on the road again",
                "Caf\u00e9 \u2615 7.15, 12.00: no Sunday sailing.")


def held_out_pairs(data: Path) -> dict[str, list[tuple]]:
    """{set: [(task, tone, angle, brief, text)]}; the natural posts only where train/data.py has run."""
    sources = {"hand-written": hand_written(), "plain": plain(), "notes": notes()}
    sets = {name: takes(p for p in posts if held_out(p["brief"])) for name, posts in sources.items()}
    natural = data / "valid-natural.json"
    return sets | ({"natural": json.loads(natural.read_text(encoding="utf-8"))} if natural.exists() else {})


@torch.no_grad()
def model_bits(model: Llama, tokenizer: Tokenizer, pairs: list[tuple]) -> tuple[float, float]:
    """Bits per byte, and how many of them the angle takes."""
    angles = torch.tensor([tokenizer.token_to_id(f"<|angle:{angle}|>") for angle in ANGLES])
    bits, of_angles = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.npz"
        pack(path, tokenizer, pairs, random.Random(0))
        for ids, targets in Shard(path).in_order(BATCH_TOKENS):
            wanted = targets[targets >= 0]
            each = F.cross_entropy(model.logits(model.hidden(ids)[targets >= 0]), wanted, reduction="none") / math.log(2)
            bits, of_angles = bits + each.sum().item(), of_angles + each[torch.isin(wanted, angles)].sum().item()
    return bits / num_bytes(pairs), of_angles / num_bytes(pairs)


def num_bytes(pairs: list[tuple]) -> int:
    return sum(len(text.encode()) for *_, text in pairs)


def train_trigram(tokenizer: Tokenizer, data: Path) -> Trigram:
    """On the natural posts, where there are any, and every hand-written post that is not held out."""
    eos, natural = tokenizer.token_to_id("<|eos|>"), data / "natural.npz"
    written = [text for *_, text in takes(p for p in hand_written() + plain() + notes() if not held_out(p["brief"]))]
    texts = [encoded.ids + [eos] for encoded in tokenizer.encode_batch(written, add_special_tokens=False)]
    return Trigram(texts + (shard_texts(natural) if natural.exists() else []), tokenizer.get_vocab_size(), tokenizer.token_to_id("<|bos|>"))


def trigram_bits(trigram: Trigram, tokenizer: Tokenizer, pairs: list[tuple]) -> tuple[float, float]:
    """Alone, and with the copy-from-brief cache."""
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    end, both = [tokenizer.token_to_id("<|eos|>")], []
    for _, _, _, brief, text in pairs:
        tokens = ids(text) + end
        both.append((trigram.of_text(tokens), copied(ids(" " + brief), tokens)))
    alone = -np.log2(np.concatenate([p for p, _ in both])).sum()
    return float(alone) / num_bytes(pairs), mixed_bits(both) / num_bytes(pairs)


def bits_per_byte(shipped: Llama, unquantised: Llama | None, tokenizer: Tokenizer, data: Path) -> dict[str, dict[str, float]]:
    """{set: {who: bits per byte}}, and what the quantisation and the model change, in per cent."""
    trigram, out = train_trigram(tokenizer, data), {}
    for name, pairs in held_out_pairs(data).items():
        row = {"texts": len(pairs)}
        row["model as shipped"], row["of it the angle"] = model_bits(shipped, tokenizer, pairs)
        row["trigram"], row["trigram with copy cache"] = trigram_bits(trigram, tokenizer, pairs)
        for other in ("trigram", "trigram with copy cache"):
            row[f"model below {other}, %"] = 100 * (1 - row["model as shipped"] / row[other])
        if unquantised:
            row["model f32"], _ = model_bits(unquantised, tokenizer, pairs)
            row["shipped above f32, %"] = 100 * (row["model as shipped"] / row["model f32"] - 1)
        out[name] = {key: round(value, 3) for key, value in row.items()}
    return out


@torch.no_grad()
def parity(engine: Engine, model: Llama, tokenizer: Tokenizer) -> dict[str, float]:
    """The largest difference of a logit between the engine and PyTorch over a few texts, and the logits' spread."""
    largest, spread = 0.0, 0.0
    for text in PARITY_TEXTS:
        ids = [tokenizer.token_to_id("<|bos|>")] + tokenizer.encode(text, add_special_tokens=False).ids
        ours = model.logits(model.hidden(torch.tensor([ids])))[0]
        largest, spread = max(largest, (engine.logits(ids) - ours).abs().max().item()), max(spread, ours.std().item())
    found = {"largest difference of a logit": round(largest, 6), "standard deviation of the logits": round(spread, 3)}
    return {"texts": len(PARITY_TEXTS)} | found
