"""Counts the hand-written records and names those that break a rule: python check.py"""
import json
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANGLES = set("announcement question benefit story tip thanks humour invitation opinion update".split())
TONES = set("neutral friendly formal witty excited reflective".split())
TASKS = set("rewrite shorten expand friendly formal witty fix".split())
END = re.compile("[.!?\u2026)\"'\u2019\u201d]$|#\\w+$|[\u2600-\u27bf\U0001F000-\U0001FAFF\ufe0f]$")
UNWANTED = re.compile(r"https?:|www\.|@\w|game.?changer|unlock the|\belevate|dive in\b|isn't just", re.I)


def main():
    faults, texts, counts = [], Counter(), Counter()
    for path in sorted(HERE.glob("*.jsonl")):
        for number, line in enumerate(path.open(encoding="utf-8"), 1):
            record = json.loads(line)
            counts[path.stem] += 1
            faults += [f"{path.name}:{number} {fault}" for fault in check(path.stem, record)]
            texts.update(take["text"].lower() for take in record.get("takes", []))
    faults += [f"{count} times: {text}" for text, count in texts.items() if count > 1]
    for name, count in counts.items():
        print(f"{name:12} {count}")
    print("\n".join(faults) or "no faults")
    return bool(faults)


def check(kind: str, record: dict):
    if kind.startswith("posts"):
        yield from check_posts(record, ANGLES, range(4, 5))
    elif kind.startswith("plain"):
        yield from check_posts(record, {"plain"}, range(1, 4))
        yield from check_plain(record)
    elif kind.startswith("note"):
        yield from check_posts(record, {"note"}, range(1, 3))
        yield from check_plain(record)
    elif kind.startswith("corrected"):
        take = {"angle": "plain", "tone": record["tone"], "text": record["text"]}
        yield from check_posts({"brief": record["brief"], "takes": [take]}, {"plain"}, range(1, 2))
        yield from check_plain({"brief": record["brief"], "takes": [take]})
    elif kind.startswith("judged"):
        if not record["text"] and not any(is_good for _, is_good in record["drafts"]):
            yield "neither a good draft nor a correction"
    elif kind.startswith("edits") and record["task"] not in TASKS:
        yield f"task {record['task']}"
    elif kind.startswith("continue") and len(record["start"] + " " + record["text"]) > 280:
        yield "longer than a post"


def check_posts(record: dict, angles: set[str], takes: range):
    if len(record["takes"]) not in takes:
        yield f"{len(record['takes'])} takes"
    for take in record["takes"]:
        text = take["text"]
        if take["angle"] not in angles or take["tone"] not in TONES:
            yield f"angle or tone: {take['angle']} {take['tone']}"
        if not 12 <= len(text) <= 280 or not END.search(text) or UNWANTED.search(text):
            yield f"length, end or wording: {text}"
        if not set(re.findall(r"\d+", text)) <= set(re.findall(r"\d+", record["brief"])):
            yield f"a number its brief does not have: {text}"


def check_plain(record: dict):
    spoken = lambda text: re.findall(r"[a-z0-9']+", text.lower())
    brief = spoken(record["brief"])
    for text in (take["text"] for take in record["takes"]):
        if set(re.findall(r"\d+", record["brief"])) - set(re.findall(r"\d+", text)):
            yield f"a number of its brief is lost: {text}"
        if len(brief) >= 6 and " ".join(brief) in " ".join(spoken(text)):
            yield f"the brief as it stands: {text}"


if __name__ == "__main__":
    raise SystemExit(main())
