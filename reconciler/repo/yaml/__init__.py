"""YAML text to values with places, and back, comments kept."""
