"""PartiQL's keywords, as data, and the type names that may follow IS.

An unquoted keyword is no attribute name: it has to stand in double quotes. The words are those of SQL-92 and
PartiQL's own, case-insensitive, lower case here.
Source: the PartiQL specification (https://partiql.org/spec.html) and the reference implementation's lexer,
partiql/partiql-lang-kotlin, whose parser and keywords DynamoDB uses.
"""

from __future__ import annotations

_KEYWORDS = """
    absolute action add all allocate alter and any are as asc assertion at authorization avg bag begin between
    bit bit_length blob bool boolean by cascade cascaded case cast catalog char char_length character
    character_length check clob close coalesce collate collation column commit conflict connect connection
    constraint constraints continue convert corresponding count create cross current current_date current_time
    current_timestamp current_user cursor date date_add date_diff deallocate dec decimal declare default
    deferrable deferred delete desc describe descriptor diagnostics disconnect distinct do domain double drop
    else end end-exec escape except exception exec execute exists external extract false fetch first float for
    foreign found from full get global go goto grant group having identity immediate in index indicator
    initially inner input insensitive insert int integer intersect interval into is isolation join key language
    last left let level like limit list local lower match max min missing modified module names national
    natural nchar new next no not nothing null nullif numeric octet_length of old on only open option or order
    outer output overlaps pad partial pivot position precision prepare preserve primary prior privileges
    procedure public read real references relative remove restrict returning revoke right rollback rows schema
    scroll section select session session_user set sexp size smallint some space sql sqlcode sqlerror sqlstate
    string struct substring sum symbol system_user table temporary then time timestamp to transaction translate
    translation trim true tuple union unique unknown unpivot update upper usage user using value values varchar
    varying view when whenever where with work write zone
"""
KEYWORDS = frozenset(_KEYWORDS.split())

OPERATORS = frozenset(("and", "or", "not", "is", "in", "between", "like", "union", "except", "intersect"))
LITERALS = frozenset(("true", "false", "null", "missing"))

_FUNCTIONS = """
    exists count avg max min sum substring char_length character_length octet_length bit_length upper lower
    size nullif coalesce sexp list bag
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Keywords that may be called."""

TYPE_ALIASES = {"bool": "boolean", "int": "integer", "dec": "decimal", "char": "character"}
_TYPES = """
    missing null boolean smallint int4 int8 integer float real double_precision decimal numeric timestamp date
    time character character_varying varchar string symbol clob blob struct tuple list sexp bag
"""
TYPES = frozenset(_TYPES.split())
ATTRIBUTE_TYPES = {
    "null": "NULL",
    "boolean": "BOOL",
    "blob": "B",
    "string": "S",
    "numeric": "N",
    "struct": "M",
    "tuple": "M",
    "list": "L",
}
"""What an attribute IS; the other types exist in PartiQL, not in DynamoDB."""
