"""Packed shards -> a trained checkpoint, in two phases, on one CPU or many GPUs.

    python train.py --init ../../../shared/corpus/warm-start --phase posts --minutes 60
    torchrun --nproc-per-node 8 train.py --phase general --steps 20000

`general` learns from all of each document, `posts` from the text after <|out|> only. The schedule is
a trapezoid (warm-up, flat, linear decay) over the share of steps or of minutes used, and time spent is
kept in the checkpoint: started again, a run goes on where it was. Muon for the block matrices
(Jordan et al. 2024), AdamW for the embedding and the norms. The best validation loss is kept apart.
"""
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from batches import Batches, Shard
from model import Config, Llama, load
from muon import Muon
from prefer import Pairs, Preferring
from prompt import BORN_FROM, load_tokenizer

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[2] / "shared" / "corpus"
MIXTURES = {  # share of the tokens by shard
    "general": {"natural": .30, "chat": .18, "prose": .22, "grammar": .10, "natural-edits": .06, "authored": .12, "edits": .02},
    "early": {"authored": .42, "rough": .04, "edits": .03, "natural": .22, "grammar": .13, "natural-edits": .03, "chat": .13},
    "posts": {"authored": .52, "telegraph": .16, "rough": .04, "edits": .05, "natural": .14, "grammar": .04, "chat": .05},
    "plain": {"notes": .50, "plain": .17, "telegraph": .05, "authored": .03, "rough": .01, "edits": .03, "natural": .20, "chat": .01},
}
HELD_OUT = ["valid", "valid-notes", "valid-plain", "valid-natural"]  # shards; the phase "plain" is judged by the second, the others by the first
WARM_SHARE, DECAY_FROM, FLOOR = 0.02, 0.35, 0.02


def main():
    args = arguments()
    rank, world, device = start_ranks(args)
    torch.manual_seed(args.seed + rank)
    Run(args, rank, world, device).go()
    if world > 1:
        dist.destroy_process_group()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phase", choices=MIXTURES, default="posts")
    parser.add_argument("--init", type=Path, help="Hugging Face folder, GGUF or .pt checkpoint; none: from scratch")
    parser.add_argument("--config", type=Path, help="config.json of a model from scratch; none: 10 layers of 320")
    parser.add_argument("--data", type=Path, default=HERE / "runs" / "data")
    parser.add_argument("--save", type=Path, default=HERE / "runs" / "posts", help="checkpoints, log and curve")
    parser.add_argument("--tokenizer", type=Path, default=CORPUS / "tokenizer-8k.json")
    parser.add_argument("--minutes", type=float, help="budget by the clock")
    parser.add_argument("--steps", type=int, help="budget by steps")
    parser.add_argument("--tokens", type=int, default=3360, help="padded tokens a batch and rank, a multiple of 3360")
    parser.add_argument("--lr", type=float, default=8e-4, help="AdamW")
    parser.add_argument("--muon-lr", type=float, default=7e-3)
    parser.add_argument("--decay", type=float, default=0.05, help="weight decay")
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--prefer", type=float, default=0.0, help="weight of the loss on pairs of a draft and its correction (prefer.py)")
    parser.add_argument("--beta", type=float, default=0.1, help="of that loss")
    parser.add_argument("--eval-every", type=float, default=4, help="minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if (args.minutes is None) == (args.steps is None):
        parser.error("give one of --minutes and --steps")
    args.save.mkdir(parents=True, exist_ok=True)
    return args


def start_ranks(args) -> tuple[int, int, torch.device]:
    world, rank, local = (int(os.environ.get(k, d)) for k, d in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0)))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local)
    else:
        torch.set_num_threads(args.threads)
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    return rank, world, torch.device("cuda", local) if cuda else torch.device("cpu")


def initial_model(args) -> Llama:
    if args.init is None:
        return Llama(Config.read(args.config) if args.config else Config(), args.dropout)
    if args.init.suffix == ".gguf":
        from export import from_gguf
        model = Llama((shipped := from_gguf(args.init)).config, args.dropout)
        model.load_state_dict(shipped.state_dict())
        return model
    if args.init.is_file():
        saved = torch.load(args.init, weights_only=False)
        model = Llama(Config(**saved["config"]), args.dropout)
        model.load_state_dict(saved["model"])
        return model
    model = load(args.init, args.dropout)
    tokenizer = load_tokenizer(args.tokenizer)
    with torch.no_grad():  # the renamed entries were never trained in a warm start
        rows = model.model.embed_tokens.weight
        for name, parent in BORN_FROM.items():
            rows[tokenizer.token_to_id(name)] = rows[tokenizer.token_to_id(parent)]
    return model


def make_optimizers(model: Llama, args) -> list:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [Muon(matrices, lr=args.muon_lr, weight_decay=args.decay),
            torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.97), weight_decay=0.0)]


