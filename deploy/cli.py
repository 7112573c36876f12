"""`homeostat`: the one command. Each subcommand imports its work only when it runs, so that help is instant."""

from __future__ import annotations

import click

from deploy.admin.client import through_the_admin_api
from deploy.commands import (
    alarms,
    config,
    dashboards,
    dead_letters,
    decisions,
    demo,
    erasure,
    keys,
    labels,
    monitor,
    review,
    stack,
    storage,
    topics,
)
from deploy.commands.group import Ordered
from deploy.commands.models import adapters, card, compare, data, gate, registry, synthetic


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="homeostat")
def main(debug: bool) -> None:
    """Keep fine-tuned LLM adapters healthy in production.

    Clients talk to an OpenAI-compatible gateway in front of vLLM. Their traffic is watched; when the model is
    harmed, a candidate is trained, has to prove itself, and is swapped in without a restart.

    Start with `homeostat demo`: it shows the whole loop on this machine. With Kafka, vLLM or a cluster of your own:
    `homeostat run --help`, `homeostat doctor --help`, and docs/installing.md of the repository.
    """


for command in (
    *(demo.demo, demo.world, demo.setup, demo.doctor, config.config),
    *(stack.up, stack.down, stack.status),
    *(adapters.train, compare.compare, adapters.promote, adapters.rollback),
    *(adapters.pause, adapters.resume, adapters.shadow),
    *(registry.lineage, registry.retrain, registry.adopt),
    *(keys.key, keys.revoke, decisions.ledger, decisions.replay, decisions.backtest, gate.gate),
    *(alarms.alarms, dead_letters.dlq, topics.topics, labels.labels, review.review),
    *(monitor.monitor, dashboards.dashboards, data.data, card.card, storage.storage, erasure.forget),
    *(stack.run, stack.health),
):
    main.add_command(command)

for command in (
    synthetic.data_synthesise,
    synthetic.data_import,
    synthetic.data_fidelity,
    synthetic.data_synthetic,
):
    data.data.add_command(command)

through_the_admin_api(main)

if __name__ == "__main__":
    main()
