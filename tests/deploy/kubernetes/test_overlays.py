"""Each overlay fits together, and fits the settings: selectors, ports, variables, files, secrets, limits."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dashboards import fleet, pages
from dashboards.export import LOOKED_FOR
from deploy.roles import run
from deploy.roles.trainer import engine_order
from serving.sidecar import engine_metrics
from tests.deploy.kubernetes.rendered import FOLDER, OVERLAYS, Json, Rendered, matches, named_secrets, rendered

pytestmark = pytest.mark.system

ROLES = ("gateway", "worker", "controller", "storage", "renderer", "admin", "trainer", "vllm")
MODULES = {"vllm": "replica"}  # the role whose process stands in those pods
INSTALLING = FOLDER.parents[1] / "docs" / "installing.md"


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def test_every_role_has_its_pods(overlay: Rendered) -> None:
    assert {each.role for each in overlay.pods()} == {*ROLES, "retraining"}
    for role in ROLES:
        name = MODULES.get(role, role)
        assert overlay.pod(role).own["args"] == ["run", name]
        assert (Path(run.__file__).parent / f"{name}.py").exists()


def test_every_selector_finds_pods(overlay: Rendered) -> None:
    pods = overlay.pods()
    for each in overlay.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = each["spec"]
        selector = spec["podSelector"] if each["kind"] == "NetworkPolicy" else spec["selector"]
        assert any(matches(selector, pod.labels) for pod in pods), each["metadata"]["name"]
    for each in overlay.of("Deployment", "StatefulSet"):
        assert matches(each["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"])


def test_every_role_may_be_disrupted_one_pod_at_a_time(overlay: Rendered) -> None:
    budgets = overlay.of("PodDisruptionBudget")
    for role in ROLES:
        (budget,) = (each for each in budgets if matches(each["spec"]["selector"], overlay.pod(role).labels))
        assert budget["spec"]["maxUnavailable"] == 1, "with one replica minAvailable would keep a node from its drain"
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "pods that wait for Kafka would, too"


def test_pods_have_the_time_to_end_that_the_page_asks_for(overlay: Rendered) -> None:
    (seconds,) = re.findall(r"Allow (\d+) seconds", INSTALLING.read_text())
    assert all(overlay.pod(role).spec["terminationGracePeriodSeconds"] >= int(seconds) for role in ROLES)


def test_workers_of_two_settings_never_work_together_and_one_pages_maker_is_enough(overlay: Rendered) -> None:
    for role in ("worker", "storage", "renderer"):
        assert overlay.one("Deployment", role)["spec"]["strategy"] == {"type": "Recreate"}


def test_services_lead_to_ports_that_pods_have(overlay: Rendered) -> None:
    for service in overlay.of("Service"):
        for pod in (each for each in overlay.pods() if matches(service["spec"]["selector"], each.labels)):
            ports = pod.ports()
            assert all(port["targetPort"] in ports for port in service["spec"]["ports"]), service["metadata"]["name"]
            headless = service["spec"].get("clusterIP") == "None"
            same = [port["port"] == ports[port["targetPort"]] for port in service["spec"]["ports"]]
            assert not headless or all(same), "a headless Service translates no port"


def test_a_statefulset_has_its_headless_service(overlay: Rendered) -> None:
    for each in overlay.of("StatefulSet"):
        service = overlay.one("Service", each["spec"]["serviceName"])
        assert service["spec"]["clusterIP"] == "None"
        assert matches(service["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"])


def test_ports_are_those_of_the_settings(overlay: Rendered, tmp_path: Path) -> None:
    for role in ROLES:
        config, ports = overlay.config(role, tmp_path), overlay.pod(role).ports()
        stack = config.stack
        wanted = {
            "gateway": {"http": stack.gateway_port, "metrics": stack.gateway_admin_port},
            "worker": {"metrics": stack.worker_metrics_port},
            "controller": {"metrics": stack.controller_metrics_port},
            "storage": {"metrics": stack.storage_metrics_port},
            "renderer": {"metrics": stack.renderer_metrics_port},
            "admin": {"admin": stack.admin_port},
            "trainer": {"metrics": stack.trainer_metrics_port},
        }
        if role in wanted:
            assert ports == wanted[role]
        else:
            assert ports == {"replica": config.replica.port, "metrics": config.replica.metrics_port}


def test_what_listens_is_reached_from_outside_its_pod(overlay: Rendered, tmp_path: Path) -> None:
    config = overlay.config("vllm", tmp_path)
    assert (config.stack.bind, config.gateway.host, config.replica.host) == ("0.0.0.0",) * 3


def test_every_variable_is_a_setting_and_every_value_holds(overlay: Rendered, tmp_path: Path) -> None:
    """`load` refuses unknown keys and wrong values."""
    for role in ROLES:
        config = overlay.config(role, tmp_path)
        assert not config.stack.embedded_kafka
        assert config.storage.url
        assert config.retrain.runner == "kubernetes"
        assert overlay.pod(role).own["command"] == ["homeostat"]


def test_nothing_acts_until_somebody_wants_it(overlay: Rendered, tmp_path: Path) -> None:
    assert overlay.config("worker", tmp_path).policy.mode == "observe"


def test_a_variable_names_those_before_it(overlay: Rendered) -> None:
    for pod in overlay.pods():
        for container in pod.containers:
            known: set[str] = set()
            for each in container.get("env", []):
                assert set(re.findall(r"\$\((\w+)\)", each.get("value", ""))) <= known
                known.add(each["name"])


def test_files_of_the_settings_are_mounted(overlay: Rendered, tmp_path: Path) -> None:
    config = overlay.config("gateway", tmp_path)
    secrets = [*config.secrets.signing_key_files, config.secrets.mask_key_file]
    wanted = {
        "gateway": [config.gateway.keys_file, *secrets],
        "vllm": [config.replica.key_file, config.stack.model],
        "trainer": [config.stack.model],
        "admin": [config.stack.model, config.gateway.keys_file, *secrets, config.admin.tls_cert, config.admin.tls_key],
    }
    mask = config.retrain.pii.mask_key_file
    assert mask is not None
    places = {each["name"]: each["mountPath"] for each in overlay.pod("retraining").own["volumeMounts"]}
    (volume,) = (each for each in overlay.pod("retraining").spec["volumes"] if each["name"] == "mask")
    assert f"{places['mask']}/{volume['secret']['items'][0]['path']}" == str(mask), "datasets are masked in the job"
    for role, given in wanted.items():
        paths = [path for path in given if path is not None]
        mounted = {each["mountPath"] for each in overlay.pod(role).own["volumeMounts"]}
        assert str(config.stack.var) in mounted
        for path in paths:
            assert {str(path), str(path.parent)} & mounted, f"{role}: {path}"


def test_mounts_name_volumes_and_volumes_are_mounted(overlay: Rendered) -> None:
    for pod in overlay.pods():
        mounted = {each["name"] for container in pod.containers for each in container["volumeMounts"]}
        assert mounted == pod.volumes, pod.name


def test_a_gateway_keeps_its_journal_when_its_pod_moves(overlay: Rendered) -> None:
    pod = overlay.pod("gateway")
    (var,) = (each for each in pod.own["volumeMounts"] if each["mountPath"] == "/var/lib/homeostat")
    assert pod.kind == "StatefulSet"
    assert var["name"] in pod.claims


def test_pods_start_again_when_their_settings_change(overlay: Rendered) -> None:
    """The names of ConfigMaps have the hash of what is in them."""
    for pod in (each for each in overlay.pods() if each.role != "retraining"):
        used = [source["configMapRef"]["name"] for source in pod.own["envFrom"] if "configMapRef" in source]
        used += [volume["configMap"]["name"] for volume in pod.spec["volumes"] if "configMap" in volume]
        assert [re.sub(r"-[a-z0-9]{10}$", "", name) for name in used] == ["homeostat-site", "homeostat-config"]
        assert {each["metadata"]["name"] for each in overlay.of("ConfigMap")} >= set(used)


def test_what_is_fetched_has_room_in_its_volume(overlay: Rendered, tmp_path: Path) -> None:
    """A pod is evicted whose volume outgrows its limit, or whose volumes together outgrow the containers' limits."""
    for pod in overlay.pods():
        on_disk = {
            each["name"]: gibibytes(each["emptyDir"]["sizeLimit"])
            for each in pod.spec["volumes"]
            if "emptyDir" in each and each["emptyDir"].get("medium") != "Memory"
        }
        limits = [gibibytes(each["resources"]["limits"]["ephemeral-storage"]) for each in pod.containers]
        if "var" in on_disk:
            assert sum(limits) > sum(on_disk.values()), pod.name
    for role in ("controller", "admin", "trainer", "vllm"):  # they keep a cache of adapters
        (var,) = (each for each in overlay.pod(role).spec["volumes"] if each["name"] == "var")
        room = gibibytes(var["emptyDir"]["sizeLimit"]) * 2**30
        assert overlay.config(role, tmp_path).storage.cache_gb * 1e9 < 0.9 * room, role


