"""The port that is not for clients: liveness, readiness, metrics, and the operators' acts.

`port` is the way in and listens on 127.0.0.1; `operators` has the acts on routes, which `serving.rollout` carries out
for a key of the scope `admin`.

It may import anything of the gateway but `application`. Only `deploy.roles` imports it.
"""
