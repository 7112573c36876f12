"""Who may ask, and how much at once: keys and admission."""
