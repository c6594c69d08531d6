// The routes of docs/api.md for the doctor: of this host's, and what another host's asks.

import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Doctor } from '../doctor/doctor.ts'
import type { Report } from '../doctor/finding.ts'
import type { Knocked, Testimony } from '../doctor/witness.ts'
import type { Repaired } from './doctor-types.ts'
import { check } from './schemas.ts'

/** Who asks for more wants to flood somebody. */
const MOST_PROBES = 1_000

const MEMBER = z.string().min(1).max(64)
const WITNESS = z.object({ of: MEMBER })
const KNOCK = z.strictObject({
  member: MEMBER,
  vxlanProbes: z.number().int().min(0).max(MOST_PROBES),
})

export function registerDoctor(http: FastifyInstance, doctor: Doctor): void {
  http.get('/v1/doctor', (): Promise<Report> => doctor.examine())
  http.post('/v1/doctor/repair', (): Repaired => ({ rows: doctor.repair() }))
  http.get('/v1/doctor/witness', ({ query }): Testimony => doctor.testify(check(WITNESS, query).of))
  http.post('/v1/doctor/knock', ({ body }): Promise<Knocked> => doctor.knock(check(KNOCK, body)))
}
