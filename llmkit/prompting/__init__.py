"""The prompt path that all local engines share: messages to tokens, and text back to its parts."""