def test_calls_of_the_admin_api_have_room_for_their_files(overlay: Rendered, tmp_path: Path) -> None:
    settings = overlay.config("admin", tmp_path).admin
    (tmp,) = (each for each in overlay.pod("admin").spec["volumes"] if each["name"] == "tmp")
    assert settings.at_once * settings.upload_bytes < 0.9 * gibibytes(tmp["emptyDir"]["sizeLimit"]) * 2**30


def test_probes_ask_a_port_of_the_pod_as_it_answers(overlay: Rendered, tmp_path: Path) -> None:
    for role in ROLES:
        pod, encrypted = overlay.pod(role), role == "admin"
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = pod.own[name]["httpGet"]
            assert (asked["port"] in pod.ports(), asked.get("scheme") == "HTTPS") == (True, encrypted), role
            assert asked["path"] == ("/readyz" if name == "readinessProbe" else "/healthz")
    assert overlay.config("admin", tmp_path).admin.tls_cert is not None


def test_a_role_whose_settings_bring_no_base_model_has_none(overlay: Rendered, tmp_path: Path) -> None:
    """A controller reads it for engines that it looks after itself: here the side-cars do."""
    mounted = {pod.role for pod in overlay.pods() if "model" in pod.volumes}
    assert mounted == {"trainer", "retraining", "vllm", "admin"}
    assert overlay.config("controller", tmp_path).replicas


