"""Makes the checkpoints micro/mixtral-*: one small Mixtral, its weights quantized in each way that is read.

    python testdata/micro/make_encodings.py     (needs torch and safetensors; golden.py then makes the goldens)

Codes and scales are drawn, not fitted: every code occurs. 48 and 80 are no multiples of the blocks of 32.
"""
import json, os, shutil, torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
GOOD = os.path.join(HERE, "..", "bad", "_good")
H, FF, KV, EXPERTS = 48, 80, 16, 3
LINEAR = {"self_attn.q_proj": (H, H), "self_attn.k_proj": (KV, H), "self_attn.v_proj": (KV, H), "self_attn.o_proj": (H, H)}
for x in range(EXPERTS):
    LINEAR |= {f"block_sparse_moe.experts.{x}.w{i}": (H, FF) if i == 2 else (FF, H) for i in (1, 2, 3)}
gen = torch.Generator()


def draw(*shape, dtype=torch.bfloat16):
    return (torch.randn(*shape, generator=gen) * 0.1).to(dtype)


def scales(*shape, dtype=torch.float32):
    return (torch.rand(shape, generator=gen) * 0.01 + 0.001).to(dtype)


def codes(*shape, high=256):
    return torch.randint(0, high, shape, generator=gen, dtype=torch.int64)


def floats8(o, i, dtype=torch.float8_e4m3fn):
    c = codes(o, i).to(torch.uint8)
    bad = {0x7F, 0xFF} if dtype == torch.float8_e4m3fn else {0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF}
    for b in bad:  # not finite
        c[c == b] = 0x11
    return c.view(dtype)


def pack(q, bits, dim):
    """Numbers to int32 words along dim, the last word padded with zeros."""
    per = 32 // bits
    q = q.movedim(dim, -1)
    q = torch.nn.functional.pad(q, (0, -q.shape[-1] % per)).reshape(*q.shape[:-1], -1, per)
    w = (q << (torch.arange(per) * bits)).sum(-1)
    return torch.where(w >= 2**31, w - 2**32, w).to(torch.int32).movedim(-1, dim).contiguous()


