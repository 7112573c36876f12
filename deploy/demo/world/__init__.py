"""The demo's own world: support tickets of a maker of smart home devices, before and after its world changes.

`world.world` makes the tickets from the intents (`intents`, and `novelties` after the change) and their grammar.
"""
