// Tiles are reused from draw to draw, so that a picture which stays does not blink. Names go in as textContent only.

function tile(clickable) {
  const element = document.createElement(clickable ? "button" : "div")
  if (clickable) element.type = "button"
  const frame = document.createElement("div")
  const image = document.createElement("img")
  image.loading = "lazy"
  image.decoding = "async"
  image.onerror = () => frame.classList.add("broken")
  image.onload = () => frame.classList.remove("broken")
  frame.append(image)
  const caption = document.createElement("div")
  caption.className = "caption"
  const note = document.createElement("div")
  note.className = "note"
  element.append(frame, caption, note)
  return element
}

function fill(element, picture) {
  const [frame, caption, note] = element.children
  const image = frame.firstChild
  element.className = `tile ${picture.tone || ""}`
  frame.className = frame.classList.contains("broken") && image.getAttribute("src") === picture.url ? "frame broken" : "frame"
  if (image.getAttribute("src") !== picture.url) image.src = picture.url
  image.alt = picture.alt || picture.caption || ""
  caption.textContent = picture.caption
  caption.hidden = !picture.caption
  note.textContent = picture.note
  note.hidden = !picture.note
  element.title = [picture.caption, picture.note].filter(Boolean).join("\n")
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery")
  const none = parentElement.querySelector(".none")
  const wanted = data.clickable ? "BUTTON" : "DIV"
  root.style.setProperty("--side", `${data.side}px`)
  root.classList.toggle("contain", data.fit === "contain")
  root.classList.toggle("limited", data.rows > 0)
  root.style.maxHeight = data.rows > 0 ? `${data.rows * (data.side + 44)}px` : ""
  root.setAttribute("role", "group")
  root.setAttribute("aria-label", data.label)
  if (data.rows > 0) root.tabIndex = 0
  while (root.children.length > data.pictures.length) root.lastChild.remove()
  data.pictures.forEach((picture, index) => {
    let element = root.children[index]
    if (!element) root.append((element = tile(data.clickable)))
    else if (element.tagName !== wanted) {
      const fresh = tile(data.clickable)
      element.replaceWith(fresh)
      element = fresh
    }
    fill(element, picture)
    element.onclick = data.clickable ? () => setTriggerValue("clicked", index) : null
  })
  none.hidden = data.pictures.length > 0 || !data.empty
  none.textContent = data.empty
}
