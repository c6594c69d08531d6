// weft daemon: becomes the per-host process.

import { type Command, Option } from 'commander'
import { collect, integer } from '../options.ts'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

export function registerDaemon(program: Command): void {
  program
    .command('daemon')
    .summary('run the per-host process')
    .description('Run the per-host process in the foreground.')
    .option('--config <file>', 'configuration (default: /etc/weft/config.yaml if it exists)')
    .option('--name <name>', "this host's name (default: the hostname)")
    .option('--advertise-addr <ip|iface>', 'the underlay address that other hosts send to')
    .option('--vxlan-port <port>', 'UDP port of VXLAN (default: 4789)', integer(1, 65_535))
    .option(
      '--gossip-port <port>',
      'UDP and TCP port of the cluster (default: 7946)',
      integer(1, 65_535),
    )
    .option('--workers <n>', 'packet threads (default: 1)', integer(1, 64))
    .option('--worker-cpus <list>', 'a CPU for each, as in 2,3 (default: wherever there is room)')
    .addOption(
      new Option(
        '--stay-awake <when>',
        'keep idle CPUs from sleeping while small packets follow one another (default: on)',
      ).choices(['on', 'off']),
    )
    .option('--facts <file>', 'members, networks and endpoints from a file (docs/facts.md)')
    .option(
      '--dns <address>',
      "who other names are asked of (default: the host's resolvers)",
      collect,
    )
    .option(
      '--dns-ttl <seconds>',
      'how long our names may be remembered (default: 1)',
      integer(0, 86_400),
    )
    .option('--dns-listen <ip[:port]>', 'answer names on the host as well (default: nowhere)')
    .option(
      '--resolv-conf <file>',
      "the host's resolvers and search domains (default: /etc/resolv.conf)",
    )
    .option(
      '--run-dir <dir>',
      "socket, lock, run files (default: this namespace's below /run/weft)",
    )
    .option('--state-dir <dir>', 'sandboxes (default: below /var/lib/weft)')
    .option('--socket <path>', 'the API (default: weft.sock in the run directory)')
    .addOption(new Option('--log-level <level>', 'default: info').choices(LOG_LEVELS))
    .option('--log-file <file>', 'append the log to a file (default: stderr)')
    .addHelpText(
      'after',
      '\nThe same settings are read from /etc/weft/config.yaml, then from WEFT_* variables, then\n' +
        'from these flags; the later wins. SIGTERM leaves sandboxes running for the next daemon.',
    )
    .action(async (_: unknown, command: Command) => {
      // The daemon's libraries are its own: no other verb pays for loading them.
      const { runDaemon } = await import('../../daemon/main.ts')
      await runDaemon(command.optsWithGlobals<Record<string, unknown>>())
    })
}
