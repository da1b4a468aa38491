"""ACTS: one effect each: start, collect, publish, tidy up."""
