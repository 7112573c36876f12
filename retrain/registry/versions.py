"""What MLflow is to show: each adapter version that the log names, and the aliases that the routes give; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.events import RetrainReported, RouteWritten
from streams.identity import version_name
from streams.routes import effective, in_force

ROLES = ("champion", "challenger", "previous")  # aliases of model versions in MLflow


class KnownVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter version, with what its model version in MLflow is tagged with."""

    alias: str
    version: str
    digest: str
    dataset: str = ""
    request: str = ""
    run: str = ""


class MirrorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a mirror is to make of MLflow's model versions."""

    versions: list[KnownVersion]  # in the order in which the log first named them
    roles: dict[str, dict[str, str]]  # alias -> role -> version; a role that is not there is nobody's
    approvals: bool = False  # whether an alias that a person sets counts
    store: str = ""  # folder of the local store, where no address is set


def ordered(
    routes: Iterable[RouteWritten], results: Iterable[RetrainReported], *, approvals: bool = False, store: str = ""
) -> MirrorOrder:
    """Return the order for all routes and results of the log, each in its order."""
    written, reported = list(effective(routes)), list(results)
    made = {(each.alias, each.digest): each for each in reversed(reported) if each.digest}
    named = [(each.time_ms, each.alias, digest) for each in written for digest in sorted(each.adapters.values())]
    named += [(each.time_ms, each.alias, each.digest) for each in reported if each.digest]
    order = dict.fromkeys((alias, digest) for _, alias, digest in sorted(named, key=lambda each: each[0]))
    versions = [_known(alias, digest, made.get((alias, digest))) for alias, digest in order]
    roles = {alias: roles_of(route) for alias, route in in_force(written).items()}
    return MirrorOrder(versions=versions, roles=roles, approvals=approvals, store=store)


def _known(alias: str, digest: str, made: RetrainReported | None) -> KnownVersion:
    return KnownVersion(
        alias=alias,
        version=version_name(alias, digest),
        digest=digest,
        dataset=(made and made.dataset_digest) or "",
        request=made.request_id if made else "",
        run=(made and made.mlflow_run) or "",
    )


def roles_of(route: RouteWritten) -> dict[str, str]:
    """Return the version of each role; a shadow is the challenger while there is no canary.

    >>> route = RouteWritten(alias="a", generation=2, champion="a-1", adapters={}, time_ms=0, by="me", shadow="a-2")
    >>> roles_of(route)
    {'champion': 'a-1', 'challenger': 'a-2'}
    """
    named = (route.champion, route.canary or route.shadow, route.previous)
    return {role: version for role, version in zip(ROLES, named, strict=True) if version}
