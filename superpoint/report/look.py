"""How the page looks, and the few lines that sort its tables."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d5dbe1;--card:#f5f7f9;--bad:#c23434;
--good:#23804a;--warn:#96650a;--c0:#2f6fb0;--c1:#d97f26;--c2:#3a9d5d;--c3:#b0489a;--c4:#8a6d3b;--c5:#5b5fc7;--rest:#9aa3ad}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ec;--soft:#9aa4af;--line:#343b43;--card:#1d2126;
--bad:#f27d7d;--good:#67c98c;--warn:#e0b050;--c0:#6aa9e9;--c1:#f0a35c;--c2:#6cc98c;--c3:#dd85c8;--c4:#c9a66b;--c5:#9a9df0;
--rest:#6b7480}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1240px;padding:1.25rem 1rem 3rem;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.45rem;line-height:1.3;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.4rem 0 .6rem}
h3{font-size:1rem;margin:1.4rem 0 .4rem}p{margin:.4rem 0}.soft{color:var(--soft)}code,pre{font-size:.87em}
.badge{display:inline-block;padding:0 .6em;border-radius:1em;border:1px solid;font-size:.8em;vertical-align:.1em;
white-space:nowrap}.done{color:var(--good)}.running{color:var(--c0)}.stopped,.unfinished{color:var(--warn)}
.failed,.killed,.quarantined,.bad{color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:.6rem;margin:1rem 0}
.facts div{background:var(--card);border-radius:8px;padding:.6rem .8rem}.facts b{display:block;font-size:1.2rem;
line-height:1.3;font-weight:600;overflow-wrap:normal}.facts div>span{color:var(--soft);font-size:.87rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.6rem 0}dt{color:var(--soft)}dd{margin:0}
.chart{position:relative;height:190px;margin:1rem .9rem 2.2rem 3.2rem;border-bottom:1px solid var(--soft)}
.chart svg{position:absolute;inset:0;width:100%;height:100%}.grid{position:absolute;left:0;right:0;
border-top:1px solid var(--line)}.grid span{position:absolute;right:100%;transform:translateY(-50%);padding-right:.4rem;
white-space:nowrap}.tick{position:absolute;top:100%;transform:translateX(-50%);padding-top:.15rem;white-space:nowrap}
.grid span,.tick{color:var(--soft);font-size:.8rem;font-variant-numeric:tabular-nums}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.4rem 0;padding:0;font-size:.87rem}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}.c2{fill:var(--c2);background:var(--c2)}
.c3{fill:var(--c3);background:var(--c3)}.c4{fill:var(--c4);background:var(--c4)}.c5{fill:var(--c5);background:var(--c5)}
.c-others{fill:var(--rest);background:var(--rest)}.c-failed{fill:var(--bad);background:var(--bad)}
.scroll{overflow:auto;max-height:34rem;border:1px solid var(--line);border-radius:8px}
table{border-collapse:separate;border-spacing:0;font-size:.87rem;width:100%}td,th{padding:.28rem .7rem;text-align:left;
white-space:nowrap;border-bottom:1px solid var(--line);max-width:34rem;overflow:hidden;text-overflow:ellipsis}
tbody tr:last-child td{border-bottom:0}thead th{position:sticky;top:0;background:var(--card);font-weight:600}
.n{text-align:right;font-variant-numeric:tabular-nums}th button{all:unset;cursor:pointer}th button:focus-visible{
outline:2px solid var(--c0);outline-offset:2px}th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
details{border:1px solid var(--line);border-radius:8px;padding:.45rem .8rem;margin:.5rem 0}summary{cursor:pointer}
details ul{margin:.4rem 0;padding-left:1.2rem;font-size:.87rem;max-height:20rem;overflow:auto}
details pre{overflow:auto;max-height:30rem;margin:.4rem 0}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,362px),1fr));gap:1.2rem}
figure{margin:0}figure div{display:flex;gap:8px;align-items:flex-start}img{image-rendering:pixelated;height:auto;
min-width:0;background:repeating-conic-gradient(var(--line) 0 25%,transparent 0 50%) 0/12px 12px}
figcaption{font-size:.87rem;margin-top:.3rem}
@media(max-width:600px){body{padding:.9rem .8rem 2rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}
.facts{grid-template-columns:repeat(2,1fr)}.chart{height:150px}}
@media print{.scroll{max-height:none;overflow:visible}}
"""

SCRIPT = """
document.addEventListener("click",e=>{const b=e.target.closest("th button");if(!b)return;
const th=b.parentNode,i=th.cellIndex,body=th.closest("table").tBodies[0],num=th.classList.contains("n");
const was=th.getAttribute("aria-sort"),up=was?was==="descending":!num;
const key=r=>{const c=r.cells[i];return num?(c.dataset.v===undefined?null:+c.dataset.v):c.textContent.toLowerCase()};
const order=(a,b)=>a===null?1:b===null?-1:(a<b?-1:a>b?1:0)*(up?1:-1);
for(const o of th.parentNode.cells)o.removeAttribute("aria-sort");
th.setAttribute("aria-sort",up?"ascending":"descending");
body.append(...[...body.rows].map(r=>[key(r),r]).sort((a,b)=>order(a[0],b[0])).map(p=>p[1]));});
"""
