"""Calls of the OpenAI chat API, as bytes and by the official client."""

import json

import openai

from support.net import HOST, call

PATH = "/v1/chat/completions"


def client(port, **options) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{HOST}:{port}/v1", api_key="none", max_retries=0, timeout=60, **options)


def request(model="tiny", stream=True, tokens=24, prompt="ban dor kil") -> dict:
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "stream": stream, "temperature": 0, "max_tokens": tokens, "messages": messages}


def raw(port, fields=(), **options):
    """One call over a plain socket, with the time of every event."""
    body = json.dumps(request(**options)).encode()
    return call(port, "POST", PATH, fields=[("Content-Type", "application/json"), *fields], body=body)


def text(port, **options) -> str:
    """The streamed text, as the official client hands it over."""
    events = client(port).chat.completions.create(**request(**options))
    return "".join(event.choices[0].delta.content or "" for event in events if event.choices)


def data(event: bytes):
    """What an event holds; `None` for `[DONE]` and comments."""
    payload = event.removeprefix(b"data: ").strip()
    return json.loads(payload) if payload.startswith(b"{") else None


def has_content(event: bytes) -> bool:
    choices = (data(event) or {}).get("choices")
    return bool(choices and choices[0]["delta"].get("content"))
