#!/usr/bin/env python3
"""Verifies what a plugin gateway recorded, with nothing but this file and Python's standard library.

    verify_proof.py bundle FILE --key log.pub          one run, from a proof bundle; or one event, from its proof
    verify_proof.py bundle FILE --key operator.pub     a fleet's proof of a run, whose bundles are of several nodes
    verify_proof.py ledger DIR --key log.pub           a whole ledger, from its folder or a state folder

The formats and the checks are those of EVIDENCE.md, from which this file was written; it shares no code with the gateway,
so that a mistake in one of the two shows as a difference. It reads, it never writes, and it never asks the network.

The key is the log's public key as the auditor got it from the operator: an SPKI PEM file (`log.pub`) or a C2SP verifier key
(`log.vkey`). A key that lies inside a bundle or beside a ledger is never looked at.

Every check is told as pass, fail or not_checked. Exit codes: 0 every check that could be made passed, 1 one failed, 2 wrong
usage, or a file that cannot be read. With --json one JSON document stands on stdout and nothing else.

Python 3.8 or newer.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import calendar
import functools
import hashlib
import hmac
import json
import os
import re
import sys
from time import sleep
from typing import Any, BinaryIO, Callable, Iterable, Iterator, NamedTuple, Sequence

FORMAT = "plugin-gateway-proof/1"
FORMAT_2 = "plugin-gateway-proof/2"  # the same, where witnesses may have signed the checkpoint too
SINGLE = "c2sp.org/tlog-proof@v1"  # the proof of one event
FLEET_FORMAT = "plugin-gateway-fleet-proof/1"
DECISION_FORMAT = "plugin-gateway-decision/1"

# Limits: what is larger was not written by a gateway.
MAX_LINE_BYTES = 65_535  # an event without its newline
MAX_NOTE_BYTES = 64 << 10  # a checkpoint, or a key file; ours have some 250 bytes
MAX_BUNDLE_BYTES = 512 << 20  # about a hundred thousand events
MAX_SAFE_INTEGER = 2**53 - 1  # beyond it doubles, and so RFC 8785, skip integers
MAX_TREE_SIZE = 2**64 - 1
MAX_SIGNATURES = 100  # of one checkpoint
MAX_PATH = 64  # hashes of one inclusion proof

# How long an unfinished last line may take to be finished by a gateway at work, in seconds; a write takes far less.
SETTLE_SECONDS = 0.2


class Flaw(Exception):
    """Why something is not what it should be, in words that end up in a check's detail."""


class Unusable(Exception):
    """Why nothing could be checked at all: a wrong path or a file that is no key. It ends with exit code 2."""


# ----------------------------------------------------------------------------------------------------------------------
# Ed25519 (RFC 8032, section 5.1), verification only.
#
# It handles nothing secret, so it need not run in constant time. It is as strict as the RFC lets a verifier be: encodings
# must be canonical, S must be below the group's order, the equation is the one without cofactor, and points of small order,
# with which one signature would fit many messages, are refused.
# ----------------------------------------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

# A point (x, y) as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z: adding needs no division.
NEUTRAL = (0, 1, 1, 0)


def decode_point(data: bytes):
    """The point that 32 bytes encode, or None when they encode none or are not its one canonical encoding."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    # x² = (y² - 1) / (dy² + 1), by RFC 8032, section 5.1.3.
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * SQRT_OF_MINUS_1 % P
    if (v * x * x - u) % P != 0 or (x == 0 and sign == 1):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def encode_point(point) -> bytes:
    """The canonical 32 bytes of a point."""
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def add_points(p, q):
    """The sum of two points; the formula is complete, so they may be equal or neutral."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def double_point(p):
    """A point added to itself, which is cheaper than `add_points`."""
    a, b, c = p[0] * p[0] % P, p[1] * p[1] % P, 2 * p[2] * p[2] % P
    e, g, h = ((p[0] + p[1]) * (p[0] + p[1]) - a - b) % P, b - a, -a - b
    f = g - c
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def combine(s: int, p, k: int, q):
    """[s]p + [k]q, both scalars read bit by bit together (Straus)."""
    both = add_points(p, q)
    result = NEUTRAL
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        result = double_point(result)
        chosen = (s >> bit & 1, k >> bit & 1)
        if chosen == (1, 1):
            result = add_points(result, both)
        elif chosen == (1, 0):
            result = add_points(result, p)
        elif chosen == (0, 1):
            result = add_points(result, q)
    return result


def is_small_order(point) -> bool:
    """Whether eight times the point is neutral."""
    x, y, z, _ = double_point(double_point(double_point(point)))
    return x % P == 0 and (y - z) % P == 0


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


