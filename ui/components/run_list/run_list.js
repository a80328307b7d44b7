// Rows are reused from draw to draw, so that a press or a tick is not lost while figures change. Names as textContent only.

const mounts = new WeakMap()

function make(tag, name, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  return element
}

class Mount {
  constructor(root) {
    this.list = root.querySelector(".list")
    this.rows = new Map()
    this.ticked = []
    this.cleared = 0
  }

  adopt({ data, setStateValue, setTriggerValue }) {
    this.data = data
    this.say = setStateValue
    this.press = setTriggerValue
    if (data.cleared !== this.cleared) {
      this.cleared = data.cleared
      this.ticked = []
    }
    this.list.setAttribute("aria-label", data.words.label)
    this.list.classList.toggle("plain", !data.rows.some(row => row.tickable))
    const elements = data.rows.map(row => {
      const said = JSON.stringify(row)
      let known = this.rows.get(row.id)
      if (!known) this.rows.set(row.id, (known = { element: this.shell(row.id) }))
      if (known.said !== said) {
        known.said = said
        this.fill(known.element, row)
      }
      return known.element
    })
    if (elements.length !== this.list.children.length || elements.some((one, at) => this.list.children[at] !== one))
      this.list.replaceChildren(...elements)
    this.mark()
  }

  shell(id) {
    const element = make("div", "run")
    element.setAttribute("role", "listitem")
    const tick = make("label", "tick")
    const box = make("input")
    box.type = "checkbox"
    box.onchange = () => this.tick(id, box.checked)
    tick.append(box)
    const what = make("div", "what")
    const head = make("div", "head")
    head.append(make("span", "name"), make("span", "state"))
    what.append(head, make("div", "text"))
    element.append(tick, what, make("dl", "facts"), make("div", "actions"), make("p", "note"))
    return element
  }

  fill(element, row) {
    const [tick, what, facts, actions, note] = element.children
    const box = tick.firstChild
    const tickText = this.data.words.tick.replace("{name}", row.name)
    box.setAttribute("aria-label", tickText)
    tick.title = tickText
    tick.style.visibility = row.tickable ? "" : "hidden"
    const [name, state] = what.firstChild.children
    name.textContent = row.name
    state.textContent = row.state
    state.className = `state ${row.tone}`
    what.lastChild.textContent = row.text
    facts.replaceChildren(
      ...row.facts.map(([label, value]) => {
        const pair = make("div")
        pair.append(make("dt", "", label), make("dd", "", value))
        return pair
      }),
    )
    facts.classList.toggle("few", row.facts.length < 4)
    if (actions.dataset.said !== JSON.stringify(row.actions)) {
      actions.dataset.said = JSON.stringify(row.actions)
      actions.replaceChildren(
        ...row.actions.map(([action, label]) => {
          const button = make("button", "", label)
          button.type = "button"
          button.onclick = () => this.press("pressed", [action, row.id])
          return button
        }),
      )
    }
    for (const button of actions.children) button.setAttribute("aria-label", `${button.textContent}: ${row.name}`)
    note.textContent = row.note
    note.hidden = !row.note
  }

  tick(id, on) {
    this.ticked = this.ticked.filter(one => one !== id)
    if (on) this.ticked.push(id)
    this.mark()
    this.say("ticked", { cleared: this.cleared, ids: this.ticked })
  }

  mark() {
    const full = this.ticked.length >= this.data.most
    for (const row of this.data.rows) {
      const { element } = this.rows.get(row.id)
      const box = element.querySelector("input")
      const on = this.ticked.includes(row.id)
      box.checked = on
      box.disabled = !row.tickable || (full && !on)
      element.classList.toggle("ticked", on)
    }
  }
}

export default function (component) {
  const root = component.parentElement
  if (!mounts.has(root)) mounts.set(root, new Mount(root))
  mounts.get(root).adopt(component)
}
