"""Makes ../python.json: Python sources, sound and damaged, each with what CPython's ast.parse says of it.

    python3 python.py        # made with CPython 3.11.7
"""
import ast
import json
import pathlib
import random
import sys
import warnings

SOUND = [
    'def fibonacci(n):\n    if n <= 1:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n\nprint(fibonacci(10))\n',
    'def fib(n: int) -> int:\n    """Fibonacci, by recursion."""\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n',
    'from functools import lru_cache\n\n@lru_cache(maxsize=None)\ndef fib(n):\n    return n if n < 2 else fib(n-1) + fib(n-2)\n',
    'def fib(n, memo={}):\n    if n in memo:\n        return memo[n]\n    if n < 2:\n        return n\n    memo[n] = fib(n-1, memo) + fib(n-2, memo)\n    return memo[n]\n\nfor i in range(10):\n    print(f"fib({i}) = {fib(i)}")\n',
    'class Fibonacci:\n    """A cache."""\n    cache: dict[int, int] = {}\n\n    def get(self, n: int) -> int:\n        if n < 0:\n            raise ValueError("n must be >= 0")\n        if n not in self.cache:\n            self.cache[n] = n if n < 2 else self.get(n - 1) + self.get(n - 2)\n        return self.cache[n]\n',
    'import asyncio\n\nasync def fetch(x):\n    async with lock:\n        await asyncio.sleep(0.1)\n    return [y async for y in source(x)]\n\nasyncio.run(fetch(1))\n',
    'def main() -> None:\n    while (line := input("> ")) != "quit":\n        try:\n            n = int(line)\n        except ValueError as e:\n            print(f"not a number: {e!r}")\n        else:\n            print(f"{n:>10_d}")\n\nif __name__ == "__main__":\n    main()\n',
    'total = 1_000_000\nrate: float = 0.5\npair: "tuple[int, int]"\nx, *rest = [1, *range(3), *[4]]\nmerged = {**{"a": 1}, "b": 2}\nprint(\n    x,\n    rest,\n)\n',
    'def clamp(value, /, low=0, *, high=10):\n    """Keep a value within bounds."""\n    return max(low, min(high, value))\n',
    'match command:\n    case "go":\n        run()\n    case [x, y] if x > y:\n        swap(x, y)\n    case {"key": value, **rest}:\n        pass\n    case _:\n        stop()\nmatch = 3\ncase = match\n',
    'import numpy as np\n\ndef step(w, grad, lr=0.01):\n    # one step of gradient descent\n    w -= lr * grad.T @ w\n    return {k: v ** 2 for k, v in enumerate(w) if v}\n',
    "text = '''triple\n'quoted' '''\nraw = r\"\\d+\" + rb'x'.decode()\nslices = text[1:-1:2], text[::-1]\nf = lambda a, *b, c=1, **d: (a, b, c, d)\nassert f(1)[0] == 1, 'no'\n",
    'def hanoi(n, a="A", b="B", c="C"):\n\tif n == 0:\n\t\treturn 0\n\treturn hanoi(n - 1, a, c, b) + 1 + hanoi(n - 1, c, b, a)\n',
]

BROKEN = [
    'The function is recursive and returns the sum.\n',
    'def fibonacci(n)\n    return n\n',
    'def f(n):\nreturn n\n',
    'def f(n):\n    if n:\n',
    'print("hello"\n',
    "x = 'never closed\n",
    'def f(n):\n    return n\n  return 2\n',
    'else:\n    pass\n',
    'x = = 2\n',
    'for i in range(3) print(i)\n',
    'function f(n) { return n; }\n',
    'def f(a, a b):\n    pass\n',
    'import\n',
]


def main():
    warnings.simplefilter("ignore")
    rng = random.Random(20)
    out = [{"source": s} for s in SOUND + BROKEN]
    for s in SOUND:
        for _ in range(9):
            t, k = list(s), rng.randrange(len(s))
            kind = rng.choice(["drop", "add", "line", "indent"])
            if kind == "drop":
                del t[k]
            elif kind == "add":
                t.insert(k, rng.choice("():,='\"+*"))
            text = "".join(t)
            lines = text.split("\n")
            k = rng.randrange(len(lines))
            if kind == "line":
                del lines[k]
            elif kind == "indent":
                lines[k] = " " + lines[k]
            out.append({"source": "\n".join(lines)})
    for e in out:
        try:
            ast.parse(e["source"])
            e["ok"] = True
        except SyntaxError:
            e["ok"] = False
    doc = {"oracle": "CPython %d.%d.%d, ast.parse" % sys.version_info[:3], "command": "python3 testdata/gen/python.py", "cases": out}
    pathlib.Path(__file__).parent.parent.joinpath("python.json").write_text(json.dumps(doc, indent=1) + "\n")


main()
