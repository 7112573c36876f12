"""Least privilege: what pods may do on their node, what accounts may ask the API server, who reaches whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy.kubernetes.rendered import COMPONENT, OVERLAYS, Json, Rendered, matches, named_secrets, rendered

pytestmark = pytest.mark.system

OPEN = "anywhere"  # an address outside the namespace
KAFKA, HTTPS, API, MLFLOW, TRACES, MINIO = 9092, 443, 6443, 5000, 4318, 9000
ROLES = ("gateway", "worker", "controller", "storage", "renderer", "admin", "trainer", "vllm")
REACHES = {  # role -> addresses outside that it may reach, by port
    "gateway": {KAFKA, HTTPS, TRACES},
    "worker": {KAFKA, HTTPS},
    "controller": {KAFKA, HTTPS, TRACES},
    "storage": {KAFKA, HTTPS},
    "renderer": {KAFKA, HTTPS},
    "admin": {KAFKA, HTTPS, MLFLOW},
    "vllm": {KAFKA, HTTPS},
    "trainer": {KAFKA, HTTPS, API, MLFLOW, TRACES},
    "retraining": {HTTPS, MLFLOW},
}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def test_pods_are_restricted(overlay: Rendered) -> None:
    for pod in overlay.pods():
        context = pod.spec["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 65532)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        assert all("hostPath" not in each for each in pod.spec["volumes"])
        for container in pod.containers:
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"]
            assert not held["allowPrivilegeEscalation"]
            assert held["capabilities"] == {"drop": ["ALL"]}


def test_the_namespace_refuses_others(overlay: Rendered) -> None:
    (namespace,) = overlay.of("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace", "homeostat") for each in overlay.objects} == {"homeostat"}


def test_each_role_has_an_account_and_the_trainer_alone_its_token(overlay: Rendered) -> None:
    accounts = {pod.role: pod.spec["serviceAccountName"] for pod in overlay.pods()}
    assert accounts == {role: role for role in (*ROLES, "retraining")}
    assert {each["metadata"]["name"] for each in overlay.of("ServiceAccount")} == set(accounts)
    assert not any(each["automountServiceAccountToken"] for each in overlay.of("ServiceAccount"))
    assert {pod.role for pod in overlay.pods() if pod.spec["automountServiceAccountToken"]} == {"trainer"}


def test_the_trainer_alone_has_rights_and_those_are_jobs(overlay: Rendered) -> None:
    assert overlay.of("ClusterRole", "ClusterRoleBinding") == []
    (role,), (binding,) = overlay.of("Role"), overlay.of("RoleBinding")
    assert [each["name"] for each in binding["subjects"]] == ["trainer"]
    assert role["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "patch", "delete"]},
        {
            "apiGroups": ["batch"],
            "resources": ["cronjobs"],
            "resourceNames": ["homeostat-retraining"],
            "verbs": ["get"],
        },
    ]


def allowed(overlay: Rendered, role: str, direction: str) -> Iterator[Json]:
    """The rules that hold for a role's pods."""
    labels = overlay.pod(role).labels
    for policy in overlay.of("NetworkPolicy"):
        spec = policy["spec"]
        if direction.capitalize() in spec["policyTypes"] and matches(spec["podSelector"], labels):
            yield from spec.get(direction, [])


def names_port(rule: Json, port: int, ports: dict[str, int]) -> bool:
    """Whether a rule is for this port; `ports`: the names that the target's pods give to theirs."""
    for each in rule["ports"]:
        first = ports.get(each["port"], 0) if isinstance(each["port"], str) else each["port"]
        if each["protocol"] == "TCP" and first <= port <= each.get("endPort", first):
            return True
    return False


def leaves(overlay: Rendered, source: str, target: str, port: int) -> bool:
    """Whether a role's pods may send to a port of another's pods, or of an address outside."""
    for rule in allowed(overlay, source, "egress"):
        peers = [each for each in rule.get("to", []) if "namespaceSelector" not in each and "podSelector" in each]
        inside = target != OPEN and any(matches(each["podSelector"], overlay.pod(target).labels) for each in peers)
        if ("to" not in rule or inside) and names_port(rule, port, {}):
            return True
    return False


def enters(overlay: Rendered, target: str, port: int, source: Json) -> bool:
    """Whether a port of a role's pods takes what comes from a peer: {"pod": labels} or {"namespace": labels}."""
    for rule in allowed(overlay, target, "ingress"):
        for peer in rule["from"]:
            here = "pod" in source and "namespaceSelector" not in peer and matches(peer["podSelector"], source["pod"])
            there = "namespace" in source and matches(peer.get("namespaceSelector", {"x": "y"}), source["namespace"])
            if (here or there) and names_port(rule, port, overlay.pod(target).ports()):
                return True
    return False


