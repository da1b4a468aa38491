"""HANDS OVER: work to external agents that ask for it, its lease, and what they report."""
