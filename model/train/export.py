"""A checkpoint -> a Hugging Face folder and a Q8_0 GGUF, and the proof that they are the same model.

    python export.py runs/posts/best.pt [--folder runs/export] [--gguf ../nano.gguf]

Rows of q and k are permuted: GGUF's llama architecture turns neighbouring pairs, Hugging Face
turns pair (i, i + head_dim / 2). The embedding is the head too, so there is no output.weight.
After writing, the file is read back, dequantised and un-permuted, and its logits are compared.
"""
import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from model import Config, Llama, load
from prompt import ANGLES, CHAT_TEMPLATE, load_tokenizer, tokenizer_text

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[2] / "shared" / "corpus"
LIMIT_BYTES = 16 * 1024 * 1024
LOGIT_TOLERANCE = 0.03  # root mean square, relative to the logits' spread: 8 bits, one scale in 32, ten layers
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help=".pt of train.py or a Hugging Face folder")
    parser.add_argument("--folder", type=Path, default=HERE / "runs" / "export")
    parser.add_argument("--gguf", type=Path, default=HERE.parent / "nano.gguf")
    parser.add_argument("--tokenizer", type=Path, default=CORPUS / "tokenizer-8k.json")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--repetition-penalty", type=float, default=1.0)
    parser.add_argument("--candidates", type=int, default=4, help="written for each draft handed out")
    parser.add_argument("--stutters", type=int, default=16, help="times a draft is taken back for saying something again, or a word that does not exist")
    parser.add_argument("--spelling", type=int, choices=[0, 1], default=1, help="take back words that neither a token nor the brief holds")
    parser.add_argument("--emoji", action="store_true", help="ask for emoji where they are left to the model")
    parser.add_argument("--angles", nargs="+", choices=ANGLES, default=["note"], help="those that a draft may begin with")
    parser.add_argument("--boost", type=float, default=0.0, help="added to the scores of the brief's words until they are written")
    args = parser.parse_args()
    model = read(args.checkpoint)
    write_folder(model, args.folder, args.tokenizer)
    partial = args.gguf.with_suffix(".tmp")
    write_gguf(model, partial, args)
    difference = compare(model, from_gguf(partial), load_tokenizer(args.tokenizer))
    size = partial.stat().st_size
    print(f"{size} bytes, {LIMIT_BYTES - size} to spare; logits differ by {difference:.4f} of their spread")
    assert size <= LIMIT_BYTES, f"{size} bytes is over {LIMIT_BYTES}"
    assert difference < LOGIT_TOLERANCE, f"quantised logits differ by {difference}"
    partial.replace(args.gguf)


def read(path: Path) -> Llama:
    if path.is_dir():
        return load(path).eval()
    saved = torch.load(path, weights_only=False, map_location="cpu")
    model = Llama(Config(**saved["config"]))
    model.load_state_dict(saved["model"])
    return model.eval()


def write_folder(model: Llama, folder: Path, tokenizer: Path):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.config.hugging_face(), indent=1))
    (folder / "tokenizer.json").write_text(tokenizer_text(tokenizer), encoding="utf-8")


