"""Who may ask, and how much at once: keys and admission. It may import `errors` and nothing else of the gateway."""
