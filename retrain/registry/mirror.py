"""MLflow's model versions made equal to the routes. Done again it changes nothing; killed anywhere it goes on.

A model has the alias's name, each adapter one version of it, found by its tag `digest`. Two mirrors may register the
same adapter at once: the lower number stays. Before an alias is moved, its old and its new place are noted in a tag of
the model, so that a kill's half is not taken for a person's doing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from retrain.registry.approvals import APPROVED, WHO, RegistryApproval, approval, moved
from retrain.registry.versions import ROLES, KnownVersion, MirrorOrder
from retrain.training.tracking import shown
from streams.identity import adapter_key

log = structlog.get_logger()

NOTE = "homeostat.roles"  # tag of the model: role -> numbers that the mirror sets or found


def mirrored(client: Any, order: MirrorOrder) -> list[RegistryApproval]:
    """Register what lacks, move the aliases, and return the approvals that people gave. Raises whatever MLflow does."""
    found = list[RegistryApproval]()
    by_alias: dict[str, list[KnownVersion]] = {}
    for each in order.versions:
        by_alias.setdefault(each.alias, []).append(each)
    for alias, versions in by_alias.items():
        _model(client, alias)
        numbers = _registered(client, alias, versions)
        model = client.get_registered_model(alias)
        aliases = {role: str(number) for role, number in model.aliases.items()}
        noted = json.loads(model.tags.get(NOTE, "{}"))
        if order.approvals:
            _keep_approval(client, alias, moved(noted, aliases, ROLES[0]))
        wanted = {role: numbers[version] for role, version in order.roles.get(alias, {}).items() if version in numbers}
        _move(client, alias, noted, aliases, wanted)
        if order.approvals:
            found += _approvals(client, alias)
    return found


def _model(client: Any, alias: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(alias)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(alias)
        except MlflowException as raced:  # another mirror was quicker
            if raced.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _registered(client: Any, alias: str, versions: list[KnownVersion]) -> dict[str, str]:
    """Return the number of each version, once each is registered and tagged."""
    known, made = _numbers(client, alias), dict[str, str]()
    for each in versions:
        if each.digest not in known:
            made[each.digest] = _register(client, each)
    if made:
        known = _numbers(client, alias)
        for digest, number in made.items():
            if known.get(digest, number) != number:  # another mirror's has the lower number
                client.delete_model_version(alias, number)
    return {each.version: known[each.digest] for each in versions if each.digest in known}


def _numbers(client: Any, alias: str) -> dict[str, str]:
    """Return the number of each digest, the lowest where there are several."""
    found: dict[str, str] = {}
    for each in sorted(_listed(client, alias), key=lambda each: int(each.version)):
        if digest := each.tags.get("digest"):
            found.setdefault(digest, str(each.version))
    return found


def _listed(client: Any, alias: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{alias}'", page_token=token)
        yield from page
        if not (token := page.token):
            return


def _register(client: Any, each: KnownVersion) -> str:
    """Register the adapter as its run's artifact; where that run is not in this MLflow, by its key in the store."""
    from mlflow.exceptions import MlflowException

    about = {"version": each.version, "digest": each.digest, "dataset": each.dataset}
    tags = {name: value for name, value in {**about, "request": each.request, "run": each.run}.items() if value}
    if each.run:
        try:
            source = f"runs:/{each.run}/adapter"
            made = client.create_model_version(each.alias, source, run_id=each.run, tags=tags)
            return str(made.version)
        except MlflowException as error:
            log.warning("MLflow knows no such run", version=each.version, run=each.run, error=shown(error))
    key = f"homeostat:/{adapter_key(each.alias, each.digest)}"
    return str(client.create_model_version(each.alias, key, tags=tags).version)


def _keep_approval(client: Any, alias: str, number: str) -> None:
    """Keep a person's move of the champion as the alias that approves, before the routes' champion is put back."""
    if number:
        client.set_registered_model_alias(alias, APPROVED, number)


def _move(
    client: Any, alias: str, noted: Mapping[str, list[str]], found: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Move the roles to where they are wanted, with a note before and after."""
    after = {role: [wanted.get(role, "")] for role in ROLES}
    changes = [role for role in ROLES if found.get(role, "") != wanted.get(role, "")]
    for role in changes:
        if number := moved(noted, found, role):
            log.warning("an alias was moved in MLflow; the routes decide", alias=alias, role=role, number=number)
    if changes:
        before = {role: sorted({found.get(role, ""), *after[role]}) for role in ROLES}
        client.set_registered_model_tag(alias, NOTE, json.dumps(before))
    for role in changes:
        if role in wanted:
            client.set_registered_model_alias(alias, role, wanted[role])
        else:
            client.delete_registered_model_alias(alias, role)
    if dict(noted) != after:
        client.set_registered_model_tag(alias, NOTE, json.dumps(after))


def _approvals(client: Any, alias: str) -> Iterator[RegistryApproval]:
    number = client.get_registered_model(alias).aliases.get(APPROVED)
    if number is None:
        return
    tags = client.get_model_version(alias, str(number)).tags
    given = approval(tags, alias)
    if isinstance(given, str):
        log.warning("an approval in MLflow does not count", alias=alias, why=given, tag=WHO[0])
    else:
        yield given
