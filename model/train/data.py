"""Hand-written records and the corpus -> one packed shard per group of documents, as uint16 token ids.

    python data.py [--corpus DIR] [--out DIR] [--variants 2] [--xz DIR]

Share-alike documents (licence begins CC-BY-SA) are left out, the slot grammar is thinned, 5 % of the
hand-written briefs (by hash) are held out as validation. A shard holds
    tokens [sum of lengths] u16    starts [documents + 1] i64    prompts [documents] u16
where `prompts` counts the tokens up to and with <|out|>, on which the post phase takes no loss.
"""
import argparse
import hashlib
import io
import json
import lzma
import random
import re
import sys
from pathlib import Path

import numpy as np
import zstandard

from augment import roughen, tagged, vary
from telegraph import passages, telegraph
from prompt import LENGTHS, controls, length_of, load_tokenizer, prompt_ids

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from eval import keeps, numbers, required, same_stem, words  # noqa: E402

DATA = HERE.parent / "data"
CORPUS = HERE.parents[2] / "shared" / "corpus"
HELD_OUT_PER_MILLE = 50
MAX_TOKENS = 256
LEAST_KEPT = 0.6  # of the brief's required words: a post that leaves more out teaches a small model to leave the topic
RETIRED = {"benefit": "announcement", "update": "announcement"}  # angles whose token another one has
STOP = set("the a an and or of to in on for with at by from is are was were be it its this that we our you your i my "
           "they their he she his her as not no so but if then than just very all more can will have has had do".split())


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(args.tokenizer or args.corpus / "tokenizer-8k.json")
    rng = random.Random(args.seed)
    posts, pairs = hand_written(), corrections()
    train = takes(p for p in posts if not held_out(p["brief"]))
    said, noted = plain(), notes()
    groups = {
        "valid": takes(p for p in posts if held_out(p["brief"])),
        "valid-plain": takes(p for p in said if held_out(p["brief"])),
        "valid-notes": takes(p for p in noted if held_out(p["brief"])),
        "pairs": [half for brief, *pair in pairs if not held_out(brief) for half in pair],
        "valid-pairs": [half for brief, *pair in pairs if held_out(brief) for half in pair],
        "authored": [(*kind, *vary(brief, text, rng)) for _ in range(args.variants) for *kind, brief, text in train],
        "plain": [(*kind, *tagged(*vary(brief, text, rng), rng)) for _ in range(args.variants)
                  for *kind, brief, text in takes(p for p in said if not held_out(p["brief"]))],
        "notes": [(*kind, *tagged(*vary(brief, text, rng), rng)) for _ in range(args.variants)
                  for *kind, brief, text in takes(p for p in noted if not held_out(p["brief"]))],
        "edits": [pair for _ in range(2) for pair in edits()],
        "rough": [("fix" if rng.random() < 0.5 else "rewrite", tone, None, roughen(text, rng), text)
                  for _, tone, _, _, text in train] + starts(train, rng),
    }
    said = groups["plain"][:len(groups["plain"]) // args.variants]
    groups["telegraph"] = telegraphed([(tone, text) for _, tone, _, _, text in train + said], rng)
    if args.corpus.exists():
        groups |= corpus_groups(args.corpus, rng)
        groups["telegraph"] += telegraphed(sentences(args.corpus, rng), rng)
        groups["valid-natural"] = natural_valid(args.corpus, random.Random(args.seed))
        (args.out / "valid-natural.json").write_text(json.dumps(groups["valid-natural"]))
    for name, members in groups.items():
        count, size, text = pack(args.out / f"{name}.npz", tokenizer, members, rng, "medium" if name.endswith("pairs") else None)
        print(f"{name:14} {count:7} documents {size:9} tokens, {text:9} of them text")
    if args.xz:
        compress(args.out, args.xz)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--tokenizer", type=Path, help="default: tokenizer-8k.json of the corpus")
    parser.add_argument("--out", type=Path, default=HERE / "runs" / "data")
    parser.add_argument("--variants", type=int, default=2, help="augmented copies of each hand-written post")
    parser.add_argument("--xz", type=Path, metavar="DIR", help="also the shards that run.py takes, compressed")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def compress(folder: Path, to: Path):
    to.mkdir(parents=True, exist_ok=True)
    paths = sorted(folder.glob("*.npz"))
    for path in paths:
        (to / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=6))
    print(f"{sum(f.stat().st_size for f in to.glob('*.npz.xz'))} bytes of compressed shards")


def hand_written() -> list[dict]:
    return [record for path in sorted(DATA.glob("posts-*.jsonl")) for record in lines(path)]


