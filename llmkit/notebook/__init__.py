"""Runs in notebooks: live widgets, static output for saved notebooks, and waiting that lets widgets work."""
