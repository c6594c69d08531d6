// A YAML text as plain values, with the place of each: what an error message needs to point at it.

import {
  type Document,
  LineCounter,
  type Node,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseDocument,
  visit,
} from 'yaml'
import type { FactsProblem } from './facts-error.ts'

/** Keys and indexes from the top of the document to a value. */
export type Path = readonly (string | number)[]

export interface YamlSource {
  /** Plain objects, lists and scalars; undefined when there are problems. */
  readonly value: unknown
  /** What makes the text no YAML, or YAML that we do not take. */
  readonly problems: readonly FactsProblem[]
  /** The place of the value at `path`; of what encloses it when there is none. */
  placeOf(path: Path): Place
  /** The place of the key that `path` ends in; of its map when there is none. */
  placeOfKey(path: Path): Place
}

export interface Place {
  readonly line: number
  readonly column: number
}

/** What the parser's own messages do not say: what to do. By the codes of the yaml package. */
const HINTS: Readonly<Record<string, string>> = {
  BLOCK_IN_FLOW: 'put a value that ends in a colon, or holds one before a space, in quotes',
  DUPLICATE_KEY: 'remove one of the two',
  MULTIPLE_DOCS: 'keep one document in the file',
  TAB_AS_INDENT: 'indent with spaces',
}

export function readYaml(text: string): YamlSource {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }

  // Of the errors only the first: behind it the parser guesses, and what it guesses is wrong, too.
  const [first] = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])
  const errors = [...(first === undefined ? [] : [first]), ...document.warnings]
  const problems: FactsProblem[] = errors.map((error) => {
    const hint = HINTS[error.code] ?? 'look at this line and the one above it'
    return { ...placeAt(error.pos[0]), message: `not valid YAML: ${error.message}; ${hint}` }
  })
  visit(document, {
    // Also keeps small files small: aliases of aliases multiply (the "billion laughs").
    Alias(_key, alias) {
      problems.push({
        ...placeAt(alias.range?.[0] ?? 0),
        message: `'*${alias.source}' is an alias, which is not taken here; write the value out`,
      })
    },
  })

  return {
    value: problems.length === 0 ? (document.toJS() as unknown) : undefined,
    problems,
    placeOf: (path) => placeAt(startOf(nodeAt(document, path))),
    placeOfKey(path) {
      const map = nodeAt(document, path.slice(0, -1))
      const pair = isMap(map)
        ? map.items.find((item) => keyText(item.key) === path.at(-1))
        : undefined
      return placeAt(startOf(isNode(pair?.key) ? pair.key : map))
    },
  }
}

/** The node at `path`, or the last one on the way to it. */
function nodeAt(document: Document, path: Path): Node | null {
  let node = document.contents
  for (const segment of path) {
    let next: unknown
    if (isMap(node)) next = node.items.find((item) => keyText(item.key) === segment)?.value
    else if (isSeq(node)) next = node.items[Number(segment)]
    if (!isNode(next) || isAlias(next)) break
    node = next
  }
  return node
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : ''
}

function startOf(node: Node | null): number {
  return node?.range?.[0] ?? 0
}
