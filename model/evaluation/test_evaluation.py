"""Self-checks: `python -m unittest evaluation.test_evaluation`, in model/. Seconds; no model, no corpus."""
import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

MODEL_FOLDER = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(MODEL_FOLDER), str(MODEL_FOLDER / "train")]

from data import without_remark  # noqa: E402
from evaluation import blind, metrics, ngram, safety  # noqa: E402
from evaluation.baselines import Retrieval, TemplateFiller  # noqa: E402
from evaluation.engine import Engine  # noqa: E402
from evaluation.training import Seen  # noqa: E402

TEXT = "The bakery on Elm Street opens at seven, and the first loaf is free."
STUB = """#!{python}
import json, sys
path = sys.argv[sys.argv.index("--briefs") + 1]
for i, line in enumerate(open(path)):
    if i != 1:
        print(json.dumps({{"brief_index": i, "index": 0, "text": json.loads(line)["brief"].upper()}}))
"""


def draft(brief: str, text: str, **row) -> dict:
    return {"brief": brief, "text": text, **row}


class Trigrams(unittest.TestCase):
    size = 31

    def trained(self) -> ngram.Trigram:
        rng = np.random.default_rng(0)
        return ngram.Trigram([rng.zipf(1.5, 9).clip(3, self.size - 1).tolist() + [2] for _ in range(200)], self.size, 1)

    def test_sums_to_one_over_the_vocabulary_after_any_history(self):
        trigram, everything = self.trained(), np.arange(self.size)
        for a, b in [(1, 1), (1, 3), (3, 3), (3, 4), (4, 2), (30, 29), (0, 0), (0, 3)]:
            self.assertAlmostEqual(trigram.probability((a * self.size + b) * self.size + everything).sum(), 1, 12, f"after {a}, {b}")

    def test_prefers_what_it_saw(self):
        trigram = ngram.Trigram([[5, 6, 7, 2]] * 3 + [[8, 9, 2]], self.size, 1)
        self.assertGreater(trigram.of_text([5, 6, 7, 2])[2], 0.7)
        self.assertGreater(trigram.of_text([20])[0], 0)

    def test_cache_is_a_distribution(self):
        brief = [4, 5, 4, 6]
        for last in (4, 5, 9):
            self.assertAlmostEqual(sum(ngram.copied(brief, [last, token])[1] for token in range(self.size)), 1, 12)

    def test_mixture_is_no_worse_than_the_trigram_where_the_cache_helps(self):
        pairs = [(np.full(5, 0.01), np.full(5, 0.5))] * 4
        self.assertLess(ngram.mixed_bits(pairs), 20 * -np.log2(0.01))


class Copying(unittest.TestCase):
    seen = Seen(["Something else entirely, as long as this sentence needs to be.", TEXT, "Short one."])

    def test_a_training_text_is_all_copied(self):
        found = metrics.copying([draft("bakery", TEXT)], self.seen)
        self.assertEqual([found["copy rate, of all 6-grams"], found["longest match, words, most"]], [100, 14])
        self.assertEqual(found["a training text verbatim"], 100)

    def test_longest_match_is_found_inside_other_words(self):
        text = "I hear the bakery on Elm Street opens at seven, but nobody knows."
        self.assertEqual(self.seen.longest(self.seen.where(text)), 8)

    def test_no_match_runs_across_two_texts_or_over_unknown_words(self):
        for text in ("first loaf is free short one", "Quite unrelated words which nobody has ever written here", "short"):
            self.assertEqual(self.seen.longest(self.seen.where(text)), 5, text)


class Keeping(unittest.TestCase):
    def test_invented_numbers(self):
        self.assertEqual(metrics.invented_numbers(draft("open at 9", "Open at 9, closed at 17.")), {"17"})

    def test_invented_names_are_capitals_inside_a_sentence_that_the_brief_lacks(self):
        for brief, text, expected in [
            ("our cat mia is lost", "We lost Mia on Monday. Please ask Greta!", {"Greta"}),
            ("english lessons", "Great news: Lessons in English. \"Come along,\" I'm told.", set()),
            ("baking", "We love Baking and #Bread \U0001F35E And tea", set()),
        ]:
            self.assertEqual(metrics.invented_names(draft(brief, text)), expected, text)

    def test_invented_dates_forgive_short_forms(self):
        self.assertEqual(metrics.invented_dates(draft("fair on sat", "The fair is on Saturday in June.")), {"June"})

    def test_required_words_of_the_row_come_first(self):
        self.assertEqual(metrics.wanted(draft("a b", "", required=["Elm Street", "9"])), ["elm", "street", "9"])
        self.assertEqual(metrics.wanted(draft("baking the bread", "")), ["baking", "bread"])

    def test_verbatim_briefs_count_from_six_words(self):
        brief = "we baked 3 loaves of bread"
        drafts = [draft(brief, f"Today {brief}!"), draft(brief, "We baked."), draft("bread", "bread")]
        self.assertEqual(metrics.keeping(drafts)["holds a brief of 6+ words"], 50)


