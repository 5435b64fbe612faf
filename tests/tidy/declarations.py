"""Finds function declarations in a header that no comment explains. Part of tidy.py.

A block is what stands between blank lines. A declaration is explained if its block has a comment above or beside it, if
a comment stands right above the block (a heading), or if the block opens a class: the class's own comment covers it.
These need no comment: short definitions, accessors, constructors, destructors, operators, overrides, and
what is private or internal.
"""
import re

SCOPE = re.compile(r"^\s*(?:template\s*<.*>\s*)?(namespace|class|struct|union|enum(?: class)?|extern)\b([^;(]*)\{")
FUNCTION = re.compile(r"^(?:[\w:<>,&*\s\[\]\"]|\.\.\.)*?[\w>&*\]]\s+[&*]*(~?\w+)\s*\(")
EXEMPT = re.compile(r"\b(?:operator|override)\b|=\s*(?:default|delete)\s*;"
                    r"|^\s*(?:explicit|using|typedef|friend|return|static_assert|#|extern \"C\")")
KEYWORD = re.compile(r"(?:if|for|while|switch|return|sizeof|decltype|noexcept)$")
ACCESSOR = re.compile(r"\b[a-z][a-z0-9_]*\([^()]*\)\s*const(?:\s+noexcept)?(?:\s*=\s*0)?\s*;\s*(?://.*)?$")
ONE_LINE = re.compile(r"\{.*\}\s*;?\s*(?://.*)?$")


def is_comment(line):
    return line.lstrip().startswith(("//", "/*", "*"))


def is_short_definition(lines, index):
    """Whether the definition that begins at lines[index] has a body of at most three lines."""
    if ONE_LINE.search(lines[index]):
        return True
    return lines[index].endswith("{") and any(line.strip() == "}" for line in lines[index + 1:index + 5])


def is_explained(lines, index):
    """Whether a comment covers the declaration that begins at lines[index]."""
    if "//" in lines[index]:
        return True
    while index > 0:
        index -= 1
        line = lines[index]
        if is_comment(line) or "//" in line or SCOPE.match(line) and "namespace" not in line:
            return True
        if not line.strip():
            return index > 0 and is_comment(lines[index - 1])
    return False


class Scopes:
    """The open braces of a header: each is "public", "private" or "body"."""

    def __init__(self):
        self.stack = []

    def is_public(self):
        return all(kind == "public" for kind in self.stack)

    def advance(self, line):
        code = re.sub(r'//.*|/\*.*?\*/|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)\'', "", line)
        label = re.match(r"\s*(public|protected|private):", code)
        if label and self.stack:
            self.stack[-1] = "private" if label[1] == "private" else "public"
        scope = SCOPE.match(line)
        for character in code:
            if character == "{":
                self.stack.append(self._kind(scope))
                scope = None
            elif character == "}" and self.stack:
                self.stack.pop()

    @staticmethod
    def _kind(scope):
        if not scope or scope[1].startswith("enum"):
            return "body"
        if scope[1] == "class":
            return "private"
        hidden = scope[1] == "namespace" and (not scope[2].strip() or re.search(r"\b(internal|detail)\b", scope[2]))
        return "private" if hidden else "public"


def undocumented(lines):
    """(line number, function name) of what should have a comment."""
    scopes = Scopes()
    in_statement = False
    for index, line in enumerate(lines):
        public = scopes.is_public()
        scopes.advance(line)
        code = re.sub(r"//.*", "", line).strip()
        if not code or is_comment(line) or code.startswith("#") or code.endswith("\\"):
            in_statement = in_statement and not code.endswith(";")
            continue
        starts = not in_statement
        in_statement = not code.endswith((";", "{", "}", ":")) and not re.match(r"template\s*<.*>$", code)
        match = FUNCTION.match(code) if starts and public else None
        if not match or EXEMPT.search(line) or ACCESSOR.search(line) or is_short_definition(lines, index):
            continue
        if match[1].startswith("~") or match[1].isupper() or KEYWORD.match(match[1]):
            continue
        if not is_explained(lines, index):
            yield index + 1, match[1]
