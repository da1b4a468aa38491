"""Remembers: files, the branch `observed`, the journal. It decides nothing."""
