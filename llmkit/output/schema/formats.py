"""The values of ``format`` that are enforced, as patterns.

Each matches valid ones alone, and where the standard allows odd forms (leap seconds, quoted mailboxes), not all of
them: what a model writes shall also be read by Python and pydantic.
"""

from __future__ import annotations

_LEAP_YEAR = "([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)"
_DAY = (
    "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    f"02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_HOUR = "([01][0-9]|2[0-3])"
_TIME = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_HOUR}:[0-5][0-9])"
_COUNT = "[0-9]{1,6}"
_CLOCK = f"(T({_COUNT}H({_COUNT}M({_COUNT}S)?)?|{_COUNT}M({_COUNT}S)?|{_COUNT}S))"
_SPAN = f"({_COUNT}D|{_COUNT}M({_COUNT}D)?|{_COUNT}Y({_COUNT}M({_COUNT}D)?)?){_CLOCK}?"
_LABEL = "[A-Za-z0-9](-?[A-Za-z0-9]){0,31}"
_HOST = rf"{_LABEL}(\.{_LABEL}){{0,3}}"
_ATOM = "[A-Za-z0-9_+-]{1,20}"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"({_BYTE}\.){{3}}{_BYTE}"
_GROUP = "[0-9a-fA-F]{1,4}"
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        *(f"({_GROUP}:){{{before}}}(:{_GROUP}){{1,{7 - before}}}" for before in range(1, 7)),
        f":(:{_GROUP}){{1,7}}",
        f"({_GROUP}:){{1,7}}:",
        "::",
    ]
)
_ENCODED = "%[0-9A-Fa-f]{2}"
_IN_PATH = f"([A-Za-z0-9._~!$&'()*+,;=:@-]|{_ENCODED})"
_IN_NAME = f"([A-Za-z0-9._~!$&'()*+,;=-]|{_ENCODED})"
_AUTHORITY = rf"(([A-Za-z0-9._~!$&'()*+,;=:-]|{_ENCODED})*@)?({_IN_NAME}*|\[({_IPV6})\])(:[0-9]{{0,5}})?"
_TAIL = rf"(\?({_IN_PATH}|[/?])*)?(#({_IN_PATH}|[/?])*)?"
_PATH = f"(//{_AUTHORITY}(/{_IN_PATH}*)*|/({_IN_PATH}+(/{_IN_PATH}*)*)?|{_IN_PATH}+(/{_IN_PATH}*)*)?"
_RELATIVE = f"(//{_AUTHORITY}(/{_IN_PATH}*)*|/({_IN_PATH}+(/{_IN_PATH}*)*)?|({_IN_NAME}|@)+(/{_IN_PATH}*)*)?"
_POINTER = "(/([^/~]|~[01])*)*"

FORMATS: dict[str, str] = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"{_DAY}T{_TIME}",
    "duration": f"P({_SPAN}|{_CLOCK}|{_COUNT}W)",
    "email": rf"{_ATOM}(\.{_ATOM}){{0,2}}@{_LABEL}(\.{_LABEL}){{0,2}}\.[A-Za-z]{{2,20}}",
    "hostname": _HOST,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "ipvanyaddress": f"{_IPV4}|{_IPV6}",
    "json-pointer": _POINTER,
    "relative-json-pointer": f"(0|[1-9][0-9]*)(#|{_POINTER})",
    "uri": f"[A-Za-z][A-Za-z0-9+.-]*:{_PATH}{_TAIL}",
    "uri-reference": f"([A-Za-z][A-Za-z0-9+.-]*:{_PATH}|{_RELATIVE}){_TAIL}",
    "uuid": "[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
}
"""The pattern of a whole text in each format; they have no anchors."""

WEB_ADDRESS = rf"https?://[a-z0-9](-?[a-z0-9]){{0,30}}(\.[a-z](-?[a-z0-9]){{0,30}}){{1,3}}(:[1-9][0-9]{{0,3}})?(/{_IN_PATH}*)*{_TAIL}"
"""What pydantic's types of addresses can read."""

SAYS_NOTHING = frozenset({"binary", "password", "path"})
"""Formats that any text has."""

OF_NUMBERS: dict[str, tuple[int, int] | None] = {
    "double": None,
    "float": None,
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
"""OpenAPI's formats of numbers, and their bounds."""