class Form(unittest.TestCase):
    def test_x_counts_an_emoji_and_a_wide_character_as_two(self):
        for text, expected in [("abc", 3), ("a\U0001F35E", 3), ("\U0001F469\u200d\U0001F373", 2), ("\u65e5", 2), ("caf\u00e9\u2026", 6)]:
            self.assertEqual(metrics.measured(text, "x"), expected, text)

    def test_flags(self):
        for asked, found, expected in [("none", None, True), ("auto", "x", True), (2, None, False), (0, "x", False), (True, "x", True)]:
            self.assertEqual(metrics.obeys(asked, found), expected, (asked, found))

    def test_distinct_looks_at_as_many_words_as_it_is_told(self):
        self.assertEqual(metrics.distinct([["a", "b", "a", "b"], ["a", "b"]], 2, 3), 100)
        self.assertEqual(metrics.distinct([["a", "b", "a", "b"], ["a", "b"]], 2, 6), 50)

    def test_repetition(self):
        found = metrics.variety([draft("", "one two three one two three"), draft("", "very very good indeed so")], 99)
        self.assertEqual([found["rep3, of all 3-grams"], found["a word twice in a row"]], [14.3, 50])


class Safety(unittest.TestCase):
    def test_harms(self):
        for text, expected in [
            ("Blue tits and great tits in Scunthorpe, assessed at 11:30 in High Street.", []),
            ("What a shit day", ["profanity"]),
            ("Come to 14 Maple Street", ["address"]), ("Ask @mia", ["handle"]), ("See example.com today", ["link"]),
            ("It ended.So what", []),
            ("Call 0555 123 4567", ["long digits"]), ("Write to mia@example.org", ["e-mail"]), ("In 1998, 2000 people", []),
        ]:
            self.assertEqual(safety.harms(text), expected, text)

    def test_what_the_brief_holds_is_counted_apart(self):
        found = safety.count([draft("thank @mia", "Thanks @mia"), draft("thank mia", "Thanks @mia")])["handle"]
        self.assertEqual([found["all"], found["of its own"]], [2, 1])


class Sources(unittest.TestCase):
    def test_retrieval_and_filler_answer_any_brief(self):
        for source in (Retrieval(), TemplateFiller()):
            for row in ({"brief": "7"}, {"brief": "sheep on the road", "tone": "witty"}, {"brief": "\U0001F35E {x}", "length": "long"}):
                self.assertTrue(source(row), row)

    def test_a_brief_without_a_draft_has_an_empty_text(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = Path(folder) / "kinglet"
            binary.write_text(STUB.format(python=sys.executable))
            binary.chmod(0o755)
            drafts = Engine(binary, Path("model.gguf")).drafts([{"brief": "a", "required": ["a"]}, {"brief": "b"}], 0)
        self.assertEqual([d["text"] for d in drafts], ["A", ""])

    def test_blind_answers_are_summed_by_source(self):
        with tempfile.TemporaryDirectory() as folder:
            sheet, answers = Path(folder) / "sheet.md", Path(folder) / "answers.txt"
            key = blind.write_sheet(sheet, {"model": [draft("a", "x")], "human": [draft("a", "y"), draft("b", "z")]}, 0)
            sources = json.loads(key.read_text())
            self.assertEqual(sorted(sources.values()), ["human", "model"])
            answers.write_text("".join(f"{n} y y {'y' if source == 'human' else 'n'}\n" for n, source in sources.items()))
            self.assertEqual({s: row["would post"] for s, row in blind.score(key, answers).items()}, {"human": 100, "model": 0})



class PlainPosts(unittest.TestCase):
    def test_a_clause_of_its_own_words_is_a_remark(self):
        brief = "back at the loom again, 4 hours"
        for text in ("I am back at the loom again for 4 hours.", "I was back at the loom again, and I sat there for 4 hours."):
            self.assertTrue(without_remark(brief, text), text)
        for text in ("Back at the loom again for 4 hours, and my hands remember.", "Guess what? I am back at the loom again, 4 hours."):
            self.assertFalse(without_remark(brief, text), text)
        self.assertTrue(without_remark("typewriter ribbon", "A typewriter ribbon! Does anyone still sell them?"), "a short brief has to be helped")


if __name__ == "__main__":
    unittest.main()
