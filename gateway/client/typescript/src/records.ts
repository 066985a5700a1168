/** The ledger's events up to now, read through a subscription that ends where the ledger ended when it was asked. */

import { canonical } from './canonical.js';
import { Overloaded } from './errors.js';
import type { Subscription } from './events.js';
import type { LedgerEvent } from './types.js';

type Subscribe = (from?: number) => Promise<Subscription>;

/** Hands each event to `take`, in the ledger's order. */
export async function readEvents(subscribe: Subscribe, take: (event: LedgerEvent) => void): Promise<void> {
  // A subscription to what comes next begins where the ledger ends.
  const tip = await subscribe();
  const end = tip.next;
  await tip.stop();
  for (let next = 0; next < end; ) next = await readSome(await subscribe(next), end, take);
}

/** Reads until `end`, or until more events wait than a subscription holds; gives the index to go on from. */
async function readSome(subscription: Subscription, end: number, take: (event: LedgerEvent) => void): Promise<number> {
  const begun = subscription.next;
  try {
    for await (const { index, event } of subscription) {
      take(event);
      if (index + 1 >= end) break;
    }
  } catch (error) {
    // Where nothing was read it would be the same again.
    if (!(error instanceof Overloaded) || subscription.next === begun) throw error;
  }
  return subscription.next;
}

/** The events as the ledger's files have them: a line of canonical JSON each. */
export function ndjson(events: readonly LedgerEvent[]): string {
  return events.map((event) => `${canonical(event)}\n`).join('');
}
