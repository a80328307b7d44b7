/* Rules on a tree: the browser's half of core/plan.py. Plain data in and out, no element of a page.
 *
 * A rule sits on a dotted path; for each field (`trainable`, `lr_scale`) the nearest ancestor-or-self that has a value
 * wins. Without a rule everything learns at scale 1. Whether a block is frozen, mixed or trainable is derived, never stored.
 */

/* Rows from the flat list [[path, parent, name, type, own, total, shape, statistics, shapes], …], parents before children. */
export function plant(flat) {
  const byPath = new Map()
  for (const [path, above, name, type, own, total, shape, statistics, shapes] of flat) {
    const parent = above === null ? null : byPath.get(above)
    const node = {
      path, parent, type, own, total, shape, statistics: !!statistics, shapes, children: [], index: byPath.size,
      depth: parent ? parent.depth + 1 : 0,
      label: parent && parent.path && /^\d+$/.test(name) ? `${parent.label}.${name}` : name,
      trainable: true, scale: 1, adapter: 0, adapted: 0, since: 1, learns: 0, state: "trainable", varies: false,
    }
    parent?.children.push(node)
    byPath.set(path, node)
  }
  const nodes = [...byPath.values()]
  return { nodes, byPath, root: nodes[0], depth: Math.max(...nodes.map(n => n.depth)) }
}

/* Fill in what `rules` mean for `node` and all below it in that epoch; gives how many of its parameters learn there.
 * `adapted` counts the numbers of adapters, `since` is the epoch with which a rule of the node itself begins to hold. */
export function derive(node, rules, epoch = Infinity, above = { trainable: true, scale: 1, adapter: 0 }) {
  const own = rules[node.path], rule = (own?.since ?? 1) <= epoch ? own : undefined
  node.since = own?.since ?? 1
  node.trainable = rule?.trainable ?? above.trainable
  node.scale = rule?.lr_scale ?? above.scale
  node.adapter = rule?.adapter ?? above.adapter
  let learns = node.trainable ? node.own : 0
  node.adapted = node.trainable ? 0 : adapters(node.shapes, node.adapter)
  node.varies = false
  for (const child of node.children) {
    learns += derive(child, rules, epoch, node)
    node.adapted += child.adapted
    if ((child.learns || child.adapted) && (child.varies || child.scale !== node.scale)) node.varies = true
  }
  node.learns = learns
  if (node.total) node.state = learns === 0 ? (node.adapted ? "mixed" : "frozen") : learns === node.total ? "trainable" : "mixed"
  else node.state = node.trainable ? "trainable" : "frozen"
  return learns
}

/* Numbers in the adapters of weights of these shapes, [rows, columns, …], where they are smaller than the weights. */
function adapters(shapes, rank) {
  let count = 0
  for (let at = 0; rank && at < shapes.length; at += 2) {
    const [rows, columns] = [shapes[at], shapes[at + 1]], numbers = Math.min(rank, rows, columns) * (rows + columns)
    if (numbers < rows * columns) count += numbers
  }
  return count
}

function put(rules, path, field, value) {
  const rule = { ...rules[path] }
  if (value === undefined) delete rule[field]
  else rule[field] = value
  if (field === "trainable") delete rule.since // a click means now
  if (Object.keys(rule).some(name => name !== "since")) rules[path] = rule
  else delete rules[path]
}

/* All of `node` learns, or none of it: exceptions below it go, and so does a rule that the block above says already. */
export function thaw(node, rules, on) {
  const below = node.path ? `${node.path}.` : ""
  for (const path of Object.keys(rules))
    if (path !== node.path && path.startsWith(below)) put(rules, path, "trainable", undefined)
  const inherited = node.parent ? node.parent.trainable : undefined
  put(rules, node.path, "trainable", inherited === on ? undefined : on)
}

/* The learning-rate scale of `node`; undefined: as the block above. Rates below stay what they are. */
export function setScale(node, rules, value) {
  put(rules, node.path, "lr_scale", value)
}

/* What a person typed as a scale: a number, undefined for nothing, null for what is no scale. */
export function readScale(text) {
  const plain = text.trim().replace(/^[×x*]\s*|\s*[×x*]$/gi, "").replace(",", ".")
  if (plain === "") return undefined
  const value = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : NaN
  return value >= 0 && value <= 1000 ? value : null
}

/* 11689512 as 11.7 M: three digits, as everywhere in Thaw. */
export function compact(number) {
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (number >= limit) return `${short(number / limit)} ${unit}`
  return String(number)
}

/* At most three digits, no exponent for everyday figures: 0.001, 0.35, 12.5. */
export function short(number) {
  const text = number.toPrecision(3)
  const plain = text.includes("e") && number >= 1e-6 ? number.toFixed(Math.min(8, 2 - Math.floor(Math.log10(number)))) : text
  return plain.includes(".") && !plain.includes("e") ? plain.replace(/\.?0+$/, "") : plain
}
