"""Drafts -> figures: how much of the brief they keep, whether they end, what they invent.

    python eval.py --drafts FILE.jsonl              score {"brief", "text"} lines, from any program
    python eval.py --model nano.gguf [--write FILE] draft for the validation briefs in PyTorch, then score
    python eval.py --briefs                         print the validation briefs as JSONL {"brief", "tone"}

A required word is a word or number of the brief that is not in the stop list; "kept" forgives
endings (baking, baked, bakes). The briefs were held out by hash before training (train/data.py).
"""
import argparse
import hashlib
import json
import math
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "train"))
BRIEFS = HERE / "validation-briefs.jsonl"
NUM_BRIEFS = 100
MAX_TOKENS = 110
STOP = set("""a about after again all also am an and any are as at be because been before being but by can come could day
did do does doing don't down each every few first for from get go going got had has have having he her here hers him his how
i if in into is it it's its i'm just let like made make me more most much my new no nor not now of off on once one only or other
our out over own please same she should so some still such than that that's the their them then there these they this those
through to too two under until up us very want was we we're were what when where which while who why will with would yes yet
you your""".split())
ENDS = re.compile("(?:[.!?\u2026][)\"'\u201d\u2019]*|#\\w+|[\u2600-\u27bf\u2b00-\u2bff\U0001F000-\U0001FAFF\ufe0f\u200d]+)$")


def main():
    args = arguments()
    if args.briefs:
        for row in choose_briefs(args.corpus):
            print(json.dumps(row, ensure_ascii=False))
        return
    if args.drafts:
        drafts = [json.loads(line) for line in args.drafts.open(encoding="utf-8") if line.strip()]
    else:
        drafts = draft_all(args)
    if args.write:
        args.write.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in drafts), encoding="utf-8")
    figures = score(drafts)
    if args.model and args.bits:
        figures |= bits_per_byte(args)
    for name, value in figures.items():
        print(f"{name:28} {value}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--drafts", type=Path, help='JSONL of {"brief", "text"}')
    what.add_argument("--model", type=Path, help="Hugging Face folder, .pt checkpoint or GGUF")
    what.add_argument("--briefs", action="store_true", help="print the validation briefs")
    parser.add_argument("--corpus", type=Path, default=HERE.parents[1] / "shared" / "corpus")
    parser.add_argument("--data", type=Path, default=HERE / "train" / "runs" / "data", help="shards, for --bits")
    parser.add_argument("--write", type=Path, help="keep the drafts")
    parser.add_argument("--bits", action="store_true", help="also bits per byte of the held-out texts")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--repetition-penalty", type=float, default=1.0)
    parser.add_argument("--length", choices=["short", "medium", "long"], default="medium")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def choose_briefs(corpus: Path) -> list[dict]:
    """The hundred held-out briefs with the smallest hashes, each with one of its four tones."""
    from data import hand_written, held_out
    key = lambda post: hashlib.sha256(post["brief"].strip().lower().encode()).hexdigest()
    posts = {key(p): p for p in hand_written(corpus) if held_out(p["brief"])}
    return [{"brief": posts[k]["brief"], "tone": posts[k]["takes"][int(k[-2:], 16) % 4]["tone"]} for k in sorted(posts)[:NUM_BRIEFS]]


def score(drafts: list[dict]) -> dict:
    """Shares over the drafts, in per cent unless the name says otherwise."""
    kept = [[keeps(d["text"], w) for w in required(d["brief"])] for d in drafts]
    share = lambda flags: round(100 * sum(flags) / max(1, len(flags)), 1)
    pairs = [pair for d in drafts for pair in zip(words(d["text"]), words(d["text"])[1:])]
    flat = lambda s: " ".join(words(s))
    return {
        "drafts": len(drafts),
        "any required word": share([any(k) for k in kept if k]),
        "all required words": share([all(k) for k in kept if k]),
        "required words kept": share([f for k in kept for f in k]),
        "ends a sentence": share([bool(ENDS.search(d["text"].strip())) for d in drafts]),
        "invents a number": share([bool(numbers(d["text"]) - numbers(d["brief"])) for d in drafts]),
        "keeps all its numbers": share([numbers(d["brief"]) <= numbers(d["text"]) for d in drafts if numbers(d["brief"])]),
        "holds the brief verbatim": share([flat(d["brief"]) in flat(d["text"]) for d in drafts]),
        "distinct bigrams": share([True] * len(set(pairs)) + [False] * (len(pairs) - len(set(pairs)))),
        "a word twice in a row": share([bool(re.search(r"\b(\w+) \1\b", d["text"].lower())) for d in drafts]),
        "characters, mean": round(sum(len(d["text"]) for d in drafts) / len(drafts), 1),
    }


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower())


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


