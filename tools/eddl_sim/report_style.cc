// How a report looks: one style sheet for light and dark, wide and narrow.
#include "tools/eddl_sim/report_parts.h"

namespace eddl::net::sim {

std::string_view ReportStyle() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1c1d20; --soft: #5d6068; --line: #e3e3df; --axis: #a9abb2;
  --good: #1a7f4b; --bad: #c0341d;
  --s0: #2c6fbb; --s1: #d9822b; --s2: #1f9d8a; --s3: #8a5cc2; --s4: #9aa0ab;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16171a; --card: #1f2024; --ink: #ececea; --soft: #a3a6ae; --line: #33353b; --axis: #6c7079;
    --good: #5cc78d; --bad: #ff8468;
    --s0: #6ca9f0; --s1: #f0a355; --s2: #4cc7b2; --s3: #b493ea; --s4: #7b818c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1140px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0; }
h2 { font-size: 17px; margin: 32px 0 10px; }
p { margin: 4px 0; }
.soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 10px; margin: 18px 0; }
.tile, figure, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tile { padding: 10px 14px; }
.tile b { display: block; font-size: 21px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 14px; }
figure { margin: 0; padding: 12px 14px 8px; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: 4px; }
figcaption small { display: block; font-weight: 400; font-size: 13px; color: var(--soft); }
.key { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; color: var(--soft); margin-bottom: 4px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.wide svg { min-width: 860px; }
.grid { stroke: var(--line); } .axis { stroke: var(--axis); }
.mark { stroke: var(--bad); stroke-dasharray: 2 3; opacity: .75; }
.hint { fill: transparent; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); } .line.s2 { stroke: var(--s2); }
.line.s3 { stroke: var(--s3); } .line.s4 { stroke: var(--s4); }
.fill.s0, i.s0 { fill: var(--s0); background: var(--s0); } .fill.s1, i.s1 { fill: var(--s1); background: var(--s1); }
.fill.s2, i.s2 { fill: var(--s2); background: var(--s2); } .fill.s3, i.s3 { fill: var(--s3); background: var(--s3); }
.fill.s4, i.s4 { fill: var(--s4); background: var(--s4); }
.card { padding: 4px 14px; overflow-x: auto; margin-bottom: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; color: var(--soft); font-size: 13px; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
.chosen td { font-weight: 600; }
summary { cursor: pointer; padding: 8px 0; }
pre { font: 13px/1.5 ui-monospace, monospace; overflow-x: auto; margin: 8px 0; }
)css";
}

}  // namespace eddl::net::sim
