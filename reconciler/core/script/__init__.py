"""The run protocol: commands whose fixed `sh` text does the work on a host, and parsers of what they answer.

Nothing here runs anything, and no word of a user ever becomes part of a script's text.
"""
