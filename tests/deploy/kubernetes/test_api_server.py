"""The overlays on a real API server: every object is taken as it stands, pods keep `restricted`, accounts may do what
is documented and nothing else."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.deploy.kubernetes.rendered import OVERLAYS, Json, rendered
from tests.support.api_server import ApiServer, api_server
from tests.support.operators import KEDA, definitions, source

__all__ = ["api_server"]  # a fixture
pytestmark = [pytest.mark.system, pytest.mark.k8s]
ACCOUNTS = ("gateway", "worker", "controller", "storage", "renderer", "admin", "vllm", "retraining", "trainer")
TRAINER = {
    *((verb, "jobs.batch") for verb in ("create", "get", "patch", "delete")),
    ("get", "cronjobs.batch:homeostat-retraining"),
}
ASKED = [
    *TRAINER,
    *((verb, "jobs.batch") for verb in ("list", "watch", "update", "deletecollection")),
    *((verb, "secrets") for verb in ("get", "list", "create", "delete")),
    *((verb, "pods") for verb in ("get", "list", "create", "delete")),
    *(("create", f"pods/{name}") for name in ("exec", "portforward")),
    ("get", "pods/log"),
    ("get", "configmaps"),
    ("get", "cronjobs.batch"),
    ("get", "cronjobs.batch:another"),
    ("patch", "cronjobs.batch:homeostat-retraining"),
    ("patch", "deployments.apps"),
    ("create", "serviceaccounts/token"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("impersonate", "serviceaccounts"),
]


@pytest.fixture
def server(known: ApiServer) -> ApiServer:
    """Without what one overlay leaves and another may not change; no controller ends a claim that waits for one."""
    here = ("-n", "homeostat")
    known.kubectl("delete", "statefulsets,pvc", "--all", *here, "--cascade=background", "--wait=false")
    for name in known.kubectl("get", "pvc", *here, "-o", "name").split():
        if name.startswith("persistentvolumeclaim/"):
            known.kubectl("patch", name, *here, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    return known


@pytest.fixture(scope="module")
def known(api_server: ApiServer) -> ApiServer:
    """With the kinds of the three operators that the components use, as their releases define them."""
    for path in definitions():
        api_server.kubectl("apply", "--server-side", "-f", str(path))
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return api_server


def apply(server: ApiServer, overlay: str, *options: str) -> str:
    text = yaml.safe_dump_all(rendered(overlay).objects)
    return server.kubectl("apply", "--server-side", "--force-conflicts", *options, "-f", "-", text=text)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_taken_and_no_field_is_unknown(server: ApiServer, overlay: str) -> None:
    printed = apply(server, overlay, "--validate=strict")
    assert len(printed.splitlines()) == len(rendered(overlay).objects)
    assert "Warning" not in printed, "PodSecurity warns of what it would refuse"
    assert apply(server, overlay, "--validate=strict") == printed, "applied twice it is the same"


@pytest.mark.parametrize(("overlay", "kind"), [("eks", "apache-kafka"), ("gke", "kafka")])
def test_keda_reads_each_name_of_the_trigger(overlay: str, kind: str) -> None:
    """Its own definition takes any name there, and Kubernetes' API server with it."""
    scaler = (source(KEDA) / f"pkg/scalers/{kind.replace('-', '_')}_scaler.go").read_text()
    known = set(re.findall(r'keda:"name=(\w+), *order=[^"]*triggerMetadata', scaler))
    (trigger,) = rendered(overlay).one("ScaledObject", "worker")["spec"]["triggers"]
    assert trigger["type"] == kind
    assert {name.removesuffix("FromEnv") for name in trigger["metadata"]} <= known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_of_every_template_keep_restricted(server: ApiServer, overlay: str) -> None:
    apply(server, overlay)
    made = []
    for pod in rendered(overlay).pods():
        claims = [{"name": name, "emptyDir": {}} for name in pod.claims]
        spec = {**pod.spec, "volumes": [*pod.spec["volumes"], *claims]}
        labels = {key: value for key, value in pod.labels.items() if key != "app.kubernetes.io/part-of"}
        made.append(one(f"try-{pod.role}", spec, labels))
    printed = server.kubectl("create", "--dry-run=server", "-f", "-", text=yaml.safe_dump_all(made))
    assert printed.count("created (server dry run)") == len(made)


def test_a_pod_that_may_more_is_refused(server: ApiServer) -> None:
    apply(server, "minimal")
    pod = rendered("minimal").pod("worker")
    container = {**pod.own, "securityContext": {**pod.own["securityContext"], "allowPrivilegeEscalation": True}}
    made = one("more", {**pod.spec, "containers": [container]}, {})
    printed = server.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(made), good=False)
    assert 'violates PodSecurity "restricted:latest"' in printed


def one(name: str, spec: Json, labels: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "homeostat", "labels": dict(labels)},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def accounts(known: ApiServer) -> ApiServer:
    """With the accounts and their rights."""
    made = rendered("minimal").of("Namespace", "ServiceAccount", "Role", "RoleBinding")
    known.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(made))
    return known


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_may_do_what_is_documented_and_nothing_else(accounts: ApiServer, account: str) -> None:
    assert accounts.may(account, ASKED) == (TRAINER if account == "trainer" else set())
    assert not accounts.may(account, [(verb, "jobs.batch") for verb in ("create", "get", "delete")], "default")
