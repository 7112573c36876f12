"""Brings a Grafana to what the code says: folder, dashboard, alert rules. A second push changes nothing."""

from __future__ import annotations

from typing import Any

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards import alerts, fleet
from dashboards.panels import Json

FOLDER_TITLE = "Homeostat"
NOT_FOUND = 404


class PushFailed(RuntimeError):
    """Grafana did not take it; the message says what it answered and what to do."""


def push(url: str, token: str, *, datasource: str | None = None, timeout_s: float = 10.0) -> list[str]:
    """What was changed, one line each: nothing when Grafana has it all. `datasource` is the uid of a Prometheus data
    source; None takes the default one, else the first. Raises PushFailed."""
    api = GrafanaApi.from_url(url, credential=token, timeout=timeout_s)
    try:
        source = datasource or _prometheus(api)
        return [*_folder(api), *_dashboard(api), *_rules(api, source), *_prune(api)]
    except GrafanaException as error:
        raise PushFailed(_complaint(url, error)) from error
    except OSError as error:
        raise PushFailed(f"Grafana at {url} cannot be reached: {error}") from error


def covers(theirs: Any, ours: Any) -> bool:
    """True if everything we say is there; what Grafana adds does not count."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(key in theirs and covers(theirs[key], ours[key]) for key in ours)
    if isinstance(ours, list):
        same = isinstance(theirs, list) and len(theirs) == len(ours)
        return same and all(map(covers, theirs, ours))
    return bool(theirs == ours)


def _prometheus(api: GrafanaApi) -> str:
    sources = [each for each in api.datasource.list_datasources() if each["type"] == "prometheus"]
    if not sources:
        raise PushFailed("Grafana has no Prometheus data source; add one under Connections, then push again")
    return str(next((each for each in sources if each.get("isDefault")), sources[0])["uid"])


def _folder(api: GrafanaApi) -> list[str]:
    if _found(api.folder.get_folder, alerts.FOLDER) is not None:
        return []
    api.folder.create_folder(FOLDER_TITLE, uid=alerts.FOLDER)
    return [f"created folder {FOLDER_TITLE}"]


def _dashboard(api: GrafanaApi) -> list[str]:
    ours = fleet.dashboard()
    theirs = _found(api.dashboard.get_dashboard, fleet.UID)
    if theirs is not None and covers(theirs["dashboard"], ours) and theirs["meta"].get("folderUid") == alerts.FOLDER:
        return []
    api.dashboard.update_dashboard(
        {"dashboard": {**ours, "id": None}, "folderUid": alerts.FOLDER, "overwrite": True, "message": "homeostat push"}
    )
    return [f"{'updated' if theirs else 'created'} dashboard {fleet.TITLE}"]


def _rules(api: GrafanaApi, datasource: str) -> list[str]:
    return [told for rule in alerts.group(datasource) if (told := _rule(api, rule))]


def _rule(api: GrafanaApi, ours: Json) -> str:
    theirs = _found(api.alertingprovisioning.get_alertrule, ours["uid"])
    if theirs is None:
        api.alertingprovisioning.create_alertrule(ours)
        return f"created rule {ours['title']}"
    if covers(theirs, {key: value for key, value in ours.items() if key != "orgID"}):
        return ""
    api.alertingprovisioning.update_alertrule(ours["uid"], ours)
    return f"updated rule {ours['title']}"


def _prune(api: GrafanaApi) -> list[str]:
    """Removes rules of our group that the code does not have any more."""
    known = {rule.uid for rule in alerts.RULES}
    group = api.alertingprovisioning.get_rule_group(alerts.FOLDER, alerts.GROUP)
    old = [rule for rule in group["rules"] if rule["uid"] not in known]
    for rule in old:
        api.alertingprovisioning.delete_alertrule(rule["uid"])
    return [f"removed rule {rule['title']}" for rule in old]


def _found(get: Any, uid: str) -> Any:
    try:
        return get(uid)
    except GrafanaClientError as error:
        if error.status_code == NOT_FOUND:
            return None
        raise


def _complaint(url: str, error: GrafanaException) -> str:
    if error.status_code in (401, 403):
        return (
            f"Grafana at {url} refuses the token ({error.message}); it needs a service account token with role Editor"
        )
    return f"Grafana at {url}: {error.message}"
