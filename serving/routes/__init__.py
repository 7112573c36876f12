"""The versions wanted, the replicas' attestations, and the choice of a replica.

`follower.Follower` is the way in: it follows both topics and keeps a `routing.RouteTable`, whose function
`routing.pick` chooses version and replica for a request. `attestations` and `attestation_age` say which attestations
count, `trust` whose, `slots` which versions an engine has room for. Of side-cars `listed` knows addresses and keys,
`statement` checks what they sign, `polling` asks them, and `answers` makes a table of what they answered.

Pure, but for the follower and the polling. `gateway`, `replica`, `rollout` and `sidecar` import it; of them it imports
the settings of `sidecar`, which have the list, and nothing else.
"""
