"""Text to token ids and back for the MLX decoder, with the ``tokenizers`` library alone.

The bytes of each token are looked up in a table, so that text can be streamed without losing a leading space or the
parts of a character that is spread over several tokens. All methods may be called from any thread.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from llmkit.errors import ModelFileError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACE = "\u2581"  # SentencePiece writes a space as LOWER ONE EIGHTH BLOCK


class MLXTokenizer:
    """A tokenizer read from the text of a ``tokenizer.json``.

    Parameters
    ----------
    source : str
        Contents of ``tokenizer.json``, the format of the ``tokenizers`` library.
    name : str
        What to call the model in error messages.

    Raises
    ------
    ModelFileError
        The text can't be read, or it describes a kind of tokenizer whose tokens have no bytes of their own.
    """

    def __init__(self, source: str, *, name: str = "the model") -> None:
        from tokenizers import Tokenizer

        self.source = source
        try:
            description = json.loads(source)
            self._special = Tokenizer.from_str(source)
            # Reads control tokens in the text as ordinary text; a switch on one tokenizer would not be thread-safe.
            self._plain = Tokenizer.from_str(source)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelFileError(f"The tokenizer of {name} can't be read: {error}. Fetch the model again.") from error
        self._plain.encode_special_tokens = True
        added = self._special.get_added_tokens_decoder()
        self.control_ids = frozenset(id_ for id_, token in added.items() if token.special)
        self._bytes = _token_bytes(description, self._special.get_vocab(with_added_tokens=False), name)
        self._bytes.update({id_: token.content.encode() for id_, token in added.items()})
        self.size = max(self._bytes, default=-1) + 1

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of ``text``; ``special`` reads control tokens in it as such."""
        tokenizer = self._special if special else self._plain
        try:
            text.encode()  # tokenizers would say that it is no str
        except UnicodeEncodeError as error:
            raise ValidationError(
                f"The text can't be tokenised: it holds half a surrogate pair at character {error.start}. "
                "Remove it or encode the text as UTF-8 with errors='replace' first.",
                field="prompt",
            ) from error
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, control tokens included; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes that a token stands for; none for an id without a token."""
        return self._bytes.get(token, b"")

    def token_id(self, text: str) -> int | None:
        """Return the id of the token written ``text``, if there is one."""
        id_: int | None = self._special.token_to_id(text)
        return id_

    def starts_with(self, token: int | None) -> bool:
        """Whether this tokenizer itself would put ``token`` before every text."""
        return token is not None and self._special.encode("a").ids[:1] == [token]


class TextStream:
    """Turns tokens into text one by one, without losing or doubling a byte.

    Joined, the texts are what :meth:`MLXTokenizer.detokenize` gives for the same ids.

    Parameters
    ----------
    tokenizer : MLXTokenizer
        Knows the tokens' bytes.
    special : bool
        Whether control tokens show as text.
    """

    def __init__(self, tokenizer: MLXTokenizer, *, special: bool) -> None:
        self._tokenizer = tokenizer
        self._hidden = frozenset[int]() if special else tokenizer.control_ids
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """Return the text that ``token`` completes; "" while a character is unfinished."""
        return "" if token in self._hidden else self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """Return what is left: U+FFFD for a character that was never finished."""
        return self._decoder.decode(b"", final=True)


def _token_bytes(description: dict[str, Any], vocabulary: dict[str, int], name: str) -> dict[int, bytes]:
    """Return the bytes of each token, by the kind of decoder that ``tokenizer.json`` names."""
    decoder = description.get("decoder") or {}
    steps = decoder.get("decoders", [decoder])
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        table = _byte_level_table()
        return {id_: _byte_level(token, table) for token, id_ in vocabulary.items()}
    if "Metaspace" in kinds or any(_SPACE in json.dumps(step, ensure_ascii=False) for step in steps):
        return {id_: _sentence_piece(token) for token, id_ in vocabulary.items()}
    raise ModelFileError(
        f"The tokenizer of {name} is of a kind the MLX engine can't stream ({', '.join(map(str, kinds))}). "
        "Use a GGUF file of the model with engine='llamacpp'."
    )


def _byte_level_table() -> dict[str, int]:
    """Return the byte for each character of GPT-2's byte-level alphabet.

    Printable bytes stand for themselves, the others for the characters from U+0100 on, in order: ``bytes_to_unicode``
    in https://github.com/openai/gpt-2/blob/master/src/encoder.py.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _byte_level(token: str, table: dict[str, int]) -> bytes:
    try:
        return bytes(table[character] for character in token)
    except KeyError:  # not written in the alphabet, so it is plain text
        return token.encode()


def _sentence_piece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes.fromhex(token[3:5])
    return token.replace(_SPACE, " ").encode()
