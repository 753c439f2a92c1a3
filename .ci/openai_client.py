"""Smoke test: the official openai client against `moeconv serve`. Arguments: base URL."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0, timeout=30)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model

messages = [{"role": "system", "content": "You write Go."}, {"role": "user", "content": "sort a slice"}]
ask = dict(model=model, messages=messages, temperature=0, max_tokens=12)
whole = client.chat.completions.create(logprobs=True, top_logprobs=2, **ask)
choice = whole.choices[0]
assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length"), whole
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens <= 12 + whole.usage.prompt_tokens
assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in choice.logprobs.content)

chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ask))
assert chunks[-1].usage == whole.usage.model_copy(update={"prompt_tokens_details": chunks[-1].usage.prompt_tokens_details})
assert "".join(c.choices[0].delta.content for c in chunks[:-1]) == choice.message.content
assert len(chunks) - 1 == whole.usage.completion_tokens
assert chunks[-2].choices[0].finish_reason == choice.finish_reason

many = client.completions.create(model=model, prompt=["func (", "package main"], n=2, seed=1, max_tokens=6, stop=["\n\n"])
assert [c.index for c in many.choices] == [0, 1, 2, 3], many
text = client.completions.create(model=model, prompt="func (", temperature=0, max_tokens=6)
streamed = client.completions.create(model=model, prompt="func (", temperature=0, max_tokens=6, stream=True)
assert "".join(c.choices[0].text for c in streamed) == text.choices[0].text

tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
assert client.chat.completions.create(tools=[tool], **ask).choices[0].finish_reason

# A call's message as the client gives it back: content, refusal, audio and the like are null.
call = openai.types.chat.ChatCompletionMessage(role="assistant", content=None, tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
talk = [{"role": "developer", "content": [{"type": "text", "text": "You write Go."}]}, messages[1], call.model_dump(), {"role": "tool", "tool_call_id": "call_1", "content": "done"}]
answer = client.chat.completions.create(model=model, messages=talk, tools=[tool], tool_choice="none", temperature=0, max_completion_tokens=4, stop="\0", n=2, parallel_tool_calls=False, response_format={"type": "text"})
assert [c.index for c in answer.choices] == [0, 1] and not answer.choices[0].message.tool_calls, answer
assert client.chat.completions.create(model=model, messages=talk[:2] + [call] + talk[3:], temperature=0, max_tokens=4, stop=["\0"]).choices[0].message.content == answer.choices[0].message.content


def refused(kind, code, f):
    try:
        f()
    except kind as e:
        assert e.code == code and e.type, e
    else:
        raise AssertionError(f"{code}: no error")


refused(openai.NotFoundError, "model_not_found", lambda: client.completions.create(model="gpt-4", prompt="x"))
refused(openai.BadRequestError, "context_length_exceeded", lambda: client.completions.create(model=model, prompt="x y " * 5000))
refused(openai.BadRequestError, "invalid_value", lambda: client.completions.create(model=model, prompt="x", temperature=-1))
refused(openai.BadRequestError, "unsupported_parameter", lambda: client.chat.completions.create(response_format={"type": "json_object"}, **ask))
refused(openai.NotFoundError, "unknown_url", lambda: client.embeddings.create(model=model, input="x"))
print(f"openai {openai.__version__}: ok")
