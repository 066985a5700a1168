"""Greets and counts the words and characters of a text."""

import omega_plugin as omega

# The words of a text lie between these, in every hello plugin alike.
BLANKS = " \t\n\r\f"


def handle(request):
    payload = request.get("payload")
    if not isinstance(payload, dict) or payload.get("kind") != "text":
        return omega.rejected("send a text payload")
    content = payload.get("content")
    if not isinstance(content, str) or content == "":
        return omega.rejected("the text is empty")
    return omega.ok(
        omega.json_payload(
            "hello/1",
            {
                "greeting": "Hello from Python!",
                "word_count": word_count(content),
                "original_length": len(content),
            },
        )
    )


def word_count(text):
    for blank in BLANKS:
        text = text.replace(blank, " ")
    return len([word for word in text.split(" ") if word])


omega.run(handle)