def write_gguf(model: Llama, path: Path, args):
    writer = gguf.GGUFWriter(path, "llama")
    c = model.config
    writer.add_name("Kinglet Nano 15M")
    writer.add_license("MIT OR Apache-2.0")
    writer.add_description("Short posts from a brief. Attribution of the training data: ATTRIBUTION.md")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_vocab_size(c.vocab_size)
    write_tokenizer(writer, tokenizer_text(args.tokenizer))
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_string("kinglet.prompt", "brief")
    write_sampling(writer, args)
    for name, tensor in tensors(model):
        quantised = gguf.quants.quantize(tensor, gguf.GGMLQuantizationType.Q8_0) if tensor.ndim == 2 else tensor
        writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0 if tensor.ndim == 2 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokenizer(writer: gguf.GGUFWriter, text: str):
    """pre is gpt-2: its regular expression groups digits, ours does not, but no merge joins two
    digits, so the ids are the same (check_tokenizer.py). The JSON itself goes along too."""
    spec = json.loads(text)
    control = {t["content"] for t in spec["added_tokens"]}
    ids = spec["model"]["vocab"] | {t["content"]: t["id"] for t in spec["added_tokens"]}
    vocab = sorted(ids, key=ids.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocab)
    writer.add_token_types([gguf.TokenType.CONTROL if t in control else gguf.TokenType.NORMAL for t in vocab])
    writer.add_token_merges([" ".join(pair) for pair in spec["model"]["merges"]])
    writer.add_bos_token_id(vocab.index("<|bos|>"))
    writer.add_eos_token_id(vocab.index("<|eos|>"))
    writer.add_pad_token_id(vocab.index("<|pad|>"))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def write_sampling(writer: gguf.GGUFWriter, args):
    writer.add_sampling_temp(args.temperature)
    writer.add_sampling_top_p(args.top_p)
    writer.add_sampling_top_k(args.top_k)
    writer.add_sampling_penalty_repeat(args.repetition_penalty)
    writer.add_float32("kinglet.sampling.temperature", args.temperature)
    writer.add_float32("kinglet.sampling.top_p", args.top_p)
    writer.add_uint32("kinglet.sampling.top_k", args.top_k)
    writer.add_float32("kinglet.sampling.repetition_penalty", args.repetition_penalty)
    writer.add_uint32("kinglet.candidates", args.candidates)
    writer.add_float32("kinglet.boost", args.boost)
    writer.add_uint32("kinglet.stutters", args.stutters)
    writer.add_uint32("kinglet.spelling", args.spelling)
    writer.add_uint32("kinglet.emoji", int(args.emoji))
    writer.add_array("kinglet.angles", args.angles)


def tensors(model: Llama):
    """(GGUF name, f32 array) in file order."""
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    yield "token_embd.weight", state["model.embed_tokens.weight"]
    for i in range(model.config.num_hidden_layers):
        for name, short in NAMES.items():
            yield f"blk.{i}.{short}.weight", permuted(state[f"model.layers.{i}.{name}.weight"], short, model.config)
    yield "output_norm.weight", state["model.norm.weight"]


def permuted(rows: np.ndarray, short: str, c: Config, back: bool = False) -> np.ndarray:
    """[heads * head_dim, hidden]: half-split pairs to interleaved pairs, or back."""
    heads = {"attn_q": c.num_attention_heads, "attn_k": c.num_key_value_heads}.get(short)
    if heads is None:
        return rows
    shape = (heads, c.head_dim // 2, 2, -1) if back else (heads, 2, c.head_dim // 2, -1)
    return np.ascontiguousarray(rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape))


def from_gguf(path: Path) -> Llama:
    """The file as others will read it, dequantised."""
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[f"llama.{key}"].contents()
    c = Config(field("embedding_length"), field("feed_forward_length"), field("block_count"), field("attention.head_count"),
               field("attention.head_count_kv"), field("vocab_size"), field("context_length"),
               field("attention.layer_norm_rms_epsilon"), field("rope.freq_base"))
    found = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    state = {"model.embed_tokens.weight": found["token_embd.weight"], "model.norm.weight": found["output_norm.weight"]}
    for i in range(c.num_hidden_layers):
        for name, short in NAMES.items():
            state[f"model.layers.{i}.{name}.weight"] = permuted(found[f"blk.{i}.{short}.weight"], short, c, back=True)
    model = Llama(c)
    model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    return model.eval()


@torch.no_grad()
def compare(a: Llama, b: Llama, tokenizer) -> float:
    """Root mean square difference of the logits on one text, relative to their standard deviation."""
    ids = torch.tensor([tokenizer.encode("We open on Thursday at 9. Bring your dog, a towel and 2 friends!").ids])
    x, y = (m.logits(m.hidden(ids)) for m in (a, b))
    return ((x - y).square().mean().sqrt() / x.std()).item()


if __name__ == "__main__":
    main()
