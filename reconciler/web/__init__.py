"""LISTENS: the web application; it records what it is told, and never plans or launches."""
