// The viewer: one or two models, drawn on canvases; only what is visible, and text only where it can be read.

const FONT = 'Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
const MARKS = { added: "#2da06f", removed: "#d1493b", changed: "#d9a11e" };
const PAPER = { light: ["#ffffff", "#fafaf9", "#a8afb9", "#6b7280", "#7a828e", "#0b62c4", "#f1f3f6"],
                dark: ["#1d2025", "#24282e", "#59616d", "#9aa3af", "#8b94a1", "#6cb2ff", "#2b3038"] };

const isDark = () => document.documentElement.classList.contains("dark");
const paper = () => PAPER[isDark() ? "dark" : "light"];

class Viewer {
  constructor(page, side, number) {
    Object.assign(this, { page, side, number, scale: 1, dx: 0, dy: 0, selected: null, closed: {}, found: new Set() });
    this.root = document.createElement("div");
    this.root.className = "view";
    this.canvas = this.root.appendChild(Object.assign(document.createElement("canvas"), { className: "scene", tabIndex: 0 }));
    this.map = this.root.appendChild(Object.assign(document.createElement("canvas"), { className: "map" }));
    if (page.data.sides.length > 1) {
      this.root.appendChild(Object.assign(document.createElement("div"), { className: "name", textContent: side.title }));
    }
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `graph of ${side.title}; arrow keys move from box to box`);
    this.levels = {};
    this.show(Object.keys(side.views)[0]);
    this.listen();
  }

  // the scene

  show(name) {
    this.name = this.side.views[name] ? name : "once";
    this.view = this.side.views[this.name];
    const known = this.levels[this.name] ||= {
      top: makeLevel(this.view.top), groups: this.view.groups.map(makeLevel), closed: new Set(), owner: owners(this.view),
    };
    this.level = known;
    this.neighbors = neighbors(this.view);
    this.ofOperation = new Map(Object.entries(this.view.hidden).map(([op, node]) => [+op, node]));
    this.view.nodes.forEach((node, k) => { for (const row of node.rows) if (row[3] >= 0) this.ofOperation.set(row[3], k); });
    this.selected = null;
    this.place();
  }

  place() {
    const { view, level } = this, sizes = [];
    const measure = item => item >= 0 ? view.nodes[item].size : sizes[-1 - item];
    const offset = (wire, isLower) => {
      const item = (isLower ? wire.target : wire.source).item;
      if (item === null) return 0;
      if (item >= 0) return isLower ? 0 : this.port(item, wire.key);
      const group = -1 - item;
      if (level.closed.has(group)) return 0;
      const cell = (isLower ? level.groups[group].entries : level.groups[group].exits).get(wire.key);
      return cell ? cell.x - sizes[group][0] / 2 : 0;
    };
    for (let k = view.groups.length - 1; k >= 0; k--) {  // inner groups come after outer ones
      const group = view.groups[k], inner = level.groups[k];
      if (level.closed.has(k)) { sizes[k] = [group.wide + 40, 34]; continue; }
      const size = Object.assign(inner, layOut(inner, measure, offset, true));
      const ports = [...inner.entries.values()].map(cell => cell.x);
      inner.titleX = !ports.length || group.wide + 12 <= Math.min(...ports) ? 8 : Math.max(...ports) + 8;
      const shadow = group.count > 1 ? SHADOW : 0;
      size.width = 2 * Math.ceil(Math.max(size.width + shadow, inner.titleX + group.wide + 8) / 2);
      size.height += shadow;
      sizes[k] = [size.width, size.height];
    }
    Object.assign(level.top, layOut(level.top, measure, offset, false));
    this.sizes = sizes;
    this.collect(offset);
  }

  port(node, key) {
    const tensor = this.view.keys[key][1];
    const found = this.view.nodes[node].ports.find(port => port[0] === tensor);
    return found ? found[1] : 0;
  }

  // Flat lists of what is drawn, with absolute places.
  collect(offset) {
    this.frames = []; this.boxes = []; this.wires = []; this.boxOf = new Map(); this.frameOf = new Map();
    const visit = (level, x0, y0) => {
      level.layers.forEach((layer, k) => {
        for (const cell of layer) {
          const x = x0 + cell.x, y = y0 + cell.y;
          if (cell.item !== null && cell.item >= 0) {
            const box = { node: cell.item, x, y, w: this.view.nodes[cell.item].size[2], h: this.view.nodes[cell.item].size[3] };
            this.boxes.push(box);
            this.boxOf.set(cell.item, box);
          } else if (cell.item !== null) {
            const group = -1 - cell.item, [w, h] = this.sizes[group], inner = this.level.groups[group];
            const isClosed = this.level.closed.has(group);
            const frame = { group, x: x - w / 2, y, w, h, isClosed, titleX: isClosed ? 12 : inner.titleX };
            this.frames.push(frame);
            this.frameOf.set(group, frame);
            if (!isClosed) visit(inner, x - w / 2, y);
          }
          for (const wire of cell.below) this.wires.push(this.line(level, wire, k, x0, y0, offset));
        }
      });
    };
    visit(this.level.top, 0, 0);
    this.width = this.level.top.width;
    this.height = this.level.top.height;
    this.mapImage = null;
  }

  line(level, wire, k, x0, y0, offset) {
    const { source, target } = wire;
    const x1 = x0 + source.x + offset(wire, false), x2 = x0 + target.x + offset(wire, true);
    let y1 = y0 + source.y + source.height, end = y0 + level.tops[k + 1];
    if (source.item !== null && source.item >= 0) y1 = y0 + source.y + this.view.nodes[source.item].size[3];
    else if (source.item === null && source.above.length) y1 = y0 + level.bottoms[k];
    const low = y0 + level.bottoms[k], top = y0 + level.tops[k + 1];
    if (target.item === null) end = y0 + (target.below.length ? level.bottoms[k + 1] : level.height);
    else if (target.item < 0 && !this.level.closed.has(-1 - target.item)) {
      const entry = this.level.groups[-1 - target.item].entries.get(wire.key);
      if (entry) end = top + entry.y;
    }
    const arrow = target.item !== null && (target.item >= 0 || this.level.closed.has(-1 - target.item));
    return { x1, y1, x2, end, low, top, key: wire.key, arrow, to: target.item,
             left: Math.min(x1, x2), right: Math.max(x1, x2) };
  }

  // painting

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = this.canvas;
    if (this.canvas.width !== Math.round(w * ratio) || this.canvas.height !== Math.round(h * ratio)) {
      this.canvas.width = Math.round(w * ratio);
      this.canvas.height = Math.round(h * ratio);
    }
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = paper()[0];
    c.fillRect(0, 0, w, h);
    c.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.dx, ratio * this.dy);
    const area = [-this.dx / this.scale, -this.dy / this.scale, (w - this.dx) / this.scale, (h - this.dy) / this.scale];
    this.paintScene(c, this.scale, area);
    this.paintMap(area);
  }

  paintScene(c, scale, area) {
    const [left, top, right, bottom] = area, colors = paper(), marked = this.marked();
    const seen = (x, y, w, h) => x < right && x + w > left && y < bottom && y + h > top;
    for (const f of this.frames) if (seen(f.x, f.y, f.w, f.h)) this.paintFrame(c, f, scale, colors);
    c.lineWidth = Math.max(1.2, 0.6 / scale);
    for (const pass of [false, true]) {
      c.strokeStyle = c.fillStyle = pass ? colors[5] : colors[4];
      if (marked) c.globalAlpha = pass ? 1 : 0.3;
      c.beginPath();
      const arrows = [];
      for (const wire of this.wires) {
        if (!seen(wire.left - 2, wire.y1, wire.right - wire.left + 4, wire.end - wire.y1)) continue;
        if (Boolean(marked && marked.keys.has(wire.key)) !== pass) continue;
        c.moveTo(wire.x1, wire.y1);
        c.lineTo(wire.x1, wire.low);
        if (Math.abs(wire.x1 - wire.x2) < 0.5) c.lineTo(wire.x2, wire.top);
        else {
          const middle = (wire.low + wire.top) / 2;
          c.bezierCurveTo(wire.x1, middle, wire.x2, middle, wire.x2, wire.top);
        }
        c.lineTo(wire.x2, wire.end);
        if (wire.arrow && scale > 0.25) arrows.push(wire);
      }
      c.stroke();
      c.beginPath();
      for (const { x2, end } of arrows) { c.moveTo(x2, end); c.lineTo(x2 - 3.5, end - 7); c.lineTo(x2 + 3.5, end - 7); }
      c.fill();
    }
    c.globalAlpha = 1;
    for (const b of this.boxes) {
      if (!seen(b.x - b.w, b.y, 2 * b.w, b.h + 16)) continue;
      if (marked && !marked.nodes.has(b.node)) c.globalAlpha = 0.35;
      this.paintBox(c, b, scale, colors);
      c.globalAlpha = 1;
    }
  }

  paintFrame(c, f, scale, colors) {
    const group = this.view.groups[f.group], many = group.count > 1, cut = many && !f.isClosed ? SHADOW : 0;
    c.strokeStyle = colors[2];
    c.lineWidth = Math.max(1, 0.6 / scale);
    const mark = f.isClosed && this.markWithin(f.group);
    for (const shift of many ? [6, 3, 0] : [0]) {
      c.fillStyle = f.isClosed ? colors[6] : colors[1];
      roundRect(c, f.x + shift, f.y + shift, f.w - cut, f.h - cut, 6);
      c.fill();
      c.stroke();
    }
    if (mark) { c.strokeStyle = MARKS[mark]; c.lineWidth = 3; c.stroke(); }
    if (this.selected && this.selected.group === f.group) { c.strokeStyle = colors[5]; c.lineWidth = 3; c.stroke(); }
    if (scale * 9 < 4) return;
    c.fillStyle = colors[3];
    c.font = `bold 9px ${FONT}`;
    c.textAlign = "left";
    c.fillText(`${group.title}${f.isClosed ? "  +" : ""}`, f.x + f.titleX, f.y + (f.isClosed ? 20 : 12));
  }

  paintBox(c, b, scale, colors) {
    const node = this.view.nodes[b.node], left = b.x - b.w / 2, isEnd = node.kind === "input" || node.kind === "output";
    const radius = isEnd ? Math.min(b.h / 2, 14) : 4, isSmall = scale < 0.12;
    const families = this.page.data.colors;
    if (isSmall && !this.mark(node) && !this.found.has(b.node) && !(this.selected && this.selected.node === b.node)) {
      c.fillStyle = node.kind === "operation" ? this.color(node.rows[0], families) : colors[3];
      c.fillRect(left, b.y, b.w, b.h);
      return;
    }
    roundRect(c, left, b.y, b.w, b.h, radius);
    c.fillStyle = isEnd || node.kind === "weight" ? (isDark() ? "#e8eaed" : "#ffffff") : "#ffffff";
    let y = b.y;
    if (isSmall || node.rows.length === 1) {
      if (node.kind === "operation") c.fillStyle = this.color(node.rows[0], families);
      c.fill();
    } else {
      c.save();
      c.clip();
      for (const row of node.rows) {
        const tall = 15 + 11 * row[2].length + 6;
        c.fillStyle = this.color(row, families);
        c.fillRect(left, y, b.w, tall + 0.5);
        y += tall;
      }
      c.restore();
      roundRect(c, left, b.y, b.w, b.h, radius);
    }
    const selected = this.selected && this.selected.node === b.node, mark = this.mark(node);
    c.strokeStyle = selected ? colors[5] : mark ? MARKS[mark] : this.found.has(b.node) ? colors[5] : "#1f2328";
    c.lineWidth = selected || mark ? Math.max(3, 2 / scale) : this.found.has(b.node) ? 2.5 : 0.8;
    c.stroke();
    if (scale * 12 < 4.5) return;
    y = b.y;
    c.textAlign = "center";
    for (const [title, , small] of node.rows) {
      c.fillStyle = "#1f2328";
      c.font = `bold 12px ${FONT}`;
      c.fillText(title, b.x, y + 15);
      if (scale * 9 > 4.5) {
        c.font = `9px ${FONT}`;
        c.fillStyle = "#33383f";
        small.forEach((line, k) => c.fillText(line, b.x, y + 15 + 11 * (k + 1)));
      }
      y += 15 + 11 * small.length + 6;
    }
    if (scale * 9 > 4.5) {
      c.textAlign = "left";
      c.fillStyle = colors[3];
      for (const [, x, label] of node.ports) if (label) c.fillText(label, b.x + x + 4, b.y + b.h + 10.5);
    }
  }

  color(row, families) {
    const heat = this.page.heat, op = row[3] >= 0 ? this.side.operations[row[3]] : null;
    if (!heat || !op) return heat ? "#f4f4f2" : families[row[1]] || "#f4f4f2";
    if (op[heat] === undefined) return "#ffffff";
    return heatColor(Math.sqrt(op[heat] / (this.page.most[heat] || 1)));
  }

  mark(node) {
    const marks = node.rows.map(row => row[3] >= 0 && this.side.operations[row[3]].mark).filter(Boolean);
    return marks.length ? (marks.every(mark => mark === marks[0]) ? marks[0] : "changed") : null;
  }

  markWithin(group) {
    for (const [node, outer] of this.level.owner.entries()) {
      if (outer.includes(group)) { const mark = this.mark(this.view.nodes[node]); if (mark) return mark; }
    }
    return null;
  }

  // What is emphasized: the lines at the selected box, or all ways through it.
  marked() {
    if (!this.selected || this.selected.node === undefined) return null;
    const start = this.selected.node;
    if (this.markedFor === `${this.name} ${start} ${this.page.paths}`) return this.markedNow;
    const nodes = new Set([start]), keys = new Set();
    const number = new Map(this.view.keys.map(([node, tensor], k) => [`${node} ${tensor}`, k]));
    for (const way of ["before", "after"]) {
      const pending = [start], done = new Set(pending);
      while (pending.length) {
        for (const link of this.neighbors[way][pending.pop()]) {
          const other = way === "before" ? link[0] : link[1];
          keys.add(number.get(`${link[0]} ${link[2]}`));
          nodes.add(other);
          if (this.page.paths && !done.has(other)) { done.add(other); pending.push(other); }
        }
      }
    }
    this.markedFor = `${this.name} ${start} ${this.page.paths}`;
    this.markedNow = this.page.paths ? { nodes, keys } : { nodes: { has: () => true }, keys };
    return this.markedNow;
  }

  paintMap(area) {
    const most = 170, factor = Math.min(most / this.width, most * 1.4 / this.height);
    const w = Math.max(8, Math.round(this.width * factor)), h = Math.max(8, Math.round(this.height * factor));
    if (!this.mapImage || this.mapTheme !== isDark() || this.mapHeat !== this.page.heat) {
      this.map.width = w;
      this.map.height = h;
      const c = this.map.getContext("2d", { willReadFrequently: true });
      c.fillStyle = paper()[0];
      c.fillRect(0, 0, w, h);
      for (const f of this.frames) { c.fillStyle = paper()[6]; c.fillRect(f.x * factor, f.y * factor, f.w * factor, f.h * factor); }
      for (const b of this.boxes) {
        const node = this.view.nodes[b.node], mark = this.mark(node);
        c.fillStyle = mark ? MARKS[mark] : node.kind === "operation" ? this.color(node.rows[0], this.page.data.colors) : paper()[3];
        c.fillRect((b.x - b.w / 2) * factor, b.y * factor, Math.max(1, b.w * factor), Math.max(1, b.h * factor));
      }
      this.mapImage = c.getImageData(0, 0, w, h);
      this.mapTheme = isDark();
      this.mapHeat = this.page.heat;
    }
    const c = this.map.getContext("2d", { willReadFrequently: true });
    c.putImageData(this.mapImage, 0, 0);
    c.strokeStyle = paper()[5];
    c.lineWidth = 1.5;
    c.strokeRect(area[0] * factor, area[1] * factor, (area[2] - area[0]) * factor, (area[3] - area[1]) * factor);
    this.mapFactor = factor;
  }

  // moving

  fit() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    this.scale = Math.min(1.4, (w - 40) / this.width, (h - 40) / this.height);
    this.dx = (w - this.width * this.scale) / 2;
    this.dy = (h - this.height * this.scale) / 2;
    this.draw();
  }

  start() {  // readable, from the top
    const { clientWidth: w, clientHeight: h } = this.canvas;
    this.fit();
    if (this.scale < 0.7) {
      this.scale = Math.min(0.9, Math.max(0.5, (w - 40) / this.width));
      const first = this.boxes.length ? this.boxes[0].x : 0;
      this.dx = this.width * this.scale <= w ? (w - this.width * this.scale) / 2 : w / 2 - first * this.scale;
      this.dy = 20;
    }
    this.draw();
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(4, Math.max(0.01, this.scale * factor));
    this.dx = x - (x - this.dx) * scale / this.scale;
    this.dy = y - (y - this.dy) * scale / this.scale;
    this.scale = scale;
    this.draw();
  }

  center(place) {
    if (this.scale < 0.6) this.scale = 0.9;
    this.dx = this.canvas.clientWidth / 2 - place.x * this.scale;
    this.dy = this.canvas.clientHeight / 2 - (place.y + place.h / 2) * this.scale;
    this.draw();
  }

  at(x, y) {  // what is at a point of the canvas
    const px = (x - this.dx) / this.scale, py = (y - this.dy) / this.scale;
    for (const b of this.boxes) if (Math.abs(px - b.x) <= b.w / 2 && py >= b.y && py <= b.y + b.h) {
      let low = b.y, row = -1;
      for (const [, , small, op] of this.view.nodes[b.node].rows) { if (py >= low) row = op; low += 15 + 11 * small.length + 6; }
      return { node: b.node, row };
    }
    for (const f of [...this.frames].reverse()) {
      if (px >= f.x && px <= f.x + f.w && py >= f.y && py <= f.y + (f.isClosed ? f.h : BAND)) return { group: f.group };
    }
    return null;
  }

  screen(node) {  // the middle of the first line of a box on the canvas
    const b = this.boxOf.get(node);
    return b ? [b.x * this.scale + this.dx, (b.y + 10) * this.scale + this.dy] : null;
  }

  // selecting, closing and opening

  select(what, { move = false, quiet = false } = {}) {
    if (what && what.node !== undefined) this.reveal(what.node);
    this.selected = what;
    const place = what && (what.node !== undefined ? this.boxOf.get(what.node) : this.frameOf.get(what.group));
    if (move && place) this.center(place.node === undefined ? { x: place.x + place.w / 2, y: place.y, h: place.h } : place);
    this.draw();
    if (!quiet) this.page.selected(this, what);
  }

  selectOperation(op, options) {
    const node = this.ofOperation.get(op);
    if (node !== undefined) this.select({ node, row: op }, options);
  }

  reveal(node) {
    const hiding = (this.level.owner.get(node) || []).filter(group => this.level.closed.has(group));
    if (!hiding.length) return;
    for (const group of hiding) this.level.closed.delete(group);
    this.place();
  }

  toggle(group) {
    const before = this.frameOf.get(group);
    if (!this.level.closed.delete(group)) this.level.closed.add(group);
    this.place();
    const after = this.frameOf.get(group);
    if (before && after) { this.dx += (before.x + before.w / 2 - after.x - after.w / 2) * this.scale; this.dy += (before.y - after.y) * this.scale; }
    this.draw();
  }

  closeAll(close) {
    this.level.closed = new Set(close ? this.view.groups.keys() : []);
    this.selected = null;
    this.place();
    this.fit();
  }

  step(key) {
    const node = this.selected && this.selected.node;
    if (node === undefined || node === null) return this.boxes.length ? this.select({ node: this.boxes[0].node }, { move: true }) : null;
    const here = this.boxOf.get(node);
    let others;
    if (key === "ArrowUp") others = this.neighbors.before[node].map(link => link[0]);
    else if (key === "ArrowDown") others = this.neighbors.after[node].map(link => link[1]);
    else {
      const sign = key === "ArrowLeft" ? -1 : 1;
      others = this.boxes.filter(b => (b.x - here.x) * sign > 1 && b.y < here.y + here.h + 30 && b.y + b.h > here.y - 30).map(b => b.node);
    }
    const distance = other => { const b = this.boxOf.get(other); return b ? Math.abs(b.x - here.x) + Math.abs(b.y - here.y) : 1e9; };
    others.sort((a, b) => distance(a) - distance(b));
    return others.length ? this.select({ node: others[0] }, { move: true }) : null;
  }

  search(text) {
    this.found = new Set();
    const words = text.toLowerCase().trim();
    this.matches = [];
    if (words) {
      const { operations, tensors } = this.side;
      operations.forEach((op, k) => {
        const names = [op.type, op.name, ...(op.outputs || []).map(t => tensors[t].name), ...(op.inputs || []).map(t => tensors[t].source || "")];
        if (names.some(name => name.toLowerCase().includes(words)) && this.ofOperation.has(k)) {
          this.matches.push(k);
          this.found.add(this.ofOperation.get(k));
        }
      });
    }
    this.draw();
    return this.matches;
  }

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", event => {
      drag = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
      this.page.current = this;
    });
    canvas.addEventListener("pointermove", event => {
      if (!drag) return;
      const x = event.clientX - drag.x, y = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(x, y) < 4) return;
      Object.assign(drag, { x: event.clientX, y: event.clientY, moved: true });
      this.dx += x;
      this.dy += y;
      this.draw();
    });
    canvas.addEventListener("pointerup", event => {
      const moved = drag && drag.moved;
      drag = null;
      if (moved) return;
      const what = this.at(event.offsetX, event.offsetY);
      if (what && what.group !== undefined) this.toggle(what.group);
      this.select(what && what.group !== undefined ? { group: what.group } : what);
    });
    const jump = event => {
      this.dx = this.canvas.clientWidth / 2 - event.offsetX / this.mapFactor * this.scale;
      this.dy = this.canvas.clientHeight / 2 - event.offsetY / this.mapFactor * this.scale;
      this.draw();
    };
    this.map.addEventListener("pointerdown", jump);
    this.map.addEventListener("pointermove", event => { if (event.buttons) jump(event); });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}

function roundRect(c, x, y, w, h, r) {
  c.beginPath();
  c.roundRect(x, y, w, h, r);
}

function heatColor(part) {  // from pale yellow to dark red: lightness falls with the value
  const stops = [[255, 251, 230], [254, 217, 118], [253, 141, 60], [227, 60, 40]];
  const at = Math.min(0.9999, Math.max(0, part)) * 3, k = Math.floor(at), t = at - k;
  return `rgb(${stops[k].map((v, n) => Math.round(v + (stops[k + 1][n] - v) * t)).join(",")})`;
}

function owners(view) {  // box -> the groups around it, outermost first
  const result = new Map();
  const walk = (level, outer) => {
    for (const item of level.layers.flat()) {
      if (item === null) continue;
      if (item >= 0) result.set(item, outer);
      else walk(view.groups[-1 - item], [...outer, -1 - item]);
    }
  };
  walk(view.top, []);
  return result;
}

function neighbors(view) {
  const before = view.nodes.map(() => []), after = view.nodes.map(() => []);
  for (const link of view.links) { after[link[0]].push(link); before[link[1]].push(link); }
  return { before, after };
}
