"""How the page about a pseudo-mask looks, beside what all pages have in common."""

from __future__ import annotations

LABEL_STYLE = """
.verdict{background:var(--card);border-left:4px solid var(--soft);border-radius:8px;padding:.7rem 1rem;margin:.9rem 0}
.verdict p{margin:.25rem 0}.verdict p:first-child{font-size:1.1rem;font-weight:600}
.verdict.good{border-color:var(--good)}.verdict.check{border-color:var(--warn)}.verdict.poor{border-color:var(--bad)}
.badge.good{color:var(--good)}.badge.check{color:var(--warn)}.badge.poor{color:var(--bad)}
.badge.unknown{color:var(--soft)}
.stack{display:flex;height:1.5rem;border-radius:4px;overflow:hidden;margin:.2rem 0 .9rem;background:var(--line)}
.stack i{display:block;min-width:0}
.swatch{display:inline-block;width:.85em;height:.85em;border-radius:2px;margin-right:.5em;vertical-align:-.05em;
box-shadow:0 0 0 1px var(--line)}
.keys{width:auto}.keys td{vertical-align:top;white-space:normal}.keys td.n,.keys th{white-space:nowrap}
.keys th{padding-top:0;font-weight:400;color:var(--soft);background:none}.keys small{display:block;color:var(--soft);
margin-left:1.55em}
.k-correct{background:var(--good)}.k-mixed{background:var(--c1)}.k-wrong_vote{background:var(--bad)}
.k-filled_wrongly{background:var(--c0)}
.k-wrong{background:var(--bad)}.k-not_covered{background:var(--line)}
.meter{display:inline-flex;align-items:center;gap:.5em}.meter u{display:flex;width:56px;text-decoration:none}
.meter span{min-width:3.6em}
.meter i{display:block;height:.75em;border-radius:2px;min-width:1px;box-shadow:0 0 0 1px var(--line)}
.heat td{text-align:right;font-variant-numeric:tabular-nums}.heat thead th{text-align:right;max-width:9rem}
.heat small{display:block;color:var(--soft)}.heat tbody th{font-weight:400;position:sticky;left:0;background:var(--bg);
border-right:1px solid var(--line)}.heat thead th:first-child{text-align:left;position:sticky;left:0;z-index:1}
.heat td.hit{box-shadow:inset 0 0 0 1px var(--soft)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(max(160px,22%),1fr));gap:1rem .8rem}
.panels figure div,.cases figure div{background:none}.panels img{width:100%}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:1.4rem 1.6rem}
.cases figure div{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(0,190px);gap:6px}
.cases img{width:100%;image-rendering:auto}.wraps{white-space:normal}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:0 2rem}
.pair>div{min-width:0}
"""
