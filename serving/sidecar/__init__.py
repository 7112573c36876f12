"""The side-car of an engine: the only listener of the engine's pod, for one vLLM that others run.

`service.serve` is the way in. `proxy` passes clients' requests and holds the engine's admin paths back, the
reconciler of `serving.replica` works inside it, and `signing` signs what that attests: for each gateway that asks, with
the gateway's own nonce, and for the log. `settings` are the side-car's, and the list of side-cars of those that trust
them.

It imports the wings of routes and replicas, and of the gateway its HTTP, its connections to engines and its errors.
Only `deploy` imports it; `settings` stands below all.
"""
