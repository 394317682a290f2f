"use strict";
// Places for the boxes of a view. Layers and their order are in the data; sizes depend on which frames are closed.
// The method is that of coordinates.py and layout.py: each layer in turn is put where its lines are shortest.

const GAP_X = 18, GAP_Y = 14, PADDING = 12, BAND = 18, SHADOW = 6, SWEEPS = 30;
const STRAIGHT = [1, 1, 12];

// The cells and wires of a level, made once from the data of a group or of the whole.
function makeLevel(data) {
  const cells = [], layers = [];
  for (const items of data.layers) {
    const layer = items.map(item => ({ item, above: [], below: [], x: 0, y: 0, layer: layers.length }));
    layers.push(layer);
    cells.push(...layer);
  }
  for (const [source, target, key] of data.wires) {
    const wire = { source: cells[source], target: cells[target], key };
    wire.source.below.push(wire);
    wire.target.above.push(wire);
  }
  for (const cell of cells) {
    for (const wire of cell.below) {
      const passing = (wire.source.item === null) + (wire.target.item === null);
      const single = wire.source.below.length === 1 && wire.target.above.length === 1;
      wire.weight = STRAIGHT[passing] * (single ? 4 : 1);
      wire.follows = single || (passing === 2);
    }
  }
  const ends = pairs => new Map(pairs.map(([key, cell]) => [key, cells[cell]]));
  return { layers, cells, entries: ends(data.entries), exits: ends(data.exits) };
}

// Lays out a level. measure(cell): [width, height]; offset(wire, isLower): end of a wire from the middle of its cell.
function layOut(level, measure, offset, isGroup) {
  const { layers, cells } = level;
  for (const cell of cells) [cell.width, cell.height] = cell.item === null ? [4, 0] : measure(cell.item);
  for (const layer of layers) {
    let at = -layer.reduce((sum, cell) => sum + cell.width + GAP_X, 0) / 2;
    layer.forEach((cell, k) => {
      cell.x = at + (cell.width + GAP_X) / 2;
      at += cell.width + GAP_X;
      cell.left = layer[k - 1];
      cell.right = layer[k + 1];
    });
  }
  for (const cell of cells) {
    for (const wire of cell.below) wire.apart = offset(wire, false) - offset(wire, true);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0, both = sweep >= SWEEPS / 2;
    for (const layer of down ? layers : [...layers].reverse()) settle(layer, down || both, !down || both);
  }
  for (let k = 0; k < 3; k++) straighten(cells);
  return stack(level, offset, isGroup);
}

function settle(layer, above, below) {
  const pools = [];
  let shift = 0, previous = null;
  const shifts = layer.map(cell => {
    if (previous) shift += (previous.width + cell.width) / 2 + GAP_X;
    previous = cell;
    return shift;
  });
  layer.forEach((cell, k) => {
    let total = 0, sum = 0;
    if (above) for (const w of cell.above) { total += w.weight; sum += w.weight * (w.source.x + w.apart); }
    if (below) for (const w of cell.below) { total += w.weight; sum += w.weight * (w.target.x - w.apart); }
    let mean = (total ? sum / total : cell.x) - shifts[k], weight = total || 0.05, count = 1;
    while (pools.length && pools[pools.length - 1][0] > mean) {
      const [m, w, c] = pools.pop();
      mean = (mean * weight + m * w) / (weight + w);
      weight += w;
      count += c;
    }
    pools.push([mean, weight, count]);
  });
  let k = 0;
  for (const [mean, , count] of pools) for (let n = 0; n < count; n++, k++) layer[k].x = mean + shifts[k];
}

// Puts wires that follow each other on one straight line where there is room.
function straighten(cells) {
  const next = new Map(), targets = new Set();
  for (const cell of cells) for (const wire of cell.below) if (wire.follows) next.set(cell, wire);
  for (const wire of next.values()) targets.add(wire.target);
  for (const first of next.keys()) {
    if (targets.has(first)) continue;
    const run = [[first, 0]];
    let cell = first, shift = 0;
    while (next.has(cell)) {
      const wire = next.get(cell);
      shift += wire.apart;
      cell = wire.target;
      run.push([cell, shift]);
    }
    let low = -Infinity, high = Infinity, part = [];
    for (const [c, s] of run) {
      const least = c.left ? c.left.x + (c.left.width + c.width) / 2 + GAP_X - s : -Infinity;
      const most = c.right ? c.right.x - (c.right.width + c.width) / 2 - GAP_X - s : Infinity;
      if (Math.max(low, least) > Math.min(high, most)) {
        align(part, low, high);
        [part, low, high] = [[], least, most];
      }
      [low, high] = [Math.max(low, least), Math.min(high, most)];
      part.push([c, s]);
    }
    align(part, low, high);
  }
}

function align(part, low, high) {
  if (!part.length || low > high) return;
  const mean = part.reduce((sum, [c, s]) => sum + c.x - s, 0) / part.length;
  const line = Math.min(Math.max(mean, low), high);
  for (const [c, s] of part) c.x = line + s;
}

// Places from the upper left corner, and the size of the level.
function stack(level, offset, isGroup) {
  const { layers, cells } = level;
  let left = Infinity, right = -Infinity;
  for (const cell of cells) {
    left = Math.min(left, cell.x - cell.width / 2);
    right = Math.max(right, cell.x + cell.width / 2);
  }
  if (!cells.length) left = right = 0;
  const pad = isGroup ? PADDING : 0;
  for (const cell of cells) cell.x = Math.round(cell.x - left + pad);
  const entries = new Set(level.entries.values()), exits = new Set(level.exits.values());
  const tops = [], bottoms = [];
  let at = isGroup ? BAND : 0;
  layers.forEach((layer, k) => {
    if (k) {
      let aside = 0;
      for (const cell of layers[k - 1]) for (const w of cell.below) {
        aside = Math.max(aside, Math.abs(cell.x + offset(w, false) - w.target.x - offset(w, true)));
      }
      const atBorder = entries.has(layers[k - 1][0]) || exits.has(layer[0]);
      at += (atBorder ? 5 : GAP_Y) + Math.min(44, aside / 5);
    }
    tops.push(at);
    for (const cell of layer) cell.y = at;
    at += layer.reduce((most, cell) => Math.max(most, cell.height), 0);
    bottoms.push(at);
  });
  return { tops, bottoms, width: 2 * Math.ceil((right - left + 2 * pad) / 2), height: at + (exits.size ? 4 : pad) };
}
