"""How llmkit's objects show themselves as the value of a cell: static HTML, with nothing to load and nothing to run."""
