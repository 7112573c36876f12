"""The demo's own world: support tickets of a maker of smart home devices, before and after its world changes.

`world.world` is the way in: it makes the tickets from the intents (`intents`, and `novelties` after the change) and
their grammar, and `world.kinds` turns them into rows of other kinds: behind a prompt (`requests`), with other answers
(`answers`), with other users (`users`). The same seed gives the same tickets. Pure but for `world.write`; `deploy.demo` and the command `world`
import it.
"""
