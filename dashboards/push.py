"""The push to a Grafana: it gets the folder, dashboards and alert rules of the code. A second push changes nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards import alerts, fleet, pages
from dashboards.panels import Json
from dashboards.rules.table import RULES

FOLDER_TITLE = "Homeostat"
NOT_FOUND, REFUSED = 404, (401, 403)
ROLE = "it needs a service account token with role Editor (Grafana 11 or newer) or Admin"
LISTING = "listing data sources takes role Admin; with --datasource UID role Editor will do (Grafana 11 or newer)"


class PushFailed(RuntimeError):
    """Grafana refused the push or could not be reached; the message has its answer, and what to do."""


def push(
    url: str, token: str, *, datasource: str | None = None, folder: str = alerts.FOLDER, timeout_s: float = 10.0
) -> list[str]:
    """Create and update what Grafana lacks; return the changes, a line each. Raises PushFailed.

    `datasource` is the uid of a Prometheus data source; None takes the default one, else the only one. `folder` is the
    uid of a folder, which is made where it is missing."""
    api = GrafanaApi.from_url(_address(url), credential=token, timeout=timeout_s)
    try:
        rules = alerts.group(_source(api, datasource), url, folder)
        return [
            *_folder(api, folder),
            *filter(None, (_dashboard(api, each, folder) for each in (fleet.dashboard(), pages.dashboard()))),
            *filter(None, (_rule(api, rule) for rule in rules)),
            *_prune(api, folder),
        ]
    except GrafanaException as error:
        raise PushFailed(_complaint(url, error, ROLE)) from error
    except OSError as error:
        raise PushFailed(f"Grafana at {url} cannot be reached: {error}") from error


def covers(theirs: Any, ours: Any) -> bool:
    """Check that Grafana's object has everything that ours has; what Grafana adds to it does not count."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(key in theirs and covers(theirs[key], ours[key]) for key in ours)
    if isinstance(ours, list):
        same = isinstance(theirs, list) and len(theirs) == len(ours)
        return same and all(map(covers, theirs, ours))
    return bool(theirs == ours)


def _address(url: str) -> str:
    """Return the address as the client wants it: it puts a path directly before its own `api`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PushFailed(f"Grafana's address is {url!r}, expected one like https://grafana.example.com/path")
    path = parts.path.strip("/")
    return parts._replace(path=f"/{path}/" if path else "").geturl()


def _source(api: GrafanaApi, uid: str | None) -> str:
    if uid is None:
        return _prometheus(api)
    try:
        if _found(api.datasource.get_datasource_by_uid, uid) is None:
            raise PushFailed(f"Grafana has no data source with uid {uid!r}; its page under Connections has the uid")
    except GrafanaClientError as error:
        if error.status_code not in REFUSED:
            raise
    return uid


def _prometheus(api: GrafanaApi) -> str:
    try:
        sources = [each for each in api.datasource.list_datasources() if each["type"] == "prometheus"]
    except GrafanaClientError as error:
        if error.status_code != 403:
            raise
        raise PushFailed(f"Grafana refuses the token ({error.message}): {LISTING}") from error
    chosen = [each for each in sources if each.get("isDefault")] or sources
    if not chosen:
        raise PushFailed("Grafana has no Prometheus data source; add one under Connections, then push again")
    if len(chosen) > 1:
        names = ", ".join(f"{each['uid']} ({each.get('name', 'no name')})" for each in chosen)
        raise PushFailed(f"Grafana has {len(chosen)} Prometheus data sources: name one with --datasource: {names}")
    return str(chosen[0]["uid"])


def _folder(api: GrafanaApi, uid: str) -> list[str]:
    if _found(api.folder.get_folder, uid) is not None:
        return []
    title = FOLDER_TITLE if uid == alerts.FOLDER else uid
    api.folder.create_folder(title, uid=uid)
    return [f"created folder {title}"]


def _dashboard(api: GrafanaApi, ours: Json, folder: str) -> str:
    """Push one dashboard; return the change, empty where there is none."""
    theirs = _found(api.dashboard.get_dashboard, ours["uid"])
    if theirs is not None and covers(theirs["dashboard"], ours) and theirs["meta"].get("folderUid") == folder:
        return ""
    api.dashboard.update_dashboard(
        {"dashboard": {**ours, "id": None}, "folderUid": folder, "overwrite": True, "message": "homeostat push"}
    )
    return f"{'updated' if theirs else 'created'} dashboard {ours['title']}"


def _rule(api: GrafanaApi, ours: Json) -> str:
    """Push one rule; return the change, empty where there is none."""
    theirs = _found(api.alertingprovisioning.get_alertrule, ours["uid"])
    if theirs is None:
        api.alertingprovisioning.create_alertrule(ours)
        return f"created rule {ours['title']}"
    if covers(theirs, {key: value for key, value in ours.items() if key != "orgID"}):
        return ""
    api.alertingprovisioning.update_alertrule(ours["uid"], ours)
    return f"updated rule {ours['title']}"


def _prune(api: GrafanaApi, folder: str) -> list[str]:
    """Remove rules of our group that the code does not have any more."""
    known = {rule.uid for rule in RULES}
    group = api.alertingprovisioning.get_rule_group(folder, alerts.GROUP)
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


def _complaint(url: str, error: GrafanaException, needed: str) -> str:
    if error.status_code in REFUSED:
        return f"Grafana at {url} refuses the token ({error.message}); {needed}"
    return f"Grafana at {url}: {error.message}"
