"""SEES: hosts and the runs on them, the forge and what it says of tasks and issues."""
