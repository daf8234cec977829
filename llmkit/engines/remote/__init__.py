"""A model on a server that speaks OpenAI's API: vLLM, TabbyAPI, ``mlx_lm.server``, llama.cpp's server, a cloud.

From the outside in: :mod:`.config` says which server, :mod:`.source` makes its engine, :mod:`.engine` answers requests
with what :mod:`.body` sends over a :mod:`.connection` and :mod:`.answer` makes of what comes back.
"""
