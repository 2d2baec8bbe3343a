"""The command line: drafts of every source for the same briefs, and the table of their figures.

    python model/eval.py                                         table for the validation briefs, model through the engine
    python model/eval.py --briefs model/test-briefs.jsonl --json F --markdown F
    python model/eval.py --drafts ON.jsonl [OFF.jsonl]           drafts of any program, {"brief", "text"} lines; OFF: without boosting
    python model/eval.py --safety 5000                           counts what no draft may hold
    python model/eval.py --blind SHEET.md                        a sheet for a blind reader, and SHEET.key.json
    python model/eval.py --blind-score SHEET.key.json ANSWERS    the reader's answers by source

A brief is a line {"brief", "tone"?, "length"?, "hashtags"?, "emoji"?, "network"?, "required"?: [words], "reference"?: text}.
The validation briefs are the hundred hand-written ones with the smallest hashes among those held out by train/data.py.
"""
import argparse
import json
from pathlib import Path

import torch
from export import from_gguf, read
from gguf import GGUFReader, Keys, TokenType
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from evaluation import blind, safety
from evaluation.baselines import Human, Retrieval, TemplateFiller
from evaluation.engine import Engine
from evaluation.likelihood import bits_per_byte, parity
from evaluation.metrics import TO_ORDER, figures
from evaluation.report import markdown, plain
from evaluation.training import Seen, outputs
from evaluation.wording import words

MODEL_FOLDER = Path(__file__).resolve().parents[1]
BINARY = MODEL_FOLDER.parent / "target" / "release" / "kinglet"


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.blind_score:
        print(json.dumps(blind.score(*args.blind_score), indent=1))
        return
    rows = read_lines(args.briefs)[:args.first]
    engine = Engine(args.binary, args.model)
    if args.safety:
        print(safety.table(safety.count(many_drafts(rows, engine, args))))
        return
    columns = sources(rows, engine, args)
    if args.write:
        args.write.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in columns["model"]), encoding="utf-8")
    if args.blind:
        chosen = {name: columns[name] for name in ("model", "template filler", "human reference") if name in columns}
        print("key:", blind.write_sheet(args.blind, chosen, args.seed))
        return
    report(columns, engine, args)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--briefs", type=Path, default=MODEL_FOLDER / "validation-briefs.jsonl")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N briefs")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER / "nano.gguf", help="the GGUF as shipped")
    parser.add_argument("--binary", type=Path, default=BINARY, help="the engine; default target/release/kinglet")
    parser.add_argument("--drafts", type=Path, nargs="+", metavar="FILE", help="instead of the engine's: with boosting, and without")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the model's drafts as JSONL")
    parser.add_argument("--data", type=Path, default=MODEL_FOLDER / "train" / "runs" / "data", help="shards of train/data.py")
    parser.add_argument("--checkpoint", type=Path, help="f32 weights, .pt or Hugging Face folder, to compare the shipped ones with")
    parser.add_argument("--skip", nargs="+", choices=["bits", "parity"], default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--safety", type=int, metavar="N", help="count harms in N drafts for the briefs and the adversarial ones")
    parser.add_argument("--blind", type=Path, metavar="SHEET")
    parser.add_argument("--blind-score", type=Path, nargs=2, metavar=("KEY", "ANSWERS"))
    return parser.parse_args()


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def sources(rows: list[dict], engine: Engine, args: argparse.Namespace) -> dict[str, list[dict]]:
    """{column: drafts}; a column lacks the briefs to which its source has nothing to say."""
    if args.drafts:
        names = ("model", "model, boosting off")
        columns = {name: from_file(path, rows) for name, path in zip(names, args.drafts)}
    else:
        columns = {"model": engine.drafts(rows, args.seed)}
        if not args.blind:
            columns["model, boosting off"] = engine.drafts(rows, args.seed, boost=False)
    for name, source in (("retrieval", Retrieval()), ("template filler", TemplateFiller()), ("human reference", Human())):
        texts = [(row, source(row)) for row in rows]
        columns[name] = [{**row, "text": text} for row, text in texts if text is not None]
    return {name: drafts for name, drafts in columns.items() if drafts}


def from_file(path: Path, rows: list[dict]) -> list[dict]:
    """The first draft that the file has for each brief."""
    first = {draft["brief"]: draft["text"] for draft in reversed(read_lines(path))}
    return [{**row, "text": first[row["brief"]]} for row in rows if row["brief"] in first]


def many_drafts(rows: list[dict], engine: Engine, args: argparse.Namespace) -> list[dict]:
    """args.safety drafts: the briefs and the adversarial ones over and over, each time with another seed."""
    if args.drafts:
        return [draft for path in args.drafts for draft in read_lines(path)][:args.safety]
    turn, out, seed = rows + safety.adversarial_rows(), [], args.seed
    while len(out) < args.safety:
        out += engine.drafts(turn[:args.safety - len(out)], seed)
        seed += 1
    return out


def report(columns: dict[str, list[dict]], engine: Engine, args: argparse.Namespace):
    tokenizer = shipped_tokenizer(args.model)
    texts = outputs(args.data, tokenizer)
    seen, num_words = Seen(texts), min(sum(len(words(d["text"])) for d in drafts) for drafts in columns.values())
    table = {name: figures(drafts, num_words, seen) for name, drafts in columns.items()}
    for name in ("retrieval", "human reference"):
        table.get(name, {}).update(dict.fromkeys(TO_ORDER))  # they were not asked for a length or flags
    found = {"table": table,
             "compared": {"briefs": args.briefs.name, "training texts": len(texts), "words for distinct-n": num_words}}
    shipped = from_gguf(args.model)
    if "bits" not in args.skip:
        found["bits per byte"] = bits_per_byte(shipped, read(args.checkpoint) if args.checkpoint else None, tokenizer, args.data)
    if "parity" not in args.skip and engine.binary.exists():
        found["engine against PyTorch"] = parity(engine, shipped, tokenizer)
    print(plain(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(markdown(found), encoding="utf-8")


def shipped_tokenizer(path: Path) -> Tokenizer:
    """The one inside the file; it treats all it is given as plain text."""
    fields = GGUFReader(path).fields
    tokens, merges, types = (fields[key].contents() for key in (Keys.Tokenizer.LIST, Keys.Tokenizer.MERGES, Keys.Tokenizer.TOKEN_TYPE))
    model = models.BPE({token: i for i, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in merges])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types) if kind == TokenType.CONTROL])
    tokenizer.encode_special_tokens = True
    return tokenizer
