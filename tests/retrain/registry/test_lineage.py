"""A version's lineage comes from the store alone, ancestors, rows and erasures included."""

from __future__ import annotations

from pathlib import Path

import msgspec

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.registry import origins
from retrain.registry.lineage import LineageNode, lineage
from retrain.registry.origins import VersionOrigin
from retrain.training.software import software
from tests.retrain.support.rows import rows
from tests.support.folder import in_folder

FIRST, SECOND, THIRD = (f"support-{digit * 12}" for digit in "abc")


def kinds(node: LineageNode) -> list[str]:
    return [each.kind for each in node.origins]


def test_from_a_version_to_dataset_rows_run_software_and_its_ancestors(tmp_path: Path) -> None:
    trees = in_folder(tmp_path)
    taught = rows(6)
    listed = manifest.store(trees, Dataset(taught, [], [], [], {}), alias="support", base_model="b@1", since_ms=7)
    manifest.remember(trees, FIRST, listed.digest, "")
    made = VersionOrigin(
        version=SECOND,
        digest="b" * 64,
        dataset=listed.digest,
        parent=FIRST,
        request="r1",
        reason="harm",
        run="m1",
        software=software(),
    )
    origins.remember(trees, made)
    origins.remember(trees, made)
    node = lineage(trees, SECOND, with_ids=True)
    assert kinds(node) == ["retraining", "run", "dataset", "software", "version"]
    dataset, parent = node.origins[2], node.origins[4]
    (part,) = dataset.origins
    assert (part.name, part.about) == ("train", {"rows": 6, "ids": [row.id for row in taught]})
    assert (parent.name, kinds(parent)) == (FIRST, ["dataset"]), "a version of an earlier release has its record"
    assert parent.about == {"began_from": "the base model"}
    assert msgspec.json.decode(msgspec.json.encode(node), type=LineageNode) == node


def test_what_is_not_known_is_said_and_a_circle_ends(tmp_path: Path) -> None:
    trees = in_folder(tmp_path)
    assert "no record" in str(lineage(trees, FIRST).about["note"])
    origins.remember(trees, VersionOrigin(version=THIRD, parent=THIRD, dataset="e" * 64))
    node = lineage(trees, THIRD)
    assert [(each.kind, each.about.get("note")) for each in node.origins] == [("dataset", "no longer in the store")]
    origins.remember(trees, VersionOrigin(version=FIRST, adopted=True, reason="from the lab"))
    assert lineage(trees, FIRST).about == {"note": "made elsewhere: from the lab"}


def test_the_software_names_the_commit_and_the_packages() -> None:
    found = software()
    assert len(found["git_commit"].removesuffix("+changed")) == 40
    assert {"torch", "transformers", "peft"} <= set(found)
