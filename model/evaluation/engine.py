"""The project's own engine as a program: drafts for a file of briefs, and the logits of a text."""
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

FIELDS = ("brief", "tone", "length", "hashtags", "emoji", "network")


@dataclass
class Engine:
    binary: Path
    model: Path

    def drafts(self, rows: list[dict], seed: int, boost: bool = True) -> list[dict]:
        """The first draft of each brief, as the brief's row with "text"; a brief that gets none has an empty text."""
        with tempfile.TemporaryDirectory() as folder:
            briefs = Path(folder) / "briefs.jsonl"
            briefs.write_text("".join(json.dumps({k: row[k] for k in FIELDS if k in row}) + "\n" for row in rows), encoding="utf-8")
            options = ["--briefs", str(briefs), "--json", "--seed", str(seed), *([] if boost else ["--boost", "0"])]
            printed = self._run("compose", *options)
        first = {d["brief_index"]: d["text"] for d in map(json.loads, printed.splitlines()) if d.get("index", 0) == 0}
        return [{**row, "text": first.get(i, "")} for i, row in enumerate(rows)]

    def logits(self, ids: list[int]) -> torch.Tensor:
        """[len(ids), vocab_size] f32"""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "logits.safetensors"
            self._run("logits", "--tokens", ",".join(map(str, ids)), "--out", str(out))
            return load_file(out)["logits"]

    def _run(self, command: str, *options: str) -> str:
        done = subprocess.run([self.binary, command, "--model", self.model, *options], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.binary.name} {command} failed: {done.stderr.strip()[-500:]}")
        return done.stdout
