"""A seed -> a GGUF of SmolLM2-135M's shape with random weights, for speed and memory measurements.

    python random_135m.py OUT.gguf [--seed 1]
    python random_135m.py OUT.gguf --layers 10 --hidden 320 --heads 5 --kv-heads 5 --ffn 864 --vocab 8192 --context 1024

It writes nonsense, but at the true cost: Q8_0 matrices, tied embedding, grouped-query attention.
Weights are scaled so that logits have a standard deviation near 2, and the byte-level BPE tokenizer
is made up from letters: every merge joins two earlier entries. Needs numpy and gguf only.
"""
import argparse
import itertools
import string
from pathlib import Path

import gguf
import numpy as np

LOGIT_STD = 2.0
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def main():
    args = arguments()
    partial = args.out.with_suffix(".tmp")
    writer = gguf.GGUFWriter(partial, "llama")
    write_metadata(writer, args)
    write_tokenizer(writer, args.vocab, args.pre)
    rng = np.random.default_rng(args.seed)
    for name, shape, std in weights(args):
        if std is None:
            writer.add_tensor(name, np.ones(shape, np.float32))
        else:
            values = rng.standard_normal(shape, np.float32) * np.float32(std)
            writer.add_tensor(name, gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0),
                              raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--kv-heads", type=int, default=3)
    parser.add_argument("--ffn", type=int, default=1536)
    parser.add_argument("--vocab", type=int, default=49152)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--rope-theta", type=float, default=100000.0)
    parser.add_argument("--rms-eps", type=float, default=1e-5)
    parser.add_argument("--pre", default="smollm", help="tokenizer.ggml.pre")
    args = parser.parse_args()
    if args.hidden % 32 or args.ffn % 32:
        parser.error("hidden and ffn must be multiples of 32, the block of Q8_0")
    if args.hidden % args.heads or args.heads % args.kv_heads:
        parser.error("heads must divide hidden, and kv-heads must divide heads")
    return args


def write_metadata(writer: gguf.GGUFWriter, args):
    writer.add_name(f"Random {args.layers}x{args.hidden}")
    writer.add_description("random weights, for measurements only")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(args.layers)
    writer.add_context_length(args.context)
    writer.add_embedding_length(args.hidden)
    writer.add_feed_forward_length(args.ffn)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.kv_heads)
    writer.add_layer_norm_rms_eps(args.rms_eps)
    writer.add_rope_freq_base(args.rope_theta)
    writer.add_rope_dimension_count(args.hidden // args.heads)
    writer.add_vocab_size(args.vocab)
    writer.add_chat_template(CHAT_TEMPLATE)


def write_tokenizer(writer: gguf.GGUFWriter, vocab_size: int, pre: str):
    merges = list(itertools.islice(made_up_merges(), max(0, vocab_size - len(SPECIAL) - 256)))
    vocab = SPECIAL + byte_letters() + [a + b for a, b in merges]
    assert len(set(vocab)) == len(vocab) == vocab_size, f"vocab must be 259 to {len(vocab)}, not {vocab_size}"
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocab)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (vocab_size - len(SPECIAL)))
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def byte_letters() -> list[str]:
    """GPT-2's printable letter for each byte, in its own order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(other))]


def made_up_merges():
    """Pairs of letters, then a space before them, then threes, then fours: each part exists before it is used."""
    letters = string.ascii_lowercase
    twos = [a + b for a, b in itertools.product(letters, letters)]
    threes = [(two, c) for two in twos for c in letters]
    yield from itertools.product(letters, letters)
    yield from (("\u0120", part) for part in [*letters, *twos])
    yield from threes
    yield from (("\u0120", two + c) for two, c in threes)
    yield from itertools.product(twos, twos)


def weights(args):
    """(name, shape, standard deviation); None is a norm's gain of ones."""
    head_dim = args.hidden // args.heads
    kv_size = args.kv_heads * head_dim
    into, out_of_ffn = args.hidden ** -0.5, args.ffn ** -0.5
    onto_residual = (2 * args.layers) ** -0.5  # the sum over all blocks stays near 1
    yield "token_embd.weight", (args.vocab, args.hidden), LOGIT_STD * into
    for i in range(args.layers):
        yield f"blk.{i}.attn_norm.weight", (args.hidden,), None
        yield f"blk.{i}.attn_q.weight", (args.hidden, args.hidden), into
        yield f"blk.{i}.attn_k.weight", (kv_size, args.hidden), into
        yield f"blk.{i}.attn_v.weight", (kv_size, args.hidden), into
        yield f"blk.{i}.attn_output.weight", (args.hidden, args.hidden), into * onto_residual
        yield f"blk.{i}.ffn_norm.weight", (args.hidden,), None
        yield f"blk.{i}.ffn_gate.weight", (args.ffn, args.hidden), into
        yield f"blk.{i}.ffn_up.weight", (args.ffn, args.hidden), into
        yield f"blk.{i}.ffn_down.weight", (args.hidden, args.ffn), out_of_ffn * onto_residual
    yield "output_norm.weight", (args.hidden,), None


if __name__ == "__main__":
    main()
