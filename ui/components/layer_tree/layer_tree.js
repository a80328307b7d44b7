/* The layer tree as a Streamlit v2 component. Follows rules.js in one module: that file knows the rules, this one draws.
 *
 * Streamlit calls the default export again whenever `data` or the theme changes; one LayerTreeView per mount outlives that.
 * Python sends {sig, rev, nodes, rules, …} and gets {sig, rev, rules} back. Names come from models and files: they are only
 * ever set as text.
 */

const DEBOUNCE_MS = 200
const LOOK_MS = 1000
const mounted = new WeakMap()

export default function (component) {
  const place = component.parentElement
  if (!mounted.has(place)) mounted.set(place, new LayerTreeView(place.querySelector(".thaw-tree")))
  const view = mounted.get(place)
  view.update(component)
  return () => { view.leave(); mounted.delete(place) }
}

function make(tag, className, text) {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text
  return element
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}

class LayerTreeView {
  constructor(wrap) {
    this.wrap = wrap
    this.part = name => wrap.querySelector(`.${name}`)
    this.list = wrap.querySelector("[role=tree]")
    ;[this.capIn, this.capOut] = wrap.querySelectorAll(".cap")
    this.sig = this.rev = null
    this.query = ""
    this.timer = 0
    this.pending = false
    this.editor = make("input", "editor")
    this.editor.type = "text"
    this.editor.inputMode = "decimal"
    this.editor.autocomplete = "off"
    this.listen()
  }

  /* ---- what Python says ------------------------------------------------------------------------------------------- */

  update({ data, setStateValue }) {
    this.data = data
    this.words = data.words
    this.tell = setStateValue
    if (this.sig !== data.sig) this.plant()
    if (this.rev !== data.rev) { // Python changed the rules: its word wins, a click on its way is dropped
      clearTimeout(this.timer)
      this.pending = false
      this.rev = data.rev
      this.rules = structuredClone(data.rules)
    }
    if (this.watched !== data.watch) { // another run, or none
      this.watched = data.watch
      this.readings = null
      this.look()
    }
    this.dress()
    this.paint()
  }

  leave() {
    clearTimeout(this.timer)
    clearTimeout(this.looking)
    this.watched = null
  }

  /* The instruments of a run at work: asked for here, so that a new reading does not send the network again. */
  async look() {
    clearTimeout(this.looking)
    const url = this.watched
    if (!url) return
    let done = false
    try {
      const answer = await fetch(`${url}?since=${this.readings?.step ?? 0}`)
      const news = answer.ok ? await answer.json() : null
      if (url !== this.watched) return
      if (news?.step) {
        this.readings = news
        this.gather(this.root)
        this.paint()
      }
      done = !!news?.done
    } catch { /* the server is away: the next look may find it again */ }
    if (!done && url === this.watched) this.looking = setTimeout(() => this.look(), LOOK_MS)
  }

  /* What the instruments say of `node` and all below it: lengths of the parts put together. */
  gather(node) {
    const own = this.readings.blocks[node.path], sums = [0, 0, 0, 0]
    if (own) sums.forEach((_, at) => { sums[at] += own[at] === null ? NaN : own[at] ** 2 })
    node.flag = this.readings.flags[node.path] ?? ""
    for (const child of node.children) {
      this.gather(child).forEach((value, at) => { sums[at] += value })
      node.flag ||= child.flag
    }
    const [gradient, update, weight, distance] = sums.map(Math.sqrt)
    node.reading = node.total && node.type !== this.data.parameter ? { gradient, update: weight ? update / weight : 0, moved: weight ? distance / weight : 0 } : null
    return sums
  }

  plant() { // another network
    Object.assign(this, plant(this.data.nodes))
    this.sig = this.data.sig
    this.rev = null
    this.rows = new Array(this.nodes.length)
    this.open = new Set(this.data.open)
    this.focused = this.root
    this.query = this.part("search").value = ""
    this.part("scroll").scrollTop = 0
    this.plantStrip()
    this.plantDepths()
  }

