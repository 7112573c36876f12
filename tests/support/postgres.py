"""PostgreSQL of the operating system, on a free port of this machine, with a password; never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.ports import free
from tests.support.waiting import wait

PASSWORD = "pg-hunter2"


@contextmanager
def served(database: str) -> Iterator[str]:
    """The address of a new database, `user:password@host:port/name`."""
    folder, port, who = Path(tempfile.mkdtemp(prefix="postgres-")), free()[0], _user()
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    for each in (folder, secret):
        shutil.chown(each, who)
    options = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
    made = ["-D", str(data), "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    try:
        subprocess.run([program("initdb"), *made], user=who, cwd=folder, check=True, capture_output=True)
        with (folder / "log").open("wb") as log:
            command = [program("postgres"), "-D", str(data), *options]
            process = subprocess.Popen(command, user=who, cwd=folder, stdout=log, stderr=log)
        try:
            place = ["-h", "127.0.0.1", "-p", str(port)]
            ready = [program("pg_isready"), "-q", *place]  # its port answers before it takes anybody
            wait(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")
            create = [program("createdb"), *place, "-U", "mlflow", database]
            subprocess.run(create, env={**os.environ, "PGPASSWORD": PASSWORD}, check=True, capture_output=True)
            yield f"mlflow:{PASSWORD}@127.0.0.1:{port}/{database}"
        finally:
            process.send_signal(signal.SIGINT)  # SIGTERM waits until its clients go
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def program(name: str) -> str:
    """The newest of that name; Debian keeps it out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    named = str(found[-1]) if found else shutil.which(name)
    assert named, f"{name} is missing (on Debian: apt install postgresql)"
    return named


def _user() -> str:
    """Whom it runs as: root it refuses."""
    if os.geteuid():
        return pwd.getpwuid(os.geteuid()).pw_name
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
