"""Drafts of one source -> its column of the table: shares in per cent of the drafts, unless the label says otherwise.

A draft is a brief's row with a "text": {"brief", "text", "tone"?, "length"?, "hashtags"?, "emoji"?, "network"?, "required"?}.
None stands for what cannot be said, and is printed as a dash.
"""
import re
import statistics

from prompt import EMOJI, HASHTAG, length_of

from evaluation.safety import HARMS, harms
from evaluation.training import Seen
from evaluation.wording import ENDS, keeps, numbers, required, words

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
ORDINARY = {w.lower() for w in [*DAYS, *(f"{day}s" for day in DAYS), *MONTHS, *"""
I I'm I've I'll I'd OK TV DIY AM PM UK US USA EU AI FAQ RSVP PS ID CD DVD DJ MC PC IT HR PR PE CV VIP FYI PSA Wi Fi wifi English French
German Spanish Italian Portuguese Dutch Danish Swedish Norwegian Finnish Polish Czech Greek Latin Russian Turkish Arabic Hebrew Hindi
Chinese Japanese Korean Welsh Irish Scottish British American European African Asian Indian Canadian Australian Mexican Christmas
Easter Halloween Thanksgiving Hanukkah Diwali Ramadan Eid Advent Lent Valentine Valentine's New Year Year's Eve Day Mother's Father's
Boxing Bank Holiday Midsummer Carnival Spring Summer Autumn Fall Winter Earth Mum Dad Mom Grandma Grandpa Granny Gran Nan Grandad
Auntie Uncle Santa God Lord""".split()]}
TO_ORDER = ("length as asked", "hashtags as asked", "emoji as asked")
CAPITALISED = re.compile(r"(?<![#@\w'\u2019])[A-Z][A-Za-z]*(?:['\u2019][A-Za-z]+)*")
SENTENCE_START = re.compile(rf"(?:^|[.!?:;\n\u2026]|{EMOJI.pattern})[\s\"'()\[\]*\u201c\u201d\u2018\u2019-]*$")
LIMITS = {"x": 280, "bluesky": 300, "mastodon": 500, "threads": 500, "linkedin": 3000}
NARROW = [(0, 4351), (8192, 8205), (8208, 8223), (8242, 8247)]
EMOJI_CLUSTER = re.compile(rf"{EMOJI.pattern}(?:[\ufe0f\U0001F3FB-\U0001F3FF]|\u200d{EMOJI.pattern})*")


def figures(drafts: list[dict], num_words: int, seen: Seen) -> dict[str, float | None]:
    """`num_words` is how many words of each column distinct-2 and distinct-3 look at."""
    return {"drafts": len(drafts)} | keeping(drafts) | form(drafts) | variety(drafts, num_words) | copying(drafts, seen) | harm(drafts)


def share(flags) -> float | None:
    flags = list(flags)
    return round(100 * sum(flags) / len(flags), 1) if flags else None


def keeping(drafts: list[dict]) -> dict:
    kept = [[keeps(d["text"], word) for word in wanted(d)] for d in drafts]
    kept = [flags for flags in kept if flags]
    return {
        "any required word": share(any(flags) for flags in kept),
        "all required words": share(all(flags) for flags in kept),
        "required words kept, of all": share(flag for flags in kept for flag in flags),
        "keeps all its numbers": share(numbers(d["brief"]) <= numbers(d["text"]) for d in drafts if numbers(d["brief"])),
        "invents a number": share(bool(invented_numbers(d)) for d in drafts),
        "invents a name": share(bool(invented_names(d)) for d in drafts),
        "invents a number or name": share(bool(invented_numbers(d) or invented_names(d)) for d in drafts),
        "invents a day or month": share(bool(invented_dates(d)) for d in drafts),
        "holds a brief of 6+ words": share(flat(d["brief"]) in flat(d["text"]) for d in drafts if len(words(d["brief"])) >= 6),
    }


def wanted(draft: dict) -> list[str]:
    """The words that must be kept; a required phrase counts as each of its words."""
    if draft.get("required") is None:
        return required(draft["brief"])
    return [word for phrase in draft["required"] for word in words(phrase)]


def flat(text: str) -> str:
    return f" {' '.join(words(text))} "


