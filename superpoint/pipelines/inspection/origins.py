"""Where pseudo-masks come from, as the page about them says it: rasters, superpixels, points, the vote, the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from superpoint.cache.remote import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from superpoint.cache.masks import Mask
    from superpoint.pipelines.inspection.subjects import Subject

MOST_NAMED = 4
"""Of several different things so many are named."""


def origins_of(pairs: Sequence[tuple[Subject, Mask | None]]) -> dict[str, str]:
    """Return where pseudo-masks come from, by what it is; what is not known is left out.

    Parameters
    ----------
    pairs : sequence of (Subject, Mask or None)
        Pseudo-masks with their truths.
    """
    subjects = [subject for subject, _ in pairs]
    known = [subject.provenance for subject in subjects]
    facts = {
        "pseudo-mask": _named(shown(subject.path) for subject in subjects),
        "truth": _named(truth.path for _, truth in pairs if truth) or "none was given",
        "raster": _named(filter(None, map(_raster, known))),
        "superpixels": _named(filter(None, map(_superpixels, known))),
        "points": _named(name for one in known for name in _files(one.get("points") or {})),
        "vote": _named(_listed(one["rule"]) for one in known if one.get("rule")),
        **{
            f"step {number + 1}": _named(_step(one["steps"][number]) for one in known if number < len(_steps(one)))
            for number in range(max((len(_steps(one)) for one in known), default=0))
        },
        "mind": twice_counted(subjects),
    }
    return {name: text for name, text in facts.items() if text}


def twice_counted(subjects: Sequence[Subject]) -> str:
    """Return a sentence on pseudo-masks of the same raster; nothing where there are none."""
    by_raster: dict[str, list[str]] = {}
    for subject in subjects:
        by_raster.setdefault(_raster(subject.provenance) or subject.path, []).append(shown(subject.path))
    return "; ".join(
        f"{' and '.join(paths)} are of the same raster, {raster}: its pixels count {len(paths)} times"
        for raster, paths in by_raster.items()
        if len(paths) > 1
    )


def _named(texts: Iterable[str]) -> str:
    """Name what differs, and say how many more there are."""
    different = list(dict.fromkeys(texts))
    more = len(different) - MOST_NAMED
    return "; ".join(different[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _raster(provenance: Mapping[str, Any]) -> str | None:
    source = _label_map(provenance).get("source") or {}
    return source.get("path") or ", ".join(source.get("parts") or ()) or None


def _superpixels(provenance: Mapping[str, Any]) -> str | None:
    algorithm = _label_map(provenance).get("algorithm")
    return _step(algorithm) if algorithm else None


def _label_map(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    found = provenance.get("label_map")
    return found if isinstance(found, dict) else {}


def _files(points: Mapping[str, Any]) -> list[str]:
    """Return the names of the files of points: pairs with a checksum, once a mapping, and at first a single name."""
    files = points.get("files") or [points.get("name")]
    return [name if isinstance(name, str) else name[0] for name in files if name]


def _steps(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    return provenance.get("steps") or []


def _step(step: Mapping[str, Any]) -> str:
    parameters = _listed(step.get("parameters") or {})
    return f"{step['name']}: {parameters}" if parameters else str(step["name"])


def _listed(parameters: Mapping[str, Any]) -> str:
    """List parameters by name: a file has them in another order than the cache."""
    return ", ".join(f"{name} {_short(value)}" for name, value in sorted(parameters.items()))


def _short(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
