"""vLLM in its pod, its side-car, and the jobs that judge candidates: they fit each other, and end in their order."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.kubernetes.rendered import FOLDER, OVERLAYS, Rendered, rendered

pytestmark = pytest.mark.system

REQUIREMENTS = FOLDER.parent / "images" / "requirements" / "trainer-gpu.txt"


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def test_gateways_know_replicas_where_these_stand(overlay: Rendered, tmp_path: Path) -> None:
    (pattern,) = (listed := overlay.config("gateway", tmp_path).replicas)
    assert pattern == "vllm-*"
    vllm = overlay.one("StatefulSet", "vllm")
    address = overlay.environment(overlay.pod("vllm").own, "vllm-0")["HOMEOSTAT__REPLICA__ADDRESS"]
    assert (
        listed[pattern].url.replace("{name}", "vllm-0")
        == address
        == f"http://vllm-0.{vllm['spec']['serviceName']}:8200"
    )


def test_an_engine_finds_the_adapters_where_its_side_car_fetched_them(overlay: Rendered) -> None:
    mounts = [
        next((each["name"], each["mountPath"]) for each in container["volumeMounts"] if each["name"] == "var")
        for container in overlay.pod("vllm").containers
    ]
    assert len(set(mounts)) == 1


def test_an_engine_listens_inside_its_pod_alone(overlay: Rendered, tmp_path: Path) -> None:
    (engine,) = (each for each in overlay.pod("vllm").containers if each["name"] == "vllm")
    config = overlay.config("vllm", tmp_path)
    arguments = dict(each.removeprefix("--").partition("=")[::2] for each in engine["args"])
    assert (arguments["host"], "ports" in engine) == ("127.0.0.1", False)
    assert config.replica.engine == f"http://127.0.0.1:{arguments['port']}"
    assert int(arguments["max-model-len"]) == config.stack.max_model_len
    assert int(arguments["max-loras"]) == config.stack.max_loras
    assert int(arguments["max-lora-rank"]) == config.stack.max_lora_rank
    assert arguments["model"] == str(config.stack.model)


def test_an_engine_ends_after_its_side_car(overlay: Rendered, tmp_path: Path) -> None:
    """It waits while the side-car's probes answer, which they do until the last request has ended."""
    replica = overlay.config("vllm", tmp_path).replica
    (engine,) = (each for each in overlay.pod("vllm").containers if each["name"] == "vllm")
    _, *words, code = engine["lifecycle"]["preStop"]["exec"]["command"]
    with socket.create_server(("127.0.0.1", 0)) as side_car:
        here = code.replace(str(replica.metrics_port), str(side_car.getsockname()[1]))
        assert here != code
        waiting = subprocess.Popen([sys.executable, *words, here])
        for _ in range(2):
            side_car.accept()[0].close()
        assert waiting.poll() is None
    assert waiting.wait(90) == 0


def test_answers_that_were_begun_are_given_whole_while_pods_are_replaced(overlay: Rendered, tmp_path: Path) -> None:
    gateway, replica = overlay.config("gateway", tmp_path).gateway, overlay.config("vllm", tmp_path).replica
    assert min(gateway.drain_s, replica.drain_s) >= gateway.timeout_s
    for role, ends in (("gateway", gateway), ("vllm", replica)):
        rest = overlay.pod(role).spec["terminationGracePeriodSeconds"] - ends.drain_delay_s - ends.drain_s
        assert rest >= 35, "the last shipment of a journal, and an engine's own end"


def test_a_program_that_asks_for_its_users_name_gets_one(overlay: Rendered) -> None:
    """65532 has none in images of others, and PyTorch ends without one; ours bring it."""
    (engine,) = (each for each in overlay.pod("vllm").containers if each["name"] == "vllm")
    assert {each["name"] for each in engine["env"]} >= {"USER", "HOME"}


def test_clients_engines_are_of_the_version_that_candidates_are_judged_with(overlay: Rendered) -> None:
    (engine,) = (each for each in overlay.pod("vllm").containers if each["name"] == "vllm")
    judged = re.search(r"^vllm==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert judged is not None
    assert engine["image"].rpartition(":")[2] == f"v{judged[1]}"


def test_a_side_car_has_time_to_read_the_base_model(overlay: Rendered) -> None:
    """Its probes answer once it knows the model's id, which at the first start it has from the weights."""
    allowed = {
        each["name"]: each["startupProbe"]["periodSeconds"] * each["startupProbe"]["failureThreshold"]
        for each in overlay.pod("vllm").containers
    }
    assert allowed["homeostat"] >= allowed["vllm"] >= 600


def test_engine_and_job_have_a_gpu(overlay: Rendered) -> None:
    for container in (*overlay.pod("vllm").containers, overlay.pod("retraining").own):
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus == (None if container["image"].endswith("replica:0.1.0") else "1")
