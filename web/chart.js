// Tickets booked a second in the last minutes.
import { useEffect, useRef } from "./vendor/hooks.js";
import uPlot from "./vendor/uplot.js";
import { number, t, time } from "./text.js";
import { html } from "./ui.js";

export const CHART_S = 120;
const LEAST_S = 30; // of the axis, at the beginning
const HEIGHT = 300;
const BARS = { size: [0.8, 12], align: -1 };
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Load the library's style once. */
function styled() {
  const href = new URL("./vendor/uplot.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
}

/** Return which seconds a chart shows. uPlot's own choice for a single one is a day. */
function shown({ data: [seconds] }) {
  const last = seconds.at(-1) ?? Date.now() / 1000;
  return [Math.min(seconds[0] ?? last, last - LEAST_S), last];
}

function made(place, data) {
  const colour = (name) => {
    place.style.color = `var(${name})`; // a canvas does not know variables
    return getComputedStyle(place).color;
  };
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px Bricolage, system-ui" };
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { show: false },
      legend: { show: false },
      scales: { x: { range: shown }, y: { range: (_, low, high) => [0, Math.max(5, high * 1.1)] } },
      axes: [{ ...axis, size: 34, space: 90, values: (_, ticks) => ticks.map((tick) => time(tick * 1000)) }, { ...axis, size: 44, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? number(tick) : "")) }],
      series: [{}, { fill: colour("--accent"), width: 0, paths: uPlot.paths.bars(BARS), points: { show: false } }],
    },
    data,
    place,
  );
}

/** Draw data = [seconds since 1970, tickets booked a second]. */
export function Chart({ data }) {
  const place = useRef(null);
  const chart = useRef(null);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    styled();
    const here = place.current;
    const draw = () => {
      chart.current?.destroy();
      chart.current = made(here, latest.current);
    };
    draw();
    const resized = new ResizeObserver(() => chart.current.setSize({ width: here.clientWidth, height: HEIGHT }));
    resized.observe(here);
    dark.addEventListener("change", draw);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      chart.current.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(data), [data]);
  return html`<div ref=${place} class="chart" role="img" aria-label=${`${t.perSecond}: ${number(data[1].at(-1) ?? 0)}`}></div>`;
}