def test_nothing_is_open_by_itself(overlay: Rendered) -> None:
    nothing = overlay.one("NetworkPolicy", "nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_gateways_alone_reach_the_side_car(overlay: Rendered) -> None:
    for role in (*ROLES, "retraining"):
        labels = overlay.pod(role).labels
        both = leaves(overlay, role, "vllm", 8200) and enters(overlay, "vllm", 8200, {"pod": labels})
        assert both == (role == "gateway"), role
        assert not enters(overlay, "vllm", 8000, {"pod": labels}), "the engine's own port"


def test_clients_and_operators_reach_their_port_of_the_gateway(overlay: Rendered) -> None:
    clients, operators = {"homeostat/clients": "true"}, {"homeostat/operators": "true"}
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    reached = {
        (name, port): enters(overlay, "gateway", port, {"namespace": labels})
        for name, labels in (("clients", clients), ("operators", operators), ("monitoring", monitoring), ("others", {}))
        for port in (8080, 9101)
    }
    assert {each for each, holds in reached.items() if holds} == {
        ("clients", 8080),
        ("operators", 9101),
        ("monitoring", 9101),
    }


def test_operators_alone_reach_the_admin_api(overlay: Rendered) -> None:
    port = overlay.pod("admin").ports()["admin"]
    operators = {"homeostat/operators": "true"}
    assert enters(overlay, "admin", port, {"namespace": operators})
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    others: list[dict[str, str]] = [{}, {"homeostat/clients": "true"}, monitoring, {"homeostat/operators": ""}]
    assert not any(enters(overlay, "admin", port, {"namespace": labels}) for labels in others)
    assert not any(enters(overlay, "admin", port, {"pod": {**pod.labels, **operators}}) for pod in overlay.pods())


def test_secrets_are_where_they_are_used_alone(overlay: Rendered) -> None:
    """The keys of the environment, of buckets and of MLflow, and of brokers are each role's."""
    everyone = {"homeostat-storage", "homeostat-tracking", "homeostat-kafka"}
    found = {pod.role: set(named_secrets(pod.spec)) - everyone for pod in overlay.pods()}
    assert {role: names for role, names in found.items() if names} == {
        "gateway": {"homeostat-signing", "homeostat-keys"},
        "admin": {"homeostat-signing", "homeostat-keys", "homeostat-admin"},
        "vllm": {"homeostat-replica"},
        "retraining": {"homeostat-signing"},
    }
    (volume,) = (each for each in overlay.pod("retraining").spec["volumes"] if "homeostat-signing" in str(each))
    assert [each["key"] for each in volume["secret"]["items"]] == ["mask"]


def test_prometheus_reaches_every_role(overlay: Rendered) -> None:
    monitoring = {"namespace": {"kubernetes.io/metadata.name": "monitoring"}}
    for role in (role for role in ROLES if role != "admin"):  # it has no metrics
        assert enters(overlay, role, overlay.pod(role).ports()["metrics"], monitoring)


@pytest.mark.parametrize("role", REACHES)
def test_a_role_reaches_outside_what_it_needs(overlay: Rendered, role: str) -> None:
    asked = (KAFKA, HTTPS, API, MLFLOW, TRACES, MINIO, 22, 53, 80, 8000)
    own_bucket = {MINIO} if overlay.name == "minimal" and role != "gateway" else set()
    assert {port for port in asked if leaves(overlay, role, OPEN, port)} == REACHES[role] | own_bucket


@pytest.mark.parametrize("role", REACHES)
def test_each_address_of_the_settings_is_one_that_its_roles_reach(overlay: Rendered, role: str, tmp_path: Path) -> None:
    config = overlay.config(role if role != "retraining" else "trainer", tmp_path)
    addresses = [] if role == "gateway" else [config.storage.options.get("endpoint", "https://s3")]
    addresses += [config.tracking.uri] if role in ("trainer", "retraining", "admin") else []
    addresses += [f"kafka://{each}" for each in config.kafka.bootstrap.split(",")] if role != "retraining" else []
    for address in addresses:
        parts = urlsplit(address)
        assert leaves(overlay, role, OPEN, parts.port or {"http": 80, "https": 443}[parts.scheme]), address


def test_names_are_asked_where_clusters_answer_them(overlay: Rendered) -> None:
    """Pods of the cluster's DNS, the node itself, and on GKE, with Cloud DNS, the metadata server."""
    answering = [{"k8s-app": "kube-dns"}, {"k8s-app": "node-local-dns"}]
    for role in (*ROLES, "retraining"):
        peers = [
            peer
            for rule in allowed(overlay, role, "egress")
            for peer in rule.get("to", [])
            if {(each["protocol"], each["port"]) for each in rule["ports"]} >= {("UDP", 53), ("TCP", 53)}
        ]
        pods = [peer["podSelector"] for peer in peers if "podSelector" in peer]
        assert all(any(matches(each, labels) for each in pods) for labels in answering)
        nodes = {"169.254.20.10/32"} | (
            {"169.254.169.252/32", "169.254.169.254/32"} if overlay.name == "gke" else set()
        )
        assert {peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer} == nodes


def test_policies_name_components_that_there_are(overlay: Rendered) -> None:
    components = {pod.role for pod in overlay.pods()}
    for policy in overlay.of("NetworkPolicy"):
        for each in policy["spec"]["podSelector"].get("matchExpressions", []):
            assert each["key"] == COMPONENT
            assert set(each["values"]) <= components
