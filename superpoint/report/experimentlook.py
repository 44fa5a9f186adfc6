"""How the report of an experiment looks, beside what pages about labels have in common with it."""

from __future__ import annotations

from superpoint.report.labellook import LABEL_STYLE

EXPERIMENT_STYLE = (
    LABEL_STYLE
    + """
:root{--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#e69f00;--s5:#56b4e9}
@media(prefers-color-scheme:dark){:root{--s0:#4ba6e0;--s1:#f0803c;--s2:#35c79b;--s3:#e29dc3;--s4:#f2b63a;--s5:#8acdf5}}
.plots{display:grid;gap:1rem 1.4rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,var(--least)),1fr))}
.plots figure{min-width:0}.plots svg{display:block;width:100%;height:auto}
.plots text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.plots figcaption{font-weight:600;margin:0 0 .2rem}
.legend b{font-weight:400;margin-right:.4em}
.steps{display:grid;gap:0 2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.steps dl{font-size:.87rem}.maps{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,150px),1fr));
gap:.8rem;max-width:calc(var(--n)*290px);margin:.4rem 0 1rem}.maps figure div{display:block;background:none}
.maps img{display:block;width:100%}.verdict p:first-child{font-size:1.05rem}
@media(max-width:600px){.maps{grid-template-columns:1fr 1fr}}
.definitions dl{font-size:.87rem}
"""
)
