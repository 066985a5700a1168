/** What this package offers. */

export { Gateway } from './client.js';
export type { RegisterOptions } from './client.js';
export type { CallOptions } from './channel.js';
export type { Subscription } from './events.js';
export type { Backoff, GatewayOptions } from './settings.js';
export {
  Aborted,
  Closed,
  GatewayDied,
  GatewayError,
  Overloaded,
  ProtocolError,
  RpcCode,
  RpcError,
  SubscriptionEnded,
  Timeout,
} from './errors.js';
export type { Exit } from './errors.js';
export { newRequest, text } from './request.js';
export type { RequestOptions } from './request.js';
export type * from './types.js';
