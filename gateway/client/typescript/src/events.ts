/** The ledger's events as they become durable: subscriptions, each with its number on the channel. */

import type { Channel } from './channel.js';
import type { GatewayEventKind } from './constants.js';
import { GatewayDied, Overloaded, ProtocolError, SubscriptionEnded } from './errors.js';
import type { GatewayError } from './errors.js';
import { placedEvent, subscribed } from './results.js';
import { count, object, string } from './shape.js';
import type { PlacedEvent } from './types.js';

const numbered = object<{ readonly subscription: number }>({ subscription: count });
const eventsPast = object<{ readonly next: number }>({ next: count });
const eventsEnd = object<{ readonly reason: string }>({ reason: string });

/** Which events are wanted: those that fit all that is given. */
export type SubscribeOptions = {
  /** Index of the first; the next one that is recorded where it is left out. */
  readonly from?: number;
  readonly runId?: string;
  readonly pluginId?: string;
  readonly kind?: GatewayEventKind;
};

/** All before this index was there when the subscription began. */
type Past = { readonly past: number };

/** Events to iterate over. What ends it early is thrown, behind the events that came before. */
export class Subscription implements AsyncIterable<PlacedEvent> {
  readonly #queue: (PlacedEvent | Past)[] = [];
  #next = 0;
  #outcome: { readonly error?: GatewayError } | undefined;
  #stopping = false;
  #unsubscribe: () => void = () => undefined;
  #wake: () => void = () => undefined;
  #changed: Promise<void>;
  readonly #released: Promise<void>;
  #release: () => void = () => undefined;

  /** Made by `Gateway.subscribe`. */
  constructor(private readonly maxQueued: number) {
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

  [Symbol.asyncIterator](): AsyncGenerator<PlacedEvent, void, undefined> {
    return this.#read(false);
  }

  /** The events that were recorded before the subscription began; with them it ends. */
  past(): AsyncGenerator<PlacedEvent, void, undefined> {
    return this.#read(true);
  }

  async *#read(untilPast: boolean): AsyncGenerator<PlacedEvent, void, undefined> {
    try {
      for (;;) {
        const item = this.#queue.shift();
        if (item !== undefined && 'past' in item) {
          this.#next = Math.max(this.#next, item.past);
          if (untilPast) return;
        } else if (item !== undefined) {
          this.#next = item.index + 1;
          yield item;
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
  begin(from: number, unsubscribe: () => void): void {
    this.#next = from;
    this.#unsubscribe = unsubscribe;
  }

  /** @internal */
  tellPast(next: number): void {
    if (this.#outcome !== undefined) return;
    this.#queue.push({ past: next });
    this.#change();
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
    this.#unsubscribe();
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

/** The open subscriptions by their numbers. */
export class Events {
  readonly #open = new Map<number, Subscription>();
  #closing = false;

  constructor(private readonly maxQueued: number) {}

  async subscribe(channel: Channel, wanted: SubscribeOptions): Promise<Subscription> {
    const subscription = new Subscription(this.maxQueued);
    const { from, runId, pluginId, kind } = wanted;
    // Members that are undefined are not written.
    const params = { from, run_id: runId, plugin_id: pluginId, kind };
    await channel.call('subscribe', params, (value, at) => {
      // Its events may stand right behind the answer, so it is entered with it.
      const answer = subscribed(value, at);
      subscription.begin(answer.from, () => channel.notify('unsubscribe', { subscription: answer.subscription }));
      this.#open.set(answer.subscription, subscription);
      return answer;
    });
    return subscription;
  }

  /** Takes a notification. Throws a `ProtocolError` where there can be none. */
  take(method: string, params: unknown): void {
    const { subscription } = numbered(params, method);
    const current = this.#open.get(subscription);
    if (current === undefined) throw new ProtocolError(`the gateway sent '${method}' for ${subscription}, to which nobody is subscribed`);
    switch (method) {
      case 'event':
        return current.push(placedEvent(params, method));
      case 'eventsPast':
        return current.tellPast(eventsPast(params, method).next);
      case 'eventsEnd': {
        const { reason } = eventsEnd(params, method);
        this.#open.delete(subscription);
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
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const current of open) current.finish(this.#closing && error instanceof GatewayDied ? undefined : error);
  }
}
