"""Makes the checkpoints micro/FAMILY of llama4, hunyuan-moe, bailing-moe, bailing-moe2, lfm2-moe and gemma4.

    python testdata/micro/make_hybrid.py FIXTURES [FAMILY...]     (FIXTURES: the full fixture set, whose tokenizers are cut short here)

Needs torch and safetensors; golden.py then makes the goldens. Sizes are other than those of the fixtures, and odd.
"""
import json, os, shutil, sys, torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = {}


class Checkpoint:
    def __init__(self, family, repo, pre, arch, source, keep, seed=0):
        self.family, self.repo, self.pre, self.t, self.files, self.meta = family, repo, pre, {}, {}, {}
        self.gen = torch.Generator().manual_seed(seed + sum(family.encode()))
        self.config = {"architectures": [arch], "torch_dtype": "bfloat16"}
        self.shards = 1
        self.cut(source, keep)

    def cut(self, source, keep):
        """The source fixture's tokenizer with the first keep ordinary tokens; ids of special ones move down."""
        src = os.path.join(sys.argv[1], "families", source)
        src = os.path.join(src, next(d for d in os.listdir(src) if os.path.exists(os.path.join(src, d, "config.json"))))
        self.tokens = json.load(open(os.path.join(src, "tokenizer_config.json")))
        if os.path.exists(os.path.join(src, "hy.tiktoken")):
            self.files["hy.tiktoken"] = "".join(open(os.path.join(src, "hy.tiktoken")).readlines()[:keep])
            names = ["<|startoftext|>", "<|extra_0|>", "<|extra_4|>", "<|extra_5|>", "<|eos|>", "<|pad|>", "<|bos|>", "<|endoftext|>"]
            self.ids = {n: keep + i for i, n in enumerate(names)}
            self.meta["special"] = self.ids
        else:
            tok = json.load(open(os.path.join(src, "tokenizer.json")))
            m, special = tok["model"], {a["content"] for a in tok["added_tokens"]}
            plain = [s for s in sorted(m["vocab"], key=m["vocab"].get) if s not in special]
            plain = sorted(set(plain[:keep]) | {s for s in plain if len(s) == 1}, key=m["vocab"].get)
            known = set(plain)
            order = sorted(plain + sorted(special), key=lambda s: m["vocab"].get(s, next((a["id"] for a in tok["added_tokens"] if a["content"] == s), 0)))
            self.ids = {s: i for i, s in enumerate(order)}
            m["merges"] = [p for p in m["merges"] if {*(x := p.split(" ") if isinstance(p, str) else p), "".join(x)} <= known]
            m["vocab"] = {s: self.ids[s] for s in order if s in m["vocab"]}
            for a in tok["added_tokens"]:
                a["id"] = self.ids[a["content"]]
            post = (tok.get("post_processor") or {}).get("special_tokens", {})
            for s, v in post.items():
                v["ids"] = [self.ids[s]]
            self.files["tokenizer.json"] = json.dumps(tok, ensure_ascii=False, indent=0)
            if "added_tokens_decoder" in self.tokens:
                self.tokens["added_tokens_decoder"] = {str(self.ids[a["content"]]): a for a in self.tokens["added_tokens_decoder"].values() if a["content"] in self.ids}
        self.vocab = max(self.ids.values()) + 1

    def put(self, name, *shape, dtype=torch.bfloat16, scale=0.1, shift=0.0):
        self.t[name] = (torch.randn(*shape, generator=self.gen) * scale + shift).to(dtype)

    def norm(self, *names, n, **kw):
        for name in names:
            self.put(name, n, shift=1.0, **kw)

    def mlp(self, prefix, hidden, ff, names=("gate_proj", "up_proj", "down_proj")):
        for n in names:
            self.put(f"{prefix}.{n}.weight", *((hidden, ff) if n in ("down_proj", "w2") else (ff, hidden)))

    def attention(self, prefix, hidden, heads, kv, dim, out="o_proj"):
        for n, rows in (("q_proj", heads), ("k_proj", kv), ("v_proj", kv)):
            self.put(f"{prefix}.{n}.weight", rows * dim, hidden)
        self.put(f"{prefix}.{out}.weight", hidden, heads * dim)

    def write(self):
        root = os.path.join(HERE, self.family)
        shutil.rmtree(root, ignore_errors=True)
        d = os.path.join(root, self.repo)
        os.makedirs(d)
        self.files |= {"config.json": json.dumps(self.config, indent=1), "tokenizer_config.json": json.dumps(self.tokens, ensure_ascii=False, indent=1)}
        for name, text in self.files.items():
            with open(os.path.join(d, name), "w", encoding="utf-8") as f:
                f.write(text + ("" if text.endswith("\n") else "\n"))
        with open(os.path.join(root, "fixture.json"), "w") as f:
            f.write(json.dumps({"pre": self.pre, **self.meta}) + "\n")
        names = list(self.t)
        if self.shards == 1:
            save_file(self.t, os.path.join(d, "model.safetensors"), metadata={"format": "pt"})
            return
        where = {}
        for i in range(self.shards):  # neighbours in a layer lie in different shards
            part = f"model-{i + 1:05}-of-{self.shards:05}.safetensors"
            save_file({n: self.t[n] for n in names[i::self.shards]}, os.path.join(d, part), metadata={"format": "pt"})
            where |= dict.fromkeys(names[i::self.shards], part)
        total = sum(x.nbytes for x in self.t.values())
        with open(os.path.join(d, "model.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f, indent=0)


def family(f):
    FAMILIES[f.__name__.replace("_", "-")] = f
    return f


@family
def llama4():
    """The wrapper of text and images, every second layer dense; llama3 scaling with all three kinds of frequencies."""
    c = Checkpoint("llama4", "Llama-4-Maverick-Mini-Instruct", "llama4", "Llama4ForConditionalGeneration", "llama4", 280)
    L, H, HEADS, KV, DIM, FF, DENSE, X = 4, 36, 3, 1, 16, 20, 32, 3
    c.config |= {
        "model_type": "llama4", "boi_token_index": c.ids["<|image|>"], "eoi_token_index": c.ids["<|patch|>"], "image_token_index": c.ids["<|patch|>"], "tie_word_embeddings": False,
        "text_config": {
            "model_type": "llama4_text", "attention_bias": False, "attention_chunk_size": 8192, "attn_temperature_tuning": True, "bos_token_id": c.ids["<|begin_of_text|>"], "eos_token_id": [c.ids["<|eot|>"]],
            "head_dim": DIM, "hidden_act": "silu", "hidden_size": H, "interleave_moe_layer_step": 2, "intermediate_size": FF, "intermediate_size_mlp": DENSE, "max_position_embeddings": 1048576,
            "no_rope_layers": [], "num_attention_heads": HEADS, "num_experts_per_tok": 1, "num_hidden_layers": L, "num_key_value_heads": KV, "num_local_experts": X, "output_router_logits": False,
            "pad_token_id": c.ids["<|finetune_right_pad|>"], "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "use_qk_norm": True, "vocab_size": c.vocab,
            "rope_scaling": {"factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}},
        "vision_config": {"model_type": "llama4_vision_model", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vision_output_dim": 8}}
    del c.config["torch_dtype"]
    c.put("vision_model.class_embedding", 8)
    c.put("multi_modal_projector.linear_1.weight", H, 8)
    c.put("language_model.model.embed_tokens.weight", c.vocab, H)
    for i in range(L):
        p = f"language_model.model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        if i % 2:
            c.put(f"{p}.feed_forward.experts.gate_up_proj", X, H, 2 * FF)
            c.put(f"{p}.feed_forward.experts.down_proj", X, FF, H)
            c.put(f"{p}.feed_forward.router.weight", X, H)
            c.mlp(f"{p}.feed_forward.shared_expert", H, FF)
        else:
            c.mlp(f"{p}.feed_forward", H, DENSE)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("language_model.model.norm.weight", n=H)
    c.put("language_model.lm_head.weight", c.vocab, H)
    c.shards = 2
    return c


@family
def hunyuan_moe():
    """Without scaled rotary embedding, whose only known form needs large heads; fields the real config sets to false."""
    c = Checkpoint("hunyuan-moe", "Hunyuan-A3B-Pretrain", "hunyuan", "HunYuanMoEV1ForCausalLM", "hunyuan-moe", 270)
    L, H, HEADS, KV, DIM, FF, X = 2, 36, 2, 1, 20, 32, 4
    c.config |= {
        "model_type": "hunyuan_v1_moe", "attention_bias": False, "bos_token_id": c.ids["<|startoftext|>"], "eos_token_id": c.ids["<|eos|>"], "pad_token_id": c.ids["<|pad|>"], "head_dim": DIM, "hidden_act": "silu",
        "hidden_size": H, "intermediate_size": FF, "max_position_embeddings": 4096, "mlp_bias": False, "moe_intermediate_size": [FF] * L, "moe_layer_num_skipped": 0, "moe_topk": [3] * L, "n_group": False,
        "topk_group": False, "norm_type": "rms", "num_attention_heads": HEADS, "num_experts": X, "num_hidden_layers": L, "num_key_value_heads": KV, "num_shared_expert": [1] * L, "rms_norm_eps": 1e-6,
        "rope_scaling": None, "rope_theta": 50000.0, "routed_scaling_factor": False, "tie_word_embeddings": False, "use_cla": False, "use_mixed_mlp_moe": True, "use_qk_norm": True, "vocab_size": c.vocab}
    c.put("model.embed_tokens.weight", c.vocab, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        c.norm(f"{p}.self_attn.query_layernorm.weight", f"{p}.self_attn.key_layernorm.weight", n=DIM)
        c.put(f"{p}.mlp.gate.wg.weight", X, H, dtype=torch.float32)
        for x in range(X):
            c.mlp(f"{p}.mlp.experts.{x}", H, FF)
        c.mlp(f"{p}.mlp.shared_mlp", H, FF)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("model.norm.weight", n=H)
    c.put("lm_head.weight", c.vocab, H)
    return c


@family
def bailing_moe():
    """The output in F32, where the order and rounding of its norm's sums show."""
    c = Checkpoint("bailing-moe", "Ring-mini-distill", "bailingmoe", "BailingMoeForCausalLM", "bailing-moe", 300)
    L, H, HEADS, KV, DIM, FF, X, SHARED = 2, 36, 4, 1, 12, 20, 4, 3
    c.config |= {
        "model_type": "bailing_moe", "eos_token_id": c.ids["<|endoftext|>"], "pad_token_id": c.ids["<|endoftext|>"], "first_k_dense_replace": 0, "head_dim": DIM, "hidden_act": "silu", "hidden_size": H,
        "intermediate_size": 64, "max_position_embeddings": 16384, "moe_intermediate_size": FF, "norm_head": True, "norm_softmax": False, "norm_topk_prob": False, "num_attention_heads": HEADS, "num_experts": X,
        "num_experts_per_tok": 3, "num_hidden_layers": L, "num_key_value_heads": KV, "num_shared_experts": SHARED, "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 600000, "tie_word_embeddings": False,
        "use_bias": False, "use_qkv_bias": False, "vocab_size": c.vocab + 5}
    c.put("model.word_embeddings.weight", c.vocab + 5, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.put(f"{p}.attention.query_key_value.weight", (HEADS + 2 * KV) * DIM, H)
        c.put(f"{p}.attention.dense.weight", H, HEADS * DIM)
        c.put(f"{p}.mlp.gate.weight", X, H)
        for x in range(X):
            c.mlp(f"{p}.mlp.experts.{x}", H, FF)
        c.mlp(f"{p}.mlp.shared_experts", H, FF * SHARED)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("model.norm.weight", n=H)
    c.put("lm_head.weight", c.vocab + 5, H, dtype=torch.float32)
    c.shards = 2
    return c


@family
def bailing_moe2():
    """A dense layer before the experts and one of multi-token prediction after them; groups of experts, half of each head rotated."""
    c = Checkpoint("bailing-moe2", "Ling-mini-2.0", "bailingmoe2", "BailingMoeV2ForCausalLM", "bailing-moe", 290)
    L, H, HEADS, KV, DIM, FF, DENSE, X = 2, 36, 3, 1, 12, 20, 64, 4
    c.config |= {
        "model_type": "bailing_moe_v2", "eos_token_id": c.ids["<|endoftext|>"], "pad_token_id": c.ids["<|endoftext|>"], "first_k_dense_replace": 1, "head_dim": DIM, "hidden_act": "silu", "hidden_size": H,
        "intermediate_size": DENSE, "max_position_embeddings": 32768, "moe_intermediate_size": FF, "moe_router_enable_expert_bias": True, "n_group": 2, "topk_group": 1, "norm_topk_prob": True,
        "num_attention_heads": HEADS, "num_experts": X, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "num_nextn_predict_layers": 1, "num_shared_experts": 1,
        "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_theta": 600000, "routed_scaling_factor": 2.5, "score_function": "sigmoid", "tie_word_embeddings": False,
        "use_bias": False, "use_qk_norm": True, "use_qkv_bias": False, "vocab_size": c.vocab}
    c.put("model.word_embeddings.weight", c.vocab, H)
    for i in range(L + 1):
        p = f"model.layers.{i}"
        if i == L:
            c.norm(f"{p}.enorm.weight", f"{p}.hnorm.weight", f"{p}.final_layernorm.weight", n=H)
            c.put(f"{p}.eh_proj.weight", H, 2 * H)
        c.put(f"{p}.attention.query_key_value.weight", (HEADS + 2 * KV) * DIM, H)
        c.put(f"{p}.attention.dense.weight", H, HEADS * DIM)
        c.norm(f"{p}.attention.query_layernorm.weight", f"{p}.attention.key_layernorm.weight", n=DIM)
        if i == 0:
            c.mlp(f"{p}.mlp", H, DENSE)
        else:
            c.put(f"{p}.mlp.gate.weight", X, H)
            c.put(f"{p}.mlp.gate.expert_bias", X, dtype=torch.float32)
            for x in range(X):
                c.mlp(f"{p}.mlp.experts.{x}", H, FF)
            c.mlp(f"{p}.mlp.shared_experts", H, FF)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("model.norm.weight", n=H)
    c.put("lm_head.weight", c.vocab, H)
    c.shards = 2
    return c


@family
def lfm2_moe():
    c = Checkpoint("lfm2-moe", "LFM2-24B-A2B", "lfm2", "Lfm2MoeForCausalLM", "lfm2-moe", 290)
    H, HEADS, KV, FF, DENSE, X, KINDS = 36, 3, 1, 20, 64, 6, ["full_attention", "conv", "full_attention"]
    c.config |= {
        "model_type": "lfm2_moe", "bos_token_id": c.ids["<|startoftext|>"], "eos_token_id": c.ids["<|im_end|>"], "pad_token_id": c.ids["<|pad|>"], "conv_L_cache": 4, "conv_bias": False, "hidden_size": H,
        "intermediate_size": DENSE, "layer_types": KINDS, "max_position_embeddings": 128000, "moe_intermediate_size": FF, "norm_eps": 1e-6, "norm_topk_prob": True, "num_attention_heads": HEADS,
        "num_dense_layers": 2, "num_experts": X, "num_experts_per_tok": 4, "num_hidden_layers": 3, "num_key_value_heads": KV, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
        "routed_scaling_factor": 1.0, "tie_word_embeddings": True, "use_expert_bias": True, "vocab_size": c.vocab}
    c.put("model.embed_tokens.weight", c.vocab, H)
    c.norm("model.embedding_norm.weight", n=H)
    for i, kind in enumerate(KINDS):
        p = f"model.layers.{i}"
        if kind == "conv":
            c.put(f"{p}.conv.conv.weight", H, 1, 4)
            c.put(f"{p}.conv.in_proj.weight", 3 * H, H)
            c.put(f"{p}.conv.out_proj.weight", H, H)
        else:
            c.attention(f"{p}.self_attn", H, HEADS, KV, H // HEADS, out="out_proj")
            c.norm(f"{p}.self_attn.q_layernorm.weight", f"{p}.self_attn.k_layernorm.weight", n=H // HEADS)
        if i < 2:
            c.mlp(f"{p}.feed_forward", H, DENSE, names=("w1", "w2", "w3"))
        else:
            c.put(f"{p}.feed_forward.gate.weight", X, H)
            c.put(f"{p}.feed_forward.expert_bias", X, dtype=torch.float32)
            for x in range(X):
                c.mlp(f"{p}.feed_forward.experts.{x}", H, FF, names=("w1", "w2", "w3"))
        c.norm(f"{p}.operator_norm.weight", f"{p}.ffn_norm.weight", n=H)
    return c


@family
def gemma4():
    """The wrapper of text and images; the blocks that attend to everything have other heads and no values of their own."""
    c = Checkpoint("gemma4", "gemma-4-3B-A1B-it", "default", "Gemma4ForConditionalGeneration", "mixtral", 300)
    H, HEADS, KV, DIM, FULL, FF, DENSE, X, KINDS = 36, 4, 2, 12, 20, 16, 64, 3, ["sliding_attention", "sliding_attention", "full_attention"]
    c.config |= {
        "model_type": "gemma4", "tie_word_embeddings": True, "image_token_id": 3, "audio_config": None, "vision_config": {"model_type": "gemma4_vision", "hidden_size": 8, "num_hidden_layers": 1},
        "text_config": {
            "model_type": "gemma4_text", "attention_bias": False, "attention_k_eq_v": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "enable_moe_block": True, "final_logit_softcapping": 30.0,
            "global_head_dim": FULL, "head_dim": DIM, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": H, "hidden_size_per_layer_input": 0, "intermediate_size": DENSE, "layer_types": KINDS,
            "max_position_embeddings": 262144, "moe_intermediate_size": FF, "num_attention_heads": HEADS, "num_experts": X, "num_global_key_value_heads": 1, "num_hidden_layers": 3, "num_key_value_heads": KV,
            "num_kv_shared_layers": 0, "rms_norm_eps": 1e-6, "rope_parameters": {
                "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"}, "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
            "sliding_window": 64, "tie_word_embeddings": True, "top_k_experts": 2, "use_bidirectional_attention": "vision", "use_double_wide_mlp": False, "vocab_size": c.vocab}}
    c.put("model.vision_tower.patch_embedder.input_proj.weight", 8, 3)
    c.put("model.embed_vision.embedding_projection.weight", H, 8)
    c.put("model.language_model.embed_tokens.weight", c.vocab, H)
    for i, kind in enumerate(KINDS):
        p = f"model.language_model.layers.{i}"
        dim, kv = (DIM, KV) if kind == "sliding_attention" else (FULL, 1)
        c.attention(f"{p}.self_attn", H, HEADS, kv, dim)
        if kind == "full_attention":
            del c.t[f"{p}.self_attn.v_proj.weight"]
        c.norm(f"{p}.self_attn.q_norm.weight", f"{p}.self_attn.k_norm.weight", n=dim)
        c.mlp(f"{p}.mlp", H, DENSE)
        c.put(f"{p}.router.proj.weight", X, H)
        c.norm(f"{p}.router.scale", n=H)
        c.norm(f"{p}.router.per_expert_scale", n=X)
        c.put(f"{p}.experts.gate_up_proj", X, 2 * FF, H)
        c.put(f"{p}.experts.down_proj", X, H, FF)
        c.norm(f"{p}.layer_scalar", n=1)
        c.norm(*(f"{p}.{n}.weight" for n in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "pre_feedforward_layernorm_2",
                                             "post_feedforward_layernorm_1", "post_feedforward_layernorm_2")), n=H)
    c.norm("model.language_model.norm.weight", n=H)
    c.shards = 2
    return c


if __name__ == "__main__":
    for name in sys.argv[2:] or FAMILIES:
        FAMILIES[name]().write()
