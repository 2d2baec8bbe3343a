"""Blind reading: a sheet of drafts of several sources in random order, its key, and the answers' sums.

The reader sees brief, tone and draft, and writes a line a draft: its number, then y or n for fluent, on topic, would post.
"""
import json
import random
from pathlib import Path

QUESTIONS = ("fluent", "on topic", "would post")
HEAD = """# Which of these would you post?

For each draft write one line into a text file: its number and three letters, y or n.

1. **fluent**: grammatical, and it makes sense.
2. **on topic**: it says what the brief asks for, and nothing that the brief does not support.
3. **would post**: you would post it as it is, or with two words changed.

Example: `17 y y n`
"""


def write_sheet(path: Path, sources: dict[str, list[dict]], seed: int) -> Path:
    """sources: {source: drafts}; only briefs that every source answers are read. Gives the key's path."""
    common = set.intersection(*({d["brief"] for d in drafts} for drafts in sources.values()))
    items = [(source, d) for source, drafts in sources.items() for d in drafts if d["brief"] in common]
    random.Random(seed).shuffle(items)
    shown = [f"## {n}\n\nBrief ({d.get('tone', 'neutral')}): *{d['brief']}*\n\n{quoted(d['text'])}\n" for n, (_, d) in enumerate(items, 1)]
    path.write_text("\n".join([HEAD, *shown]), encoding="utf-8")
    key = path.with_suffix(".key.json")
    key.write_text(json.dumps({n: source for n, (source, _) in enumerate(items, 1)}, indent=0), encoding="utf-8")
    return key


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in (text or "(empty)").splitlines())


def score(key: Path, answers: Path) -> dict[str, dict[str, float]]:
    """{source: {question: per cent yes, "drafts": answered}}"""
    source_of = json.loads(key.read_text(encoding="utf-8"))
    votes = {source: [] for source in dict.fromkeys(source_of.values())}
    for line in filter(str.strip, answers.read_text(encoding="utf-8").splitlines()):
        number, *letters = line.lower().replace(",", " ").split()
        if number not in source_of or len(letters) != len(QUESTIONS) or not set(letters) <= {"y", "n"}:
            raise SystemExit(f"answer {line!r}: expected a number of the sheet and {len(QUESTIONS)} letters y or n")
        votes[source_of[number]].append([letter == "y" for letter in letters])
    return {source: {"drafts": len(rows)} | {q: round(100 * sum(column) / len(rows), 1) for q, column in zip(QUESTIONS, zip(*rows))}
            for source, rows in votes.items()}
