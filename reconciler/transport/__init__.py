"""Reaches hosts: runs `sh` there, with bytes in and out. It knows nothing of tasks."""
