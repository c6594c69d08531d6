// A lab's events as text: commands as typed, their output indented below, verdicts marked.

import type { LabEvent } from '../lab/events.ts'
import type { Palette } from './format.ts'

export class LabPrinter {
  readonly #palette: Palette
  readonly #print: (text: string) => void

  constructor(palette: Palette, print: (text: string) => void) {
    this.#palette = palette
    this.#print = print
  }

  show(event: LabEvent): void {
    const { bold, dim, green, red, cyan } = this.#palette
    switch (event.kind) {
      case 'heading':
        this.#print(`\n${bold(`== ${event.text}`)}\n`)
        break
      case 'note':
        this.#print(`   ${event.text}\n`)
        break
      case 'command':
        this.#print(`${dim('$')} ${cyan(event.argv.map(shellQuote).join(' '))}\n`)
        break
      case 'output':
        if (event.text.trim() !== '') this.#print(indent(event.text))
        break
      case 'verdict':
        this.#print(`${event.ok ? green('ok') : red('FAILED')} ${event.text}\n`)
        break
    }
  }
}

/** An argument as a shell would need it. */
export function shellQuote(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument
  return `'${argument.replaceAll("'", `'\\''`)}'`
}

/** Blank lines only between others: they part the tables of a status. */
function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .filter((line, at, lines) => line.trim() !== '' || (at > 0 && lines[at - 1]?.trim() !== ''))
    .map((line) => (line.trim() === '' ? '\n' : `   ${line.trimEnd()}\n`))
    .join('')
}
