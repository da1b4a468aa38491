"""The branch `main`: single files committed for people and issues, and who and what was there before."""
