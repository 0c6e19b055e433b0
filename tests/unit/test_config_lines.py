"""Finding the line of a TOML key: what looks like a key inside a value is not one."""

from __future__ import annotations

from blotter.toml_lines import key_lines, line_of

TEXT = '''\
a = 1
"quoted key".b = 2   # comment [not.a.header]
list = [
  "x = 1", # [
  { y = 2 },
]
text = """
[inside]
z = 3
"""

[one.two]   # header
k = "[" # bracket in a string
l = 4
[[many]]
m = 5
[one."dotted.name"]
n = 6
'''


def test_every_key_has_its_line() -> None:
    assert key_lines(TEXT) == {
        ("a",): 1,
        ("quoted key", "b"): 2,
        ("list",): 3,
        ("text",): 7,
        ("one", "two"): 12,
        ("one", "two", "k"): 13,
        ("one", "two", "l"): 14,
        ("many",): 15,
        ("many", "m"): 16,
        ("one", "dotted.name"): 17,
        ("one", "dotted.name", "n"): 18,
    }


def test_a_key_without_its_own_line_gets_the_nearest_one_around() -> None:
    lines = key_lines("[t]\nkey = { name = 'x' }\n")
    assert line_of(lines, ("t", "key", "name")) == 2
    assert line_of(lines, ("t", "other")) == 1
    assert line_of(lines, ("u",)) is None
