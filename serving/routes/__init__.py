"""Which versions are wanted, which replicas attest what, and who answers: pure, but for the follower of the log.

The gateway, the replicas and the rollout import it; it imports none of them.
"""
