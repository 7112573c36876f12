"""`homeostat run ROLE`: one process of the stack. Each role's module is imported only where it runs."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.config.settings import Config
from deploy.roles.names import ROLES
from deploy.roles.process import instance
from streams.files import UMASK, private_folder
from streams.telemetry.logs import set_up_logs


def run(role: str, config: Config, config_path: Path | None = None, name: str = "") -> None:
    """Run the role until SIGTERM or SIGINT. `name` distinguishes processes of one role. Raise LookupError for a role
    that does not exist."""
    if role in ("gateway", "shipper") and (name or "gateway") not in (known := config.stack.gateways()):
        raise LookupError(
            f"--name is {name!r}, expected one of {', '.join(known)}: stack.more_gateway_admin_ports has one for each"
        )
    set_up_logs(config.logs.format, role, instance(name))
    os.umask(UMASK)
    private_folder(config.stack.var)
    match role:
        case "gateway":
            from deploy.roles.gateway import gateway

            gateway(config, config_path, name or role)
        case "shipper":
            from deploy.roles.shipper import shipper

            shipper(config, name or "gateway")
        case "worker":
            from deploy.roles.worker import worker

            worker(config)
        case "renderer":
            from deploy.roles.renderer import renderer

            renderer(config)
        case "controller":
            from deploy.roles.controller import controller

            controller(config)
        case "trainer":
            from deploy.roles.trainer import trainer

            trainer(config)
        case "storage":
            from deploy.roles.storage import storage

            storage(config)
        case "replica":
            from deploy.roles.replica import replica

            replica(config)
        case "admin":
            from deploy.roles.admin import admin

            admin(config, config_path)
        case _:
            raise LookupError(f"role is {role!r}, expected one of {', '.join(ROLES)}")
