"""`deploy/compose.yaml` fits the settings, the images and itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dashboards.export import DASHBOARDS, DATASOURCE, RULES_FILE, export
from deploy.cli import main
from deploy.config.settings import Config, load
from deploy.doctor.alive import own_port
from deploy.roles.names import ROLES
from deploy.stack.engine import Device, EngineProcess
from serving.sidecar import engine_metrics
from tests.deploy.images.composed import FOLDER, composed, ours, role_of

APART = {"shipper"}  # a gateway's child
UNMEASURED = {*APART, "admin"}  # it has no metrics
SHIPPED = FOLDER / "images" / "homeostat.toml"
REQUIREMENTS = FOLDER / "images" / "requirements" / "trainer-gpu.txt"


def configured(name: str) -> Config:
    """`load` refuses unknown keys and wrong values."""
    return load(SHIPPED, ours()[name]["environment"])


def test_every_role_is_there_with_each_profile() -> None:
    alone = set(ROLES) - APART
    for profile in ("cpu", "gpu"):
        there = {role_of(each) for each in ours().values() if profile in each.get("profiles", [profile])}
        assert there - {""} == alone


@pytest.mark.parametrize("name", ours())
def test_every_variable_is_a_setting_and_every_value_holds(name: str) -> None:
    config = configured(name)
    assert config.kafka.bootstrap == "kafka:9092"
    assert config.stack.bind == "0.0.0.0"
    assert config.storage.in_bucket
    assert config.policy.mode == "observe"


@pytest.mark.parametrize("name", ours())
def test_no_role_has_rights_or_a_root_that_it_may_write(name: str) -> None:
    service = ours()[name]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("65532:65532", True, ["ALL"])
    assert "privileged" not in service


def test_ports_are_ours_and_published_on_this_host_alone() -> None:
    stack = Config().stack
    published = [port for each in composed()["services"].values() for port in each.get("ports", [])]
    own = [f"127.0.0.1:{port}:{port}" for port in (stack.gateway_port, stack.admin_port)]
    assert published == ["127.0.0.1:3000:3000", *own]


def test_prometheus_asks_every_role_at_its_own_port() -> None:
    scraped = yaml.safe_load((FOLDER / "compose" / "prometheus.yml").read_text())
    (engine,) = (job for job in scraped["scrape_configs"] if "metrics_path" in job)
    assert engine["metrics_path"] == engine_metrics.PATH
    jobs = [job for job in scraped["scrape_configs"] if job != engine]
    asked = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert engine["static_configs"][0]["targets"] == asked["homeostat-replica"]
    alone = [role for role in ROLES if role not in UNMEASURED]
    assert asked == {f"homeostat-{role}": [f"{role}:{own_port(role, Config())[1]}"] for role in alone}
    assert scraped["rule_files"] == [RULES_FILE]


def test_every_name_that_is_asked_is_a_service_on_the_same_network() -> None:
    services = composed()["services"]
    for profile in ("cpu", "gpu"):
        known = {name for name, each in services.items() if profile in each.get("profiles", [profile])}
        for each in (services[name] for name in known):
            for network in each["networks"].values() if isinstance(each["networks"], dict) else ():
                known = known | set((network or {}).get("aliases", []))
        assert {*ROLES, "vllm", "kafka", "s3", "mlflow"} - APART <= known
    for name in ("vllm-cpu", "vllm-gpu"):
        assert list(services[name]["networks"]) == ["engine"], "only the side-car reaches an engine"
    reaching = [name for name, each in services.items() if "engine" in each["networks"]]
    assert reaching == ["vllm-cpu", "vllm-gpu", "replica"]


def test_the_side_car_attests_the_address_that_gateways_list() -> None:
    side_car, listed = configured("replica").replica, configured("gateway").replicas
    assert {side_car.name: side_car.address} == {name: each.url for name, each in listed.items()}


def test_every_secret_is_where_it_is_read_alone_and_made_by_the_script() -> None:
    table, script = composed(), (FOLDER / "compose" / "secrets.sh").read_text()
    read = {"gateway": ["signing", "mask", "keys"], "admin": ["signing", "mask", "keys"], "replica": ["replica"]}
    read |= {"trainer-cpu": ["mask"], "trainer-gpu": ["mask"]}  # datasets have the surrogates that gateways give
    assert {name: each["secrets"] for name, each in ours().items() if "secrets" in each} == read
    for name, secrets in read.items():
        assert all(f"/run/secrets/{secret}" in str(ours()[name]["environment"]) for secret in secrets)
    for each in table["secrets"].values():
        stem = Path(each["file"]).name
        assert stem in script
        assert each["file"].startswith("compose/secrets/")


@pytest.mark.parametrize(("name", "device"), [("vllm-cpu", "cpu"), ("vllm-gpu", "cuda")])
def test_clients_engine_is_as_the_one_that_candidates_are_judged_with(name: str, device: Device) -> None:
    """The same numbers, the same length of prompts, and room for both on one GPU."""
    stack = configured(name.replace("vllm", "trainer")).stack
    judging = EngineProcess(Path("/model"), 8000, device, stack).command()
    words = [each for pair in composed()["services"][name]["command"] for each in pair.split("=", 1)]
    assert words == [each.replace("127.0.0.1", "0.0.0.0") for each in judging[3:]]
    assert 2 * stack.gpu_memory_share <= 0.9
    version = re.search(r"^vllm==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert version is not None
    assert composed()["services"][name]["image"].endswith(f":v{version[1]}")


def test_volumes_are_named_and_each_role_has_its_own() -> None:
    table = composed()
    mounted = [
        volume.partition(":")[0]
        for each in table["services"].values()
        for volume in each.get("volumes", [])
        if not volume.startswith((".", "/"))
    ]
    assert set(mounted) == set(table["volumes"])
    for name, each in ours().items():
        kept = [v.partition(":")[0] for v in each.get("volumes", []) if v.endswith(":/var/lib/homeostat")]
        assert kept == ([role_of(each)] if role_of(each) else []), name


def test_the_page_builds_every_image_names_every_variable_and_makes_a_key(tmp_path: Path) -> None:
    page = (FOLDER.parent / "docs" / "installing.md").read_text().partition("### Compose")[2]
    (block,) = re.findall(r"```sh\n(.*?)```", page.partition("\n## ")[0], re.DOTALL)
    roles = re.search(r"for role in (.*);", block)
    assert roles is not None
    built = {f"homeostat-{role}" for role in roles[1].split()} | {"homeostat-trainer-cpu"}
    assert {each["image"] for each in ours().values()} == built
    assert "-t homeostat-trainer-cpu" in block
    needed = set(re.findall(r"\$\{(\w+):\?", (FOLDER / "compose.yaml").read_text())) - {"REPLICA_PUBLIC_KEY"}
    assert needed == set(re.findall(r"(\w+)=", re.findall(r"^export (.*?)#", block, re.MULTILINE)[0]))
    words = re.findall(r"homeostat-gateway (key .*?) >", block)[0].split()
    entry = CliRunner().invoke(main, words).output.split("\n", 2)[2]
    assert tomllib.loads(entry)["operator"]["scopes"] == ["admin", "feedback", "infer"]


def test_grafana_finds_what_export_writes(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path)) for path in export(tmp_path)}
    services = composed()["services"]
    for volume in (*services["grafana"]["volumes"], *services["prometheus"]["volumes"]):
        host, _, place = volume.partition(":")
        if host.startswith("./compose/exported/"):
            part = host.removeprefix("./compose/exported/")
            assert any(path == part or path.startswith(f"{part}/") for path in written), volume
            assert "dashboards/homeostat" not in place or place == f"{DASHBOARDS}:ro"
        elif host.startswith("."):
            assert (FOLDER / host).is_file()
    (source,) = yaml.safe_load((FOLDER / "compose" / "datasource.yaml").read_text())["datasources"]
    assert (source["uid"], source["url"]) == (DATASOURCE, "http://prometheus:9090")
