"""The fixtures of the end-to-end tests, for the tests of faults."""

from tests.e2e.conftest import fleet, sshd

__all__ = ["fleet", "sshd"]
