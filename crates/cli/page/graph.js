// Where the nodes of a pipeline go in its drawing: from top to bottom, one row for each step.

const NODE = { height: 58, most: 220 };
const END = { width: 120, height: 28 };
/** Room for an edge that passes a row. */
const PASS = 10;
const ROW_GAP = 26;
const COLUMN_GAP = 14;
const WIDTH = 300;
const MARGIN = 4;

/**
 * Lays out a graph.
 * @param {{nodes: {id: string, type: string}[], connections: {from: string, to: string}[], inputs?: string[],
 *   outputs?: string[], shared?: boolean}} pipeline
 * @returns {{width: number, height: number, boxes: object[], lines: {from: string, to: string, path: string}[]}}
 */
export function layOut(pipeline) {
  const { nodes = [], inputs = ["input"], outputs = ["output"] } = pipeline;
  const edges = connectEnds({ connections: [], ...pipeline, nodes, inputs, outputs });
  const depth = depths(inputs, nodes, outputs, edges);
  const rows = [];
  const place = (item, row) => (rows[row] ??= []).push(item);
  for (const id of inputs) place({ id, label: inputs.length > 1 ? id : pipeline.shared ? "all of you" : "you", kind: "end" }, 0);
  for (const node of nodes) place({ ...node, kind: "inner" }, depth.get(node.id));
  const routes = edges.map((edge) => route(edge, depth, place));
  for (const id of outputs) place({ id, label: outputs.length > 1 ? id : pipeline.shared ? "back to each" : "back to you", kind: "end" }, depth.get(id));
  const filled = rows.filter(Boolean);
  order(filled, routes);
  const { boxes, height } = position(filled);
  const lines = routes.map(({ from, to, way }) => ({ from, to, path: curve(way.map((id) => boxes.get(id))) }));
  return { width: WIDTH, height, boxes: [...boxes.values()].filter(({ kind }) => kind !== "pass"), lines };
}

/** Adds what is often left unsaid: nodes without a source get the input, nodes without a sink give the output. */
function connectEnds({ nodes, connections, inputs, outputs }) {
  const known = new Set([...inputs, ...outputs, ...nodes.map((node) => node.id)]);
  const edges = connections.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  if (edges.length > 0) return edges;
  if (nodes.length === 0) return [{ from: inputs[0], to: outputs[0] }];
  return nodes.flatMap(({ id }) => [{ from: inputs[0], to: id }, { from: id, to: outputs[0] }]);
}

/** The longest way from the inputs to each node; a loop does not make it endless. The outputs are all in the last row. */
function depths(inputs, nodes, outputs, edges) {
  const depth = new Map([...inputs.map((id) => [id, 0]), ...nodes.map(({ id }) => [id, 1]), ...outputs.map((id) => [id, 1])]);
  for (let round = 0; round < depth.size; round++) {
    for (const { from, to } of edges) {
      if (!inputs.includes(to)) depth.set(to, Math.min(depth.size, Math.max(depth.get(to), depth.get(from) + 1)));
    }
  }
  const inner = nodes.map(({ id }) => depth.get(id) + 1);
  const last = Math.max(1, ...inner, ...outputs.map((id) => depth.get(id)));
  for (const id of outputs) depth.set(id, last);
  return depth;
}

/** The way of an edge, with a place in every row that it passes, so that it runs behind no node. */
function route({ from, to }, depth, place) {
  const way = [from];
  for (let row = depth.get(from) + 1; row < depth.get(to); row++) {
    const id = `${from}\n${to}\n${row}`;
    place({ id, kind: "pass" }, row);
    way.push(id);
  }
  way.push(to);
  return { from, to, way };
}

/** Puts the items of each row in the order of those that lead to them, which spares crossings. */
function order(rows, routes) {
  const into = new Map();
  for (const { way } of routes) {
    for (let step = 1; step < way.length; step++) into.set(way[step], [...(into.get(way[step]) ?? []), way[step - 1]]);
  }
  const column = new Map();
  for (const row of rows) {
    const mean = ({ id }) => {
      const known = (into.get(id) ?? []).map((from) => column.get(from)).filter((at) => at !== undefined);
      return known.length ? known.reduce((sum, at) => sum + at, 0) / known.length : 0.5;
    };
    const wanted = new Map(row.map((item) => [item, mean(item)]));
    // An output that everything leads to past the nodes belongs at the side, as do the edges to it.
    row.sort((a, b) => wanted.get(a) - wanted.get(b) || (a.kind === "pass" ? 0 : 1) - (b.kind === "pass" ? 0 : 1));
    row.forEach(({ id }, index) => column.set(id, (index + 0.5) / row.length));
  }
}

function position(rows) {
  const boxes = new Map();
  let y = MARGIN;
  for (const row of rows) {
    const passing = row.filter(({ kind }) => kind === "pass").length;
    const gaps = COLUMN_GAP * (row.length - 1);
    const room = (WIDTH - 2 * MARGIN - gaps - PASS * passing) / Math.max(1, row.length - passing);
    const most = { pass: PASS, end: Math.min(room, END.width), inner: Math.min(room, NODE.most) };
    const tallest = Math.max(...row.map(({ kind }) => (kind === "inner" ? NODE.height : END.height)));
    let x = (WIDTH - row.reduce((sum, { kind }) => sum + most[kind], gaps)) / 2;
    for (const item of row) {
      const height = { pass: tallest, end: END.height, inner: NODE.height }[item.kind];
      boxes.set(item.id, { ...item, x, y: y + (tallest - height) / 2, width: most[item.kind], height });
      x += most[item.kind] + COLUMN_GAP;
    }
    y += tallest + ROW_GAP;
  }
  return { boxes, height: y - ROW_GAP + MARGIN };
}

/** A line from the bottom of the first through those that stand in between to the top of the last. */
function curve(way) {
  const middle = ({ x, width }) => x + width / 2;
  const [first] = way;
  let path = `M${middle(first)} ${first.y + first.height}`;
  for (let step = 1; step < way.length; step++) {
    const [a, b] = [way[step - 1], way[step]];
    const [x1, y1, x2, y2] = [middle(a), a.y + a.height, middle(b), b.y];
    const bend = Math.max(12, (y2 - y1) / 2);
    path += `C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    if (b.kind === "pass") path += `V${y2 + b.height}`;
  }
  return path;
}
