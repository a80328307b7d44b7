/* Brings a zip, a folder or pictures to the server, file by file and several at a time, straight to its disk. A file that fails
 * is tried three times and then named: none is lost silently. A large one goes in pieces; when the connection comes back, or the
 * same file is chosen again within a day, it goes on where it was. Names are only ever shown as text.
 */

const LANES = 6, TRIES = 3, NAMED = 200, PIECE = 32 * 2 ** 20, PATIENCE = 20
const mounted = new WeakMap()

export default function (component) {
  const place = component.parentElement
  if (!mounted.has(place)) mounted.set(place, new Upload(place.querySelector(".thaw-upload")))
  const upload = mounted.get(place)
  upload.update(component)
  return () => { upload.leave(); mounted.delete(place) }
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}

function size(bytes) {
  for (const [limit, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (bytes >= limit) return `${bytes >= 100 * limit ? (bytes / limit).toFixed(0) : Number((bytes / limit).toPrecision(3))} ${unit}`
  return `${bytes} B`
}

/* [{file, path}] of everything that was dropped, folders looked through. */
async function dropped(items) {
  const found = []
  const walk = async entry => {
    if (entry.isFile) {
      const file = await new Promise(resolve => entry.file(resolve, () => resolve(null)))
      found.push({ file, path: entry.fullPath.replace(/^\//, "") })
      return
    }
    const reader = entry.createReader()
    for (;;) { // a reader gives at most a hundred entries at a time
      const some = await new Promise(resolve => reader.readEntries(resolve, () => resolve([])))
      if (!some.length) return
      for (const child of some) await walk(child)
    }
  }
  const entries = [...items].filter(item => item.kind === "file").map(item => item.webkitGetAsEntry())
  for (const entry of entries) if (entry) await walk(entry)
  return found
}

const pause = time => new Promise(resolve => setTimeout(resolve, time))
const final = status => status >= 400 && status < 500 && status !== 408 && status !== 400 // it would be refused again

class Upload {
  constructor(wrap) {
    this.wrap = wrap
    this.part = name => wrap.querySelector(`.${name}`)
    this.alive = true
    this.listen()
  }

  update({ data, setTriggerValue }) {
    this.data = data
    this.tell = setTriggerValue
    const { words } = data
    for (const [part, word] of [["title", "title"], ["hint", "hint"], ["cancel", "cancel"], ["again", "again"]]) this.part(part).textContent = words[word]
    for (const way of ["archive", "folder", "images"]) this.wrap.querySelector(`button[data-way=${way}]`).textContent = words[way]
    this.wrap.querySelector("input[data-way=images]").accept = data.suffixes.filter(s => s !== ".zip").join(",")
    this.part("bar").setAttribute("aria-label", words.title)
    for (const input of this.wrap.querySelectorAll("input")) // chosen before anyone listened
      if (input.files.length) input.dispatchEvent(new Event("change"))
  }

  leave() {
    this.alive = false
    this.stop?.abort()
  }

  listen() {
    const zone = this.part("zone")
    for (const button of this.wrap.querySelectorAll("button[data-way]")) {
      const input = this.wrap.querySelector(`input[data-way=${button.dataset.way}]`)
      button.addEventListener("click", () => { if (!this.stop) input.click() })
      input.addEventListener("change", () => {
        const picked = [...input.files].map(file => ({ file, path: file.webkitRelativePath || file.name }))
        input.value = ""
        if (picked.length) this.take(picked)
      })
    }
    zone.addEventListener("dragover", event => { event.preventDefault(); zone.classList.add("over") })
    zone.addEventListener("dragleave", event => { if (!zone.contains(event.relatedTarget)) zone.classList.remove("over") })
    zone.addEventListener("drop", async event => {
      event.preventDefault()
      zone.classList.remove("over")
      if (!this.stop) this.take(await dropped(event.dataTransfer.items))
    })
    this.part("cancel").addEventListener("click", () => this.stop?.abort())
    this.part("again").addEventListener("click", () => this.send(this.left, this.skipped))
  }

  take(picked) {
    const { suffixes } = this.data, hidden = path => path.split("/").some(part => part.startsWith(".") || part === "__MACOSX")
    const able = picked.filter(({ path }) => !hidden(path) && suffixes.some(suffix => path.toLowerCase().endsWith(suffix)))
    const archives = able.filter(({ path }) => path.toLowerCase().endsWith(".zip"))
    const chosen = archives.length ? archives.slice(0, 1) : able // an archive stands for itself
    this.count = { done: 0, bytes: 0 }
    this.batch = [...crypto.getRandomValues(new Uint8Array(8))].map(byte => byte.toString(16).padStart(2, "0")).join("")
    this.send(chosen, picked.length - chosen.length)
  }

  async send(files, skipped) {
    const { words } = this.data, stop = new AbortController()
    this.stop = stop
    this.skipped = skipped
    this.left = []
    this.failed = []
    this.sent = new Map()
    this.known = new Map() // of large files what had arrived before
    this.waiting = false
    this.total = files.reduce((sum, { file }) => sum + (file?.size ?? 0), 0)
    this.files = files.length
    this.arrived = 0
    this.began = performance.now()
    this.wrap.classList.add("busy")
    this.part("result").hidden = true
    this.part("going").hidden = !files.length
    this.part("name").textContent = files.length === 1 ? files[0].path : fill(words.files, { n: files.length })
    this.progress()
    let next = 0
    const lane = async () => {
      while (next < files.length && !stop.signal.aborted) await this.one(files[next++], stop.signal)
    }
    const ticking = setInterval(() => this.progress(), 200)
    await Promise.all(Array.from({ length: LANES }, lane))
    clearInterval(ticking)
    this.stop = null
    if (!this.alive) return
    this.wrap.classList.remove("busy")
    this.part("going").hidden = true
    if (stop.signal.aborted) this.forget(files)
    this.report(stop.signal.aborted)
    if (this.count.done || stop.signal.aborted)
      this.tell("done", {
        batch: this.batch, skipped, cancelled: stop.signal.aborted,
        failed: this.failed.slice(0, NAMED), failed_count: this.failed.length,
      })
  }

  async one(item, signal) {
    const code = item.file ? await (item.file.size > PIECE ? this.pieces(item, signal) : this.whole(item, signal)) : "unreadable"
    if (code === "") {
      this.arrived++
      this.count.done++
      this.count.bytes += item.file.size
      this.sent.set(item, item.file.size)
    } else if (!signal.aborted) {
      this.sent.delete(item)
      this.failed.push([item.path, code])
      this.left.push(item)
    }
  }

  async whole(item, signal) { // '' if it arrived, else the code of what is wrong
    let code = "network"
    for (let attempt = 1; attempt <= TRIES && !signal.aborted; attempt++) {
      const answer = await this.put(item, item.file, 0, "", signal)
      if (answer.status >= 200 && answer.status < 300) return ""
      this.sent.delete(item)
      code = answer.code
      if (final(answer.status)) break
      if (attempt < TRIES) await pause(400 * attempt)
    }
    return code
  }

  async pieces(item, signal) {
    const { file } = item, about = `&total=${file.size}&modified=${file.lastModified || 0}`
    let at = 0, failures = 0
    // what is there already is told by the answer to an empty piece that begins beyond it
    for (let asked = false; !signal.aborted;) {
      const from = asked ? at : file.size
      const piece = asked ? file.slice(at, at + PIECE) : new Blob([])
      const answer = await this.put(item, piece, from, `&offset=${from}${about}`, signal)
      if (answer.status === 201) return ""
      if (answer.status === 202 || answer.status === 409) {
        if (answer.have > at) failures = 0
        at = answer.have
        if (!asked) this.known.set(item, at)
        asked = true
        this.sent.set(item, at)
        continue
      }
      if (final(answer.status) || ++failures > PATIENCE) return answer.code
      this.waiting = true
      await pause(Math.min(500 * failures, 5000))
      this.waiting = false
      asked = false
    }
    return "network"
  }

  put(item, body, from, query, signal) { // {status, code, have}; XMLHttpRequest, for it tells how far it is
    return new Promise(resolve => {
      const request = new XMLHttpRequest()
      const abort = () => request.abort()
      const end = answer => { signal.removeEventListener("abort", abort); resolve(answer) }
      request.open("PUT", this.address(item, query))
      request.setRequestHeader("x-thaw-ticket", this.data.token)
      if (body.size) request.upload.onprogress = event => this.sent.set(item, from + event.loaded)
      request.onload = () => {
        const answer = { status: request.status, code: "network", have: 0 }
        try {
          const said = JSON.parse(request.responseText)
          answer.code = said.code?.replace("upload.", "") ?? answer.code
          answer.have = said.have ?? 0
        } catch { /* not ours: a proxy's page */ }
        end(answer)
      }
      request.onerror = request.onabort = request.ontimeout = () => end({ status: 0, code: "network", have: 0 })
      signal.addEventListener("abort", abort)
      request.send(body)
    })
  }

  address(item, query) {
    return `${this.data.url}?batch=${this.batch}&path=${encodeURIComponent(item.path)}${query}`
  }

  forget(items) { // what has come of large files that were cancelled
    for (const item of items)
      if (item.file?.size > PIECE)
        fetch(this.address(item, `&offset=0&total=${item.file.size}&modified=${item.file.lastModified || 0}`), {
          method: "DELETE", headers: { "x-thaw-ticket": this.data.token },
        })
  }

  progress() {
    const { words } = this.data
    const bytes = [...this.sent.values()].reduce((sum, value) => sum + value, 0)
    const share = this.total ? Math.min(1, bytes / this.total) : this.files ? this.arrived / this.files : 0
    this.part("bar").firstElementChild.style.width = `${100 * share}%`
    this.part("bar").setAttribute("aria-valuenow", Math.round(100 * share))
    this.part("sent").textContent = fill(words[this.files === 1 ? "progress_one" : "progress"], { done: this.arrived, total: this.files, sent: size(bytes), size: size(this.total) })
    const before = [...this.known.values()].reduce((sum, value) => sum + value, 0)
    const seconds = (performance.now() - this.began) / 1000, left = seconds * (this.total - bytes) / Math.max(bytes - before, 1)
    this.part("left").textContent = this.waiting ? words.broken : share >= 1 ? words.finishing : seconds > 2 && bytes - before > 0.01 * this.total ? fill(words.left, { time: left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min` }) : ""
  }

  report(cancelled) {
    const { words } = this.data, list = this.part("failed").querySelector("ul")
    this.part("result").hidden = false
    this.part("arrived").textContent = cancelled ? words.cancelled : this.count.done ? fill(words.arrived, { n: this.count.done, size: size(this.count.bytes) }) : words.nothing
    this.part("skipped").textContent = this.skipped && !cancelled ? fill(words.skipped, { n: this.skipped }) : ""
    this.part("failed").hidden = !this.failed.length
    this.part("failed").querySelector("summary").textContent = fill(words.failed, { n: this.failed.length })
    list.replaceChildren(...this.failed.slice(0, NAMED).map(([path, code]) => {
      const item = document.createElement("li")
      item.textContent = `${path}: ${words[`error.${code}`] ?? code}`
      return item
    }))
    this.part("again").hidden = !this.left.length || cancelled
  }
}
