// The page around the views: search, buttons, keys, and the panel.

class Page {
  constructor(data) {
    this.data = data;
    this.heat = "";
    this.paths = false;
    this.most = {};
    for (const kind of ["macs", "memory"]) {
      this.most[kind] = Math.max(0, ...data.sides.map(side => side.operations.reduce((most, op) => Math.max(most, op[kind] || 0), 0)));
    }
    this.by("title").textContent = data.title;
    this.viewers = data.sides.map((side, k) => new Viewer(this, side, k));
    for (const viewer of this.viewers) this.by("views").append(viewer.root);
    this.current = this.viewers[0];
    if (window.matchMedia("(prefers-color-scheme: dark)").matches) this.dark(true);
    for (const option of this.by("heat").options) if (option.value && !this.most[option.value]) option.disabled = true;
    this.listen();
    this.overview();
    for (const viewer of this.viewers) viewer.start();
  }

  by(id) { return document.getElementById(id); }

  listen() {
    const on = (id, action) => this.by(id).addEventListener("click", action);
    on("fit", () => this.viewers.forEach(viewer => viewer.fit()));
    on("all", () => this.expand());
    on("collapse", () => this.collapse());
    on("paths", () => this.togglePaths());
    on("theme", () => this.dark());
    on("help", () => this.by("keys").showModal());
    on("close", () => this.by("keys").close());
    this.by("heat").addEventListener("change", event => this.color(event.target.value));
    const search = this.by("search");
    search.addEventListener("input", () => this.search(search.value));
    search.addEventListener("keydown", event => {
      if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { search.value = ""; this.search(""); this.current.canvas.focus(); }
      event.stopPropagation();
    });
    document.addEventListener("keydown", event => this.key(event));
    window.addEventListener("beforeprint", () => this.print());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.by("keys").open || event.target.tagName === "SELECT") return;
    const actions = {
      "/": () => this.by("search").focus(), f: () => this.viewers.forEach(v => v.fit()), e: () => this.expand(),
      c: () => this.collapse(), p: () => this.togglePaths(), d: () => this.dark(), "?": () => this.by("keys").showModal(),
      h: () => this.color(["", "macs", "memory"].filter(k => !k || this.most[k])
        .find((k, n, all) => all[(n + all.length - 1) % all.length] === this.heat)),
      "+": () => this.current.zoom(1.25), "=": () => this.current.zoom(1.25), "-": () => this.current.zoom(0.8),
      Escape: () => this.current.select(null), Enter: () => this.enter(event),
    };
    const action = event.key.startsWith("Arrow") ? () => this.current.step(event.key) : actions[event.key];
    if (!action || (event.key === "Enter" && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    action();
  }

  enter() {
    const { selected, level } = this.current;
    if (!selected) return;
    if (selected.group !== undefined) return this.current.toggle(selected.group);
    const around = level.owner.get(selected.node);
    if (around && around.length) { const group = around[around.length - 1]; this.current.toggle(group); this.current.select({ group }); }
  }

  expand() {
    const name = this.current.name === "once" ? "all" : "once";
    for (const viewer of this.viewers) { viewer.show(name); viewer.start(); }
    this.by("all").setAttribute("aria-pressed", this.current.name === "all");
    if (this.by("search").value) this.search(this.by("search").value);
    this.overview();
  }

  collapse() {
    const close = this.current.level.closed.size === 0;
    for (const viewer of this.viewers) viewer.closeAll(close);
    this.by("collapse").setAttribute("aria-pressed", close);
  }

  togglePaths() {
    this.paths = !this.paths;
    this.by("paths").setAttribute("aria-pressed", this.paths);
    for (const viewer of this.viewers) viewer.draw();
  }

  color(kind) {
    this.heat = kind;
    this.by("heat").value = kind;
    for (const viewer of this.viewers) viewer.draw();
  }

  dark(on = !isDark()) {
    document.documentElement.classList.toggle("dark", on);
    this.by("theme").textContent = on ? "Light" : "Dark";
    for (const viewer of this.viewers) viewer.draw();
  }

  search(text) {
    this.matches = this.viewers.flatMap(viewer => viewer.search(text).map(op => [viewer, op]));
    this.position = -1;
    this.by("found").textContent = text.trim() ? `${this.matches.length} found` : "";
  }

  next(by) {
    const count = (this.matches || []).length;
    if (!count) return;
    this.position = (this.position + by + count) % count;
    const [viewer, op] = this.matches[this.position];
    this.current = viewer;
    viewer.selectOperation(op, { move: true });
    this.by("found").textContent = `${this.position + 1} of ${count}`;
  }

  selected(viewer, what) {
    this.current = viewer;
    this.panel(viewer, what);
    if (this.viewers.length < 2) return;
    const other = this.viewers[1 - viewer.number];
    const op = what && what.node !== undefined ? this.operation(viewer, what) : -1;
    const partner = op >= 0 ? viewer.side.operations[op].partner : undefined;
    if (partner === undefined) other.select(null, { quiet: true });
    else other.selectOperation(partner, { move: true, quiet: true });
  }

  operation(viewer, what) {
    return what.row !== undefined && what.row >= 0 ? what.row : viewer.view.nodes[what.node].rows[0][3];
  }

  // the panel: everything by textContent, so that names are text whatever they contain

  add(tag, text, parent = this.by("panel")) {
    const element = document.createElement(tag);
    element.textContent = text;
    return parent.appendChild(element);
  }

  table(rows) {
    const table = this.add("table", "");
    for (const [name, value] of rows) {
      const row = this.add("tr", "", table);
      this.add("th", name, row);
      this.add("td", value, row);
    }
  }

  overview() {
    this.by("panel").replaceChildren();
    for (const { side, view } of this.viewers) {
      this.add("h2", side.title);
      const counts = new Map();
      for (const op of side.operations) counts.set(op.type, (counts.get(op.type) || 0) + 1);
      this.table([["operators", String(side.operations.length)], ["drawn boxes", String(view.nodes.length)]]);
      for (const kind of ["inputs", "outputs"]) {
        this.add("h3", kind);
        this.table(side[kind].map(t => [side.tensors[t].name, `${side.tensors[t].dtype} ${side.tensors[t].shape}`]));
      }
      if (this.viewers.length < 2) {
        this.add("h3", "operators");
        this.table([...counts].sort((a, b) => b[1] - a[1]).map(([type, count]) => [type, String(count)]));
      }
    }
    this.changes();
  }

  changes() {
    if (this.viewers.length < 2) return;
    this.add("h3", `${this.data.changes.length} differences`);
    for (const change of this.data.changes) {
      const button = this.add("button", "");
      button.className = "change";
      this.add("span", change.kind, button).className = `tag ${change.kind}`;
      this.add("span", ` ${change.text}`, button);
      button.addEventListener("click", () => {
        const side = change.a !== undefined && change.a !== null ? 0 : 1;
        const op = side === 0 ? change.a : change.b;
        if (op !== undefined && op !== null) this.viewers[side].selectOperation(op, { move: true });
      });
    }
  }

  panel(viewer, what) {
    if (!what) return this.overview();
    this.by("panel").replaceChildren();
    if (what.group !== undefined) {
      const group = viewer.view.groups[what.group];
      this.add("h2", group.title);
      if (group.count > 1) this.add("p", `occurs ${group.count} times in a row, and is drawn once; e draws all`);
      return undefined;
    }
    const node = viewer.view.nodes[what.node], ops = node.rows.map(row => row[3]).filter(op => op >= 0);
    const first = this.operation(viewer, what);
    const shown = ops.includes(first) || first < 0 ? [...new Set([first, ...ops])].filter(op => op >= 0) : [first];
    if (!ops.length) {
      this.add("h2", node.rows[0][0]);
      this.add("p", node.kind);
      for (const t of node.tensors) if (t >= 0) this.tensor(viewer.side, t, "tensor");
      return undefined;
    }
    for (const op of shown) this.details(viewer, op);
    if (this.viewers.length > 1) this.changes();
    return undefined;
  }

  details(viewer, number) {
    const { side } = viewer, op = side.operations[number];
    this.add("h2", op.type);
    const rows = [];
    if (op.name) rows.push(["name", op.name]);
    if (op.mark) rows.push(["difference", op.mark]);
    for (const note of op.notes || []) rows.push(["", note]);
    if (viewer.view.hidden[number] !== undefined) rows.push(["drawn", "by another occurrence of its block; e draws all"]);
    if (op.macs !== undefined) rows.push(["MACs", op.macs.toLocaleString("en")]);
    if (op.memory !== undefined) rows.push(["memory", `${op.memory.toLocaleString("en")} bytes`]);
    this.table(rows);
    if ((op.attributes || []).length) { this.add("h3", "attributes"); this.table(op.attributes); }
    (op.inputs || []).forEach((t, k) => this.tensor(side, t, `input ${k}`));
    (op.outputs || []).forEach((t, k) => this.tensor(side, t, `output ${k}`));
  }

  tensor(side, number, what) {
    const tensor = side.tensors[number], rows = [["name", tensor.name], ["shape", tensor.shape], ["type", tensor.dtype]];
    this.add("h3", tensor.statistics ? `${what} (weights)` : what);
    if (tensor.source) rows.push(["in the source", tensor.source]);
    if (tensor.value !== undefined) rows.push(["value", tensor.value]);
    for (const [key, value] of tensor.quantization || []) rows.push([key, value]);
    const s = tensor.statistics;
    if (s) {
      const number = value => value === undefined ? "" : String(+value.toPrecision(5));
      rows.push(["min, max", `${number(s.min)}, ${number(s.max)}`], ["mean ± std", `${number(s.mean)} ± ${number(s.std)}`],
                ["zeros", `${s.zeros} of ${s.count}`]);
      if (s.not_finite) rows.push(["not finite", String(s.not_finite)]);
    }
    this.table(rows);
    if (s && s.histogram) this.histogram(s);
  }

  histogram(s) {
    const canvas = this.add("canvas", ""), most = Math.max(...s.histogram), wide = 9;
    canvas.width = wide * s.histogram.length;
    canvas.height = 60;
    canvas.title = `${s.histogram.length} bins from ${s.min} to ${s.max}; the largest has ${most}`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", canvas.title);
    const c = canvas.getContext("2d");
    c.fillStyle = paper()[5];
    s.histogram.forEach((count, k) => { const h = count ? Math.max(1, 58 * count / most) : 0; c.fillRect(k * wide, 60 - h, wide - 1, h); });
  }

  print() {
    const viewer = this.current, scale = Math.min(2, 8000 / Math.max(viewer.width + 40, viewer.height + 40));
    const canvas = document.createElement("canvas");
    canvas.width = (viewer.width + 40) * scale;
    canvas.height = (viewer.height + 40) * scale;
    const c = canvas.getContext("2d");
    const wasDark = isDark();
    if (wasDark) document.documentElement.classList.remove("dark");
    c.fillStyle = "#ffffff";
    c.fillRect(0, 0, canvas.width, canvas.height);
    c.setTransform(scale, 0, 0, scale, 20 * scale, 20 * scale);
    viewer.paintScene(c, 1, [-20, -20, viewer.width + 20, viewer.height + 20]);
    if (wasDark) document.documentElement.classList.add("dark");
    this.by("print").src = canvas.toDataURL("image/png");
  }
}

window.page = new Page(JSON.parse(document.getElementById("data").textContent));
