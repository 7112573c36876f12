"""Whether a role of this machine lives: for the health checks of containers, which have no curl."""

from __future__ import annotations

from deploy.doctor.services import Examined
from deploy.stack.engine import answers_ok


def own_port(role: str, config: Examined) -> tuple[str, int]:
    """Return the port at which a role answers probes, with its key in the configuration."""
    if role == "replica":
        return "replica.metrics_port", config.replica.metrics_port
    key = {"gateway": "gateway_admin_port", "admin": "admin_port"}.get(role, f"{role}_metrics_port")
    return f"stack.{key}", int(getattr(config.stack, key))


def alive(role: str, config: Examined, timeout_s: float = 5.0) -> bool:
    """Ask the role's /healthz, by https where it serves that."""
    _, port = own_port(role, config)
    scheme = "https" if role == "admin" and config.admin.tls_cert is not None else "http"
    return answers_ok(f"{scheme}://{config.stack.here()}:{port}/healthz", timeout_s)
