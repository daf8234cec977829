"""What a server says of itself and its models, before it is asked anything."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import Error, ModelNotFound

if TYPE_CHECKING:
    from llmkit.engines.remote.config import Remote
    from llmkit.engines.remote.connection import Connection

logger = logging.getLogger("llmkit")

_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Server:
    """A server as far as it is known.

    Parameters
    ----------
    model : str
        The name under which it knows the model.
    kind : str
        ``"vllm"``, ``"llamacpp"``, ``"mlx_lm"``, ``"tabbyapi"``, ``"openai"``, another word of its own, or "" if it
        doesn't say.
    context_length : int, optional
        Tokens of prompt and output together.
    """

    model: str
    kind: str = ""
    context_length: int | None = None


async def probe(connection: Connection, remote: Remote) -> Server:
    """Ask a server for its models; what it doesn't say stays unknown.

    Raises
    ------
    ModelNotFound
        If the model isn't named and the server doesn't have exactly one.
    Error
        If the model isn't named and the server can't be asked.
    """
    try:
        listed = _listed(await connection.get("/models"))
    except Error as error:
        if remote.model is None:
            raise
        logger.info("%s doesn't list its models (%s); what it is stays unknown.", remote.host, error)
        listed = []
    entry = _entry(listed, remote)
    model = remote.model if remote.model is not None else str(entry["id"])
    kind = "openai" if remote.is_openai else str(entry.get("owned_by") or "").lower() or _kind(connection.software)
    length = _length(entry)
    if length is None and kind == "tabbyapi":
        length = await _tabby_length(connection)
    return Server(model, kind[:40], length)


def _kind(software: str) -> str:
    """Return what a ``Server`` header tells."""
    known = {"llama.cpp": "llamacpp", "BaseHTTP": "mlx_lm"}
    return next((kind for start, kind in known.items() if software.startswith(start)), "")


def _listed(answer: Any) -> list[dict[str, Any]]:
    models = answer.get("data") if isinstance(answer, dict) else None
    return (
        [model for model in models if isinstance(model, dict) and model.get("id")] if isinstance(models, list) else []
    )


def _entry(listed: list[dict[str, Any]], remote: Remote) -> dict[str, Any]:
    if remote.model is not None:
        return next((model for model in listed if model["id"] == remote.model), listed[0] if len(listed) == 1 else {})
    if len(listed) != 1:
        names = ", ".join(str(model["id"])[:100] for model in listed[:_MOST_NAMES]) or "none"
        raise ModelNotFound(
            f"{remote.host} lists {len(listed)} models, so the one to use must be named: "
            f"{remote.base_url}#<model>, or Remote(…, model=…). Listed: {names}."
        )
    return listed[0]


def _length(entry: dict[str, Any]) -> int | None:
    """Return the context's length: vLLM's word for it, then llama.cpp's, OpenRouter's, LM Studio's."""
    meta = entry.get("meta")
    told = [
        entry.get("max_model_len"),
        meta.get("n_ctx") if isinstance(meta, dict) else None,
        entry.get("context_length"),
        entry.get("max_context_length"),
    ]
    return next((value for value in told if isinstance(value, int) and value > 0), None)


async def _tabby_length(connection: Connection) -> int | None:
    try:
        answer = await connection.get("/model")
    except Error as error:
        logger.info("The server doesn't tell its context's length: %s", error)
        return None
    parameters = answer.get("parameters") if isinstance(answer, dict) else None
    length = parameters.get("max_seq_len") if isinstance(parameters, dict) else None
    return length if isinstance(length, int) and length > 0 else None
