"""The figures as text: sources side by side for a terminal or as Markdown, then what has no sources."""


def plain(found: dict) -> str:
    blocks = [aligned(*grid(found["table"]))]
    blocks += [aligned(*grid({title: values})) for title, values in flat(found).items()]
    return "\n\n".join(blocks)


def markdown(found: dict) -> str:
    blocks = [piped(*grid(found["table"]))]
    blocks += [piped(*grid({title: values})) for title, values in flat(found).items()]
    return "\n\n".join(blocks) + "\n"


def flat(found: dict) -> dict[str, dict]:
    """The sections after the table; bits per byte become one section a set of texts."""
    rest = {title: values for title, values in found.items() if title not in ("table", "bits per byte")}
    return {f"bits per byte, {name} texts": row for name, row in found.get("bits per byte", {}).items()} | rest


def grid(columns: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """{column: {figure: value}} -> the head, and a row a figure."""
    names = list(dict.fromkeys(figure for values in columns.values() for figure in values))
    return ["", *columns], [[name, *(cell(values.get(name)) for values in columns.values())] for name in names]


def cell(value) -> str:
    return "-" if value is None else str(value)


def aligned(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    line = lambda row: "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
    return "\n".join(line(row) for row in [head, *rows])


def piped(head: list[str], rows: list[list[str]]) -> str:
    line = lambda row: f"| {' | '.join(row)} |"
    return "\n".join([line(head), "|---|" + "--:|" * (len(head) - 1), *map(line, rows)])
