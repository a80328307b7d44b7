// One row a class. The order lives here and survives new data. Names go in as textContent only.

const mounts = new WeakMap()
const COLUMNS = ["class", "recall", "precision", "f1", "support"]

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

const percent = value => (value === null ? "–" : `${(100 * value).toFixed(value === 1 || value === 0 ? 0 : 1)} %`)

function share(value, sentence) {
  const box = make("div", `share ${value !== null && value < 0.8 ? "low" : ""}`)
  const bar = make("div", "bar")
  const inner = make("i")
  inner.style.width = `${100 * (value ?? 0)}%`
  bar.append(inner)
  box.append(make("b", "", percent(value)), bar, make("small", "", sentence))
  return box
}

class Mount {
  constructor(root) {
    this.scroll = root.querySelector(".scroll")
    this.table = root.querySelector("table")
    this.order = ["recall", 1]
  }

  adopt({ data, setTriggerValue }) {
    this.send = setTriggerValue
    this.scroll.style.maxHeight = data.height ? `${data.height}px` : ""
    if (data.height) this.scroll.tabIndex = 0
    const said = JSON.stringify([data.rows, data.words])
    this.data = data
    if (said !== this.drawn) {
      this.drawn = said
      this.draw()
    }
    this.mark(data.chosen)
  }

  draw() {
    const { rows, words } = this.data
    this.table.setAttribute("aria-label", words.label)
    const head = make("tr")
    this.heads = COLUMNS.map((column, at) => {
      const th = make("th")
      th.scope = "col"
      const button = make("button", "", words[column])
      button.type = "button"
      button.title = words[`${column}.help`] ?? ""
      button.append(make("i"))
      button.onclick = () => {
        this.order = this.order[0] === column ? [column, -this.order[1]] : [column, 1]
        this.arrange()
      }
      th.append(button)
      head.append(th)
      return th
    })
    this.rows = rows.map(([name, support, found, predicted, recall, precision, f1], index) => {
      const row = make("tr")
      const title = make("td", "name")
      const button = make("button", "", name)
      button.type = "button"
      button.title = fill(words, "missed", { n: support - found, name })
      title.append(button)
      const first = make("td", "recall")
      first.append(share(recall, fill(words, support ? "found" : "found_none", { n: support, found, name })))
      const second = make("td", "precision")
      second.append(share(precision, fill(words, predicted ? "right" : "right_none", { n: predicted, found, name })))
      const third = make("td", "number", percent(f1))
      third.dataset.label = words.f1
      const fourth = make("td", "number", support)
      fourth.dataset.label = words.support
      row.append(title, first, second, third, fourth)
      row.onclick = () => this.pick(index)
      return row
    })
    const thead = make("thead")
    thead.append(head)
    this.body = make("tbody")
    this.table.replaceChildren(thead, this.body)
    this.arrange()
  }

  arrange() {
    const { rows } = this.data
    const [column, way] = this.order
    const at = { class: 0, recall: 4, precision: 5, f1: 6, support: 1 }[column]
    const ranked = rows.map((row, index) => index)
    ranked.sort((a, b) => {
      const x = rows[a][at]
      const y = rows[b][at]
      if (x === y) return a - b
      if (x === null || y === null) return x === null ? 1 : -1
      return way * (typeof x === "string" ? x.localeCompare(y) : x - y)
    })
    this.body.replaceChildren(...ranked.map(index => this.rows[index]))
    COLUMNS.forEach((name, index) => {
      const on = name === column
      this.heads[index].setAttribute("aria-sort", on ? (way > 0 ? "ascending" : "descending") : "none")
      this.heads[index].querySelector("i").textContent = on ? (way > 0 ? "↑" : "↓") : ""
    })
  }

  mark(chosen) {
    this.rows.forEach((row, index) => {
      row.classList.toggle("chosen", index === chosen)
      row.querySelector("button").setAttribute("aria-pressed", index === chosen)
    })
  }

  pick(index) {
    this.mark(index)
    this.send("picked", index)
  }
}

export default function (component) {
  const root = component.parentElement
  if (!mounts.has(root)) mounts.set(root, new Mount(root))
  mounts.get(root).adopt(component)
}
