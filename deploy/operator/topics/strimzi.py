"""Topics and users as resources of Strimzi, the operator of Kafka in Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from deploy.operator.topics.access import AccessRule, camel
from streams.log.settings import KafkaSettings
from streams.topics import Topic

VERSION = "kafka.strimzi.io/v1"  # from Strimzi 0.49 on
CLUSTER = "strimzi.io/cluster"  # the label that names the Kafka resource
LONGEST = 253
Resource = dict[str, Any]


def topic_resource(topic: Topic, kafka: KafkaSettings, cluster: str) -> Resource:
    """Return a `KafkaTopic`."""
    name = kafka.physical(topic.name)
    spec: Resource = {"topicName": name, "partitions": topic.partitions}
    if topic.replication:
        spec["replicas"] = topic.replication
    return _resource("KafkaTopic", name, cluster, spec | {"config": topic.config})


def user_resource(user: str, rules: Iterable[AccessRule], cluster: str, authentication: str) -> Resource:
    """Return a `KafkaUser` with its access list; `authentication`: scram-sha-512, tls or tls-external."""
    acls = [
        {
            "resource": {"type": each.resource, "name": each.name, "patternType": "literal"},
            "operations": [camel(operation) for operation in each.operations],
        }
        for each in rules
    ]
    spec = {"authentication": {"type": authentication}, "authorization": {"type": "simple", "acls": acls}}
    return _resource("KafkaUser", user, cluster, spec)


def documents(resources: Iterable[Resource]) -> str:
    """Return resources as YAML. Raise RuntimeError where the package for it is missing."""
    try:
        import yaml
    except ImportError as error:
        raise RuntimeError("YAML needs the package pyyaml: install homeostat[dashboards]") from error
    return str(yaml.safe_dump_all(resources, sort_keys=False, explicit_start=True, width=1_000))


def resource_name(name: str) -> str:
    """Return a name that Kubernetes takes for a topic's.

    >>> resource_name("Team_a.inference.events")
    'team-a.inference.events'
    """
    parts = [re.sub(r"^-+|-+$", "", re.sub(r"[^a-z0-9-]", "-", part)) for part in name.lower().split(".")]
    return ".".join(part for part in parts if part)[:LONGEST]


def _resource(kind: str, name: str, cluster: str, spec: Resource) -> Resource:
    metadata = {"name": resource_name(name), "labels": {CLUSTER: cluster}}
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}
