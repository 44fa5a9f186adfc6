"""An import only ever points down: top floor (pipelines, cli), middle floor (cache), ground floor (the rest)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "superpoint"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TENSORS = {"torch", "lightning", "torchvision", "segmentation_models_pytorch"}
TENSOR_ROOMS = ("superpoint.models", "superpoint.training", "superpoint.losses", "superpoint.inference")
BANNED_ON = {
    "middle": {"superpoint.pipelines", "superpoint.cli", "dask", "distributed", "typer", *TENSORS},
    "ground": {
        "superpoint.cache", "superpoint.pipelines", "superpoint.cli",
        "zarr", "rasterio", "dask", "distributed", "typer",
    },
}  # fmt: skip


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def floor_of(module: str) -> str:
    if module == "superpoint" or any(
        is_within(module, f"superpoint.{top}") for top in ("pipelines", "cli", "__main__")
    ):
        return "top"
    return "middle" if is_within(module, "superpoint.cache") else "ground"


def names_in(node: ast.AST, module: str) -> set[str]:
    """Return the modules that an import statement names; `from a import b` names a and a.b."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        source = ".".join(part for part in (package if node.level else "", node.module or "") if part)
        return {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return set()


def imports_of(module: str) -> set[str]:
    """All imports anywhere in a module, also late ones and those for type checking."""
    tree = ast.parse(MODULES[module].read_text())
    return set().union(*(names_in(node, module) for node in ast.walk(tree)))


def early_imports_of(module: str) -> set[str]:
    """The imports that run when a module is imported."""
    found: set[str] = set()
    nodes: list[ast.AST] = list(ast.parse(MODULES[module].read_text()).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes.extend(node.orelse)
            continue
        found |= names_in(node, module)
        nodes.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_an_import_only_points_down(module: str) -> None:
    banned = BANNED_ON.get(floor_of(module), set())
    upward = sorted(name for name in imports_of(module) if any(is_within(name, package) for package in banned))
    assert not upward, f"{module} is on the {floor_of(module)} floor and imports {', '.join(upward)}"


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if floor_of(name) == "ground" and not any(is_within(name, room) for room in TENSOR_ROOMS)
    ],
)
def test_only_the_rooms_about_tensors_need_pytorch(module: str) -> None:
    assert not {name.partition(".")[0] for name in early_imports_of(module)} & TENSORS


@pytest.mark.parametrize("module", [name for name in MODULES if floor_of(name) == "top"])
def test_the_top_floor_imports_pytorch_and_dask_late(module: str) -> None:
    heavy = {*TENSORS, "distributed", "dask", "matplotlib"}
    assert not {name.partition(".")[0] for name in early_imports_of(module)} & heavy


def test_the_rooms_are_all_known() -> None:
    assert {floor_of(module) for module in MODULES} == {"top", "middle", "ground"}
    assert floor_of("superpoint.cache.groups") == "middle"
    assert floor_of("superpoint.superpixels.slic") == "ground"
    assert {"superpoint.pipelines.jobs", "superpoint.cache.groups", "superpoint.tiles"} <= set(MODULES)


def test_the_reader_of_imports_sees_every_kind_of_import() -> None:
    assert "superpoint.cache.groups" in imports_of("superpoint.pipelines.jobs")  # for type checking only
    assert "distributed.Client" in imports_of("superpoint.pipelines.jobs")
    assert not {name for name in early_imports_of("superpoint.pipelines.jobs") if name.startswith("distributed")}
    assert "superpoint.cache.ledger" in early_imports_of("superpoint.pipelines.jobs")


def loaded_by(statement: str, names: set[str]) -> set[str]:
    code = f"import sys; {statement}; print(*[name for name in {sorted(names)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["superpoint", "superpoint.cli"])
def test_importing_the_package_or_the_command_line_is_light(module: str) -> None:
    assert loaded_by(f"import {module}", {*TENSORS, "numba", "distributed", "matplotlib", module}) == {module}


def test_importing_all_jobs_loads_no_pytorch_and_no_cluster() -> None:
    jobs = [module for module in MODULES if is_within(module, "superpoint.pipelines")]
    assert loaded_by(f"import {', '.join(jobs)}", {*TENSORS, "distributed", "zarr"}) == {"zarr"}