def gibibytes(amount: str) -> float:
    return float(amount.removesuffix("Gi")) if amount.endswith("Gi") else float(amount.removesuffix("Mi")) / 1024


def test_a_trainer_without_a_gpu_orders_an_engine_with_one(overlay: Rendered, tmp_path: Path) -> None:
    """Its jobs have the GPU, in pods of their own."""
    config = overlay.config("trainer", tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text("{}")
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    order = engine_order(replace(config, stack=replace(config.stack, model=model)))
    assert order is not None
    assert (order.on_gpu, order.always) == (True, True)
    assert order.command[order.command.index("--max-model-len") + 1] == str(config.stack.max_model_len)
    assert "nvidia.com/gpu" in overlay.pod("retraining").own["resources"]["limits"]
    assert "nvidia.com/gpu" not in overlay.pod("trainer").own["resources"]["limits"]


def test_every_secret_is_documented(overlay: Rendered) -> None:
    text = INSTALLING.read_text()
    names = {name for each in overlay.objects for name in named_secrets(each)}
    assert names
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    assert overlay.of("Secret") == [], "secrets are made by their owners, and named here"


def test_every_container_has_requests_limits_and_an_image_of_a_version(overlay: Rendered) -> None:
    for pod in overlay.pods():
        for container in pod.containers:
            resources = container["resources"]
            assert {"cpu", "memory", "ephemeral-storage"} <= resources["requests"].keys() & resources["limits"].keys()
            name, _, tag = container["image"].rpartition(":")
            assert "/" in name, f"{container['image']}: the overlay names a registry"
            assert tag not in ("", "latest")


def test_prometheus_knows_every_role_by_the_name_that_rules_have(overlay: Rendered) -> None:
    from dashboards.rules.processes import JOBS

    jobs = {each["metadata"]["labels"].get("homeostat/job") for each in overlay.of("Service")} - {None}
    assert {f"homeostat-{job}" for job in JOBS} <= jobs
    for monitor in overlay.of("ServiceMonitor"):
        (asked,) = monitor["spec"]["endpoints"]
        found = [
            each for each in overlay.of("Service") if matches(monitor["spec"]["selector"], each["metadata"]["labels"])
        ]
        assert all(asked["port"] in {port["name"] for port in each["spec"]["ports"]} for each in found)
        if asked["path"] == engine_metrics.PATH:
            assert [each["metadata"]["name"] for each in found] == ["vllm-metrics"]
        else:
            assert {each["metadata"]["labels"][monitor["spec"]["jobLabel"]] for each in found} == jobs


def test_grafana_finds_the_dashboards_and_the_pages_that_alerts_link_to(overlay: Rendered) -> None:
    found = [each for each in overlay.of("ConfigMap") if LOOKED_FOR in each["metadata"].get("labels", {})]
    dashboards = [json.loads(text) for each in found for text in each["data"].values()]
    rules = overlay.of("PrometheusRule")
    assert [each["uid"] for each in dashboards] == [fleet.UID, pages.UID][: 2 * len(rules)]
    shown = {f"/d/{each['uid']}?viewPanel={panel['id']}" for each in dashboards for panel in each["panels"]}
    for rule in (rule for each in rules for group in each["spec"]["groups"] for rule in group["rules"]):
        assert rule["annotations"]["runbook_url"].partition("/d/")[2].join(("/d/", "")) in shown


def test_clouds_have_volumes_accounts_and_nodes_of_their_own() -> None:
    for name, annotation in (("eks", "eks.amazonaws.com/role-arn"), ("gke", "iam.gke.io/gcp-service-account")):
        each = rendered(name)
        assert all(annotation in account["metadata"]["annotations"] for account in each.of("ServiceAccount"))
        claims: list[Json] = each.one("StatefulSet", "gateway")["spec"]["volumeClaimTemplates"]
        assert claims[0]["spec"]["storageClassName"]
        assert each.one("PersistentVolumeClaim", "homeostat-model")["spec"]["storageClassName"]
        assert all(each.pod(role).spec["nodeSelector"] for role in ("vllm", "retraining"))
