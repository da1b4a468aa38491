"""Tests: pure, property, contract, whole program, faults."""
