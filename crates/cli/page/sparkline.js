// A line of the last minute, as small as a word.

import { svg } from "./dom.js";

const WIDTH = 64;
const HEIGHT = 18;
/** The line fills its width after so many values at least. */
const POINTS = 20;

/** Makes a sparkline; `draw(values)` shows them, newest at the right. */
export function sparkline() {
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line" });
  const box = { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" };
  const node = svg("svg", box, area, line);
  const draw = (values) => {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) {
      line.setAttribute("d", "");
      area.setAttribute("d", "");
      return;
    }
    // From zero, so that a steady value looks steady.
    const top = Math.max(...known) * 1.15 || 1;
    const step = WIDTH / (Math.max(POINTS, values.length) - 1);
    const left = WIDTH - (values.length - 1) * step;
    let path = "";
    let first = null;
    let x = 0;
    values.forEach((value, index) => {
      if (value === null) return;
      x = left + index * step;
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      first ??= x;
      path += `${path ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    line.setAttribute("d", path);
    area.setAttribute("d", `${path}L${x.toFixed(1)} ${HEIGHT}L${first.toFixed(1)} ${HEIGHT}Z`);
  };
  return { node, draw };
}
