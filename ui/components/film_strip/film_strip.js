/* The film strip as a Streamlit v2 component: a table of tiles with one tab stop. Rows and their pictures are kept from draw to
 * draw, so that nothing blinks when a column comes. Names are only ever set as text.
 */

const GAP = 4, LEAST = 16, MOST = 34 // of a tile, in pixels, as in film_strip.css
const LABEL_PX = 27
const GLYPHS = 3 // contrast that a sign needs on its ground: WCAG 2.2, 1.4.11
const TONES = ["background", "text", "green", "red"]
const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }
const mounted = new WeakMap()

export default function (component) {
  const place = component.parentElement
  if (!mounted.has(place)) mounted.set(place, new Film(place.querySelector(".thaw-film")))
  const film = mounted.get(place)
  film.update(component.data)
  return () => { film.leave(); mounted.delete(place) }
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

export function percent(share) {
  const value = Math.round(100 * share)
  return value === 0 && share > 0 ? "<1" : value === 100 && share < 1 ? ">99" : String(value)
}

function rgb(color) {
  const hex = color.trim().slice(1)
  const whole = hex.length === 3 ? [...hex].map(digit => digit + digit).join("") : hex
  return [0, 2, 4].map(at => parseInt(whole.slice(at, at + 2), 16) || 0)
}

const mix = (tone, ground, much) => tone.map((value, at) => Math.round(much * value + (1 - much) * ground[at]))

function contrast(a, b) {
  const [dark, light] = [a, b].map(luminance).sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}

// Relative luminance: WCAG 2.2
function luminance(color) {
  const [r, g, b] = color.map(value => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

class Film {
  constructor(wrap) {
    this.wrap = wrap
    this.part = name => wrap.querySelector(`.${name}`)
    this.scroll = this.part("scroll")
    this.table = wrap.querySelector("table")
    this.tip = this.part("tip")
    this.head = make("tr")
    this.body = make("tbody")
    const top = make("thead")
    top.append(this.head)
    this.table.append(top, this.body)
    this.rows = []
    this.at = [0, Infinity] // the newest
    this.width = 0
    this.size = new ResizeObserver(() => {
      const unfolded = !this.width
      this.width = this.scroll.clientWidth
      if (this.data) this.fit()
      if (unfolded) this.scroll.scrollLeft = this.scroll.scrollWidth // the newest
    })
    this.size.observe(this.scroll)
    this.listen()
  }

  leave() { this.size.disconnect() }

  update(data) {
    const colors = TONES.map(name => getComputedStyle(this.wrap).getPropertyValue(`--st-${name}-color`).trim())
    const sign = JSON.stringify([data, colors])
    if (sign === this.drawn) return
    this.drawn = sign
    const { scroll } = this
    const atEnd = !this.data || scroll.scrollLeft + scroll.clientWidth >= scroll.scrollWidth - 24
    const news = this.data && data.epochs.at(-1) !== this.data.epochs.at(-1)
    const focused = this.rows.flatMap(row => row.cells).find(cell => cell === this.active())
    const stay = focused && [this.at[0], this.data.epochs[this.at[1]]]
    this.data = data
    this.colors = colors.map(rgb)
    this.draw(news)
    this.fit()
    if (atEnd) scroll.scrollLeft = scroll.scrollWidth
    this.hide()
    if (stay) {
      this.at = [stay[0], Math.max(0, data.epochs.indexOf(stay[1]))]
      this.stop()?.focus({ preventScroll: true })
    } else {
      this.at = [this.at[0], Infinity]
      this.stop()
    }
  }

  active() { return this.wrap.getRootNode().activeElement }

  draw(news) {
    const { strips, epochs, words } = this.data, last = epochs.length - 1
    this.table.setAttribute("aria-label", words.aria)
    this.part("right-word").textContent = words.right
    this.part("wrong-word").textContent = words.wrong
    this.part("depth-word").textContent = words.depth
    this.part("thinned").textContent = epochs.length < this.data.all ? fill(words.thinned, { shown: epochs.length, all: this.data.all }) : ""

    const corner = make("th", "picture", words.image)
    corner.scope = "col"
    this.heads = epochs.map((epoch, at) => {
      const th = make("th", at === last ? "newest" : "old")
      th.scope = "col"
      th.setAttribute("aria-label", fill(words.epoch, { epoch }))
      if (at < last) th.append(make("span", "number", epoch))
      else {
        const right = strips.filter(strip => strip.cells[at][2]).length
        th.append(make("b", "", fill(words.epoch, { epoch })), make("span", "score", fill(words.right_of, { n: right, all: strips.length })))
      }
      return th
    })
    if (!epochs.length) this.heads = [make("th", "newest wait", words.waiting)]
    this.head.replaceChildren(corner, ...this.heads, make("th", "rest"))

    while (this.rows.length > strips.length) this.rows.pop().element.remove()
    strips.forEach((strip, y) => {
      const row = this.rows[y] ??= this.newRow()
      if (row.image.getAttribute("src") !== strip.url) row.image.src = strip.url
      row.image.alt = ""
      row.name.textContent = strip.label
      row.name.title = fill(words.shows, { label: strip.label })
      row.cells = strip.cells.map((cell, x) => this.cell(cell, epochs[x], x === last))
      const tail = epochs.length ? [] : [make("td", "newest wait")]
      row.element.replaceChildren(row.header, ...row.cells, ...tail, make("td", "rest"))
    })
    this.wrap.classList.toggle("grown", !!news)
  }

  newRow() {
    const element = make("tr"), header = make("th", "picture"), box = make("div", "shows"), frame = make("span", "frame")
    const image = make("img"), name = make("span", "name")
    header.scope = "row"
    image.decoding = "async"
    image.onerror = () => frame.classList.add("broken")
    image.onload = () => frame.classList.remove("broken")
    frame.append(image)
    box.append(frame, name)
    header.append(box)
    this.body.append(element)
    return { element, header, image, name, cells: [] }
  }

  cell([said, sure, right], epoch, newest) {
    const { words } = this.data, td = make("td", newest ? "newest" : "old"), box = make("div", "box")
    const tile = make("i", `tile ${right ? "right" : "wrong"}`)
    this.paint(tile, sure, right)
    td.setAttribute("role", "gridcell")
    td.tabIndex = -1
    td.said = fill(words.cell, { epoch, said, percent: percent(sure) })
    td.setAttribute("aria-label", `${td.said}, ${right ? words.cell_right : words.cell_wrong}`)
    box.append(tile)
    if (newest) {
      const text = make("span", "text")
      text.append(make("span", right ? "said" : "said wrong", said), make("span", "sure", `${percent(sure)} %`))
      box.append(text)
    }
    td.append(box)
    return td
  }

  /* The surer, the deeper; on it a sign in the one of the page's two colours that is seen better. */
  paint(tile, sure, right) {
    const [page, text, green, red] = this.colors
    const shade = mix(right ? green : red, page, 0.14 + 0.86 * sure ** 1.5)
    const sign = contrast(shade, page) >= GLYPHS ? page : text
    tile.style.setProperty("--shade", `rgb(${shade.join(" ")})`)
    tile.style.setProperty("--sign", `rgb(${sign.join(" ")})`)
  }

  /* Tiles as large as the width allows, and as many numbers above them as do not touch. */
  fit() {
    const { epochs } = this.data, old = Math.max(1, epochs.length - 1)
    const fixed = [...this.head.children].filter(th => th.matches(".picture, .newest")).reduce((sum, th) => sum + th.offsetWidth, 0)
    const side = Math.floor((this.scroll.clientWidth - fixed - 4) / old) - GAP
    const tile = Math.max(matchMedia("(pointer: coarse)").matches ? LEAST + 8 : LEAST, Math.min(MOST, side))
    this.table.style.setProperty("--tile", `${tile}px`)
    const every = Math.ceil(LABEL_PX / (tile + GAP))
    const numbers = this.heads.filter(th => th.matches(".old"))
    numbers.forEach((th, at) => { th.firstChild.hidden = at % every !== 0 })
  }

  /* ---- what a person does ------------------------------------------------------------------------------------------ */

  stop() { // the one cell in the tab order
    if (!this.rows.length || !this.data.epochs.length) return null
    this.at = [Math.min(this.at[0], this.rows.length - 1), Math.min(this.at[1], this.data.epochs.length - 1)]
    if (this.tab) this.tab.tabIndex = -1
    this.tab = this.rows[this.at[0]].cells[this.at[1]]
    this.tab.tabIndex = 0
    return this.tab
  }

  key(event) {
    let [y, x] = this.at
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key in STEPS) { y += STEPS[event.key][0]; x += STEPS[event.key][1] }
    else if (event.key === "Home") x = 0
    else if (event.key === "End") x = this.data.epochs.length - 1
    else if (event.key === "Escape") return void this.hide()
    else return
    this.at = [Math.max(0, y), Math.max(0, x)]
    const cell = this.stop()
    cell?.focus({ preventScroll: true })
    if (cell) this.reveal(cell)
    event.preventDefault()
  }

  reveal(cell) { // the column of pictures stands still and hides what is below it
    const box = this.scroll.getBoundingClientRect(), at = cell.getBoundingClientRect()
    const left = box.left + this.head.firstChild.offsetWidth
    if (at.left < left) this.scroll.scrollLeft -= left - at.left + GAP
    else if (at.right > box.right) this.scroll.scrollLeft += at.right - box.right + GAP
    if (this.active() === cell) this.show(cell)
  }

  show(cell) {
    const { tip, wrap } = this
    tip.textContent = cell.said[0].toUpperCase() + cell.said.slice(1)
    tip.hidden = false
    const outer = wrap.getBoundingClientRect(), tile = cell.querySelector(".tile").getBoundingClientRect()
    const middle = tile.left + tile.width / 2 - outer.left, half = tip.offsetWidth / 2
    tip.style.left = `${Math.max(4, Math.min(outer.width - 2 * half - 4, middle - half))}px`
    tip.style.top = `${tile.top - outer.top - tip.offsetHeight - 6}px`
  }

  hide() { this.tip.hidden = true }

  listen() {
    const { table } = this
    const cell = event => event.target.closest("td[role=gridcell]")
    table.addEventListener("keydown", event => this.key(event))
    table.addEventListener("pointerover", event => { const at = cell(event); if (at) this.show(at); else this.hide() })
    table.addEventListener("pointerleave", () => this.hide())
    table.addEventListener("focusout", () => this.hide())
    table.addEventListener("focusin", event => {
      const at = cell(event)
      if (!at) return
      const y = this.rows.findIndex(row => row.cells.includes(at))
      this.at = [y, this.rows[y].cells.indexOf(at)]
      this.stop()
      this.show(at)
    })
    this.scroll.addEventListener("scroll", () => { if (!this.rows.some(row => row.cells.includes(this.active()))) this.hide() }, { passive: true })
  }
}
