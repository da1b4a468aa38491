"""What people type: thin commands over the rest of the package."""
