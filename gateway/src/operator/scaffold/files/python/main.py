"""Greets, and counts the words of a text."""

import omega_plugin as omega


def handle(request):
    words = len(request["payload"]["content"].split())
    return omega.ok(omega.json_payload("hello/1", {"greeting": "Hello!", "word_count": words}))


omega.run(handle)
