"""Tools: what a model may ask for."""
