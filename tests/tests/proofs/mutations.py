"""Changes evidence in every way there is and asks scripts/verify_proof.py each time, in one process, so that thousands of tries are quick.

    mutations.py VERIFIER bundle FILE KEY       every byte of a bundle changed, every event of it left out, doubled, moved
    mutations.py VERIFIER ledger STATE KEY      every line of a ledger dropped, doubled, swapped, changed
    mutations.py VERIFIER lines STATE           every line and its hashed part written again by the package rfc8785
    mutations.py VERIFIER vectors               Ed25519 by the vectors of RFC 8032, and what a strict verifier refuses
    mutations.py VERIFIER reader                JSON that a lax reader would take

It prints one JSON object: how much was `tried`, and what went `unseen`, in words. Nothing may go unseen.
"""

import copy
import functools
import hashlib
import importlib.util
import json
import os
import sys


def load(path):
    """The verifier as a module; it does nothing by being loaded."""
    spec = importlib.util.spec_from_file_location("verify_proof", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Nobody writes these ledgers, so an unfinished line stays one.
    module.SETTLE_SECONDS = 0
    # Most lines are the same from one try to the next, and reading one gives the same event each time.
    module.read_line = functools.lru_cache(maxsize=None)(module.read_line)
    return module


class Tally:
    """What was tried, and what the verifier did not see."""

    def __init__(self):
        self.tried = 0
        self.unseen = []

    def note(self, seen, what):
        """Counts one try."""
        self.tried += 1
        if not seen:
            self.unseen.append(what)


def bundle(verifier, tally, path, key_path):
    """Every byte of the bundle, and every event."""
    key = verifier.read_key(key_path)
    good = verifier.read_bundle(path)
    tally.note(verifier.check_bundle(good, key).valid, "the bundle itself is refused")

    def refused(data):
        return not verifier.check_bundle(bytes(data), key).valid

    for at in range(len(good)):
        # One bit, the case of a letter, and a byte that is no ASCII take turns.
        bad = bytearray(good)
        bad[at] ^= (1 << at % 8, 0x20, 0x80)[at % 3]
        tally.note(refused(bad), f"byte {at} changed")
    for at in range(0, len(good), 7):
        tally.note(refused(good[:at]), f"cut at {at}")
        tally.note(refused(good[:at] + good[at + 1 :]), f"byte {at} removed")
        tally.note(refused(good[:at] + good[at : at + 1] + good[at:]) or good[at : at + 1] in b" \n", f"byte {at} doubled")
    for written in FORMS:
        tally.note(not refused(written(json.loads(good))), "the bundle in another form is refused")
    events_of_a_bundle(json.loads(good), refused, tally)


def plain(value):
    """Canonical, as the gateway writes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def odd(value):
    """As nobody would write it: members in the opposite order, laid out, every character escaped, and numbers with a fraction."""
    if isinstance(value, dict):
        members = [odd(name) + b" :\n" + odd(value[name]) for name in sorted(value, reverse=True)]
        return b"{\t" + b" , ".join(members) + b"\r\n}"
    if isinstance(value, list):
        return b"[ " + b",\n".join(map(odd, value)) + b"\n]"
    if isinstance(value, str):
        units = value.encode("utf-16-be").hex()
        return b'"' + "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4)).encode() + b'"'
    if type(value) is int:
        return b"%d.0" % value
    return json.dumps(value).encode()


FORMS = [plain, odd]


def events_of_a_bundle(good, refused, tally):
    """Events left out, doubled and swapped, with their proofs and without, and with a head that fits."""

    def try_it(change, what):
        bad = copy.deepcopy(good)
        change(bad)
        for written in FORMS:
            tally.note(refused(written(bad)), what)

    def both(bad):
        return [bad["events"], bad["inclusion"]]

    def fit_head(bad):
        if bad["events"]:
            bad["head_event_hash"] = bad["events"][-1]["event_hash"]

    count = len(good["events"])
    for at in range(count):
        try_it(lambda bad: bad["events"].pop(at), f"event {at} left out")
        try_it(lambda bad: [part.pop(at) for part in both(bad)] and fit_head(bad), f"event {at} and its proof left out")
        try_it(lambda bad: [part.insert(at, part[at]) for part in both(bad)] and fit_head(bad), f"event {at} doubled")
        other = (at + 1) % count
        if other != at:

            def swap(bad):
                for part in both(bad):
                    part[at], part[other] = part[other], part[at]
                fit_head(bad)

            try_it(swap, f"events {at} and {other} swapped")
    for name in sorted(good):
        try_it(lambda bad: bad.pop(name), f"{name} left out")
        try_it(lambda bad: bad.update({name: None}), f"{name} is null")
    try_it(lambda bad: bad.update(extra=1), "a field too many")
    try_it(lambda bad: bad["export"].update(extra=1), "a field too many in the export")
    try_it(lambda bad: bad.update(format="plugin-gateway-proof/2"), "another format")


def ledger(verifier, tally, state, key_path):
    """Every line of the ledger's one segment; the first bad event must be named too."""
    key = verifier.read_key(key_path)
    path = os.path.join(state, "ledger", "seg", "0" * 20 + ".ndjson")
    with open(path, "rb") as file:
        good = file.read().splitlines(keepends=True)

    def judge(lines, valid, broken_at, what):
        with open(path, "wb") as file:
            file.write(b"".join(lines))
        report = verifier.check_ledger(state, key)
        found = report.facts["broken_at"]
        tally.note((report.valid, found) == (valid, broken_at), f"{what}: valid {report.valid}, broken at {found}")

    last = len(good) - 1
    judge(good, True, None, "the ledger itself")
    for at, line in enumerate(good):
        before, after = good[:at], good[at + 1 :]
        # Of the last line only the checkpoints tell that it was there, and what it was.
        judge(before + after, False, at if at < last else None, f"line {at} dropped")
        judge(before + [forged(verifier, line)] + after, False, at + 1 if at < last else None, f"line {at} forged, hash and all")
        judge(before, False, None, f"cut before line {at}")
        judge(before + [line, line] + after, False, at + 1, f"line {at} doubled")
        if at < last:
            judge(before + [after[0], line] + after[1:], False, at, f"line {at} swapped with the next")
        where = at * 31 % len(line)
        changed = bytearray(line)
        changed[where] ^= (1, 0x20, 0x80)[at % 3]
        judge(before + [bytes(changed)] + after, False, at, f"byte {where} of line {at} changed")
    judge(good + [b"garbage"], False, len(good), "garbage at the end")
    judge(good, True, None, "the ledger put back")


def forged(verifier, line):
    """The line with another `meta` and a hash that fits."""
    event = json.loads(line)
    event["meta"]["forged"] = "yes"
    rest = {name: value for name, value in event.items() if name != "event_hash"}
    event["event_hash"] = hashlib.sha256(verifier.line_of(rest)).hexdigest()
    return verifier.line_of(event) + b"\n"


def lines(verifier, tally, state):
    """The canonical form by an independent implementation of RFC 8785."""
    import rfc8785

    for _, path in verifier.segments_of(os.path.join(state, "ledger")):
        with open(path, "rb") as file:
            for line in file.read().splitlines():
                event = json.loads(line)
                tally.note(rfc8785.dumps(event) == line, f"written otherwise: {line!r}")
                del event["event_hash"]
                hashed = hashlib.sha256(rfc8785.dumps(event)).hexdigest()
                tally.note(hashed == json.loads(line)["event_hash"], f"hashed otherwise: {line!r}")
    hard = ["", '"\\/\b\f\n\r\t', "\x00\x01\x1f\x7f\x80", "\u20ac\u2028", "\U0001f600", "\ue000", "\ufb33"]
    value = {name: [name, 0, 2**53 - 1, True, False, None, {}] for name in hard}
    tally.note(rfc8785.dumps(value) == verifier.line_of(value), "the hard texts are written otherwise")


# RFC 8032, section 7.1, tests 1 to 3 and SHA(abc): public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]

# The encodings of the eight points of small order, and of the same ones with y written as y + p.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def vectors(verifier, tally):
    """What must be accepted, and what must not though a lax verifier would."""
    verify = verifier.verify_ed25519
    for public, message, signature in RFC_8032:
        public, message, signature = (bytes.fromhex(part) for part in (public, message, signature))
        tally.note(verify(public, message, signature), f"RFC 8032: {public.hex()} is refused")
        tally.note(not verify(public, message + b"x", signature), "a longer message")
        for at in range(64):
            changed = bytearray(signature)
            changed[at] ^= 1 << at % 8
            tally.note(not verify(public, message, bytes(changed)), f"byte {at} of a signature changed")
        s = int.from_bytes(signature[32:], "little") + verifier.ORDER
        tally.note(not verify(public, message, signature[:32] + s.to_bytes(32, "little")), "S beyond the group's order")
        tally.note(not verify(public, message, signature[:63]), "a short signature")
    # With such a key, R = [S]B fits every message of which k is a multiple of the key's order, so S = 0 and R = neutral often do.
    for weak in SMALL_ORDER:
        weak = bytes.fromhex(weak)
        for message in (b"", b"a", b"b", b"c"):
            for r in map(bytes.fromhex, SMALL_ORDER):
                tally.note(not verify(weak, message, r + bytes(32)), f"the weak key {weak.hex()} verifies")
        try:
            verifier.LogKey(weak)
            tally.note(False, f"the weak key {weak.hex()} is taken")
        except verifier.Flaw:
            tally.note(True, "")


def reader(verifier, tally):
    """JSON that must be refused, some that is read though it is not canonical, and some that is."""
    refused = [
        b"",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":"","b":""}}',
        b'{"a":1.5}',
        b'{"a":1e-1}',
        b'{"a":1e-400}',
        b'{"a":1e400}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.1}',
        b'{"a":9007199254740992}',
        b'{"a":9007199254740992.0}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\ude00\\ud83d"}',
        b'{"\\udc00":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\n"}',
        b'{"a":"\\x41"}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1}{}',
        b'{"a":1} x',
        b'{"a":tru}',
        b"// a word\n{}",
        b"[" * 200_000 + b"]" * 200_000,
        '{"a":"x\u00a0"}\u00a0'.encode(),
    ]
    read = [
        b'{"b":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":0.1E+1}',
        b'{"a":-0}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u000A"}',
        b'{"a":"\\u000a"}',
        b'{"a":"\\ud83d\\ude00"}',
        b' { "a" : [ 1 , "\\\\" , "b" ] }\r\n\t',
        '{"\ue000":1,"\U0001f600":1}'.encode(),
    ]
    taken = [
        b"{}",
        b'{"a":1}',
        '{"\U0001f600":1,"\ue000":"\\u0000\\u001f\x7f"}'.encode(),
        b'{"a":9007199254740991,"b":null,"c":true}',
    ]

    def is_good(reads, data):
        try:
            reads(data)
            return True
        except verifier.Flaw:
            return False

    for rows, as_json, as_canonical in [(refused, False, False), (read, True, False), (taken, True, True)]:
        for data in rows:
            tally.note(is_good(verifier.read_json, data) == as_json, f"{data[:40]!r} as JSON: not {as_json}")
            tally.note(is_good(verifier.read_canonical, data) == as_canonical, f"{data[:40]!r} as canonical: not {as_canonical}")
    tally.note(not is_good(verifier.read_line, b'{"a":1} '), "a blank behind a line is taken")


def main(words):
    """Runs one mode."""
    verifier, tally = load(words[0]), Tally()
    modes = {"bundle": bundle, "ledger": ledger, "lines": lines, "vectors": vectors, "reader": reader}
    modes[words[1]](verifier, tally, *words[2:])
    print(json.dumps({"tried": tally.tried, "unseen": tally.unseen[:20]}))


if __name__ == "__main__":
    main(sys.argv[1:])
