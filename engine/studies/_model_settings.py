"""The settings of every model, read from its source: importing it would load torch."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def model_settings(model: str) -> Mapping[str, Any]:
    """Return the settings that a model's constructor takes after the shape, with their defaults.

    Args:
        model: a name of ``engine.models``; of an unknown one, nothing is returned.
    """
    path = ROOT / "engine" / "models" / f"{model.replace('-', '_')}.py"
    if model.startswith("_") or not path.is_file():
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        node.value.id
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODEL"
        if isinstance(node.value, ast.Name)
    ]
    return _constructor(tree, names[0])


def _constructor(tree: ast.Module, name: str) -> dict[str, Any]:
    """Return the defaults of a class's constructor, or of the one that it inherits from another file."""
    (made,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            taken = [one.arg for one in node.args.args][2:]  # after self and shape
            return dict(zip(taken, map(ast.literal_eval, node.args.defaults), strict=True))
    base = ast.unparse(made.bases[0])
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(one.name == base for one in node.names):
            path = ROOT / f"{str(node.module).replace('.', '/')}.py"
            return _constructor(ast.parse(path.read_text(encoding="utf-8")), base)
    raise ValueError(f"`{name}` must have a constructor, or inherit one of this project; got neither.")
