import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.config.yaml_reader import parse_yaml, read_yaml
from paw_bench.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("-.5e+3", -500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-06-01", "2026-06-01"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("'1e-4'", "1e-4"),
        ("!!str 12", "12"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("text", "text"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    found = parse_yaml(f"key: {text}", "f").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_float():
    assert math.isnan(parse_yaml("key: .nan", "f").data["key"])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_prints_is_read_back(value):
    found = parse_yaml(f"key: {value!r}", "f").data["key"]
    assert isinstance(found, float)
    assert found == value


def test_keys_are_texts_whatever_they_look_like():
    assert parse_yaml("{1: a, on: b, null: c, 2.5: d}", "f").data == {"1": "a", "on": "b", "null": "c", "2.5": "d"}


def test_lines_are_those_of_the_keys():
    document = parse_yaml("a: 1\nb:\n  c: 2\n  d:\n    - x\n    - y\n", "f.yaml")
    assert document.where(("b", "c")) == "f.yaml:3"
    assert document.where(("b", "d", 1)) == "f.yaml:6"
    assert document.where(("b", "not", "there")) == "f.yaml:2"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is written twice, first on line 1"),
        ("arms:\n  paw: {x: 1}\n  paw: {x: 2}\n", 3, "'paw' is written twice, first on line 2"),
        ("'1': 1\n1: 2\n", 2, "'1' is written twice"),
        ("a: [1\nb: 2\n", 2, "is not YAML"),
        ("a:\n\tb: 1\n", 2, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "is not YAML"),
        ("a: &x [*x]\n", 1, "an anchor refers to itself"),
        ("a: !!python/object:os.system x\n", 1, "is not read"),
        ("a: !!set {x}\n", 1, "is not read"),
        ("x: &b {a: 1}\ny:\n  <<: *b\n", 3, "merge keys are not read"),
        ("? [a, b]\n: 1\n", 1, "a key must be a text"),
    ],
)
def test_a_text_that_is_not_read_is_refused_with_its_line(text, line, words):
    with pytest.raises(ConfigError, match="remedy: ") as caught:
        parse_yaml(text, "f.yaml")
    assert caught.value.file == f"f.yaml:{line}"
    assert words in str(caught.value)


def test_an_anchor_may_be_used_twice():
    assert parse_yaml("a: &x {k: 1}\nb: *x\nc: *x\n", "f").data["c"] == {"k": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "word\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="holds no mapping of keys"):
        read_yaml(path)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: \xff", b"a: \x00"])
def test_bytes_that_are_no_text_are_refused(tmp_path, data):
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="remedy: "):
        read_yaml(path)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
