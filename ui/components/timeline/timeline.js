/* The timeline of thawing as a Streamlit v2 component. The coin at the left end of a bar is a slider: by mouse, touch or keys
 * it stands at an epoch, or in the slot after the last one: never.
 *
 * Python sends {sig, rev, rows, since, …} and gets {sig, rev, since} back. Titles are only ever set as text.
 */

const DEBOUNCE_MS = 200
const LABEL_PX = 34 // of the widest number of an epoch, with air
const BACK = new Set(["ArrowLeft", "ArrowDown"]), ON = new Set(["ArrowRight", "ArrowUp"])
const mounted = new WeakMap()

export default function (component) {
  const place = component.parentElement
  if (!mounted.has(place)) mounted.set(place, new Timeline(place.querySelector(".thaw-timeline")))
  const view = mounted.get(place)
  view.update(component)
  return () => { view.leave(); mounted.delete(place) }
}

/* Numbers to write above `epochs` columns in `width` pixels: the first, the last, and round ones between that do not touch. */
export function ticks(epochs, width) {
  const room = Math.max(2, Math.floor(width / LABEL_PX))
  let step = 1
  for (let power = 1; epochs / step > room; power *= 10)
    step = [1, 2, 5, 10].map(part => part * power).find(each => epochs / each <= room) ?? step
  const found = [1]
  for (let at = step; at < epochs; at += step) if (at > 1) found.push(at)
  const near = at => (at / epochs) * width
  while (found.length > 1 && near(epochs - found.at(-1)) < LABEL_PX) found.pop()
  if (found.length > 1 && near(found[1] - 1) < LABEL_PX) found.splice(1, 1)
  if (epochs > 1) found.push(epochs)
  return found
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

class Timeline {
  constructor(wrap) {
    this.wrap = wrap
    this.part = name => wrap.querySelector(`.${name}`)
    this.list = this.part("rows")
    this.sheet = this.part("sheet")
    this.sig = this.rev = this.drag = null
    this.rows = []
    this.timer = 0
    this.pending = false
    this.size = new ResizeObserver(() => this.rule())
    this.size.observe(this.part("axis"))
    this.listen()
  }

  update({ data, setStateValue }) {
    this.data = data
    this.tell = setStateValue
    if (this.sig !== data.sig) this.plant()
    if (this.rev !== data.rev) { // Python's word wins: what is being dragged or on its way is dropped
      clearTimeout(this.timer)
      this.pending = false
      this.release()
      this.rev = data.rev
      this.since = { ...data.since }
    }
    this.dress()
    this.rule()
    this.paint()
  }

  leave() {
    clearTimeout(this.timer)
    this.size.disconnect()
  }

  plant() { // other rows, or another number of epochs
    this.release()
    this.sig = this.data.sig
    this.rev = null
    for (const row of this.rows) row.element.remove()
    this.rows = this.data.rows.map(([key]) => {
      const element = make("div", "row"), title = make("span", "title"), when = make("span", "when")
      const track = make("div", "track"), bar = make("div", "bar"), coin = make("div", "coin"), bubble = make("span", "bubble")
      element.dataset.key = key
      when.setAttribute("aria-hidden", "true") // the slider says it
      bubble.setAttribute("aria-hidden", "true")
      coin.tabIndex = 0
      coin.setAttribute("role", "slider")
      coin.append(bubble)
      bar.append(coin)
      track.append(make("i", "ice"), bar)
      element.append(title, track, when)
      const row = { key, element, title, when, track, bar, coin, bubble }
      track.row = row
      this.list.append(element)
      return row
    })
  }

  dress() {
    const { words, epochs, now } = this.data
    for (const [part, word] of [["in", "in"], ["out", "out"], ["hint", "hint"], ["frozen-word", "frozen"], ["learns-word", "learns"]])
      this.part(part).textContent = words[word]
    this.list.setAttribute("aria-label", words.aria)
    this.data.rows.forEach(([, title], at) => {
      const row = this.rows[at]
      row.title.textContent = row.title.title = title
      row.coin.setAttribute("aria-label", title)
      row.coin.setAttribute("aria-valuemax", epochs + 1)
    })
    this.wrap.style.setProperty("--epochs", epochs)
    this.wrap.style.setProperty("--now", now ?? 0)
    this.wrap.classList.toggle("live", now !== null && now > 0)
    this.wrap.classList.toggle("disabled", !!this.data.disabled)
  }

  /* The scale above and the lines behind the bars. */
  rule() {
    if (!this.data) return
    const { words, epochs, now } = this.data, axis = this.part("axis")
    const width = axis.clientWidth - parseFloat(getComputedStyle(axis).getPropertyValue("--slot"))
    if (!(width > 0)) return
    const shown = ticks(epochs, width), live = now > 0
    const sign = JSON.stringify([shown, now, words.now, words.never, Math.round(width)])
    if (sign === this.ruled) return
    this.ruled = sign
    const clash = at => live && at !== now && (Math.abs(at - now) / epochs) * width < LABEL_PX
    const label = (at, text, kind = "tick") => {
      const tick = make("span", kind, text)
      tick.style.setProperty("--middle", (at - 0.5) / epochs)
      return tick
    }
    const labels = shown.filter(at => at !== now && !clash(at)).map(at => label(at, String(at)))
    if (live) {
      const flag = label(Math.min(now, epochs), String(now), "tick flag")
      flag.title = `${words.now}: ${fill(words.epoch, { epoch: now })}`
      labels.push(flag)
    }
    axis.replaceChildren(...labels, make("span", "never-word", words.never))
    this.sheet.replaceChildren(...(live ? [make("i", "past")] : []), ...shown.slice(1).map(at => {
      const line = make("i", "line")
      line.style.setProperty("--at", (at - 1) / epochs)
      return line
    }), make("i", "slot"), ...(live ? [make("i", "marker")] : []))
  }

  /* ---- what a person does ------------------------------------------------------------------------------------------ */

  get first() { return Math.min((this.data.now ?? 0) + 1, this.data.epochs + 1) }

  place(row) { return this.since[row.key] ?? this.data.epochs + 1 }

  fixed(row) {
    return !!this.data.disabled || this.place(row) < this.first || this.first > this.data.epochs
  }

  put(row, place) { // true if it moved
    const { epochs } = this.data, at = Math.max(this.first, Math.min(epochs + 1, place))
    if (this.fixed(row) || at === this.place(row)) return false
    this.since[row.key] = at > epochs ? null : at
    this.draw(row)
    return true
  }

  changed() {
    clearTimeout(this.timer)
    this.pending = true
    this.timer = setTimeout(() => this.flush(), DEBOUNCE_MS)
  }

  flush() {
    if (this.drag) return
    clearTimeout(this.timer)
    if (this.pending) this.tell("wish", { sig: this.sig, rev: this.rev, since: this.since })
    this.pending = false
  }

  /* The place for a pointer at `x`: of the left end of the bar if the coin was taken, else of the column under it. */
  under(row, x, held) {
    const { epochs } = this.data, box = row.track.getBoundingClientRect()
    const width = box.width - parseFloat(getComputedStyle(row.track).getPropertyValue("--slot")), column = width / epochs
    const at = x - box.left - (held ?? 0)
    if (held === null) return at >= width ? epochs + 1 : Math.floor(at / column) + 1
    if (at > width - column + Math.max(column, row.coin.offsetWidth) / 2) return epochs + 1
    return Math.min(epochs, Math.round(at / column) + 1)
  }

  down(event) {
    const row = event.target.closest(".track")?.row, onCoin = event.target.closest(".coin")
    if (!row || event.button || !event.isPrimary || this.fixed(row)) return
    if (event.pointerType === "touch" && !onCoin) return // a finger that scrolls the page; a tap comes as a click
    const held = onCoin ? event.clientX - row.bar.getBoundingClientRect().left : null
    this.drag = { row, id: event.pointerId, before: this.place(row), held }
    row.track.setPointerCapture(event.pointerId)
    row.element.classList.add("dragged")
    row.coin.focus({ preventScroll: true })
    event.preventDefault()
    if (!onCoin) this.move(event)
  }

  move(event) {
    const { drag } = this
    if (drag?.id === event.pointerId) this.put(drag.row, this.under(drag.row, event.clientX, drag.held))
  }

  release() {
    const { drag } = this
    if (!drag) return
    this.drag = null
    drag.row.element.classList.remove("dragged")
    if (drag.row.track.hasPointerCapture(drag.id)) drag.row.track.releasePointerCapture(drag.id)
  }

  drop(event, keep) {
    const { drag } = this
    if (!drag || drag.id !== event.pointerId) return
    if (!keep) this.put(drag.row, drag.before)
    this.release()
    if (this.pending || this.place(drag.row) !== drag.before) this.changed()
  }

  key(event, row) { // true if the key was ours
    if (event.ctrlKey || event.metaKey || event.altKey) return false
    const at = this.place(row), page = Math.max(2, Math.round(this.data.epochs / 10))
    if (event.key === "Escape" && this.drag) {
      this.put(this.drag.row, this.drag.before)
      this.release()
      if (this.pending) this.changed() // a key pressed just before the drag
      return true
    }
    const to = BACK.has(event.key) ? at - 1 : ON.has(event.key) ? at + 1
      : { Home: 1, End: this.data.epochs + 1, PageDown: at - page, PageUp: at + page }[event.key]
    if (to === undefined) return false
    if (!this.drag && this.put(row, to)) this.changed()
    return true
  }

  listen() { // once; what they call reads the newest data
    const { list, wrap } = this
    list.addEventListener("pointerdown", event => this.down(event))
    list.addEventListener("pointermove", event => this.move(event))
    list.addEventListener("pointerup", event => this.drop(event, true))
    list.addEventListener("pointercancel", event => this.drop(event, false))
    list.addEventListener("click", event => {
      const row = event.target.closest(".track")?.row
      if (!row || event.pointerType !== "touch" || event.target.closest(".coin")) return
      if (this.put(row, this.under(row, event.clientX, null))) this.changed()
    })
    list.addEventListener("keydown", event => {
      const row = event.target.closest(".track")?.row
      if (row && this.key(event, row)) event.preventDefault()
    })
    wrap.addEventListener("focusout", event => { if (!wrap.contains(event.relatedTarget)) this.flush() })
    wrap.addEventListener("pointerleave", () => this.flush()) // a press on "Start" must not overtake the last drag
  }

  /* ---- drawing ----------------------------------------------------------------------------------------------------- */

  paint() { for (const row of this.rows) this.draw(row) }

  draw(row) {
    const { words, epochs, now } = this.data, at = this.place(row), never = at > epochs, fixed = this.fixed(row)
    const when = never ? words.stays : at === 1 ? words.from_start : fill(words.from, { epoch: at })
    row.element.classList.toggle("never", never)
    row.element.classList.toggle("fixed", fixed)
    row.element.classList.toggle("begun", now > 0 && at <= now)
    row.bar.style.setProperty("--at", (at - 1) / epochs)
    row.when.textContent = when
    row.bubble.textContent = never ? words.never : at
    row.coin.setAttribute("aria-valuemin", Math.min(this.first, at))
    row.coin.setAttribute("aria-valuenow", at)
    row.coin.setAttribute("aria-valuetext", fill(words.value, { title: row.title.textContent, when }))
    row.coin.setAttribute("aria-disabled", String(fixed))
    row.track.title = now > 0 && at <= now ? words.fixed : ""
  }
}
