// Where the nodes of a pipeline go in its drawing: from top to bottom, one row for each step.

const NODE = { height: 58, most: 220 };
const END = { width: 120, height: 28 };
const ROW_GAP = 26;
const COLUMN_GAP = 14;
const WIDTH = 300;
const MARGIN = 4;

/**
 * Lays out a graph.
 * @param {{nodes: {id: string, type: string}[], connections: {from: string, to: string}[]}} pipeline
 * @returns {{width: number, height: number, boxes: object[], lines: string[]}}
 */
export function layOut({ nodes = [], connections = [] }) {
  const edges = connectEnds(nodes, connections);
  const depth = depths(["input", ...nodes.map((node) => node.id), "output"], edges);
  const last = Math.max(1, ...depth.values());
  depth.set("output", Math.max(last, depth.get("output")));
  const rows = [];
  const place = (item) => (rows[depth.get(item.id)] ??= []).push(item);
  place({ id: "input", label: "you", kind: "end" });
  for (const node of nodes) place({ ...node, kind: "inner" });
  place({ id: "output", label: "back to you", kind: "end" });

  const boxes = new Map();
  let y = MARGIN;
  for (const row of rows.filter(Boolean)) {
    const room = (WIDTH - 2 * MARGIN - COLUMN_GAP * (row.length - 1)) / row.length;
    const sizes = row.map(({ kind }) => Math.min(room, kind === "end" ? END.width : NODE.most));
    let x = (WIDTH - sizes.reduce((sum, size) => sum + size + COLUMN_GAP, -COLUMN_GAP)) / 2;
    const tallest = Math.max(...row.map(({ kind }) => (kind === "end" ? END.height : NODE.height)));
    row.forEach((item, index) => {
      const height = item.kind === "end" ? END.height : NODE.height;
      boxes.set(item.id, { ...item, x, y: y + (tallest - height) / 2, width: sizes[index], height });
      x += sizes[index] + COLUMN_GAP;
    });
    y += tallest + ROW_GAP;
  }
  const lines = edges.map(({ from, to }) => curve(boxes.get(from), boxes.get(to)));
  return { width: WIDTH, height: y - ROW_GAP + MARGIN, boxes: [...boxes.values()], lines };
}

/** Adds what is often left unsaid: nodes without a source get the input, nodes without a sink give the output. */
function connectEnds(nodes, connections) {
  const known = new Set(["input", "output", ...nodes.map((node) => node.id)]);
  const edges = connections.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  const missing = [];
  for (const { id } of nodes) {
    if (!edges.some((edge) => edge.to === id)) missing.push({ from: "input", to: id });
    if (!edges.some((edge) => edge.from === id)) missing.push({ from: id, to: "output" });
  }
  if (nodes.length === 0 && edges.length === 0) missing.push({ from: "input", to: "output" });
  return [...edges, ...missing];
}

/** The longest way from the input to each node; a loop does not make it endless. */
function depths(ids, edges) {
  const depth = new Map(ids.map((id) => [id, id === "input" ? 0 : 1]));
  for (let round = 0; round < ids.length; round++) {
    for (const { from, to } of edges) {
      if (to !== "input") depth.set(to, Math.min(ids.length, Math.max(depth.get(to), depth.get(from) + 1)));
    }
  }
  return depth;
}

function curve(a, b) {
  const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
  const bend = Math.max(12, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
