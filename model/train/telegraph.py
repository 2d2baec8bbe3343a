"""A finished sentence -> what somebody in a hurry would have typed for it: the small words gone, the rest in place.

Any sentence becomes a pair this way, and to undo it is the very thing that a plain post asks for: every word
that says something is carried over, and articles, subjects, auxiliaries and connections are found. Pronouns
that nobody could find again (he, she, they, you) stay.
"""
import random
import re

DROPPED = {  # chance by word, before it is scaled by how much of a hurry the writer is in
    **dict.fromkeys("the a an".split(), 0.95),
    **dict.fromkeys("is are was were am be been".split(), 0.8),
    **dict.fromkeys("i'm i've it's that's there's we're we've".split(), 0.8),
    **dict.fromkeys("i we".split(), 0.85),
    **dict.fromkeys("my our".split(), 0.6),
    **dict.fromkeys("it there".split(), 0.6),
    **dict.fromkeys("and that which who".split(), 0.6),
    **dict.fromkeys("have has had will".split(), 0.45),
    **dict.fromkeys("but so then".split(), 0.3),
    **dict.fromkeys("of to on at in for with".split(), 0.2),
}
SENTENCE = re.compile(r"(?:(?<=^)|(?<=[.!?] ))[A-Z][A-Za-z0-9 ,':-]*[a-z0-9](?<!Mr)(?<!Mrs)(?<!Dr)(?<!St)[.!?](?= |$)")
UNFIT = re.compile(r"^(yea|yeah|ya|yep|oh|ok|okay|haha\w*|lol|hmm|hm|um|ah|wow|well|or|nor|and|but)\b|\b(alot|u|ur|im|dont|thou|thee|thy|hath|doth|whilst|whence|hither|thither|nay|ye|sir|madam|lord|lady|fuck\w*|shit\w*|kill\w*|dead|death|sex\w*|murder\w*|bloody|damn\w*)\b", re.I)
MARKS = re.compile("[#\u2600-\u27bf\U0001F000-\U0001FAFF]")
JOINS = (", ", ", ", ", ", " - ", ". ", " ")


def passages(text: str, rng: random.Random) -> list[str]:
    """Runs of one or two neighbouring sentences of a text that are plain enough to be a post: 4 to 20 words each, no quotations."""
    found, at = [], 0
    while match := SENTENCE.search(text, at):
        run, at = match[0], match.end()
        follows = SENTENCE.match(text, at + 1)
        if follows and rng.random() < 0.4 and len(run) + len(follows[0]) < 150:
            run, at = f"{run} {follows[0]}", follows.end()
        sizes = [len(sentence.split()) for sentence in re.split(r"(?<=[.!?]) ", run)]
        if all(4 <= size <= 20 for size in sizes) and not UNFIT.search(run):
            found.append(run)
    return found


def telegraph(text: str, rng: random.Random) -> str | None:
    """What was typed for `text`, or nothing if too little would be left out or left over."""
    if MARKS.search(text):
        return None
    hurry = rng.uniform(0.5, 1.15)
    said, left_out = [], 0
    for sentence in re.split(r"(?<=[.!?]) ", text):
        kept = []
        kept, words = [], sentence.rstrip(".").split(" ")
        for word in words:
            bare = word.strip(",.!?:").lower()
            if word is not words[-1] and rng.random() < DROPPED.get(bare, 0) * hurry:
                left_out += 1
                if kept and (bare == "and" or word.endswith(",")) and not kept[-1].endswith(","):
                    kept[-1] += ","
            else:
                kept.append(word)
        if not kept:
            return None
        said.append(" ".join(kept).rstrip(","))
    typed = re.sub(r"([.!?,]),", r"\1", rng.choice(JOINS).join(said))
    if left_out < 2 or len(typed.split()) < 2:
        return None
    if rng.random() < 0.6:
        typed = typed.rstrip("!?")
    return typed.lower() if rng.random() < 0.85 else typed
