"""The gateway that clients talk to.

A request's way: `http` takes it, `application` finds its path and checks its key (`access`), `inference` picks a
replica, `forward` asks it over `engines` and passes the answer on, `capture` keeps the exchange before the client has
its last byte, `shadow` mirrors it. `feedback` takes labels; `admin` is the operators' port; `openai` reads and writes
the bodies.

Arrows of imports: errors < access, engines, openai, masking, excerpt, patience, recent_answers < http, exchange <
capture < forward, feedback < shadow < inference < application, admin. The journal is never imported: `capture` takes a
function.
"""
