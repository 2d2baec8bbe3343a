"""The evaluation of the bundled model: `python model/eval.py --help`. The parts are in evaluation/.

This file is the command, and the name under which train/data.py imports the word functions.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "train")]

from evaluation.wording import ENDS, keeps, numbers, required, same_stem, words  # noqa: E402, F401

if __name__ == "__main__":
    from evaluation.command import main
    main()
