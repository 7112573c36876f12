"""A real Kubernetes API server with its etcd, on free ports of this machine: `make test-k8s` builds it. No kubelet and
no controllers: what is applied is checked and stored."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.stack import ports

ROOT = Path(__file__).parents[2]
BINARY = "HOMEOSTAT_APISERVER"  # variable: where the binary is, if elsewhere
BUILT = ROOT / "var" / "apiserver" / "kube-apiserver"
TOKEN = "administrator"
START_S = 300.0
Json = dict[str, Any]
Asked = tuple[str, str]  # verb, resource


@dataclass(frozen=True)
class ApiServer:
    """A running one."""

    url: str
    kubeconfig: Path

    def kubectl(self, *arguments: str, text: str = "", good: bool = True) -> str:
        """Run kubectl as the administrator; return what it prints, errors too. `good`: it must succeed."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is good, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def may(self, account: str, asked: Iterable[Asked], namespace: str = "homeostat") -> set[Asked]:
        """What of this an account of the namespace homeostat may do, as `kubectl auth can-i` asks it, all at once."""
        wanted = list(asked)
        items = [_review(verb, resource, namespace) for verb, resource in wanted]
        user = f"--as=system:serviceaccount:homeostat:{account}"
        printed = self.kubectl(
            *("create", user, "-f", "-", "-o", "jsonpath={.status.allowed}{'\\n'}"),
            text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
        )
        answers = printed.split()
        assert len(answers) == len(wanted), printed
        return {each for each, answer in zip(wanted, answers, strict=True) if answer == "true"}


def _review(verb: str, resource: str, namespace: str) -> Json:
    """The question whether one may; `resource`: `NAME[.GROUP][/SUBRESOURCE]`, after a colon the object's own name."""
    kind, _, name = resource.partition(":")
    kind, _, part = kind.partition("/")
    plural, _, group = kind.partition(".")
    asked = {"verb": verb, "resource": plural, "group": group, "subresource": part, "name": name}
    spec = {"resourceAttributes": {**asked, "namespace": namespace}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}


def missing() -> str:
    """Return what a real API server lacks on this machine; empty where nothing."""
    binary = Path(os.environ.get(BINARY, BUILT))
    if not binary.exists():
        return f"no API server at {binary}: `make test-k8s` builds it (Go; 4 to 14 minutes)"
    for program in ("etcd", "kubectl"):
        if shutil.which(program) is None:
            return f"{program} is missing (on Debian: apt install etcd-server kubernetes-client)"
    return ""


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """The one of the session."""
    if why := missing():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="homeostat-k8s-") as folder, serving(Path(folder)) as server:
        yield server


@contextmanager
def serving(folder: Path) -> Iterator[ApiServer]:
    """Run etcd and the API server while entered."""
    clients, peers, port = ports.free(3)
    store = f"http://127.0.0.1:{clients}"
    etcd = ["etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "error"]
    etcd += ["--listen-client-urls", store, "--advertise-client-urls", store]
    etcd += [
        "--listen-peer-urls",
        f"http://127.0.0.1:{peers}",
        "--initial-advertise-peer-urls",
        f"http://127.0.0.1:{peers}",
    ]
    etcd += ["--initial-cluster", f"default=http://127.0.0.1:{peers}"]
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{TOKEN},administrator,administrator,"system:masters"\n')
    server = [os.environ.get(BINARY, str(BUILT)), "--etcd-servers", store, "--secure-port", str(port)]
    server += ["--bind-address", "127.0.0.1", "--cert-dir", str(folder / "certificates")]
    server += ["--token-auth-file", str(folder / "tokens.csv"), "--authorization-mode", "RBAC"]
    server += ["--service-account-issuer", "https://kubernetes.default.svc"]
    server += ["--service-account-key-file", str(key), "--service-account-signing-key-file", str(key)]
    server += ["--service-cluster-ip-range", "10.96.0.0/16"]
    with _process(etcd, folder / "etcd.log"), _process(server, folder / "server.log") as process:
        url = f"https://127.0.0.1:{port}"
        _wait_ready(url, process, folder / "server.log")
        yield ApiServer(url, _kubeconfig(url, TOKEN, folder / "kubeconfig"))


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    trusting = ssl._create_unverified_context()  # its certificate is made at its start
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-4_000:]
        try:
            with urllib.request.urlopen(request, timeout=2, context=trusting):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the API server was not ready within {START_S:g} s: {log.read_text()[-4_000:]}")


def _kubeconfig(url: str, token: str, path: Path) -> Path:
    cluster = {"name": "here", "cluster": {"server": url, "insecure-skip-tls-verify": True}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "one", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "one"}}],
        "current-context": "here",
    }
    path.write_text(json.dumps(config))
    return path
