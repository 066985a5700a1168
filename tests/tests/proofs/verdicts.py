"""Asks scripts/verify_proof.py about many bundles or signatures in one process.

    verdicts.py VERIFIER bundles FILE KEY      the outcomes of each line of FILE, a bundle in base64
    verdicts.py VERIFIER signatures FILE       whether each line of FILE holds: key, message and signature in hexadecimal digits, with commas
    verdicts.py VERIFIER odd                   makes such lines: signatures that verifiers of different strictness judge differently

It prints one JSON array, or the lines.
"""

import base64
import hashlib
import importlib.util
import json
import sys


def load(path):
    """The verifier as a module; it does nothing by being loaded."""
    spec = importlib.util.spec_from_file_location("verify_proof", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_of(path):
    """The lines of a file, without their newlines."""
    with open(path, "rb") as file:
        return file.read().splitlines()


def bundles(verifier, path, key_path):
    """The outcomes of every check of every bundle."""
    key = verifier.read_key(key_path)
    return [[check.outcome for check in verifier.check_bundle(base64.b64decode(line), key).checks] for line in lines_of(path)]


def signatures(verifier, path):
    """Whether each signature holds."""
    rows = [[bytes.fromhex(part) for part in line.decode().split(",")] for line in lines_of(path)]
    return [verifier.verify_ed25519(*row) for row in rows]


def odd(verifier):
    """Lines of signatures by keys and points with a part of small order, with S beyond the group's order, and in other encodings."""

    def times(scalar, point):
        return verifier.combine(scalar, point, 0, verifier.NEUTRAL)

    def number(*parts):
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % verifier.ORDER

    def line(key, message, r, s):
        print(f"{key.hex()},{message.hex()},{r.hex()}{(s % 2**256).to_bytes(32, 'little').hex()}")

    # A generator of the eight points of small order.
    eighth = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    small = [times(n, verifier.decode_point(eighth)) for n in range(8)]
    for n in range(64):
        seed = bytes([n])
        secret, nonce = number(b"secret", seed), number(b"nonce", seed)
        # The first eight are plain; of the others, key and R take parts of small order in turns.
        in_key, in_r = (small[n % 8], small[n // 8]) if n >= 8 else (small[0], small[0])
        key = verifier.encode_point(verifier.add_points(times(secret, verifier.BASE), in_key))
        r = verifier.encode_point(verifier.add_points(times(nonce, verifier.BASE), in_r))
        s = (nonce + number(r, key, seed) * secret) % verifier.ORDER
        line(key, seed, r, s)
        line(key, seed, r, s + verifier.ORDER)
        line(key, b"another message", r, s)
    encodings = [verifier.encode_point(point) for point in small]
    # The same points with y written as y + p, and with the sign of x where x is 0.
    encodings += [bytes.fromhex(first + "ff" * 30 + last) for first, last in [("ee", "7f"), ("ed", "7f"), ("ee", "ff"), ("ed", "ff")]]
    encodings += [bytes.fromhex("01" + "00" * 30 + "80"), bytes.fromhex("ec" + "ff" * 31)]
    for key in encodings:
        for r in encodings:
            # 0 = 0 + k times a small point: where k is right, it holds for whoever does not look at the order.
            line(key, b"any message", r, 0)


def main(words):
    """Runs one mode."""
    verifier = load(words[0])
    found = {"bundles": bundles, "signatures": signatures, "odd": odd}[words[1]](verifier, *words[2:])
    if found is not None:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
