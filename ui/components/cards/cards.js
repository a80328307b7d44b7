// Cards to choose one from. Search, order and filter live here and survive new data; what is chosen is said by Python, and
// shown at once when a person picks. Texts go in as textContent only.

const mounts = new WeakMap()

function make(tag, name, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  return element
}

function draw(card) {
  const element = make("div", "card")
  element.setAttribute("role", "radio")
  if (card.images.length) {
    const sheet = make("div", "sheet")
    sheet.setAttribute("aria-hidden", "true")
    for (const url of card.images) {
      const image = make("img")
      image.loading = "lazy"
      image.alt = ""
      image.src = url
      sheet.append(image)
    }
    element.append(sheet)
  }
  const head = make("div", "head")
  const tick = make("span", "tick", "✓")
  tick.setAttribute("aria-hidden", "true")
  head.append(make("span", "title", card.title), tick)
  element.append(head)
  if (card.stripe.length) {
    const stripe = make("div", "stripe")
    stripe.setAttribute("aria-hidden", "true")
    for (const share of card.stripe) {
      const bar = make("span", "bar")
      const flame = make("i")
      flame.style.height = `${share > 0 ? Math.max(share, 0.14) * 100 : 0}%`
      bar.append(flame)
      stripe.append(bar)
    }
    element.append(stripe)
  }
  if (card.text) element.append(make("div", "text", card.text))
  if (card.facts.length) {
    const facts = make("dl", "facts")
    for (const [label, value] of card.facts) {
      const pair = make("div")
      pair.append(make("dt", "", label), make("dd", "", value))
      facts.append(pair)
    }
    element.append(facts)
  }
  if (card.badges.length) {
    const badges = make("div", "badges")
    for (const [text, tone] of card.badges) badges.append(make("span", `badge ${tone}`, text))
    element.append(badges)
  }
  return element
}

function plain(text) {
  return text.toLowerCase().replace(/[\s_\-/.]+/g, "")
}

class Mount {
  constructor(root) {
    this.tools = root.querySelector(".tools")
    this.search = root.querySelector(".search")
    this.order = root.querySelector(".sort")
    this.only = root.querySelector(".only input")
    this.found = root.querySelector(".found")
    this.box = root.querySelector(".cards")
    this.none = root.querySelector(".none")
    this.elements = new Map()
    this.drawn = new Map()
    this.fresh = true
  }

  adopt({ data, setTriggerValue }) {
    this.data = data
    this.send = setTriggerValue
    this.chosen = data.chosen
    const tools = data.tools
    this.tools.hidden = !tools
    if (tools) {
      this.search.hidden = !tools.search
      this.search.placeholder = tools.search
      this.search.setAttribute("aria-label", tools.search)
      this.search.oninput = () => this.arrange()
      this.order.hidden = !tools.sorts.length
      const kept = this.order.value
      this.order.replaceChildren(...tools.sorts.map(([value, label]) => Object.assign(make("option", "", label), { value })))
      if (tools.sorts.some(([value]) => value === kept)) this.order.value = kept
      this.order.onchange = () => this.arrange()
      this.only.parentElement.hidden = !tools.only
      this.only.nextElementSibling.textContent = tools.only
      this.only.onchange = () => this.arrange()
    }
    const { box } = this
    box.style.setProperty("--width", `${data.width}px`)
    box.style.maxHeight = data.height ? `${data.height}px` : ""
    box.classList.toggle("limited", data.height > 0)
    box.classList.toggle("few", !tools)
    box.setAttribute("aria-label", data.label)
    box.onkeydown = event => this.key(event)
    for (const card of data.cards) {
      const said = JSON.stringify(card)
      if (this.drawn.get(card.id) === said) continue
      const element = draw(card)
      element.onclick = () => this.pick(card.id)
      this.elements.get(card.id)?.replaceWith(element)
      this.elements.set(card.id, element)
      this.drawn.set(card.id, said)
    }
    this.arrange()
    if (this.fresh && data.height) {
      const at = this.elements.get(this.chosen)
      if (at?.isConnected) box.scrollTop = Math.max(0, at.offsetTop - box.offsetTop - 12)
    }
    this.fresh = false
  }

  arrange() {
    const { data, box } = this
    const wanted = plain(this.search.value)
    let shown = data.cards.filter(
      card => (!wanted || plain(`${card.title} ${card.id} ${card.find}`).includes(wanted)) && (!this.only.checked || card.kept),
    )
    const order = data.tools?.sorts.find(([value]) => value === this.order.value)
    if (order) {
      const [name, , descending] = order
      const worst = descending ? -Infinity : Infinity
      const rank = new Map(shown.map((card, index) => [card, [card.sort[name] ?? worst, index]]))
      shown = [...shown].sort((a, b) => {
        const [x, i] = rank.get(a)
        const [y, j] = rank.get(b)
        return x === y ? i - j : descending ? y - x : x - y
      })
    }
    this.shown = shown.map(card => card.id)
    const elements = shown.map(card => this.elements.get(card.id))
    if (elements.length !== box.children.length || elements.some((element, index) => box.children[index] !== element))
      box.replaceChildren(...elements)
    if (data.tools?.found) this.found.textContent = data.tools.found.replace("{n}", shown.length)
    this.none.textContent = data.tools?.none ?? ""
    this.none.hidden = shown.length > 0 || !this.none.textContent
    this.mark()
  }

  mark() {
    const off = this.data.disabled
    const reachable = this.shown.includes(this.chosen) ? this.chosen : this.shown[0]
    for (const card of this.data.cards) {
      const element = this.elements.get(card.id)
      element.setAttribute("aria-checked", card.id === this.chosen)
      element.setAttribute("aria-disabled", Boolean(off || card.disabled))
      element.tabIndex = card.id === reachable ? 0 : -1
    }
  }

  pick(id) {
    const card = this.data.cards.find(card => card.id === id)
    if (!card || card.disabled || this.data.disabled) return
    this.chosen = id
    this.mark()
    this.elements.get(id).focus()
    this.send("picked", id)
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }
    const active = this.shown.findIndex(id => this.elements.get(id) === event.target)
    if (active < 0) return
    if (event.key === " " || event.key === "Enter") this.pick(this.shown[active])
    else if (event.key in steps || event.key === "Home" || event.key === "End") {
      const last = this.shown.length - 1
      const next =
        event.key === "Home" ? 0 : event.key === "End" ? last : Math.min(last, Math.max(0, active + steps[event.key]))
      this.elements.get(this.shown[active]).tabIndex = -1
      const element = this.elements.get(this.shown[next])
      element.tabIndex = 0
      element.focus()
    } else return
    event.preventDefault()
  }
}

export default function (component) {
  const root = component.parentElement
  if (!mounts.has(root)) mounts.set(root, new Mount(root))
  mounts.get(root).adopt(component)
}