  dress() { // words, and what depends on them
    const { words, data } = this
    const name = (part, word) => { this.part(part).textContent = words[word] }
    for (const [part, word] of [["expand", "expand"], ["collapse", "collapse"], ["freeze", "freeze_found"],
                                ["melt", "thaw_found"], ["hint", "hint"], ["in-word", "in"], ["out-word", "out"]]) name(part, word)
    const search = this.part("search")
    search.placeholder = words.search
    search.setAttribute("aria-label", words.search)
    this.list.setAttribute("aria-label", words.aria)
    this.list.setAttribute("aria-disabled", String(!!data.disabled))
    this.wrap.classList.toggle("disabled", !!data.disabled)
    this.part("in-shape").textContent = data.input
    this.part("out-shape").textContent = data.output
    const columns = data.watch ? ["block", "gradient", "update", "moved", "rate"] : ["block", "type", "shape", "count", "rate"]
    this.part("heads").querySelectorAll("span").forEach((cell, at) => {
      cell.textContent = words[`column.${columns[at]}`]
      cell.title = words[`column.${columns[at]}.tip`] ?? ""
    })
    this.wrap.classList.toggle("live", !!data.watch)
    this.wrap.querySelectorAll(".legend span").forEach((item, at) => { item.textContent = words[`state.${["frozen", "mixed", "trainable"][at]}`] })
    this.part("depths").setAttribute("aria-label", words.depth)
    this.part("depth-word").textContent = words.depth
    for (const row of this.rows) if (row) row.drawn = "" // in another language everything is drawn anew
  }

  flush() {
    clearTimeout(this.timer)
    if (this.pending) this.tell("wish", { sig: this.sig, rev: this.rev, rules: this.rules })
    this.pending = false
  }

  changed() { // the screen follows at once, Python a moment later
    clearTimeout(this.timer)
    this.pending = true
    this.timer = setTimeout(() => this.flush(), DEBOUNCE_MS)
    this.paint()
  }

  /* ---- what a person does ------------------------------------------------------------------------------------------ */

  toggle(nodes, on) {
    const able = nodes.filter(node => node.total)
    if (this.data.disabled || !able.length) return
    for (const node of able) {
      thaw(node, this.rules, on ?? node.state !== "trainable") // frozen and mixed both become trainable
      this.derive()
    }
    this.changed()
  }

  edit(node) {
    if (this.data.disabled || !(node.learns || node.adapted)) return
    const { cell, scale } = this.row(node)
    this.editing = node
    this.editor.value = this.rules[node.path]?.lr_scale === undefined ? "" : short(node.scale)
    this.editor.placeholder = short(node.scale)
    this.editor.setAttribute("aria-label", `${this.words.rate}: ${node.path || node.label}`)
    scale.hidden = true
    cell.append(this.editor)
    this.editor.focus({ preventScroll: true })
    this.editor.select()
  }

  leaveEditor(keep) {
    const node = this.editing
    if (!node) return
    this.editing = null // first: removing the field takes the focus away and would call this again
    const value = keep ? readScale(this.editor.value) : null
    this.editor.remove()
    this.row(node).scale.hidden = false
    this.row(node).drawn = ""
    const before = this.rules[node.path]?.lr_scale
    if (value !== null && value !== before && !(before === undefined && value === node.scale)) {
      setScale(node, this.rules, value)
      this.changed()
    } else this.paint()
  }

  setOpen(node, on) {
    if (!node.children.length || node === this.root) return
    this.level = 0
    if (on) this.open.add(node.path)
    else this.open.delete(node.path)
    this.focused = node
    this.paint()
  }

  openTo(depth) {
    this.level = depth
    this.open = new Set(this.nodes.filter(n => n.children.length && n.depth < depth).map(n => n.path))
    this.paint()
  }

