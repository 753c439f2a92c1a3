"""Makes the checkpoints micro/dbrx and micro/arctic.

    python testdata/micro/make_dbrx_arctic.py     (needs torch and safetensors; golden.py then makes the goldens)
"""
import json, os, shutil, torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def bytes_to_unicode():
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return [table[b] for b in range(256)]


def bpe(out, specials, eos):
    chars = bytes_to_unicode()
    vocab = {c: i for i, c in enumerate(chars)}
    merges = []
    for a, b in (("t", "h"), ("th", "e"), ("\u0120", "the"), ("i", "n"), ("1", "2"), ("12", "3"), ("\u0120", "in")):
        merges.append(f"{a} {b}")
        vocab[a + b] = len(vocab)
    added = [{"id": len(vocab) + i, "content": s, "special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False} for i, s in enumerate(specials)]
    byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tok = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
           "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Removed", "invert": True}, byte]},
           "post_processor": None, "decoder": byte,
           "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges}}
    write(out, "tokenizer.json", tok)
    write(out, "tokenizer_config.json", {"add_prefix_space": False, "bos_token": eos, "eos_token": eos, "unk_token": eos, "model_max_length": 64, "tokenizer_class": "GPT2Tokenizer"})
    return len(vocab) + len(added)


def write(out, name, doc):
    with open(os.path.join(out, name), "w") as f:
        json.dump(doc, f, indent=1, ensure_ascii=False)


def fresh(family, repo, pre):
    root = os.path.join(HERE, family)
    shutil.rmtree(root, ignore_errors=True)
    out = os.path.join(root, repo)
    os.makedirs(out)
    write(root, "fixture.json", {"pre": pre})
    return out


def save(out, tensors, shards):
    names, index = sorted(tensors), {}
    for s in range(shards):
        name = f"model-{s + 1:05}-of-{shards:05}.safetensors"
        part = {n: tensors[n].contiguous() for i, n in enumerate(names) if i * 7 % shards == s}
        index |= {n: name for n in part}
        save_file(part, os.path.join(out, name), metadata={"format": "pt"})
    write(out, "model.safetensors.index.json", {"metadata": {}, "weight_map": index})


def drawer(seed):
    gen = torch.Generator().manual_seed(seed)
    return lambda *shape: (torch.randn(*shape, generator=gen) * 0.1).to(torch.bfloat16)


def dbrx():
    out, draw = fresh("dbrx", "dbrx-instruct", "dbrx"), drawer(1)
    vocab = bpe(out, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|endoftext|>")
    h, heads, kv, ff, experts, layers = 48, 3, 1, 40, 3, 2
    write(out, "config.json", {"architectures": ["DbrxForCausalLM"], "model_type": "dbrx", "d_model": h, "n_heads": heads, "n_layers": layers, "max_seq_len": 96,
          "vocab_size": vocab, "emb_pdrop": 0.0, "resid_pdrop": 0.0, "use_cache": True, "initializer_range": 0.02, "output_router_logits": False, "router_aux_loss_coef": 0.05,
          "tie_word_embeddings": False, "torch_dtype": "bfloat16", "attn_config": {"clip_qkv": 8, "kv_n_heads": kv, "model_type": "", "rope_theta": 500000},
          "ffn_config": {"ffn_hidden_size": ff, "model_type": "", "moe_jitter_eps": 0.01, "moe_loss_weight": 0.05, "moe_num_experts": experts, "moe_top_k": 2}})
    t = {"transformer.wte.weight": draw(vocab, h), "transformer.norm_f.weight": draw(h), "lm_head.weight": draw(vocab, h)}
    for b in range(layers):
        p = f"transformer.blocks.{b}."
        t |= {p + "norm_attn_norm.attn.Wqkv.weight": draw(h + 2 * kv * (h // heads), h), p + "norm_attn_norm.attn.out_proj.weight": draw(h, h),
              p + "norm_attn_norm.norm_1.weight": draw(h), p + "norm_attn_norm.norm_2.weight": draw(h), p + "ffn.router.layer.weight": draw(experts, h)}
        t |= {p + f"ffn.experts.mlp.{w}": draw(experts * ff, h) for w in ("w1", "v1", "w2")}
    save(out, t, 2)


def arctic():
    out, draw = fresh("arctic", "snowflake-arctic-instruct", "default"), drawer(2)
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(os.path.join(HERE, "..", "bad", "_good", name), out)
    conf = json.load(open(os.path.join(out, "tokenizer_config.json")))
    conf["added_tokens_decoder"] = {"7": {"content": "<|im_start|>", "special": True}, "9": {"content": "<tool>", "special": False}, "0": {"content": conf.get("unk_token", "<unk>"), "special": True}}
    conf["unk_token"] = conf.get("unk_token", "<unk>")
    write(out, "tokenizer_config.json", conf)
    h, heads, kv, ff, experts, layers, vocab = 48, 3, 1, 40, 4, 2, 300
    write(out, "config.json", {"architectures": ["ArcticForCausalLM"], "model_type": "arctic", "hidden_size": h, "intermediate_size": ff, "num_attention_heads": heads, "num_key_value_heads": kv,
          "num_hidden_layers": layers, "num_local_experts": experts, "num_experts_per_tok": 2, "vocab_size": vocab, "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "hidden_act": "silu", "parallel_attn_mlp_res": True, "use_residual": True, "moe_layer_frequency": 1, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "sliding_window": None,
          "attention_dropout": 0, "enable_expert_tensor_parallelism": False, "moe_eval_capacity_factor": 1, "moe_min_capacity": 0, "moe_token_dropping": True, "moe_train_capacity_factor": 1})
    t = {"model.embed_tokens.weight": draw(vocab, h), "model.norm.weight": draw(h), "lm_head.weight": draw(vocab, h)}
    for b in range(layers):
        p = f"model.layers.{b}."
        t |= {p + "self_attn.q_proj.weight": draw(h, h), p + "self_attn.k_proj.weight": draw(kv * 16, h), p + "self_attn.v_proj.weight": draw(kv * 16, h), p + "self_attn.o_proj.weight": draw(h, h),
              p + "input_layernorm.weight": draw(h), p + "post_attention_layernorm.weight": draw(h), p + "residual_layernorm.weight": draw(h), p + "block_sparse_moe.gate.weight": draw(experts, h)}
        t |= {p + f"residual_mlp.w{i}.weight": draw(h, h) for i in (1, 2, 3)}
        for x in range(experts):
            t |= {p + f"block_sparse_moe.experts.{x}.w{i}.weight": draw(h, ff) if i == 2 else draw(ff, h) for i in (1, 2, 3)}
    save(out, t, 2)


dbrx()
arctic()
