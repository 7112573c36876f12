"""Where all stands that is kept; checked once, when made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = ("s3", "gs", "az", "file")
EXPECTED = "expected s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder, or nothing"
SECRET = re.compile(r"(secret|password|token|credential|sas|_key)$")
LONGEST_DAYS = 36_500
LOGGED_H = 24  # so long a table's log tells when a file was replaced; then only the file's own age is known


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where lake, adapters, datasets, reports and profiles stand, and for how long."""

    url: str = ""  # s3://bucket/prefix, gs://, az://, or file:///folder; empty: in stack.var
    cache: Path | None = None  # folder for what is fetched from a bucket; none: the folder cache in stack.var
    cache_gb: float = 50.0  # room of that cache: beyond it goes what was used longest ago, and not within a day
    # where a browser finds the bucket's objects, such as https://reports.example: a proxy's or a website's address, for
    # the links in alarms; empty: these name the object in the bucket
    pages: str = ""
    # the bucket's: endpoint, region, allow_http, timeout; secrets come from the environment, such as
    # AWS_SECRET_ACCESS_KEY, or from files that it names
    options: dict[str, str] = field(default_factory=dict)
    keep_days: int = 0  # the lake's rows of older days are deleted, by when the log took them; 0: kept for ever
    old_files_h: int = 24  # files that were replaced or deleted stay so long for readers under way, 24 at most
    care_s: float = 600.0  # how often `homeostat run storage` merges small files and looks for what is to go

    def __post_init__(self) -> None:
        _require("url", self.url, not self.url or _usable(urlsplit(self.url)), EXPECTED)
        for name in sorted(self.options):
            _require(f"options.{name}", "(not shown)", not SECRET.search(name.lower()), "it in the environment")
        bucket = f"a bucket in storage.url, which is {self.url!r}: it has no effect"
        _require("options", sorted(self.options), not self.options or self.in_bucket, bucket)
        _require("pages", self.pages, not self.pages or _web(urlsplit(self.pages)), "https://host/path without a query")
        _require("pages", self.pages, not self.pages or self.in_bucket, bucket)
        _require("cache_gb", self.cache_gb, self.cache_gb > 0, "more than 0 gigabytes")
        _require("cache", str(self.cache), self.cache is None or self.in_bucket, bucket)
        _require("keep_days", self.keep_days, 0 <= self.keep_days <= LONGEST_DAYS, f"0 to {LONGEST_DAYS} days")
        _require("old_files_h", self.old_files_h, 1 <= self.old_files_h <= LOGGED_H, f"1 to {LOGGED_H} hours")
        _require("care_s", self.care_s, self.care_s >= 10, "at least 10 seconds")

    @property
    def in_bucket(self) -> bool:
        """Whether objects are fetched, and not used where they stand."""
        return bool(self.url) and urlsplit(self.url).scheme != "file"

    def address(self, name: str) -> str:
        """Return where something else stands in the bucket; empty where there is no bucket."""
        return f"{self.url.rstrip('/')}/{name}" if self.in_bucket else ""

    def folder(self, var: Path) -> Path:
        """Return the folder in which all stands that is in no bucket."""
        return Path(unquote(urlsplit(self.url).path)) if self.url and not self.in_bucket else var

    def absolute(self) -> StorageSettings:
        """Return the settings for a process that works in another folder."""
        return replace(self, cache=self.cache and self.cache.resolve())


def _usable(url: SplitResult) -> bool:
    if url.scheme not in SCHEMES or url.query or url.fragment or "@" in url.netloc:
        return False
    return bool(url.netloc) if url.scheme != "file" else not url.netloc and len(url.path) > 1


def _web(url: SplitResult) -> bool:
    """A presigned address is none: an event would hold it for years."""
    plain = not url.query and not url.fragment and "@" not in url.netloc
    return url.scheme in ("http", "https") and bool(url.netloc) and plain


def _require(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"storage.{name} is {value!r}, expected {expected.removeprefix('expected ')}")
