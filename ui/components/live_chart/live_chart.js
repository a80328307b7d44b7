/* The curves of one run: loss, accuracy, learning rates. One Plotly figure per mount, changed in place with Plotly.react, so
 * that nothing flickers and a zoom stays (`uirevision` is the run). Asks the delta route for the points after those it has.
 */

const KEPT_POINTS = 5000
const SLOW_MS = 5000
const SHARE = 0.06 // of its time a tab draws curves: on cores that others need it draws less often
const WIDE = 720
const mounted = new WeakMap()
let loading = null

export default function (component) {
  const place = component.parentElement
  if (!mounted.has(place)) mounted.set(place, new LiveChart(place.querySelector(".thaw-chart")))
  const chart = mounted.get(place)
  chart.update(component.data)
  return () => { chart.leave(); mounted.delete(place) }
}

function plotly(url) {
  if (window.Plotly) return Promise.resolve(window.Plotly)
  return loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = url
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => { loading = null; script.remove(); reject(new Error("plotly.js did not load")) }
    document.head.append(script)
  })
}

/* Exponential mean over the distance of the points, so that thinned and full stretches look alike. Gaps stay gaps. */
export function smooth(x, y, half) {
  let mean = null, last = 0
  return y.map((value, at) => {
    if (value === null) { mean = null; return null }
    const keep = mean === null ? 0 : 0.5 ** ((x[at] - last) / half)
    mean = keep * (mean ?? 0) + (1 - keep) * value
    last = x[at]
    return mean
  })
}

/* Points after those that are held, or all anew. */
export function merge(held, delta) {
  if (delta.reset) {
    held.x = []; held.y = {}; held.epochs = {}
    held.thinned = delta.rev > delta.x.length + delta.epochs.epoch.length
  }
  held.x.push(...delta.x)
  for (const [from, to] of [[delta.y, held.y], [delta.epochs, held.epochs]])
    for (const name in from) (to[name] ??= []).push(...from[name])
  held.rev = delta.rev
  held.epoch = delta.epoch
  held.done = delta.done
  held.marks = delta.marks ?? []
  if (held.x.length > KEPT_POINTS) held.rev = -1 // asks for a thinner set next time
}

/* The points that are held, with those of a closer look in their place. */
export function splice(held, look) {
  if (!look?.x.length) return held
  const low = look.x[0], high = look.x.at(-1)
  const before = held.x.findIndex(x => x >= low), after = held.x.findIndex(x => x > high)
  const cut = [before < 0 ? held.x.length : before, after < 0 ? held.x.length : after]
  const join = (a, b) => [...a.slice(0, cut[0]), ...b, ...a.slice(cut[1])]
  const y = {}
  for (const name in held.y) y[name] = join(held.y[name], look.y[name])
  return { ...held, x: join(held.x, look.x), y }
}

class LiveChart {
  constructor(wrap) {
    this.wrap = wrap
    this.part = name => wrap.querySelector(`.thaw-chart-${name}`)
    this.plot = this.part("plot")
    this.alive = true
    this.timer = this.closer = 0
    this.polling = this.drawing = false
    this.cost = 0 // milliseconds that the last drawing took
    this.seen = new IntersectionObserver(([entry]) => { this.inView = entry.isIntersecting; if (this.inView && this.stale) this.draw() })
    this.seen.observe(wrap)
    this.inView = true
    this.size = new ResizeObserver(() => { if (this.drawn && this.wrap.clientWidth !== this.width) this.draw() })
    this.size.observe(wrap)
    this.awake = () => { if (document.visibilityState === "visible") this.poll() }
    document.addEventListener("visibilitychange", this.awake)
    this.part("more").addEventListener("toggle", () => this.fillTable())
  }

  update(data) {
    if (this.data?.run !== data.run) {
      this.held = { rev: -1, epoch: "", x: [], y: {}, epochs: {}, done: false }
      this.look = null
      this.wrap.classList.remove("has-points")
    }
    this.data = data
    this.part("waiting").textContent = data.words.waiting
    this.part("summary").textContent = data.words.table
    this.wrap.style.setProperty("--height", `${this.height()}px`)
    if (this.held.x.length) this.draw() // the theme or a word changed
    this.poll()
  }

  leave() {
    this.alive = false // an answer may still be under way
    clearTimeout(this.timer)
    clearTimeout(this.closer)
    this.seen.disconnect()
    this.size.disconnect()
    document.removeEventListener("visibilitychange", this.awake)
    window.Plotly?.purge(this.plot)
  }

  /* ---- asking ------------------------------------------------------------------------------------------------------ */

