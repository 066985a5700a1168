/** The ten compliance checks of a package. The command makes them, in a throw-away state. */

import { resolve } from 'node:path';

import { runCommand } from './command.js';
import type { CommandOptions } from './command.js';
import { ProtocolError } from './errors.js';
import { complianceReport } from './results.js';
import type { ComplianceReport } from './types.js';

export type ComplianceOptions = Omit<CommandOptions, 'state'> & {
  /** A text payload for its calls, in place of samples made from its manifest. */
  readonly text?: string;
  /** Passes a plugin although the sandbox refused it something; what it asked for is still named. */
  readonly tolerateDenied?: boolean;
};

/** Makes the checks of the package in `folder`. A check that failed is in the report and no error. */
export async function runComplianceGate(folder: string, options: ComplianceOptions = {}): Promise<ComplianceReport> {
  const { text, tolerateDenied = false, ...command } = options;
  const verb = ['certify', '--json', ...(tolerateDenied ? ['--tolerate-denied'] : []), ...(text === undefined ? [] : [`--text=${text}`])];
  const told = await runCommand(command, [...verb, '--', resolve(folder)]);
  return complianceReport(parse(told), 'certify');
}

function parse(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch (cause) {
    throw new ProtocolError('the command answered what is not JSON', { cause });
  }
}
