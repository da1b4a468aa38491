"""Notifies people: one notification to one channel, by HTTP or SMTP, within bounds of time and size."""