  focus(node) {
    if (!node) return
    this.focused = node
    this.paint()
    this.row(node).element.focus()
  }

  reveal(node) {
    for (let above = node.parent; above; above = above.parent) this.open.add(above.path)
    this.focus(node)
    this.row(node).element.scrollIntoView({ block: "nearest" })
  }

  listen() { // once; what they call reads the newest data
    const { list, wrap } = this
    const node = event => this.nodes[event.target.closest("[role=treeitem]")?.dataset.at]
    list.addEventListener("click", event => {
      const at = node(event)
      if (!at || event.target === this.editor) return
      this.focused = at
      if (event.target.closest(".toggle")) this.toggle([at])
      else if (event.target.closest(".rate")) this.edit(at)
      else if (event.target.closest(".twist, .label, .meta")) this.setOpen(at, !this.open.has(at.path))
      else this.paint()
    })
    list.addEventListener("focusin", event => {
      const at = node(event)
      if (at && at !== this.focused) { this.focused = at; this.rove() }
    })
    this.editor.addEventListener("blur", () => this.leaveEditor(true))
    wrap.addEventListener("focusout", event => { if (!wrap.contains(event.relatedTarget)) this.flush() })
    wrap.addEventListener("pointerleave", () => this.flush()) // a press on "Start" must not overtake the last click
    list.addEventListener("keydown", event => { const at = node(event); if (at && this.key(event, at)) event.preventDefault() })
    const search = this.part("search")
    search.addEventListener("input", () => { this.query = search.value.trim().toLowerCase(); this.paint() })
    search.addEventListener("keydown", event => {
      if (event.key === "Escape") { search.value = this.query = ""; this.paint() }
      else if (event.key === "ArrowDown") this.focus(this.shown[0])
      else return
      event.preventDefault()
    })
    this.part("expand").addEventListener("click", () => this.openTo(Infinity))
    this.part("collapse").addEventListener("click", () => { this.level = 0; this.open = new Set(this.data.open); this.paint() })
    this.part("freeze").addEventListener("click", () => this.toggle(this.found, false))
    this.part("melt").addEventListener("click", () => this.toggle(this.found, true))
    this.part("depths").addEventListener("click", event => { const to = event.target.dataset.depth; if (to) this.openTo(+to) })
    this.part("strip").addEventListener("click", event => { const at = this.nodes[event.target.dataset.at]; if (at) this.reveal(at) })
  }

