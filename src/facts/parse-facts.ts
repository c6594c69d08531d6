// The text of a facts file → Facts, or every problem in it with line and column.
//
//   1 yaml-source    text → values with places; what is no YAML ends here
//   2 facts-shape    each entry on its own: keys, kinds, value types
//   3 facts-checks   entries against each other: doubles, addresses, references
//
// An entry with a problem in step 2 takes no part in step 3, but its name still counts as declared:
// one wrong line makes one problem, not one for every line that refers to it.

import type * as z from 'zod'
import { quote } from '../errors.ts'
import { firstAddress } from '../net/cidr.ts'
import { macFromIpv4 } from '../net/mac-address.ts'
import { closest } from './closest.ts'
import { FactsError, type FactsProblem, type FactsResult } from './facts-error.ts'
import { type Located, type Reporter, checkFacts } from './facts-checks.ts'
import {
  ENTRY_SHAPES,
  type Entry,
  KNOWN_KEYS,
  SECTION_NAMES,
  type SectionName,
  expected,
} from './facts-shape.ts'
import type { EndpointFact, NetworkFact, SubnetFact } from './facts.ts'
import { type Path, type YamlSource, readYaml } from './yaml-source.ts'

/** @param file the file's name, for the messages */
export function parseFacts(text: string, file: string): FactsResult {
  const source = readYaml(text)
  const problems = [...source.problems]
  if (problems.length > 0) return { ok: false, error: new FactsError(file, problems) }

  const reporter: Reporter = {
    report: (path, message) => problems.push({ ...source.placeOf(path), message }),
    lineOf: (path) => `line ${source.placeOf(path).line}`,
  }
  const top = readTop(source, problems)
  // A section that is missing, or misspelt, would be missed by everything that refers to it.
  const sections = problems.length === 0
  const members = readSection('members', top, source, problems)
  const networks = readSection('networks', top, source, problems)
  const endpoints = readSection('endpoints', top, source, problems)

  const complete = {
    members: members.entries,
    networks: networks.entries.map(({ path, value }) => ({ path, value: completeNetwork(value) })),
    endpoints: endpoints.entries.map(({ path, value }) => ({
      path,
      value: completeEndpoint(value),
    })),
  }
  const names = {
    // Without the section the hosts are the cluster's, and nobody knows beforehand which those are.
    memberNames: Object.hasOwn(top, 'members') ? members.names : undefined,
    networkNames: networks.names,
  }
  if (sections) checkFacts({ ...complete, ...names }, reporter)
  if (problems.length > 0) return { ok: false, error: new FactsError(file, problems) }
  return {
    ok: true,
    facts: {
      members: complete.members.map(({ value }) => value),
      networks: complete.networks.map(({ value }) => value),
      endpoints: complete.endpoints.map(({ value }) => value),
    },
  }
}

/** What a section gave: the entries that are well-formed, and the names of all. */
interface Section<S extends SectionName> {
  readonly entries: readonly Located<Entry<S>>[]
  readonly names: ReadonlySet<string>
}

/** The document's sections by name; anything else that stands there is a problem. */
function readTop(source: YamlSource, problems: FactsProblem[]): Readonly<Record<string, unknown>> {
  if (!isRecord(source.value)) {
    const message = source.value === null ? 'the file is empty' : 'the file is not a map'
    const sections = SECTION_NAMES.join(', ')
    problems.push({ ...source.placeOf([]), message: `${message}; write the sections ${sections}` })
    return {}
  }
  for (const key of Object.keys(source.value)) {
    if ((SECTION_NAMES as readonly string[]).includes(key)) continue
    problems.push({ ...source.placeOfKey([key]), message: unknownKey(key, SECTION_NAMES) })
  }
  return source.value
}

function readSection<S extends SectionName>(
  section: S,
  top: Readonly<Record<string, unknown>>,
  source: YamlSource,
  problems: FactsProblem[],
): Section<S> {
  const list = top[section]
  const entries: Located<Entry<S>>[] = []
  const names = new Set<string>()
  // `endpoints:` with nothing below it is a section that has no entry yet.
  if (list === undefined || list === null) return { entries, names }
  if (!Array.isArray(list)) {
    const message = `'${section}' ${expected('a list', list, '- { name: ... }')}`
    problems.push({ ...source.placeOf([section]), message })
    return { entries, names }
  }
  for (const [index, raw] of (list as readonly unknown[]).entries()) {
    const path = [section, index]
    if (isRecord(raw) && typeof raw['name'] === 'string') names.add(raw['name'])
    const read = ENTRY_SHAPES[section].safeParse(raw)
    if (read.success) entries.push({ path, value: read.data as Entry<S> })
    else problems.push(...read.error.issues.flatMap((issue) => describe(issue, path, source)))
  }
  return { entries, names }
}

/** One complaint of zod as problems with places: an unknown key is one each. */
function describe(issue: z.core.$ZodIssue, entry: Path, source: YamlSource): FactsProblem[] {
  // Symbols are no keys of YAML.
  const path = [...entry, ...(issue.path as (string | number)[])]
  if (issue.code === 'unrecognized_keys') {
    const list = path.findLast((segment) => typeof segment === 'string')
    return issue.keys.map((key) => ({
      ...source.placeOfKey([...path, key]),
      message: unknownKey(key, knownKeys(list)),
    }))
  }
  const last = path.at(-1)
  const message =
    typeof last === 'string'
      ? `'${last}' ${issue.message}`
      : `this entry is not a map; write it as in { ${knownKeys(path.at(-2)).join(': ..., ')}: ... }`
  return [{ ...source.placeOf(path), message }]
}

/** The keys of a map that stands in the list `list`. */
function knownKeys(list: string | number | undefined): readonly string[] {
  return KNOWN_KEYS[list ?? ''] ?? []
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = closest(key, known)
  const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean '${meant}'?`
  return `unknown key ${quote(key)}; ${hint}`
}

function completeNetwork(entry: Entry<'networks'>): NetworkFact {
  const subnets = entry.subnets.map(
    (subnet): SubnetFact => ({
      cidr: subnet.cidr,
      gateway: subnet.gateway ?? firstAddress(subnet.cidr),
      vni: subnet.vni,
      cidr6: subnet.cidr6,
      gateway6: subnet.gateway6 ?? (subnet.cidr6 && firstAddress(subnet.cidr6)),
    }),
  )
  return { name: entry.name, mtu: entry.mtu, learning: entry.learning, subnets }
}

function completeEndpoint(entry: Entry<'endpoints'>): EndpointFact {
  return { ...entry, ip6: entry.ip6, mac: entry.mac ?? macFromIpv4(entry.ip) }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
