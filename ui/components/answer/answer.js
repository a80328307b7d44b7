// Names go in as textContent only; bars are kept from draw to draw so that they move rather than blink.

function make(tag, name, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  return element
}

const percent = share => (share > 0.9995 && share < 1 ? "> 99.9 %" : share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`)

function shell() {
  const element = make("section", "answer")
  const figure = make("figure")
  const image = make("img")
  figure.append(image, make("figcaption"))
  const side = make("div", "said")
  side.append(make("div", "title"), make("div", "first"), make("p", "note"), make("ol"))
  element.append(figure, side)
  return element
}

function row() {
  const item = make("li")
  const bar = make("div", "bar")
  bar.append(make("i"))
  item.append(make("span", "class"), make("span", "much"), bar)
  return item
}

function put(element, text) {
  element.textContent = text
  element.hidden = !text
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".answers")
  root.style.setProperty("--side", `${data.side}px`)
  root.setAttribute("role", "group")
  root.setAttribute("aria-label", data.label)
  while (root.children.length > data.answers.length) root.lastChild.remove()
  data.answers.forEach((answer, index) => {
    const element = root.children[index] ?? root.appendChild(shell())
    element.className = `answer ${answer.tone}`
    const [image, caption] = element.firstChild.children
    if (image.getAttribute("src") !== answer.url) image.src = answer.url
    image.alt = answer.alt
    image.className = answer.grain ? "grain" : ""
    put(caption, answer.caption)
    const [title, first, note, list] = element.lastChild.children
    put(title, answer.title)
    put(first, answer.bars[0]?.[0] ?? "")
    put(note, answer.note)
    while (list.children.length > answer.bars.length) list.lastChild.remove()
    answer.bars.forEach(([name, share], at) => {
      const item = list.children[at] ?? list.appendChild(row())
      item.classList.toggle("truth", Boolean(answer.truth) && name === answer.truth)
      const [label, much, bar] = item.children
      label.textContent = name
      label.title = name
      much.textContent = percent(share)
      bar.firstChild.style.width = `${100 * share}%`
    })
  })
}
