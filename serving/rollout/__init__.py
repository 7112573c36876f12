"""From a promising candidate to the champion, or not: state machine, guard, controller, operators' changes."""
