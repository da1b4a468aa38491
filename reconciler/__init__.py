"""GitOps for coding agents: a git repository of YAML files decides what runs where, and keeps what happened."""
