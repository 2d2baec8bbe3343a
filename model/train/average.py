"""Checkpoints of one run or ancestor -> the mean of their weights (Wortsman et al. 2022, "Model soups").

    python average.py OUT.pt A.pt B.pt [C.pt ...] [--weights 0.85 0.15 ...]

Runs that begin at the same weights and see the data in another order end in the same valley; its middle has a lower held-out loss than
either end. What is averaged has to be of one shape.
"""
import argparse
from pathlib import Path

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+", help=".pt of train.py")
    parser.add_argument("--weights", type=float, nargs="+", help="of each; none: the same for all")
    args = parser.parse_args()
    weights = args.weights or [1.0] * len(args.checkpoints)
    if len(weights) != len(args.checkpoints) or sum(weights) <= 0:
        parser.error(f"{len(args.checkpoints)} checkpoints need as many weights, found {len(weights)}")
    saved = [torch.load(path, map_location="cpu", weights_only=False) for path in args.checkpoints]
    for path, other in zip(args.checkpoints, saved):
        if other["config"] != saved[0]["config"]:
            parser.error(f"{path} has another shape than {args.checkpoints[0]}")
    share = [weight / sum(weights) for weight in weights]
    mean = {name: sum(part * one["model"][name].float() for part, one in zip(share, saved)) for name in saved[0]["model"]}
    torch.save({"model": mean, "config": saved[0]["config"]}, args.out)


if __name__ == "__main__":
    main()
