#!/usr/bin/env python3
"""Writes ../golden/TYPE.txt: what ggml makes of rows that both this script and golden_test.go can generate.

  golden.py LIBGGML_BASE MODEL.safetensors ../golden [--types A,B] [--seed N] [--rows N] [--cols N]

LIBGGML_BASE is libggml-base.so of the reference (npm @node-llama-cpp/linux-x64 3.22.1, bins/linux-x64), MODEL the
trained model in testdata/tiny. A line is ROWS IMPORTANCE ENCODED DECODED: the first 16 hexadecimal digits of the
SHA-256 of ggml_quantize_chunk's bytes and of the float32s ggml decodes from them; "refused" where
ggml_validate_row_data rejects the bytes, "aborted" where the encoder fails an assertion. Rows named bytes-* are random bytes, only decoded.
Other seeds and sizes are checked with: go test -run TestGolden -golden FOLDER
"""
import argparse, ctypes as C, hashlib, os, struct
import numpy as np

# type: number, elements and bytes of a block, offsets of its f16 scales, and whether importance plays a part; 2 where ggml demands it
TYPES = dict(
    F32=(0, 1, 4, (), False), F16=(1, 1, 2, (0,), False), BF16=(30, 1, 2, (0,), False), Q8_0=(8, 32, 34, (0,), False), Q8_1=(9, 32, 36, (0, 2), False), Q8_K=(15, 256, 292, (), False),
    Q4_0=(2, 32, 18, (0,), True), Q4_1=(3, 32, 20, (0, 2), True), Q5_0=(6, 32, 22, (0,), True), Q5_1=(7, 32, 24, (0, 2), True),
    Q2_K=(10, 256, 84, (80, 82), True), Q3_K=(11, 256, 110, (108,), True), Q4_K=(12, 256, 144, (0, 2), True), Q5_K=(13, 256, 176, (0, 2), True), Q6_K=(14, 256, 210, (208,), True),
    MXFP4=(39, 32, 17, (0,), False), NVFP4=(40, 64, 36, (), False),
    Q1_0=(41, 128, 18, (0,), False), Q2_0=(42, 64, 18, (0,), False), TQ1_0=(34, 256, 54, (52,), False), TQ2_0=(35, 256, 66, (64,), False),
    IQ1_S=(19, 256, 50, (0,), 2), IQ1_M=(29, 256, 56, (52,), True), IQ2_XXS=(16, 256, 66, (0,), 2), IQ2_XS=(17, 256, 74, (0,), 2), IQ2_S=(22, 256, 82, (0,), True),
    IQ4_NL=(20, 32, 18, (0,), True), IQ4_XS=(23, 256, 136, (0,), True), IQ3_XXS=(18, 256, 98, (0,), True), IQ3_S=(21, 256, 110, (0,), True),
)

U64 = np.uint64
def fnv(s):
    h = 0xcbf29ce484222325
    for b in s.encode(): h = (h ^ b) * 0x100000001b3 & (1 << 64) - 1
    return h
def mix(z):
    z = (z ^ z >> U64(30)) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> U64(27)) * U64(0x94D049BB133111EB)
    return z ^ z >> U64(31)
def stream(key, i):
    with np.errstate(over="ignore"): return mix(U64(fnv(key)) + (i + U64(1)) * U64(0x9E3779B97F4A7C15))

def uniform(h): return (h >> U64(40)).astype(np.float64) / 8388608 - 1          # [-1, 1)
def normal(h):                                                                   # sum of four uniform 16-bit numbers
    s = sum((h >> U64(k) & U64(0xffff)).astype(np.int64) for k in (0, 16, 32, 48))
    return (s - 131070) / 37837.0
def mod(h, m): return (h % U64(m)).astype(np.float64)
def pow2(e): return np.ldexp(1.0, e.astype(np.int64))
def where(c, a, b): return np.where(c, a, b)

