"""Sources that do different things have different hashes, however alike they look."""

from __future__ import annotations

import pytest

from sscdl import canonical, source

A, B = "X = []\ndef f(): return 1\n", "X = []\ndef f(): return 2\n"
FUNCTIONS = "def {0}():\n    from sscdl.a import f\n    return f()\n"
FUNCTIONS += "def {1}():\n    from sscdl.b import f\n    return f()\n"
CHOSEN = "import os\nif os.name:\n    from sscdl.{0} import f\nelse:\n    from sscdl.{1} import f\n"
TRIED = "try:\n    from sscdl.{0} import f\nexcept ImportError:\n    from sscdl.{1} import f\n"
ALIASES = "".join(
    f"def {name}():\n    from sscdl import {{{number}}} as m\n    return m.f()\n"
    for number, name in enumerate("gkl")
)
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\nelse:\n    {}\n"
PATTERN = "from sscdl import a\ndef g(x):\n    match x:\n        case {0}: return {1}.f()\n"
STARTED = "import importlib\nm = importlib.import_module('sscdl.{}')\n"

# What it is, and two texts of a module beside `sscdl.a` and `sscdl.b`.
PAIRS = {
    "imports of two functions exchanged": (FUNCTIONS.format("g", "k"), FUNCTIONS.format("k", "g")),
    "branches exchanged": (CHOSEN.format("a", "b"), CHOSEN.format("b", "a")),
    "what is tried first": (TRIED.format("a", "b"), TRIED.format("b", "a")),
    "the later import wins": (
        "from sscdl.a import f\nfrom sscdl.b import f\n",
        "from sscdl.b import f\nfrom sscdl.a import f\n",
    ),
    "the later star wins": (
        "from sscdl.a import *\nfrom sscdl.b import *\n",
        "from sscdl.b import *\nfrom sscdl.a import *\n",
    ),
    "a definition before or after an import": (
        "def f(): return 3\nfrom sscdl.a import f\n", "from sscdl.a import f\ndef f(): return 3\n",
    ),
    "an import at the top or in a function": (
        "from sscdl import a\ndef g(): return 1\ndef k(): return a.f()\n",
        "def g():\n    from sscdl import a\n    return 1\ndef k(): return a.f()\n",
    ),
    "one alias for several modules": (ALIASES.format(*"aba"), ALIASES.format(*"aab")),
    "a module of Python under the name of ours": (
        "from sscdl import a\ndef g():\n    import os as a\n    return a\ndef k(): return a.f()\n",
        "from sscdl import a\ndef g(): return a\ndef k():\n    import os as a\n    return a.f()\n",
    ),
    "the rest of a pattern": (
        PATTERN.format("{**a}", "a"), PATTERN.format("{**b}", "a"),
    ),
    "a module that is imported by its name": (STARTED.format("a"), STARTED.format("b")),
    "a text like a name": ("x = 'sscdl'\n", "x = 'sscdl.a'\n"),
    "a text like a reference": ("x = '<<sscdl.a>>'\n", "x = '<<sscdl.b>>'\n"),
    "what runs where types are not checked": (TYPES.format("f = 1"), TYPES.format("f = 2")),
    "an import where types are not checked": (
        TYPES.format("from sscdl.a import f"), TYPES.format("from sscdl.b import f"),
    ),
    "the type of a field": (
        "from typing import Any\nclass C:\n    x: int = 1\n",
        "from typing import Any\nclass C:\n    x: Any = 1\n",
    ),
    "a value that is a type": (
        "from typing import Any\ndef f(x=int): return x\n",
        "from typing import Any\ndef f(x=Any): return x\n",
    ),
    "types by another name": (
        "from collections.abc import Sequence as S\ndef f(x): return isinstance(x, S)\n",
        "from collections.abc import Mapping as S\ndef f(x): return isinstance(x, S)\n",
    ),
    "types of another library": (
        "from os import PathLike\ndef f(x): return x\n", "def f(x): return x\n",
    ),
    "a logger that is none": (
        "class R:\n    def getLogger(self, x): return x\ny = R().getLogger(1)\n",
        "class R:\n    def getLogger(self, x): return x\ny = R().getLogger(2)\n",
    ),
}  # fmt: skip


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a function that hashes a module beside ``sscdl.a`` and ``sscdl.b``."""
    monkeypatch.setattr(canonical, "HERE", tmp_path)

    def hashed(text: str, **others: str) -> str:
        for name, content in {"a": A, "b": B, "first": text, **others}.items():
            (tmp_path / f"{name}.py").write_text(content)
        canonical.canonical.cache_clear()
        return source.source_hash("sscdl.first")

    yield hashed
    canonical.canonical.cache_clear()


@pytest.mark.parametrize("pair", PAIRS)
def test_different_sources_have_different_hashes(written, pair):
    one, two = PAIRS[pair]
    assert written(one) != written(two)


def test_what_a_string_names_counts_by_its_contents(written):
    before = written(STARTED.format("a"))
    assert source.import_closure(["sscdl.first"]) == ["sscdl.a", "sscdl.first"]
    assert written(STARTED.format("a"), a=A + "Y = 1\n") != before
    assert written(STARTED.format("a"), b=B + "Y = 1\n") == before


def test_the_order_that_a_formatter_gives_imports_does_not_count(written):
    """It follows the names of modules, which do not count."""
    one = "import os\nfrom sscdl.a import f\nfrom sscdl.b import X\nprint(f, X)\n"
    two = "import os\nfrom sscdl.b import X\nfrom sscdl.a import f\nprint(f, X)\n"
    assert written(one) == written(two)


def test_the_types_that_functions_declare_do_not_count(written):
    """Nothing asks for them: to say more of them must not train anything again."""
    bare = (
        "from sscdl.a import f\ndef g(x, *y, z=1, **w):\n    def k(x): return x\n    return k(x)\n"
    )
    declared = (
        "from collections.abc import Iterator\nfrom sscdl.a import f\nfrom typing import Any\n"
        "def g(x: int, *y: Any, z: int = 1, **w: Any) -> Iterator[int]:\n"
        "    def k(x: int) -> int: return x\n    return k(x)\n"
    )
    assert written(declared) == written(bare)
    assert written(declared.replace("z: int = 1", "z: int = 2")) != written(bare)
    asynchronous = [f"async def g(){types}: return 1\n" for types in ("", " -> int")]
    assert written(asynchronous[0]) == written(asynchronous[1])


@pytest.mark.parametrize("text", ["import sscdl.a\n", "import sscdl\n", "import os, sscdl.b\n"])
def test_imports_behind_which_names_would_count_are_refused(written, text):
    with pytest.raises(ValueError, match=r"first: import sscdl\S* as something"):
        written(text)
