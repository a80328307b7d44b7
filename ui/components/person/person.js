export default function ({ data, parentElement }) {
  const form = parentElement.querySelector("form")
  form.action = data.url
  form.firstElementChild.textContent = data.name
  form.firstElementChild.title = data.title
  form.lastElementChild.textContent = data.action
}
