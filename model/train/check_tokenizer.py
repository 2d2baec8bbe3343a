"""Proof that `tokenizer.ggml.pre = gpt-2` gives this tokenizer's ids.

    python check_tokenizer.py [--tokenizer FILE] [TEXT FILES ...]

The tokenizer splits digits singly and knows ASCII letters only; GPT-2's expression groups digits
and knows all letters. Where the two cut differently the ids can differ only if some vocabulary
entry reaches across a cut. None holds two digits; the one exception found is an accented letter
with an emoji's joiner or variation selector straight behind it, which no text has.
"""
import argparse
import json
import random
import re
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from prompt import load_tokenizer, tokenizer_text

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ALPHABET = " abcXYZ0129.,'!-\n\t#@éüßñ中文字½²🎉🏽☕️\u200d\u00a0…’“”ſ"

EXCEPTION = re.compile("[^\\W\\d_a-zA-Z][\u200d\ufe0f]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, default=CORPUS / "tokenizer-8k.json")
    parser.add_argument("texts", type=Path, nargs="*")
    args = parser.parse_args()
    ours, gpt2 = load_tokenizer(args.tokenizer), with_gpt2(args.tokenizer)
    rng = random.Random(1)
    noise = ["".join(rng.choices(ALPHABET, k=rng.randint(1, 30))) for _ in range(200_000)]
    lines = [line.rstrip("\n") for path in args.texts for line in path.open(encoding="utf-8")]
    print(f"entries with two digits: {multi_digit(args.tokenizer)}")
    for name, texts in (("random strings", noise), ("lines of the given files", lines)):
        a, b = ours.encode_batch(texts, add_special_tokens=False), gpt2.encode_batch(texts, add_special_tokens=False)
        wrong = [t for t, x, y in zip(texts, a, b) if x.ids != y.ids]
        known = [t for t in wrong if EXCEPTION.search(t)]
        print(f"{name}: {len(texts)} compared, {len(wrong)} differ, {len(known)} by the known exception")


def with_gpt2(path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_text(path))
    tokenizer.encode_special_tokens = True
    tokenizer.pre_tokenizer = Sequence([Split(Regex(GPT2), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def multi_digit(path: Path) -> list[str]:
    control = {t["content"] for t in json.loads(path.read_text(encoding="utf-8"))["added_tokens"]}
    return [t for t in json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
            if t not in control and sum(c in "0123456789" for c in t) > 1]


if __name__ == "__main__":
    main()
