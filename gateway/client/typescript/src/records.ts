/** The ledger's events up to now, read through a subscription that says where the past is over. */

import { canonical } from './canonical.js';
import { Overloaded } from './errors.js';
import type { SubscribeOptions, Subscription } from './events.js';
import type { LedgerEvent } from './types.js';

type Subscribe = (wanted: SubscribeOptions) => Promise<Subscription>;

/** Hands each event that is wanted to `take`, in the ledger's order. */
export async function readEvents(subscribe: Subscribe, wanted: SubscribeOptions, take: (event: LedgerEvent) => void): Promise<void> {
  for (let from = 0; ; ) {
    const subscription = await subscribe({ ...wanted, from });
    try {
      for await (const { event } of subscription.past()) take(event);
      return;
    } catch (error) {
      // More events waited than a subscription holds, so the rest is asked for. Where nothing was read it would be the same again.
      if (!(error instanceof Overloaded) || subscription.next === from) throw error;
      from = subscription.next;
    }
  }
}

/** The events as the ledger's files have them: a line of canonical JSON each. */
export function ndjson(events: readonly LedgerEvent[]): string {
  return events.map((event) => `${canonical(event)}\n`).join('');
}
