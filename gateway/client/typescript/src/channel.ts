/** The calls of one gateway process: each is sent once and settled once. It never sends a call again, since it may have been carried out. */

import { Aborted, Closed, Overloaded, ProtocolError, RpcError, Timeout } from './errors.js';
import type { GatewayError } from './errors.js';
import { format, parse } from './frames.js';
import type { Fault, Frame } from './frames.js';
import { hintFor } from './hints.js';
import { checkPositive } from './settings.js';
import type { Settings } from './settings.js';
import type { Shape } from './shape.js';

/** What a caller can say of one call. */
export type CallOptions = {
  /** Cancels the call: its promise is rejected with `Aborted`, and the gateway is told. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the answer, in milliseconds; without it as long as the gateway lives. */
  readonly timeoutMs?: number | undefined;
};

/** Where messages go. */
export type Sink = {
  write(line: Buffer): void;
  /** Bytes that the gateway has not read yet. */
  readonly unsentBytes: number;
};

/** A call that is not answered yet. */
type Flight = {
  readonly method: string;
  readonly bytes: number;
  accept(result: unknown): void;
  refuse(error: GatewayError): void;
};

export class Channel {
  readonly #flights = new Map<number, Flight>();
  #lastId = 0;
  #over: GatewayError | undefined;

  constructor(
    private readonly sink: Sink,
    private readonly bounds: Pick<Settings, 'maxInFlight' | 'maxRequestBytes' | 'maxUnsentBytes'>,
    private readonly notified: (method: string, params: unknown) => void,
  ) {}

  /** Calls that the gateway has not answered, those that nobody waits for included. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Sends a call and gives its result. */
  async call<T>(method: string, params: object, shape: Shape<T>, options: CallOptions = {}): Promise<T> {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined) checkPositive('timeoutMs', timeoutMs);
    if (signal?.aborted) throw new Aborted(method, signal.reason);
    const id = ++this.#lastId;
    const line = format(id, method, params);
    this.#admit(line.length);
    return await new Promise<T>((resolve, reject) => {
      const aborted = (): void => this.#abandon(id, new Aborted(method, signal?.reason));
      const expired = (): void => this.#abandon(id, new Timeout(method, timeoutMs ?? 0));
      const timer = timeoutMs === undefined ? undefined : setTimeout(expired, timeoutMs);
      const release = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#flights.set(id, {
        method,
        bytes: line.length,
        accept: (result) => {
          release();
          try {
            resolve(shape(result, method));
          } catch (error) {
            reject(error);
          }
        },
        refuse: (error) => {
          release();
          reject(error);
        },
      });
      this.sink.write(line);
    });
  }

  /** Sends what is not answered. It is never refused for want of room: it is small, and frees room. */
  notify(method: string, params: object = {}): void {
    if (this.#over === undefined) this.sink.write(format(undefined, method, params));
  }

  /** Takes a line from the gateway. Throws a `ProtocolError` when the gateway cannot be trusted any more. */
  take(line: Buffer): void {
    const frame = parse(line);
    switch (frame.type) {
      case 'notification':
        return this.notified(frame.method, frame.params);
      case 'result':
        return this.#remove(frame.id).accept(frame.result);
      case 'error':
        return this.#refuse(frame);
    }
  }

  /** Takes no more calls; those in flight go on. */
  close(): void {
    this.#over ??= new Closed();
  }

  /** Ends every call in flight, and takes no more. */
  end(error: GatewayError): void {
    this.#over ??= error;
    const flights = [...this.#flights.values()];
    this.#flights.clear();
    for (const flight of flights) flight.refuse(error);
  }

  #admit(bytes: number): void {
    const { maxInFlight, maxRequestBytes, maxUnsentBytes } = this.bounds;
    if (this.#over !== undefined) throw this.#over;
    if (bytes > maxRequestBytes) {
      throw new Overloaded(`the message has ${bytes} bytes, more than maxRequestBytes (${maxRequestBytes})`);
    }
    if (this.#flights.size >= maxInFlight) {
      throw new Overloaded(`${maxInFlight} calls are in flight already (maxInFlight)`);
    }
    if (this.sink.unsentBytes + bytes > maxUnsentBytes) {
      throw new Overloaded(`more than ${maxUnsentBytes} bytes wait for the gateway already (maxUnsentBytes)`);
    }
  }

  /** Lets nobody wait for a call any more. It stays in flight until the gateway has answered it. */
  #abandon(id: number, error: GatewayError): void {
    const flight = this.#flights.get(id);
    if (flight === undefined) return;
    flight.refuse(error);
    const ignore = (): void => undefined;
    this.#flights.set(id, { ...flight, accept: ignore, refuse: ignore });
    this.notify('cancel', { id });
  }

  #refuse({ id, error }: Frame & { type: 'error' }): void {
    const flight = this.#remove(id ?? this.#longest());
    flight.refuse(rpcError(flight.method, error));
  }

  /**
   * The call that an error without an id is about. The messages sent from here all have an id that can be told
   * unless they are too long to be read, and of those in flight the longest is too long if any is.
   */
  #longest(): number {
    let longest: { id: number; bytes: number } | undefined;
    for (const [id, { bytes }] of this.#flights) {
      if (longest === undefined || bytes > longest.bytes) longest = { id, bytes };
    }
    if (longest === undefined) throw new ProtocolError('the gateway refused a message when none was sent');
    return longest.id;
  }

  #remove(id: number): Flight {
    const flight = this.#flights.get(id);
    if (flight === undefined) throw new ProtocolError(`the gateway answered call ${id}, which is not in flight`);
    this.#flights.delete(id);
    return flight;
  }
}

function rpcError(method: string, { code, message, data }: Fault): RpcError {
  return new RpcError(method, code, message, data?.kind || undefined, hintFor(message, data?.hint));
}