def plain() -> list[dict]:
    """The briefs said in plain sentences and in their own order, what a small model can learn to do without a fault. Remarks of the writer's
    own are left out: a small model makes them where they mean nothing."""
    records = [record for path in sorted(DATA.glob("plain-*.jsonl")) for record in lines(path)]
    records += [{"brief": d["brief"], "takes": [{"angle": "plain", "tone": d["tone"], "text": d["text"]}]} for d in corrected()]
    bare = lambda record: [take for take in record["takes"] if without_remark(record["brief"], take["text"])]
    return [record | {"takes": bare(record)} for record in records]


def notes() -> list[dict]:
    """The briefs as their writers would post them after half a minute's care: what is a fragment stays one. Building a sentence out of it is
    where a small model fails."""
    own = [record for path in sorted(DATA.glob("note-*.jsonl")) for record in lines(path)]
    take = lambda d, text: {"angle": "note", "tone": d["tone"], "text": text}
    return own + [{"brief": d["brief"], "takes": [take(d, text) for text in faultless(d)[:2]]} for d in judged()]


def corrected() -> list[dict]:
    """Drafts that a model wrote, each with its text as a person would leave it."""
    return [record for path in sorted(DATA.glob("corrected-*.jsonl")) for record in lines(path)]


def judged() -> list[dict]:
    """Drafts that a model wrote for one brief, which of them are without a fault, and where none is, a correction."""
    return [record for path in sorted(DATA.glob("judged-*.jsonl")) for record in lines(path)]


def faultless(d: dict) -> list[str]:
    """The good drafts of a judged brief, or its correction."""
    return [text for text, is_good in d["drafts"] if is_good] or [d["text"]]


def corrections() -> list[tuple]:
    """(brief, a text as a person would leave it, a faulty draft) of what a model wrote, both texts as in `takes`."""
    half = lambda d, text: ("post", d["tone"], "note", d["brief"], text)
    pairs = []
    for d in judged():
        good = faultless(d)
        pairs += [(d["brief"], half(d, good[i % len(good)]), half(d, text)) for i, (text, is_good) in enumerate(d["drafts"]) if not is_good]
    return pairs


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8") if line.strip()]


def held_out(brief: str) -> bool:
    digest = hashlib.sha256(brief.strip().lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1000 < HELD_OUT_PER_MILLE


def takes(posts) -> list[tuple]:
    """(task, tone, angle, what was typed, text) for each take that keeps to its brief."""
    return [("post", take["tone"], RETIRED.get(take["angle"], take["angle"]), post["brief"], take["text"])
            for post in posts for take in post["takes"] if faithful(post["brief"], take["text"])]


def faithful(brief: str, text: str) -> bool:
    words = required(brief)
    return numbers(text) <= numbers(brief) and sum(keeps(text, w) for w in words) >= LEAST_KEPT * len(words)


CLAUSES = re.compile(r"[.!?:]+\s+|,\s+(?:and|but|so|as|which|because)\b")


def without_remark(brief: str, text: str) -> bool:
    """Whether each clause holds a word of its brief, or no word that says something; a brief of up to three words has to be helped."""
    given = words(brief)
    if len(given) <= 3:
        return True
    says = [required(clause) for clause in CLAUSES.split(text)]
    return all(not own or any(same_stem(word, other) for word in own for other in given) for own in says)


def starts(pairs: list[tuple], rng: random.Random) -> list[tuple]:
    """Every third post, cut at a space in its first half: the rest is the continuation."""
    out = []
    for _, tone, _, _, text in pairs:
        words = text.split(" ")
        if len(words) > 7 and rng.random() < 0.33:
            cut = rng.randint(2, len(words) // 2)
            out.append(("continue", tone, None, " ".join(words[:cut]), " ".join(words[cut:])))
    return out


def edits() -> list[tuple]:
    out = []
    for d in (d for path in sorted(DATA.glob("edits*.jsonl")) for d in lines(path)):
        tone = d["task"] if d["task"] in ("friendly", "formal", "witty") else "neutral"
        out.append(("rewrite" if tone != "neutral" else d["task"], tone, None, d["input"], d["text"]))
    for d in (d for path in sorted(DATA.glob("continue*.jsonl")) for d in lines(path)):
        out.append(("continue", "neutral", None, d["start"], d["text"]))
    return out


def corpus_groups(corpus: Path, rng: random.Random) -> dict[str, list[tuple]]:
    groups = {name: [] for name in ("natural", "grammar", "natural-edits", "chat", "prose")}
    for task in ("post", "rewrite", "continue", "shorten", "chat", "prose"):
        for d in documents(corpus / f"corpus-{task}-train.jsonl.zst"):
            made = d["source"].startswith("authored")
            group = {"post": "natural", "chat": "chat", "prose": "prose"}.get(task, "natural-edits")
            group = ("grammar" if task == "post" else None) if made else group
            if group is None or d["task"] == "simplify" or not kept(d, group, rng):
                continue
            tone = tone_of(d) if group != "natural" else None  # so that film talk does not pass for neutral posts
            typed = brief_of(d, rng) if task == "post" else d.get("input", "")
            groups[group].append((d["task"], tone, None, typed, d["text"]))
    return groups


def tone_of(d: dict) -> str:
    tone = (d.get("brief") or {}).get("tone", "neutral")
    return "friendly" if tone == "question" else tone


def kept(d: dict, group: str, rng: random.Random) -> bool:
    """Thinning: the grammar to a tenth, article sentences to a quarter, chat to a sixth."""
    if d["licence"].startswith("CC-BY-SA"):
        return False
    if group == "natural":
        share = 0.25 if d["register"] == "article" else 1
    else:
        share = {"grammar": 0.15, "chat": 0.3, "prose": 0.3}.get(group, 0.35)
    return rng.random() < share


def sentences(corpus: Path, rng: random.Random):
    """Sentences of the corpus with a tone that their last mark allows, or none."""
    for task, share in (("chat", 0.5), ("prose", 0.5), ("post", 1)):
        for d in documents(corpus / f"corpus-{task}-train.jsonl.zst"):
            if d["licence"].startswith("CC-BY-SA") or d["source"].startswith("authored"):
                continue
            for text in passages(d["text"], rng):
                if rng.random() < share:
                    yield rng.choice(["excited", "friendly", None] if text.endswith("!") else ["neutral", "witty", "reflective", None]), text


def telegraphed(texts, rng: random.Random) -> list[tuple]:
    return [("post", tone, "plain", typed, text) for tone, text in texts if (typed := telegraph(text, rng))]


def documents(path: Path):
    with path.open("rb") as f:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), encoding="utf-8"):
            yield json.loads(line)


