"""The commands of `homeostat`, a module for each group: click and nothing else.

`deploy.cli` puts them together, and nothing else imports them; `group` has what they share. A command imports its work
inside its function, so that help is instant, and answers within three seconds that Kafka is away. The work itself is in
`operator`, `stack`, `roles`, `doctor`, `backtest`, `demo`, or in the room that it belongs to.
"""
