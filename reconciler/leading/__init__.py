"""Leads a fleet that lives on a remote, or stands by: one of several reconcilers starts work, for a term."""
