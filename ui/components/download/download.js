export default function ({ data, parentElement }) {
  const link = parentElement.querySelector("a")
  link.href = data.url
  link.download = data.file_name
  link.className = data.primary ? "button primary" : "button"
  link.firstElementChild.textContent = data.label
  link.lastElementChild.textContent = data.note
  link.lastElementChild.hidden = !data.note
}