def brief_of(d: dict, rng: random.Random) -> str:
    """What somebody might have typed to get this text: its topic, its keywords, or words out of it."""
    b = d.get("brief") or {}
    words = list(dict.fromkeys(w for w in re.findall(r"[A-Za-z0-9'-]+", d["text"]) if w.lower() not in STOP and len(w) > 2))
    given = ([b["topic"]] if "topic" in b else []) + b.get("keywords", [])
    if words and (not given or rng.random() < 0.5):
        picked = set(rng.sample(words, min(len(words), rng.randint(2, 6))))
        given = [w for w in words if w in picked]
    typed = rng.choice([", ", ", ", " ", " and "]).join(given or [d["text"].split(" ")[0]])
    return typed if rng.random() < 0.4 else typed.lower()


def natural_valid(corpus: Path, rng: random.Random) -> list[tuple]:
    """400 natural validation posts as (task, no tone, no angle, brief, text), for bits per byte outside the hand-written style."""
    rows = [d for d in documents(corpus / "corpus-post-valid.jsonl.zst")
            if not d["source"].startswith("authored") and not d["licence"].startswith("CC-BY-SA")]
    return [("post", None, None, brief_of(d, rng), d["text"]) for d in rng.sample(rows, 400)]


def pack(path: Path, tokenizer, pairs: list[tuple], rng: random.Random, asked: str | None = None) -> tuple[int, int, int]:
    """Writes a shard; documents, tokens, tokens of text. A plain post or a note answers to any length that it does not exceed, as
    it never pads, or to the length `asked`."""
    tokens, lengths, prompts = [], [], []
    special = tokenizer.token_to_id
    texts = tokenizer.encode_batch([text for *_, text in pairs], add_special_tokens=False)
    for (task, tone, angle, typed, text), encoded in zip(pairs, texts):
        if task == "prose":  # no request: the text follows <|out|> at once
            head = [special(t) for t in ("<|bos|>", "<|prose|>", "<|out|>")]
        elif task == "chat":
            head = prompt_ids(tokenizer, "prose", [], typed)
        else:
            length = asked or (rng.choice(LENGTHS[LENGTHS.index(length_of(text)):]) if angle in ("plain", "note") else None)
            head = prompt_ids(tokenizer, task, controls(task, tone, text, length), typed)
        first = [special(f"<|angle:{angle}|>")] if angle else []
        ids = (head + first + encoded.ids + [special("<|eos|>")])[:MAX_TOKENS]
        if len(head) + 2 <= len(ids):
            tokens.append(np.array(ids, np.uint16))
            lengths.append(len(ids))
            prompts.append(len(head))
    np.savez(path, tokens=np.concatenate(tokens), starts=np.concatenate([[0], np.cumsum(lengths)]),
             prompts=np.array(prompts, np.uint16))
    return len(lengths), sum(lengths), sum(lengths) - sum(prompts)


if __name__ == "__main__":
    main()
