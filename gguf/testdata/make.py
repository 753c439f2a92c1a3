"""Writes the GGUF files of this folder with gguf-py (0.19.0: pip install gguf==0.19.0 numpy) and llama-gguf-split
(llama.cpp 0.5.0, commit 0c1e57098), which are the oracles for sharding and for value types.

    python3 make.py PATH-OF-llama-gguf-split
"""
import hashlib, json, os, struct, subprocess, sys
import numpy as np
from gguf import GGUFReader, GGUFWriter, GGMLQuantizationType, GGUFValueType

here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)


def tensors():
    rng = np.random.default_rng(1)
    yield "token_embd.weight", rng.standard_normal((20, 32), dtype=np.float32), None
    for b in range(2):
        yield f"blk.{b}.attn_norm.weight", np.arange(33, dtype=np.float32), None
        yield f"blk.{b}.ffn_gate_exps.weight", rng.standard_normal((3, 5, 32)).astype(np.float16), None
        yield f"blk.{b}.ffn_down_exps.weight", rng.integers(0, 255, (3, 4, 34), dtype=np.uint8), GGMLQuantizationType.Q8_0
    yield "output.weight", rng.integers(-9, 9, (7,), dtype=np.int8), None


def write(path, **options):
    w = GGUFWriter(path, "llama", **options)
    w.add_type("model")
    w.add_name("split me")
    w.add_uint32("llama.block_count", 2)
    w.add_array("tokenizer.ggml.tokens", ["a", "b", "\u0120c"])
    for name, data, dtype in tensors():
        w.add_tensor(name, data, raw_dtype=dtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def values(path):
    """Every value type, alone and in arrays; arrays of arrays; data aligned to 64."""
    w = GGUFWriter(path, "llama")
    w.add_custom_alignment(64)
    w.add_uint8("u8", 200), w.add_int8("i8", -100), w.add_uint16("u16", 60000), w.add_int16("i16", -30000)
    w.add_uint32("u32", 4000000000), w.add_int32("i32", -2000000000), w.add_float32("f32", 0.1)
    w.add_bool("yes", True), w.add_bool("no", False), w.add_string("text", "na\u00efve")
    w.add_uint64("u64", 2**64 - 1), w.add_int64("i64", -2**63), w.add_float64("f64", 0.1)
    w.add_key_value("nan", float("nan"), GGUFValueType.FLOAT32)
    for t, v in [("UINT8", [1, 255]), ("INT8", [-1, 127]), ("UINT16", [1, 65535]), ("INT16", [-1, 32767]), ("UINT32", [1, 2**32 - 1]),
                 ("INT32", [-1, 2**31 - 1]), ("FLOAT32", [0.5, float("inf")]), ("BOOL", [True, False]), ("STRING", ["", "x"]),
                 ("UINT64", [1, 2**64 - 1]), ("INT64", [-1, 2**63 - 1]), ("FLOAT64", [0.1, -0.0])]:
        w.add_key_value("array." + t, v, GGUFValueType.ARRAY, GGUFValueType[t])
    w.add_array("nested", [[1, 2], [3], [4, 5, 6]])
    w.add_array("nested.strings", [["a", "b"], ["c"]])
    w.add_array("nested.deep", [[[1.5], [2.5, 3.5]], [[4.5]]])
    w.add_tensor("a", np.arange(5, dtype=np.float64))
    w.add_tensor("b", np.arange(3, dtype=np.int16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def long(path):
    """Arrays and strings around the lengths at which descriptions turn to hashes; describe.json says how gguf-py reads them."""
    odd = ["a\"b\\c", "\n\r\t\b\f", "\x00\x1f\x7f", "\u2028\u2029<>&", "\u0120na\u00efve", "\U0001f600", ""]
    kv = {"strings": ("STRING", (odd * 6)[:40]), "floats": ("FLOAT32", [i / 7 for i in range(38)] + [float("inf"), -0.0]),
          "doubles": ("FLOAT64", [i / 7 for i in range(40)]), "bools": ("BOOL", [i % 3 == 0 for i in range(33)]),
          "bytes": ("UINT8", list(range(33))), "ints": ("INT32", [-i for i in range(33)]), "longs": ("UINT64", [2**64 - 1 - i for i in range(33)]),
          "short": ("INT32", list(range(32))), "short.strings": ("STRING", odd)}
    w = GGUFWriter(path, "llama")
    for k, (t, v) in kv.items():
        w.add_key_value(k, v, GGUFValueType.ARRAY, GGUFValueType[t])
    w.add_float32("tenth", 0.1)
    w.add_string("text600", "\u00e9" * 600), w.add_string("text601", "\u00e9" * 601)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    out = []
    for f in GGUFReader(path).fields.values():
        if f.name.startswith("GGUF."):
            continue
        t, v = f.types[0].name, f.contents()
        e = {"key": f.name, "type": t}
        if t == "ARRAY":
            e.update(elem=f.types[-1].name, len=len(v))
            if len(v) <= 32:
                e["value"] = v
            else:
                v = [int(np.float32(x).view(np.uint32)) for x in v] if "FLOAT" in e["elem"] else v
                e["sha256"] = hashlib.sha256(json.dumps(v, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
        elif isinstance(v, str) and len(v) > 600:
            e.update(len=len(v.encode()), sha256=hashlib.sha256(v.encode()).hexdigest())
        else:
            e["value"] = v
            if t == "FLOAT32":
                e["bits"] = int(np.float32(v).view(np.uint32))
        out.append(e)
    json.dump(out, open("describe.json", "w"), indent=1)


values("values.gguf")
long("long.gguf")
write("whole.gguf")
whole = open("whole.gguf", "rb").read()
open("whole-v2.gguf", "wb").write(whole[:4] + struct.pack("<I", 2) + whole[8:])
write("split.gguf", split_max_tensors=3)
made = {}


def take(label, prefix, keep=False):
    names = sorted(n for n in os.listdir(".") if n.startswith(prefix) and "-of-" in n)
    made[label] = [{"bytes": os.path.getsize(n), "sha256": hashlib.sha256(open(n, "rb").read()).hexdigest()} for n in names]
    if not keep:
        for n in names:
            os.remove(n)


take("gguf-py split_max_tensors=3", "split-", keep=True)
for size in 1000, 2700, 3000, 100000:
    write("t.gguf", split_max_size=size)
    take(f"gguf-py split_max_size={size}", "t-") if size < 100000 else os.remove("t.gguf")
write("t.gguf", split_max_tensors=3, small_first_shard=True)
take("gguf-py split_max_tensors=3 small_first_shard", "t-")
if len(sys.argv) > 1:
    write("t.gguf")
    for args in ["--split-max-tensors 3", "--split-max-tensors 4", "--split-max-tensors 3 --no-tensor-first-split", "--split-max-tensors 100"]:
        subprocess.run([sys.argv[1], "--split", *args.split(), "t.gguf", "s"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        take(f"llama-gguf-split {args}", "s-")
    subprocess.run([sys.argv[1], "--split", "--split-max-tensors", "3", "t.gguf", "s"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([sys.argv[1], "--merge", "s-00001-of-00003.gguf", "m-of-.gguf"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    take("llama-gguf-split --merge", "m-")
    for i in 1, 2, 3:
        os.remove(f"s-0000{i}-of-00003.gguf")
    # That tool takes sizes in M only, so its size rule needs a larger file: with padding, three of these tensors exceed 1M.
    w = GGUFWriter("t.gguf", "llama")
    for i in range(7):
        w.add_tensor(f"t{i}", (np.arange(333333) * 7 % 251 - 125 + i % 2).astype(np.int8))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    subprocess.run([sys.argv[1], "--split", "--split-max-size", "1M", "t.gguf", "s"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    take("llama-gguf-split --split-max-size 1M", "s-")
    os.remove("t.gguf")
json.dump(made, open("splits.json", "w"), indent=1)