def required(brief: str) -> list[str]:
    return [w for w in dict.fromkeys(words(brief)) if w not in STOP and (len(w) > 2 or w.isdigit())]


def keeps(text: str, word: str) -> bool:
    return any(same_stem(word, other) for other in words(text))


def same_stem(a: str, b: str) -> bool:
    if a == b or a.isdigit() or b.isdigit():
        return a == b
    a, b = stem(a), stem(b)
    return a == b or (min(len(a), len(b)) >= 5 and (a.startswith(b) or b.startswith(a)) and abs(len(a) - len(b)) <= 2)


def stem(word: str) -> str:
    word = re.sub(r"'s?$|'(?:ll|re|ve|d|m)$", "", word)
    for ending, least in (("ings", 3), ("ing", 3), ("ies", 2), ("ied", 2), ("ed", 3), ("es", 3), ("ly", 3), ("er", 4), ("s", 3), ("e", 3), ("y", 3)):
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word[:-len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def open_model(path: Path):
    from export import from_gguf, read
    return from_gguf(path) if path.suffix == ".gguf" else read(path)


def draft_all(args) -> list[dict]:
    import torch
    from prompt import load_tokenizer, prompt_ids
    torch.set_num_threads(1)  # one token at a time is too little work to share
    torch.manual_seed(args.seed)
    model, tokenizer = open_model(args.model), load_tokenizer(args.corpus / "tokenizer-8k.json")
    out = []
    for line in BRIEFS.open(encoding="utf-8"):
        row = json.loads(line)
        control = [f"<|tone:{row['tone']}|>", f"<|len:{args.length}|>", "<|tags:0|>", "<|emoji:0|>"]
        ids = generate(model, prompt_ids(tokenizer, "post", control, row["brief"]), tokenizer.token_to_id("<|eos|>"), args)
        out.append({**row, "text": tokenizer.decode(ids)})
    return out


def generate(model, prompt: list[int], eos: int, args) -> list[int]:
    import torch
    cache, out, ids = [None] * model.config.num_hidden_layers, [], torch.tensor([prompt])
    with torch.no_grad():
        while len(out) < MAX_TOKENS:
            logits = model.logits(model.hidden(ids, cache)[0, -1])
            token = pick(logits, prompt + out, args)
            if token == eos:
                break
            out.append(token)
            ids = torch.tensor([[token]])
    return out


def pick(logits, seen: list[int], args) -> int:
    import torch
    if args.repetition_penalty != 1 and seen:
        at = torch.tensor(sorted(set(seen)))
        logits[at] = torch.where(logits[at] > 0, logits[at] / args.repetition_penalty, logits[at] * args.repetition_penalty)
    if args.temperature == 0:
        return int(logits.argmax())
    values, order = torch.softmax(logits / args.temperature, -1).topk(args.top_k or len(logits))
    kept = values * ((values.cumsum(0) - values) / values.sum() < args.top_p)
    return int(order[torch.multinomial(kept, 1)])


def bits_per_byte(args) -> dict:
    """Of the held-out texts given their briefs; <|eos|> counts as part of the text."""
    import torch
    from batches import Shard
    from data import pack
    from prompt import load_tokenizer
    torch.set_num_threads(1)  # one token at a time is too little work to share
    model, tokenizer = open_model(args.model), load_tokenizer(args.corpus / "tokenizer-8k.json")
    natural = args.data / "valid-natural.npz"
    if not natural.exists():
        pack(natural, tokenizer, json.loads((args.data / "valid-natural.json").read_text()))
    out = {}
    for name, path in (("hand-written", args.data / "valid.npz"), ("natural", natural)):
        nats = size = 0
        with torch.no_grad():
            for ids, targets in Shard(path).in_order(3360):
                nats += model(ids, targets).item() * int((targets >= 0).sum())
                size += sum(len(tokenizer.decode(row[row >= 0].tolist()[:-1]).encode()) for row in targets)
        out[f"bits per byte, {name}"] = round(nats / math.log(2) / size, 3)
    return out


if __name__ == "__main__":
    main()
