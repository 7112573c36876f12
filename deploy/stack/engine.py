"""vLLM as a child process: its command, its environment, its readiness."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.stack.settings import StackSettings

SERVED_NAME = "base"  # the base model's name; adapters are served under their full versions
LIBRARY = "libnuma.so.1"  # no wheel brings it
LIBRARY_REMEDY = "on Debian: apt install libnuma1"
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """One replica over one base model."""

    model: Path
    port: int
    device: Device
    settings: StackSettings
    chat_template: Path | None = None  # for models whose tokenizer has none
    cores: tuple[int, ...] = ()  # of a CPU, that it keeps to; none: as vLLM chooses

    def command(self) -> tuple[str, ...]:
        """Return its command line."""
        s = self.settings
        return (
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(self.model), "--served-model-name", SERVED_NAME),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--enable-lora", "--max-loras", str(s.max_loras), "--max-cpu-loras", str(s.max_loras + 2)),
            *("--max-lora-rank", str(s.max_lora_rank)),
            *("--max-model-len", str(s.max_model_len), "--max-num-seqs", str(s.max_num_seqs)),
            *("--generation-config", "vllm"),  # the client's parameters and nothing else decide
            *("--disable-uvicorn-access-log", "--no-enable-log-requests"),
            *(("--enable-auto-tool-choice", "--tool-call-parser", s.tool_parser) if s.tool_parser else ()),
            *(("--chat-template", str(self.chat_template)) if self.chat_template else ()),
            *self._device_flags(),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that it needs in addition to ours."""
        found = {
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, self.cores)) or "auto",
            "VLLM_NO_USAGE_STATS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        if self.device == "cpu":
            found["TORCHDYNAMO_DISABLE"] = "1"  # the sampler would be compiled at the first reply, by a C++ compiler
        return found

    def healthy(self) -> bool:
        """Check that it answers requests."""
        return answers_ok(f"http://127.0.0.1:{self.port}/health")

    def _device_flags(self) -> tuple[str, ...]:
        if self.device == "cuda":
            return ("--gpu-memory-utilization", str(self.settings.gpu_memory_share))
        # bfloat16 dies with SIGILL on hypervisors that mask AMX; compiling takes longer than it saves here
        kv_cache = str(int(self.settings.kv_cache_gb * 1024**3))
        tokens = str(max(512, self.settings.max_num_seqs))  # logits of a whole batch are held at once
        return (
            *("--dtype", "float32", "--enforce-eager"),
            *("--kv-cache-memory-bytes", kv_cache, "--max-num-batched-tokens", tokens),
        )


def share(replica: int, replicas: int, cores: Sequence[int], part: float = 0.5) -> tuple[int, ...]:
    """Return a replica's cores: the engines have `part` of them together, the rest is for training and everything else.

    Threads of vLLM and of a training that wait for each other's cores are slower by far than half the cores are:
    measured on two, 7 to 30 s a reply and up to a minute a training step, against 0.5 s and 2 s when kept apart.

    >>> share(0, 1, range(2)), share(0, 2, range(8)), share(1, 2, range(8)), share(1, 2, range(2))
    ((0,), (0, 2), (1, 3), (0,))
    >>> share(0, 2, range(2), 1.0), share(1, 2, range(2), 1.0)
    ((0,), (1,))
    """
    ours = tuple(cores)[: max(1, int(len(cores) * part))]
    return ours[replica::replicas] or ours[:1]


def available_cores() -> Sequence[int]:
    """Return the cores that this process may use; none where the system does not show them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()


def device(asked: Literal["auto", "cpu", "cuda"] = "auto") -> Device:
    """Return the device for vLLM: the GPU if there is one and the installed vLLM can use it. Raise LookupError where
    "cuda" is asked for and not available."""
    possible = has_gpu() and has_gpu_build()
    if asked == "cuda" and not possible:
        lacking = "no NVIDIA GPU is visible" if not has_gpu() else "vllm for GPUs is not installed (engine-gpu)"
        raise LookupError(f'stack.device is "cuda", but {lacking}; set it to "auto" or "cpu"')
    return "cuda" if possible and asked != "cpu" else "cpu"


def has_gpu() -> bool:
    """Check that the NVIDIA driver lists a device."""
    if not shutil.which("nvidia-smi"):
        return False
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU " in done.stdout


def has_gpu_build() -> bool:
    """Check that the installed vLLM is the one for GPUs: both have the same import name."""
    return _installed("vllm") and not _installed("vllm-cpu")


def missing_library() -> str:
    """Return the system's library that the installed vLLM is linked to and that is not there; empty where all is."""
    if not _installed("vllm-cpu") or not sys.platform.startswith("linux"):
        return ""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return LIBRARY
    return ""


def warm_up(port: int, timeout_s: float = 120.0) -> None:
    """Ask for one token: a fresh engine takes seconds for its first reply, and no client should wait for that."""
    body = json.dumps({"model": SERVED_NAME, "prompt": "Hello", "max_tokens": 2}).encode()
    address = f"http://127.0.0.1:{port}/v1/completions"
    request = urllib.request.Request(address, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310
        reply.read()


def answers_ok(url: str, timeout_s: float = 1.0) -> bool:
    """Check that the address answers 200 in time. Nothing is sent, and a certificate for another name than this
    machine's is as good."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=timeout_s, context=unchecked) as reply:  # noqa: S310 - our own address
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
