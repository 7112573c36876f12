"""The demo's own world: support tickets of a maker of smart home devices, before and after its world changes.

`world.world` is the way in: it makes the tickets from the intents (`intents`, and `novelties` after the change) and
their `grammar`. `kinds` turns them into rows of other applications: behind a prompt (`requests`), with other answers
(`answers`); `users` is what users send back. The same seed gives the same tickets. Pure but for `world.write`;
`deploy.demo` and the command `world` import it.
"""
