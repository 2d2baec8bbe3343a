"""A Llama-shaped transformer with Hugging Face tensor names, in plain PyTorch.

Pre-norm RMSNorm, rotary positions on half-split pairs (Hugging Face order, not the interleaved
order of GGUF: export.py permutes), grouped-query attention, SwiGLU, tied embedding. The state
dict is the one of `LlamaForCausalLM`, so a checkpoint loads anywhere. Touvron et al. 2023.
"""
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

ROUND_TO = 512


@dataclass
class Config:
    hidden_size: int = 320
    intermediate_size: int = 864
    num_hidden_layers: int = 10
    num_attention_heads: int = 5
    num_key_value_heads: int = 5
    vocab_size: int = 8192
    max_position_embeddings: int = 1024
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def read(cls, path: Path) -> "Config":
        found = json.loads(Path(path).read_text())
        return cls(**{k: v for k, v in found.items() if k in cls.__dataclass_fields__})

    def hugging_face(self) -> dict:
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "head_dim": self.head_dim,
                "hidden_act": "silu", "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
                "pad_token_id": 0, "torch_dtype": "float32", **asdict(self)}


class Llama(nn.Module):
    """`forward` gives logits, `hidden` the normed states before the (tied) head."""

    def __init__(self, config: Config, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config.num_hidden_layers))
        self.model.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        angles = torch.outer(torch.arange(config.max_position_embeddings).float(),
                             config.rope_theta ** -(torch.arange(0, config.head_dim, 2).float() / config.head_dim))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.apply(self._start)

    def _start(self, module: nn.Module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def hidden(self, ids: Tensor, cache: list | None = None) -> Tensor:
        """ids: [batch, time] -> [batch, time, hidden]; `cache` holds one (k, v) per layer and grows."""
        past = cache[0][0].shape[2] if cache and cache[0] else 0
        rope = tuple(t[past:past + ids.shape[1]] for t in (self.cos, self.sin))
        x = self.model.embed_tokens(ids)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, rope, cache, i)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the targets that are not negative."""
        losses, _ = self.losses(ids, targets)
        return losses.sum() / (targets >= 0).sum()

    def losses(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each target that is not negative, and some zeros; their places in the flattened batch. The head runs on those only."""
        wanted = (targets.flatten() >= 0).nonzero().flatten()
        # Rounded up with positions of no loss: oneDNN keeps a compiled kernel for each size it meets.
        spare = (targets.flatten() < 0).nonzero().flatten()[:-len(wanted) % ROUND_TO]
        at = torch.cat([wanted, spare])
        logits = self.logits(self.hidden(ids).flatten(0, 1)[at])
        return F.cross_entropy(logits.float(), targets.flatten()[at], ignore_index=-1, reduction="none"), at


class Layer(nn.Module):
    def __init__(self, config: Config, dropout: float):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, rope: tuple, cache: list | None, index: int) -> Tensor:
        x = x + self.drop(self.self_attn(self.input_layernorm(x), rope, cache, index))
        return x + self.drop(self.mlp(self.post_attention_layernorm(x)))


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, config.hidden_size, bias=False)

    def forward(self, x: Tensor, rope: tuple, cache: list | None, index: int) -> Tensor:
        batch, time, _ = x.shape
        split = lambda y, heads: y.view(batch, time, heads, self.head_dim).transpose(1, 2)
        q, k, v = split(self.q_proj(x), self.heads), split(self.k_proj(x), self.kv_heads), split(self.v_proj(x), self.kv_heads)
        q, k = rotate(q, rope), rotate(k, rope)
        if cache is not None:
            if cache[index]:
                k, v = torch.cat([cache[index][0], k], 2), torch.cat([cache[index][1], v], 2)
            cache[index] = (k, v)
        if self.kv_heads != self.heads:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        causal = time > 1  # a prefill starts from an empty cache
        y = short_attention(q, k, v) if causal and q.device.type == "cpu" else F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.o_proj(y.transpose(1, 2).reshape(batch, time, -1))


def short_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention as two products: [batch, heads, time, head_dim]. PyTorch's fused one takes three times as long backwards on a CPU."""
    batch, heads, time, width = q.shape
    flat = lambda x: x.reshape(batch * heads, time, width)
    future = torch.full((time, time), float("-inf"), dtype=q.dtype).triu(1)
    scores = torch.baddbmm(future.expand(batch * heads, time, time), flat(q), flat(k).transpose(1, 2), alpha=width ** -0.5)
    return torch.bmm(scores.softmax(-1).to(v.dtype), flat(v)).view(q.shape)


class Mlp(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def rotate(x: Tensor, rope: tuple) -> Tensor:
    """x: [batch, heads, time, head_dim]; pair i is (i, i + head_dim / 2)."""
    cos, sin = (t.to(x.dtype) for t in rope)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def load(folder: Path, dropout: float = 0.0) -> Llama:
    """A Hugging Face folder (config.json, model.safetensors or its parts), weights as f32."""
    model = Llama(Config.read(Path(folder) / "config.json"), dropout)
    files = sorted(Path(folder).glob("model*.safetensors"))  # one, or the parts of one
    state = {k: v.float() for file in files for k, v in load_file(file).items() if k != "lm_head.weight"}
    model.load_state_dict(state)
    return model
