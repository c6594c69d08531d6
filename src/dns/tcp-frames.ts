// DNS messages in a TCP stream: two bytes of length before each (RFC 1035 section 4.2.2). Pure.

const LENGTH_BYTES = 2

/** Finds the messages in a stream, however it is cut. It holds one message that is not whole at most. */
export class TcpFrames {
  #rest: Buffer = Buffer.alloc(0)

  /** Takes what arrived, gives the messages that are whole now. */
  push(chunk: Buffer): Buffer[] {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const messages: Buffer[] = []
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0)
      if (rest.length < end) break
      messages.push(rest.subarray(LENGTH_BYTES, end))
      rest = rest.subarray(end)
    }
    this.#rest = rest
    return messages
  }
}

/** Length and message in one piece, so that they travel in one segment (RFC 7766 section 8). */
export function tcpFrame(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + message.length)
  frame.writeUInt16BE(message.length, 0)
  message.copy(frame, LENGTH_BYTES)
  return frame
}