# name -> f(n, u, h, g, col, blocks, supers): normal, uniform, two hashes, column, a hash per 32 and per 256 columns
ROWS = dict(
    normal=lambda v: v.n, small=lambda v: v.n * 0.02, uniform=lambda v: v.u, heavy=lambda v: v.n * v.n2 * v.n2, positive=lambda v: abs(v.n), negative=lambda v: -abs(v.n),
    offset=lambda v: 3 + v.n * 0.1, zero=lambda v: v.n * 0, constant=lambda v: v.n * 0 + 0.25, minus=lambda v: v.n * 0 - 3, signs=lambda v: mod(v.h, 2) * 2 - 1,
    ternary=lambda v: (mod(v.h, 3) - 1) * 0.7, ints=lambda v: mod(v.h, 16) - 8, levels=lambda v: mod(v.h, 5) * 0.1, outlier=lambda v: where(v.col % 37 == 0, v.n * 40, v.n),
    spike=lambda v: where(v.col % 300 == 100, v.n * 0 + 1, v.n * 0), sparse=lambda v: where(mod(v.g, 10) == 0, v.n, v.n * 0), sorted=lambda v: (v.col * 2.0) / (v.cols - 1) - 1,
    saw=lambda v: (15.5 - v.col % 32) / 16, blocks=lambda v: v.n * pow2(-mod(v.b, 24)), supers=lambda v: v.n * pow2(-mod(v.s, 40)), jitter=lambda v: 1 + v.n * 1e-6,
    tiny15=lambda v: v.n * 1e-15, tiny20=lambda v: v.n * 1e-20, tiny30=lambda v: v.n * 1e-30, tiny36=lambda v: v.n * 1e-36, tiny38=lambda v: v.n * 1e-38, subnormal=lambda v: v.n * 1e-41,
    least=lambda v: (mod(v.h, 5) - 2) * 2.0**-149, mixtiny=lambda v: where(mod(v.g, 2) == 0, v.n, v.n * 1e-36), negzero=lambda v: where(mod(v.h, 2) == 0, v.n * 0 - 0.0, v.n * 0 + 0.0),
    zeros=lambda v: where(mod(v.h, 3) == 0, -(v.u * 0 + 0.0), where(mod(v.h, 3) == 1, v.n, v.n * 0 + 0.0)), ties=lambda v: mod(v.h, 31) - 14.5, eighths=lambda v: (mod(v.h, 257) - 128) / 8,
    wide=lambda v: (mod(v.h, 2) * 2 - 1) * pow2(mod(v.g, 60) - 45), big=lambda v: v.n * 15000, huge=lambda v: v.n * 1e6, vast=lambda v: v.n * 1e30,
    f16edge=lambda v: v.n * 6e-5, f16least=lambda v: v.n * 1e-6, bf16=lambda v: bf16(v.n * 0.02), real=None)
def bf16(x): return (np.float32(x).view(np.uint32) & np.uint32(0xffff0000)).view(np.float32).astype(np.float64)

