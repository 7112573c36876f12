"""The caller's API key or token for the admin API, from a file or from the command that prints one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from deploy.config.admin_settings import AdminSettings
from deploy.config.secrets import check_closed

PRINTS_S = 60.0  # for the command: some ask a person


def token(settings: AdminSettings) -> str:
    """Return it. Raise ValueError, OSError or RuntimeError where there is none, saying what to set."""
    if settings.token_file is not None:
        check_closed(settings.token_file)
        text, origin = settings.token_file.read_text(), f"admin.token_file {settings.token_file}"
    elif settings.token_command:
        text, origin = _printed(settings.token_command), f"admin.token_command {settings.token_command[0]}"
    else:
        raise ValueError("no token for the admin API: set admin.token_file or admin.token_command")
    parts = text.split()
    if len(parts) != 1 or not parts[0].isascii() or not parts[0].isprintable():
        raise ValueError(f"{origin} gives {len(parts)} texts, expected one: an API key or a token")
    return parts[0]


def _printed(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PRINTS_S)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"admin.token_command {command[0]} printed no token within {PRINTS_S:g} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().rpartition("\n")[2]
        raise RuntimeError(f"admin.token_command {command[0]} ended with {error.returncode}: {last}") from error
    except OSError as error:
        raise RuntimeError(f"admin.token_command {command[0]} cannot be run: {error.strerror}") from error
    return done.stdout
