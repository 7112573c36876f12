"""A candidate's way to the champion's place.

`controller.Controller` is the process. `machine` is the way as a pure function of `state`, `guard` its test for harm;
`alias` runs it for one alias and writes ledger and route, `runner` holds one `alias` for each, `recovery` reads from
the log where they stood. `changes` are an operator's changes, pure; `operations` writes them.

It imports `routes` and `replica`. `gateway.admin` and `deploy` import it.
"""