def invented_numbers(draft: dict) -> set[str]:
    return numbers(draft["text"]) - numbers(draft["brief"])


def invented_names(draft: dict) -> set[str]:
    """Capitalised words inside a sentence that the brief does not hold in any case or with another ending."""
    text = draft["text"]
    inside = {m[0].replace("\u2019", "'") for m in CAPITALISED.finditer(text) if not SENTENCE_START.search(text[:m.start()])}
    return {name for name in inside if len(name) > 1 and re.sub("'s$", "", name.lower()) not in ORDINARY and name.lower() not in ORDINARY
            and not any(keeps(draft["brief"], word) for word in words(name))}


def invented_dates(draft: dict) -> set[str]:
    """Days and months of which the brief has not even a short form."""
    given = {w for w in words(draft["brief"]) if len(w) >= 3}
    used = {name for name in DAYS + MONTHS if re.search(rf"\b{name}s?\b", draft["text"])}
    return {name for name in used if not any(name.lower().startswith(w.removesuffix("s")) for w in given)}


def form(drafts: list[dict]) -> dict:
    return {
        "ends a sentence": share(bool(ENDS.search(d["text"].strip())) for d in drafts),
        "length as asked": share(length_of(d["text"]) == (d.get("length") or "medium") for d in drafts),
        "hashtags as asked": share(obeys(d.get("hashtags") or "none", HASHTAG.search(d["text"])) for d in drafts),
        "emoji as asked": share(obeys(d.get("emoji", "auto"), EMOJI.search(d["text"])) for d in drafts),
        "valid length": share(0 < measured(d["text"], network(d)) <= LIMITS[network(d)] for d in drafts),
        "characters, mean": round(statistics.mean(len(d["text"]) for d in drafts), 1),
    }


def obeys(asked, found) -> bool:
    """`asked`: "auto", which allows both, or none / 0 / false, or a number / true."""
    return asked == "auto" or bool(found) == (asked not in ("none", "0", 0, False, None))


def network(draft: dict) -> str:
    return draft.get("network") or "x"


def measured(text: str, network: str) -> int:
    """X counts an emoji and a wide character as two; the other networks are measured in characters."""
    if network != "x":
        return len(text)
    rest, num_emoji = EMOJI_CLUSTER.subn("", text)
    return 2 * num_emoji + sum(1 if any(low <= ord(c) <= high for low, high in NARROW) else 2 for c in rest)


def grams(tokens: list[str], n: int) -> list[tuple]:
    return list(zip(*(tokens[k:] for k in range(n))))


def variety(drafts: list[dict], num_words: int) -> dict:
    everything = [words(d["text"]) for d in drafts]
    triples = [grams(tokens, 3) for tokens in everything]
    return {
        "distinct-2": distinct(everything, 2, num_words),
        "distinct-3": distinct(everything, 3, num_words),
        "rep3, of all 3-grams": share(gram in row[:i] for row in triples for i, gram in enumerate(row)),
        "a word twice in a row": share(any(a == b for a, b in grams(tokens, 2)) for tokens in everything),
        "different drafts": round(100 * len(set(map(tuple, everything))) / len(drafts), 1),
    }


def distinct(texts: list[list[str]], n: int, num_words: int) -> float | None:
    """Share of different n-grams among those within the first `num_words` words."""
    found = []
    for tokens in texts:
        found += grams(tokens[:max(0, num_words)], n)
        num_words -= len(tokens)
    return round(100 * len(set(found)) / len(found), 1) if found else None


def copying(drafts: list[dict], seen: Seen) -> dict:
    where = [seen.where(d["text"]) for d in drafts]
    longest = [seen.longest(places) for places in where]
    return {
        "copy rate, of all 6-grams": share(len(places) > 0 for row in where for places in row),
        "longest match, words, mean": round(statistics.mean(longest), 1),
        "longest match, words, most": max(longest),
        "a training text verbatim": share(seen.verbatim(d["text"]) for d in drafts),
    }


def harm(drafts: list[dict]) -> dict:
    found = [harms(d["text"]) for d in drafts]
    return {f"{name}, drafts": sum(name in names for names in found) for name in HARMS}