  async ask(query) {
    const answer = await fetch(`${this.data.url}?${new URLSearchParams(query)}`)
    if (!answer.ok) throw new Error(String(answer.status))
    return answer.json()
  }

  async poll() {
    if (this.polling || !this.alive || (this.held.done && this.held.rev >= 0)) return
    clearTimeout(this.timer)
    if (document.visibilityState !== "visible") return // `awake` calls again
    this.polling = true
    const { held } = this
    let wait = Math.max(250, 1000 * this.data.every, Math.min(SLOW_MS, this.cost / SHARE))
    try {
      const delta = await this.ask({ since: held.rev, epoch: held.epoch })
      if (held === this.held && this.alive) {
        const news = delta.marks?.length !== held.marks?.length || delta.reset || delta.rev !== held.rev || delta.done !== held.done
        merge(held, delta)
        if (news && held.x.length + (held.epochs.epoch?.length ?? 0)) await this.draw()
        this.part("lost").textContent = ""
      }
    } catch (error) {
      if (this.alive) this.part("lost").textContent = this.data.words.lost // say so, keep the curve, try again more slowly
      wait = SLOW_MS
    }
    this.polling = false
    if (!this.alive || (this.held.done && this.held.rev >= 0)) return
    this.timer = setTimeout(() => this.poll(), held === this.held ? wait : 0)
  }

