"""The branch `observed`: what happened, as commits that only this program makes."""
