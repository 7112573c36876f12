"""The same requests through LiteLLM's proxy, where it is installed: `make bench-peers` does it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from deploy.stack import ports, processes
from deploy.stack.engine import answers_ok
from deploy.stack.launch import Member
from tests.bench.serving.ways import ENGINE, GATEWAY, Ways
from tests.bench.tools.figures import NOT_MEASURED, Figure
from tests.bench.tools.progress import note
from tests.serving.support.load import Sample
from tests.serving.support.log_records import ALIAS, VERSIONS
from tests.serving.support.stack import Place

OWN = Path("var/bench/litellm/bin/litellm")
NAME = "LiteLLM"
RATIO = "requests a second at eight clients, times LiteLLM's proxy"
GOAL = 40
CLIENTS = 8
ROUNDS = 3
SILENT = {
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch one otherwise
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
}


def found() -> Path | None:
    """Its command, in an environment of its own or on the path."""
    elsewhere = shutil.which("litellm")
    return OWN.absolute() if OWN.exists() else Path(elsewhere) if elsewhere else None


def compared(place: Place, ways: Ways, quick: bool) -> list[Figure]:
    """By turns with the gateway, at eight clients and at one."""
    command = found()
    if command is None:
        return [Figure(RATIO, NOT_MEASURED, "times", GOAL, "higher", note="not installed; make bench-peers")]
    note("LiteLLM's proxy starts")
    try:
        _start(place, ways, command)
    except processes.ProcessFailed as error:
        return [Figure(RATIO, NOT_MEASURED, "times", GOAL, "higher", note=str(error).partition("\n")[0])]
    count = 50 if quick else 400
    theirs, ours = _turns(ways, NAME, count), _turns(ways, GATEWAY, 20 * count)
    note("LiteLLM's proxy, one client")
    mine, alone = ways.ask(GATEWAY, count), ways.ask(NAME, count)
    told = Figure(RATIO, ours / theirs, "times", GOAL, "higher", NAME, round(theirs, 1), note=f"gateway {ours:,.0f}/s")
    p50 = Figure("latency, p50, one client", mine.quantile(0.5), "ms", None, "lower", NAME, _p50(alone))
    return [told, p50]


def _turns(ways: Ways, where: str, count: int) -> float:
    """Requests a second over some rounds."""
    note(f"{where}, {CLIENTS} clients")
    ways.ask(where, count // 4, CLIENTS)
    return ROUNDS * count / sum(ways.ask(where, count, CLIENTS).seconds for _ in range(ROUNDS))


def _start(place: Place, ways: Ways, command: Path) -> None:
    port, config = ports.free(1)[0], place.folder / "litellm.yaml"
    ways.keys[NAME] = f"sk-{secrets.token_hex(16)}"
    config.write_text(_config(ways.ports[ENGINE], ways.keys[NAME]))
    line = (str(command), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    ready = lambda: answers_ok(f"http://127.0.0.1:{port}/health/liveliness")  # noqa: E731
    spec = processes.Spec(NAME, line, ready, 180.0, SILENT, place.folder)
    place.members[NAME] = Member(NAME, lambda: spec, ready, timeout_s=180.0)
    place.start(NAME)
    ways.ports[NAME] = port


def _config(engine: int, key: str) -> str:
    return f"""\
model_list:
  - model_name: {ALIAS}
    litellm_params:
      model: openai/{VERSIONS[0]}
      api_base: http://127.0.0.1:{engine}/v1
      api_key: x
litellm_settings:
  telemetry: false
general_settings:
  master_key: {key}
"""


def _p50(sample: Sample) -> float:
    return round(sample.quantile(0.5), 3)
