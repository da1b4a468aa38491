"""The pages for people: a board, a task's story, numbers; all of them only look."""