class Run:
    """One rank's training: what it learns from, what it is judged by, and how far it is."""

    def __init__(self, args, rank: int, world: int, device: torch.device):
        self.args, self.rank, self.world, self.device = args, rank, world, device
        self.model = initial_model(args).to(device)
        self.pairs = Pairs(args.data / "pairs.npz", self.model, args.tokens // 4, args.seed, rank, world) if args.prefer else None
        loss = Preferring(self.model, args.prefer, args.beta) if self.pairs else self.model
        self.loss = torch.nn.parallel.DistributedDataParallel(loss) if world > 1 else loss
        self.optimizers = make_optimizers(self.model, args)
        self.batches = Batches(args.data, MIXTURES[args.phase], args.tokens, args.phase != "general", args.seed, rank, world)
        self.held_out = {name: Shard(path) for name in HELD_OUT if (path := args.data / f"{name}.npz").exists()}
        self.held_out_pairs = Pairs(args.data / "valid-pairs.npz", self.model, args.tokens // 4, args.seed) if self.pairs and rank == 0 else None
        self.state = {"step": 0, "seconds": 0.0, "seen": 0, "best": float("inf"), "batches": (0, 0)}
        if (args.save / "latest.pt").exists():
            self.resume(args.save / "latest.pt")
        self.batches.seek(*self.state["batches"])

    def resume(self, path: Path):
        saved = torch.load(path, weights_only=False)
        self.model.load_state_dict(saved["model"])
        for optimizer, kept in zip(self.optimizers, saved["optimizers"]):
            rates = [group["lr"] for group in optimizer.param_groups]  # the schedule scales these; the kept ones are scaled
            optimizer.load_state_dict(kept)
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate
        self.state.update(saved["state"])

    def go(self):
        args, state = self.args, self.state
        base = [group["lr"] for o in self.optimizers for group in o.param_groups]
        last, losses = time.time(), []
        next_report = state["seconds"] + 60 * args.eval_every if state["step"] else 0.0
        while True:
            done = self.share_done()
            if self.rank == 0 and (state["seconds"] >= next_report or done >= 1):
                self.report(losses, done)
                next_report, losses = state["seconds"] + 60 * args.eval_every, []
                last = time.time()  # the clock of the schedule stops while validating
            if done >= 1:
                return
            for lr, group in zip(base, (g for o in self.optimizers for g in o.param_groups)):
                group["lr"] = lr * trapezoid(done)
            losses.append(self.step())
            now = time.time()
            state["seconds"] += now - last
            last = now

    def step(self) -> float:
        """One batch of every rank; the loss of this one's."""
        state = self.state
        state["batches"] = self.batches.position
        batch = (*self.batches.next(), *(self.pairs.at(state["step"]) if self.pairs else ()))
        ids, *others = (t.to(self.device) for t in batch)
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self.loss(ids, *others)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        state["step"] += 1
        state["seen"] += int((ids > 0).sum()) * self.world
        return loss.item()

    def share_done(self) -> float:
        """Rank 0's clock decides for all, so that no rank stops a step before the others."""
        args, state = self.args, self.state
        done = state["step"] / args.steps if args.steps else state["seconds"] / (60 * args.minutes)
        if self.world > 1:
            shared = torch.tensor(done, device=self.device)
            dist.broadcast(shared, 0)
            done = shared.item()
        return done

    def report(self, losses: list[float], done: float):
        args, state = self.args, self.state
        found = {name: round(validate(self.model, shard, self.device), 4) for name, shard in self.held_out.items()}
        loss = found.get("valid-notes" if args.phase == "plain" else "valid", found["valid"])
        if self.held_out_pairs:
            found["preferred"] = round(self.held_out_pairs.preferred(self.model), 4)
        row = {"step": state["step"], "minutes": round(state["seconds"] / 60, 2), "done": round(done, 3), "seen": state["seen"],
               "train": round(float(np.mean(losses)), 4) if losses else None, **found}
        print(json.dumps(row), flush=True)
        with (args.save / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        weights = {"model": self.model.state_dict(), "config": vars(self.model.config)}
        if loss < state["best"]:
            state["best"] = loss
            save(args.save / "best.pt", weights)
        save(args.save / "latest.pt", {**weights, "optimizers": [o.state_dict() for o in self.optimizers], "state": state})
        draw(args.save)


def trapezoid(done: float) -> float:
    if done < WARM_SHARE:
        return max(done / WARM_SHARE, 0.05)
    return 1.0 if done < DECAY_FROM else max(FLOOR, (1 - done) / (1 - DECAY_FROM))


@torch.no_grad()
def validate(model, valid: Shard, device) -> float:
    """Nats a token of the text, over all documents of a shard."""
    model.eval()
    total = count = 0
    for ids, targets in valid.in_order(3360):
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(ids.to(device), targets.to(device))
        tokens = int((targets >= 0).sum())
        total, count = total + loss.item() * tokens, count + tokens
    model.train()
    return total / count


def save(path: Path, content: dict):
    torch.save(content, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def draw(run: Path):
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    rows = [json.loads(line) for line in (run / "log.jsonl").open()]
    figure, axes = pyplot.subplots()
    for key in ("train", *HELD_OUT):
        axes.plot([r["seen"] / 1e6 for r in rows], [r.get(key) for r in rows], label=key)
    axes.set(xlabel="million tokens", ylabel="nats a token of text")
    axes.legend()
    figure.savefig(run / "curve.png")
    pyplot.close(figure)


if __name__ == "__main__":
    main()
