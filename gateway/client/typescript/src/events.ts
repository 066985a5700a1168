/** The ledger's events as they become durable: a subscription, and the one place that a gateway has for it. */

import type { Channel } from './channel.js';
import { GatewayDied, Overloaded, ProtocolError, SubscriptionEnded } from './errors.js';
import type { GatewayError } from './errors.js';
import { placedEvent, subscribed } from './results.js';
import { object, string } from './shape.js';
import type { PlacedEvent } from './types.js';

const eventsEnd = object<{ readonly reason: string }>({ reason: string });

/** Events to iterate over. What ends it early is thrown, behind the events that came before. */
export class Subscription implements AsyncIterable<PlacedEvent> {
  readonly #queue: PlacedEvent[] = [];
  #next = 0;
  #outcome: { readonly error?: GatewayError } | undefined;
  #stopping = false;
  #wake: () => void = () => undefined;
  #changed: Promise<void>;
  readonly #released: Promise<void>;
  #release: () => void = () => undefined;

  /** Made by `Gateway.subscribe`. */
  constructor(
    private readonly maxQueued: number,
    private readonly unsubscribe: () => void,
  ) {
    this.#changed = this.#arm();
    this.#released = new Promise((resolve) => (this.#release = resolve));
  }

  /** The index to go on from: that of the first event that was not handed out. */
  get next(): number {
    return this.#next;
  }

  /** Ends it, and waits until the gateway sends no more. Events that wait are dropped. */
  async stop(): Promise<void> {
    this.#queue.length = 0;
    this.#end({});
    this.#leave();
    await this.#released;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<PlacedEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.#queue.shift();
        if (event !== undefined) {
          this.#next = event.index + 1;
          yield event;
        } else if (this.#outcome === undefined) {
          await this.#changed;
        } else if (this.#outcome.error === undefined) {
          return;
        } else {
          throw this.#outcome.error;
        }
      }
    } finally {
      await this.stop();
    }
  }

  /** @internal */
  begin(from: number): void {
    this.#next = from;
  }

  /** @internal */
  push(event: PlacedEvent): void {
    if (this.#outcome !== undefined) return;
    if (this.#queue.length < this.maxQueued) {
      this.#queue.push(event);
      this.#change();
      return;
    }
    this.#end({ error: new Overloaded(`more than ${this.maxQueued} events wait to be read (maxQueuedEvents): subscribe again from 'next'`) });
    this.#leave();
  }

  /** The gateway sends no more. @internal */
  finish(error?: GatewayError): void {
    this.#stopping = true;
    this.#end(error === undefined ? {} : { error });
    this.#release();
  }

  #leave(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.unsubscribe();
  }

  #end(outcome: { readonly error?: GatewayError }): void {
    this.#outcome ??= outcome;
    this.#change();
  }

  #change(): void {
    this.#wake();
    this.#changed = this.#arm();
  }

  #arm(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** The gateway follows the ledger for one subscription at a time. */
export class Events {
  #current: Subscription | undefined;
  #closing = false;

  constructor(private readonly maxQueued: number) {}

  async subscribe(channel: Channel, from: number | undefined): Promise<Subscription> {
    if (this.#current !== undefined) throw new Overloaded('a subscription is open already: stop it first');
    const subscription = new Subscription(this.maxQueued, () => channel.notify('unsubscribe'));
    this.#current = subscription;
    try {
      const answer = await channel.call('subscribe', from === undefined ? {} : { from }, subscribed);
      subscription.begin(answer.from);
      return subscription;
    } catch (error) {
      this.#current = undefined;
      throw error;
    }
  }

  /** Takes a notification. Throws a `ProtocolError` where there can be none. */
  take(method: string, params: unknown): void {
    const current = this.#current;
    if (current === undefined) throw new ProtocolError(`the gateway sent '${method}' when nobody is subscribed`);
    switch (method) {
      case 'event':
        return current.push(placedEvent(params, 'event'));
      case 'eventsEnd': {
        const { reason } = eventsEnd(params, 'eventsEnd');
        this.#current = undefined;
        return current.finish(this.#closing ? undefined : new SubscriptionEnded(reason));
      }
      default:
        throw new ProtocolError(`the gateway sent '${method}', which is no notification`);
    }
  }

  /** The end that comes now is asked for. */
  close(): void {
    this.#closing = true;
  }

  /** The gateway is gone. */
  end(error: GatewayError): void {
    const current = this.#current;
    this.#current = undefined;
    current?.finish(this.#closing && error instanceof GatewayDied ? undefined : error);
  }
}