  zoomed(change) { // a closer look at a stretch of a long run
    const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]]
    clearTimeout(this.closer)
    if (range[0] === undefined) {
      if (this.look && Object.keys(change).some(name => name.endsWith("autorange"))) { this.look = null; this.draw() }
      return
    }
    if (!this.held.thinned) return
    this.closer = setTimeout(async () => {
      try {
        const [from, to] = range.map(x => x * this.unit())
        const { held } = this, look = await this.ask({ from, to })
        if (held === this.held && this.alive) { this.look = look; await this.draw() }
      } catch { this.look = null } // the coarse curve stays
    }, 250)
  }

  /* ---- drawing ----------------------------------------------------------------------------------------------------- */

  unit() { return this.data.steps_per_epoch || 1 }

  wide() { return this.wrap.clientWidth >= WIDE }

  rates() { return Object.entries(Object.assign({}, ...this.data.stretches.map(([, groups]) => groups))) }

  height() { return this.wide() ? (this.rates().length ? 500 : 350) : (this.rates().length ? 800 : 590) }

  css(name, fallback) {
    const value = getComputedStyle(this.wrap).getPropertyValue(name).trim()
    return value && value !== "unset" ? value : fallback
  }

  async draw() {
    if (!this.inView) { this.stale = true; return }
    if (this.drawing) { this.again = true; return }
    this.drawing = true
    this.stale = false
    try {
      const Plotly = await plotly(this.data.plotly)
      if (!this.alive) return
      this.width = this.wrap.clientWidth
      this.wrap.style.setProperty("--height", `${this.height()}px`)
      const first = !this.drawn, begin = performance.now()
      await Plotly.react(this.plot, this.traces(), this.layout(), { displaylogo: false, showSendToCloud: false, responsive: false, displayModeBar: this.wide() ? "hover" : false, modeBarButtonsToRemove: ["select2d", "lasso2d", "toImage", "zoomIn2d", "zoomOut2d"] })
      if (first) this.plot.on("plotly_relayout", change => this.zoomed(change))
      this.cost = first ? 0 : performance.now() - begin
      this.drawn = true
      this.wrap.classList.add("has-points")
      this.wrap.dataset.points = this.held.x.length
      this.describe()
      this.fillTable()
    } finally {
      this.drawing = false
      if (this.again) { this.again = false; this.draw() }
    }
  }

  traces() {
    const { words } = this.data, held = splice(this.held, this.look), unit = this.unit()
    const x = held.x.map(step => step / unit), ends = (held.epochs.step ?? []).map(step => step / unit)
    const half = Math.max(this.data.steps_per_epoch ? 0.1 : 8, (held.thinned ? 0.012 : 0.006) * ((x.at(-1) ?? 0) - (x[0] ?? 0)))
    const [ice, flame] = [this.css("--st-blue-color", "#2f7fd1"), this.css("--st-orange-color", "#dd5a12")]
    const traces = []
    this.means = {}
    for (const [name, at, format] of [["loss", "", ".4~g"], ["accuracy", "2", ".1%"]]) {
      const raw = held.y[name] ?? [], mean = smooth(x, raw, half), val = held.epochs[`val_${name}`] ?? []
      this.means[name] = mean.findLast(value => value !== null)
      const panel = { type: "scatter", xaxis: `x${at}`, yaxis: `y${at}`, connectgaps: false, showlegend: false }
      traces.push({ ...panel, mode: "lines", x, y: raw.slice(), line: { width: 1, color: ice }, opacity: 0.22, hoverinfo: "skip" })
      traces.push({ ...panel, mode: "lines", name: words.training, x, y: mean, line: { width: 2.4, color: ice }, hovertemplate: `%{y:${format}}` })
      if (!held.done && mean.length) traces.push({ ...panel, mode: "markers", x: [x.at(-1)], y: [mean.at(-1)], marker: { size: 8, color: ice }, hoverinfo: "skip" })
      traces.push({ ...panel, mode: "lines+markers", name: words.validation, x: ends, y: val.slice(), line: { width: 2, color: flame }, marker: { size: val.length > 60 ? 3 : 7, color: flame }, hovertemplate: `%{y:${format}}` })
    }
    const lr = held.y.lr ?? [], rates = this.rates(), stretches = this.data.stretches
    const colors = this.shades(rates.length)
    let stretch = 0 // which groups learned at which scale changes on the way
    const scales = held.x.map(step => { while (stretch + 1 < stretches.length && step > stretches[stretch + 1][0]) stretch++; return stretches[stretch]?.[1] ?? {} })
    rates.forEach(([group], at) => {
      traces.push({ type: "scatter", xaxis: "x3", yaxis: "y3", mode: "lines", name: plain(group || words.network), showlegend: false, x, y: lr.map((rate, i) => rate === null || scales[i][group] === undefined ? null : rate * scales[i][group]), line: { width: 2, color: colors[at] }, hovertemplate: "%{y:.3~g}" })
    })
    return traces
  }

  shades(count) { // from ice to flame
    if (count === 1) return [this.css("--st-orange-color", "#dd5a12")]
    const [ice, flame] = [this.css("--st-blue-color", "#2f7fd1"), this.css("--st-orange-color", "#dd5a12")].map(hex => hex.match(/\w\w/g).map(part => parseInt(part, 16)))
    return Array.from({ length: count }, (_, at) => `rgb(${ice.map((value, i) => Math.round(value + (flame[i] - value) * at / (count - 1)))})`)
  }

  layout() {
    const { words, run } = this.data, wide = this.wide(), rates = this.rates().length > 0
    const text = this.css("--st-text-color", "#16202e"), grid = this.css("--st-border-color", "#d8e1ec")
    const ground = this.css("--st-background-color", "#ffffff")
    const tall = rates ? (wide ? [0.36, 1] : null) : [0, 1]
    const rows = wide ? [tall, tall, [0, 0.19]] : rates ? [[0.73, 1], [0.37, 0.64], [0, 0.26]] : [[0.57, 1], [0, 0.43]]
    const columns = wide ? [[0, 0.475], [0.535, 1], [0, 1]] : [[0, 1], [0, 1], [0, 1]]
    const axis = { gridcolor: grid, zeroline: false, linecolor: grid, tickcolor: grid, ticks: "", automargin: false, fixedrange: false }
    const layout = {
      uirevision: run, height: this.height(), width: this.wrap.clientWidth, autosize: false,
      margin: { l: 48, r: 14, t: 38, b: 42 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: ground,
      font: { color: text, family: this.css("--st-font", "sans-serif").replaceAll('"', "'"), size: 12 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: grid, activecolor: text }, hovermode: "x unified", dragmode: this.plot.layout?.dragmode ?? (matchMedia("(pointer: coarse)").matches ? false : "zoom"),
      hoverlabel: { bgcolor: ground, bordercolor: grid, font: { size: 12, color: text } }, annotations: [], showlegend: false,
    }
    const names = ["loss", "accuracy", "rate"].slice(0, rates ? 3 : 2)
    const unitName = this.data.steps_per_epoch ? words.epoch : words.step
    names.forEach((name, at) => {
      const mark = at ? String(at + 1) : ""
      layout[`xaxis${mark}`] = { ...axis, domain: columns[at], anchor: `y${mark}`, matches: at ? "x" : undefined, rangemode: "nonnegative", hoverformat: ".2~f", showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "dot", spikecolor: grid, spikesnap: "cursor",
        title: at === names.length - 1 || (wide && at < 2 && !rates) ? { text: unitName, standoff: 6, font: { size: 11 } } : undefined, unifiedhovertitle: { text: `${unitName} %{x:.2~f}` } }
      layout[`yaxis${mark}`] = { ...axis, domain: rows[at], anchor: `x${mark}`, nticks: at === 2 ? 4 : 6, tickformat: name === "accuracy" ? ".0~%" : ".3~g", exponentformat: "power",
        rangemode: name === "rate" ? "tozero" : "normal", ...(name === "rate" ? this.rateAxis() : {}) }
      layout.annotations.push({ xref: "paper", yref: "paper", x: columns[at][0], y: rows[at][1], xanchor: "left", yanchor: "bottom", yshift: 8, xshift: -6, showarrow: false, align: "left",
        font: { size: 14, color: text }, text: this.title(name) })
    })
    const unit = this.unit(), hand = this.css("--st-text-color", "#16202e")
    layout.shapes = (this.held.marks ?? []).flatMap(([step, cause]) => names.map((_, at) => { // a line in every panel
      const mark = at ? String(at + 1) : ""
      return { type: "line", xref: `x${mark}`, yref: `y${mark} domain`, x0: step / unit, x1: step / unit, y0: 0, y1: 1, layer: "below", opacity: 0.45,
        line: { width: cause === "person" ? 1.4 : 1, dash: cause === "person" ? "solid" : "dot", color: hand } }
    }))
    for (const [step, cause] of this.held.marks ?? []) // what the line means, where the pointer comes by
      layout.annotations.push({ xref: "x", yref: "y domain", x: step / unit, y: 1, yanchor: "bottom", showarrow: false, text: cause === "person" ? "✎" : "◇", hovertext: words[`mark.${cause}`], font: { size: 12, color: hand } })
    return layout
  }

  rateAxis() { // rates far apart need a logarithmic axis; it ends below the lowest one, not at the last step of a cosine
    const scales = this.rates().map(([, scale]) => scale).filter(scale => scale > 0)
    const low = Math.min(...scales), high = Math.max(...scales), peak = Math.max(...(this.held.y.lr ?? []))
    if (!(high / low > 30 && peak > 0)) return {}
    return { type: "log", range: [Math.log10(low * peak / 20), Math.log10(high * peak * 1.6)], dtick: 1 }
  }

  newest(name) {
    const format = name.endsWith("accuracy") ? value => `${(100 * value).toFixed(1)} %` : value => Number(value.toPrecision(3)).toString()
    const value = this.means[name] ?? this.held.epochs[name]?.findLast(item => item !== null)
    return value === undefined ? null : format(value)
  }

  title(name) {
    const { words } = this.data
    const half = (which, color, text) => text === null ? "" : `&nbsp;&nbsp;<span style="font-size:12px;color:${color}">● ${which} ${text}</span>`
    if (name === "rate") {
      const rates = this.rates(), shown = rates.length > 3 ? [rates[0], rates.at(-1)] : rates, colors = this.shades(rates.length)
      return `<b>${words.rate}</b>` + shown.map(([group, scale]) => half(plain(group || words.network), colors[rates.findIndex(([other]) => other === group)], `×${Number(scale.toPrecision(3))}`)).join(rates.length > 3 ? "&nbsp;&nbsp;…" : "")
    }
    return `<b>${words[name]}</b>${half(words.training, this.css("--st-blue-text-color", "#175a9f"), this.newest(name))}${half(words.validation, this.css("--st-orange-text-color", "#a8420a"), this.newest(`val_${name}`))}`
  }

  describe() {
    const { words } = this.data, values = []
    for (const name of ["loss", "accuracy"])
      for (const [which, column] of [[words.training, name], [words.validation, `val_${name}`]]) {
        const newest = this.newest(column)
        if (newest !== null) values.push(`${words[name]} (${which}) ${newest}`)
      }
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", `${words.step} ${this.held.x.at(-1) ?? 0}: ${values.join(", ")}`)
  }

  fillTable() {
    const { epochs } = this.held, { words } = this.data, more = this.part("more")
    more.hidden = !epochs.epoch?.length
    if (!more.open || more.hidden) return
    const table = document.createElement("table"), head = table.createTHead().insertRow()
    const cell = (row, tag, text) => { const element = document.createElement(tag); element.textContent = text; row.append(element) }
    const columns = [["train_loss", words.loss, words.training], ["val_loss", words.loss, words.validation], ["train_accuracy", words.accuracy, words.training], ["val_accuracy", words.accuracy, words.validation]]
    cell(head, "th", words.epoch)
    for (const [, what, which] of columns) cell(head, "th", `${what}, ${which}`)
    const body = table.createTBody()
    for (let at = epochs.epoch.length - 1; at >= 0; at--) {
      const row = body.insertRow()
      cell(row, "td", String(epochs.epoch[at]))
      for (const [name] of columns) {
        const value = epochs[name][at]
        cell(row, "td", value === null ? "–" : name.endsWith("accuracy") ? `${(100 * value).toFixed(1)} %` : value.toPrecision(3))
      }
    }
    this.part("table").replaceChildren(table)
  }
}

function plain(text) { // Plotly reads a little HTML in names
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
}
