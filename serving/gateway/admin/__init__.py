"""The port that is not for clients: liveness, readiness, metrics, and the operators' acts.

`port` is the way in and listens on 127.0.0.1; `operators` has the acts on routes, which `serving.rollout` carries out
for a key of the scope `admin`.

`errors` is what the admin API of `deploy.admin` has in common with it.

It may import anything of the gateway but `application`. `deploy.roles` imports it, and `deploy.admin` its `errors`.
"""