IMPORTANCE = dict(
    random=lambda v: sq(v.u) + 1e-3, one=lambda v: v.n * 0 + 1, constant=lambda v: v.n * 0 + 0.37, zero=lambda v: v.n * 0, half=lambda v: where(mod(v.h, 2) == 0, sq(v.u), v.n * 0),
    gaps=lambda v: where(v.col // 32 % 3 == 1, v.n * 0, sq(v.u)), gaps16=lambda v: where(v.col // 16 % 2 == 1, v.n * 0, sq(v.u)), tiny=lambda v: sq(v.u) * 1e-30, subnormal=lambda v: sq(v.u) * 1e-42,
    huge=lambda v: sq(v.u) * 1e30, spread=lambda v: pow2(mod(v.h, 40) - 20), real=lambda v: sq(v.n2 * v.n2 * v.n2))
def sq(u): return ((u + 1) * 0.5) * ((u + 1) * 0.5)

class Values:
    def __init__(self, key, rows, cols):
        i = np.arange(rows * cols, dtype=U64)
        self.cols, self.col = cols, (i % U64(cols)).astype(np.int64)
        self.h, self.g = stream(key, i), stream(key + "/2", i)
        self.b, self.s = stream(key + "/b", i // U64(32)), stream(key + "/s", i // U64(256))
        self.n, self.n2, self.u = normal(self.h), normal(self.g), uniform(self.h)

def main():
    p = argparse.ArgumentParser(); p.add_argument("lib"); p.add_argument("model"); p.add_argument("out")
    p.add_argument("--seed", type=int, default=1); p.add_argument("--rows", type=int, default=4); p.add_argument("--cols", type=int, default=1792)
    p.add_argument("--types", default=",".join(TYPES)); a = p.parse_args()
    os.environ["GGML_NO_BACKTRACE"] = "1"
    lib = C.CDLL(a.lib)
    lib.ggml_version.restype = lib.ggml_commit.restype = C.c_char_p
    chunk = lib.ggml_quantize_chunk; chunk.restype = C.c_size_t
    chunk.argtypes = [C.c_int, C.c_void_p, C.c_void_p, C.c_int64, C.c_int64, C.c_int64, C.c_void_p]
    lib.ggml_validate_row_data.restype = C.c_bool; lib.ggml_validate_row_data.argtypes = [C.c_int, C.c_void_p, C.c_size_t]
    row = [C.c_void_p, C.c_void_p, C.c_int64]
    data = open(a.model, "rb").read(); data = data[8 + struct.unpack("<Q", data[:8])[0]:]

    def source(name):
        n = a.rows * a.cols; key = f"{a.seed}/{name}"
        if name == "real":
            at = fnv(key) % (len(data) // 2 - n)
            return (np.frombuffer(data, np.uint16, n, 2 * at).astype(np.uint32) << 16).view(np.float32)
        return np.ascontiguousarray(ROWS[name](Values(key, a.rows, a.cols)).astype(np.float32))

    def survives(f):                                         # assertions of the IQ encoders abort the process
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2); f(); os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    def encode(t, x, im):
        out = np.zeros(a.rows * a.cols // TYPES[t][1] * TYPES[t][2], np.uint8)
        if t in ("Q8_1", "Q8_K"):
            f = getattr(lib, f"quantize_row_{t.lower().replace('_k', '_K')}_ref"); f.argtypes = row; f(x.ctypes.data, out.ctypes.data, x.size)
        else: assert chunk(TYPES[t][0], x.ctypes.data, out.ctypes.data, 0, a.rows, a.cols, im.ctypes.data if im is not None else None) == out.size
        return out
    def valid(t, out): return bool(np.isfinite(out.reshape(-1, 36)[:, :4].copy().view(np.float16)).all()) if t == "Q8_1" else lib.ggml_validate_row_data(TYPES[t][0], out.ctypes.data, out.size)
    def decode(t, out):
        if t == "Q8_1": return np.zeros(0, np.float32)       # ggml has no decoder for it
        if t == "F32": return out.view(np.float32)
        y = np.zeros(out.size // TYPES[t][2] * TYPES[t][1], np.float32)
        f = getattr(lib, {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}.get(t, f"dequantize_row_{t.lower().replace('_k', '_K')}"))
        f.argtypes = row; f.restype = None; f(out.ctypes.data, y.ctypes.data, y.size); return y
    def digest(x): return hashlib.sha256(x.tobytes()).hexdigest()[:16]

    def lines(t):
        number, length, size, scales, weighs = TYPES[t]
        for name in ROWS:
            x = source(name)
            for iname in ([] if weighs == 2 else ["-"]) + (list(IMPORTANCE) if weighs else ["random"]):
                im = None if iname == "-" else np.ascontiguousarray(IMPORTANCE[iname](Values(f"{a.seed}/importance/{iname}", 1, a.cols)).astype(np.float32))
                if t.startswith("IQ") and not survives(lambda: encode(t, x, im)):
                    yield f"{name} {iname} aborted -"; continue
                with np.errstate(all="ignore"): out = encode(t, x, im)
                if valid(t, out): yield f"{name} {iname} {digest(out)} {digest(decode(t, out))}"
                else: yield f"{name} {iname} refused -"
        if t in ("F32", "Q8_1", "Q8_K"): return
        b = (stream(f"{a.seed}/bytes/{t}", np.arange(a.rows * a.cols // length * size, dtype=U64)) & U64(255)).astype(np.uint8).reshape(-1, size)
        for o in scales: b[:, o + 1] &= 0xbf    # no exponent of all ones
        yield f"bytes - - {digest(decode(t, np.ascontiguousarray(b).reshape(-1)))}"

    for t in a.types.split(","):
        with open(os.path.join(a.out, t + ".txt"), "w") as f:
            print(f"# oracle: ggml {lib.ggml_version().decode()} ({lib.ggml_commit().decode()}), libggml-base of npm @node-llama-cpp/linux-x64 3.22.1", file=f)
            print(f"# generator: gen/golden.py, numpy {np.__version__}", file=f)
            print(f"# seed {a.seed} rows {a.rows} cols {a.cols}", file=f)
            for line in lines(t): print(line, file=f)

if __name__ == "__main__": main()
