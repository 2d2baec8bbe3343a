"""A hand-written pair -> another pair that is as true: numbers, days and months change on both sides.

The point is copying. With 3,400 briefs a small model learns "Thursday" as a likely word, not as
the word to take over; when brief and text change together only copying predicts it.
`roughen` goes the other way: a finished text becomes what somebody types in a hurry.
"""
import random
import re

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February April June July August September October November December".split()
NUMBER = re.compile(r"(?<![\w.:,])\d{1,4}(?![\w:]|[.,]\d)")


def vary(brief: str, text: str, rng: random.Random) -> tuple[str, str]:
    """Swaps days, months and numbers that stand on both sides; sometimes retypes the brief."""
    for names in (DAYS, MONTHS):
        if rng.random() < 0.7:
            brief, text = swap_names(brief, text, names, rng)
    if rng.random() < 0.7:
        brief, text = swap_numbers(brief, text, rng)
    return retype(brief, rng), text


def swap_names(brief: str, text: str, names: list[str], rng: random.Random) -> tuple[str, str]:
    to = dict(zip(names, rng.sample(names, len(names))))
    to |= {name.lower(): other.lower() for name, other in to.items()}
    pattern = re.compile(r"\b(" + "|".join(to) + r")(?=s?\b)")
    found = {m.lower() for m in pattern.findall(brief)}
    if any(m.lower() not in found for m in pattern.findall(text)):
        return brief, text  # the text knows a day that the brief does not have: leave the pair alone
    return tuple(pattern.sub(lambda m: to[m[1]], side) for side in (brief, text))


def swap_numbers(brief: str, text: str, rng: random.Random) -> tuple[str, str]:
    shared = {n for n in NUMBER.findall(text) if n in NUMBER.findall(brief)}
    to = {n: other_number(n, rng) for n in sorted(shared) if int(n) > 1 and len(n) < 4}
    if len(set(to.values()) | (set(NUMBER.findall(brief)) - shared)) < len(to):
        return brief, text
    return tuple(NUMBER.sub(lambda m: to.get(m[0], m[0]), side) for side in (brief, text))


def other_number(number: str, rng: random.Random) -> str:
    low = 10 ** (len(number) - 1)
    return str(rng.randint(max(2, low), min(10 * low - 1, 31 if len(number) == 2 and int(number) <= 31 else 999)))


def retype(brief: str, rng: random.Random) -> str:
    """The same brief from another keyboard: no capitals, no apostrophes, a full stop."""
    if rng.random() < 0.25:
        brief = brief.lower()
    elif rng.random() < 0.15:
        brief = brief[0].upper() + brief[1:]
    if rng.random() < 0.1:
        brief = brief.replace("'", "")
    if rng.random() < 0.1:
        brief = brief.rstrip(".!") + rng.choice([".", "!", " "]).rstrip()
    return brief


def roughen(text: str, rng: random.Random) -> str:
    """Loses capitals, commas, apostrophes, the last mark and a letter here and there."""
    if rng.random() < 0.7:
        text = text.lower()
    if rng.random() < 0.6:
        text = re.sub(r"[,;:]", "", text)
    if rng.random() < 0.6:
        text = text.replace("'", "")
    if rng.random() < 0.6:
        text = text.rstrip(".!?")
    words = text.split(" ")
    for i, word in enumerate(words):
        if word.isalpha() and len(word) > 3 and rng.random() < 0.06:
            j = rng.randrange(len(word) - 1)
            swapped = word[:j] + word[j + 1] + word[j] + word[j + 2:]
            words[i] = rng.choice([swapped, word[:j] + word[j + 1:]])
    return " ".join(words)
