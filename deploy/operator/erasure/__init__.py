"""A person's rows, deleted wherever they are: the order, its rounds, and the record of what went, what stays, how long.

`forgetting.forget` is the way in for an order, `forgetting.resume` for all that are open. `order` has the record,
`kept_ids` the ids that an open order needs, `rounds` the steps, `remains` what no command can delete, `account` the
record's lines for people.

It composes `streams.lake.erasure`, `retrain.data.erasure` and `streams.reports.erasure`; `commands` and `roles` may
import it.
"""