def ceil(a, b):
    return -(-a // b)


def fp8_block(name, o, i, block=32):
    t = {".weight": floats8(o, i), ".weight_scale_inv": scales(ceil(o, block), ceil(i, block))}
    return {".weight": draw(o, i)} if "o_proj" in name else t


def fp8_tensor(name, o, i):
    kind = sum(name.encode()) % 5
    shape = ((), (1,), (o,), (o, 1), ())[kind]
    s = scales(*shape, dtype=torch.bfloat16 if kind == 3 else torch.float32)
    return {".weight": floats8(o, i, torch.float8_e5m2 if kind == 4 else torch.float8_e4m3fn), ".weight_scale_inv": s, ".activation_scale": scales(1)}


def float_channel(name, o, i):
    return {".weight": floats8(o, i), ".weight_scale": scales(o, 1, dtype=torch.bfloat16)}


def float_block(name, o, i):
    return {".weight": floats8(o, i), ".weight_scale": scales(ceil(o, 16), ceil(i, 32), dtype=torch.bfloat16)}


def int_channel(name, o, i):
    return {".weight": codes(o, i).to(torch.uint8).view(torch.int8), ".weight_scale": scales(o, 1, dtype=torch.float16)}


def packed(bits, group, zeros):
    def f(name, o, i):
        t = {".weight_packed": pack(codes(o, i, high=2**bits), bits, 1), ".weight_scale": scales(o, i // group, dtype=torch.bfloat16),
             ".weight_shape": torch.tensor([o, i])}
        if zeros:
            t[".weight_zero_point"] = pack(codes(o, i // group, high=2**bits), bits, 0)
        return t
    return f


def gptq(bits, group, act):
    def f(name, o, i):
        n = ceil(i, group)
        g = torch.randint(0, n, (i,), generator=gen) if act else torch.arange(i) // group
        return {".qweight": pack(codes(i, o, high=2**bits), bits, 0), ".qzeros": pack(codes(n, o, high=2**bits), bits, 1),
                ".scales": scales(n, o, dtype=torch.float16), ".g_idx": g.to(torch.int32)}
    return f


def modelopt(name, o, i):
    t = {".weight": floats8(o, i), ".weight_scale": scales(), ".input_scale": scales()}
    return t | ({".k_scale": scales()} if "k_proj" in name else {})


def bitnet(name, o, i):
    return {".weight": codes(o // 4, i).to(torch.uint8), ".weight_scale": scales(1, dtype=torch.bfloat16)}


def compressed(format, **weights):
    return {"quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"], "quantization_status": "compressed",
            "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": None, "weights": weights}}}


def gptq_config(bits, group, act, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act, "sym": False} | more


VARIANTS = {
    "fp8-block": (fp8_block, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [32, 32]}),
    "fp8-scales": (fp8_tensor, {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}),
    "ct-float-channel": (float_channel, compressed("float-quantized", type="float", num_bits=8, strategy="channel")),
    "ct-float-block": (float_block, compressed("float-quantized", type="float", num_bits=8, strategy="block", block_structure=[16, 32])),
    "ct-int": (int_channel, compressed("int-quantized", type="int", num_bits=8, strategy="channel")),
    "ct-pack4-zero": (packed(4, 16, True), compressed("pack-quantized", type="int", num_bits=4, strategy="group", group_size=16, symmetric=False)),
    "ct-pack8": (packed(8, 8, False), compressed("pack-quantized", type="int", num_bits=8, strategy="group", group_size=8, symmetric=True)),
    "gptq4-order": (gptq(4, 16, True), gptq_config(4, 16, True)),
    "gptq8-v2": (gptq(8, 48, False), gptq_config(8, 48, False, checkpoint_format="gptq_v2")),
    "gptq2": (gptq(2, 16, False), gptq_config(2, 16, False, checkpoint_format="gptq")),
    "modelopt-fp8": (modelopt, None),
    "bitnet": (bitnet, {"quant_method": "bitnet", "linear_class": "bitlinear"}),
}


def main():
    for seed, (variant, (encode, quantization)) in enumerate(VARIANTS.items()):
        gen.manual_seed(seed)
        root = os.path.join(HERE, "mixtral-" + variant)
        repo = os.path.join(root, "Mixtral-Mini-" + variant)
        shutil.rmtree(repo, ignore_errors=True)
        os.makedirs(repo)
        for f in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(GOOD, f), repo)
        more = {"args": ["--no-lazy"]} if variant == "bitnet" else {}  # the converter's lazy tensors fail there
        json.dump({"pre": "default"} | more, open(os.path.join(root, "fixture.json"), "w"))
        config = json.load(open(os.path.join(GOOD, "config.json")))
        config |= {"hidden_size": H, "intermediate_size": FF, "num_attention_heads": H // KV, "num_local_experts": EXPERTS, "tie_word_embeddings": True}
        if quantization:
            config["quantization_config"] = quantization
        else:
            q = {"producer": {"name": "modelopt", "version": "0.33.0"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
            json.dump(q, open(os.path.join(repo, "hf_quant_config.json"), "w"), indent=1)
        json.dump(config, open(os.path.join(repo, "config.json"), "w"), indent=1)
        tensors = {"model.embed_tokens.weight": draw(300, H), "model.norm.weight": draw(H)}
        p = "model.layers.0."
        tensors |= {p + "input_layernorm.weight": draw(H), p + "post_attention_layernorm.weight": draw(H), p + "block_sparse_moe.gate.weight": draw(EXPERTS, H)}
        for name, (o, i) in LINEAR.items():
            tensors |= {p + name + end: t.contiguous() for end, t in encode(name, o, i).items()}
        save_file(tensors, os.path.join(repo, "model.safetensors"), {"format": "pt"})


main()
