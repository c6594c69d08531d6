// What a lab tells while it works. src/lab does not print; src/cli does, from these.

export type LabEvent =
  /** A step, in words. */
  | { readonly kind: 'note'; readonly text: string }
  /** A new part of the demo. */
  | { readonly kind: 'heading'; readonly text: string }
  /** A command as it would be typed. */
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  /** What a command printed. */
  | { readonly kind: 'output'; readonly text: string }
  /** What was to be shown, and whether it was. */
  | { readonly kind: 'verdict'; readonly ok: boolean; readonly text: string }

export interface LabContext {
  report(event: LabEvent): void
  /** Aborted by Ctrl-C: the work stops at the next step and cleans up. */
  readonly signal: AbortSignal
}
