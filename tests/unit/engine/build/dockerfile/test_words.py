"""Variables, quotes and substitutions, as the reference of Dockerfiles and shells have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.build.dockerfile.expand import expand, expand_text, expand_words, shown

VARIABLES = {
    "A": "one",
    "PATH": "/bin:/usr/bin",
    "EMPTY": "",
    "SPACED": " a  b ",
    "STARS": "a.b.c",
    "L": "é/ü",
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("plain", "plain"),
        ("$A", "one"),
        ("${A}x", "onex"),
        ("x$A.y", "xone.y"),
        ("$NOT", ""),
        ("a$NOT/b", "a/b"),
        (r"\$A", "$A"),
        (r"\${A}", "${A}"),
        (r"a\ b", "a b"),
        ("'$A'", "$A"),
        ('"$A b"', "one b"),
        (r'"\$A \n \" \\"', r'$A \n " ' + "\\"),
        ("'a'\"b\"c", "abc"),
        ("trailing\\", "trailing"),
        ("$", "$"),
        ("$.", "$."),
        ("$1a", "a"),
        ("$@a", "a"),
        ("${A:-x}", "one"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NOT-x}", "x"),
        ("${NOT:-${A}${NOT:-y}}", "oney"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NOT+x}", ""),
        ("${A:?x}", "one"),
        ("${EMPTY?x}", ""),
        ("${STARS#*.}", "b.c"),
        ("${STARS##*.}", "c"),
        ("${STARS%.*}", "a.b"),
        ("${STARS%%.*}", "a"),
        ("${STARS#x}", "a.b.c"),
        ("${STARS#?}", ".b.c"),
        ("${STARS/./-}", "a-b.c"),
        ("${STARS//./-}", "a-b-c"),
        ("${STARS//[/-}", "a.b.c"),
        ("${STARS/*/x}", "x"),
        (r"${L/\//-}", "é-ü"),
        (r"${PATH//\//\\}", r"\\bin:\\usr\\bin"),
        ("${NOT//a/b}", ""),
        ("é$L", "éé/ü"),
        ("a}b", "a}b"),
        ("<<$A", "<<one"),
    ],
)
def test_a_word_is_expanded(word: str, value: str) -> None:
    assert expand(word, VARIABLES) == value


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ('"a', "unexpected end of statement while looking for matching double-quote"),
        ("${A", "unsupported modifier (\ufffd) in substitution"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:-a}", "syntax error: bad substitution"),
        ("${A:", "unsupported modifier (:\ufffd) in substitution"),
        ("${A:=b}", "unsupported modifier (:=) in substitution"),
        ("${A:#b}", "unsupported modifier (:#) in substitution"),
        ("${A:-b", "syntax error: missing '}'"),
        ("${A/b}", "syntax error: missing '/' in ${}"),
        ("${A/b/c", "syntax error: missing '}'"),
        ("${NOT?}", "NOT: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NOT:?give $A}", "NOT: give one"),
        (r"${A#\x}", r"invalid pattern (\x) in substitution: invalid escape '\x'"),
    ],
)
def test_a_bad_word_says_why(word: str, problem: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as raised:
        expand(word, VARIABLES)
    assert raised.value.message == f"failed to process {quoted(word)}: {problem}"


def quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_another_escape_leaves_backslashes_alone() -> None:
    assert expand(r"C:\dir`$A", VARIABLES, "`") == r"C:\dir$A"


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("80 $A", ["80", "one"]),
        ("x${SPACED}y", ["x", "a", "b", "y"]),
        ('x"${SPACED}"y', ["x a  b y"]),
        ("$NOT", []),
        ('""', []),
        (r"a\ b c", ["a b", "c"]),
    ],
)
def test_variables_may_bring_several_words(word: str, words: list[str]) -> None:
    assert expand_words(word, VARIABLES) == words


def test_names_without_a_value_are_told() -> None:
    unset: set[str] = set()
    assert expand("$A ${B:-$C} ${D} ${EMPTY}", VARIABLES, unset=unset) == "one   "
    assert unset == {"B", "C", "D"}


def test_quotes_in_a_heredoc_are_characters() -> None:
    assert expand_text("'$A' \"${A}\" \\$A it's\n", VARIABLES) == "'one' \"one\" $A it's\n"


def test_instructions_are_shown_with_what_is_known() -> None:
    assert shown("RUN echo \"$A\" ${NOT:-x} $NOT '$A'", VARIABLES) == "RUN echo \"one\" ${NOT:-x} $NOT '$A'"
    assert shown("RUN it's", VARIABLES) == "RUN it's"


@given(st.text(alphabet="a$ {}:-+?#%/\\'\"<*`é\n", max_size=40))
def test_no_word_breaks_anything(word: str) -> None:
    for each in (expand, expand_words):
        try:
            each(word, {"a": "a$*\n"})
        except errdefs.InvalidArgument:
            pass


def test_deep_nesting_is_refused_and_not_fatal() -> None:
    with pytest.raises(errdefs.InvalidArgument, match="nested too deeply"):
        expand("${a:-" * 5000 + "}" * 5000, {})


def test_no_pattern_takes_long() -> None:
    assert expand("${a##" + "*a" * 60 + "*b}", {"a": "a" * 5000}) == "a" * 5000
