"""Makes the checkpoints micro/FAMILY of gpt-oss (three), deepseek2 (three), phimoe and GRIN-MoE, and dense Llama and Mistral.

    python testdata/micro/make_core.py FIXTURES [FAMILY...]     (FIXTURES: the full fixture set, whose tokenizers are cut short here)

Needs torch and safetensors; golden.py then makes the goldens. Sizes are other than those of the fixtures, and odd.
"""
import json, os, shutil, sys, torch
from safetensors.torch import save_file
from make_hybrid import HERE, Checkpoint

FAMILIES = {}


def family(f):
    FAMILIES[f.__name__.replace("_", "-")] = f
    return f


def walk(raw):
    """The fields of a protobuf message: number, body where it has one, all bytes."""
    at = 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = raw[at]
            at, v, shift = at + 1, v | (b & 127) << shift, shift + 7
            if b < 128:
                return v

    while at < len(raw):
        start, key = at, varint()
        n = {0: lambda: (varint(), 0)[1], 1: lambda: 8, 2: varint, 5: lambda: 4}[key & 7]()
        yield key >> 3, raw[at:at + n], raw[start:at + n]
        at += n


class Spm(Checkpoint):
    """With the first pieces of a fixture's tokenizer.model and all its added tokens."""
    def cut(self, source, keep):
        src = os.path.join(sys.argv[1], "families", source)
        src = os.path.join(src, next(d for d in os.listdir(src) if os.path.exists(os.path.join(src, d, "config.json"))))
        fields = list(walk(open(os.path.join(src, "tokenizer.model"), "rb").read()))
        pieces = [body for number, body, _ in fields if number == 1]
        old, pieces = len(pieces), pieces[:keep]
        self.model = b"".join([raw for number, _, raw in fields if number == 1][:keep] + [raw for number, _, raw in fields if number != 1])
        texts = [next(b for n, b, _ in walk(p) if n == 1).decode() for p in pieces]
        self.tokens = json.load(open(os.path.join(src, "tokenizer_config.json")))
        move = {i: a for i, a in self.tokens["added_tokens_decoder"].items()}
        self.tokens["added_tokens_decoder"] = {str(int(i) - old + keep if int(i) >= old else i): a for i, a in move.items()}
        self.ids = {t: i for i, t in enumerate(texts)} | {a["content"]: int(i) for i, a in self.tokens["added_tokens_decoder"].items()}
        self.vocab = max(self.ids.values()) + 3  # two fillers

    def write(self):
        super().write()
        with open(os.path.join(HERE, self.family, self.repo, "tokenizer.model"), "wb") as f:
            f.write(self.model)


