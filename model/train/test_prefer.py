"""python -m unittest discover model/train"""
import math
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from model import Config, Llama
from prefer import Pairs, Preferring, log_probabilities

SHAPE = Config(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1, num_key_value_heads=1, vocab_size=50)
PROMPT, CORRECTION, DRAFT = [1, 7, 3], [9, 10, 11, 2], [9, 10, 12, 13, 2]


class Preference(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.model = Llama(SHAPE)
        documents = [np.array(PROMPT + text, np.uint16) for text in (CORRECTION, DRAFT)] * 3
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pairs.npz"
            starts = np.concatenate([[0], np.cumsum([len(d) for d in documents])])
            np.savez(path, tokens=np.concatenate(documents), starts=starts, prompts=np.full(6, len(PROMPT), np.uint16))
            self.pairs = Pairs(path, self.model, 336, seed=1)

    def test_a_text_is_worth_the_sum_of_its_tokens(self):
        ids, targets, _ = self.pairs.at(0)
        whole = log_probabilities(self.model, ids, targets)
        said = PROMPT + CORRECTION
        each = self.model.logits(self.model.hidden(torch.tensor([said]))).log_softmax(-1)[0]
        expected = sum(each[at - 1, said[at]].item() for at in range(len(PROMPT), len(said)))
        self.assertAlmostEqual(whole[0].item(), expected, places=3)
        self.assertEqual(whole[6:].abs().max().item(), 0, "padding is worth nothing")

    def test_the_loss_begins_at_ln_2_and_falls_as_the_correction_gains(self):
        batch = self.pairs.at(0)
        loss = Preferring(self.model, weight=1.0, beta=0.1)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        corrections = batch[1].clone()
        corrections[1::2] = -1
        preference = lambda: loss(batch[0], batch[1], *batch) - self.model(batch[0], batch[1]) - self.model(batch[0], corrections)
        self.assertAlmostEqual(preference().item(), math.log(2), delta=0.01)
        for _ in range(30):
            preference().backward()
            optimizer.step()
            optimizer.zero_grad()
        self.assertLess(preference().item(), 0.5)
        self.assertEqual(self.pairs.preferred(self.model), 1.0)


if __name__ == "__main__":
    unittest.main()
