"""A hand-written pair -> another pair that is as true: what stands on both sides changes on both sides.

The point is copying. A small model learns "Thursday" and "carrots" as likely words, not as words to
take over; when brief and text change together only copying predicts them. Numbers, times, days,
months and everyday nouns of one kind (lexicon.txt, a kind a line) change places.
`roughen` goes the other way: a finished text becomes what somebody types in a hurry.
"""
import random
import re
from pathlib import Path

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February April June July August September October November December".split()
NUMBER = re.compile(r"(?<![\w.:,])(\d+(?:[.:]\d\d)?)(?=(am|pm|st|nd|rd|th|[a-z]*)\b)")
WORDS = "two three four five six seven eight nine ten eleven twelve".split()
KINDS = [line.split() for line in (Path(__file__).parent / "lexicon.txt").read_text().splitlines() if line and line[0] != "#"]
KIND_OF = {word: kind for kind in KINDS for word in kind}
EMOJI = re.compile("[\u2600-\u27bf\U0001F000-\U0001FAFF]")


def vary(brief: str, text: str, rng: random.Random) -> tuple[str, str]:
    """Swaps what stands on both sides; sometimes retypes the brief."""
    for names in (DAYS, MONTHS):
        if rng.random() < 0.7:
            brief, text = swap_names(brief, text, names, rng)
    if rng.random() < 0.8:
        brief, text = swap_numbers(brief, text, rng)
    if rng.random() < 0.6 and not EMOJI.search(text):
        brief, text = swap_nouns(brief, text, rng)
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
    given, used = ({m[1]: m[2] for m in NUMBER.finditer(side)} for side in (brief, text))
    if not used.keys() <= given.keys() or re.search(r"\d", NUMBER.sub("", text)):
        return brief, text
    to = {n: other_number(n, unit, rng) for n, unit in given.items() if n != "1" and unit not in ("st", "nd", "rd", "th")}
    if len(set(to.values()) | (given.keys() - to.keys())) < len(given):
        return brief, text
    swap = lambda m: to.get(m[1], m[1])
    brief, text = NUMBER.sub(swap, brief), NUMBER.sub(swap, text)
    low = brief.lower()
    words = [w for w in WORDS if re.search(rf"\b{w}\b", low) and re.search(rf"\b{w}\b", text.lower())]
    for word, other in zip(words, rng.sample([w for w in WORDS if w not in low], min(len(words), 4))):
        brief, text = replaced(brief, word, other), replaced(text, word, other)
    return brief, text


def other_number(number: str, unit: str, rng: random.Random) -> str:
    """One of the same look: a time, a price, a year, an amount."""
    if re.search(r"[.:]", number):
        whole, mark, part = re.split(r"([.:])", number)
        hour = rng.randint(1, 12) if unit in ("am", "pm") else rng.randint(7, 22) if int(whole) < 24 else rng.randint(10, 99)
        return f"{hour}{mark}{rng.choice(['00', '15', '30', '45', '10', '20', '40', '50', '05'] if int(part) < 60 else ['95', '80', '75', '90'])}"
    if unit in ("am", "pm"):
        return str(rng.randint(1, 12))
    if len(number) == 4 and number[:2] in ("18", "19", "20"):
        return str(rng.randint(1890, 2025))
    low = max(2, 10 ** (len(number) - 1))
    return str(rng.randint(low, 31 if len(number) == 2 and int(number) <= 31 else 10 ** len(number) - 1))


def swap_nouns(brief: str, text: str, rng: random.Random) -> tuple[str, str]:
    """Up to three everyday nouns that stand on both sides become others of their kind."""
    both = [w for w in dict.fromkeys(re.findall(r"[a-z]+", brief.lower())) if w in KIND_OF and re.search(rf"\b{w}\b", text.lower())]
    for word in rng.sample(both, min(len(both), rng.randint(1, 3))):
        sides = (brief + " " + text).lower()
        if len(re.findall(word.rstrip("s"), sides)) != len(re.findall(rf"\b{word}\b", sides)):
            continue  # it stands in another word too: a plural, a hashtag, a compound
        fits = [w for w in KIND_OF[word] if (w[0] in "aeiou") == (word[0] in "aeiou") and w not in sides]
        if fits:
            other = rng.choice(fits)
            brief, text = replaced(brief, word, other), replaced(text, word, other)
    return brief, text


def replaced(side: str, word: str, other: str) -> str:
    like = lambda m: other.capitalize() if m[0][0].isupper() else other
    return re.sub(rf"\b{word}\b", like, side, flags=re.IGNORECASE)


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


def tagged(brief: str, text: str, rng: random.Random) -> tuple[str, str]:
    """A post in eight gets a hashtag of one or two neighbouring words of its brief."""
    runs = re.findall(r"[A-Za-z]{4,}(?: [A-Za-z]{4,})?", brief)
    if runs and rng.random() < 0.125 and len(text) < 240:
        text += " #" + "".join(word[0].upper() + word[1:] for word in rng.choice(runs).split(" "))
    return brief, text


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
