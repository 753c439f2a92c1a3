"""Renders snippets.txt with jinja2 3.1.6 as transformers 5.23 sets it up, and writes snippets.json beside it.

A snippet is a line; \\n in it is a newline. Variables are those of VARS. A snippet that raises is recorded by its
exception's class. Usage: python3 snippets.py (needs jinja2)."""
import datetime, json, os
from jinja2 import ext, nodes, exceptions
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
VARS = json.load(open(os.path.join(HERE, "..", "variables.json")))


class Generation(ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("inner"), [], [], body).set_lineno(line)

    def inner(self, caller):
        return caller()


def raise_exception(message):
    raise exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2026, 11, 23, 12, 0, 0).strftime(f)

out = []
for line in open(os.path.join(HERE, "..", "snippets.txt"), encoding="utf-8"):
    line = line.rstrip("\n")
    if not line or line.startswith("##"):
        continue
    source = line.replace("\\n", "\n")
    try:
        result = {"ok": True, "out": env.from_string(source).render(**VARS)}
    except Exception as e:
        result = {"ok": False, "err": type(e).__name__}
    out.append({"source": source, **result})
json.dump(out, open(os.path.join(HERE, "..", "snippets.json"), "w"), ensure_ascii=False, indent=0)
print(len(out), "snippets,", sum(not r["ok"] for r in out), "raise")
for r in out:
    if not r["ok"]:
        print(r["err"], r["source"])
