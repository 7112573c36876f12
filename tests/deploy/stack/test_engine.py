"""vLLM's command line, and where it runs."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.stack import engine as vllm
from deploy.stack.settings import StackSettings

if TYPE_CHECKING:
    from tests.conftest import Engine

SETTINGS = StackSettings(max_loras=3, max_lora_rank=16)


def flags(device: vllm.Device, template: Path | None = None) -> str:
    return " ".join(vllm.EngineProcess(Path("m"), 8001, device, SETTINGS, template).command())


def test_adapters_can_be_swapped_and_only_this_machine_can_reach_it() -> None:
    told = flags("cpu")
    for flag in ("--host 127.0.0.1", "--enable-lora", "--max-loras 3", "--max-cpu-loras 5", "--served-model-name base"):
        assert flag in told
    environment = vllm.EngineProcess(Path("m"), 8001, "cpu", SETTINGS).environment()
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_cpu_computes_in_float32_and_a_gpu_leaves_room_for_training() -> None:
    assert "--dtype float32 --enforce-eager" in flags("cpu")
    assert "--gpu-memory-utilization 0.4" in flags("cuda")
    assert "float32" not in flags("cuda")


def test_our_chat_template_is_given_only_where_the_model_has_none() -> None:
    assert "--chat-template t.jinja" in flags("cpu", Path("t.jinja"))
    assert "--chat-template" not in flags("cpu")


@pytest.mark.parametrize(("gpu", "build", "lacking"), [(False, True, "no NVIDIA GPU"), (True, False, "not installed")])
def test_a_gpu_that_cannot_be_had_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, build: bool, lacking: str
) -> None:
    monkeypatch.setattr(vllm, "has_gpu", lambda: gpu)
    monkeypatch.setattr(vllm, "has_gpu_build", lambda: build)
    assert vllm.device("auto") == "cpu"
    with pytest.raises(LookupError, match=lacking):
        vllm.device("cuda")


def test_a_gpu_is_used_when_it_can_be_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "has_gpu", lambda: True)
    monkeypatch.setattr(vllm, "has_gpu_build", lambda: True)
    assert (vllm.device("auto"), vllm.device("cuda"), vllm.device("cpu")) == ("cuda", "cuda", "cpu")


@pytest.mark.vllm
def test_the_engine_answers_chats_with_log_probabilities(engine: Engine) -> None:
    body = {
        "model": vllm.SERVED_NAME,
        "messages": [{"role": "user", "content": "Where is my card?"}],
        "max_tokens": 4,
        "temperature": 0,
        "logprobs": True,
    }
    request = urllib.request.Request(
        f"{engine.url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.loads(reply.read())
    assert answer["usage"]["completion_tokens"] == 4
    assert len(answer["choices"][0]["logprobs"]["content"]) == 4
