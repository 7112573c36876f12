"""What cannot be an address or an option is refused with its setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings


@pytest.mark.parametrize("url", ["", "s3://bucket", "s3://bucket/a/b", "gs://b/p", "az://c/p", "file:///a/b"])
def test_an_address_is_taken(url: str) -> None:
    assert StorageSettings(url=url).in_bucket == (url[:2] in ("s3", "gs", "az"))


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "/folder",
        "http://host/bucket",
        "s4://bucket",
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket",
        "s3://bucket?region=x",
        "s3://bucket#x",
        "file://host/folder",
        "file:///",
        "file://",
    ],
)
def test_what_is_no_address_is_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(ValueError, match=r"storage\.url is '.*', expected s3://bucket/prefix"):
        StorageSettings(url=url)


@pytest.mark.parametrize(
    "name",
    [
        "secret_access_key",
        "AWS_SECRET_ACCESS_KEY",
        "session_token",
        "account_key",
        "sas_key",
        "client_secret",
        "service_account_key",
        "sse_customer_encryption_key",
        "bearer_token",
    ],
)
def test_a_secret_does_not_stand_in_the_configuration(name: str) -> None:
    with pytest.raises(ValueError, match=rf"storage\.options\.{name} .*in the environment") as raised:
        StorageSettings(url="s3://bucket", options={name: "hush"})
    assert "hush" not in str(raised.value)


def test_files_that_hold_secrets_may_be_named() -> None:
    StorageSettings(url="s3://bucket", options={"web_identity_token_file": "/run/token", "access_key_id": "name"})


@pytest.mark.parametrize(
    "pages", ["reports.example", "s3://b", "https://", "https://h/p?X-Amz-Signature=1", "http://u:p@h"]
)
def test_what_a_browser_cannot_open_for_years_is_no_address_of_pages(pages: str) -> None:
    with pytest.raises(ValueError, match=r"storage\.pages is .*expected https://host/path without a query"):
        StorageSettings(url="s3://bucket", pages=pages)


def test_a_page_is_where_a_browser_finds_it_and_everything_else_in_the_bucket(tmp_path: Path) -> None:
    storage = Storage(StorageSettings(url="s3://bucket/p", pages="https://reports.example/p/"), tmp_path)
    assert storage.page("reports/a.html") == "https://reports.example/p/reports/a.html"
    assert storage.address("profiles") == "s3://bucket/p/profiles"
    assert Storage(StorageSettings(url="s3://bucket/p/"), tmp_path).page("reports") == "s3://bucket/p/reports"
    assert Storage(var=tmp_path).page("reports") == str(tmp_path / "reports")


@pytest.mark.parametrize("size", [0.0, -1.0])
def test_a_cache_without_room_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match=r"storage\.cache_gb is .*expected more than 0"):
        StorageSettings(cache_gb=size)


TAKEN = {  # options as an operator of each cloud would write them; no cloud is asked
    "gs://bucket/p": {"skip_signature": "true"},
    "az://container/p": {"account_name": "name"},
    "s3://bucket/p": {"region": "eu-west-1", "virtual_hosted_style_request": "true"},
}
REFUSED: tuple[tuple[str, dict[str, str], str], ...] = (
    ("gs://bucket/p", {"service_account": "/nowhere.json"}, "Unable to open service account file"),
    ("az://container/p", {}, "Account must be specified"),
    ("az://container/p", {"account_name": "name", "allow_http": "maybe"}, "maybe"),
)


@pytest.mark.parametrize("url", TAKEN)
def test_a_store_of_each_cloud_is_made_from_address_and_options(url: str, tmp_path: Path) -> None:
    assert Storage(StorageSettings(url=url, options=TAKEN[url]), tmp_path).trees().store.name == url


@pytest.mark.parametrize(("url", "options", "reason"), REFUSED)
def test_what_a_clouds_store_lacks_is_named(url: str, options: dict[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"storage\.url is '{url}': .*{reason}.*see storage\.url, storage\.options"):
        Storage(StorageSettings(url=url, options=options), tmp_path).trees()


@pytest.mark.parametrize("given", [{"options": {"region": "x"}}, {"cache": Path("c")}, {"pages": "https://h"}])
@pytest.mark.parametrize("url", ["", "file:///folder"])
def test_what_has_no_effect_without_a_bucket_is_refused(url: str, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected a bucket in storage\.url"):
        StorageSettings(url=url, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["s3://bucket/p", "gs://bucket/p", "az://account/container"])
def test_an_option_that_the_store_does_not_know_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"storage\.url is .*no_such_option.*storage\.options"):
        Storage(StorageSettings(url=url, options={"no_such_option": "1"}), tmp_path).trees()


def test_options_of_the_client_are_taken(tmp_path: Path) -> None:
    """Given as the store's own, they made obstore panic."""
    options = {"allow_http": "true", "timeout": "5s", "region": "r", "http2_only": "false", "user_agent": "me"}
    assert Storage(StorageSettings(url="s3://bucket/p", options=options), tmp_path).trees().is_cache


def test_a_folder_of_its_own_is_used_in_place(tmp_path: Path) -> None:
    trees = Storage(StorageSettings(url=f"file://{tmp_path}/a%20b"), Path("var")).trees()
    assert (trees.home, trees.is_cache) == (tmp_path / "a b", False)


@pytest.mark.parametrize(
    ("name", "value"), [("keep_days", -1), ("keep_days", 36_501), ("old_files_h", 0), ("old_files_h", 25)]
)
def test_a_time_that_could_not_be_kept_to_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"storage\.{name} is {value}, expected"):
        StorageSettings(**{name: value})  # type: ignore[arg-type]
