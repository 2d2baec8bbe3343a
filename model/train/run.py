"""Packed shards -> finished weights in one command, for a machine with GPUs and without the corpus.

    python data.py --xz runs/shards                       beforehand, where the corpus is
    python run.py --shards runs/shards --out OUT          22 minutes of training, resumable

General text first, then posts of all kinds, then plain ones; every GPU there is (torchrun). The result is a Hugging Face folder: config.json and bf16
safetensors in parts of at most 15 MiB with their index, which export.py turns into the GGUF. Started again it goes on.
"""
import argparse
import json
import lzma
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from model import Config

HERE = Path(__file__).resolve().parent
PART_BYTES = 15 * 1024 * 1024
SHARES = {"general": 0.4, "posts": 0.25, "plain": 0.35}  # of the minutes
GPU_TOKENS = 20 * 3360  # padded tokens a batch and rank


def main():
    args = arguments()
    data = args.out / "data"
    unpack(args.shards, data)
    start = ["--init", str(args.init)] if args.init else ["--config", str(args.config)] if args.config else []
    for phase, share in SHARES.items():
        rates = ["--lr", "2e-3", "--muon-lr", "2e-2", "--dropout", "0"] if phase == "general" else ["--dropout", "0.1"]
        rates += ["--prefer", "0.3"] if phase == "plain" else []
        train(args, data, args.out / phase, phase, share * args.minutes, [*rates, *start])
        start = ["--init", str(args.out / phase / "best.pt")]
    write_parts(args.out / "plain" / "best.pt", args.out / "weights")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, default=HERE / "runs" / "shards")
    parser.add_argument("--out", type=Path, default=HERE / "runs" / "full")
    parser.add_argument("--minutes", type=float, default=22, help="of training, all phases together")
    parser.add_argument("--init", type=Path, help="weights to begin with; none: from scratch")
    parser.add_argument("--config", type=Path, help="config.json of a model from scratch; none: 10 layers of 320")
    return parser.parse_args()


def unpack(shards: Path, data: Path):
    data.mkdir(parents=True, exist_ok=True)
    for path in sorted(shards.glob("*.npz.xz")):
        target = data / path.stem
        if not target.exists():
            target.write_bytes(lzma.decompress(path.read_bytes()))


def train(args, data: Path, save: Path, phase: str, minutes: float, more: list[str]):
    gpus = torch.cuda.device_count()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(gpus)] if gpus > 1 else []
    tokens = ["--tokens", str(GPU_TOKENS)] if gpus else []
    subprocess.run([sys.executable, *launcher, str(HERE / "train.py"), "--phase", phase, "--data", str(data), "--save", str(save),
                    "--minutes", str(minutes), "--eval-every", str(minutes / 8), *tokens, *more], check=True)


def write_parts(checkpoint: Path, folder: Path):
    """A checkpoint as bf16 in Hugging Face's sharded layout."""
    saved = torch.load(checkpoint, weights_only=False, map_location="cpu")
    folder.mkdir(parents=True, exist_ok=True)
    parts, size = [{}], 0
    for name, tensor in saved["model"].items():
        tensor = tensor.bfloat16().contiguous()
        if size + tensor.nbytes > PART_BYTES and parts[-1]:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    where = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        save_file(part, folder / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}, indent=1))
    (folder / "config.json").write_text(json.dumps(Config(**saved["config"]).hugging_face() | {"torch_dtype": "bfloat16"}, indent=1))


if __name__ == "__main__":
    main()
