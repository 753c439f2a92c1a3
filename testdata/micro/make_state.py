"""Makes the checkpoints micro/FAMILY of jamba and nemotron-h-moe.

    python testdata/micro/make_state.py FIXTURES [FAMILY...]     (FIXTURES: the full fixture set, whose tokenizers are cut short here)

Needs what make_hybrid.py needs; golden.py then makes the goldens.
"""
import os, sys, torch
from make_hybrid import HERE, Checkpoint


def state(c, p, heads):
    """Logarithms of decays as models have them, and the rest of a state."""
    c.t[p + "A_log"] = torch.log(torch.arange(1, heads + 1)).to(torch.bfloat16)
    c.put(p + "D", heads, shift=1.0)


def jamba():
    """Attention in the second of three blocks, experts in the first and the third; a SentencePiece vocabulary."""
    c = Checkpoint("jamba", "AI21-Jamba-Mini-Base", "default", "JambaForCausalLM", "qwen3-moe", 0)
    good = os.path.join(HERE, "..", "bad", "_good")
    c.files = {}
    c.tokens = __import__("json").load(open(os.path.join(good, "tokenizer_config.json")))
    c.raw = {"tokenizer.model": open(os.path.join(good, "tokenizer.model"), "rb").read()}
    L, H, HEADS, KV, FF, X, STATE, KERNEL, RANK, V = 3, 36, 3, 1, 28, 3, 6, 3, 5, 300
    c.config |= {
        "model_type": "jamba", "attention_dropout": 0.0, "attn_layer_offset": 1, "attn_layer_period": 3, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "expert_layer_offset": 0, "expert_layer_period": 2,
        "hidden_act": "silu", "hidden_size": H, "intermediate_size": FF, "mamba_conv_bias": True, "mamba_d_conv": KERNEL, "mamba_d_state": STATE, "mamba_dt_rank": RANK, "mamba_expand": 2, "mamba_proj_bias": False,
        "max_position_embeddings": 262144, "num_attention_heads": HEADS, "num_experts": X, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "num_logits_to_keep": 1, "rms_norm_eps": 1e-6,
        "sliding_window": None, "tie_word_embeddings": False, "use_mamba_kernels": True, "vocab_size": V}
    c.put("model.embed_tokens.weight", V, H)
    for i in range(L):
        p = f"model.layers.{i}."
        if i == 1:
            c.attention(p + "self_attn", H, HEADS, KV, H // HEADS)
        else:
            m = p + "mamba."
            c.put(m + "in_proj.weight", 4 * H, H)
            c.put(m + "conv1d.weight", 2 * H, 1, KERNEL)
            c.put(m + "conv1d.bias", 2 * H)
            c.put(m + "x_proj.weight", RANK + 2 * STATE, 2 * H)
            c.put(m + "dt_proj.weight", 2 * H, RANK)
            c.put(m + "dt_proj.bias", 2 * H)
            for n, size in (("dt", RANK), ("b", STATE), ("c", STATE)):
                c.norm(f"{m}{n}_layernorm.weight", n=size)
            c.t[m + "A_log"] = torch.log(torch.arange(1, STATE + 1)).repeat(2 * H, 1).to(torch.bfloat16)
            c.put(m + "D", 2 * H, shift=1.0)
            c.put(m + "out_proj.weight", H, 2 * H)
        if i % 2:
            c.mlp(p + "feed_forward", H, FF)
        else:
            c.put(p + "feed_forward.router.weight", X, H)
            for x in range(X):
                c.mlp(f"{p}feed_forward.experts.{x}", H, FF)
        c.norm(p + "input_layernorm.weight", p + "pre_ff_layernorm.weight", n=H)
    c.norm("model.final_layernorm.weight", n=H)
    c.put("lm_head.weight", V, H)
    c.shards = 2
    return c


def nemotron_h_moe():
    """One block of each kind, and Mamba once more; more kinds of heads than one."""
    c = Checkpoint("nemotron-h-moe", "NVIDIA-Nemotron-3-Pico-2B-A1B-BF16", "qwen2", "NemotronHForCausalLM", "qwen3-moe", 270)
    H, HEADS, KV, DIM, FF, SHARED, X, MH, MD, G, STATE, KERNEL, PATTERN = 36, 3, 1, 16, 20, 28, 5, 4, 16, 2, 6, 4, "ME*M"
    V = -(-c.vocab // 8) * 8
    c.config |= {
        "model_type": "nemotron_h", "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": c.ids["<|endoftext|>"], "eos_token_id": c.ids["<|im_end|>"], "chunk_size": 128, "conv_kernel": KERNEL, "expand": 2,
        "head_dim": DIM, "hidden_dropout": 0.0, "hidden_size": H, "hybrid_override_pattern": PATTERN, "initializer_range": 0.02, "intermediate_size": FF, "layer_norm_epsilon": 1e-5, "mamba_head_dim": MD,
        "mamba_hidden_act": "silu", "mamba_num_heads": MH, "mamba_proj_bias": False, "mamba_ssm_cache_dtype": "float32", "max_position_embeddings": 262144, "mlp_bias": False, "mlp_hidden_act": "relu2",
        "moe_intermediate_size": FF, "moe_shared_expert_intermediate_size": SHARED, "n_group": 1, "n_groups": G, "n_routed_experts": X, "n_shared_experts": 1, "norm_eps": 1e-5, "norm_topk_prob": True,
        "num_attention_heads": HEADS, "num_experts_per_tok": 3, "num_hidden_layers": len(PATTERN), "num_key_value_heads": KV, "num_logits_to_keep": 1, "partial_rotary_factor": 1.0, "rescale_prenorm_residual": True,
        "residual_in_fp32": False, "rope_theta": 10000, "routed_scaling_factor": 2.5, "sliding_window": None, "ssm_state_size": STATE, "tie_word_embeddings": False, "time_step_floor": 0.0001, "time_step_max": 0.1,
        "time_step_min": 0.001, "topk_group": 1, "use_bias": False, "use_cache": True, "use_conv_bias": True, "use_mamba_kernels": True, "vocab_size": V}
    c.put("backbone.embeddings.weight", V, H)
    inner = MH * MD
    for i, kind in enumerate(PATTERN):
        p = f"backbone.layers.{i}.mixer."
        if kind == "M":
            c.put(p + "in_proj.weight", 2 * inner + 2 * G * STATE + MH, H)
            c.put(p + "conv1d.weight", inner + 2 * G * STATE, 1, KERNEL)
            c.put(p + "conv1d.bias", inner + 2 * G * STATE)
            c.put(p + "dt_bias", MH)
            state(c, p, MH)
            c.norm(p + "norm.weight", n=inner)
            c.put(p + "out_proj.weight", H, inner)
        elif kind == "*":
            c.attention(p[:-1], H, HEADS, KV, DIM)
        else:
            c.put(p + "gate.weight", X, H)
            c.put(p + "gate.e_score_correction_bias", X, dtype=torch.float32)
            for x in range(X):
                c.mlp(f"{p}experts.{x}", H, FF, names=("up_proj", "down_proj"))
            c.mlp(p + "shared_experts", H, SHARED, names=("up_proj", "down_proj"))
        c.norm(f"backbone.layers.{i}.norm.weight", n=H)
    c.norm("backbone.norm_f.weight", n=H)
    c.put("lm_head.weight", V, H)
    return c


if __name__ == "__main__":
    families = {"jamba": jamba, "nemotron-h-moe": nemotron_h_moe}
    for name in sys.argv[2:] or families:
        c = families[name]()
        c.write()
        for file, data in getattr(c, "raw", {}).items():
            with open(os.path.join(HERE, c.family, c.repo, file), "wb") as f:
                f.write(data)
