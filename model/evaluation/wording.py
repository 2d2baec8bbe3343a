"""The words and numbers of a text, and whether a draft keeps those of its brief.

A required word is a word or number of the brief that is not in the stop list; "kept" forgives
endings (baking, baked, bakes). train/data.py chooses training posts with the same functions.
"""
import re

STOP = set("""a about after again all also am an and any are as at be because been before being but by can come could day
did do does doing don't down each every few first for from get go going got had has have having he her here hers him his how
i if in into is it it's its i'm just let like made make me more most much my new no nor not now of off on once one only or other
our out over own please same she should so some still such than that that's the their them then there these they this those
through to too two under until up us very want was we we're were what when where which while who why will with would yes yet
you your""".split())
ENDS = re.compile("(?:[.!?\u2026][)\"'\u201d\u2019]*|#\\w+|[\u2600-\u27bf\u2b00-\u2bff\U0001F000-\U0001FAFF\ufe0f\u200d]+)$")
ENDINGS = (("ings", 3), ("ing", 3), ("ies", 2), ("ied", 2), ("ed", 3), ("es", 3), ("ly", 3), ("er", 4), ("s", 3), ("e", 3), ("y", 3))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower())


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


def required(brief: str) -> list[str]:
    return [w for w in dict.fromkeys(words(brief)) if w not in STOP and (len(w) > 2 or w.isdigit())]


def keeps(text: str, word: str) -> bool:
    return any(same_stem(word, other) for other in words(text))


def same_stem(a: str, b: str) -> bool:
    if a == b or a.isdigit() or b.isdigit():
        return a == b
    a, b = stem(a), stem(b)
    return a == b or (min(len(a), len(b)) >= 5 and (a.startswith(b) or b.startswith(a)) and abs(len(a) - len(b)) <= 2)


def stem(word: str) -> str:
    word = re.sub(r"'s?$|'(?:ll|re|ve|d|m)$", "", word)
    for ending, least in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word[:-len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