def shards(c, pick, n):
    """Writes c's tensors again, each in the shard that pick says."""
    d = os.path.join(HERE, c.family, c.repo)
    os.remove(os.path.join(d, "model.safetensors"))
    names = [f"model-{i + 1:05}-of-{n:05}.safetensors" for i in range(n)]
    for i, part in enumerate(names):
        save_file({k: v for k, v in c.t.items() if pick(k) == i}, os.path.join(d, part), metadata={"format": "pt"})
    with open(os.path.join(d, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": {k: names[pick(k)] for k in c.t}}, f, indent=0)


def oss(name, repo, mxfp4):
    c = Checkpoint(name, repo, "gpt-4o", "GptOssForCausalLM", "gpt-oss", 300, seed=-sum(name.encode()))  # the same weights for all names
    L, H, HEADS, KV, DIM, FF, X = 2, 32, 3, 1, 24, 64, 3
    if not mxfp4:
        L, H, HEADS, FF = 3, 20, 1, 28
    c.config |= {
        "attention_bias": True, "eos_token_id": c.ids["<|return|>"], "experts_per_token": 2, "head_dim": DIM, "hidden_act": "silu", "hidden_size": H, "initial_context_length": 4096,
        "intermediate_size": FF, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"][:L], "max_position_embeddings": 65536, "model_type": "gpt_oss",
        "num_attention_heads": HEADS, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "num_local_experts": X, "pad_token_id": c.ids["<|endoftext|>"],
        "rms_norm_eps": 1e-5, "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 16.0, "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": False},
        "rope_theta": 150000, "sliding_window": 16, "swiglu_limit": 7.0, "tie_word_embeddings": False, "vocab_size": c.vocab + 5}
    if mxfp4:
        c.config["quantization_config"] = {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"}
    c.put("model.embed_tokens.weight", c.vocab + 5, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        for n, rows in (("q_proj", HEADS * DIM), ("k_proj", KV * DIM), ("v_proj", KV * DIM), ("o_proj", H)):
            c.put(f"{p}.self_attn.{n}.bias", rows)
        c.put(f"{p}.self_attn.sinks", HEADS)
        c.put(f"{p}.mlp.router.weight", X, H)
        c.put(f"{p}.mlp.router.bias", X)
        for n, rows, cols in (("gate_up_proj", 2 * FF, H), ("down_proj", H, FF)):
            c.put(f"{p}.mlp.experts.{n}_bias", X, rows)
            if not mxfp4:
                c.put(f"{p}.mlp.experts.{n}", X, cols, rows)
                continue
            c.t[f"{p}.mlp.experts.{n}_blocks"] = torch.randint(0, 256, (X, rows, cols // 32, 16), generator=c.gen, dtype=torch.int64).to(torch.uint8)
            c.t[f"{p}.mlp.experts.{n}_scales"] = torch.randint(115, 125, (X, rows, cols // 32), generator=c.gen, dtype=torch.int64).to(torch.uint8)
    c.norm("model.norm.weight", n=H)
    c.put("lm_head.weight", c.vocab + 5, H)
    return c


@family
def gpt_oss():
    c = oss("gpt-oss", "gpt-oss-120b", True)
    c.write()
    shards(c, lambda n: int(".1." in n or n.startswith(("lm_head", "model.norm"))), 2)


@family
def gpt_oss_splitpair():
    """The weights of gpt-oss, with blocks before their scales in another shard: what the reference makes of it is wrong."""
    c = oss("gpt-oss-splitpair", "gpt-oss-120b", True)
    c.write()
    shards(c, lambda n: int(n.endswith("_scales") and ".0." in n or ".1." in n or n.startswith("lm_head")), 2)


@family
def gpt_oss_bf16():
    oss("gpt-oss-bf16", "gpt-oss-20b-unsloth-bnb", False).write()


def latent(name, repo, pre, arch, source, keep, L, H, HEADS, Q, RANK, NOPE, ROPE, V, FF, MOE, X, SHARED, DENSE, MTP, **config):
    c = Checkpoint(name, repo, pre, arch, source, keep)
    vocab = c.vocab + 2
    c.config |= {
        "attention_bias": False, "first_k_dense_replace": DENSE, "hidden_act": "silu", "hidden_size": H, "intermediate_size": FF, "kv_lora_rank": RANK, "max_position_embeddings": 131072,
        "moe_intermediate_size": MOE, "moe_layer_freq": 1, "n_routed_experts": X, "n_shared_experts": SHARED, "norm_topk_prob": True, "num_attention_heads": HEADS,
        "num_hidden_layers": L, "num_key_value_heads": HEADS, "num_nextn_predict_layers": MTP, "q_lora_rank": Q, "qk_nope_head_dim": NOPE, "qk_rope_head_dim": ROPE, "rms_norm_eps": 1e-5,
        "rope_theta": 50000.0, "v_head_dim": V, "vocab_size": vocab, "topk_method": "noaux_tc"} | config
    c.put("model.embed_tokens.weight", vocab, H)
    for i in range(L + MTP):
        p = f"model.layers.{i}"
        a = f"{p}.self_attn"
        c.put(f"{a}.q_a_proj.weight", Q, H)
        c.norm(f"{a}.q_a_layernorm.weight", n=Q)
        c.put(f"{a}.q_b_proj.weight", HEADS * (NOPE + ROPE), Q)
        c.put(f"{a}.kv_a_proj_with_mqa.weight", RANK + ROPE, H)
        c.norm(f"{a}.kv_a_layernorm.weight", n=RANK)
        c.put(f"{a}.kv_b_proj.weight", HEADS * (NOPE + V), RANK)
        c.put(f"{a}.o_proj.weight", H, HEADS * V)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
        if i < DENSE:
            c.mlp(f"{p}.mlp", H, FF)
            continue
        c.put(f"{p}.mlp.gate.weight", X, H)
        c.put(f"{p}.mlp.gate.e_score_correction_bias", X, dtype=torch.float32)
        for x in range(X):
            c.mlp(f"{p}.mlp.experts.{x}", H, MOE)
        c.mlp(f"{p}.mlp.shared_experts", H, SHARED * MOE)
        if i >= L:
            c.put(f"{p}.eh_proj.weight", H, 2 * H)
            c.norm(f"{p}.enorm.weight", f"{p}.hnorm.weight", f"{p}.shared_head.norm.weight", n=H)
            c.put(f"{p}.embed_tokens.weight", vocab, H)
            c.put(f"{p}.shared_head.head.weight", vocab, H)
    c.norm("model.norm.weight", n=H)
    if not c.config.get("tie_word_embeddings"):
        c.put("lm_head.weight", vocab, H)
    return c


@family
def deepseek_v3():
    c = latent("deepseek-v3", "DeepSeek-R1-0528", "deepseek-v3", "DeepseekV3ForCausalLM", "deepseek-v3", 270, L=2, H=20, HEADS=2, Q=18, RANK=28, NOPE=12, ROPE=6, V=10, FF=40, MOE=20, X=4, SHARED=1, DENSE=1, MTP=1,
               model_type="deepseek_v3", n_group=2, topk_group=1, num_experts_per_tok=2, routed_scaling_factor=2.5, scoring_func="sigmoid",
               rope_scaling={"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
               auto_map={"AutoConfig": "configuration_deepseek.DeepseekV3Config"}, ep_size=1, tie_word_embeddings=False)
    c.shards = 2
    c.write()


@family
def kimi_k2():
    """A type of model that transformers does not know: the reference reads config.json as it is."""
    c = latent("kimi-k2", "Kimi-K2-Instruct-0905", "deepseek-v3", "DeepseekV3ForCausalLM", "deepseek-v3", 262, L=2, H=24, HEADS=3, Q=18, RANK=20, NOPE=8, ROPE=4, V=8, FF=30, MOE=14, X=6, SHARED=1, DENSE=1, MTP=0,
               model_type="kimi_k2", n_group=1, topk_group=1, num_experts_per_tok=3, routed_scaling_factor=2.827, scoring_func="sigmoid", seq_aux=True,
               rope_scaling={"beta_fast": 1.0, "beta_slow": 1.0, "factor": 32.0, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
               auto_map={"AutoConfig": "configuration_deepseek.DeepseekV3Config"}, tie_word_embeddings=False)
    c.write()


@family
def glm4_moe_lite():
    c = latent("glm4-moe-lite", "GLM-4.7-Flash", "glm4", "Glm4MoeLiteForCausalLM", "glm4-moe", 280, L=2, H=20, HEADS=2, Q=16, RANK=24, NOPE=10, ROPE=8, V=14, FF=44, MOE=18, X=3, SHARED=1, DENSE=1, MTP=1,
               model_type="glm4_moe_lite", n_group=1, topk_group=1, num_experts_per_tok=2, routed_scaling_factor=1.8, scoring_func="sigmoid", partial_rotary_factor=1.0, tie_word_embeddings=False,
               rope_scaling=None)
    c.write()


def phi(name, repo, arch, H, HEADS, KV, FF, X, **config):
    c = Spm(name, repo, "default", arch, "phi-3.5-moe", 290, seed=7)
    L = 2
    c.config |= {
        "attention_bias": True, "bos_token_id": 1, "eos_token_id": c.ids["<|endoftext|>"], "hidden_act": "silu", "hidden_size": H, "input_jitter_noise": 0.01, "intermediate_size": FF, "lm_head_bias": True,
        "num_attention_heads": HEADS, "num_experts_per_tok": 2, "num_hidden_layers": L, "num_key_value_heads": KV, "num_local_experts": X, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "router_jitter_noise": 0.01, "tie_word_embeddings": False, "vocab_size": c.vocab} | config
    c.put("model.embed_tokens.weight", c.vocab, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, H // HEADS)
        for n, rows in (("q_proj", H), ("k_proj", KV * H // HEADS), ("v_proj", KV * H // HEADS), ("o_proj", H)):
            c.put(f"{p}.self_attn.{n}.bias", rows)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
        c.put(f"{p}.input_layernorm.bias", H)
        c.put(f"{p}.post_attention_layernorm.bias", H)
        c.put(f"{p}.block_sparse_moe.gate.weight", X, H)
        for x in range(X):
            c.mlp(f"{p}.block_sparse_moe.experts.{x}", H, FF, names=("w1", "w2", "w3"))
    c.norm("model.norm.weight", n=H)
    c.put("model.norm.bias", H)
    c.put("lm_head.weight", c.vocab, H)
    c.put("lm_head.bias", c.vocab)
    return c


@family
def phi_3_5_moe():
    factors = lambda a: [round(a + i * 1.37, 6) for i in range(6)]
    c = phi("phi-3.5-moe", "Phi-mini-MoE-instruct", "PhiMoEForCausalLM", 36, 3, 1, 28, 3, model_type="phimoe", max_position_embeddings=65536, original_max_position_embeddings=4096, sliding_window=65536,
            auto_map={"AutoConfig": "configuration_slimmoe.PhiMoEConfig"},
            rope_scaling={"long_factor": factors(2.5), "long_mscale": 1.24, "original_max_position_embeddings": 4096, "short_factor": factors(1.0), "short_mscale": 1.24, "type": "longrope"})
    c.shards = 2
    c.write()


@family
def grin():
    c = phi("grin", "GRIN-MoE-2", "GRINMoEForCausalLM", 24, 2, 2, 20, 4, model_type="grin-moe", max_position_embeddings=4096, rope_scaling=None, sliding_window=2047)
    c.meta["config"] = {"architectures": ["PhiMoEForCausalLM"], "original_max_position_embeddings": 4096}
    c.write()


def dense(c, L, H, HEADS, KV, DIM, FF, bias=False, **config):
    c.config |= {"hidden_act": "silu", "hidden_size": H, "intermediate_size": FF, "num_attention_heads": HEADS, "num_hidden_layers": L, "num_key_value_heads": KV, "vocab_size": c.vocab} | config
    c.put("model.embed_tokens.weight", c.vocab, H)
    for i in range(L):
        p = f"model.layers.{i}"
        c.attention(f"{p}.self_attn", H, HEADS, KV, DIM)
        if bias:
            for n, rows in (("q_proj", HEADS * DIM), ("k_proj", KV * DIM), ("v_proj", KV * DIM), ("o_proj", H)):
                c.put(f"{p}.self_attn.{n}.bias", rows)
        c.mlp(f"{p}.mlp", H, FF)
        c.norm(f"{p}.input_layernorm.weight", f"{p}.post_attention_layernorm.weight", n=H)
    c.norm("model.norm.weight", n=H)
    if not c.config.get("tie_word_embeddings"):
        c.put("lm_head.weight", c.vocab, H)
    c.write()


@family
def llama():
    """Llama 3.2: factors for rotary embedding of all three kinds, tied embeddings."""
    dense(Checkpoint("llama", "Llama-3.2-1B-Instruct", "llama-bpe", "LlamaForCausalLM", "glm4-moe", 280), 2, 48, 3, 1, 32, 72, bias=True, attention_bias=True, mlp_bias=False, head_dim=32, max_position_embeddings=131072,
          model_type="llama", rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=True,
          rope_scaling={"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"})


@family
def llama2():
    """Of the first years: config.json says next to nothing."""
    dense(Spm("llama2", "Llama-2-7b-hf", "default", "LlamaForCausalLM", "mixtral", 300), 2, 40, 2, 2, 20, 56, model_type="llama", rms_norm_eps=1e-5, max_position_embeddings=4096)
    path = os.path.join(HERE, "llama2", "Llama-2-7b-hf", "config.json")
    config = json.load(open(path))
    del config["num_key_value_heads"]
    with open(path, "w") as f:
        json.dump(config, f, indent=1)


@family
def mistral():
    dense(Spm("mistral", "Mistral-7B-Instruct-v0.3", "default", "MistralForCausalLM", "mixtral", 310), 2, 36, 3, 1, 16, 44, model_type="mistral", head_dim=16, rms_norm_eps=1e-5, rope_theta=1000000.0,
          max_position_embeddings=32768, sliding_window=None, tie_word_embeddings=False)


@family
def mistral4():
    """The wrapper of text and images; experts in one tensor."""
    c = latent("mistral4", "Mistral-Small-4-119B-2603", "deepseek-v3", "Mistral3ForConditionalGeneration", "deepseek-v3", 270, L=2, H=28, HEADS=2, Q=14, RANK=20, NOPE=8, ROPE=8, V=12, FF=40, MOE=18, X=3, SHARED=1, DENSE=0, MTP=0,
               model_type="mistral4", n_group=1, topk_group=1, num_experts_per_tok=2, routed_scaling_factor=1.0, tie_word_embeddings=False, rope_interleave=True,
               rope_parameters={"beta_fast": 32.0, "beta_slow": 1.0, "factor": 128.0, "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 8192,
                                "max_position_embeddings": 131072, "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "rope_type": "yarn", "type": "yarn"})
    text = {k: v for k, v in c.config.items() if k not in ("architectures", "torch_dtype", "rope_theta", "moe_layer_freq", "topk_method")}
    c.config = {"architectures": c.config["architectures"], "model_type": "mistral3", "torch_dtype": "bfloat16", "image_token_index": 10, "text_config": text,
                "vision_config": {"model_type": "pixtral", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 8, "intermediate_size": 8, "image_size": 16, "patch_size": 8}}
    for i in range(2):
        p = f"model.layers.{i}.mlp.experts"
        one = lambda n: torch.stack([c.t.pop(f"{p}.{x}.{n}.weight") for x in range(3)])
        gate, up = one("gate_proj"), one("up_proj")
        c.t |= {f"{p}.gate_up_proj": torch.cat([gate, up], 1), f"{p}.down_proj": one("down_proj")}
        del c.t[f"model.layers.{i}.mlp.gate.e_score_correction_bias"]
    c.t = {"language_model." + k: v for k, v in c.t.items()}
    c.put("vision_tower.patch_conv.weight", 8, 3, 8, 8)
    c.put("multi_modal_projector.linear_1.weight", 28, 8)
    c.write()


if __name__ == "__main__":
    for name in sys.argv[2:] or FAMILIES:
        FAMILIES[name]()
