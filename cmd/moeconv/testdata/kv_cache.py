"""Write kv_cache.json: the caches that llama.cpp allocates, from its log.

    python kv_cache.py LIBRARY_DIR GGUF_DIR > kv_cache.json

LIBRARY_DIR holds libllama and libggml (llama.cpp 0c1e57098, x86-64), GGUF_DIR files NAME.gguf that moeconv convert made of
the checkpoints NAME in testdata/micro. Each is loaded twice: with one sequence of 16384 positions, and with 256
sequences of 256, where states of recurrent blocks are large enough to be read from a log in MiB. Rows of "cache" are
cells, layers, MiB of keys, MiB of values; "states" is MiB of 256 sequences.
"""
import ctypes as C, glob, json, os, re, sys


class Raw(C.Structure):  # either params struct; both are returned by hidden pointer
    _fields_ = [("b", C.c_uint8 * 512)]


lines = []
LOG = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda level, text, data: lines.append(text.decode(errors="replace")))
lib = sys.argv[1]
C.CDLL(f"{lib}/libggml-base.so", C.RTLD_GLOBAL)
ggml = C.CDLL(glob.glob(f"{lib}/libggml.v*.so")[0], C.RTLD_GLOBAL)
llama = C.CDLL(glob.glob(f"{lib}/libllama.v*.so")[0], C.RTLD_GLOBAL)
llama.llama_log_set(LOG, None)
ggml.ggml_backend_load_all_from_path(lib.encode())
llama.llama_backend_init()
for f in ("model", "context"):
    getattr(llama, f"llama_{f}_default_params").restype = Raw
llama.llama_model_load_from_file.restype = llama.llama_init_from_model.restype = C.c_void_p
llama.llama_model_load_from_file.argtypes = [C.c_char_p, Raw]
llama.llama_init_from_model.argtypes = [C.c_void_p, Raw]
llama.llama_free.argtypes = llama.llama_model_free.argtypes = [C.c_void_p]


def log(model, context, sequences):
    lines.clear()
    params = llama.llama_context_default_params()
    words = C.cast(params.b, C.POINTER(C.c_int32))
    assert list(words[:3]) == [512, 2048, 512] and words[3] == 1, "llama_context_params is laid out differently in this library"
    words[0], words[3] = context, sequences
    flags = bytes(params.b).index(bytes([0, 1, 1, 1, 1, 0]))  # embeddings, offload_kqv, no_perf, op_offload, swa_full, kv_unified
    params.b[flags + 4] = 0  # swa_full, which the command-line tools have off
    ctx = llama.llama_init_from_model(model, params)
    if not ctx:
        sys.exit("no context:\n" + "".join(lines))
    llama.llama_free(ctx)
    return "".join(lines)


out = {}
for path in sorted(glob.glob(sys.argv[2] + "/*.gguf")):
    lines.clear()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(path + "\n" + "".join(lines))
    text = log(model, 16384, 1)
    rows = re.findall(r"llama_kv_cache: size = .*?\(\s*(\d+) cells,\s*(\d+) layers.*?K \(f16\):\s*([\d.]+) MiB, V \(f16\):\s*([\d.]+) MiB", text)
    states = re.findall(r"llama_memory_recurrent: size =.*?R \(f32\):\s*([\d.]+) MiB, S \(f32\):\s*([\d.]+) MiB", log(model, 65536, 256))
    out[os.path.basename(path)[:-5]] = {"cache": [[int(r[0]), int(r[1]), float(r[2]), float(r[3])] for r in rows],
                                       "states": round(sum(float(r) + float(s) for r, s in states), 2)}
    llama.llama_model_free(model)
oracle = {"oracle": "llama.cpp 0c1e57098, libllama's log; kv_cache.py beside this file has the command"}
print("{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in {**oracle, **out}.items()) + "\n}")
