/** What to do about an error, in the words of this package where the gateway speaks of its command line. */

type Advice = { readonly about: RegExp; readonly hint: string };

/** The first that fits the gateway's message or hint counts. */
const ADVICE: readonly Advice[] = [
  { about: /there is no state in|no ledger in/, hint: 'start it with Gateway.start({ create: true }), or name another folder in the option state' },
  { about: /register --replace/, hint: 'registerPlugin(folder, signature, { replace: true }) puts a higher version in its place' },
  { about: /plugin-gateway validate/, hint: 'validateManifest(manifest) gives every finding' },
  { about: /plugin-gateway ledger verify/, hint: 'nothing was changed: compare with a copy or an anchor; verifyLedger() says what is broken' },
  { about: /Plugin not found/, hint: 'listPlugins() gives the ids that are registered' },
  { about: /has no events in the ledger/, hint: 'a run is named by the run_id of its requests' },
  { about: /cannot open package/, hint: "registerPlugin takes the path of the package's folder; a relative one is seen from this program's working directory" },
  { about: /is longer than \d+ bytes/, hint: "the gateway's bound is channel.max_line_bytes in its settings" },
  { about: /is held by .*: stop it/, hint: 'one gateway at a time holds a state: close() the other, or name another folder in the option state' },
];

/** What to do about `message`: in the words of this package, else what the gateway told. */
export function hintFor(message: string, told?: string): string | undefined {
  const known = ADVICE.find(({ about }) => about.test(message) || (told !== undefined && about.test(told)));
  return known?.hint ?? (told || undefined);
}
