/* How the page looks, and what little moves on it. Nothing is fetched from anywhere. */
#include "bench/report_html.h"

const char *const page_style[] = {
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--mute:#667080;"
    "--line:#e3e6ea;--a:#2563eb;--b:#0d9488;--c:#d97706;--d:#7c3aed;--e:#94a3b8;"
    "--good:#15803d;--warn:#b45309;--bad:#dc2626;--goodbg:#e7f6ec;--warnbg:#fdf1dc;"
    "--badbg:#fde8e8;--h1:#e3edfd;--h2:#c7dbfb;--h3:#a3c4f8;--h4:#75a5f2;--h5:#4a84e8;"
    "--h6:#2f66d3;--h7:#234da8;--h8:#1b3879}\n",
    "@media (prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#171b21;--ink:#e4e7eb;"
    "--mute:#98a2b0;--line:#2a3038;--a:#6ea8fe;--b:#2dd4bf;--c:#fbbf24;--d:#c4a1ff;"
    "--e:#7b8794;--good:#4ade80;--warn:#fbbf24;--bad:#f87171;--goodbg:#12291b;"
    "--warnbg:#2e2410;--badbg:#331719;--h1:#16233a;--h2:#1b3156;--h3:#214378;--h4:#2a5ba3;"
    "--h5:#3b79cd;--h6:#5f9bea;--h7:#92bdf7;--h8:#cfe2fd}}\n",
    "@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--mute:#444;--line:#ccc;"
    "--a:#2563eb;--b:#0d9488;--c:#d97706;--d:#7c3aed;--e:#94a3b8;--good:#15803d;"
    "--warn:#b45309;--bad:#dc2626;--goodbg:#e7f6ec;--warnbg:#fdf1dc;--badbg:#fde8e8;"
    "--h1:#e3edfd;--h2:#c7dbfb;--h3:#a3c4f8;--h4:#75a5f2;--h5:#4a84e8;--h6:#2f66d3;"
    "--h7:#234da8;--h8:#1b3879}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n",
    "*{box-sizing:border-box}\n",
    "body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;"
    "font-variant-numeric:tabular-nums}\n",
    "main{max-width:1080px;margin:0 auto;padding:24px 20px 48px}\n",
    "h1{font-size:22px;line-height:1.3;margin:0;overflow-wrap:anywhere}\n",
    "h2{font-size:16px;margin:0 0 2px}\n",
    "p{margin:0}\n",
    "code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
    "font-size:13px}\n",
    ".sub{color:var(--mute);margin:4px 0 18px;overflow-wrap:anywhere}\n",
    ".remark{color:var(--mute);font-size:13.5px;margin:0 0 10px}\n",
    ".banner{border-radius:10px;padding:14px 18px;margin:0 0 16px;border-left:5px solid}\n",
    ".banner b{font-size:17px;margin-right:10px;letter-spacing:.02em}\n",
    ".banner ul{margin:6px 0 0;padding-left:20px}\n",
    ".valid{background:var(--goodbg);border-color:var(--good)}.valid "
    "b{color:var(--good)}\n",
    ".suspect{background:var(--warnbg);border-color:var(--warn)}"
    ".suspect b{color:var(--warn)}\n",
    ".invalid{background:var(--badbg);border-color:var(--bad)}.invalid "
    "b{color:var(--bad)}\n",
    ".tiles{display:grid;grid-template-columns:repeat(6,1fr);gap:12px;margin:0 0 16px}\n",
    ".tile,section{background:var(--card);border:1px solid "
    "var(--line);border-radius:10px}\n",
    ".tile{padding:12px 14px;min-width:0}\n",
    ".tile span{display:block;color:var(--mute);font-size:12.5px}\n",
    ".tile strong{display:block;font-size:22px;line-height:1.25;font-weight:650;"
    "white-space:nowrap}\n",
    "section{padding:16px 18px;margin:0 0 16px;break-inside:avoid}\n",
    ".scroll{overflow-x:auto}\n",
    ".plot{display:block;width:100%;height:auto;overflow:visible}\n",
    ".plot text{font:12px system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;"
    "fill:var(--mute);font-variant-numeric:tabular-nums}\n",
    ".plot .y{text-anchor:end;dominant-baseline:middle}\n",
    ".plot .x{text-anchor:middle;dominant-baseline:hanging}\n",
    ".grid{stroke:var(--line);stroke-width:1;fill:none}\n",
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n",
    ".a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c)}.d{stroke:var(--d)}"
    ".e{stroke:var(--e)}\n",
    ".dash{stroke-dasharray:6 5}.thin{stroke-width:1.5}\n",
    ".limit{stroke:var(--bad);stroke-dasharray:3 4;fill:none}\n",
    ".plot text.limit{stroke:none;fill:var(--bad)}\n",
    ".event{stroke:var(--d);stroke-dasharray:2 3}\n",
    ".plot text.event{stroke:none;fill:var(--d)}.plot text.turned{text-anchor:end}\n",
    ".few{fill:var(--e);opacity:.16}\n",
    ".err{fill:var(--bad)}\n",
    ".pass{fill:var(--b);stroke:var(--card);stroke-width:1.5}\n",
    ".fail{fill:var(--card);stroke:var(--bad);stroke-width:2.5}\n",
    ".h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}"
    ".h5{fill:var(--h5)}.h6{fill:var(--h6)}.h7{fill:var(--h7)}.h8{fill:var(--h8)}\n",
    ".heat rect{shape-rendering:crispEdges}\n",
    ".hit{fill:transparent}.hit:hover{fill:var(--ink);fill-opacity:.07}\n",
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--mute);"
    "margin:6px 0 0}\n",
    ".legend svg{width:22px;height:10px;margin-right:6px;vertical-align:middle}\n",
    ".legend i{display:inline-block;width:12px;height:12px;border-radius:3px;"
    "margin-right:6px;vertical-align:-1px}\n",
    ".fa{background:var(--a)}.fb{background:var(--b)}.fc{background:var(--c)}"
    ".fd{background:var(--d)}.fe{background:var(--e)}\n",
    "table{border-collapse:collapse;width:100%;font-size:14px}\n",
    "th{color:var(--mute);font-weight:500;text-align:left;font-size:13px}\n",
    "th,td{padding:5px 14px 5px 0;border-bottom:1px solid "
    "var(--line);vertical-align:top}\n",
    "tr:last-child td{border-bottom:0}\n",
    "th:last-child,td:last-child{padding-right:0}\n",
    ".n{text-align:right;white-space:nowrap}\n",
    "td code{overflow-wrap:anywhere}\n",
    ".bar{height:14px;border-radius:3px;min-width:1px}\n",
    ".share{width:34%;min-width:70px;vertical-align:middle}\n",
    ".stack{display:flex;height:26px;border-radius:5px;overflow:hidden;margin:2px 0 12px;"
    "background:var(--line)}\n",
    ".stack div{min-width:1px}\n",
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}"
    ".mute{color:var(--mute)}\n",
    ".chip{display:inline-block;border-radius:99px;padding:1px 11px;margin:0 8px 8px 0;"
    "font-size:13.5px}\n",
    ".chip.good{background:var(--goodbg)}.chip.bad{background:var(--badbg)}\n",
    ".facts{display:grid;grid-template-columns:max-content 1fr;gap:2px "
    "18px;font-size:14px}\n",
    ".facts dt{color:var(--mute)}.facts dd{margin:0;overflow-wrap:anywhere}\n",
    ".command{display:block;background:var(--bg);border:1px solid var(--line);"
    "border-radius:7px;padding:9px 12px;margin:6px 0 12px;overflow-wrap:anywhere}\n",
    "#tip{position:fixed;display:none;pointer-events:none;background:var(--ink);"
    "color:var(--bg);font-size:12.5px;line-height:1.45;padding:6px 10px;border-radius:6px;"
    "white-space:pre;z-index:9;max-width:90vw}\n",
    "footer{color:var(--mute);font-size:13px}\n",
    "@media (max-width:900px){.tiles{grid-template-columns:repeat(3,1fr)}}\n",
    "@media (max-width:640px){main{padding:14px 10px 30px}section{padding:12px}"
    ".tiles{gap:8px}.tile{padding:9px 10px}.tile strong{font-size:17px}"
    ".plot text{font-size:24px}.line{stroke-width:3.5}.hide{display:none}"
    "th,td{padding-right:9px}.wide{min-width:560px}.facts{grid-template-columns:1fr}.facts "
    "dd{margin-bottom:6px}}\n",
    "@media print{main{max-width:none;padding:0}.tile strong{font-size:18px}"
    "section{padding:10px 12px}body{font-size:12px}}\n",
    NULL};

