// A table of buttons with one tab stop: arrows move, Enter or Space opens. Names go in as textContent only.

const mounts = new WeakMap()
const TONES = ["secondary-background", "text", "background", "green", "red"]
const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }

function make(tag, name, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  return element
}

function fill(words, key, values) {
  const template = (values.n === 1 && words[`${key}.one`]) || words[key] || ""
  return template.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}

function rgb(color) {
  const hex = color.trim().slice(1)
  const whole = hex.length === 3 ? [...hex].map(digit => digit + digit).join("") : hex
  return [0, 2, 4].map(at => parseInt(whole.slice(at, at + 2), 16) || 0)
}

const mix = (tone, ground, much) => tone.map((value, at) => much * value + (1 - much) * ground[at])

function contrast(a, b) {
  const [dark, light] = [a, b].map(luminance).sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}

// Relative luminance: WCAG 2.2
function luminance(color) {
  const [r, g, b] = color.map(value => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

class Mount {
  constructor(root) {
    this.root = root
    this.scroll = root.querySelector(".scroll")
    this.table = root.querySelector("table")
    this.note = root.querySelector(".note")
    this.pairs = root.querySelector(".pairs")
    this.at = [0, 0]
  }

  adopt({ data, setTriggerValue }) {
    this.send = setTriggerValue
    const colors = TONES.map(name => rgb(getComputedStyle(this.table).getPropertyValue(`--st-${name}-color`)))
    const said = JSON.stringify([data.names, data.counts, data.shown, data.pairs, data.words, colors])
    this.data = data
    if (said !== this.drawn) {
      this.drawn = said
      this.draw()
      this.paint(colors)
    }
    this.size()
    this.mark()
    this.watch ??= new ResizeObserver(() => this.size())
    this.watch.observe(this.scroll)
  }

  draw() {
    const { names, counts, totals, shown, words } = this.data
    const head = make("tr")
    const corner = make("td", "corner")
    corner.append(make("span", "", words.corner_said), make("span", "", words.corner_true))
    head.append(corner)
    for (const j of shown) {
      const th = make("th", "column")
      th.scope = "col"
      const name = make("span", "", names[j])
      name.title = names[j]
      th.append(name)
      head.append(th)
    }
    this.cells = shown.map((i, y) => {
      const total = totals[i]
      return shown.map((j, x) => {
        const n = counts[y][x]
        const share = total ? n / total : 0
        const button = make("button", i === j ? "right" : "wrong", n)
        button.type = "button"
        button.tabIndex = -1
        const text = fill(words, "cell", { n, total, true: names[i], said: names[j] })
        button.setAttribute("aria-label", text)
        button.title = text
        // a few mistakes among many right answers must still be seen: the root of the share, not the share
        if (n) button.much = 0.92 * (i === j ? share : Math.min(1, 0.18 + 0.82 * Math.sqrt(share)))
        else {
          button.classList.add("none")
          button.setAttribute("aria-disabled", "true")
        }
        button.onclick = () => this.open(y, x)
        return button
      })
    })
    const rows = shown.map((i, y) => {
      const row = make("tr")
      const th = make("th", "row")
      th.scope = "row"
      const name = make("span", "", names[i])
      name.title = names[i]
      th.append(name)
      row.append(th)
      for (const button of this.cells[y]) {
        const td = make("td")
        td.append(button)
        row.append(td)
      }
      return row
    })
    const thead = make("thead")
    thead.append(head)
    const tbody = make("tbody")
    tbody.append(...rows)
    this.table.replaceChildren(thead, tbody)
    this.table.setAttribute("aria-label", words.label)
    this.table.onkeydown = event => this.key(event)
    if (this.at[0] >= shown.length || this.at[1] >= shown.length) this.at = [0, 0]

    this.note.textContent = shown.length < this.data.all ? fill(words, "shown", { n: shown.length, all: this.data.all }) : ""
    this.note.hidden = !this.note.textContent
    this.pairs.hidden = !this.data.pairs.length
    this.pairs.setAttribute("aria-label", words.pairs)
    this.pairs.replaceChildren(make("span", "", words.pairs))
    for (const [i, j, n] of this.data.pairs) {
      const button = make("button")
      button.type = "button"
      button.title = fill(words, "cell", { n, total: totals[i], true: names[i], said: names[j] })
      button.append(make("span", "names", fill(words, "pair", { true: names[i], said: names[j] })), make("b", "", n))
      button.onclick = () => this.tell(i, j)
      button.dataset.cell = `${i},${j}`
      this.pairs.append(button)
    }
  }

  // Shades between the ground and green or red on which the number can be read: at least 4.5 to 1.
  paint(colors) {
    const [ground, text, page, right, wrong] = colors
    for (const button of this.cells.flat()) {
      if (!button.much) continue
      const tone = button.classList.contains("right") ? right : wrong
      let much = button.much
      let shade = mix(tone, ground, much)
      while (much > 0 && contrast(shade, text) < 4.5 && contrast(shade, page) < 4.5) shade = mix(tone, ground, (much -= 0.03))
      button.style.background = `rgb(${shade.map(Math.round).join(" ")})`
      button.style.color = `rgb(${(contrast(shade, text) >= 4.5 ? text : page).join(" ")})`
    }
  }

  // Cells as large as the width allows; below 22 pixels the table scrolls instead.
  size() {
    const { names: called, shown } = this.data
    const width = this.scroll.clientWidth || 600
    const widest = Math.max(...shown.map(i => this.wide(called[i])))
    const names = Math.min(widest + 10, width < 460 ? 92 : 150)
    const side = Math.floor((width - Math.max(names, 86) - 16) / shown.length) - 2
    const cell = Math.min(56, Math.max(22, side))
    this.table.style.setProperty("--cell", `${cell}px`)
    this.table.style.setProperty("--names", `${names}px`)
    this.table.style.setProperty("--size", cell < 34 ? "0.7rem" : cell < 42 ? "0.8125rem" : "0.9375rem")
    this.table.style.setProperty("--head", `${Math.min(128, Math.max(40, widest + 12))}px`)
    this.scroll.classList.toggle("flat", widest <= cell)
  }

  // Width of a text in pixels, in the largest font that the table uses.
  wide(text) {
    this.pen ??= document.createElement("canvas").getContext("2d")
    this.pen.font = `500 15px ${getComputedStyle(this.table).fontFamily}`
    return this.pen.measureText(text).width
  }

  mark() {
    const { chosen, shown } = this.data
    this.cells.forEach((row, y) =>
      row.forEach((button, x) => {
        const on = Boolean(chosen) && chosen[0] === shown[y] && chosen[1] === shown[x]
        button.classList.toggle("chosen", on)
        button.setAttribute("aria-pressed", on)
        if (on) this.at = [y, x]
      }),
    )
    for (const button of this.pairs.querySelectorAll("button")) {
      const on = Boolean(chosen) && button.dataset.cell === chosen.join(",")
      button.classList.toggle("chosen", on)
      button.setAttribute("aria-pressed", on)
    }
    this.stop()
  }

  stop() {
    for (const row of this.cells) for (const button of row) button.tabIndex = -1
    const button = this.cells[this.at[0]]?.[this.at[1]]
    if (button) button.tabIndex = 0
    return button
  }

  key(event) {
    const last = this.cells.length - 1
    let [y, x] = this.at
    if (event.key in STEPS) {
      y = Math.min(last, Math.max(0, y + STEPS[event.key][0]))
      x = Math.min(last, Math.max(0, x + STEPS[event.key][1]))
    } else if (event.key === "Home") x = 0
    else if (event.key === "End") x = last
    else return
    this.at = [y, x]
    this.stop().focus()
    event.preventDefault()
  }

  open(y, x) {
    const { shown, counts } = this.data
    this.at = [y, x]
    this.stop()
    if (counts[y][x]) this.tell(shown[y], shown[x])
  }

  tell(i, j) {
    this.data = { ...this.data, chosen: [i, j] }
    this.mark()
    this.send("cell", [i, j])
    this.reveal()
  }

  // On a narrow screen the pictures stand below the matrix, out of sight: bring its lower edge up.
  reveal() {
    const host = this.root.host ?? this.root
    if (window.innerWidth > 760) return
    let box = host.parentElement
    while (box && !(box.scrollHeight > box.clientHeight + 4 && /auto|scroll/.test(getComputedStyle(box).overflowY)))
      box = box.parentElement
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches
    box?.scrollBy({ top: host.getBoundingClientRect().bottom - 140, behavior: calm ? "auto" : "smooth" })
  }
}

export default function (component) {
  const root = component.parentElement
  if (!mounts.has(root)) mounts.set(root, new Mount(root))
  mounts.get(root).adopt(component)
  return () => mounts.get(root)?.watch?.disconnect()
}
