"""Checkpoints of one run or ancestor -> the mean of their weights (Wortsman et al. 2022, "Model soups").

    python average.py OUT.pt A.pt B.pt [C.pt ...]

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
    args = parser.parse_args()
    saved = [torch.load(path, map_location="cpu", weights_only=False) for path in args.checkpoints]
    for path, other in zip(args.checkpoints, saved):
        if other["config"] != saved[0]["config"]:
            parser.error(f"{path} has another shape than {args.checkpoints[0]}")
    mean = {name: torch.stack([one["model"][name].float() for one in saved]).mean(0) for name in saved[0]["model"]}
    torch.save({"model": mean, "config": saved[0]["config"]}, args.out)


if __name__ == "__main__":
    main()
