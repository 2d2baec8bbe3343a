"""What a model must beat: the nearest training post, a template with the brief in it, and what a person wrote.

Each source is a function of a brief's row -> text, or None where it has nothing to say.
"""
import hashlib
import math
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

from data import hand_written, held_out

from evaluation.wording import required, words

TEMPLATES = Path(__file__).parent / "templates.txt"
EMOJI = {"neutral": "\U0001F4CC", "friendly": "\U0001F60A", "formal": "\U0001F4E3", "witty": "\U0001F643", "excited": "\U0001F389",
         "reflective": "\U0001F33F"}


def chosen_take(post: dict, tone: str | None) -> str:
    """The first take with the wanted tone, else the first."""
    return next((take["text"] for take in post["takes"] if take["tone"] == tone), post["takes"][0]["text"])


def norm(brief: str) -> str:
    return brief.strip().lower()


class Human:
    def __init__(self):
        self.posts = {norm(p["brief"]): p for p in hand_written() if held_out(p["brief"])}

    def __call__(self, row: dict) -> str | None:
        post = self.posts.get(norm(row["brief"]))
        return row.get("reference") or (chosen_take(post, row.get("tone")) if post else None)


class Retrieval:
    """The training post whose brief has the highest cosine of TF-IDF vectors with the asked one."""

    def __init__(self):
        self.posts = [p for p in hand_written() if not held_out(p["brief"])]
        holders = defaultdict(list)
        for i, post in enumerate(self.posts):
            for word in set(words(post["brief"])):
                holders[word].append(i)
        self.weights = {word: math.log(len(self.posts) / len(where)) for word, where in holders.items()}
        self.postings = defaultdict(list)
        for i, post in enumerate(self.posts):
            for word, weight in self._vector(post["brief"]).items():
                self.postings[word].append((i, weight))

    def _vector(self, brief: str) -> dict[str, float]:
        vector = {word: n * self.weights[word] for word, n in Counter(words(brief)).items() if word in self.weights}
        length = math.sqrt(sum(x * x for x in vector.values())) or 1
        return {word: x / length for word, x in vector.items()}

    def __call__(self, row: dict) -> str:
        scores = Counter()
        for word, weight in self._vector(row["brief"]).items():
            for i, other in self.postings[word]:
                scores[i] += weight * other
        best = max(scores, key=scores.get, default=0)
        return chosen_take(self.posts[best], row.get("tone"))


class TemplateFiller:
    """A template of the wanted tone (templates.txt) around the brief or its keywords, chosen by the brief's hash."""

    def __init__(self):
        rows = [line.split(";", 2) for line in TEMPLATES.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
        self.openings, self.closings = defaultdict(list), defaultdict(list)
        for kind, tone, text in rows:
            {"open": self.openings, "close": self.closings}[kind][tone].append(text)

    def __call__(self, row: dict) -> str:
        tone = row.get("tone") or "neutral"
        rng = random.Random(hashlib.sha256(norm(row["brief"]).encode()).digest())
        text = filled(rng.choice(self.openings[tone]), row["brief"])
        closings = rng.sample(self.closings[tone], 2)
        text = " ".join([text, *closings[:{"short": 0, "long": 2}.get(row.get("length"), 1)]])
        if row.get("hashtags") not in (None, "none", "auto", "0", 0, False):
            text += " #" + "".join(word.capitalize() for word in keywords(row["brief"])[:1])
        return text + (f" {EMOJI[tone]}" if row.get("emoji") not in (None, "none", "auto", False, 0) else "")


def filled(template: str, brief: str) -> str:
    """{brief} and {Brief} are the brief without its last mark, {topic} and {Topic} up to three of its keywords as a list."""
    brief = re.sub(r"[\s.!?,;:]+$", "", brief.strip())
    *most, last = keywords(brief)[:3]
    topic = f"{', '.join(most)} and {last}" if most else last
    first_up = lambda text: text[:1].upper() + text[1:]
    return template.format(brief=brief, Brief=first_up(brief), topic=topic, Topic=first_up(topic))


def keywords(brief: str) -> list[str]:
    """The required words that are no numbers, in order; the first word, or "this", where there is none."""
    return [w for w in required(brief) if not w.isdigit()] or words(brief)[:1] or ["this"]
