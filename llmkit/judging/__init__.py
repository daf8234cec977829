"""Which of two answers is better: what is judged in which order, and what the verdicts add up to."""
