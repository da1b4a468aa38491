"""The remote on which a fleet lives: what it has, what may be put in force of it, what it lacks."""
