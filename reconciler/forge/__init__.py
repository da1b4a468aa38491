"""ASKS: the team's forge; what it says as values, over REST and in webhooks."""
