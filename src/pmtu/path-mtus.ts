// How large packets to each other host may be, as far as it is known, and what overlays make of it. Pure.
//
// No record: each end knows its own way to the other, and keeps to it in what it sends. Two hosts of a network may come to
// different MTUs; neither sends what its path does not carry, and an interface takes larger frames than it sends.

/** Outer IPv4 (20), UDP (8), VXLAN (8) and the inner Ethernet header (14): RFC 7348 section 5. */
export const ENCAPSULATION_BYTES = 50
/** RFC 8200: below it an interface has no IPv6. A path that is smaller carries the outer packet in fragments. */
const SMALLEST_OVERLAY_BYTES = 1280

export class PathMtus {
  readonly #interfaceMtu: number
  readonly #paths = new Map<string, number>()

  /** @param interfaceMtu what every path is taken for until it is known */
  constructor(interfaceMtu: number) {
    this.#interfaceMtu = interfaceMtu
  }

  /** Whether that is news. */
  set(member: string, bytes: number): boolean {
    const before = this.get(member)
    this.#paths.set(member, Math.min(bytes, this.#interfaceMtu))
    return this.get(member) !== before
  }

  forget(member: string): void {
    this.#paths.delete(member)
  }

  get(member: string): number {
    return this.#paths.get(member) ?? this.#interfaceMtu
  }

  /** What overlays send to that member at most. */
  overlayMtuTo(member: string): number {
    const overlay = this.get(member) - ENCAPSULATION_BYTES
    const most = this.#interfaceMtu - ENCAPSULATION_BYTES
    return Math.min(most, Math.max(SMALLEST_OVERLAY_BYTES, overlay))
  }
}
