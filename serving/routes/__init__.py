"""The versions wanted, the replicas' attestations, and the choice of a replica: pure, but for the follower of the log.

The gateway, the replicas and the rollout import it; it imports none of them.
"""
