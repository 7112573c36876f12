"""The versions wanted, the replicas' attestations, and the choice of a replica.

`follower.Follower` is the way in: it follows both topics and keeps a `routing.RouteTable`, whose function
`routing.pick` chooses version and replica for a request. `attestations` and `attestation_age` say which attestations
count, `slots` which versions an engine has room for.

Pure, but for the follower. `gateway`, `replica` and `rollout` import it; it imports none of them.
"""
