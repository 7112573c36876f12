"""What personal data and secrets look like, one kind a file, and what stands in their place.

`credentials`, `accounts` and `phones` know the shapes of keys, of cards and bank accounts, of telephone numbers;
`identities` has what stands for addresses on networks, states' numbers and names, which the gateway does not look for;
`lookalikes` knows what only looks like one; `characters` and `sketch` make texts quick to look through. `surrogates`
gives each value another of its shape, by a key. `monitor.describe.pii` puts them together.

It imports nothing else of the room but `monitor.characters`.
"""
