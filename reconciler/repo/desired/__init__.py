"""The files that people wrote: read again only where they changed, checked, the last good version in force."""
