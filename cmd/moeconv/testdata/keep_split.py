"""Goldens of llama-quantize --keep-split: SHA-256 of the shards that llama.cpp 0.5.0's llama_model_quantize writes with
keep_split = true, from sets that `moeconv convert` made (its sets equal the reference converter's: gguf/testdata/splits.json).

  python keep_split.py path/to/oracle.py MOECONV CHECKPOINTS_DIR > keep_split.json

oracle.py has the library and the struct of its parameters; CHECKPOINTS_DIR is the repository's testdata.
"""
import ctypes, glob, hashlib, importlib.util, json, os, subprocess, sys, tempfile

path, moeconv, checkpoints = sys.argv[1:4]
spec = importlib.util.spec_from_file_location("oracle", path)
oracle = importlib.util.module_from_spec(spec); spec.loader.exec_module(oracle)

CASES = [  # checkpoint, flags of convert, schemes, blocks to prune
    ("tiny/tiny-moe-go", ["--split-max-tensors", "20"], ["Q4_K_M", "Q6_K", "COPY"]),
    ("tiny/tiny-moe-go", ["--split-max-tensors", "20"], ["Q4_K_M"], [1]),
    ("tiny/tiny-moe-go", ["--split-max-size", "2M", "--metadata-first"], ["Q4_K_M", "F16"]),
    ("tiny/tiny-moe-go", [], ["Q8_0"]),
    ("families/deepseek-moe/deepseek-moe-16b-chat", ["--split-max-tensors", "7"], ["Q4_K_M", "Q3_K_M", "Q5_K_M"]),
]


def main():
    _, _, llama = oracle.load()
    llama.llama_model_quantize_default_params.restype = oracle.QP
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(oracle.QP)]
    out = []
    for checkpoint, flags, schemes, *prune in CASES:
        with tempfile.TemporaryDirectory() as d:
            src = os.path.join(d, "src.gguf")
            subprocess.run([moeconv, "convert", os.path.join(checkpoints, checkpoint), "-o", src, *flags], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            first = (glob.glob(os.path.join(d, "src-00001-of-*.gguf")) + [src])[0]
            for scheme in schemes:
                q = llama.llama_model_quantize_default_params()
                q.nthread, q.keep_split = 2, True
                blocks = (ctypes.c_int32 * 9)(*(prune or [[]])[0], -1)
                if prune: q.prune_layers = ctypes.cast(blocks, ctypes.c_void_p)
                if scheme == "COPY": q.only_copy = True
                else: q.ftype = oracle.FTYPES[scheme]
                rc = llama.llama_model_quantize(first.encode(), os.path.join(d, "out-" + scheme).encode(), ctypes.byref(q))
                assert rc == 0, (checkpoint, flags, scheme)
                files = {}
                for name in sorted(glob.glob(os.path.join(d, f"out-{scheme}-*.gguf"))):
                    files[os.path.basename(name).replace("out-" + scheme, "out")] = hashlib.sha256(open(name, "rb").read()).hexdigest()
                out.append(dict(checkpoint=checkpoint, convert=flags, scheme=scheme, prune=(prune or [[]])[0], files=files))
    json.dump(dict(oracle="llama.cpp 0.5.0, llama_model_quantize, keep_split = true", cases=out), sys.stdout, indent=1)
    print()


main()
