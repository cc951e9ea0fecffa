"""Make a sentence of whatever text: names of files, models and nodes stand in messages, and may hold anything."""


def one_line(text: str, most: int | None = None) -> str:
    """The text on one line, without control codes or halves of surrogate pairs, and of at most so many characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"
