/** Splits a stream of bytes into lines of bounded length. It never holds more than one unfinished line. */

const NEWLINE = 0x0a;

/** Takes chunks and gives whole lines, without their newlines. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(
    private readonly maxBytes: number,
    /** Makes the error of a line that is too long. */
    private readonly tooLong: () => Error,
  ) {}

  /** The lines that `chunk` ends. */
  *take(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#hold(chunk.subarray(start, end));
      start = end + 1;
      yield this.#finish();
    }
    this.#hold(chunk.subarray(start));
  }

  /** What is left behind the last newline, if anything. */
  rest(): Buffer | undefined {
    return this.#bytes === 0 ? undefined : this.#finish();
  }

  #hold(part: Buffer): void {
    if (part.length === 0) return;
    if (this.#bytes + part.length > this.maxBytes) throw this.tooLong();
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  #finish(): Buffer {
    const [first] = this.#parts;
    const line = this.#parts.length === 1 && first ? first : Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }
}
