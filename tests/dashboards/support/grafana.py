"""A small Grafana that obeys the API's contract as far as a push uses it: stores, versions, answers 404 and 401."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Answer = tuple[int, Any]
TOKEN, EDITOR = "glsa_admin", "glsa_editor"
MISSING: Answer = (404, {"message": "not found"})


class Grafana:
    """The state; `writes` counts what changed it. `path`: below which it is served, as behind a proxy."""

    def __init__(self, path: str = "") -> None:
        self.url = ""
        self.path = path
        self.folders: dict[str, Json] = {}
        self.dashboards: dict[str, Json] = {}
        self.rules: dict[str, Json] = {}
        self.sources: list[Json] = [
            {"uid": "loki", "name": "Loki", "type": "loki", "isDefault": True},
            {"uid": "prom", "name": "Prometheus", "type": "prometheus", "isDefault": False},
        ]
        self.writes: list[str] = []

    def answer(self, method: str, path: str, body: Json, token: str = TOKEN) -> Answer:
        if token not in (TOKEN, EDITOR):
            return 401, {"message": "no"}
        if not path.startswith(f"{self.path}/api/"):
            return MISSING
        path = path.removeprefix(f"{self.path}/api/")
        if path.startswith("datasources") and token == EDITOR:
            return 403, {"message": "datasources:read is needed"}
        if method != "GET":
            self.writes.append(f"{method} {path}")
        match [method, *path.split("/")]:
            case ["GET", "datasources"]:
                return 200, self.sources
            case ["GET", "datasources", "uid", uid]:
                return next(((200, each) for each in self.sources if each["uid"] == uid), MISSING)
            case ["GET", "folders", uid]:
                return (200, self.folders[uid]) if uid in self.folders else MISSING
            case ["POST", "folders"]:
                self.folders[body["uid"]] = body
                return 200, body
            case ["GET", "dashboards", "uid", uid]:
                return (200, self.dashboards[uid]) if uid in self.dashboards else MISSING
            case ["POST", "dashboards", "db"]:
                return self._save(body)
            case [_, "v1", "provisioning", "alert-rules", *rest]:
                return self._rule(method, rest, body)
            case ["GET", "v1", "provisioning", "folder", folder, "rule-groups", name]:
                rules = [r for r in self.rules.values() if (r["folderUID"], r["ruleGroup"]) == (folder, name)]
                return (200, {"title": name, "interval": 60, "rules": rules}) if rules else MISSING
        return MISSING

    def _save(self, body: Json) -> Answer:
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        uid = body["dashboard"]["uid"]
        version = self.dashboards[uid]["dashboard"]["version"] + 1 if uid in self.dashboards else 1
        stored = {**body["dashboard"], "id": 7, "version": version}
        self.dashboards[uid] = {"dashboard": stored, "meta": {"folderUid": body["folderUid"]}}
        return 200, {"uid": uid, "version": version}

    def _rule(self, method: str, rest: list[str], body: Json) -> Answer:
        if method == "POST" and body["uid"] in self.rules:
            return 409, {"message": "uid exists"}
        uid = body["uid"] if method == "POST" else rest[0]
        if method != "POST" and uid not in self.rules:
            return MISSING
        if method == "DELETE":
            del self.rules[uid]
            return 204, None
        if method != "GET":
            self.rules[uid] = {**body, "id": len(self.rules), "updated": "2026-01-01T00:00:00Z", "provenance": "api"}
        return 201 if method == "POST" else 200, self.rules[uid]


@contextmanager
def running(grafana: Grafana) -> Iterator[Grafana]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else an answer's body waits 40 ms for the client to have its head

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, value = grafana.answer(self.command, self.path, body, token)
            sent = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the base class calls them so

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}{grafana.path}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