const char *const page_script[] = {
    "(function () {\n",
    "  \"use strict\";\n",
    "  var tip = document.createElement(\"div\");\n",
    "  tip.id = \"tip\";\n",
    "  document.body.appendChild(tip);\n",
    "  function hide() {\n",
    "    tip.style.display = \"none\";\n",
    "  }\n",
    "  function place(event) {\n",
    "    var box = tip.getBoundingClientRect();\n",
    "    var x = event.clientX + 14, y = event.clientY + 14;\n",
    "    if (x + box.width > window.innerWidth - 8) x = event.clientX - box.width - 14;\n",
    "    if (y + box.height > window.innerHeight - 8) y = event.clientY - box.height - "
    "14;\n",
    "    tip.style.left = Math.max(4, x) + \"px\";\n",
    "    tip.style.top = Math.max(4, y) + \"px\";\n",
    "  }\n",
    "  document.querySelectorAll(\".hit\").forEach(function (hit) {\n",
    "    var title = hit.querySelector(\"title\");\n",
    "    var text = title.textContent;\n",
    "    hit.removeChild(title); /* or the browser would show it as well */\n",
    "    hit.addEventListener(\"pointermove\", function (event) {\n",
    "      tip.textContent = text;\n",
    "      tip.style.display = \"block\";\n",
    "      place(event);\n",
    "    });\n",
    "    hit.addEventListener(\"pointerleave\", hide);\n",
    "  });\n",
    "  window.addEventListener(\"scroll\", hide, { passive: true });\n",
    "})();\n",
    NULL};
