"""Models: how a name becomes files on disk.

:mod:`~llmkit.models.catalog` says what a name means, :mod:`~llmkit.models.fetch` brings it here,
:mod:`~llmkit.models.cache` lists and removes what is here, :mod:`~llmkit.models.gguf` reads and checks GGUF files.
"""