  key(event, node) { // true if the key was ours
    if (event.target === this.editor) {
      if (event.key !== "Enter" && event.key !== "Escape") return false
      this.leaveEditor(event.key === "Enter")
      this.focus(node)
      return true
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return false
    const at = this.shown.indexOf(node), open = this.isOpen(node)
    switch (event.key) {
      case "ArrowDown": this.focus(this.shown[at + 1]); return true
      case "ArrowUp": this.focus(this.shown[at - 1]); return true
      case "Home": this.focus(this.shown[0]); return true
      case "End": this.focus(this.shown.at(-1)); return true
      case "PageDown": this.focus(this.shown[Math.min(at + 10, this.shown.length - 1)]); return true
      case "PageUp": this.focus(this.shown[Math.max(at - 10, 0)]); return true
      case "ArrowRight":
        if (node.children.length && !open) { this.setOpen(node, true); this.focus(node) }
        else if (node.children.length) this.focus(this.shown[at + 1])
        return true
      case "ArrowLeft":
        if (node.children.length && open && node !== this.root) { this.setOpen(node, false); this.focus(node) }
        else this.focus(node.parent)
        return true
      case " ": this.toggle([node]); return true
      case "Enter": this.edit(node); return true
      case "*":
        for (const near of node.parent?.children ?? []) if (near.children.length) this.open.add(near.path)
        this.focus(node)
        return true
    }
    if (event.key.length !== 1) return false
    clearTimeout(this.typing) // type-ahead: the next row whose name begins with what was typed within a second
    this.typed = (this.typed ?? "") + event.key.toLowerCase()
    this.typing = setTimeout(() => { this.typed = "" }, 1000)
    const order = [...this.shown.slice(at + (this.typed.length === 1 ? 1 : 0)), ...this.shown.slice(0, at)]
    this.focus(order.find(other => other.label.toLowerCase().startsWith(this.typed)))
    return true
  }

  /* ---- drawing ----------------------------------------------------------------------------------------------------- */

  isOpen(node) { return node === this.root || !!this.query || this.open.has(node.path) }

  visible() {
    const { query } = this
    const fits = node => node.path.toLowerCase().includes(query) || node.type.toLowerCase().includes(query)
    this.found = []
    const wanted = new Set()
    if (query)
      for (const node of this.nodes) {
        if (node === this.root || !fits(node)) continue
        this.found.push(node)
        for (let up = node; up && !wanted.has(up); up = up.parent) wanted.add(up)
      }
    const shown = []
    const walk = node => {
      if (query && node !== this.root && !wanted.has(node)) return
      shown.push(node)
      if (this.isOpen(node)) node.children.forEach(walk)
    }
    walk(this.root)
    return shown
  }

  derive() { derive(this.root, this.rules, this.data.epoch ?? Infinity) }

  paint() {
    this.derive()
    this.shown = this.visible()
    if (!this.shown.includes(this.focused)) {
      let near = this.focused
      while (near && !this.shown.includes(near)) near = near.parent
      this.focused = near ?? this.root
    }
    let flow = "frozen" // a layer without parameters has the colour of what comes before it
    this.align(this.shown.map(node => {
      if (node.total && node !== this.root) flow = node.state === "mixed" ? "trainable" : node.state
      return this.draw(node, flow)
    }))
    this.rove()
    this.paintTotals()
    this.paintStrip()
    for (const button of this.part("depths").children) button.setAttribute("aria-pressed", String(+button.dataset.depth === this.level))
    const { found, query, words } = this
    this.part("finding").hidden = !query
    this.part("found").textContent = found.length ? fill(words.found, { n: found.length }) : fill(words.none, { query: this.part("search").value.trim() })
    for (const part of ["freeze", "melt"]) this.part(part).hidden = !found.some(node => node.total) || !!this.data.disabled
  }

  /* Bring the rows into the list with as few moves as possible: the root, the cap, then the others, then the other cap. */
  align(elements) {
    const [first, ...rest] = elements
    const order = [first, this.capIn, ...rest, this.capOut]
    const keep = new Set(order)
    for (const child of [...this.list.children]) if (!keep.has(child)) child.remove()
    let at = this.list.firstChild
    for (const element of order) {
      if (element === at) at = at.nextSibling
      else this.list.insertBefore(element, at)
    }
  }

  rove() { // one row is in the tab order: that of the newest focus
    if (this.tab !== this.focused) {
      if (this.tab) { const old = this.rows[this.tab.index]; if (old) old.element.tabIndex = -1 }
      this.tab = this.focused
    }
    this.row(this.focused).element.tabIndex = 0
  }

  row(node) { return this.rows[node.index] ??= this.newRow(node) }

  newRow(node) {
    const { words, data } = this
    const element = make("div", "row")
    element.dataset.at = node.index
    element.dataset.path = node.path
    element.tabIndex = -1
    element.style.setProperty("--depth", Math.max(0, node.depth - 1))
    element.setAttribute("role", "treeitem")
    element.setAttribute("aria-level", node.depth + 1)
    const stop = make("span", "stop"), toggle = make("span", "toggle")
    stop.append(toggle)
    const name = make("span", "name"), line = make("span", "line"), twist = make("span", "twist"), label = make("span", "label")
    label.textContent = node === this.root ? `${words.network} · ${node.label}` : node.label
    label.title = node.path || node.label
    line.append(twist, label)
    if (node.path === data.head) line.append(badge("new", words.new, words.new_tip))
    const held = node.statistics ? badge("held", words.held, words.held_tip) : null
    if (held) line.append(held)
    const late = badge("late", "", ""), adapter = badge("adapter", words.adapter, words.adapter_tip), flag = badge("flag", "", "")
    late.hidden = adapter.hidden = flag.hidden = true
    line.append(late, adapter, flag)
    const kind = node.type === data.parameter ? words.parameter : node.type
    const meta = make("span", "meta", [kind, node.shape, node.total ? compact(node.total) : ""].filter(Boolean).join(" · "))
    name.append(line, meta)
    const type = make("span", "type", kind)
    type.title = words[`type.${node.type}`] ?? node.type
    const count = make("span", "count"), bar = make("span", "bar"), fraction = make("i")
    bar.append(fraction)
    bar.style.setProperty("--share", node.total / Math.max(1, this.root.total))
    count.append(make("span", "number", node.total ? compact(node.total) : "–"), bar)
    const cell = make("span", "rate"), scale = make("span", "scale")
    cell.append(scale)
    const shape = make("span", "shape", node.shape)
    element.append(stop, name, type, shape, count, cell)
    if (!node.children.length || node === this.root) twist.hidden = true
    return { element, toggle, twist, held, late, adapter, flag, label, meta, type, shape, fraction, bar, count, cell, scale, drawn: "" }
  }

  draw(node, flow) {
    const row = this.row(node), { words, data } = this, look = node.total ? node.state : `inert ${flow}`
    const own = this.rules[node.path]?.lr_scale !== undefined, open = this.isOpen(node)
    const sign = `${look}|${node.learns}|${node.scale}|${own}|${open}|${node.varies}|${!!data.disabled}|${data.base_lr}|${node.adapted}|${node.since}|${data.epoch}|${this.readings?.step}`
    if (row.drawn === sign) return row.element
    row.drawn = sign
    const { element } = row
    element.className = `row ${look}${node === this.root ? " root" : ""}${own ? " own" : ""}${node.varies ? " varies" : ""}`
    if (node.children.length && node !== this.root) element.setAttribute("aria-expanded", String(open))
    const rate = node.learns ? `, ${words.rate} ${short(node.scale)}` : ""
    const state = node.total ? `, ${words[`state.${node.state}`]}` : ""
    element.setAttribute("aria-label", `${row.label.textContent}, ${node.type}${state}, ${fill(words.parameters, { n: compact(node.total) })}${rate}`)
    if (node.total) element.setAttribute("aria-checked", { trainable: "true", mixed: "mixed", frozen: "false" }[node.state])
    const siblings = node.parent?.children ?? [node]
    element.setAttribute("aria-setsize", siblings.length)
    element.setAttribute("aria-posinset", siblings.indexOf(node) + 1)
    row.toggle.title = node.total ? words[`tip.${node.state}`] : ""
    if (row.held) row.held.hidden = node.state !== "frozen"
    const waits = node.since > (data.epoch ?? 1) && this.rules[node.path]?.since > 1
    row.late.hidden = !waits
    row.late.firstChild.textContent = waits ? fill(words.late, { epoch: node.since }) : ""
    row.adapter.hidden = !node.adapted || (node.children.length > 0 && node !== this.root)
    row.adapter.title = fill(words.adapter_tip, { n: compact(node.adapted), rank: node.adapter })
    if (data.watch) this.measure(row, node)
    row.fraction.style.width = `${node.total ? 100 * node.learns / node.total : 0}%`
    if (!data.watch) row.count.title = node.total ? fill(words.count_tip, { share: percent(node.total / this.root.total), learns: compact(node.learns), total: compact(node.total) }) : ""
    const learns = node.learns || node.adapted
    row.scale.textContent = learns ? `×${short(node.scale)}` : ""
    row.scale.title = learns ? this.rateTip(node, own) : ""
    return element
  }

  /* The instruments of a row, in the places of type, shape and size. */
  measure(row, node) {
    const { words } = this, reading = node.reading, number = row.count.querySelector(".number")
    const texts = reading ? [amount(reading.gradient), share(reading.update), share(reading.moved)] : ["", "", ""]
    row.type.textContent = texts[0]
    row.type.title = reading ? words["column.gradient.tip"] : ""
    row.shape.textContent = texts[1]
    row.shape.title = reading ? words["column.update.tip"] : ""
    number.textContent = texts[2]
    row.meta.textContent = reading ? fill(words.reading, { gradient: texts[0], update: texts[1], moved: texts[2] }) : ""
    const far = reading?.moved > 0 ? Math.min(1, Math.max(0.04, 1 + Math.log10(reading.moved) / 4)) : 0 // 0.01 % to all of it
    row.bar.style.setProperty("--share", 1)
    row.bar.style.setProperty("--moved", `${100 * far}%`)
    row.flag.hidden = !node.flag
    row.flag.className = `badge flag ${node.flag ?? ""}`
    row.flag.firstChild.textContent = node.flag ? words[`flag.${node.flag}`] : ""
    row.flag.title = node.flag ? words[`flag.${node.flag}.tip`] : ""
  }

  rateTip(node, own) {
    const { words, data } = this
    let setter = node
    while (setter && this.rules[setter.path]?.lr_scale === undefined) setter = setter.parent
    const lines = [fill(words.rate_tip, { rate: short(node.scale * data.base_lr), base: short(data.base_lr), scale: short(node.scale) })]
    if (setter && !own) lines.push(fill(words.rate_inherited, { above: setter.path || setter.label }))
    if (node.varies) lines.push(words.rate_varies)
    return lines.join("\n")
  }

  paintTotals() {
    const { total } = this.root, learns = this.root.learns + this.root.adapted
    this.part("share").textContent = `${percent(total ? learns / total : 0)} %`
    this.part("total").textContent = fill(this.words.total, { learns: compact(learns), total: compact(total) })
  }

  plantStrip() { // the network at a glance: one piece a first row, as wide as its share of the parameters
    const first = new Set(this.data.first)
    this.pieces = this.nodes.filter(n => n.total && first.has(n.path)).map(node => {
      const piece = make("button", "piece")
      piece.type = "button"
      piece.tabIndex = -1
      piece.dataset.at = node.index
      piece.title = node.label
      piece.style.flexGrow = node.total
      return { node, piece }
    })
    this.part("strip").replaceChildren(...this.pieces.map(p => p.piece))
  }

  paintStrip() {
    for (const { node, piece } of this.pieces) {
      piece.style.setProperty("--learns", `${100 * node.learns / node.total}%`)
      piece.title = `${node.label}: ${percent(node.total / this.root.total)} %, ${this.words[`state.${node.state}`]}`
    }
  }

  plantDepths() {
    this.part("depths").replaceChildren(...Array.from({ length: Math.min(this.depth, 6) }, (_, at) => {
      const button = make("button", "", String(at + 1))
      button.type = "button"
      button.dataset.depth = at + 1
      return button
    }))
  }
}

function amount(value) { return Number.isNaN(value) ? "–" : value === 0 ? "0" : value < 1e-3 || value >= 1e4 ? value.toExponential(1) : short(value) }

function share(value) { return Number.isNaN(value) ? "–" : value === 0 ? "0" : value < 1e-5 ? "<0.001 %" : `${short(100 * value)} %` }

function badge(kind, text, tip) {
  const element = make("span", `badge ${kind}`)
  element.title = tip
  element.append(make("span", "", text))
  return element
}

function percent(fraction) {
  const value = 100 * fraction
  return value > 0 && value < 0.1 ? "<0.1" : value === 100 ? "100" : value.toFixed(1)
}
