"""Makes the checkpoints micro/FAMILY of afmoe and grovemoe.

    python testdata/micro/make_trinity.py FIXTURES [FAMILY...]     (FIXTURES: the full fixture set, whose tokenizers are cut short here)

Needs what make_hybrid.py needs; golden.py then makes the goldens.
"""
import sys, torch
from make_hybrid import Checkpoint


def afmoe():
    """Two dense layers, then the last of four, which attends to everything, with experts."""
    c = Checkpoint("afmoe", "Trinity-Nano-Preview", "qwen2", "AfmoeForCausalLM", "qwen3-moe", 260)
    L, H, HEADS, KV, DIM, FF, DENSE, X, SHARED, EOS = 4, 36, 3, 1, 8, 12, 20, 3, 2, c.ids["<|im_end|>"]
    c.config |= {
        "model_type": "afmoe", "attention_dropout": 0.0, "global_attn_every_n_layers": 4, "head_dim": DIM, "hidden_act": "silu", "hidden_size": H, "initializer_range": 0.02, "intermediate_size": DENSE,
        "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "load_balance_coeff": 0.001, "max_position_embeddings": 131072, "moe_intermediate_size": FF, "mup_enabled": True, "n_group": 1,
        "num_attention_heads": HEADS, "num_dense_layers": 2, "num_expert_groups": 1, "num_experts": X, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "num_limited_groups": 1,
        "num_shared_experts": SHARED, "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 10000, "route_norm": True, "route_scale": 2.826, "score_func": "sigmoid", "sliding_window": 48,
        "tie_word_embeddings": False, "topk_group": 1, "use_cache": True, "use_grouped_mm": True, "eos_token_id": EOS, "vocab_size": c.vocab + 3}
    c.put("model.embed_tokens.weight", c.vocab + 3, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        c.put(f"{p}.self_attn.gate_proj.weight", HEADS * DIM, H)
        c.norm(f"{p}.self_attn.q_norm.weight", f"{p}.self_attn.k_norm.weight", n=DIM)
        if i < 2:
            c.mlp(f"{p}.mlp", H, DENSE)
        else:
            c.put(f"{p}.mlp.router.gate.weight", X, H)
            c.put(f"{p}.mlp.expert_bias", X, dtype=torch.float32)
            for x in range(X):
                c.mlp(f"{p}.mlp.experts.{x}", H, FF)
            c.mlp(f"{p}.mlp.shared_experts", H, FF * SHARED)
        c.norm(*(f"{p}.{n}_layernorm.weight" for n in ("input", "post_attention", "pre_mlp", "post_mlp")), n=H)
    c.norm("model.norm.weight", n=H)
    c.put("lm_head.weight", c.vocab + 3, H)
    c.shards = 2
    return c


def grovemoe():
    """Tied embeddings; six experts share three adjugate ones."""
    c = Checkpoint("grovemoe", "GroveMoE-Base", "qwen2", "GroveMoeForCausalLM", "qwen3-moe", 265)
    L, H, HEADS, KV, DIM, FF, X, EOS = 2, 36, 4, 2, 10, 12, 6, c.ids["<|im_end|>"]
    c.config |= {
        "model_type": "grove_moe", "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": c.ids["<|endoftext|>"], "eos_token_id": EOS, "decoder_sparse_step": 1, "head_dim": DIM, "hidden_act": "silu",
        "hidden_size": H, "intermediate_size": 96, "max_position_embeddings": 40960, "max_window_layers": L, "mlp_only_layers": [], "moe_intermediate_size": FF, "norm_topk_prob": True, "num_attention_heads": HEADS,
        "num_experts": X, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": None,
        "tie_word_embeddings": True, "use_sliding_window": False, "vocab_size": c.vocab}
    c.put("model.embed_tokens.weight", c.vocab, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        c.norm(f"{p}.self_attn.q_norm.weight", f"{p}.self_attn.k_norm.weight", n=DIM)
        c.put(f"{p}.mlp.gate.weight", X, H)
        c.put(f"{p}.mlp.expert_bias", X, dtype=torch.float32)
        for x in range(X):
            c.mlp(f"{p}.mlp.experts.{x}", H, FF)
        for x in range(X // 2):
            c.mlp(f"{p}.mlp.chunk_experts.{x}", H, DIM)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("model.norm.weight", n=H)
    return c


if __name__ == "__main__":
    families = {"afmoe": afmoe, "grovemoe": grovemoe}
    for name in sys.argv[2:] or families:
        families[name]().write()
