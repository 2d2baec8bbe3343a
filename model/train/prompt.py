"""One request -> token ids, and the same serialisation as a chat template.

    <|bos|><|post|><|tone:T|><|len:L|><|tags:0/1|><|emoji:0/1|><|in|>BRIEF<|out|><|angle:A|>TEXT<|eos|>
    <|bos|><|rewrite|><|tone:T|><|in|>INPUT<|out|>TEXT<|eos|>
    <|bos|><|TASK|><|in|>INPUT<|out|>TEXT<|eos|>        TASK: shorten continue fix expand

The angle stands first in the answer: the model picks it, or whoever decodes does, and drafts of one
prompt can differ in it. What people type is tokenised with special tokens switched off: a brief that
holds "<|eos|>" is ten ordinary tokens. Entries of the corpus tokenizer that its serialisation
(scripts/fmt.py) reserved, or used for what is not used here, are renamed.
"""
import json
import re
from pathlib import Path

from tokenizers import Tokenizer

RENAMED = {
    "<|reserved0|>": "<|tone:reflective|>", "<|reserved1|>": "<|fix|>", "<|reserved2|>": "<|expand|>",
    "<|reserved3|>": "<|angle:announcement|>", "<|reserved4|>": "<|angle:question|>", "<|reserved5|>": "<|angle:plain|>",
    "<|reserved6|>": "<|angle:story|>", "<|reserved7|>": "<|angle:tip|>", "<|topic|>": "<|angle:thanks|>",
    "<|kw|>": "<|angle:humour|>", "<|simplify|>": "<|angle:invitation|>", "<|tone:question|>": "<|angle:opinion|>",
    "<|chat|>": "<|angle:note|>",
}
# A renamed entry starts from the embedding of a trained one that means nearly the same.
BORN_FROM = {"<|tone:reflective|>": "<|tone:neutral|>", "<|fix|>": "<|rewrite|>", "<|expand|>": "<|rewrite|>"}
TONES = ["neutral", "friendly", "formal", "witty", "excited", "reflective"]
TASKS = ["post", "rewrite", "shorten", "continue", "fix", "expand"]
ANGLES = ["plain", "announcement", "question", "story", "tip", "thanks", "humour", "invitation", "opinion", "note"]
LENGTHS = ["short", "medium", "long"]
SHORT_CHARS, MEDIUM_CHARS = 100, 200
EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001F000-\U0001FAFF\ufe0f]")
HASHTAG = re.compile(r"#\w")

CHAT_TEMPLATE = (
    "{%- set task = task | default('post') -%}"
    "<|bos|><|{{ task }}|>"
    "{%- if task == 'post' or task == 'rewrite' -%}<|tone:{{ tone | default('neutral') }}|>{%- endif -%}"
    "{%- if task == 'post' -%}<|len:{{ length | default('medium') }}|>"
    "<|tags:{% if hashtags is defined and hashtags %}1{% else %}0{% endif %}|>"
    "<|emoji:{% if emoji is defined and emoji %}1{% else %}0{% endif %}|>{%- endif -%}"
    "<|in|>{{ messages[0].content }}<|out|>"
)


def tokenizer_text(path: Path) -> str:
    """The tokenizer's JSON with the reserved entries renamed, on one line."""
    spec = json.loads(Path(path).read_text(encoding="utf-8"))
    for token in spec["added_tokens"]:
        token["content"] = RENAMED.get(token["content"], token["content"])
    spec["model"]["vocab"] = {RENAMED.get(t, t): i for t, i in spec["model"]["vocab"].items()}
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"))


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer that treats all it is given as plain text."""
    tokenizer = Tokenizer.from_str(tokenizer_text(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def length_of(text: str) -> str:
    return "short" if len(text) <= SHORT_CHARS else "medium" if len(text) <= MEDIUM_CHARS else "long"


def controls(task: str, tone: str | None, text: str, length: str | None = None) -> list[str]:
    """The control tokens that `text` itself answers to, between <|bos|> and <|in|>; no tone if none is known."""
    if task == "rewrite":
        return [f"<|tone:{tone}|>"]
    if task != "post":
        return []
    tags, emoji = int(bool(HASHTAG.search(text))), int(bool(EMOJI.search(text)))
    known = [f"<|tone:{tone}|>"] if tone else []
    return [*known, f"<|len:{length or length_of(text)}|>", f"<|tags:{tags}|>", f"<|emoji:{emoji}|>"]


def prompt_ids(tokenizer: Tokenizer, task: str, control: list[str], typed: str) -> list[int]:
    special = tokenizer.token_to_id
    head = [special("<|bos|>"), special(f"<|{task}|>"), *map(special, control), special("<|in|>")]
    return head + tokenizer.encode(typed, add_special_tokens=False).ids + [special("<|out|>")]