# The same note often stands in two places, as a checkpoint and as the anchor.
@functools.lru_cache(maxsize=256)
def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is one of the key `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decode_point(public), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or is_small_order(a) or is_small_order(r):
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    # [S]B = R + [k]A, written as [S]B + [k](-A) = R.
    return encode_point(combine(s, BASE, k, minus_a)) == signature[:32]


# ----------------------------------------------------------------------------------------------------------------------
# JSON: a strict reader, and the one canonical form (RFC 8785).
# ----------------------------------------------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    """The canonical JSON of a value that holds no other numbers than integers, as all of this format's do."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is int:
        return str(value)
    if type(value) is str:
        # The library's writer escapes what RFC 8785 says and in its way: quote, backslash, and what is below U+0020.
        return json.dumps(value, ensure_ascii=False)
    if type(value) is list:
        return "[" + ",".join(map(canonical, value)) + "]"
    # Names are sorted by their UTF-16 code units, which is not the order of code points beyond U+FFFF.
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"


def _unique(members: Sequence[tuple]) -> dict:
    """Makes an object of its members; Python itself would keep the last of two with the same name."""
    made = dict(members)
    if len(made) != len(members):
        names = [name for name, _ in members]
        raise Flaw(f"the name {shown(next(name for name in names if names.count(name) > 1))} stands twice in one object")
    return made


def _integer(literal: str) -> int:
    if len(literal) > 17 or abs(int(literal)) > MAX_SAFE_INTEGER:
        raise Flaw(f"the number {literal[:40]} is beyond what a double holds")
    return int(literal)


def _decimal(literal: str) -> int:
    """An integer may be written with a fraction or an exponent; nothing else is a number of these formats."""
    number = float(literal)
    vanished = number == 0 and re.search("[1-9]", re.split("[eE]", literal)[0])
    if vanished or not number.is_integer() or abs(number) > MAX_SAFE_INTEGER:
        raise Flaw(f"the number {literal[:40]} is not an integer that a double holds")
    return int(number)


def _no_number(literal: str) -> Any:
    raise Flaw(f"{literal} is not a number")


def read_json(data: bytes) -> tuple:
    """Reads one JSON value in any form from UTF-8; no duplicate names, and no numbers but integers that a double holds.

    Gives the value, and it in canonical form.
    """
    try:
        # Python takes a byte order mark for a character here, and JSON knows none such.
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_no_number
        )
        # The library reads an escaped half of a surrogate pair; written out, it shows.
        return value, canonical(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Flaw("it holds half of a surrogate pair") from error
    except UnicodeDecodeError as error:
        raise Flaw(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise Flaw(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise Flaw("it is nested too deeply") from error


def read_canonical(data: bytes) -> Any:
    """Reads one JSON value that must stand in canonical form, byte for byte."""
    value, written = read_json(data)
    if written != data:
        at = next((at for at, (one, other) in enumerate(zip(written, data)) if one != other), min(len(written), len(data)))
        raise Flaw(f"it is not written in canonical JSON (RFC 8785): it departs from it at byte {at}")
    return value


def shown(text: str) -> str:
    """A text from the evidence as it may be shown: quoted, escaped, and cut to a readable length."""
    return json.dumps(text if len(text) <= 80 else text[:80] + "...")


# ----------------------------------------------------------------------------------------------------------------------
# Shapes: which fields there are and what each may hold. A shape is a function that raises Flaw.
# ----------------------------------------------------------------------------------------------------------------------

Shape = Callable[[Any, str], None]


def matching(pattern: str, rule: str) -> Shape:
    """A text that matches `pattern` as a whole; `rule` says so in words."""
    compiled = re.compile(pattern)

    def check(value: Any, what: str) -> None:
        if type(value) is not str or compiled.fullmatch(value) is None:
            raise Flaw(f"{what} is not {rule}")

    return check


def characters(least: int, most: int) -> Shape:
    """A text of so many characters (Unicode scalar values)."""

    def check(value: Any, what: str) -> None:
        if type(value) is not str or not least <= len(value) <= most:
            raise Flaw(f"{what} is not a text of {least} to {most} characters")

    return check


def objects(**members: Shape) -> Shape:
    """An object with exactly these members."""

    def check(value: Any, what: str) -> None:
        if type(value) is not dict:
            raise Flaw(f"{what} is not an object")
        for name in value:
            if name not in members:
                raise Flaw(f"{what} has a field {shown(name)}, which the format does not know")
        for name, shape in members.items():
            if name not in value:
                raise Flaw(f"{what} has no field {shown(name)}")
            shape(value[name], f"{what}.{name}")

    return check


def arrays(item: Shape) -> Shape:
    """An array in which every item has the same shape."""

    def check(value: Any, what: str) -> None:
        if type(value) is not list:
            raise Flaw(f"{what} is not an array")
        for at, one in enumerate(value):
            item(one, f"{what}[{at}]")

    return check


def text(value: Any, what: str) -> None:
    """Any text."""
    if type(value) is not str:
        raise Flaw(f"{what} is not a text")


def texts(value: Any, what: str) -> None:
    """An object from texts to texts."""
    if type(value) is not dict or not all(type(member) is str for member in value.values()):
        raise Flaw(f"{what} is not an object of texts")


def boolean(value: Any, what: str) -> None:
    """True or false."""
    if type(value) is not bool:
        raise Flaw(f"{what} is neither true nor false")


def index(value: Any, what: str) -> None:
    """A number that counts events from 0."""
    if type(value) is not int or value < 0:
        raise Flaw(f"{what} is not a number from 0")


TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def time(value: Any, what: str) -> None:
    """A point in time as RFC 3339 writes it; second 60 only where UTC can have a leap second."""
    found = TIME.fullmatch(value) if type(value) is str else None
    if found is None:
        raise Flaw(f"{what} is not an RFC 3339 time")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    sign, east_hours, east_minutes = found.group(8), int(found.group(9) or 0), int(found.group(10) or 0)
    offset = (east_hours * 60 + east_minutes) * (-1 if sign == "-" else 1)
    leap = second == 60 and (hour * 60 + minute - offset) % 1440 == 1439
    # Year 0 is a leap year as 2000 is; the library's calendar begins with year 1.
    exists = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year or 2000, month)[1]
    if not (exists and hour < 24 and minute < 60 and (second < 60 or leap) and east_hours < 24 and east_minutes < 60):
        raise Flaw(f"{what} is a time that does not exist")


def utc_milliseconds(value: Any, what: str) -> None:
    """A time as the ledger writes it: `2026-01-31T12:00:00.000Z`."""
    time(value, what)
    if len(value) != 24 or value[10] != "T" or value[19] != "." or value[23] != "Z":
        raise Flaw(f"{what} is not in UTC with milliseconds")


sha256_hex = matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits")
sha256_hex_or_empty = matching("(?:[0-9a-f]{64})?", "64 lower-case hexadecimal digits or empty")
uuid_7 = matching(
    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "a version 7 UUID in lower case"
)
plugin_id = matching("[a-z0-9][a-z0-9._-]{2,63}", "a plugin id")
plugin_id_or_empty = matching("(?:[a-z0-9][a-z0-9._-]{2,63})?", "a plugin id or empty")
kind = matching("REGISTER|ENABLE|DISABLE|INVOKE|RESULT|REJECT|ERROR|PROOF_EXPORT", "a kind of event")
severity = matching("error|warning|info", "a severity")

EVENT = objects(
    event_hash=sha256_hex,
    event_id=uuid_7,
    input_hash=sha256_hex_or_empty,
    kind=kind,
    meta=texts,
    output_hash=sha256_hex_or_empty,
    plugin_id=plugin_id_or_empty,
    prev_hash=sha256_hex_or_empty,
    request_id=characters(0, 256),
    run_id=characters(1, 256),
    ts=utc_milliseconds,
)

BUNDLE = objects(
    checkpoint=text,
    created_at=time,
    events=arrays(EVENT),
    export=objects(event=EVENT, hashes=arrays(sha256_hex), index=index),
    format=matching(f"{re.escape(FORMAT)}|{re.escape(FORMAT_2)}", f"{FORMAT} or {FORMAT_2}"),
    head_event_hash=sha256_hex,
    inclusion=arrays(objects(hashes=arrays(sha256_hex), index=index)),
    plugin_manifest_digests=arrays(objects(manifest_hash=sha256_hex, plugin_id=plugin_id)),
    proof_id=uuid_7,
    run_id=characters(1, 256),
    validation_reports=arrays(
        objects(
            checked_at=time,
            issues=arrays(objects(field=text, message=text, severity=severity)),
            manifest_hash=sha256_hex_or_empty,
            valid=boolean,
        )
    ),
)


# ----------------------------------------------------------------------------------------------------------------------
# Events, and the tree over their lines (RFC 6962).
# ----------------------------------------------------------------------------------------------------------------------


def line_of(event: dict) -> bytes:
    """An event's line without its newline: its canonical JSON, which is what a leaf of the tree hashes."""
    return canonical(event).encode("utf-8")


def hash_of_line(line: bytes) -> str:
    """What the `event_hash` of a canonical line must be: SHA-256 of the canonical event without that member.

    The member sorts first, so what is left is an opening brace and the line from byte 81 on.
    """
    return hashlib.sha256(b"{" + line[81:]).hexdigest()


def read_line(line: bytes) -> dict:
    """Reads one line of a ledger, which must be an event in canonical form, byte for byte."""
    event = read_canonical(line)
    EVENT(event, "the event")
    return event


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf: SHA-256 of 0x00 and the line."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 of 0x01 and its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf. It keeps the roots of its perfect subtrees, largest first: one for each 1 bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list = []

    def push(self, leaf: bytes) -> None:
        """Adds the hash of a leaf; each trailing 1 bit of the size is a subtree that this completes to one of twice its size."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root; that of no leaves is SHA-256 of nothing."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_by_path(leaf: bytes, at: int, size: int, path: Sequence[bytes]):
    """The root to which an inclusion proof leads (RFC 9162, section 2.1.3.2), or None when it is too short or too long."""
    if at >= size:
        return None
    node, last, found = at, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None


# ----------------------------------------------------------------------------------------------------------------------
# Keys and checkpoints: C2SP signed notes with the log's Ed25519 signature, and those of witnesses.
# ----------------------------------------------------------------------------------------------------------------------

ED25519_NOTE = b"\x01"
COSIGNATURE_NOTE = b"\x04"
# SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), up to its 32 bytes.
SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END PUBLIC KEY-----")
SIGNATURE_MARK = "\N{EM DASH} "


def decode_base64(text: str):
    """The bytes of padded standard base64, or None when it is not the one way to write them."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode("ascii") == text else None


def is_key_name(name: str) -> bool:
    """Whether a key may have this name: something, without white space and without a plus sign."""
    return name != "" and "+" not in name and not any(character.isspace() for character in name)


def note_key_id(name: str, public: bytes, kind: bytes = ED25519_NOTE) -> bytes:
    """A key's id in notes: the first 4 bytes of SHA-256 of its name, a newline, the type byte and the key."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + kind + public).digest()[:4]


def read_vkey(text: str, kind: bytes):
    """The name and the 32 bytes of a verifier key `name+hash+base64` of this kind, or None when it is not one."""
    # The base64 part may itself hold a plus sign, so the first two divide.
    name, hash_hex, encoded = (text.split("+", 2) + ["", ""])[:3]
    data = decode_base64(encoded) or b""
    if not is_key_name(name) or len(data) != 33 or data[:1] != kind:
        return None
    return (name, data[1:]) if hash_hex == note_key_id(name, data[1:], kind).hex() else None


class Checkpoint(NamedTuple):
    """What a log's key vouches for: so many events, and the root over their lines."""

    size: int
    root: bytes


class LogKey:
    """A log's public key, and its name where the key's file says it."""

    def __init__(self, public: bytes, name=None) -> None:
        point = decode_point(public)
        if point is None or is_small_order(point):
            raise Flaw("the key is no Ed25519 key, or one so weak that it vouches for nothing")
        self.public = public
        self.name = name

    @classmethod
    def parse(cls, text: str) -> "LogKey":
        """Reads an SPKI PEM file or a C2SP verifier key `name+hash+base64`."""
        text = text.strip()
        pem = PEM.fullmatch(text)
        if pem is not None:
            der = decode_base64(re.sub(r"[\r\n]", "", pem.group(1))) or b""
            if len(der) == 44 and der.startswith(SPKI_PREFIX):
                return cls(der[len(SPKI_PREFIX) :])
            raise Flaw("the PEM file holds no Ed25519 public key")
        found = read_vkey(text, ED25519_NOTE)
        if found is None:
            raise Flaw("the key is neither a PEM public key (Ed25519) nor a verifier key name+hash+base64")
        return cls(found[1], found[0])

    def id(self) -> str:
        """The name by which people know it: the first 16 hex digits of SHA-256 of its 32 bytes."""
        return hashlib.sha256(self.public).hexdigest()[:16]

    def open_cosigned(self, note: str) -> Checkpoint:
        """What a checkpoint says that witnesses may have signed too: this key must have, exactly once."""
        text, lines = split_cosigned(note)
        name = text.split("\n")[0] if self.name is None else self.name
        key_id = note_key_id(name, self.public)
        own = [line for line in lines if (line.name, line.key_id) == (name, key_id)]
        if not own:
            raise Flaw(f"the checkpoint is not signed by key {name}+{key_id.hex()}")
        if len(own) > 1:
            raise Flaw("the checkpoint has two signatures by one key")
        if not verify_ed25519(self.public, text.encode("utf-8"), own[0].signature):
            raise Flaw("the checkpoint's signature does not hold")
        return read_checkpoint(text, name)

    def open(self, note: str) -> Checkpoint:
        """What a checkpoint says, when this key signed it and it has exactly the form of one."""
        text, name, key_id, signature = split_note(note)
        expected = name if self.name is None else self.name
        if (name, key_id) != (expected, note_key_id(expected, self.public)):
            raise Flaw(f"the checkpoint is not signed by key {expected}+{note_key_id(expected, self.public).hex()}")
        if not verify_ed25519(self.public, text.encode("utf-8"), signature):
            raise Flaw("the checkpoint's signature does not hold")
        return read_checkpoint(text, name)


def split_note(note: str):
    """Divides a note into its text with the last newline, and the name, key id and signature of its one signature line."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES:
        raise Flaw("the checkpoint is too long")
    text, blank, line = note.rpartition("\n\n")
    if not blank or not line.endswith("\n"):
        raise Flaw("the checkpoint has not a text, an empty line and a signature line, each ended by a newline")
    mark, name, encoded = line[:2], *(line[2:-1].split(" ", 1) + [""])[:2]
    data = decode_base64(encoded) or b""
    if mark != SIGNATURE_MARK or not is_key_name(name) or len(data) != 68:
        raise Flaw("the checkpoint has not exactly one Ed25519 signature")
    return text + "\n", name, data[:4], data[4:]


class SignatureLine(NamedTuple):
    """One signature of a note."""

    name: str
    key_id: bytes
    signature: bytes


def split_cosigned(note: str):
    """Divides a note into its text with the last newline, and all of its signature lines."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES:
        raise Flaw("the checkpoint is too long")
    text, blank, rest = note.rpartition("\n\n")
    if not blank or not rest.endswith("\n"):
        raise Flaw("the checkpoint has not a text, an empty line and signature lines, each ended by a newline")
    lines = [signature_line(line) for line in rest[:-1].split("\n")]
    if len(lines) > MAX_SIGNATURES:
        raise Flaw("the checkpoint has too many signatures")
    return text + "\n", lines


def signature_line(line: str) -> SignatureLine:
    """Reads one signature line: a dash, a name, and the base64 of a key's id and what that key made."""
    name, encoded = (line[2:].split(" ", 1) + [""])[:2]
    data = decode_base64(encoded) or b""
    if line[:2] != SIGNATURE_MARK or not is_key_name(name) or len(data) < 5:
        raise Flaw("one of the checkpoint's signature lines is not one")
    return SignatureLine(name, data[:4], data[4:])


def read_checkpoint(text: str, signer: str) -> Checkpoint:
    """Reads the three lines of a checkpoint's text: origin, size and root."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] != "":
        raise Flaw("the checkpoint's text has not exactly three lines")
    origin, size, root = lines[0], lines[1], decode_base64(lines[2])
    if origin != signer:
        raise Flaw("the checkpoint's origin is not the name of its signer")
    if re.fullmatch("[1-9][0-9]{0,19}", size) is None or int(size) > MAX_TREE_SIZE:
        raise Flaw("the checkpoint's size is not a plain positive number")
    if root is None or len(root) != 32:
        raise Flaw("the checkpoint's root is not the base64 of 32 bytes")
    return Checkpoint(int(size), root)


# ----------------------------------------------------------------------------------------------------------------------
# Witnesses: their cosignatures (C2SP tlog-cosignature, version 1), and the policy that says how many are enough (C2SP tlog-policy).
# ----------------------------------------------------------------------------------------------------------------------


class Witness(NamedTuple):
    """A witness of a policy: what the policy calls it, and its key's name and 32 bytes."""

    name: str
    key_name: str
    public: bytes

    def is_of(self, line: SignatureLine) -> bool:
        """Whether a signature line says that it is by this witness."""
        return (line.name, line.key_id) == (self.key_name, note_key_id(self.key_name, self.public, COSIGNATURE_NOTE))

    def check(self, text: str, line: SignatureLine) -> None:
        """Checks its signature over a checkpoint: 8 bytes that say when, and 64 over that and the text."""
        moment = int.from_bytes(line.signature[:8], "big")
        message = f"cosignature/v1\ntime {moment}\n{text}".encode("utf-8")
        whole = len(line.signature) == 72 and 1 <= moment <= 2**63 - 1
        if not whole or not verify_ed25519(self.public, message, line.signature[8:]):
            raise Flaw(f"the cosignature of witness {shown(self.name)} does not hold")


class Policy:
    """Which logs, which witnesses, and which of them are enough. A member is a witness, or a number and members."""

    def __init__(self, text: bytes) -> None:
        self.logs: list = []
        self.witnesses: list = []
        self.members: dict = {}
        self.placed: set = set()
        self.quorums: list = []
        if len(text) > MAX_NOTE_BYTES:
            raise Flaw("it is too long")
        for number, line in enumerate(text.split(b"\n"), 1):
            try:
                self.take(line)
            except Flaw as flaw:
                raise Flaw(f"line {number}: {flaw}") from flaw
        if not self.quorums:
            raise Flaw("it has no line 'quorum'")

    def take(self, line: bytes) -> None:
        """Takes one line. Names are bytes, whatever they mean."""
        if any((byte < 0x20 and byte != 9) or byte == 0x7F for byte in line):
            raise Flaw("it holds a control character")
        # Only space and tab divide.
        words = [word.decode("utf-8", "surrogateescape") for word in re.split(rb"[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            return
        verb, rest = words[0], words[1:]
        if verb == "log" and len(rest) in (1, 2):
            self.log(rest[0])
        elif verb == "witness" and len(rest) in (2, 3):
            self.witness(rest[0], rest[1])
        elif verb == "group" and len(rest) >= 3:
            self.group(rest[0], rest[1], rest[2:])
        elif verb == "quorum" and len(rest) == 1:
            if self.quorums:
                raise Flaw("there is a quorum already")
            self.quorums.append(None if rest[0] == "none" else self.named(rest[0]))
        else:
            raise Flaw(f"{shown(verb)} with these words is not one of a policy")

    def log(self, vkey: str) -> None:
        """A log, whose key stands once."""
        public = LogKey.parse(vkey).public
        if public in self.logs:
            raise Flaw("the same log key stands twice")
        self.logs.append(public)

    def witness(self, name: str, vkey: str) -> None:
        """A witness, whose name and whose key stand once each: one key under two names would count twice."""
        found = read_vkey(vkey, COSIGNATURE_NOTE)
        point = decode_point(found[1]) if found else None
        if found is None or point is None or is_small_order(point):
            raise Flaw("the witness key is no verifier key for cosignatures (type 4, Ed25519)")
        if any(other.public == found[1] for other in self.witnesses):
            raise Flaw(f"witness {shown(name)} has the same key as another")
        witness = Witness(name, *found)
        self.define(name, witness)
        self.witnesses.append(witness)

    def group(self, name: str, least: str, names: Sequence[str]) -> None:
        """So many of these, each of which is a member of one group only."""
        count = {"any": 1, "all": len(names)}.get(least)
        if count is None:
            if re.fullmatch("0|[1-9][0-9]{0,8}", least) is None:
                raise Flaw(f"{shown(least)} is neither a number, 'any' nor 'all'")
            count = int(least)
        if not 1 <= count <= len(names):
            raise Flaw(f"{count} of {len(names)} members")
        members = []
        for member in names:
            members.append(self.named(member))
            if member in self.placed:
                raise Flaw(f"{shown(member)} is a member already")
            self.placed.add(member)
        self.define(name, (count, members))

    def named(self, name: str) -> Any:
        """What was defined under a name."""
        if name not in self.members:
            raise Flaw(f"{shown(name)} is not defined before it")
        return self.members[name]

    def define(self, name: str, member: Any) -> None:
        """Gives a name, which is taken from then on."""
        if name == "none" or name in self.members:
            raise Flaw(f"the name {shown(name)} is taken")
        self.members[name] = member

    def check(self, key: LogKey, note: str) -> str:
        """Enough witnesses cosigned this checkpoint. Signatures of unknown keys are passed over; one that does not hold is a flaw."""
        if self.logs and key.public not in self.logs:
            raise Flaw("the policy names other logs than this one")
        text, lines = split_cosigned(note)
        found = []
        for witness in self.witnesses:
            own = [line for line in lines if witness.is_of(line)]
            if len(own) > 1:
                raise Flaw("the checkpoint has two signatures by one key")
            if own:
                witness.check(text, own[0])
                found.append(witness)
        names = ", ".join(witness.name for witness in found) or "none"
        words = f"{len(found)} of {len(self.witnesses)} witnesses cosigned: {names}"
        if self.quorums[0] is not None and not self.reached(self.quorums[0], found):
            raise Flaw(f"the policy's quorum is not reached: {words}")
        return words

    def reached(self, member: Any, found: list) -> bool:
        """Whether a witness cosigned, or enough members of a group did. Groups are made of what stands before them, so this ends."""
        if isinstance(member, Witness):
            return member in found
        count, members = member
        return sum(self.reached(one, found) for one in members) >= count


# ----------------------------------------------------------------------------------------------------------------------
# Reports.
# ----------------------------------------------------------------------------------------------------------------------

PASS, FAIL, NOT_CHECKED = "pass", "fail", "not_checked"


class Check(NamedTuple):
    """One check: its name, what came of it, and that in words."""

    name: str
    outcome: str
    detail: str


class Report:
    """Every check in order, and what else is worth telling a program."""

    def __init__(self) -> None:
        self.checks: list = []
        self.facts: dict = {}

    def add(self, name: str, outcome: str, detail: str) -> None:
        """Notes one check."""
        self.checks.append(Check(name, outcome, detail))

    def make(self, name: str, check: Callable[[], str]) -> bool:
        """Makes one check: `check` gives the words of a pass, or raises the flaw."""
        try:
            self.add(name, PASS, check())
            return True
        except Flaw as flaw:
            self.add(name, FAIL, str(flaw))
            return False

    @property
    def valid(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome != FAIL for check in self.checks)

    def to_json(self) -> dict:
        """The report as a JSON object."""
        return {"valid": self.valid, **self.facts, "checks": [check._asdict() for check in self.checks]}


# ----------------------------------------------------------------------------------------------------------------------
# A proof bundle.
# ----------------------------------------------------------------------------------------------------------------------

BUNDLE_CHECKS = [
    "event_hashes",
    "run_order",
    "checkpoint_signature",
    "inclusion",
    "run_completeness",
    "attachments",
    "chain_links",
]

BEYOND_THE_BUNDLE = (
    "a bundle does not prove that what the events say is true, that nothing of the run was recorded after the export, or that"
    " the log shows everyone the same history: compare its checkpoint with the anchor or with other copies for that"
)


def check_proof(data: bytes, key: LogKey, policy=None) -> Report:
    """Checks a bundle, or the proof of one event, against the log's key and the auditor's policy."""
    return (check_single if data.startswith(SINGLE.encode("ascii")) else check_bundle)(data, key, policy)


def check_bundle(data: bytes, key: LogKey, policy=None) -> Report:
    """Checks a bundle's bytes against the log's key."""
    report = Report()
    held: list = []

    def schema() -> str:
        # The form does not count, so that a bundle may be laid out and written again by any tool.
        bundle, _ = read_json(data)
        BUNDLE(bundle, "the bundle")
        held.append(bundle)
        return f"a {bundle['format']} bundle of {len(bundle['events'])} events"

    if report.make("schema", schema):
        check_bundle_parts(held[0], key, report)
        if policy is not None:
            report.make("witnesses", lambda: policy.check(key, held[0]["checkpoint"]))
    else:
        for name in BUNDLE_CHECKS + (["witnesses"] if policy is not None else []):
            report.add(name, NOT_CHECKED, "the bundle cannot be read")
    report.add("beyond_the_bundle", NOT_CHECKED, BEYOND_THE_BUNDLE)
    return report


def check_payload(data: bytes, payload_hash: str, salt: Any, report: Report) -> None:
    """Checks which events carry a payload; where their hashes are salted, with the salt (EVIDENCE.md, section 12)."""

    def payload() -> str:
        for value, what in ((payload_hash, "the payload's hash"), (salt or payload_hash, "the salt")):
            sha256_hex(value, what)
        plain = bytes.fromhex(payload_hash)
        key = bytes.fromhex(salt or "")
        salted = hmac.new(key, plain, hashlib.sha256).hexdigest() if salt else None
        bundle, _ = read_json(data)
        found = []
        for place, event in placed_events(bundle):
            is_salted = event["meta"].get("hashes") == "salted"
            wanted = salted if is_salted else payload_hash
            names = [name for name in ("input_hash", "output_hash") if event[name] and event[name] == wanted]
            found.extend(f"event {place['index']} as {name}" for name in names)
        if not found:
            raise Flaw("no event carries it" + ("" if salt else ", as far as that shows without a salt"))
        return "carried by " + ", ".join(found)

    report.make("payload", payload)


def check_bundle_parts(bundle: dict, key: LogKey, report: Report) -> None:
    """Makes every check of a bundle that has the form of one."""
    opened: list = []

    def signature() -> str:
        note = bundle["checkpoint"]
        # Else the format's number could be changed and nobody saw it.
        if bundle["format"] == FORMAT_2 and len(split_cosigned(note)[1]) < 2:
            raise Flaw("the checkpoint has one signature, which is format 1's form")
        opened.append(key.open(note) if bundle["format"] == FORMAT else key.open_cosigned(note))
        return f"key {key.id()} signed for {opened[0].size} events"

    report.make("event_hashes", lambda: event_hashes(bundle))
    report.make("run_order", lambda: run_order(bundle))
    if report.make("checkpoint_signature", signature):
        report.make("inclusion", lambda: inclusion(bundle, opened[0]))
    else:
        report.add("inclusion", NOT_CHECKED, "there is no checkpoint that the key vouches for")
    report.make("run_completeness", lambda: run_completeness(bundle))
    report.make("attachments", lambda: attachments(bundle))
    links = neighbours(bundle)
    if links:
        report.make("chain_links", lambda: chain_links(links))
    else:
        report.add("chain_links", NOT_CHECKED, "no two events of the bundle are neighbours in the log")


def all_events(bundle: dict) -> list:
    """The run's events and, last, the export's own."""
    return bundle["events"] + [bundle["export"]["event"]]


def placed_events(bundle: dict) -> list:
    """Each event with its inclusion proof, `{hashes, index}`, in order, and the export's own last.

    Where there are more of one than of the other, which is a failure of `run_order`, the rest has no partner.
    """
    return list(zip(bundle["inclusion"], bundle["events"])) + [(bundle["export"], bundle["export"]["event"])]


def event_hashes(bundle: dict) -> str:
    """Every event hashes to its own `event_hash`."""
    for event in all_events(bundle):
        if hash_of_line(line_of(event)) != event["event_hash"]:
            raise Flaw(f"event {event['event_id']} does not hash to its event_hash")
    return f"{len(all_events(bundle))} events carry their own hash"


def run_order(bundle: dict) -> str:
    """The events are of the run, none is an export, they stand in ledger order before the export, and the head is the last."""
    events, placed = bundle["events"], placed_events(bundle)
    if len(bundle["inclusion"]) != len(events):
        raise Flaw(f"there are {len(bundle['inclusion'])} proofs for {len(events)} events")
    for event in events:
        if event["run_id"] != bundle["run_id"] or event["kind"] == "PROOF_EXPORT":
            raise Flaw(f"event {event['event_id']} does not belong to the run")
    if any(before["index"] >= after["index"] for (before, _), (after, _) in zip(placed, placed[1:])):
        raise Flaw("the events do not stand in ledger order")
    if not events:
        raise Flaw("the run has no event")
    if events[-1]["event_hash"] != bundle["head_event_hash"]:
        raise Flaw("head_event_hash is not the last event's")
    return f"{len(events)} events of run {shown(bundle['run_id'])} in ledger order"


def inclusion(bundle: dict, checkpoint: Checkpoint) -> str:
    """Every event, the export's too, is in the tree of the checkpoint at its index."""
    for place, event in placed_events(bundle):
        path = [bytes.fromhex(one) for one in place["hashes"]]
        if root_by_path(leaf_hash(line_of(event)), place["index"], checkpoint.size, path) != checkpoint.root:
            raise Flaw(f"event {event['event_id']} is not proven to be event {place['index']} of the log")
    return f"{len(all_events(bundle))} proofs lead to the checkpoint's root"


def run_completeness(bundle: dict) -> str:
    """The export's event, which is itself in the log, commits to exactly these events."""
    export, events, places = bundle["export"]["event"], bundle["events"], bundle["inclusion"]
    if export["kind"] != "PROOF_EXPORT" or export["run_id"] != bundle["run_id"]:
        raise Flaw("the export's event is not a PROOF_EXPORT of this run")
    tree = Tree()
    for event in events:
        tree.push(leaf_hash(line_of(event)))
    committed = {
        "proof_id": bundle["proof_id"],
        "run_count": str(len(events)),
        "run_root": tree.root().hex(),
        "first_index": str(places[0]["index"]) if places else "",
        "last_index": str(places[-1]["index"]) if places else "",
    }
    for name, found in committed.items():
        if export["meta"].get(name) != found:
            raise Flaw(f"the export committed to another {name}")
    if export["ts"] != bundle["created_at"]:
        raise Flaw("created_at is not the time of the export's event")
    return f"the export committed to exactly these {len(events)} events"


def attachments(bundle: dict) -> str:
    """The export's event commits to the manifest digests and the validation reports."""
    beside = {name: bundle[name] for name in ("plugin_manifest_digests", "validation_reports")}
    if bundle["export"]["event"]["meta"].get("attachments_hash") != hashlib.sha256(line_of(beside)).hexdigest():
        raise Flaw("the export committed to other manifest digests or validation reports")
    return "the export committed to these manifest digests and validation reports"


def neighbours(bundle: dict) -> list:
    """The pairs of events that follow each other in the log without one between."""
    placed = placed_events(bundle)
    pairs = zip(placed, placed[1:])
    return [(one, other) for (at, one), (next_at, other) in pairs if at["index"] + 1 == next_at["index"]]


def chain_links(links: Sequence[tuple]) -> str:
    """Each event's `prev_hash` is the `event_hash` of the one before it, where that is there."""
    for before, event in links:
        if event["prev_hash"] != before["event_hash"]:
            raise Flaw(f"event {event['event_id']} is not linked to the one before it")
    return f"{len(links)} links between neighbours hold"


# ----------------------------------------------------------------------------------------------------------------------
# The proof of one event (C2SP tlog-proof), which holds the event's line as its extra data.
# ----------------------------------------------------------------------------------------------------------------------

BEYOND_THE_PROOF = (
    "a proof of one event does not prove that what it says is true, what else happened, or that the log shows everyone the"
    " same history: compare its checkpoint with the anchor or with other copies for that"
)


class Single(NamedTuple):
    """The parts of a proof of one event."""

    line: bytes
    event: dict
    index: int
    path: list
    note: str


def read_single(data: bytes) -> Single:
    """Reads a proof of one event; the event stands in canonical form, byte for byte."""
    try:
        head, blank, note = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise Flaw(f"it is not UTF-8 at byte {error.start}") from error
    lines = head.split("\n")
    if not blank or len(lines) < 3 or lines[0] != SINGLE:
        raise Flaw("it has not the lines of a proof of one event")
    line = decode_base64(lines[1][6:]) if lines[1].startswith("extra ") else None
    if line is None:
        raise Flaw("its second line is not `extra` and the base64 of an event")
    place = re.fullmatch("index (0|[1-9][0-9]{0,19})", lines[2])
    if place is None or int(place.group(1)) > MAX_TREE_SIZE:
        raise Flaw("its third line is not `index` and a plain number")
    path = [decode_base64(one) for one in lines[3:]]
    if len(path) > MAX_PATH or any(one is None or len(one) != 32 for one in path):
        raise Flaw("a line of its path is not the base64 of 32 bytes, or there are too many")
    return Single(line, read_line(line), int(place.group(1)), path, note)


def check_single(data: bytes, key: LogKey, policy=None) -> Report:
    """Checks the bytes of a proof of one event against the log's key."""
    report = Report()
    held: list = []
    opened: list = []

    def schema() -> str:
        held.append(read_single(data))
        return f"a {SINGLE} of one event"

    def event_hash() -> str:
        if hash_of_line(held[0].line) != held[0].event["event_hash"]:
            raise Flaw(f"event {held[0].event['event_id']} does not hash to its event_hash")
        return "the event carries its own hash"

    def signature() -> str:
        opened.append(key.open_cosigned(held[0].note))
        return f"key {key.id()} signed for {opened[0].size} events"

    def included() -> str:
        proof = held[0]
        if root_by_path(leaf_hash(proof.line), proof.index, opened[0].size, proof.path) != opened[0].root:
            raise Flaw(f"event {proof.event['event_id']} is not proven to be event {proof.index} of the log")
        return f"it is event {proof.index} of the log"

    names = ["event_hashes", "checkpoint_signature", "inclusion"] + (["witnesses"] if policy is not None else [])
    if report.make("schema", schema):
        report.make("event_hashes", event_hash)
        if report.make("checkpoint_signature", signature):
            report.make("inclusion", included)
        else:
            report.add("inclusion", NOT_CHECKED, "there is no checkpoint that the key vouches for")
        if policy is not None:
            report.make("witnesses", lambda: policy.check(key, held[0].note))
    else:
        for name in names:
            report.add(name, NOT_CHECKED, "the proof cannot be read")
    report.add("beyond_the_proof", NOT_CHECKED, BEYOND_THE_PROOF)
    return report


# ----------------------------------------------------------------------------------------------------------------------
# A fleet's proof: bundles of several nodes, the operator's voucher for each, and the caller's receipts.
# ----------------------------------------------------------------------------------------------------------------------

VOUCHER = objects(
    body=objects(
        decision=objects(
            kind=matching("vouch", "'vouch'"),
            log_key=text,
            node=matching("[0-9a-f]{16}", "a node's name"),
            node_key=text,
            node_signature=text,
        ),
        format=matching(re.escape(DECISION_FORMAT), DECISION_FORMAT),
        issued_at=time,
        number=index,
        previous=sha256_hex_or_empty,
    ),
    key_id=text,
    signature=text,
)

FLEET_PROOF = objects(
    created_at=time,
    format=matching(re.escape(FLEET_FORMAT), FLEET_FORMAT),
    parts=arrays(objects(bundle=BUNDLE, node=matching("[0-9a-f]{16}", "a node's name"), voucher=VOUCHER)),
    receipts=arrays(
        objects(
            checkpoint_size=index,
            event_hash=sha256_hex,
            node=matching("[0-9a-f]{16}", "a node's name"),
            request_id=characters(0, 256),
            run_id=characters(1, 256),
        )
    ),
    run_id=characters(1, 256),
)

FLEET_CHECKS = ["vouchers", "bundles", "one_result", "receipts"]

BEYOND_THE_FLEET = (
    "a fleet's proof does not say that every node was asked: a call whose caller kept no receipt, at a node that is not in it,"
    " does not show; what one bundle does not prove, several do not prove either"
)


def is_fleet_proof(data: bytes) -> bool:
    """Whether the bytes say that they are a fleet's proof."""
    try:
        value, _ = read_json(data)
    except Flaw:
        return False
    return type(value) is dict and value.get("format") == FLEET_FORMAT


def check_fleet_proof(data: bytes, operator: LogKey) -> Report:
    """Checks a fleet's proof against the operator's key."""
    report = Report()
    held: list = []

    def schema() -> str:
        proof, _ = read_json(data)
        FLEET_PROOF(proof, "the proof")
        held.append(proof)
        return f"a {FLEET_FORMAT} of {len(proof['parts'])} nodes and {len(proof['receipts'])} receipts"

    if report.make("schema", schema):
        proof = held[0]
        report.make("vouchers", lambda: fleet_vouchers(proof, operator))
        report.make("bundles", lambda: fleet_bundles(proof))
        report.make("one_result", lambda: fleet_one_result(proof))
        report.make("receipts", lambda: fleet_receipts(proof))
    else:
        for name in FLEET_CHECKS:
            report.add(name, NOT_CHECKED, "the proof cannot be read")
    report.add("beyond_the_bundle", NOT_CHECKED, BEYOND_THE_FLEET)
    return report


def is_statement(key: LogKey, kind: str, statement: bytes, signature: str) -> bool:
    """Whether the key signed the text as a statement of this kind."""
    framed = f"plugin-gateway/{kind}/1\n{hashlib.sha256(statement).hexdigest()}\n".encode("utf-8")
    return verify_ed25519(key.public, framed, decode_base64(signature) or b"")


def fleet_vouchers(proof: dict, operator: LogKey) -> str:
    """The operator vouches for each node, and each node for its log."""
    seen: set = set()
    for part in proof["parts"]:
        node, voucher = part["node"], part["voucher"]
        if node in seen:
            raise Flaw(f"node {node} has two parts")
        seen.add(node)
        vouched = voucher["body"]["decision"]
        if vouched["node"] != node:
            raise Flaw(f"node {node}: its voucher is about something else")
        if not is_statement(operator, "decision", line_of(voucher["body"]), voucher["signature"]):
            raise Flaw(f"node {node}: key {operator.id()} did not sign its voucher")
        key = LogKey.parse(vouched["node_key"])
        if key.id() != node:
            raise Flaw(f"node {node} has another key than its name says")
        named = f"{node}\n{vouched['log_key'].strip()}\n".encode("utf-8")
        if not is_statement(key, "node", named, vouched["node_signature"]):
            raise Flaw(f"node {node} did not sign its log's key")
    return f"key {operator.id()} vouches for {len(seen)} nodes, and each for its log"


def fleet_bundles(proof: dict) -> str:
    """Every node's bundle holds against the log's key that its voucher names."""
    events = 0
    for part in proof["parts"]:
        node, bundle = part["node"], part["bundle"]
        key = LogKey.parse(part["voucher"]["body"]["decision"]["log_key"])
        if bundle["run_id"] != proof["run_id"]:
            raise Flaw(f"node {node}: its bundle is of another run")
        for check in check_bundle(line_of(bundle), key).checks:
            if check.outcome == FAIL:
                raise Flaw(f"node {node}: {check.name}: {check.detail}")
        events += len(bundle["events"])
    return f"{len(proof['parts'])} bundles hold, with {events} events of the run"


def fleet_one_result(proof: dict) -> str:
    """No request has two results, on whichever nodes."""
    results: dict = {}
    for part in proof["parts"]:
        for event in part["bundle"]["events"]:
            if event["kind"] == "RESULT":
                request = event["request_id"]
                if request in results:
                    raise Flaw(f"request {shown(request)} has two results, at nodes {results[request]} and {part['node']}")
                results[request] = part["node"]
    return f"{len(results)} requests have one result each"


def fleet_receipts(proof: dict) -> str:
    """The event of each receipt that the caller kept is in its node's bundle."""
    known = {
        (part["node"], event["event_hash"], event["request_id"]) for part in proof["parts"] for event in part["bundle"]["events"]
    }
    for receipt in proof["receipts"]:
        if receipt["run_id"] != proof["run_id"]:
            raise Flaw(f"the receipt of request {shown(receipt['request_id'])} is of another run")
        if (receipt["node"], receipt["event_hash"], receipt["request_id"]) not in known:
            raise Flaw(f"node {receipt['node']} answered request {shown(receipt['request_id'])} and withholds the event that closed it")
    return f"the events of {len(proof['receipts'])} receipts are in their nodes' bundles"


# ----------------------------------------------------------------------------------------------------------------------
# A whole ledger.
# ----------------------------------------------------------------------------------------------------------------------

SEGMENT_NAME = re.compile(r"([0-9]{20})\.ndjson")
NOTE_NAME = re.compile(r"([0-9]+)\.note")


class Broken(Flaw):
    """The first bad event: which check it fails, and why."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


class Walk:
    """One pass over a ledger's events, in constant memory, in which every standing is met."""

    def __init__(self, standings: Iterable["Standing"] = ()) -> None:
        self.standings = list(standings)
        self.tree = Tree()
        self.head = ""
        self.bytes = 0
        self.pruned: Any = None  # what a pruning left, where there was one
        self.recorded: Any = None  # what the newest event about a pruning says

    def note_pruning(self, event: dict) -> None:
        """Takes note of an event that says that lines were dropped."""
        meta = event["meta"]
        if event["kind"] == "DISABLE" and meta.get("subject") == "ledger":
            self.recorded = meta.get("before", ""), meta.get("sha256", "")

    def follow(self, line: bytes) -> None:
        """Takes one more line: a canonical event that carries its own hash and follows the one before."""
        try:
            event = read_line(line)
        except Flaw as flaw:
            raise Broken("lines", str(flaw)) from flaw
        found = hash_of_line(line)
        if found != event["event_hash"]:
            raise Broken("event_hashes", f"its event_hash is {event['event_hash']} but it hashes to {found}")
        if event["prev_hash"] != self.head:
            expected = self.head or "empty"
            raise Broken("chain", f"its prev_hash is {event['prev_hash'] or 'empty'} but the event before it has {expected}")
        self.head = event["event_hash"]
        self.note_pruning(event)
        self.bytes += len(line) + 1
        self.tree.push(leaf_hash(line))
        for standing in self.standings:
            standing.meet(self.tree)


def segments_of(ledger: str) -> list:
    """The ledger's segments as (index of the first event, path), in order. Files of other names are not the ledger's."""
    folder = os.path.join(ledger, "seg")
    named = ((SEGMENT_NAME.fullmatch(name), name) for name in os.listdir(folder))
    return sorted((int(found.group(1)), os.path.join(folder, name)) for found, name in named if found)


def lines_of(file: BinaryIO, last: bool) -> Iterator[bytes]:
    """A segment's lines without their newlines.

    A gateway may be at work on the last segment. What it adds after this began is not read, and the line that it was just
    writing then has a moment to be finished.
    """
    end = os.fstat(file.fileno()).st_size
    settled = not last
    while True:
        start = file.tell()
        line = file.readline(MAX_LINE_BYTES + 1) if start < end else b""
        if line.endswith(b"\n"):
            yield line[:-1]
        elif len(line) > MAX_LINE_BYTES:
            raise Broken("lines", f"it is longer than {MAX_LINE_BYTES} bytes")
        elif line and settled:
            raise Broken("lines", f"it is an unfinished line of {len(line)} bytes")
        elif line:
            settled = True
            sleep(SETTLE_SECONDS)
            file.seek(start)
        elif end == 0 and not last:
            raise Broken("segments", "the segment is empty, and a later one follows")
        else:
            return


class Claim(NamedTuple):
    """A checkpoint, and the file that holds it."""

    checkpoint: Checkpoint
    path: str


def read_claim(path: str, key: LogKey, size=None) -> Claim:
    """Reads a signed checkpoint; the name of its file may say its size."""
    try:
        checkpoint = key.open(read_text(path))
    except Flaw as flaw:
        raise Flaw(f"'{path}': {flaw}") from flaw
    if size is not None and str(checkpoint.size) != size:
        raise Flaw(f"'{path}': the checkpoint's size is not that of its name")
    return Claim(checkpoint, path)


def claims_of(ledger: str, key: LogKey) -> list:
    """Every checkpoint in the ledger's folder."""
    folder = os.path.join(ledger, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    claims = []
    for name in sorted(names):
        found = NOTE_NAME.fullmatch(name)
        if found is None:
            continue
        try:
            claims.append(read_claim(os.path.join(folder, name), key, found.group(1)))
        except Unusable as trouble:
            # A gateway at work removes old ones, perhaps since the folder was listed.
            if not isinstance(trouble.__cause__, FileNotFoundError):
                raise
    return claims


class Standing:
    """How the events bear out what was signed: each claim is met when the walk has come to its size."""

    def __init__(self, read: Callable[[], list]) -> None:
        self.claims: list = []
        self.met = 0
        self.kept = 0  # the events of the largest claim that holds
        self.flaw: Any = None  # the first thing wrong; nothing is compared after it
        try:
            self.claims = sorted(read(), key=lambda claim: claim.checkpoint.size)
        except (Flaw, Unusable) as trouble:
            self.flaw = Flaw(str(trouble))

    def meet(self, tree: Tree) -> None:
        """Compares what was signed for exactly as many events as the tree has."""
        while self.flaw is None and self.met < len(self.claims) and self.claims[self.met].checkpoint.size == tree.size:
            claim = self.claims[self.met]
            if claim.checkpoint.root == tree.root():
                self.met, self.kept = self.met + 1, tree.size
            else:
                self.flaw = Flaw(f"the first {tree.size} events are not those that '{claim.path}' was signed for")

    def finish(self, events: int) -> None:
        """Refuses what was signed for more events than there are, and events for which nothing was signed."""
        if self.flaw is None and self.met < len(self.claims):
            claim = self.claims[-1]
            self.flaw = Flaw(f"the ledger has {events} events but '{claim.path}' was signed for {claim.checkpoint.size}")
        elif self.flaw is None and events and not self.claims:
            self.flaw = Flaw(f"there are {events} events and no checkpoint: nothing says that the log's key stands for them")

    def report(self, report: Report, name: str, events: int, broken: bool) -> None:
        """Tells how it stands."""
        if self.flaw is not None:
            report.add(name, FAIL, str(self.flaw))
        elif broken:
            report.add(name, NOT_CHECKED, f"{self.met} of {len(self.claims)} were met before the first bad event")
        elif self.claims:
            held = f"{len(self.claims)} signed and borne out, the largest over {self.kept} of {events} events"
            report.add(name, PASS, held)
        else:
            report.add(name, PASS, "there is no event, and so no checkpoint")


NO_ANCHOR = "there is no anchor here: an old copy of the whole ledger would not show"
BEYOND_THE_LEDGER = (
    "a ledger does not prove that what its events say is true, or that no other was signed with the same key; an anchor"
    " shows an old copy only where it is kept apart from the ledger"
)


def check_ledger(folder: str, key: LogKey, anchor=None) -> Report:
    """Checks a whole ledger: `folder` is a state folder, or the ledger's own folder.

    `anchor` is the folder in which the operator keeps the anchor; without it the one inside the state folder counts.
    """
    ledger, inside = ledger_of(folder)
    # What was signed is read first: a gateway at work made those events durable before it signed for them.
    standings = {"checkpoints": Standing(lambda: claims_of(ledger, key))}
    head = os.path.join(anchor or inside or ledger, "head")
    if anchor or (inside and os.path.exists(head)):
        standings["anchor"] = Standing(lambda: [read_claim(head, key)])

    report, walk = Report(), Walk(standings.values())
    broken = walk_ledger(ledger, walk, report)
    events = walk.tree.size
    for name, standing in standings.items():
        if not broken:
            standing.finish(events)
        standing.report(report, name, events, broken)
    if "anchor" not in standings:
        report.add("anchor", NOT_CHECKED, NO_ANCHOR)
    unsigned = events - standings["checkpoints"].kept
    tail = f"; the last {unsigned} events are bound by the chain alone, no checkpoint covers them yet" if unsigned else ""
    report.add("beyond_the_ledger", NOT_CHECKED, BEYOND_THE_LEDGER + tail)

    # The first bad event; which of several good ones is not the one that was signed for, nobody can tell.
    broken_at = events if broken else None
    report.facts = {"events": events, "bytes": walk.bytes, "head": walk.head, "broken_at": broken_at}
    return report


def ledger_of(folder: str):
    """The ledger's folder, and that of the anchor inside the state folder when `folder` is one."""
    if os.path.isdir(os.path.join(folder, "ledger", "seg")):
        return os.path.join(folder, "ledger"), os.path.join(folder, "anchor")
    if os.path.isdir(os.path.join(folder, "seg")):
        return folder, None
    raise Unusable(f"'{folder}' is neither a state folder nor a ledger: there is no 'ledger/seg' and no 'seg' in it")


PRUNED = objects(
    before=index,
    bytes=index,
    carried=arrays(index),
    edge=arrays(arrays(sha256_hex)),
    head=sha256_hex,
    lines_sha256=sha256_hex,
    runs_sha256=sha256_hex,
)
TILE_HASHES = 256


def begin_behind_pruned(ledger: str, walk: Walk) -> None:
    """Begins where the lines do: the tree's hashes stand for the events whose lines were dropped, and some lines were carried over."""
    folder = os.path.join(ledger, "seg")
    path = os.path.join(folder, "pruned.json")
    if not os.path.exists(path):
        return
    try:
        data = read_bundle(path)
        pruned = read_canonical(data)
        PRUNED(pruned, "pruned.json")
        lines = read_bundle(os.path.join(folder, "pruned.ndjson"))
        if hashlib.sha256(lines).hexdigest() != pruned["lines_sha256"]:
            raise Flaw("the lines that were carried over are not those that the pruning left")
        carried = dict(zip(pruned["carried"], lines.splitlines()))
        if len(carried) != len(pruned["carried"]) or len(carried) != lines.count(b"\n"):
            raise Flaw("the lines that were carried over are not as many as the pruning says")
        for at, leaf in enumerate(leaves_of(ledger, pruned)):
            line = carried.pop(at, None)
            if line is not None:
                if leaf_hash(line) != leaf:
                    raise Flaw(f"event {at} was carried over, but it is not the one in the tree")
                walk.note_pruning(read_line(line))
            walk.tree.push(leaf)
            for standing in walk.standings:
                standing.meet(walk.tree)
        if carried or walk.tree.size != pruned["before"]:
            raise Flaw("the tree's hashes are not as many as the pruning says")
    except (Flaw, Unusable) as flaw:
        raise Broken("pruned", str(flaw)) from flaw
    walk.head = pruned["head"]
    walk.pruned = {**pruned, "sha256": hashlib.sha256(data).hexdigest()}


def leaves_of(ledger: str, pruned: dict) -> Iterator[bytes]:
    """The hashes of the leaves before what is left, from the tiles; those of the last tile, which is not full, from the pruning."""
    full, rest = divmod(pruned["before"], TILE_HASHES)
    for number in range(full):
        name, above = f"{number % 1000:03}", number // 1000
        while above:
            name, above = f"x{above % 1000:03}/{name}", above // 1000
        tile = read_bundle(os.path.join(ledger, "tiles", "tile", "0", name))
        if len(tile) != 32 * TILE_HASHES:
            raise Flaw(f"tile 0/{name} is not full")
        yield from (tile[at : at + 32] for at in range(0, len(tile), 32))
    edge = pruned["edge"][0] if pruned["edge"] else []
    if len(edge) != rest:
        raise Flaw("the last hashes are not as many as the pruning says")
    yield from map(bytes.fromhex, edge)


def end_of_pruned(walk: Walk) -> str:
    """Whether an event says that the lines were dropped; one that is not carried out yet is completed by the gateway."""
    pruned = walk.pruned
    if walk.recorded is None:
        raise Flaw(f"the lines before event {pruned['before']} are not there, and no event says that they were pruned")
    before, sha256 = walk.recorded
    later = before.isdigit() and int(before) > pruned["before"]
    if not later and (before != str(pruned["before"]) or sha256 != pruned["sha256"]):
        raise Flaw(f"what is there of the events before event {pruned['before']} is not what the pruning's event says")
    kept = len(pruned["carried"])
    return (
        f"the lines of {pruned['before'] - kept} events before event {pruned['before']} were pruned; their hashes are in the"
        f" tree, and {kept} lines were carried over"
    )


def walk_ledger(ledger: str, walk: Walk, report: Report) -> bool:
    """Walks every event and tells the checks of the walk. Says whether it met a bad event, before which it stopped."""
    segments, broken = segments_of(ledger), None
    try:
        begin_behind_pruned(ledger, walk)
        walk_segments(segments, walk)
    except Broken as found:
        broken = found
    events = walk.tree.size
    details = {
        "segments": f"{len(segments)} segments follow each other without a gap",
        "lines": f"{events} lines are canonical events",
        "event_hashes": f"{events} events carry their own hash",
        "chain": f"every event names the one before it; the head is {walk.head or 'empty'}",
    }
    for name, detail in details.items():
        if broken is None:
            report.add(name, PASS, detail)
        elif broken.check == name:
            report.add(name, FAIL, f"event {events}: {broken}")
        else:
            report.add(name, NOT_CHECKED, f"it holds for the {events} events before the bad one; no more were read")
    if walk.pruned is not None:
        report.make("pruned", lambda: end_of_pruned(walk))
    elif broken is not None and broken.check == "pruned":
        report.add("pruned", FAIL, str(broken))
    return broken is not None


def walk_segments(segments: Sequence[tuple], walk: Walk) -> None:
    """Walks the lines of every segment, each of which must begin where the one before it ends."""
    for at, (first, path) in enumerate(segments):
        if first != walk.tree.size:
            name = os.path.basename(path)
            raise Broken("segments", f"'{name}' is there, but the segment that begins with event {walk.tree.size} is not")
        with open(path, "rb") as file:
            for line in lines_of(file, at + 1 == len(segments)):
                walk.follow(line)


# ----------------------------------------------------------------------------------------------------------------------
# The command.
# ----------------------------------------------------------------------------------------------------------------------


def read_text(path: str) -> str:
    """The text of a small file."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise Unusable(f"cannot read '{path}': {error.strerror}") from error
    if len(data) > MAX_NOTE_BYTES:
        raise Flaw("the file is too large")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Flaw("the file is not UTF-8") from error


def read_key(path: str) -> LogKey:
    """The log's public key from a file."""
    try:
        return LogKey.parse(read_text(path))
    except Flaw as flaw:
        raise Unusable(f"'{path}': {flaw}; ask the operator for the log's log.pub or log.vkey") from flaw


def read_policy(path: str) -> Policy:
    """The auditor's policy from a file."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise Unusable(f"cannot read '{path}': {error.strerror}") from error
    try:
        return Policy(data)
    except Flaw as flaw:
        raise Unusable(f"'{path}' is no policy: {flaw}") from flaw


def read_bundle(path: str) -> bytes:
    """The bytes of a bundle."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise Unusable(f"cannot read '{path}': {error.strerror}") from error
    if len(data) > MAX_BUNDLE_BYTES:
        raise Unusable(f"'{path}' is larger than {MAX_BUNDLE_BYTES} bytes")
    return data


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; wrong usage ends here, with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="verify_proof.py",
        description="Verifies what a plugin gateway recorded. EVIDENCE.md describes the formats and every check.",
        epilog="exit codes: 0 every check that could be made passed, 1 one failed, 2 wrong usage or unreadable files",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="bundle|ledger")
    bundle = verbs.add_parser("bundle", help="check the proof bundle of one run")
    bundle.add_argument("path", metavar="FILE", help="the bundle of `plugin-gateway proof export`, or a proof of `proof event`")
    bundle.add_argument("--policy", metavar="FILE", help="the witnesses that must have cosigned, a C2SP tlog-policy")
    bundle.add_argument(
        "--payload-hash", metavar="HEX", help="also check that an event carries the payload with this SHA-256"
    )
    bundle.add_argument("--salt", metavar="HEX", help="the salt of the run, where its hashes are salted")
    ledger = verbs.add_parser("ledger", help="check a whole ledger")
    ledger.add_argument("path", metavar="DIR", help="the state folder, or the folder `ledger` inside it")
    ledger.add_argument("--anchor", metavar="DIR", help="the folder of the anchor, where it is kept elsewhere")
    for verb in (bundle, ledger):
        verb.add_argument("--key", required=True, metavar="PUB", help="the log's public key: log.pub or log.vkey")
        verb.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(words)


def say(report: Report) -> None:
    """Prints a report for people."""
    for check in report.checks:
        print(f"{check.outcome.replace('_', ' '):<12} {check.name:<21} {check.detail}")
    print("\nvalid" if report.valid else "\nNOT VALID")


def main(words: Sequence[str]) -> int:
    """Runs the command and gives its exit code."""
    given = arguments(words)
    # Details hold texts from the evidence; none may fail for want of a character in this terminal's encoding.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        key = read_key(given.key)
        if given.verb == "bundle":
            policy = read_policy(given.policy) if given.policy else None
            data = read_bundle(given.path)
            report = check_fleet_proof(data, key) if is_fleet_proof(data) else check_proof(data, key, policy)
            if given.payload_hash and report.valid:
                check_payload(data, given.payload_hash, given.salt, report)
        else:
            report = check_ledger(given.path, key, given.anchor)
    except (Unusable, OSError) as trouble:
        print(f"verify_proof.py: {trouble}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(report.to_json()))
    else:
        say(report)
    return 0 if report.valid else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
